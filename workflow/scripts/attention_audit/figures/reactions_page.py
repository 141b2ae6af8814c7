"""The page of reactions, of the files that `reactions.KEPT` names.

See `published_page`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from attention_audit.figures.published import CELL
from attention_audit.figures.published_page import (
    Row,
    by_cell,
    called,
    cell_axes,
    cell_table,
    counted,
    ends,
    interval,
    listed,
    number,
    read,
    rendered,
    table,
    tests_table,
)
from attention_audit.figures.reactions import KEPT
from attention_audit.statistics.verdicts import NOT_TESTED, VERDICTS

# Which claims are about the question of the page.
SAMPLED = ("sparse_samples_pearson", "sparse_samples_concordance")
SUPPORTED, CONTRADICTED, UNDECIDED = VERDICTS
_OVERALL = {
    SUPPORTED: "sparse samples over a long span are the better ones here",
    CONTRADICTED: "dense samples over a short span are the better ones here",
    UNDECIDED: "this grid is too small to tell which samples are the better ones",
}

METRICS = {
    "pearson": "Pearson",
    "concordance": "concordance",
    "average_precision": "average precision",
}
FLOORS = {
    "base_rate": "base rate at that time",
    "last_seconds": "mean of the last seconds",
}
# The tests of attention as explanation, and those that are told of several.
_TESTS = {
    "permutation_difference": "change when shuffled",
    "jsd": "divergence",
    "tvd": "distance of outputs",
    "flip_never": "never flips",
    "decision_stands": "stands without half",
    "comprehensiveness": "comprehensiveness",
    "sufficiency": "sufficiency",
}
_BY_SUBJECT = ("flip_never", "decision_stands", "comprehensiveness", "sufficiency")
_OF_SEVERAL = {
    "jsd": "reference",
    "tvd": "reference",
    **dict.fromkeys(_BY_SUBJECT, "subject"),
}

_SPLITS = ("train", "dev", "test")


# --- what was run -----------------------------------------------------------------


def data_table(data: Sequence[Row]) -> str:
    """Recordings, seconds and decisions by split, and how moments are sampled."""
    head = ["data set", "moments of a decision", "of", "recordings", "seconds"]
    return table(
        [*head, "decisions", "drawn or held out"],
        (
            [
                row["dataset"],
                f"{row['n_moments']}: {sampling(row)}",
                split,
                f"{row[f'n_{split}']:,}",
                f"{row[f'n_seconds_{split}']:,}",
                f"{row[f'n_decisions_{split}']:,}",
                (split != "train" and row[f"held_out_{split}"]) or "drawn",
            ]
            for row in data
            for split in _SPLITS
        ),
    )


def sampling(row: Row) -> str:
    """How a data set samples moments, in words."""
    side = "before it" if row["side"] == "past" else "on both sides of it"
    return f"{_sampled(row)} {side}"


def target_table(targets: Sequence[Row]) -> str:
    """How often reactions happen, and what is to be predicted on average, by split."""
    return table(
        ["data set", "reaction", "of", "seconds with the event", "target on average"],
        (
            [
                row["dataset"],
                called(row["reaction"]),
                row["split"],
                "–" if row["event_rate"] is None else f"{row['event_rate']:.1%}",
                number(row["target_mean"]),
            ]
            for row in targets
        ),
    )


def model_table(
    cells: Sequence[Row], models: Sequence[Row], task: Sequence[Row]
) -> str:
    """Sizes of models, and their loss and error over seconds: mean and ends of seeds."""
    columns: dict[str, dict[tuple, str]] = {
        "parameters": {k: f"{r['n_parameters']:,}" for k, r in by_cell(models).items()},
        "epochs": {k: f"{r['epochs']:.0f}" for k, r in by_cell(models).items()},
    }
    for metric in ("loss", "absolute_error"):
        of = by_cell(row for row in task if row["metric"] == metric)
        columns[called(metric)] = {key: ends(row, 3) for key, row in of.items()}
    return cell_table(cells, columns)


# --- scores -----------------------------------------------------------------------


def _metrics(scores: Sequence[Row]) -> list[str]:
    there = {row["metric"] for row in scores}
    return [metric for metric in METRICS if metric in there]


def _counts(rows: Sequence[Row]) -> str:
    recordings = sorted({row["n_recordings"] for row in rows})
    return " to ".join(str(n) for n in dict.fromkeys((recordings[0], recordings[-1])))


def reaction_table(cells: Sequence[Row], scores: Sequence[Row]) -> str:
    """Scores with intervals, a row a cell, and below the cells of a data set its floors."""
    metrics = _metrics(scores)
    ran = list(by_cell(cell for cell in cells if cell["seeds"]))
    axes = cell_axes(ran)

    def values(rows: Sequence[Row]) -> list[str]:
        by_metric = {row["metric"]: row for row in rows}
        told = [
            interval(by_metric[name], "mean") if name in by_metric else "–"
            for name in metrics
        ]
        return [*told, _counts(rows)]

    def lines() -> Iterator[list[str]]:
        for dataset in dict.fromkeys(key[0] for key in ran):
            for key in (key for key in ran if key[0] == dataset):
                own = [r for r in scores if tuple(r[a] for a in CELL) == key]
                if own:
                    shown = zip(CELL, key, strict=True)
                    yield [*(n for axis, n in shown if axis in axes), *values(own)]
            for floor, name in FLOORS.items():
                own = [
                    row
                    for row in scores
                    if row["dataset"] == dataset and row["subject"] == floor
                ]
                if own:
                    between = ["–"] * (len(axes) - 2)
                    yield [dataset, *between, name, *values(own)]

    head = [axis.replace("dataset", "data set") for axis in axes]
    return table([*head, *(METRICS[m] for m in metrics), "recordings"], lines())


def beside_floors(differences: Sequence[Row], metric: str) -> str:
    """In how many cells models score above each floor, in words."""
    said = []
    for floor, name in FLOORS.items():
        own = [
            row
            for row in differences
            if row["baseline"] == floor and row["metric"] == metric
        ]
        if own:
            above = sum(row["difference"] > 0 for row in own)
            surely = sum(row["low"] is not None and row["low"] > 0 for row in own)
            said.append(
                f"above the {name} in {above} of {counted(len(own), 'cell')} (with the "
                f"whole interval in {surely})"
            )
    return listed(said) if said else "beside no floor"


def difference_table(differences: Sequence[Row]) -> str:
    """Scores of a normalizer less those of the reference, with verdicts."""
    own = [row for row in differences if row["contrast"] == "normalizer"]
    if not own:
        return ""
    keys = by_cell(own)
    axes = cell_axes(keys)
    metrics = _metrics(own)
    found = {(*(row[a] for a in CELL), row["metric"]): row for row in own}

    def told(row: Row | None) -> list[str]:
        if row is None:
            return ["–", "–"]
        return [interval(row, "difference"), row["verdict"] or "too few seeds"]

    return table(
        [axis.replace("dataset", "data set") for axis in axes]
        + [head for metric in metrics for head in (METRICS[metric], "verdict")],
        (
            [
                *(n for axis, n in zip(CELL, key, strict=True) if axis in axes),
                *(cell for m in metrics for cell in told(found.get((*key, m)))),
            ]
            for key in keys
        ),
    )


def decided(claims: Sequence[Row]) -> str:
    """Whether sparse samples over a long span win, by the claims that ask it."""
    verdicts = {row["claim"]: row["verdict"] for row in claims}
    found = {name: verdicts.get(name, NOT_TESTED) for name in SAMPLED}
    halves = listed(
        f"by {METRICS[name.removeprefix('sparse_samples_')]} it is {verdict}"
        for name, verdict in found.items()
    )
    if len({*found.values()}) > 1:
        return f"The scores differ: {halves}"
    verdict = found[SAMPLED[0]]
    said = _OVERALL.get(verdict, "this grid has no two data sets that would tell")
    return f"**{verdict}**: {halves}. By this, {said}"


def sampling_table(cells: Sequence[Row]) -> str:
    """The differences between samplings, cell by cell, of the claims that ask for them."""
    own = [cell for cell in cells if cell["claim"] in SAMPLED]
    if not own:
        return ""
    return table(
        ["score", "encoder", "scorer", "normalizer", "sparse less dense", "verdict"],
        (
            [
                METRICS.get(cell["measure"], cell["measure"]),
                cell["encoder"],
                cell["scorer"],
                cell["normalizer"],
                interval(cell),
                cell["verdict"],
            ]
            for cell in own
        ),
    )


def published_table(
    published: Sequence[Row], data: Sequence[Row], scores: Sequence[Row]
) -> str:
    """Pearson's correlations of the paper, and ours from the lowest to the highest cell."""
    rows = [
        [row["source"], _sampled(row), f"{row['pearson']:.4f}"] for row in published
    ]
    for one in data:
        own = [
            row["mean"]
            for row in scores
            if row["dataset"] == one["dataset"]
            and row["subject"] == "model"
            and row["metric"] == "pearson"
        ]
        ours = f"{number(min(own))} to {number(max(own))}" if own else "–"
        rows.append([f"here, {one['dataset']}", _sampled(one), ours])
    return table(["numbers of", "moments", "Pearson"], rows)


def _sampled(row: Row) -> str:
    return f"{row['rate']:g} a second over {row['span']:g} s"


# --- look-back and agreement ------------------------------------------------------


def lookback_table(cells: Sequence[Row], summary: Sequence[Row]) -> str:
    """Seconds that attention, importances and equal weights look back, a row a cell."""
    rows = [row for row in summary if row["measure"] == "lookback"]
    subjects = {row["subject"] for row in rows}
    middle = sorted(subjects - {"attention", "uniform"})
    columns = {}
    for name in ("attention", *middle, "uniform"):
        own = by_cell(row for row in rows if row["subject"] == name)
        head = "equal weights" if name == "uniform" else called(name)
        columns[head] = {key: _seconds(row) for key, row in own.items()}
    return cell_table(cells, columns)


def _seconds(row: Row) -> str:
    if row["mean"] is None:
        return "–"
    if row["low"] is None:
        return f"{row['mean']:.1f}"
    return f"{row['mean']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def looks_farther(summary: Sequence[Row]) -> str:
    """In how many cells attention looks farther back than each importance, in words."""
    rows = [row for row in summary if row["measure"] == "lookback"]
    attention = by_cell(row for row in rows if row["subject"] == "attention")
    methods = sorted({row["subject"] for row in rows} - {"attention", "uniform"})
    said = []
    for method in methods:
        own = by_cell(row for row in rows if row["subject"] == method)
        pairs = [
            (attention[key]["mean"], row["mean"])
            for key, row in own.items()
            if key in attention and None not in (attention[key]["mean"], row["mean"])
        ]
        farther = sum(a > b for a, b in pairs)
        said.append(
            f"farther than {called(method)} in {farther} of "
            f"{counted(len(pairs), 'cell')}"
        )
    return listed(said) if said else "beside no importance"


def measures_table(
    cells: Sequence[Row], summary: Sequence[Row], measures: Mapping[str, str]
) -> str:
    """Means with intervals of some measures of one subject, a row a cell."""
    columns = {
        head: {
            key: interval(row, "mean")
            for key, row in by_cell(r for r in summary if r["measure"] == name).items()
        }
        for name, head in measures.items()
    }
    return cell_table(cells, {head: of for head, of in columns.items() if of})


# --- explanations -----------------------------------------------------------------


def explanation_tables(cells: Sequence[Row], rows: Sequence[Row]) -> str:
    """Means of the tests, in two tables: of weights, and of what is taken away."""
    parts = []
    for of in ([m for m in _TESTS if m not in _BY_SUBJECT], _BY_SUBJECT):
        own = [row for row in rows if row["measure"] in of]
        if own:
            parts.append(_tests(cells, own, of))
    return "\n\n".join(parts)


def _tests(cells: Sequence[Row], rows: Sequence[Row], of: Collection[str]) -> str:
    tests = {name: head for name, head in _TESTS.items() if name in of}
    return tests_table(cells, rows, tests, _OF_SEVERAL)


def about(claims: Sequence[Row], *figures: str) -> list[str]:
    """The names of the claims that these figures show and the grid tests, in order."""
    return [
        row["claim"]
        for row in claims
        if row["figure"] in figures and row["verdict"] != NOT_TESTED
    ]


def page(folder: str | Path, template_path: str | Path) -> str:
    """The page as Markdown; links and pictures are relative to the folder's parent."""
    files = read(folder)
    return rendered(
        template_path,
        files,
        KEPT.roles,
        tables=files.tables,
        metrics=METRICS,
        data_table=data_table,
        target_table=target_table,
        model_table=model_table,
        reaction_table=reaction_table,
        beside_floors=beside_floors,
        difference_table=difference_table,
        decided=decided,
        sampling_table=sampling_table,
        published_table=published_table,
        lookback_table=lookback_table,
        looks_farther=looks_farther,
        measures_table=measures_table,
        explanation_tables=explanation_tables,
        about=partial(about, files.tables["claims"]),
    )
