"""The tables of a run, read in step, checked and padded.

List columns become a padded batch: ``(B, n)`` arrays with a boolean mask of the same
shape, True where a position exists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.statistics.cells import Cell, by_input, by_state
from attention_audit.statistics.distributions import Floats, Mask


@dataclass(frozen=True)
class Padded:
    """One list column of a batch: ids (B,), values (B, n) and mask (B, n)."""

    path: str | Path
    ids: list[str]
    values: np.ndarray
    mask: Mask


class Step(NamedTuple):
    """Some instances of a run, in its tables of attention and importance.

    Attention and importances are over the hidden states, those of inputs summed over the
    cells of ``cell``; ``read`` are the importances as they stand in their tables.
    """

    table: pa.Table  # of schema "attention"
    attention: Padded
    importances: dict[str, Padded]
    read: dict[str, Padded]
    cell: Cell | None
    # (B,), of the methods that promise a sum
    errors: dict[str, np.ndarray]

    @property
    def states(self) -> int | None:
        """How many hidden states each instance has; None where as many as inputs."""
        return None if self.cell is None else self.attention.values.shape[1]

    def of_inputs(self, values: Floats) -> Floats:
        """Values (B, n) of inputs, those (B, m) of hidden states spread over their cells."""
        return by_input(values, self.cell) if values.shape[1] == self.states else values


def check_run(
    table: pa.Table, identity: Mapping[str, object], path: str | Path
) -> None:
    """Raise an `AuditError` unless every row carries the run's identity."""
    for column in RUN_COLUMNS:
        for value in pc.unique(table[column]).to_pylist():
            if value != identity[column]:
                raise AuditError(
                    f"{path}: holds {column} '{value}', expected '{identity[column]}': "
                    "the file belongs to another run. Delete it and run snakemake "
                    "again to rebuild it."
                )


def padded_column(
    table: pa.Table, column: str, path: str | Path, size: int | None = None
) -> Padded:
    """Pad a list column; lists must be as long as the column ``length`` says.

    Where another ``size`` is given, all must have that.
    """
    lists = table[column].combine_chunks()
    lengths = pc.fill_null(lists.value_lengths(), 0).to_numpy(zero_copy_only=False)
    expected = table["length"].to_numpy()
    if size is not None:
        expected = np.full_like(expected, size)
    ids = table["instance_id"].to_pylist()
    wrong = np.flatnonzero(lengths != expected)
    if wrong.size:
        i = wrong[0]
        raise AuditError(
            f"{path}: '{column}' of instance '{ids[i]}' has {lengths[i]} values, "
            f"expected {expected[i]}. Delete the file and run snakemake again to "
            "rebuild it."
        )
    mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    values = np.zeros(mask.shape, dtype=flat.dtype)
    values[mask] = flat
    return Padded(path, ids, values, mask)


def finite(
    table: pa.Table,
    column: str,
    path: str | Path,
    low: float = -np.inf,
    size: int | None = None,
) -> Padded:
    """As `padded_column`, for values that must be finite and at least ``low``."""
    padded = padded_column(table, column, path, size)
    bad = padded.mask & ~((padded.values >= low) & np.isfinite(padded.values))
    if bad.any():
        i, j = np.argwhere(bad)[0]
        bound = f" of at least {low:g}" if np.isfinite(low) else ""
        raise AuditError(
            f"{path}: '{column}' of instance '{padded.ids[i]}' is {padded.values[i, j]} "
            f"at position {j}; expected finite values{bound}. Did the model's "
            "training diverge? See its metrics.json and history.parquet."
        )
    return padded


def read_cell(table: pa.Table, path: str | Path) -> Cell | None:
    """The hidden state in whose cell each input lies, (n,), in a table "attention".

    None where state i stands at input i. It is the encoder's, and so the same for all
    instances; no cell is empty.
    """
    if table["cell"].null_count == len(table):
        return None
    cells = padded_column(table, "cell", path)
    cell = cells.values[0].astype(np.int64)
    if not cells.mask.all() or (cells.values != cell).any():
        raise tables.mismatch(path, "its instances do not lie in the same cells")
    if not np.bincount(cell).all():
        raise tables.mismatch(path, "no input lies in the cell of some hidden state")
    return cell


def _importance(
    table: pa.Table, path: str | Path, cell: Cell | None, states: int | None
) -> tuple[Padded, Padded]:
    """Importance as it stands, and over the hidden states: summed over cells of inputs."""
    if cell is None:
        read = finite(table, "importance", path, low=0.0)
        return read, read
    lengths = table["importance"].combine_chunks().value_lengths()
    if pc.all(pc.equal(lengths, states)).as_py():
        read = finite(table, "importance", path, 0.0, states)
        return read, read
    read = finite(table, "importance", path, 0.0, len(cell))
    sums = by_state(read.values, cell)
    return read, Padded(path, read.ids, sums, np.ones(sums.shape, dtype=bool))


def check_aligned(first: Padded, other: Padded) -> None:
    """Raise an `AuditError` unless both hold the same instances in the same order."""
    for i, (a, b) in enumerate(zip_longest(first.ids, other.ids)):
        if a != b:
            raise AuditError(
                f"{first.path} and {other.path} hold different instances: where the "
                f"first has '{a}', the second has '{b}'. Delete both files and run "
                "snakemake again to rebuild them."
            )
        if first.mask[i].sum() != other.mask[i].sum():
            raise AuditError(
                f"{first.path} and {other.path} disagree on the length of instance "
                f"'{a}': {first.mask[i].sum()} and {other.mask[i].sum()}. Delete both "
                "files and run snakemake again to rebuild them."
            )


def read_in_step(
    identity: Mapping[str, object],
    attention: str | Path,
    importances: Mapping[str, str | Path],
    batch_size: int = 512,
) -> Iterator[Step]:
    """Yield the attention and every importance of one run, in batches.

    Arguments and errors are those of `measure_run`.
    """
    methods = list(importances)
    streams = [tables.iterate_table(attention, "attention", batch_size)]
    streams += [
        tables.iterate_table(importances[m], "importance", batch_size) for m in methods
    ]
    paths = [attention, *(importances[m] for m in methods)]
    seen: set[str] = set()
    for batches in zip_longest(*streams):
        check_lengths(paths, batches)
        for path, batch in zip(paths, batches, strict=True):
            check_run(batch, identity, path)
        cell = read_cell(batches[0], attention)
        states = None if cell is None else int(cell.max()) + 1
        main = finite(batches[0], "attention", attention, 0.0, states)
        read, others, errors = {}, {}, {}
        for method, path, batch in zip(methods, paths[1:], batches[1:], strict=True):
            for found in pc.unique(batch["method"]).to_pylist():
                if found != method:
                    raise AuditError(
                        f"{path}: holds method '{found}', expected '{method}'. Delete "
                        "the file and run snakemake again to rebuild it."
                    )
            read[method], others[method] = _importance(batch, path, cell, states)
            check_aligned(main, others[method])
            if not batch["completeness_error"].null_count:
                errors[method] = batch["completeness_error"].to_numpy()
        repeated = seen.intersection(main.ids)
        if repeated or len(set(main.ids)) < len(main.ids):
            raise AuditError(
                f"{attention}: an instance stands twice"
                f"{f' ({min(repeated)})' if repeated else ''}. Delete the file and "
                "run snakemake again to rebuild it."
            )
        seen.update(main.ids)
        yield Step(batches[0], main, others, read, cell, errors)


def check_lengths(
    paths: Sequence[str | Path], batches: Sequence[object | None]
) -> None:
    """Raise an `AuditError` where some of the files have ended before others."""
    ended = [path for path, batch in zip(paths, batches, strict=True) if batch is None]
    going = [
        path for path, batch in zip(paths, batches, strict=True) if batch is not None
    ]
    if ended:
        raise AuditError(
            f"{ended[0]} holds fewer instances than {going[0]}. Delete both files "
            "and run snakemake again to rebuild them."
        )
