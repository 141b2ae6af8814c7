"""What papers recorded, beside the same measure here."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_audit.records import tables
from attention_audit.records.schemas import RUN_COLUMNS

# What a recorded number is of.
_CELL = RUN_COLUMNS[:-1]
_MEASURE = ("measure", "subject", "reference")


def recorded_rows(
    entries: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """A row for every number of the entries that the table "summary" has a row for.

    The interval is that of our mean: what a paper's own number would vary by is not on
    record. ``beyond`` says whether it leaves out the recorded one.
    """
    ours = {tuple(row[c] for c in (*_CELL, *_MEASURE)): row for row in summary}
    for entry in entries:
        cell = {column: entry[column] for column in _CELL}
        for number in entry["values"]:
            about = {column: number.get(column) for column in _MEASURE}
            row = ours.get((*cell.values(), *about.values()))
            if row is None or row["mean"] is None:
                continue
            value = number["value"]
            yield {
                "source": entry["source"],
                **cell,
                **about,
                "recorded": value,
                "mean": row["mean"],
                "difference": row["mean"] - value,
                **{
                    end: None if row[end] is None else row[end] - value
                    for end in ("low", "high")
                },
                "interval_over": row["interval_over"],
                "interval_method": row["interval_method"],
                "standard_error": row["standard_error"],
                "df": row["df"],
                "beyond": None
                if row["low"] is None
                else not row["low"] <= value <= row["high"],
                "n_instances": row["n_instances"],
                "n_seeds": row["n_seeds"],
            }


def recorded_table(
    entries: Sequence[Mapping[str, Any]],
    summary: str | Path,
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "recorded"; see `recorded_rows`."""
    rows = tables.read_table(summary, "summary").to_pylist()
    tables.write_rows(path, "recorded", list(recorded_rows(entries, rows)), provenance)
