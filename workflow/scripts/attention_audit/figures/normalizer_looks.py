"""The colour, the marker and the place of a normalizer, by what it is.

They come from its kind and its parameters alone, so that a normalizer looks the same in
every figure of every grid, whatever stands beside it and whatever it is called. Two names
for one map look the same.
"""

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

# Seaborn's palette for the colour-blind: a hue a kind, and those left for kinds of one's own.
# A marker a kind too, for grey print.
_KINDS = {
    "uniform": ("#949494", "X"),
    "softmax": ("#0173B2", "o"),
    "rela": ("#56B4E9", "P"),
    "entmax": ("#029E73", "s"),
    "sparsemax": ("#D55E00", "^"),
    "sparsegen": ("#DE8F05", "D"),
    "top_k": ("#CC78BC", "v"),
}
_LEARNED = ("#8A9A2B", "p")
_OWN_HUES = ("#CA9161", "#FBAFE4", "#ECE133")
_OWN_MARKERS = ("*", "<", ">")

# Where maps without a measured sparsity stand on the scale of alpha-entmax, on which 1 is
# dense and 2 is sparsemax. Of rectified scores about half are zero, as of entmax 1.4.
_PLACES = {"uniform": 0.0, "softmax": 1.0, "rela": 1.4, "sparsemax": 2.0}
# Behind all of them: a count of weights, and kinds that nobody has described here.
_TOP_K, _OWN = 10.0, 20.0


def normalizer_look(settings: Mapping[str, Any]) -> dict[str, str]:
    """Colour and marker of a normalizer by its section of a validated config.

    A kind has its hue; its parameters darken it towards sparse and lighten it towards dense.
    """
    kind = settings["kind"]
    if settings.get("alpha") == "learned":
        color, marker = _LEARNED
    elif kind in _KINDS:
        color, marker = _KINDS[kind]
        color = _shaded(color, _shade(settings))
    else:
        asked = zlib.crc32(kind.encode())
        given = zlib.crc32(json.dumps(settings, sort_keys=True).encode()) / 2**32
        color = _shaded(_OWN_HUES[asked % len(_OWN_HUES)], 1.2 * given - 0.6)
        marker = _OWN_MARKERS[asked % len(_OWN_MARKERS)]
    return {"color": color, "marker": marker}


def _shade(settings: Mapping[str, Any]) -> float:
    """From -1, densest and lightest, to 1; 0 is what the default config has of a kind.

    However far a parameter goes, a next one has another shade.
    """
    match settings["kind"]:
        case "entmax":
            doublings = 3 * math.log2(settings.get("alpha", 1.5) / 1.5)
        case "sparsegen":
            # Scores are multiplied by 1 / (1 - lam).
            doublings = -math.log2(1 - settings.get("lam", 0.0)) - 2
        case "top_k":
            doublings = math.log2(8 / settings["k"])
        case "rela":
            apart = settings.get("norm", "joined") != "joined"
            doublings = bool(settings.get("gated")) - 2 * apart
        case _:
            doublings = 0.0
    return math.atan(0.7 * doublings) / (math.pi / 2)


def _shaded(color: str, shade: float) -> str:
    """A colour mixed with white where ``shade`` is below 0, with black where above."""
    towards, share = (255, -0.75 * shade) if shade < 0 else (0, 0.65 * shade)
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(p + share * (towards - p)):02x}" for p in parts)


def stated_place(settings: Mapping[str, Any]) -> float:
    """Where a normalizer stands from dense to sparse as long as nothing is measured.

    On the scale of alpha-entmax. Sparsegen with lam = 0 is sparsemax; a negative one is
    denser, and tends to dense. Top-k keeps a count, which is few of most instances.
    """
    kind = settings["kind"]
    if kind == "entmax":
        alpha = settings.get("alpha", 1.5)
        return 1.5 if alpha == "learned" else float(alpha)
    if kind == "sparsegen":
        lam = settings.get("lam", 0.0)
        return 2 + lam if lam >= 0 else 1 + 1 / (1 - lam)
    if kind == "top_k":
        return _TOP_K - settings["k"] / (1 + settings["k"])
    return _PLACES.get(kind, _OWN)
