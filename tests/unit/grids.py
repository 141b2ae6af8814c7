"""Statistics tables of made-up grids, for the figures and the report."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attention_audit.figures.catalogue import slots
from attention_audit.figures.normalizer_looks import normalizer_look
from attention_audit.interventions.permutation import KINDS
from attention_audit.records import tables
from attention_audit.records.schemas import RUN_COLUMNS, SCHEMAS
from attention_audit.statistics.controls import cut_name, softmax_name
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.verdicts import judged

BLANK = {pa.string(): "", pa.float64(): 0.0, pa.int64(): 3, pa.int32(): 0}

EXPERIMENT_REFERENCES = ("other_seeds", "uniform")


def order_of(
    datasets: int | Sequence[str] = 1,
    encoders: int | Sequence[str] = 1,
    scorers: int | Sequence[str] = 1,
    normalizers: int | Sequence[str] = 2,
    methods: int | Sequence[str] = 2,
) -> dict[str, Any]:
    """The order of the figures for the axes of a grid: names, or how many there are."""

    def names(given: int | Sequence[str], kind: str) -> list[str]:
        return [f"{kind}{i}" for i in range(given)] if isinstance(given, int) else given

    order = {
        "datasets": names(datasets, "dataset"),
        "encoders": names(encoders, "encoder"),
        "scorers": names(scorers, "scorer"),
        "normalizers": names(normalizers, "normalizer"),
        "methods": names(methods, "method"),
    }
    hidden = order["methods"][1::2]
    inputs = [name for name in order["methods"] if name not in hidden]
    found = {axis: slots(order[axis]) for axis in ("methods", "encoders", "scorers")}
    methods = {"methods": [*inputs, *hidden], "hidden_methods": hidden}
    # a name that is no kind stands for one alpha of many
    looks = {
        name: normalizer_look(
            {"kind": name}
            if name in ("uniform", "softmax", "sparsemax")
            else {"kind": "entmax", "alpha": 1 + i / 4}
        )
        for i, name in enumerate(order["normalizers"])
    }
    return order | methods | {"slots": found, "looks": looks, "confidence": 0.95}


def comparison_of(summary: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A table "comparison" of the numbers of a summary, with the cut of each normalizer."""
    rows = summary[summary["normalizer"] != reference]
    rows = rows.rename(columns={"mean": "difference"})
    cuts = [cut_name(reference, name) for name in rows["normalizer"]]
    rows = rows.assign(
        p=0.0001,
        p_corrected=0.0001,
        seed_signs=None,
        verdict="different",
        smallest_effect=0.1,
        family="measure kendall_tau_b",
        family_size=len(rows),
    )
    return pd.concat(
        [
            rows.assign(contrast="normalizer", baseline=reference),
            rows.assign(contrast="cut", normalizer=cuts, baseline=reference),
            rows.assign(contrast="beyond_cut", baseline=cuts),
        ]
    )


def controls_of_erasure(summary: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Rows of erasure by the controls of each normalizer, with a summary's numbers."""
    rows = summary[
        summary["measure"].isin(["comprehensiveness", "sufficiency"])
        & (summary["subject"] == "attention")
        & (summary["normalizer"] != reference)
    ]
    cuts = [cut_name(reference, name) for name in rows["normalizer"]]
    scores = [softmax_name(name) for name in rows["normalizer"]]
    return pd.concat([rows.assign(normalizer=names) for names in (cuts, scores)])


def _claims(summary: pd.DataFrame) -> pd.DataFrame:
    """A claim of each kind of rule about the rows of a summary, with all its cells."""
    settings = Settings(confidence=0.95)
    rules = ("below", "above", "within", "outside")
    cells = summary.rename(columns={"mean": "estimate"})
    cells = cells.assign(
        standard_error=0.02, df=9.0, n_instances=12, n_seeds=3, less=None
    ).astype(object)
    cells = cells.where(cells.notna(), None)
    rows = []
    for i, side in enumerate((*rules, "above")):
        claim = {
            "claim": f"claim_{i}",
            "source": "Nobody 2020",
            "text": "Attention is as it is wherever it has been looked at, and not else.",
            "table": "summary",
            "rule": {side: 0.25 * (i % 3 + 1)},
            "holds": "somewhere" if i % 2 else "on_average",
            "figure": "agreement",
            "lacks": "set explanations.flips.enabled to true" if i == 4 else None,
        }
        chosen = cells[cells["measure"] == ("kendall_tau_b", "dispersion")[i % 2]]
        # Of pairs of methods there are too many to be judged in each grid.
        methods = (chosen["measure"] == "kendall_tau_b") & (
            chosen["subject"] != "attention"
        )
        chosen = chosen[~methods]
        chosen = [] if claim["lacks"] else chosen.to_dict("records")
        rows += judged(claim, chosen, settings)
    return pd.DataFrame(rows, columns=SCHEMAS["claims"].names)


def tables_of(
    order: dict[str, Any],
    seeds: int = 2,
    classes: int = 2,
    instances: int = 12,
    layers: int = 1,
    missing: float = 0.0,
    undefined: float = 0.0,
    scored: Sequence[str] = (),
) -> dict[str, pd.DataFrame]:
    """Every table that a figure draws, with all that the experiments measure.

    ``missing`` is the share of cells that the grid leaves out, ``undefined`` that of
    numbers which are not defined, and ``scored`` are the data sets whose outputs are scores.
    """
    rng = np.random.default_rng(0)
    axes = ("dataset", "encoder", "scorer", "normalizer")
    product = itertools.product(*(order[f"{axis}s"] for axis in axes))
    cells = pd.DataFrame(product, columns=axes)
    cells = cells[rng.random(len(cells)) >= missing]
    place = {name: i for i, name in enumerate(order["normalizers"])}
    sparsity = {name: i / max(1, len(place) - 1) * 0.95 for i, name in enumerate(place)}

    def crossed(rows: pd.DataFrame, **columns: Sequence[Any]) -> pd.DataFrame:
        """Each row with each value of every column."""
        for name, each in columns.items():
            rows = rows.merge(pd.DataFrame({name: each}), how="cross")
        return rows

    def values(rows: pd.DataFrame, scale: float = 1.0) -> np.ndarray:
        defined = rng.random(len(rows)) >= undefined
        return np.where(defined, scale * rng.random(len(rows)), math.nan)

    def with_intervals(
        rows: pd.DataFrame, mean: np.ndarray | pd.Series
    ) -> pd.DataFrame:
        return rows.assign(
            n_instances=instances,
            mean=mean,
            low=mean - 0.05,
            high=mean + 0.05,
            interval_over="instances and seeds" if seeds > 1 else "instances",
            interval_method="moderated" if seeds > 1 else "one_sample",
            note=np.where(rng.random(len(rows)) < 0.1, "negligible", None),
            by_construction=np.where(rng.random(len(rows)) < 0.2, "zeros", None),
        )

    def rows(keys: list[tuple[str, str, str | None]]) -> pd.DataFrame:
        named = pd.DataFrame(keys, columns=["measure", "subject", "reference"])
        found = cells.merge(named, how="cross")
        known = found["normalizer"].map(sparsity)
        means = known.where(found["measure"] == "sparsity", values(found))
        return with_intervals(found, means)

    methods = order["methods"]
    summary = rows(
        [(m, "attention", None) for m in ("support_share", "sparsity", "dispersion")]
        + [
            (measure, "attention", method)
            for measure in ("kendall_tau_b", "tie_cap")
            for method in methods
        ]
        + [
            ("kendall_tau_b", subject, reference)
            for subject, reference in itertools.combinations(methods, 2)
        ]
        + [("dispersion", method, None) for method in methods]
        + [
            (measure, "hidden_states", "inputs")
            for measure in ("coindexed_share", "coindexed_top", "influence_dispersion")
        ]
        + [
            (measure, subject, "gold")
            for measure in ("gold_average_precision", "gold_iou")
            for subject in ("attention", *methods, "guess")
        ]
        + [
            ("lookback", subject, None)
            for subject in ("attention", *methods, "uniform")
        ]
    )
    divergences = ("jsd", "kl_adversary_run", "kl_run_adversary")
    trained = [f"trained_{d}_{w}" for d in divergences for w in ("0", "0.1", "1e-05")]
    kinds = [f"shuffled_{kind}" for kind in KINDS]
    explanation_summary = rows(
        [("permutation_difference", "attention", kind) for kind in kinds]
        + [
            (measure, subject, None)
            for measure in ("flip_never", "flip_share", "flip_support_share")
            for subject in ("attention", "attention_gradient", "random")
        ]
        + [
            ("decision_stands", subject, f"without_{share}")
            for share in (0.1, 0.25, 0.5, 0.75, 0.9)
            for subject in ("attention", "attention_gradient", "random")
        ]
        + [
            (measure, subject, reference)
            for measure in ("comprehensiveness", "sufficiency")
            for subject in ("attention", *methods, "random")
            for reference in (
                None,
                "share_0.01",
                "share_0.2",
                "share_0.5",
                "at_support",
            )
        ]
        + [
            ("kendall_tau_b", subject, f"randomized_{stage}")
            for stage in ("output", "pooling", "encoder", "whole")
            for subject in ("attention", *methods)
        ]
        + [("gain", "prediction", "uniform")]
        + [
            (measure, subject, reference)
            for measure, subject in (("jsd", "attention"), ("tvd", "prediction"))
            for reference in (*EXPERIMENT_REFERENCES, *trained)
        ]
    )
    keys = [("permutation_difference", "shuffled_all")] + [
        ("jsd", r) for r in ("adversarial", "adversarial_same_support", "other_seeds")
    ]
    instance_ids = [str(i) for i in range(instances)]
    points = cells.merge(
        pd.DataFrame(keys, columns=["measure", "reference"]), how="cross"
    )
    points = crossed(
        points.assign(seed=0, subject="attention"), instance_id=instance_ids
    )
    points = points.assign(
        predicted=points["instance_id"].astype(int) % classes,
        max_attention=rng.random(len(points)),
        value=values(points, 0.7),
    )
    if scored:
        of_scores = points["dataset"].isin(scored)
        points["predicted"] = points["predicted"].astype(float).mask(of_scores)
        right = explanation_summary["measure"] == "gain"
        right &= explanation_summary["dataset"].isin(scored)
        explanation_summary = explanation_summary[~right]
    scores = crossed(cells, seed=range(seeds), metric=("accuracy", "macro_f1"))
    names = {"accuracy": "pearson", "macro_f1": "concordance"}
    scores["metric"] = scores["metric"].where(
        ~scores["dataset"].isin(scored), scores["metric"].map(names)
    )
    scores = scores.assign(split="test", value=values(scores))
    translated = crossed(cells, seed=range(seeds), beam=(1, 4), metric=("bleu", "chrf"))
    translated = translated.assign(value=values(translated, 100))
    fast = crossed(cells.assign(seed=0), of=("training", "decoding"))
    heads = crossed(
        cells.assign(head=math.nan, kind="encoder"),
        layer=range(layers),
        measure=("divergence", "sparsity", "null"),
    )
    ways = {"step": ("predicts", "reads"), "links": ("argmax", "support", "threshold")}
    subjects = ["attention", *methods, "best_head"]
    aligned = pd.concat(
        [
            crossed(cells, subject=subjects, **ways),
            crossed(
                cells.assign(subject="head"), layer=range(layers), head=(0, 1), **ways
            ),
        ]
    )
    floors = crossed(
        pd.DataFrame({"dataset": order["datasets"]}),
        subject=("diagonal", "uniform", "ibm_model_1", "diagonal_model_2"),
        links=ways["links"],
    )
    aligned = pd.concat([aligned, floors], ignore_index=True)
    aligned["measure"] = "error_rate"
    attended = cells.assign(n_queries=10)
    kinds = ("encoder", "decoder", "cross")
    nothing = pd.concat(
        [
            crossed(attended, kind=kinds, layer=[None, *range(layers)]),
            crossed(attended, kind=kinds, word_class=("noun", "verb", "end")),
        ],
        ignore_index=True,
    )
    sampled = pd.concat(
        [
            cells.assign(subject="model"),
            crossed(
                pd.DataFrame({"dataset": order["datasets"]}),
                subject=("base_rate", "last_seconds"),
            ),
        ],
        ignore_index=True,
    )
    sampled["rate"] = 1.0 + sampled["dataset"].map(order["datasets"].index)
    sampled = sampled.assign(span=60.0, side="past", n_recordings=19, n_seeds=seeds)
    reacted = crossed(sampled, metric=("pearson", "concordance", "average_precision"))
    of_reference = scores["normalizer"] == order["normalizers"][0]
    curve = crossed(scores[of_reference], share=(0.125, 0.25, 0.5, 1.0))
    curve["n_train"] = (2000 * curve["share"]).astype(int)
    curve["value"] = values(curve)
    costs = scores[list(RUN_COLUMNS)].drop_duplicates()
    encoders = costs["encoder"].map(order["encoders"].index)
    costs["parameters"] = costs["trainable_parameters"] = 1000
    costs["multiply_adds"] = 1e5 * 1.7**encoders
    costs["decisions_per_second"] = 1e4 / (1.5**encoders + 0.1 * costs["seed"])
    guides = ("learned", "uniform", "attention", "adversary")
    return {
        "claims": _claims(summary),
        "learning_curve": curve,
        "task": scores,
        "translation_scores": translated,
        "translation_speed": fast.assign(ratio=0.5 + values(fast)),
        "sizes": costs.drop(columns="decisions_per_second"),
        "speed": costs.drop(
            columns=["multiply_adds", "parameters", "trainable_parameters"]
        ),
        "summary": summary,
        "comparison": comparison_of(summary, order["normalizers"][0]),
        "head_summary": with_intervals(heads, values(heads)),
        "null_summary": with_intervals(nothing, values(nothing, 0.2)),
        "reaction_summary": with_intervals(reacted, values(reacted)),
        "alignment_summary": with_intervals(aligned, values(aligned)),
        "explanation_summary": pd.concat(
            [
                explanation_summary,
                controls_of_erasure(explanation_summary, order["normalizers"][0]),
            ],
            ignore_index=True,
        ),
        "explanation_points": points,
        "diagnostics": crossed(scores, guide=guides),
    }


def write(folder, name, rows, runs=()):
    """A table of statistics of rows, with something in each column that they lack."""
    schema = SCHEMAS[name]
    columns = {}
    for one in schema:
        if one.name in rows:
            columns[one.name] = pa.array(rows[one.name], one.type, from_pandas=True)
        else:
            columns[one.name] = pa.repeat(
                pa.scalar(None if one.nullable else BLANK[one.type], one.type),
                len(rows),
            )
    made = {
        "rule": name,
        "params": {"code": "0123", "libraries": {"numpy": "1"}, "runs": list(runs)},
        "versions": {"numpy": "1"},
    }
    path = folder / f"statistics/{name}.parquet"
    tables.write_table(path, name, pa.table(columns), made)
