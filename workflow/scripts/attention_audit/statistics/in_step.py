"""The tables of a run, read in step, checked and padded.

List columns become a padded batch: ``(B, n)`` arrays with a boolean mask of the same
shape, True where a position exists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.statistics.distributions import Mask


@dataclass(frozen=True)
class Padded:
    """One list column of a batch: ids (B,), values (B, n) and mask (B, n)."""

    path: str | Path
    ids: list[str]
    values: np.ndarray
    mask: Mask


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


def padded_column(table: pa.Table, column: str, path: str | Path) -> Padded:
    """Pad a list column; lists must be as long as the column ``length`` says."""
    lists = table[column].combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    expected = table["length"].to_numpy()
    ids = table["instance_id"].to_pylist()
    wrong = np.flatnonzero(lengths != expected)
    if wrong.size:
        i = wrong[0]
        raise AuditError(
            f"{path}: instance '{ids[i]}' has length {expected[i]}, but its list "
            f"'{column}' has {lengths[i]} values. Delete the file and run snakemake "
            "again to rebuild it."
        )
    mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    values = np.zeros(mask.shape, dtype=flat.dtype)
    values[mask] = flat
    return Padded(path, ids, values, mask)


def finite(
    table: pa.Table, column: str, path: str | Path, low: float = -np.inf
) -> Padded:
    """As `padded_column`, for values that must be finite and at least ``low``."""
    padded = padded_column(table, column, path)
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
) -> Iterator[tuple[pa.Table, Padded, dict[str, Padded]]]:
    """Yield the table, the attention and every importance of one run, in batches.

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
        main = finite(batches[0], "attention", attention, low=0.0)
        others = {}
        for method, path, batch in zip(methods, paths[1:], batches[1:], strict=True):
            for found in pc.unique(batch["method"]).to_pylist():
                if found != method:
                    raise AuditError(
                        f"{path}: holds method '{found}', expected '{method}'. Delete "
                        "the file and run snakemake again to rebuild it."
                    )
            others[method] = finite(batch, "importance", path, low=0.0)
            check_aligned(main, others[method])
        repeated = seen.intersection(main.ids)
        if repeated or len(set(main.ids)) < len(main.ids):
            raise AuditError(
                f"{attention}: an instance stands twice"
                f"{f' ({min(repeated)})' if repeated else ''}. Delete the file and "
                "run snakemake again to rebuild it."
            )
        seen.update(main.ids)
        yield batches[0], main, others


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
