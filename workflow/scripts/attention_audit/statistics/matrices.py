"""Measures of many runs as matrices, instances by seeds, one group in memory at a time.

Tables are read a batch of rows at a time, and of each row a number and the place of its
instance are kept: 12 bytes, whatever the length of names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm import tqdm

from attention_audit.records import tables
from attention_audit.records.decision_ids import SECOND_DIGITS, decision_id
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.statistics.in_step import check_run

Floats = npt.NDArray[np.float64]

# Rows that are decoded at once.
BATCH_ROWS = 2**17

# What identifies a cell's models up to normalizer and seed.
GROUP_COLUMNS = ("dataset", "encoder", "scorer")

# (measure, subject, reference)
Key = tuple[str, str, str | None]

_KEY_COLUMNS = ["measure", "subject", "reference"]


@dataclass(frozen=True)
class Matrix:
    """Values ``(I, S)`` of one measure in one cell, NaN where undefined.

    ``instances`` (I,) are places among the sorted ids of the split, or of the group where
    no table tells the split, ``seeds`` (S,) the seeds of the columns; both ascend.
    ``clusters`` (I,) says which instances share one.
    """

    instances: npt.NDArray[np.int32]
    seeds: npt.NDArray[np.int64]
    values: Floats
    clusters: npt.NDArray[np.int32]

    def paired(self, other: "Matrix") -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
        """The values of both for the instances and seeds that both have, and clusters."""
        sides = []
        rows = np.intersect1d(self.instances, other.instances, assume_unique=True)
        columns = np.intersect1d(self.seeds, other.seeds, assume_unique=True)
        for side in (self, other):
            row = np.searchsorted(side.instances, rows)
            column = np.searchsorted(side.seeds, columns)
            sides.append(side.values[np.ix_(row, column)])
        clusters = self.clusters[np.searchsorted(self.instances, rows)]
        return sides[0], sides[1], clusters


class _Ids:
    """Places of instance ids, the ``known`` ones first, then in the order they are met."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.places: dict[str, int] = {i: place for place, i in enumerate(known)}

    def of(self, column: pa.Array) -> npt.NDArray[np.int32]:
        """The place of every id in ``column``; new ids get the next ones."""
        encoded = column.dictionary_encode()
        places = self.places
        met = [
            places.setdefault(i, len(places)) for i in encoded.dictionary.to_pylist()
        ]
        return np.array(met, dtype=np.int32)[encoded.indices.to_numpy()]

    def ranks(self) -> npt.NDArray[np.int32]:
        """For each place, that among the sorted ids."""
        order = sorted(self.places, key=self.places.__getitem__)
        ranks = np.empty(len(order), dtype=np.int32)
        ranks[np.argsort(np.array(order, dtype=object))] = np.arange(len(order))
        return ranks


@dataclass(frozen=True)
class _Column:
    """One seed of a matrix."""

    instances: npt.NDArray[np.int32]
    values: Floats


def _read_run(
    path: str | Path, run: Mapping[str, object], ids: _Ids
) -> dict[Key, _Column]:
    """The values of one run by measure."""
    pieces: dict[Key, list[tuple]] = {}
    columns = [*RUN_COLUMNS, "instance_id", *_KEY_COLUMNS, "value"]
    for batch in tables.iterate_table(path, "measures", BATCH_ROWS, columns):
        check_run(batch, run, path)
        batch = batch.combine_chunks()
        places = ids.of(batch["instance_id"].chunk(0))
        values = batch["value"].to_numpy()
        for key, rows in _rows_by_key(batch).items():
            pieces.setdefault(key, []).append((places[rows], values[rows]))
    found = {}
    for key, parts in pieces.items():
        instances = np.concatenate([place for place, _ in parts])
        met = np.bincount(instances, minlength=1)
        if met.max() > 1:
            twice = list(ids.places)[met.argmax()]
            raise AuditError(
                f"{path}: instance '{twice}' has measure '{key[0]}' of '{key[1]}' "
                "twice. Delete the file and run snakemake again to rebuild it."
            )
        found[key] = _Column(instances, np.concatenate([value for _, value in parts]))
    return found


def _rows_by_key(batch: pa.Table) -> dict[Key, npt.NDArray[np.int64]]:
    """The places of the rows of each measure, subject and reference."""
    codes = np.zeros(len(batch), dtype=np.int64)
    names: list[list] = []
    for column in _KEY_COLUMNS:
        encoded = batch[column].chunk(0).dictionary_encode(null_encoding="encode")
        names.append(encoded.dictionary.to_pylist())
        codes = codes * len(names[-1]) + encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    found, first = np.unique(codes[order], return_index=True)
    sizes = [len(n) for n in names]
    return {
        tuple(
            n[i] for n, i in zip(names, np.unravel_index(code, sizes), strict=True)
        ): rows
        for code, rows in zip(found, np.split(order, first[1:]), strict=True)
    }


# What the splits of all modalities have, among columns of their own.
SHARED = pa.schema(
    [
        pa.field("instance_id", pa.string(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
    ]
)


# The words of a translation, of which each is a decision, and so is that there is no more;
# and the seconds of a recording, of which each is one.
_WORDS = "target_length"
_SECONDS = "seconds"


def cluster_ids(path: str | Path) -> dict[str, str]:
    """The cluster of every instance of a split.

    Of sentence pairs and recordings, of all their decisions.
    """
    found = {}
    # a column that a table lacks is passed over
    columns = [*SHARED.names, _WORDS, _SECONDS]
    for batch in tables.iterate_table(path, SHARED, BATCH_ROWS, columns, more=True):
        ids, clusters = (batch[column].to_pylist() for column in SHARED.names)
        if _WORDS in batch.column_names:
            for pair, cluster, words in zip(
                ids, clusters, batch[_WORDS].to_pylist(), strict=True
            ):
                for step in range(words + 1):
                    found[decision_id(pair, step)] = cluster
        elif _SECONDS in batch.column_names:
            for recording, cluster, seconds in zip(
                ids, clusters, batch[_SECONDS].to_pylist(), strict=True
            ):
                for second in seconds:
                    found[decision_id(recording, second, SECOND_DIGITS)] = cluster
        else:
            found |= zip(ids, clusters, strict=True)
    return found


def cluster_places(
    ids: Sequence[str], known: Mapping[str, str], path: str | Path
) -> npt.NDArray[np.int32]:
    """For each instance the place of its cluster, by what `cluster_ids` found in a file.

    Raises `AuditError` for an instance that the file lacks.
    """
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise AuditError(
            f"{path}: has no instance '{unknown[0]}', which was measured. Delete the "
            "file and run snakemake again to rebuild it."
        )
    names = [known[i] for i in ids]
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def _matrix(
    columns: Mapping[int, _Column],
    ranks: npt.NDArray[np.int32],
    clusters: npt.NDArray[np.int32],
) -> Matrix:
    """The matrix of the columns of each seed."""
    present = np.zeros(len(ranks), dtype=bool)
    for column in columns.values():
        present[ranks[column.instances]] = True
    instances = np.flatnonzero(present).astype(np.int32)
    rows = np.cumsum(present) - 1
    values = np.full((len(instances), len(columns)), np.nan)
    for i, column in enumerate(columns.values()):
        values[rows[ranks[column.instances]], i] = column.values
    return Matrix(instances, np.array(list(columns)), values, clusters[instances])


def sorted_keys(keys: Iterable[Key], methods: Sequence[str]) -> list[Key]:
    """By measure, subject and reference: methods in their order behind the others."""
    places = {name: i for i, name in enumerate(methods)}

    def place(name: str | None) -> tuple[int, str]:
        return places.get(name, -1), name or ""

    return sorted(keys, key=lambda key: (key[0], place(key[1]), place(key[2])))


def groups(
    runs: Sequence[Mapping[str, object]],
    paths: Sequence[str | Path],
    methods: Sequence[str],
    examples: Mapping[str, str | Path] | None = None,
    together: Sequence[str] = (),
) -> Iterator[tuple[tuple[str, ...], dict[str, dict[Key, Matrix]]]]:
    """Yield each (dataset, encoder, scorer) with its matrices, by normalizer and key.

    ``examples`` holds, by data set, the split, which says what instances share; without
    it they share nothing. With it the places of instances are the same in all groups of
    a data set, and matrices of two groups can be `Matrix.paired`; so can those of the data
    sets ``together``, of which equal ids stand for the same.
    """
    joint = {
        name: place
        for of in sorted(together)
        for name, place in cluster_ids((examples or {})[of]).items()
    }
    grouped: dict[tuple, list] = {}
    for run, path in zip(runs, paths, strict=True):
        group = tuple(run[column] for column in GROUP_COLUMNS)
        grouped.setdefault(group, []).append(
            (run["normalizer"], run["seed"], path, run)
        )
    for group in tqdm(sorted(grouped), desc="groups", disable=None):
        dataset = group[GROUP_COLUMNS.index("dataset")]
        split = (examples or {}).get(dataset)
        known = {}
        if split:
            known = joint if dataset in together else cluster_ids(split)
        ids = _Ids(sorted(known))
        cells: dict[str, dict[Key, dict[int, _Column]]] = {}
        for normalizer, seed, path, run in sorted(grouped[group], key=lambda r: r[:2]):
            cell = cells.setdefault(normalizer, {})
            for key, column in _read_run(path, run, ids).items():
                cell.setdefault(key, {})[seed] = column
        ranks = ids.ranks()
        found = sorted(ids.places)
        clusters = (
            cluster_places(found, known, split)
            if split
            else np.arange(len(found), dtype=np.int32)
        )
        yield (
            group,
            {
                normalizer: {
                    key: _matrix(cell.pop(key), ranks, clusters)
                    for key in sorted_keys(cell, methods)
                }
                for normalizer, cell in cells.items()
            },
        )
