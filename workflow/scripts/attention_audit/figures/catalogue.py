"""Which statistics tables each figure draws; the workflow makes a rule of each."""

from collections.abc import Iterable

# figure -> the statistics tables that it draws
FIGURES: dict[str, tuple[str, ...]] = {
    "task_score": ("task",),
    "attention_sparsity": ("summary",),
    "coindexed_influence": ("summary",),
    "agreement": ("summary",),
    "importance_dispersion": ("summary",),
    "head_diversity": ("head_summary",),
}

# Tables that only a grid with a Transformer has.
OF_TRANSFORMERS = {"head_summary"}

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
    "flips": {"decision_flips": ("explanation_summary",)},
    "erasure": {"faithfulness": ("explanation_summary",)},
    "seed_variance": {"seed_variance": ("explanation_points",)},
    "uniform": {"uniform_baseline": ("explanation_summary",)},
    "adversarial_training": {"adversarial_training": ("explanation_summary",)},
    "diagnostics": {"guided_models": ("diagnostics",)},
}


def figures_of(
    experiments: Iterable[str], *, transformers: bool
) -> dict[str, tuple[str, ...]]:
    """The figures of a grid with these experiments, with or without a Transformer."""
    core = {
        figure: tables
        for figure, tables in FIGURES.items()
        if transformers or not OF_TRANSFORMERS & set(tables)
    }
    for experiment in experiments:
        core |= EXPERIMENT_FIGURES[experiment]
    return core
