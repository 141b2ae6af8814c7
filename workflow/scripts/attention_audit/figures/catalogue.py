"""Which statistics tables each figure draws, in which order and which colours.

The workflow makes a rule of each figure.
"""

import itertools
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attention_audit.figures.normalizer_looks import normalizer_look, stated_place
from attention_audit.methods import hidden_methods, inputs_first

# figure -> the statistics tables that it draws
FIGURES: dict[str, tuple[str, ...]] = {
    "claims": ("claims",),
    "task_score": ("task",),
    "attention_sparsity": ("summary",),
    "coindexed_influence": ("summary",),
    "agreement": ("summary",),
    "method_agreement": ("summary",),
    "cut_control": ("comparison",),
    "importance_dispersion": ("summary",),
    "dial_own_share": ("summary",),
    "dial_agreement": ("summary",),
    "dial_importance": ("summary",),
    "head_diversity": ("head_summary",),
    "sampling_offsets": ("offset_summary",),
    "pictures": ("picture_examples",),
    "plausibility": ("summary",),
    "translation_score": ("translation_scores",),
    "alignment_error": ("alignment_summary",),
    "alignment_heads": ("alignment_summary",),
    "alignment_agreement": ("alignment_summary", "summary"),
    "alignment_matrices": ("alignment_examples",),
    "null_rate": ("null_summary",),
    "reaction_score": ("reaction_summary",),
    "reaction_lookback": ("summary",),
    "reaction_episode": ("reaction_episodes",),
}

# Tables, and figures of others, that not every grid has, and what some of its runs must have
# for them; see `targets.HAVING`.
OF_SOME = {
    "head_summary": "heads",
    "offset_summary": "offsets",
    "picture_examples": "pictures",
    "plausibility": "marks",
    "alignment_summary": "alignments",
    "alignment_comparison": "alignments",
    "alignment_examples": "alignments",
    "null_summary": "alignments",
    "translation_scores": "alignments",
    "translation_speed": "alignments",
    "reaction_scores": "recordings",
    "reaction_summary": "recordings",
    "reaction_comparison": "recordings",
    "reaction_episodes": "recordings",
    "reaction_lookback": "recordings",
}

# experiment -> its figures and the statistics tables that they draw; part of the
# workflow where the experiment is switched on
EXPERIMENT_FIGURES: dict[str, dict[str, tuple[str, ...]]] = {
    "permutation": {
        "permutation": ("explanation_points",),
        "permutation_kinds": ("explanation_summary",),
    },
    "adversarial": {
        "adversarial_divergence": ("explanation_points",),
        "adversarial_attention": ("explanation_points",),
    },
    "flips": {
        "decision_flips": ("explanation_summary",),
        "decision_survival": ("explanation_summary",),
    },
    "erasure": {
        "faithfulness": ("explanation_summary",),
        "faithfulness_at_support": ("explanation_summary",),
        "erasure_curve": ("explanation_summary", "summary"),
    },
    "randomized": {"randomized_importance": ("explanation_summary",)},
    "seed_variance": {"seed_variance": ("explanation_points",)},
    "uniform": {"uniform_baseline": ("explanation_summary",)},
    "adversarial_training": {"adversarial_training": ("explanation_summary",)},
    "diagnostics": {"guided_models": ("diagnostics",)},
    # not of attention
    "learning_curve": {"learning_curve": ("learning_curve",)},
    "efficiency": {
        "task_cost": ("task", "sizes"),
        "task_speed": ("task", "speed"),
        "translation_speed": ("translation_speed",),
    },
}

# Of these, what has a section of its own in the config.
OWN_SECTIONS = ("learning_curve", "efficiency")


# What the page of the report is made of, below workflow/report; its own scripts in the order
# in which they need each other.
PAGE_SOURCES = ("page.html", "page.css", "viewers.js", "explorer.js", "page.js")

# What figures are about, in the order of the report.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "Claims": ("claims",),
    "Agreement with importance": (
        "agreement",
        "method_agreement",
        "cut_control",
        "alignment_agreement",
        "plausibility",
        "dial_agreement",
        "dial_importance",
    ),
    "Attention and what it is over": (
        "attention_sparsity",
        "coindexed_influence",
        "importance_dispersion",
        "dial_own_share",
        "head_diversity",
        "sampling_offsets",
        "null_rate",
        "reaction_lookback",
    ),
    "Attention as explanation": (
        "permutation",
        "permutation_kinds",
        "adversarial_divergence",
        "adversarial_attention",
        "decision_flips",
        "decision_survival",
        "faithfulness",
        "faithfulness_at_support",
        "erasure_curve",
        "randomized_importance",
        "seed_variance",
        "uniform_baseline",
        "adversarial_training",
        "guided_models",
    ),
    "Alignment with gold": ("alignment_error", "alignment_heads"),
    "Instances": ("pictures", "alignment_matrices", "reaction_episode"),
    "Scores and costs": (
        "task_score",
        "translation_score",
        "reaction_score",
        "learning_curve",
        "task_cost",
        "task_speed",
        "translation_speed",
    ),
}
# Of a figure that no category names.
OTHER = "Other figures"


def category_of(figure: str) -> str:
    """What a figure is about."""
    return next((c for c, figures in CATEGORIES.items() if figure in figures), OTHER)


def figures_of(
    experiments: Iterable[str], having: Iterable[str] = ()
) -> dict[str, tuple[str, ...]]:
    """The figures of a grid with these experiments, and with runs that have something."""
    lacks = {name for name, what in OF_SOME.items() if what not in set(having)}
    found = dict(FIGURES)
    for experiment in experiments:
        found |= EXPERIMENT_FIGURES[experiment]
    return {
        name: tables for name, tables in found.items() if not lacks & {name, *tables}
    }


# Colours, and markers, that differ; see `style.series_style`.
_LOOKS = 10

# What the default config declares has looks of its own, wherever it stands.
_KNOWN: dict[str, tuple[str, ...]] = {
    "methods": (
        "input_gradient",
        "hidden_gradient",
        "input_leave_one_out",
        "hidden_leave_one_out",
    ),
    "encoders": ("bilstm", "transformer", "average", "transformer_run"),
    "scorers": ("additive", "dot"),
}


def slots(declared: Iterable[str], known: Sequence[str] = ()) -> dict[str, int]:
    """A number for every declared name, which stands for its colour and marker.

    It is tied to the name and not to its place. A name that is not ``known`` asks, by
    its hash, for one of the looks that are left, and gets the next that no earlier name
    has; where all ten are taken a second round is given out, and so on. A name that is
    added behind the others thus changes no other's look, and one among the others only
    that of a later name that is not known and asked for the same.
    """
    found = {name: i for i, name in enumerate(known)}
    for name in declared:
        for first in itertools.count(0, _LOOKS) if name not in found else ():
            left = range(max(first, len(known)), first + _LOOKS)
            asked = zlib.crc32(name.encode()) % len(left)
            taken = set(found.values())
            free = [
                slot for slot in (*left[asked:], *left[:asked]) if slot not in taken
            ]
            if free:
                found[name] = free[0]
                break
    return {name: found[name] for name in declared}


def figure_order(config: Mapping[str, Any]) -> dict[str, Any]:
    """The names on every axis of a validated config, in the order of the figures.

    That is the order of the config, but inputs before hidden states, and normalizers from
    dense to sparse, see `dense_to_sparse`. ``slots`` ties looks to names: those of the grid,
    but given out among all that are declared, so that it does not matter which of them the
    grid has. ``looks`` are those of normalizers, by what they are, and ``confidence`` is the
    coverage of the intervals.
    """
    axes = ("datasets", "encoders", "scorers", "normalizers")
    order = {axis: config["grid"][axis] for axis in axes}
    settings = {name: config["normalizers"][name] for name in order["normalizers"]}
    order |= {
        "confidence": config["statistics"]["confidence"],
        # and of the same place by name, for the grid's own order says nothing
        "normalizers": sorted(settings, key=lambda n: (stated_place(settings[n]), n)),
        "looks": {name: normalizer_look(settings[name]) for name in sorted(settings)},
        "methods": inputs_first(config["methods"]),
        "hidden_methods": hidden_methods(config["methods"]),
    }
    given = {axis: slots(config[axis], known) for axis, known in _KNOWN.items()}
    order["slots"] = {
        axis: {name: found[name] for name in order[axis]}
        for axis, found in given.items()
    }
    return order
