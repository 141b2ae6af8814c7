"""Scores of reactions over recordings and seeds, and what is shown of a few recordings.

As the challenge does, a score is of one recording and reaction, and what is reported is the
mean over these. What is sampled is recordings, each with all of its reactions, and seeds;
intervals and tests are those of `estimates`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from attention_audit.records import tables
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.statistics.estimates import (
    Clusters,
    Compared,
    Settings,
    intervals,
    smallest_effect,
    summarise,
)
from attention_audit.statistics.families import correct_families
from attention_audit.statistics.in_step import check_run
from attention_audit.statistics.measures import REACTION_METRICS
from attention_audit.statistics.random_effects import Floats
from attention_audit.statistics.reaction_scores import (
    BASE_RATE,
    LAST_SECONDS,
    MODEL,
    Reading,
)

CELL = ["dataset", "encoder", "scorer", "normalizer"]
SUBJECTS = (MODEL, BASE_RATE, LAST_SECONDS)
# Differences that are corrected together have these in common.
FAMILIES = ("contrast", "baseline", "metric")


class Key(NamedTuple):
    """Whose scores they are: the names of a cell, None of floors."""

    dataset: str
    encoder: str | None
    scorer: str | None
    normalizer: str | None
    subject: str
    metric: str


class Matrix(NamedTuple):
    """Scores (I, S), of recordings and their reactions by seeds; a floor has one column.

    NaN where undefined, by the index and the columns of ``values``.
    """

    values: pd.DataFrame

    @property
    def recordings(self) -> Clusters:
        """The recording of each row."""
        return np.unique(self.values.index.get_level_values(0), return_inverse=True)[1]

    def less(self, other: "Matrix") -> tuple[Floats, Floats, Clusters]:
        """The scores of both for what both have, and the recordings of these.

        A floor has no seeds and stands against each.
        """
        a, b = self.values, other.values
        if list(b.columns) == [_NO_SEED]:
            b = pd.DataFrame({seed: b[_NO_SEED] for seed in a.columns})
        a, b = a.align(b, join="inner")
        return a.to_numpy(), b.to_numpy(), Matrix(a).recordings


# What stands for the seed of a floor.
_NO_SEED = -1


def matrices_of(path: str | Path) -> dict[Key, Matrix]:
    """The scores of a table "reaction_scores", floors behind the cells of their data set."""
    frame = tables.read_table(path, "reaction_scores").to_pandas()
    frame["seed"] = frame["seed"].fillna(_NO_SEED).astype(int)
    found = {}
    for names, part in frame.groupby(list(Key._fields), dropna=False, sort=False):
        key = Key(*(None if pd.isna(name) else name for name in names))
        values = part.pivot(
            index=["recording", "reaction"], columns="seed", values="value"
        )
        found[key] = Matrix(values.astype(np.float64))
    return {key: found[key] for key in sorted(found, key=_order)}


def _order(key: Key) -> tuple:
    return (
        key.dataset,
        SUBJECTS.index(key.subject),
        *(name or "" for name in key[1:4]),
        REACTION_METRICS.index(key.metric),
    )


def reaction_tables(
    scores: str | Path,
    readings: Mapping[str, str | Path],
    settings: Settings,
    provenance: Mapping[str, Any],
    summary: str | Path,
    comparison: str | Path,
) -> None:
    """Write the tables "reaction_summary" and "reaction_comparison".

    ``scores`` is a table of schema "reaction_scores", and ``readings`` holds by data set how
    its moments are sampled. Cells of a metric lend each other strength as in `inference`;
    floors lend none.
    """
    matrices = matrices_of(scores)
    sampled = {name: Reading.read(path) for name, path in readings.items()}
    tables.write_rows(
        summary,
        "reaction_summary",
        _summary_rows(matrices, sampled, settings),
        provenance,
    )
    tables.write_rows(
        comparison,
        "reaction_comparison",
        _comparison_rows(matrices, settings),
        provenance,
    )


def _summary_rows(
    matrices: Mapping[Key, Matrix],
    readings: Mapping[str, Reading],
    settings: Settings,
) -> list[dict[str, Any]]:
    pools: dict[tuple, list[Key]] = {}
    for key in matrices:
        pools.setdefault((key.subject, key.metric), []).append(key)
    rows = {}
    for keys in pools.values():
        known = summarise(
            [matrices[key].values.to_numpy() for key in keys],
            settings,
            clusters=[matrices[key].recordings for key in keys],
        )
        for key, one in zip(keys, known, strict=True):
            reading = readings[key.dataset]
            how = {name: getattr(reading, name) for name in ("rate", "span", "side")}
            rows[key] = (
                key._asdict()
                | how
                | {"moments": reading.moments}
                | asdict(one)
                | {"n_recordings": one.n_clusters}
            )
    return [rows[key] for key in matrices]


def _baselines(
    key: Key, matrices: Mapping[Key, Matrix], reference: str
) -> Iterator[tuple[str, str, Matrix]]:
    """What a cell is compared with: contrast, name and scores."""
    if key.normalizer != reference:
        other = matrices.get(key._replace(normalizer=reference))
        if other is not None:
            yield "normalizer", reference, other
    for floor in (BASE_RATE, LAST_SECONDS):
        names = dict.fromkeys(("encoder", "scorer", "normalizer"))
        yield "floor", floor, matrices[key._replace(**names, subject=floor)]


def _comparison_rows(
    matrices: Mapping[Key, Matrix], settings: Settings
) -> list[dict[str, Any]]:
    """Each normalizer less the reference, and each cell less the floors, of what both have."""
    rows: list[dict[str, Any]] = []
    found = []
    for key, matrix in matrices.items():
        if key.subject != MODEL:
            continue
        for contrast, baseline, other in _baselines(key, matrices, settings.reference):
            a, b, recordings = matrix.less(other)
            found.append(Compared.of(a, b, clusters=recordings))
            rows.append(
                key._asdict()
                | {"contrast": contrast, "baseline": baseline}
                | {"correction": settings.correction}
            )
    pools: dict[tuple, list[int]] = {}
    for i, row in enumerate(rows):
        pools.setdefault(tuple(row[name] for name in FAMILIES), []).append(i)
    for members in pools.values():
        known = intervals([found[i].moments for i in members], settings)
        for i, interval in zip(members, known, strict=True):
            smallest = smallest_effect(rows[i]["metric"], settings)
            one = found[i].comparison(interval, smallest, settings.confidence)
            rows[i] |= asdict(one) | {"n_recordings": one.n_clusters}
    correct_families(rows, replace(settings, families=FAMILIES))
    return rows


# ---------------------------------------------------------------- episodes


def episodes_table(
    runs: Sequence[Mapping[str, Any]],
    predictions: Sequence[str | Path],
    readings: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "reaction_episodes": the recordings of which attention was kept.

    ``runs`` holds the identity of each of ``predictions``, tables of schema
    "reaction_predictions", and ``readings`` the names of the reactions, by data set.
    """
    reactions = {name: Reading.read(of).reactions for name, of in readings.items()}
    with tables.open_table(path, "reaction_episodes", provenance) as table:
        for run, source in zip(runs, predictions, strict=True):
            rows = tables.read_table(source, "reaction_predictions")
            check_run(rows, run, source)
            shown = rows.filter(rows["attention"].is_valid())
            for k, reaction in enumerate(reactions[run["dataset"]]):
                table.write(_episode(shown, run, k, reaction))


def _episode(
    shown: pa.Table, run: Mapping[str, Any], k: int, reaction: str
) -> dict[str, Any]:
    """The rows of one reaction, the ``k``-th, in the seconds of some predictions."""
    values = {
        name: [None if of is None else of[k] for of in shown[plural].to_pylist()]
        for name, plural in (
            ("output", "outputs"),
            ("target", "targets"),
            ("event", "events"),
        )
    }
    same = ("recording", "second", "attention", "times")
    identity = {column: run[column] for column in RUN_COLUMNS}
    columns = identity | {"reaction": reaction} | values
    columns |= {name: shown[name].to_pylist() for name in same}
    return {name: columns[name] for name in SCHEMAS["reaction_episodes"].names}
