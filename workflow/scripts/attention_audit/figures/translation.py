"""What the repository keeps of the preset translation, for docs/translation.md.

See `published`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from attention_audit.figures.published import (
    CELL,
    INTERVAL,
    Collected,
    Finished,
    Kept,
    explanations_table,
    means,
    models_table,
    run_tables,
    scores_table,
    told_settings,
)
from attention_audit.statistics.alignment_counts import HEAD
from attention_audit.statistics.alignment_summary import BEST_HEAD, MEAN_HEAD
from attention_audit.statistics.controls import is_control

TRANSLATION = "translation"

_FIGURES = (
    "translation_score",
    "alignment_error",
    "alignment_matrices",
    "alignment_heads",
    "alignment_agreement",
    "null_rate",
    "translation_speed",
)

# What the page shows of alignment, besides the error rate and the average precision.
_OF_LINKS = ["precision", "recall", "f1"]
# Of heads, the means over a layer.
_OF_LAYERS = ("sparsity", "null", "divergence")
_OF_ATTENTION = ("sparsity", "null", "kendall_tau_b")
# Of tests of attention as explanation, by measure: subjects and references, null of none.
_OF_EXPLANATIONS = {
    "permutation_difference": (("attention",), ("shuffled_all",)),
    "jsd": (("attention",), ("adversarial", "other_seeds")),
    "decision_stands": (
        ("attention", "attention_gradient", "random"),
        ("without_0.5",),
    ),
    "comprehensiveness": (("attention", "random"), (None,)),
    "gain": (("prediction",), ("uniform",)),
}

# Numbers of the papers, by what they are of and by the normalizer that the config has for
# theirs. Top-k is to Zhao et al.'s full attention what it is here to softmax. Error rates
# were read off a figure.
_ZHANG = "Zhang et al. 2021"
_ZHAO = "Zhao et al. 2019"
_OF_ZHANG = ("softmax", "sparsemax", "entmax15", "rela")
_OF_ZHAO = ("softmax", "top_k_16", "top_k_8", "top_k_4", "top_k_2")
_OF_ERRORS = ("rela_gated", "sparsemax", "softmax", "entmax15")
_PUBLISHED: tuple[tuple[str, str, str, Sequence[str], Sequence[float]], ...] = (
    (_ZHANG, "bleu", "En-Fr", _OF_ZHANG, (37.2, 37.3, 37.9, 37.9)),
    (_ZHANG, "bleu", "En-Fi", _OF_ZHANG, (15.5, 15.1, 15.5, 15.4)),
    (_ZHANG, "bleu", "Zh-En", _OF_ZHANG, (21.1, 19.2, 20.8, 20.8)),
    (_ZHANG, "bleu", "Ro-En", _OF_ZHANG, (32.7, 33.5, 33.2, 32.9)),
    (_ZHAO, "bleu", "Fr-En", _OF_ZHAO, (37.10, 36.95, 37.64, 37.25, 36.62)),
    (_ZHAO, "bleu", "En-Ro", _OF_ZHAO, (33.73, 33.99, 33.61, 33.86, 32.43)),
    (_ZHANG, "speed", "training", _OF_ZHANG, (1, 0.26, 0.27, 0.93)),
    (_ZHANG, "speed", "decoding", _OF_ZHANG, (1, 0.54, 0.49, 0.98)),
    (_ZHANG, "error_rate", "predicts", _OF_ERRORS, (0.41, 0.47, 0.46, 0.49)),
    (_ZHANG, "error_rate", "reads", _OF_ERRORS, (0.31, 0.33, 0.33, 0.37)),
)


def _pairs(settings: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """What the sentence pairs of a data set are, and which are held out."""
    words, vocabulary = card["words"], card["vocabulary"]
    gold = card["alignment"]["test"]
    told: dict[str, Any] = {}
    for side in ("source", "target"):
        told[f"words_{side}"] = words[side]["test"]["mean"]
        told[f"n_vocabulary_{side}"] = vocabulary[side]["size"]
        told[f"unknown_{side}"] = vocabulary[side]["share_unknown"]["test"]
    held_out = card["source"].get("held_out") or {}
    for split in ("dev", "test"):
        told[f"held_out_{split}"] = " ".join(held_out.get(split, [])) or None
    return told | {
        "n_aligned": gold["pairs"],
        "links": gold.get("links_per_target_word"),
        "unlinked": gold.get("share_of_source_words_without"),
        "settings": told_settings(settings),
    }


def _translations(one: Finished) -> pd.DataFrame:
    """BLEU and chrF on test by beam, over seeds."""
    by_seed = one.table("translation_scores").groupby(
        [*CELL, "metric", "beam", "signature"]
    )["value"]
    return by_seed.agg(
        mean="mean", lowest="min", highest="max", n_seeds="count"
    ).reset_index()


_KEYS = [*CELL, "subject", "step", "links"]


def _alignment(one: Finished) -> pd.DataFrame:
    """What attention, importances and floors come to against gold.

    A row of ``links`` "ranking" has the average precision as its mean, others the error
    rate, with precision, recall and F1 beside it. Of importances there are links by argmax
    alone, of the step that predicts.
    """
    rows = one.table("alignment_summary")
    whole = rows[rows["layer"].isna() & (rows["subject"] != MEAN_HEAD)]
    links, step = whole["links"], whole["step"]
    methods = whole["subject"].isin(one.config["methods"])
    whole = whole[~methods | (links.isin(["argmax", "ranking"]) & (step == "predicts"))]
    whole = whole[(whole["subject"] != BEST_HEAD) | (whole["links"] == "argmax")]
    first = whole["measure"].isin(["error_rate", "average_precision"])
    found = whole.loc[first, [*_KEYS, "mean", *INTERVAL]]
    for measure in _OF_LINKS:
        more = whole.loc[whole["measure"] == measure, [*_KEYS, "mean"]]
        found = found.merge(
            more.rename(columns={"mean": measure}), how="left", on=_KEYS
        )
    return found


def _heads(one: Finished) -> pd.DataFrame:
    """Error rates of heads and their means by layer, of links by argmax; from 1."""
    rows = one.table("alignment_summary")
    rows = rows[(rows["measure"] == "error_rate") & (rows["links"] == "argmax")]
    rows = rows[rows["subject"].isin([HEAD, MEAN_HEAD]) & rows["layer"].notna()]
    columns = [*CELL, "subject", "layer", "head", "step", "mean", *INTERVAL]
    return _from_one(rows[columns], "layer", "head")


def _layers(one: Finished) -> pd.DataFrame:
    """What heads do, the mean over those of a layer; layers from 1."""
    rows = one.table("head_summary")
    wanted = rows["head"].isna() & rows["measure"].isin(_OF_LAYERS)
    columns = [*CELL, "kind", "layer", "measure", "mean", *INTERVAL]
    return _from_one(rows.loc[wanted, columns], "layer")


def _from_one(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    counted = {column: rows[column].astype("Int64") + 1 for column in columns}
    return rows.assign(**counted)


def _null(one: Finished) -> pd.DataFrame:
    """Who attends to nothing, of cells in which any query does: all, and by word class."""
    rows = one.table("null_summary")
    rows = rows[rows["layer"].isna()]
    some = rows["word_class"].isna() & (rows["mean"] > 0)
    rows = rows.merge(rows.loc[some, [*CELL, "kind"]], on=[*CELL, "kind"])
    return rows[[*CELL, "kind", "word_class", "mean", *INTERVAL]]


def _top_k(one: Finished) -> pd.DataFrame:
    """The normalizers of the grid that keep k scores, by k."""
    declared = one.config["normalizers"]
    rows = [
        {"normalizer": name, "k": declared[name]["k"]}
        for name in one.config["grid"]["normalizers"]
        if declared[name]["kind"] == "top_k"
    ]
    return pd.DataFrame(rows, columns=["normalizer", "k"]).sort_values("k")


def _speed(one: Finished) -> pd.DataFrame:
    columns = [*CELL, "of", "words_per_second", "ratio"]
    return one.table("translation_speed")[columns]


def _summary(one: Finished) -> pd.DataFrame:
    """How sparse attention is, and how it agrees with the importance of source words."""
    rows = one.table("summary")
    wanted = (rows["subject"] == "attention") & rows["measure"].isin(_OF_ATTENTION)
    known = rows["reference"].isna() | rows["reference"].isin(one.inputs_methods())
    return means(rows[wanted & known & ~rows["normalizer"].map(is_control)])


def _published() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"source": source, "measure": measure, "of": of}
            | {"normalizer": normalizer, "value": value}
            for source, measure, of, normalizers, values in _PUBLISHED
            for normalizer, value in zip(normalizers, values, strict=True)
        ]
    )


def _tables(by_role: Mapping[str, Finished]) -> Collected:
    one = by_role[TRANSLATION]
    found = run_tables(by_role)
    found.add_data(one, _pairs)
    add = found.add_statistics
    add("models", models_table(one), one, "task")
    add("scores", scores_table(one, ("accuracy", "loss")), one, "task")
    add("translations", _translations(one), one, "translation_scores")
    add("alignment", _alignment(one), one, "alignment_summary")
    add("heads", _heads(one), one, "alignment_summary")
    add("layers", _layers(one), one, "head_summary")
    add("null", _null(one), one, "null_summary")
    found.add("top_k", _top_k(one), (one, "config.yaml"))
    add("speed", _speed(one), one, "translation_speed")
    add("summary", _summary(one), one, "summary")
    tests = explanations_table(one, _OF_EXPLANATIONS)
    add("explanations", tests, one, "explanation_summary")
    found.add_claims(one.table("claims"), one)
    # of the papers, and of no results
    found.add("published", _published())
    return found


KEPT = Kept(
    roles={TRANSLATION: "translation"},
    figures={name: (TRANSLATION, name) for name in _FIGURES},
    tables=_tables,
    command="make translation",
)
