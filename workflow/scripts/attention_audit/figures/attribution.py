"""What the repository keeps of the presets attribution and pretrained, for
docs/attribution.md; see `published`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attention_audit.figures.published import (
    CELL,
    INTERVAL,
    Collected,
    Finished,
    Kept,
    means,
    run_tables,
    scores_table,
    told_settings,
)
from attention_audit.figures.randomized_importance import STAGES
from attention_audit.statistics.controls import is_control

ATTRIBUTION, PRETRAINED = "attribution", "pretrained"

_FIGURES = {
    ATTRIBUTION: (
        "method_agreement",
        "randomized_importance",
        "faithfulness",
        "agreement",
        "claims",
    ),
    PRETRAINED: ("agreement",),
}

_OF_ERASURE = ("comprehensiveness", "sufficiency")


def _texts(settings: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """How texts of a data set are read."""
    return {"n_words": settings.get("max_length")}


def _methods(one: Finished) -> pd.DataFrame:
    """The declared methods, their kinds and settings, in the order of their names."""
    rows = []
    for name, method in sorted(one.config["methods"].items()):
        settings = dict(method)
        kind, of = settings.pop("kind"), settings.pop("of")
        told = {key: value for key, value in settings.items() if value is not None}
        rows.append(
            {"method": name, "kind": kind, "of": of, "settings": told_settings(told)}
        )
    return pd.DataFrame(rows)


def _summary(one: Finished, *measures: str) -> pd.DataFrame:
    rows = one.table("summary")
    return means(
        rows[rows["measure"].isin(measures) & ~rows["normalizer"].map(is_control)]
    )


def _randomized(one: Finished) -> pd.DataFrame:
    """How far importance in a model agrees with that in one whose parameters are drawn anew."""
    rows = one.table("explanation_summary")
    return means(
        rows[rows["reference"].isin(STAGES) & (rows["measure"] == "kendall_tau_b")]
    )


def _erasure(one: Finished) -> pd.DataFrame:
    """What the removal of the first words of each ranking does to the output."""
    rows = one.table("explanation_summary")
    wanted = rows["measure"].isin(_OF_ERASURE) & rows["reference"].isna()
    return means(rows[wanted & ~rows["normalizer"].map(is_control)])


def _heads(one: Finished) -> pd.DataFrame:
    """How sparse self-attention is, layer by layer."""
    rows = one.table("head_summary")
    keys = [*CELL, "layer"]
    layers = rows[rows["head"].isna() & (rows["measure"] == "sparsity")]
    columns = [*keys, "mean", *INTERVAL, "n_instances", "n_seeds"]
    return layers[columns].sort_values(keys, kind="stable")


def _tables(by_role: Mapping[str, Finished]) -> Collected:
    attribution = by_role[ATTRIBUTION]
    found = run_tables(by_role)
    found.add_data(attribution, _texts)
    found.add("methods", _methods(attribution), (attribution, "config.yaml"))
    add = found.add_statistics
    add("scores", scores_table(attribution), attribution, "task")
    rows = _summary(attribution, "kendall_tau_b")
    add("agreement", rows, attribution, "summary")
    rows = _summary(attribution, "completeness_error")
    add("completeness", rows, attribution, "summary")
    add("randomized", _randomized(attribution), attribution, "explanation_summary")
    add("erasure", _erasure(attribution), attribution, "explanation_summary")
    found.add_claims(attribution.table("claims"), attribution)
    if (pretrained := by_role.get(PRETRAINED)) is not None:
        found.add_data(pretrained, _texts, "pretrained_")
        add("pretrained_scores", scores_table(pretrained), pretrained, "task")
        rows = _summary(pretrained, "kendall_tau_b", "sparsity")
        add("pretrained_summary", rows, pretrained, "summary")
        add("pretrained_heads", _heads(pretrained), pretrained, "head_summary")
        found.add_claims(pretrained.table("claims"), pretrained, "pretrained_")
    return found


KEPT = Kept(
    roles={ATTRIBUTION: ATTRIBUTION, PRETRAINED: PRETRAINED},
    figures={
        name if role == ATTRIBUTION else f"{role}_{name}": (role, name)
        for role, names in _FIGURES.items()
        for name in names
    },
    tables=_tables,
    command="make attribution",
)
