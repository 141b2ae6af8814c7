"""What the repository keeps of the study, for docs/study.md; see `published`.

Three finished experiments: the grid, the cells whose numbers papers recorded, and the
tests of attention as explanation.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from attention_audit.figures.published import (
    ABOUT,
    CELL,
    INTERVAL,
    Collected,
    Finished,
    Kept,
    means,
    run_tables,
    scores_table,
)
from attention_audit.records.errors import AuditError
from attention_audit.statistics.controls import by_cut, cut_name, is_control
from attention_audit.statistics.random_effects import t_interval
from attention_audit.statistics.verdicts import NOT_TESTED

# The roles of the experiments, in the order of the page, and what `make study` calls them.
STUDY = "study"
RECORDED = "recorded"
EXPLANATIONS = "explanations"
PRESETS = {
    STUDY: "study",
    RECORDED: "study_recorded",
    EXPLANATIONS: "study_explanations",
}

# picture -> whose figure it is, and which; a figure that was not drawn is left out
FIGURES = {
    "learning_curve": (STUDY, "learning_curve"),
    "claims": (STUDY, "claims"),
    "dial_own_share": (STUDY, "dial_own_share"),
    "dial_agreement": (STUDY, "dial_agreement"),
    "dial_importance": (STUDY, "dial_importance"),
    "permutation": (EXPLANATIONS, "permutation"),
    "adversarial_attention": (EXPLANATIONS, "adversarial_attention"),
    "adversarial_training": (EXPLANATIONS, "adversarial_training"),
    "guided_models": (EXPLANATIONS, "guided_models"),
}

CURVE = "statistics/learning_curve.parquet"
CURVE_COLUMNS = [*CELL, "seed", "share", "n_train", "split", "metric", "value"]

# What the figures and sentences of the page show of these tables.
_OF_INFLUENCE = ("coindexed_share", "coindexed_top")
_OF_ATTENTION = ("sparsity", "support_share", "dispersion")
_OF_EXPLANATIONS = ("permutation_difference", "jsd", "tvd", "gain", "flip_never")


# --- what was run -----------------------------------------------------------------


def _texts(settings: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """What the texts of a data set are."""
    before, after = (card[key]["test"] for key in ("length_before_cut", "length"))
    return {
        "max_length": settings["max_length"],
        "tokens": after["quantiles"]["0.5"],
        "tokens_before_cut": before["quantiles"]["0.5"],
        "share_cut": card["truncated"]["test"] / sum(card["counts"]["test"].values()),
    }


# --- the learning curve -----------------------------------------------------------


def _curve(one: Finished) -> pd.DataFrame:
    """Accuracy on test at each size of the training set, a row a run."""
    path = one.folder / CURVE
    found = pq.read_schema(path).names
    if missing := [name for name in CURVE_COLUMNS if name not in found]:
        raise AuditError(
            f"{path}: column '{missing[0]}' is missing; expected "
            f"{', '.join(CURVE_COLUMNS)}. Run snakemake to build it anew."
        )
    rows = pd.read_parquet(path, columns=CURVE_COLUMNS)
    rows = rows[(rows["split"] == "test") & (rows["metric"] == "accuracy")]
    if rows.empty:
        raise AuditError(f"{path}: no row has split test and metric accuracy")
    return rows


def _curve_means(curve: pd.DataFrame) -> pd.DataFrame:
    by_seed = curve.groupby([*CELL, "share"])
    return by_seed.agg(
        n_train=("n_train", "max"), mean=("value", "mean"), n_seeds=("value", "count")
    ).reset_index()


def _gain(curve: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """What all training texts add to the accuracy of half of them, in each cell.

    The mean over seeds of the difference within a seed, with Student's interval over
    seeds; that is null with one seed.
    """
    rows = []
    for cell, part in curve.groupby(CELL):
        wide = part.pivot(index="seed", columns="share", values="value")
        if not {0.5, 1.0} <= set(wide):
            continue
        gains = (wide[1.0] - wide[0.5]).dropna().to_numpy()
        n = len(gains)
        low = high = np.nan
        if n > 1:
            variance = gains.var(ddof=1) / n
            low, high = t_interval(gains.mean(), variance, n - 1, confidence)
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {
                "n_half": part.loc[part["share"] == 0.5, "n_train"].max(),
                "n_all": part.loc[part["share"] == 1.0, "n_train"].max(),
                "gain": gains.mean() if n else np.nan,
                "low": low,
                "high": high,
                "n_seeds": n,
            }
        )
    columns = [*CELL, "n_half", "n_all", "gain", *INTERVAL, "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


# --- what was found ---------------------------------------------------------------


def _summary(one: Finished) -> pd.DataFrame:
    """What hidden states owe to their inputs, and importance of inputs and attention.

    Texts without any weight are told of where there are some. Of the controls, the
    agreement of the reference's attention cut to each normalizer.
    """
    rows = one.table("summary")
    inputs = one.inputs_methods()
    control = rows["normalizer"].map(is_control)
    reference = one.config["statistics"]["reference"]
    cuts = [cut_name(reference, name) for name in one.config["grid"]["normalizers"]]
    attention = rows["subject"] == "attention"
    agreement = (
        (rows["measure"] == "kendall_tau_b")
        & attention
        & rows["reference"].isin(inputs)
        & (~control | rows["normalizer"].isin(cuts))
    )
    null = (rows["measure"] == "null") & (rows["mean"] > 0)
    weights = (rows["measure"].isin(_OF_ATTENTION) | null) & attention
    dispersion = (rows["measure"] == "dispersion") & rows["subject"].isin(inputs)
    influence = rows["measure"].isin(_OF_INFLUENCE)
    return means(rows[agreement | (~control & (weights | dispersion | influence))])


def _comparison(one: Finished) -> pd.DataFrame:
    """Agreement with inputs less the reference's, and the two parts that a cut makes.

    A row is about the normalizer, or the one that the reference was cut to.
    """
    rows = one.table("comparison")
    rows = rows.assign(normalizer=rows["normalizer"].replace(by_cut(rows)))
    rows = rows[
        rows["contrast"].isin(["normalizer", "cut", "beyond_cut"])
        & (rows["measure"] == "kendall_tau_b")
        & (rows["subject"] == "attention")
        & rows["reference"].isin(one.inputs_methods())
        # of these nothing is cut
        & rows["normalizer"].isin(by_cut(rows).values())
    ]
    # of one measure and subject
    keys = ["contrast", "reference", *CELL]
    known = ["difference", *INTERVAL, "p_corrected", "smallest_effect", "verdict"]
    columns = [*keys, *known, "n_seeds", "by_construction"]
    return rows[columns].sort_values(keys, kind="stable")


def _explanation_summary(one: Finished) -> pd.DataFrame:
    """What the experiments measured of attention itself, and of other runs beside it."""
    rows = one.table("explanation_summary")
    rows = rows[
        rows["measure"].isin(_OF_EXPLANATIONS) & ~rows["normalizer"].map(is_control)
    ]
    return means(rows)


def _recorded(one: Finished) -> pd.DataFrame:
    keys = [*CELL, *ABOUT]
    known = ["recorded", "mean", "difference", *INTERVAL, "beyond"]
    rows = one.table("recorded")[["source", *keys, *known, "n_instances", "n_seeds"]]
    return rows.sort_values(keys, kind="stable")


def _tables(by_role: Mapping[str, Finished]) -> Collected:
    """Every table of the page, of what there is."""
    study = by_role[STUDY]
    found = run_tables(by_role)
    found.add_data(study, _texts)
    add = found.add_statistics
    add("scores", scores_table(study), study, "task")
    if study.has(CURVE):
        curve = _curve(study)
        confidence = study.config["statistics"]["confidence"]
        add("learning_curve", _curve_means(curve), study, "learning_curve")
        add("learning_gain", _gain(curve, confidence), study, "learning_curve")
    claims = study.table("claims")
    found.add_claims(claims, study)
    add("summary", _summary(study), study, "summary")
    add("comparison", _comparison(study), study, "comparison")
    if (recorded := by_role.get(RECORDED)) is not None:
        add("recorded", _recorded(recorded), recorded, "recorded")
    if (explained := by_role.get(EXPLANATIONS)) is not None:
        # what the study's own table has not tested
        untested = claims.loc[claims["verdict"] == NOT_TESTED, "claim"]
        theirs = explained.table("claims")
        theirs = theirs[theirs["claim"].isin(untested)]
        found.add_claims(theirs, explained, "explanation_")
        rows = _explanation_summary(explained)
        add("explanation_summary", rows, explained, "explanation_summary")
    return found


KEPT = Kept(roles=PRESETS, figures=FIGURES, tables=_tables, command="make study")
