"""How well reactions are followed over each recording, by models and by two floors.

A floor has heard nothing of the recording's features. ``base_rate`` is what training
recordings have at that time after their start, smoothed. ``last_seconds`` is the mean of the
true reaction in the last seconds before the decision's, for laughter follows laughter. It is
of the reaction as the source has it: a smoothed one of the second before holds some of what
is to be predicted.

Shapes: T seconds of a recording, K reactions.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from attention_audit.records import tables
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.statistics.in_step import check_run
from attention_audit.statistics.measures import REACTION_METRICS
from attention_audit.statistics.random_effects import Floats

MODEL, BASE_RATE, LAST_SECONDS = "model", "base_rate", "last_seconds"

_COLUMNS = ("recording", "seconds", "targets", "reactions", "events")


class Reading(NamedTuple):
    """What a table "recording_reading" says of the K reactions, and of the sampling."""

    reactions: list[str]
    scale: Floats  # (K,)
    rate: float
    span: float
    side: str

    @classmethod
    def read(cls, path: str | Path) -> "Reading":
        rows = tables.read_table(path, "recording_reading").to_pylist()
        reactions = [row for row in rows if row["kind"] == "reaction"]
        return cls(
            [row["name"] for row in reactions],
            np.array([row["scale"][0] for row in reactions]),
            *(rows[0][name] for name in ("rate", "span", "side")),
        )

    @property
    def moments(self) -> int:
        """How many moments a decision has at most."""
        return round(self.rate * self.span)


class Truth(NamedTuple):
    """A recording as it was: ``seconds`` (T,), and values (T, K)."""

    recording: str
    seconds: np.ndarray
    targets: Floats
    reactions: Floats  # as the source has them, not smoothed
    events: np.ndarray | None  # bool


def read_truths(path: str | Path, n_reactions: int) -> list[Truth]:
    """The recordings of a table "recordings", whose features are left where they are."""
    shape = (-1, n_reactions)
    return [
        Truth(
            row["recording"],
            np.array(row["seconds"]),
            np.reshape(row["targets"], shape),
            np.reshape(row["reactions"], shape),
            None if row["events"] is None else np.reshape(row["events"], shape),
        )
        for row in tables.read_table(path, "recordings", _COLUMNS).to_pylist()
    ]


# ---------------------------------------------------------------- floors


def base_rates(train: Sequence[Truth], sigma: float) -> Floats:
    """What training recordings have at each second after their start, (S + 1, K).

    The mean of their targets, weighted by a Gaussian of ``sigma`` seconds around that time;
    where it reaches none the mean of all, and so in the last row, which is of all seconds
    behind the end of the longest of them.
    """
    # Most tables are made without.
    from scipy.ndimage import gaussian_filter1d

    end = max(int(truth.seconds.max()) for truth in train) + 1
    sums = np.zeros((end, train[0].targets.shape[1]))
    counts = np.zeros((end, 1))
    for truth in train:
        sums[truth.seconds] += truth.targets
        counts[truth.seconds] += 1
    overall = sums.sum(0) / counts.sum()
    near, met = (
        gaussian_filter1d(of, sigma, axis=0, mode="constant") for of in (sums, counts)
    )
    with np.errstate(invalid="ignore"):
        return np.vstack([np.where(met > 0, near / met, overall), overall])


def last_seconds(truth: Truth, width: int, otherwise: Floats) -> Floats:
    """The mean true reaction of the ``width`` seconds before each second, (T, K).

    Of those that are known; where none is, as at the start, ``otherwise`` (K,). Not smoothed,
    see above.
    """
    end = int(truth.seconds.max()) + 2
    sums = np.zeros((end, truth.reactions.shape[1]))
    counts = np.zeros((end, 1))
    # behind each second what there was until its end
    sums[truth.seconds + 1] = truth.reactions
    counts[truth.seconds + 1] = 1
    sums, counts = sums.cumsum(0), counts.cumsum(0)
    first = np.maximum(truth.seconds - width, 0)
    total = sums[truth.seconds] - sums[first]
    known = counts[truth.seconds] - counts[first]
    return np.where(known > 0, total / np.maximum(known, 1), otherwise)


def _floors(
    truths: Sequence[Truth],
    train: Sequence[Truth],
    scale: Floats,
    width: int,
    sigma: float,
) -> Iterator[tuple[str, Truth, Floats]]:
    """What each floor predicts (T, K) of every recording, on the scale of the targets."""
    before = np.concatenate([truth.reactions for truth in train]).mean(0)
    rates = base_rates(train, sigma)
    for truth in truths:
        yield BASE_RATE, truth, rates[np.minimum(truth.seconds, len(rates) - 1)]
        recent = last_seconds(truth, width, before) / scale
        # as targets are cut
        yield LAST_SECONDS, truth, np.minimum(recent, 1.0)


# ---------------------------------------------------------------- scores


def correlations(y: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Pearson's correlation and Lin's (1989) concordance of (T, K) and (T, K), (K,) each.

    NaN where ``t`` does not vary; where ``y`` does not, both are 0: it follows nothing.
    """
    apart = y.mean(0) - t.mean(0)
    # exactly, for a mean of equal numbers may differ from them in its last digit
    varies, known = (np.ptp(values, axis=0) > 0 for values in (y, t))
    y, t = y - y.mean(0), t - t.mean(0)
    covariance, of_y, of_t = ((a * b).mean(0) for a, b in ((y, t), (y, y), (t, t)))
    with np.errstate(invalid="ignore", divide="ignore"):
        pearson = covariance / np.sqrt(of_y * of_t)
        concordance = 2 * covariance / (of_y + of_t + apart**2)
    return tuple(
        np.where(known, np.where(varies, r, 0.0), np.nan)
        for r in (pearson, concordance)
    )


def average_precisions(y: Floats, events: np.ndarray) -> Floats:
    """Average precision of finding the seconds of events (T, K) by y (T, K), (K,).

    NaN where there is no event, or one in each second.
    """
    # Costs half a second to import, and reactions need not be events.
    from sklearn.metrics import average_precision_score

    found = np.full(y.shape[1], np.nan)
    for k in np.flatnonzero(events.any(0) & ~events.all(0)):
        found[k] = average_precision_score(events[:, k], y[:, k])
    return found


def scores_of(
    y: Floats, targets: Floats, events: np.ndarray | None
) -> dict[str, Floats]:
    """The metrics of `REACTION_METRICS` of predictions (T, K) of one recording, (K,) each.

    Without ``events`` there is no average precision.
    """
    scores = dict(zip(REACTION_METRICS, correlations(y, targets), strict=False))
    if events is not None:
        scores["average_precision"] = average_precisions(y, events)
    return scores


def _rows(
    identity: Mapping[str, Any],
    recording: str,
    reactions: Sequence[str],
    scores: Mapping[str, Floats],
) -> Iterator[dict[str, Any]]:
    for metric, values in scores.items():
        for reaction, value in zip(reactions, values, strict=True):
            yield {
                **identity,
                "recording": recording,
                "reaction": reaction,
                "metric": metric,
                "value": float(value),
            }


def _predicted(
    path: str | Path, run: Mapping[str, Any], n_reactions: int
) -> Iterator[tuple[str, Floats, Floats, np.ndarray | None]]:
    """Yield each recording of a table "reaction_predictions": outputs, targets, events."""
    columns = [*RUN_COLUMNS, "recording", "outputs", "targets", "events"]
    table = tables.read_table(path, "reaction_predictions", columns)
    check_run(table, run, path)
    table = table.combine_chunks()

    def values(name: str) -> np.ndarray:
        flat = table[name].combine_chunks().flatten()
        return flat.to_numpy(zero_copy_only=False).reshape(-1, n_reactions)

    outputs, targets = (values(name).astype(float) for name in ("outputs", "targets"))
    events = None if table["events"].null_count else values("events").astype(bool)
    names = table["recording"].to_numpy()
    starts = np.flatnonzero(names[1:] != names[:-1]) + 1 if len(names) else []
    for rows in np.split(np.arange(len(names)), starts):
        of_rows = None if events is None else events[rows]
        yield names[rows[0]], outputs[rows], targets[rows], of_rows


def scores_table(
    runs: Sequence[Mapping[str, Any]],
    predictions: Sequence[str | Path],
    recordings: Mapping[str, Mapping[str, str | Path]],
    floors: Mapping[str, float],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write the table "reaction_scores": of every run, and of the floors of each data set.

    ``runs`` holds the identity of each of ``predictions``, tables of schema
    "reaction_predictions"; ``recordings`` by data set the prepared "train", "test" and
    "reading"; ``floors`` the ``last_seconds`` and the ``base_rate_sigma`` of the config, in
    seconds.
    """
    readings = {name: Reading.read(of["reading"]) for name, of in recordings.items()}
    written: list[dict[str, Any]] = []
    for run, source in tqdm(
        list(zip(runs, predictions, strict=True)), desc="runs", disable=None
    ):
        identity = {column: run[column] for column in RUN_COLUMNS}
        reactions = readings[run["dataset"]].reactions
        for name, *values in _predicted(source, run, len(reactions)):
            found = scores_of(*values)
            written += _rows(identity | {"subject": MODEL}, name, reactions, found)
    for dataset, of in sorted(recordings.items()):
        reading = readings[dataset]
        identity = dict.fromkeys(RUN_COLUMNS) | {"dataset": dataset}
        test, train = (
            read_truths(of[split], len(reading.reactions))
            for split in ("test", "train")
        )
        for subject, truth, y in _floors(
            test,
            train,
            reading.scale,
            floors["last_seconds"],
            floors["base_rate_sigma"],
        ):
            found = scores_of(y, truth.targets, truth.events)
            named = identity | {"subject": subject}
            written += _rows(named, truth.recording, reading.reactions, found)
    tables.write_rows(path, "reaction_scores", written, provenance)
