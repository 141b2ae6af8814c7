"""A forest plot of the claims: each over all cells, its cells, and its bound."""

import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_audit.figures.counts import counted
from attention_audit.figures.intervals import WITHOUT_SEEDS, without_seeds
from attention_audit.figures.pages import panel_pages
from attention_audit.figures.style import PAGE_WIDTH, PALETTE, Order

# Blue and vermilion are told apart by all eyes, and markers in grey print.
LOOKS = {
    "supported": {"color": PALETTE[0], "marker": "o"},
    "contradicted": {"color": PALETTE[3], "marker": "X"},
    "undecided": {"color": "0.45", "marker": "s", "markerfacecolor": "white"},
}

# Rules about the size of an estimate have a bound on either side of 0.
TWO_SIDED = ("within", "outside")

# By how much estimates of a measure are divided, so that all fit on one axis: seconds are
# drawn as minutes.
SCALES = {"lookback": 60}

# Of a panel: claims, inches of its width and of a claim's height, letters of a line.
CLAIMS = 13
HEIGHT = 0.62
LETTERS = 48
# Where the cells of a claim are within its height, below the mean of them.
CELLS = (0.0, 0.4)
# Points: the widest line of a cell and the thinnest, and the dots upon them.
CELL_LINE = (0.8, 0.2)
CELL_DOT = (2.2, 0.8)


def draw(
    tables: dict[str, pd.DataFrame], order: Order
) -> tuple[Iterator[Figure], pd.DataFrame]:
    """A line a claim with its verdict, over thin lines of its cells.

    What the grid does not test has a row of the table and no line.
    """
    rows = tables["claims"]
    over = rows.drop_duplicates("claim")
    tested = over["verdict"].isin(LOOKS)
    claims = over.loc[tested, "claim"].tolist()
    untested = int((~tested).sum())
    count = -(-len(claims) // CLAIMS)
    parts = [tuple(part) for part in np.array_split(claims, count)] if count else []
    shown = _scaled(rows)
    limits = _limits(shown)

    def fill(axes: Axes, part: tuple[str, ...], _: None) -> None:
        labels = []
        for place, claim in enumerate(part):
            of_claim = shown[shown["claim"] == claim]
            labels.append(_draw_claim(axes, place, of_claim, limits))
        axes.set_yticks(range(len(part)), labels)
        axes.set_ylim(len(part) - 0.5, -0.5)
        axes.set_xlim(*limits)
        axes.grid(False, axis="y")

    def key(axes: Axes) -> None:
        for verdict, look in LOOKS.items():
            axes.plot([], [], **look, label=verdict)
        axes.plot([], [], color="black", linewidth=1, label="bound of the rule")
        axes.fill_between([], [], [], color="0.9", label="where the claim holds")

    pages = panel_pages(
        parts,
        [None],
        fill,
        title=lambda *_: "",
        y_label=lambda *_: "",
        x_label="estimate, in the unit of its measure",
        share_y=False,
        size=(PAGE_WIDTH, 0.6 + HEIGHT * max(map(len, parts), default=1)),
        key=key,
        legend_columns=len(LOOKS) + 2,
        note=f"left out: {counted(untested, untested, 'claim')} without a verdict here, "
        "for reasons in the table"
        if untested
        else "",
    )
    return pages, rows


def _scaled(rows: pd.DataFrame) -> pd.DataFrame:
    """Estimates, intervals and bounds as they are drawn, see `SCALES`."""
    measures = rows.groupby("claim")["measure"].transform("first")
    divisors = np.array([SCALES.get(name, 1) for name in measures], float)
    numbers = ["estimate", "low", "high", "bound"]
    return rows.assign(**rows[numbers].astype(float).div(divisors, axis=0))


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Room for all estimates and bounds; what an interval has beyond is cut off."""
    tested = rows[rows["verdict"].isin(LOOKS)]
    mirrored = tested["bound"].where(tested["side"].isin(TWO_SIDED))
    known = pd.concat([tested["estimate"], tested["bound"], -mirrored]).dropna()
    if known.empty:
        return -1.0, 1.0
    low, high = known.min(), known.max()
    room = 0.15 * (high - low) or 1.0
    return low - room, high + room


def _draw_claim(
    axes: Axes, place: int, rows: pd.DataFrame, limits: tuple[float, float]
) -> str:
    """Draw one claim at ``place`` from the top; what stands to the left of it."""
    over, cells = rows.iloc[0], rows.iloc[1:]
    beside = axes.get_yaxis_transform()
    _draw_rule(axes, place, over["side"], over["bound"], limits)
    _draw_cells(axes, place, cells)
    look = LOOKS[over["verdict"]]
    at = place - 0.2
    axes.hlines(at, over["low"], over["high"], color=look["color"], linewidth=2)
    axes.plot(over["estimate"], at, **look, markersize=7, linestyle="none")
    said = "\n".join(f"{over[f'n_{v}']:.0f} {v}" for v in LOOKS)
    axes.text(1.01, place, said, transform=beside, va="center", fontsize=6.5)
    return "\n".join([*textwrap.wrap(over["text"], LETTERS), f"({over['rule']})"])


def _draw_rule(
    axes: Axes, place: int, side: str, bound: float, limits: tuple[float, float]
) -> None:
    """The bound, and as grey ground where the claim holds."""
    low, high = limits
    ground = {
        "below": [(low, bound)],
        "above": [(bound, high)],
        "within": [(-bound, bound)],
        "outside": [(low, -bound), (bound, high)],
    }[side]
    top, bottom = place - 0.42, place + 0.42
    for left, right in ground:
        axes.fill_betweenx([top, bottom], left, right, color="0.93", linewidth=0)
    ends = [-bound, bound] if side in TWO_SIDED else [bound]
    axes.vlines(ends, top, bottom, color="black", linewidth=1)


def _draw_cells(axes: Axes, place: int, cells: pd.DataFrame) -> None:
    """The intervals of the cells, one below the other in the order of their estimates.

    They are thinner where there are many, so that each is seen beside the next.
    """
    cells = cells.sort_values("estimate", kind="stable")
    heights = place + np.linspace(*CELLS, max(len(cells), 1))
    colors = [LOOKS[verdict]["color"] for verdict in cells["verdict"]]
    apart = 72 * HEIGHT * (CELLS[1] - CELLS[0]) / max(len(cells), 1)
    line_width = float(np.clip(apart, *CELL_LINE[::-1]))
    dot = float(np.clip(3 * apart, *CELL_DOT[::-1]))
    width = {"linewidth": line_width}
    alone = without_seeds(cells)
    for part, line in ((~alone, width), (alone, WITHOUT_SEEDS | width)):
        axes.hlines(
            heights[: len(cells)][part],
            cells["low"][part],
            cells["high"][part],
            colors=[c for c, used in zip(colors, part, strict=True) if used],
            alpha=0.5,
            **line,
        )
    axes.scatter(
        cells["estimate"], heights[: len(cells)], s=dot**2, color=colors, linewidth=0
    )
