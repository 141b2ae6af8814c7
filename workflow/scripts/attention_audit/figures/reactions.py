"""What the repository keeps of the preset reactions, for docs/reactions.md; see `published`."""

from collections import Counter
from collections.abc import Mapping
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
from attention_audit.records.tables import read_json
from attention_audit.statistics.controls import is_control

REACTIONS = "reactions"

_FIGURES = (
    "reaction_score",
    "reaction_episode",
    "reaction_lookback",
    "agreement",
    "adversarial_divergence",
    "decision_survival",
    "faithfulness",
)

# Pearson's correlations of the paper, of its 15 emotions on validation, by rate and span.
_PUBLISHED = (
    ("Lin et al. 2021", 1.0, 60.0, 0.0121),
    ("Lin et al. 2021", 6.0, 60.0, 0.0106),
    ("Lin et al. 2021", 6.0, 10.0, 0.0077),
)

# What the page shows of the summaries, in its tables.
_OF_ATTENTION = ("sparsity", "dispersion", "kendall_tau_b")
_OF_ALL = ("lookback",)
_OF_INFLUENCE = ("coindexed_share", "coindexed_top")
# Of tests of attention as explanation, by measure: subjects and references, null of none.
_OF_EXPLANATIONS = {
    "permutation_difference": (("attention",), ("shuffled_all",)),
    "jsd": (("attention",), ("adversarial", "other_seeds", "uniform")),
    "tvd": (("prediction",), ("other_seeds", "uniform")),
    "flip_never": (("attention", "attention_gradient", "random"), (None,)),
    "decision_stands": (
        ("attention", "attention_gradient", "random"),
        ("without_0.5",),
    ),
    "comprehensiveness": (("attention", "random"), (None,)),
    "sufficiency": (("attention", "random"), (None,)),
}


def _recordings(settings: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """What the recordings of a data set are, and how moments are sampled of them."""
    splits, sampling = card["splits"], card["reading"]["sampling"]
    told = {f"n_seconds_{split}": one["seconds"] for split, one in splits.items()}
    told |= {f"n_decisions_{split}": n for split, n in card["decisions"].items()}
    held_out = card["source"].get("held_out") or {}
    return told | {
        "seconds_of_a_recording": splits["test"]["of_a_recording"]["mean"],
        "n_moments": card["moments"],
        "rate": sampling["rate"],
        "span": sampling["span"],
        "side": sampling["side"],
        "streams": ", ".join(card["streams"]),
        "with_vector": card["share_of_words_with_a_vector"],
        "held_out_dev": " ".join(held_out.get("dev", [])) or None,
        "held_out_test": " ".join(held_out.get("test", [])) or None,
        "note": card["note"],
        "settings": told_settings(
            {key: value for key, value in settings.items() if key != "note"}
        ),
    }


def _floors(one: Finished) -> pd.DataFrame:
    """What the floors are told, of the config."""
    told = one.config["reactions"]
    return pd.DataFrame(
        [{"n_last_seconds": told["last_seconds"], "sigma": told["base_rate_sigma"]}]
    )


def _cards(one: Finished) -> dict[str, Mapping[str, Any]]:
    return {
        name: read_json(one.folder / f"data/{name}/card.json")
        for name in one.datasets()
    }


def _targets(one: Finished) -> pd.DataFrame:
    """How often each reaction happens, and how large the target is, by split."""
    rows = [
        {"dataset": name, "reaction": reaction, "split": split}
        | {
            "event_rate": part.get("event_rate", {}).get(reaction),
            "target_mean": part["target_mean"][reaction],
            "n_clipped": part["clipped"][reaction],
        }
        for name, card in _cards(one).items()
        for reaction in card["reactions"]
        for split in ("train", "dev", "test")
        for part in [card["splits"][split]]
    ]
    return pd.DataFrame(rows)


# What is counted a file each.
_BY_FILE = "lines_not_utf8"


def _left_out(one: Finished) -> pd.DataFrame:
    """What was left out, or read otherwise, of each data set by reason."""
    rows = []
    for name, card in _cards(one).items():
        counts: Counter = Counter()
        for reason, count in (card["dropped"] | card["left_out"]).items():
            counts[_BY_FILE if reason.startswith(_BY_FILE) else reason] += count
        rows += [
            {"dataset": name, "reason": reason, "n": count}
            for reason, count in counts.items()
        ]
    return pd.DataFrame(rows, columns=["dataset", "reason", "n"])


def _scores(one: Finished) -> pd.DataFrame:
    """Scores of models and floors over recordings and seeds."""
    columns = [*CELL, "subject", "metric", "mean", *INTERVAL]
    return one.table("reaction_summary")[[*columns, "n_recordings", "n_seeds"]]


def _differences(one: Finished) -> pd.DataFrame:
    """Models less floors, and normalizers less the reference."""
    columns = [*CELL, "baseline", "contrast", "metric", "difference", *INTERVAL]
    columns += ["p_corrected", "verdict", "n_recordings", "n_seeds"]
    return one.table("reaction_comparison")[columns]


def _summary(one: Finished) -> pd.DataFrame:
    """How attention is spread, how far all look back, and what agrees with what."""
    rows = one.table("summary")
    attention = rows["subject"] == "attention"
    wanted = (
        (attention & rows["measure"].isin(_OF_ATTENTION))
        | rows["measure"].isin(_OF_ALL)
        | rows["measure"].isin(_OF_INFLUENCE)
    )
    return means(rows[wanted & ~rows["normalizer"].map(is_control)])


def _published() -> pd.DataFrame:
    return pd.DataFrame(_PUBLISHED, columns=["source", "rate", "span", "pearson"])


def _tables(by_role: Mapping[str, Finished]) -> Collected:
    one = by_role[REACTIONS]
    found = run_tables(by_role)
    found.add_data(one, _recordings)
    cards = [(one, f"data/{name}/card.json") for name in one.datasets()]
    found.add("targets", _targets(one), *cards)
    found.add("left_out", _left_out(one), *cards)
    found.add("floors", _floors(one), (one, "config.yaml"))
    add = found.add_statistics
    add("models", models_table(one), one, "task")
    add("task", scores_table(one, ("loss", "absolute_error")), one, "task")
    add("scores", _scores(one), one, "reaction_summary")
    add("differences", _differences(one), one, "reaction_comparison")
    add("summary", _summary(one), one, "summary")
    tests = explanations_table(one, _OF_EXPLANATIONS)
    add("explanations", tests, one, "explanation_summary")
    found.add_claims(one.table("claims"), one)
    # of the paper, and of no results
    found.add("published", _published())
    return found


KEPT = Kept(
    roles={REACTIONS: "reactions"},
    figures={name: (REACTIONS, name) for name in _FIGURES},
    tables=_tables,
    command="make reactions",
)
