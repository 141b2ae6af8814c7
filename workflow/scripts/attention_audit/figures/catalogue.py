"""Which statistics tables each figure draws; the workflow makes a rule of each."""

# figure -> the statistics tables that it draws
FIGURES: dict[str, tuple[str, ...]] = {
    "task_score": ("task",),
    "attention_sparsity": ("summary",),
    "coindexed_influence": ("summary",),
    "agreement": ("summary",),
    "importance_dispersion": ("summary",),
}
