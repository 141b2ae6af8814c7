"""The sizes of LIT that Pan et al. 2022 name, as settings of an encoder.

Without torch: the workflow puts the settings in the place of a name.
"""

from typing import Any

# The sizes of Pan et al. 2022 for 224 x 224 pixels and patches of 4 x 4. What the paper
# leaves open is as in their code (ziplab/LIT at 742e961): patches are projected and
# normalized, all linear maps have biases, BatchNorm and GELU follow merging, LayerNorm the
# last stage, and a linear output reads the mean state. Only Ti has position codes, learned
# in each stage; the others have a relative bias over the whole grid. Not as there: Ti's
# class token in the last stage, in place of which its states are averaged too, and
# stochastic depth in training.
SIZES: dict[str, dict[str, Any]] = {
    "ti": {
        "positions": "learned",
        "stages": [
            {"kind": "mlp", "depth": 3, "width": 64, "mlp_ratio": 8},
            {"kind": "mlp", "depth": 4, "width": 128, "mlp_ratio": 8},
            {"kind": "attention", "depth": 6, "width": 320, "heads": 5},
            {"kind": "attention", "depth": 3, "width": 512, "heads": 8},
        ],
    },
    "s": {
        "positions": "none",
        "relative_bias": True,
        "stages": [
            {"kind": "mlp", "depth": 2, "width": 96},
            {"kind": "mlp", "depth": 2, "width": 192},
            {"kind": "attention", "depth": 6, "width": 384, "heads": 12},
            {"kind": "attention", "depth": 2, "width": 768, "heads": 24},
        ],
    },
    "m": {
        "positions": "none",
        "relative_bias": True,
        "stages": [
            {"kind": "mlp", "depth": 2, "width": 96},
            {"kind": "mlp", "depth": 2, "width": 192},
            {"kind": "attention", "depth": 18, "width": 384, "heads": 12},
            {"kind": "attention", "depth": 2, "width": 768, "heads": 24},
        ],
    },
    "b": {
        "positions": "none",
        "relative_bias": True,
        "stages": [
            {"kind": "mlp", "depth": 2, "width": 128},
            {"kind": "mlp", "depth": 2, "width": 256},
            {"kind": "attention", "depth": 18, "width": 512, "heads": 16},
            {"kind": "attention", "depth": 2, "width": 1024, "heads": 32},
        ],
    },
}
