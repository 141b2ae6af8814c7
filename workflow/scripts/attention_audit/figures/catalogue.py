"""Which statistics tables each figure draws; the workflow makes a rule of each."""

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


def figures_of(transformers: bool) -> dict[str, tuple[str, ...]]:
    """The figures of a grid that holds a Transformer, or none."""
    return {
        figure: tables
        for figure, tables in FIGURES.items()
        if transformers or not OF_TRANSFORMERS & set(tables)
    }
