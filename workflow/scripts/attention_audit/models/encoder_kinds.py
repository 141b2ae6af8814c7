"""The encoders by kind.

The workflow reads this table and tells each job the encoder of its model, so that a job
depends on that one and not on this list.
"""

# kind -> module and class, relative to the package
ENCODERS: dict[str, tuple[str, str]] = {
    "average": ("models.encoders", "AverageEncoder"),
    "bilstm": ("models.encoders", "BiLSTMEncoder"),
    "lit": ("models.lit", "LitEncoder"),
    "transformer": ("models.encoders", "TransformerEncoder"),
    # the same, over a grid of patches
    "vit": ("models.encoders", "TransformerEncoder"),
}
