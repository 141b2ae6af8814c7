"""Tables are written whole or not at all, and read only as what they are."""

import errno
import os
import stat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attention_audit.records import tables
from attention_audit.records.errors import AuditError

RUN = {
    "dataset": "d",
    "encoder": "e",
    "scorer": "s",
    "normalizer": "n",
    "seed": 3,
}
ROWS = {
    **RUN,
    "method": "gradient",
    "instance_id": ["a", "b"],
    "length": [2, 1],
    "importance": [np.array([0.5, 1.0]), np.array([2.0])],
    "completeness_error": None,
}


def write(path, rows=ROWS, schema="importance"):
    tables.write_table(path, schema, rows, {"rule": "test"})


def test_rows_come_back_with_their_identity_and_provenance(tmp_path):
    path = tmp_path / "deep" / "t.parquet"
    write(path)
    table = tables.read_table(path, "importance")
    assert table.schema.equals(tables.SCHEMAS["importance"], check_metadata=False)
    assert table["seed"].to_pylist() == [3, 3]
    assert table["importance"].to_pylist() == [[0.5, 1.0], [2.0]]
    assert tables.read_metadata(path) == {"rule": "test"}


def test_a_scalar_stands_in_every_row_and_none_is_one(tmp_path):
    rows = {
        "dataset": "d",
        "token_id": [0, 1],
        "token": ["a", "b"],
        "count": 7,
        "vector": None,
    }
    write(tmp_path / "t.parquet", rows, "vocabulary")
    table = tables.read_table(tmp_path / "t.parquet", "vocabulary")
    assert table["count"].to_pylist() == [7, 7]
    assert table["vector"].to_pylist() == [None, None]
    with pytest.raises(AuditError, match="'count' must not hold nulls, found 2"):
        write(tmp_path / "t.parquet", {**rows, "count": None}, "vocabulary")


def test_the_same_rows_give_the_same_bytes(tmp_path):
    write(tmp_path / "a.parquet"), write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (
        tmp_path / "b.parquet"
    ).read_bytes()


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "t.parquet"
    write(path)
    before = path.read_bytes()
    with (
        pytest.raises(ZeroDivisionError),
        tables.open_table(path, "importance", {}) as table,
    ):
        table.write(ROWS)
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_files_are_as_public_as_the_umask_says(tmp_path):
    path = tmp_path / "t.parquet"
    write(path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({**ROWS, "extra": 1}, "expected columns"),
        ({k: v for k, v in ROWS.items() if k != "length"}, "expected columns"),
        ({**ROWS, "length": [2, None]}, "column 'length' must not hold nulls"),
        ({**ROWS, "method": None}, "column 'method' must not hold nulls, found 2"),
        ({**ROWS, "length": [2, 1, 1]}, "unequal lengths"),
    ],
)
def test_wrong_rows_are_not_written(tmp_path, rows, words):
    with pytest.raises(AuditError, match=words):
        write(tmp_path / "t.parquet", rows)
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_schema_names_file_column_expected_and_found(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"instance_id": [1]})
    pq.write_table(table, path)
    with pytest.raises(AuditError, match=r"t\.parquet: column 'dataset' is missing"):
        tables.read_table(path, "importance")
    write(path)
    full = pq.read_table(path)
    pq.write_table(full.set_column(4, "seed", pa.array(["3", "3"])), path)
    with pytest.raises(AuditError, match="'seed' should be int64, found string"):
        tables.read_table(path, "importance")
    pq.write_table(full.append_column("more", pa.array([1, 2])), path)
    with pytest.raises(AuditError, match="unexpected column 'more'"):
        list(tables.iterate_table(path, "importance"))
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda path: tables.read_table(path, "attention"), "t.parquet"),
        (lambda path: list(tables.iterate_table(path, "attention")), "t.parquet"),
        (tables.read_json, "t.parquet"),
        (lambda path: tables.read_table(path, "attention"), "x.json"),
        (tables.read_metadata, "x.json"),
    ],
)
def test_a_whole_file_that_was_not_meant_stays_where_it_is(tmp_path, read, name):
    write(tmp_path / "t.parquet")
    tables.write_json(tmp_path / "x.json", {})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AuditError, match="stays as it is"):
        read(tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("read", [tables.read_table, tables.iterate_table])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_file_is_named_and_not_read(tmp_path, read, damage):
    path = tmp_path / "t.parquet"
    many = {
        **ROWS,
        "instance_id": [str(i) for i in range(500)],
        "length": [3] * 500,
        "importance": list(np.random.default_rng(0).random((500, 3))),
    }
    write(path, many)
    whole = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        # one bit inside a data page, where only its checksum can tell
        whole[len(whole) // 3] ^= 1
        path.write_bytes(whole)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    with pytest.raises(AuditError, match=r"t\.parquet.*[Rr]un snakemake"):
        list(read(path, "importance"))
    # out of the way, so that the next run makes it anew
    assert not path.exists()
    assert path.with_name("t.parquet.damaged").exists() == (damage != "missing")


@pytest.mark.parametrize(
    "fault",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        pa.ArrowMemoryError("malloc of size 64 failed"),
        pa.ArrowNotImplementedError("Support for codec 'zstd' not built"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_file_that_cannot_be_read_here_is_not_taken_for_damaged(
    tmp_path, monkeypatch, fault
):
    path = tmp_path / "t.parquet"
    write(path)

    def refuse(*_, **__):
        raise fault

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(type(fault)):
        tables.read_table(path, "importance")
    assert path.exists()


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    path = tmp_path / "t.parquet"
    with tables.atomic_path(path) as temporary:
        temporary.write_text("half a table", encoding="utf-8")
        killed = temporary.read_bytes()
    temporary.write_bytes(killed)
    write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_scratch_folder_is_empty_at_first_and_gone_at_last(tmp_path):
    with tables.scratch_folder(tmp_path / "t.parquet") as folder:
        (folder / "left").touch()
        kept = folder
    kept.mkdir()
    (kept / "left").touch()
    with tables.scratch_folder(tmp_path / "t.parquet") as folder:
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_reading_in_batches_bounds_them_and_keeps_the_order(tmp_path):
    path = tmp_path / "t.parquet"
    with tables.open_table(path, "importance", {}) as table:
        table.write(ROWS)
        table.write({**ROWS, "instance_id": ["c", "d"]})
    pieces = list(tables.iterate_table(path, "importance", 3, ["instance_id"]))
    assert [len(p) for p in pieces] == [3, 1]
    assert [i for p in pieces for i in p["instance_id"].to_pylist()] == list("abcd")


def test_json_is_atomic_and_damage_is_named(tmp_path):
    path = tmp_path / "x.json"
    tables.write_json(path, {"b": 1, "a": [1, 2]})
    assert tables.read_json(path) == {"a": [1, 2], "b": 1}
    path.write_text('{"a": ', encoding="utf-8")
    with pytest.raises(AuditError, match=r"x\.json: not valid JSON"):
        tables.read_json(path)
