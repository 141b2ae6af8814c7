"""Between inputs and hidden states, where these are fewer.

In a pyramid ``cell`` (n,) says in which of m hidden states' cells an input lies; no cell
is empty. Attention is over the states. What inputs have is summed over a cell before it is
compared with attention, and what a state has is spread evenly over its cell before it is
compared with what is said of inputs. Without cells, None, state i stands at input i, and
both leave all as it is.
"""

import numpy as np
import numpy.typing as npt

Cell = npt.NDArray[np.integer]


def by_state(values: npt.NDArray, cell: Cell | None) -> npt.NDArray:
    """Values of inputs (..., n), summed over the cell of each state: (..., m)."""
    if cell is None:
        return values
    sums = np.zeros((*values.shape[:-1], cell.max() + 1))
    np.add.at(sums, (..., cell), values)
    return sums


def by_input(values: npt.NDArray, cell: Cell | None) -> npt.NDArray:
    """Values of states (..., m), spread evenly over the inputs of their cells: (..., n)."""
    if cell is None:
        return values
    return (values / np.bincount(cell))[..., cell]
