"""Recordings: subtitles with laughter, one's own tables, and what is wrong with either."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attention_audit.data.recording_sources import Line, reactions_of, read_recordings
from attention_audit.records.errors import AuditError
from tests.unit.archives import make_source

SITCOM = {
    "kind": "sitcom_laughs",
    "other_encoding": "cp1252",
    "after_last_line": 2.0,
    "held_out": None,
}
EPISODE = """# ANNA
1.500
Here is what
happened.
3.000
3.600
**LOL**
3.700
And then?
4.200
# BEN
3.900
**LOL**
5.000
Nothing.
6.250
6.900
**LOL**
30.000
**LOL**
"""


def sitcom(tmp_path, files, **settings):
    """The recordings of a source archive with these files, and what was counted."""
    members = {f"show/the_corpus/{name}": text for name, text in files.items()}
    path = make_source(tmp_path / "show-1.0.tar.gz", members)
    notes = Counter()
    found = list(read_recordings(SITCOM | settings, {"archive": path}, notes))
    return found, notes


def test_an_episode_is_lines_and_seconds_with_laughter(tmp_path):
    text = EPISODE.replace("\n", "\r\n")
    [found], notes = sitcom(tmp_path, {"Show.S04E06.The.Watch.merged": text})
    assert (found.split, found.group, found.end) == ("all", "S04", 8.0)
    assert found.name == "Show.S04E06.The.Watch"
    assert found.lines == [
        Line(1.5, 3.0, "ANNA", "Here is what happened."),
        Line(3.7, 4.2, "ANNA", "And then?"),
        Line(5.0, 6.25, "BEN", "Nothing."),
    ]
    # from the first line on; two laughs in one second are one event
    assert found.seconds.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.events.ravel().tolist() == [False] * 2 + [True] + [False] * 2 + [
        True,
        False,
    ]
    assert found.reactions.shape == (7, 1)
    assert notes["laughs_after_the_end"] == 1
    assert notes["laughs_in_one_second"] == 1
    assert reactions_of(SITCOM) == ["laughter"]


def test_files_that_are_not_utf8_are_named_and_decoded_or_left_out(tmp_path):
    files = {
        "Show.S04E06.A.merged": EPISODE,
        "Show.S05E01.B.merged": EPISODE.replace("Nothing", "Señor").encode("latin-1"),
    }
    found, notes = sitcom(tmp_path, files)
    assert found[1].lines[-1].text == "Señor."
    assert notes["lines_not_utf8_of_Show.S05E01.B"] == 1
    found, notes = sitcom(tmp_path, files, other_encoding=None)
    assert [one.name for one in found] == ["Show.S04E06.A"]
    assert notes["recordings_not_utf8"] == 1
    with pytest.raises(AuditError, match=r"S05E01.B.merged', line 15: is neither"):
        sitcom(tmp_path, files, other_encoding="ascii")


def test_whole_seasons_may_be_held_out(tmp_path):
    files = {f"Show.S0{n}E01.A.merged": EPISODE for n in (4, 5, 6)}
    held_out = {"dev": ["S05"], "test": ["S06"]}
    found, _ = sitcom(tmp_path, files, held_out=held_out)
    assert [one.split for one in found] == ["train", "dev", "test"]
    with pytest.raises(AuditError, match=r"no season 'S09'.*Known: S04, S05, S06"):
        sitcom(tmp_path, files, held_out={"test": ["S09"]})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "5.000\nNothing",
            "3.000\nNothing",
            r"line 14: a subtitle starts at 3\.0 s, aft",
        ),
        ("6.900", "3.100", r"line 17: laughter at 3\.1 s comes after that at 3\.9 s"),
        ("6.250", "4.000", r"line 16: a subtitle ends at 4\.0 s, before its start"),
        ("1.500", "1,500", r"line 2: expected a time or '# SPEAKER', found '1,500'"),
        ("And then?\n", "", r"line 8: a subtitle has no text"),
        ("30.000\n**LOL**\n", "30.000\nEnd\n", r"line 19: .*no time at which it ends"),
    ],
)
def test_what_is_wrong_in_an_episode_is_told_with_its_line(tmp_path, old, new, told):
    assert EPISODE.count(old) == 1
    text = EPISODE.replace(old, new)
    with pytest.raises(AuditError, match=rf"Show\.S04E06\.A\.merged', {told}"):
        sitcom(tmp_path, {"Show.S04E06.A.merged": text})


def test_an_episode_without_laughter_has_no_seconds(tmp_path):
    text = "\n".join(EPISODE.split("\n")[:5])
    [found], _ = sitcom(tmp_path, {"Show.S04E06.A.merged": text})
    assert not len(found.seconds) and found.reactions.shape == (0, 1)


# ---------------------------------------------------------------- tables

TABLES = {
    "kind": "reaction_tables",
    "recording": "Video ID",
    "time": "Timestamp",
    "time_unit": "us",
    "reactions": ["joy", "awe"],
    "zeros": "missing",
    "format": None,
    "delimiter": None,
    "max_gap": 1.0,
    "unequal_lengths": "refuse",
    "features": {
        "recording": "id",
        "time": "at",
        "time_unit": "s",
        "streams": {"image": "swin", "sound": "vggish"},
    },
}


@pytest.fixture
def tables_of(tmp_path):
    """Reads recordings from rows (id, seconds, joy, awe) and rows (id, seconds, number)."""

    def run(labels, features, **settings):
        lines = ["Video ID,Timestamp,joy,awe"]
        lines += [f"{v},{round(t * 1e6)},{a},{b}" for v, t, a, b in labels]
        (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
        rows = [
            {"id": v, "at": t, "swin": [x, x, 0.0], "vggish": [x]}
            for v, t, x in features
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        files = {"labels": tmp_path / "a.csv", "features": tmp_path / "a.parquet"}
        notes = Counter()
        source = TABLES | settings
        return list(read_recordings(source, {"train": files}, notes)), notes

    return run


def seen(name, seconds, rate=2):
    return [(name, t / rate, t) for t in range(seconds * rate)]


def test_a_second_has_the_mean_of_its_rows(tables_of):
    labels = [
        ("v", 0.0, 0.2, 0),
        ("v", 0.5, 0.4, 0),
        ("v", 1.0, 0, 0),
        ("v", 2.9, 0, 1),
    ]
    [found], notes = tables_of(labels, seen("v", 4))
    assert found.seconds.tolist() == [0, 2]
    assert found.reactions == pytest.approx(np.array([[0.3, 0], [0, 1]]))
    assert found.events is None and found.lines is None
    assert notes["rows_of_zeros"] == 1
    assert found.streams["image"].values.shape == (8, 3)
    assert found.streams["sound"].times.tolist() == [t / 2 for t in range(8)]
    [found], _ = tables_of(labels, seen("v", 4), zeros="values")
    assert found.seconds.tolist() == [0, 1, 2]


def test_labels_end_with_their_own_recording_whichever_others_are_kept(tables_of):
    """The published code ends a clip where the next one that it kept begins.

    Where features of the second of three are missing, it takes the labels of the second
    for the end of the first.
    """
    labels = [("a", t, 0.1, 0.1) for t in range(3)]
    labels += [("b", t, 0.9, 0.9) for t in range(5)]
    labels += [("c", t, 0.3, 0.3) for t in range(2)]
    found, notes = tables_of(labels, seen("a", 10) + seen("c", 10))
    assert [one.name for one in found] == ["a", "c"]
    assert found[0].seconds.tolist() == [0, 1, 2]
    assert found[0].reactions == pytest.approx(np.full((3, 2), 0.1))
    assert found[1].reactions == pytest.approx(np.full((2, 2), 0.3))
    assert notes["recordings_without_features"] == 1


def test_reactions_after_the_features_are_refused_or_cut(tables_of):
    labels = [("v", t, 0.5, 0.5) for t in range(6)]
    with pytest.raises(
        AuditError, match=r"a\.parquet, row 0: the features of 'v' end at"
    ):
        tables_of(labels, seen("v", 3))
    [found], notes = tables_of(labels, seen("v", 3), unequal_lengths="cut")
    assert found.seconds.tolist() == [0, 1, 2]
    assert notes["seconds_after_the_features"] == 3


def test_features_without_reactions_are_a_recording_without_seconds(tables_of):
    found, _ = tables_of([("v", 0, 1, 1)], seen("v", 2) + seen("w", 2))
    assert [len(one.seconds) for one in found] == [1, 0]


@pytest.mark.parametrize(
    ("labels", "features", "told"),
    [
        (
            [("v", 1, 1, 1), ("v", 0.5, 1, 1)],
            seen("v", 2),
            r"a\.csv, line 3: the time 0\.5 s of 'v' does not come after 1 s",
        ),
        (
            [("v", 1, 1, 1), ("w", 1, 1, 1), ("v", 2, 1, 1)],
            seen("v", 2),
            r"a\.csv, line 4: the rows of 'v' go on after those of 'w'",
        ),
        (
            [("v", 1, 1, "x")],
            seen("v", 2),
            r"a\.csv, line 2: column 'awe' should be a number, found 'x'",
        ),
        ([("v", -1, 1, 1)], seen("v", 2), r"a\.csv, line 2: the time -1 s is negative"),
        (
            [("v", 1, 1, 1)],
            [("v", 0, 1), ("v", 1, 1), ("v", 0.5, 1)],
            r"a\.parquet, row 2: the time 0\.5 s of 'v' does not come after 1 s",
        ),
        (
            [("v", 0, 1, 1)],
            [("v", 0, 1), ("w", 0, 1), ("v", 1, 1)],
            r"a\.parquet, row 2: the rows of 'v' go on after those of 'w'",
        ),
        (
            [("v", 1, 1, 1)],
            [("v", 0, 1.0), ("v", 1, float("nan"))],
            r"column 'swin', row 1: expected 3 finite numbers",
        ),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_its_row(
    tables_of, labels, features, told
):
    with pytest.raises(AuditError, match=told):
        tables_of(labels, features)


def test_times_go_on_over_the_rows_that_are_read_at_once(tables_of):
    features = seen("v", 700)
    [found], _ = tables_of([("v", 1, 1, 1)], features)
    assert len(found.streams["image"].times) == 1400
    with pytest.raises(AuditError, match=r"row 1000: the time 10 s of 'v'"):
        tables_of([("v", 1, 1, 1)], [*features[:1000], ("v", 10.0, 1)])
