"""Importance from what is left of a decision without some of its inputs or hidden states.

A coalition z (n,) says which are there. What the outputs are without the others is asked
for as `ablation.leave_one_out` asks for it, and explained by a linear model of z.

Shapes: R coalitions of n positions, K outputs.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, grouped
from attention_audit.models.outputs import Readout, asked_output, outputs_anew
from attention_audit.records.randomness import generator

# Outputs that are held at once, of all decisions and coalitions of a pass.
NUMBERS_PER_PASS = 2**23

# A coefficient of less than this share of the largest output is rounding.
NOTHING = 1e-12

# Lime's distances are shares here and percentages in Ribeiro et al.'s code, whose kernel
# is 25 wide.
KERNEL_WIDTH = 0.25

Matrix = npt.NDArray[np.float64]
# Coalitions (R, n) with weights (R,), and values (R, K) by which to tell coefficients
# (n, K); see `_explained_by`.
Draw = Callable[[int, np.random.Generator], tuple[npt.NDArray[np.bool_], Matrix]]
Fit = Callable[[Matrix, Matrix, Matrix, Matrix, Matrix], Matrix]


def _asked(outputs: Tensor, output: str, chosen: int | None) -> Tensor:
    """Of outputs (R, K) those that are explained, (R, 1) of the log-probability of one."""
    if output == "all":
        return outputs
    smallest = torch.finfo(outputs.dtype).tiny
    return outputs[:, [chosen]].clamp(min=smallest).log()


def _without_inputs(
    model: DecisionModel, group: Batch, removed: Tensor, removal: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (1, K) and (R, K) of each decision of a group without its ``removed`` (R, n)."""
    per_pass = max(
        1, NUMBERS_PER_PASS // (len(group.lengths) * model.output.out_features)
    )
    parts = [
        list(outputs_anew(model, group, group.without(some, removal)))
        for some in removed.split(per_pass)
    ]
    for of_decision in zip(*parts, strict=True):
        yield of_decision[0][0], torch.cat([changed for _, changed in of_decision])


def _without_states(
    readout: Readout, hidden: Tensor, query: Tensor | None, removed: Tensor
) -> tuple[Tensor, Tensor]:
    """The same of hidden states (m, H), whose scores are normalized without the others."""
    asked = None if query is None else query.unsqueeze(0)
    scores = readout.pooling.scores(hidden.unsqueeze(0), asked)
    normalizer = readout.pooling.normalizer
    (own,) = normalizer(scores, torch.ones_like(removed[:1]))
    left = normalizer(scores.expand(removed.shape), ~removed)
    return readout.changed_outputs(hidden, own, left, query)


@torch.no_grad()
def _explained_by(
    draw: Draw,
    fit: Fit,
    model: DecisionModel,
    batch: Batch,
    of: str,
    removal: str | None,
    output: str | None,
    purpose: str,
) -> tuple[Tensor, Tensor]:
    """Importance sum_k |c_tk| of the coefficients (n, K) that ``fit`` finds: (B, n) or (B, m).

    And (B,) how far their sum over t is from what all positions make of none, the largest
    over outputs.

    ``draw(n, generator)`` gives coalitions and weights, and ``fit(z, weights, values, own,
    nothing)`` coefficients of the outputs (R, K) in them, (1, K) of all, and (1, K) of none.
    Draws are each decision's own, by its id; those that have their inputs in common share
    them.
    """
    removal, output = removal or batch.removal, asked_output(model, output)
    lengths, shape = batch.lengths, batch.mask.shape
    if of == "hidden_states":
        lengths = model.states(lengths)
        shape = len(lengths), int(lengths.max())
    readout = Readout(model) if of == "hidden_states" else None
    importance = torch.zeros(shape, dtype=torch.float64)
    missed = torch.zeros(len(lengths), dtype=torch.float64)
    for rows in grouped(batch):
        n = int(lengths[rows[0]])
        rng = generator((purpose, batch.instance_ids[rows[0]]), seed=0)
        there, weights = draw(n, rng)
        # Behind the coalitions the empty one.
        removed = torch.from_numpy(~np.vstack([there, np.zeros((1, n), dtype=bool)]))
        if readout is None:
            group = batch.take(rows)
            found = _without_inputs(
                model, group, removed.to(batch.mask.device), removal
            )
        else:
            found = (
                _without_states(readout, *_state(model, batch, b, n), removed)
                for b in rows
            )
        for b, (own, values) in zip(rows, found, strict=True):
            chosen = None
            if output != "all":
                chosen = int(own.argmax() if output == "predicted" else batch.labels[b])
            own, values = (
                _asked(part, output, chosen).numpy() for part in (own, values)
            )
            c = fit(there.astype(float), weights, values[:-1], own, values[-1:])
            c[np.abs(c) <= NOTHING * np.abs(own).max()] = 0.0
            importance[b, :n] = torch.from_numpy(np.abs(c).sum(1))
            missed[b] = np.abs(c.sum(0) - (own - values[-1:])).max()
    return importance, missed


def _state(
    model: DecisionModel, batch: Batch, b: int, n: int
) -> tuple[Tensor, Tensor | None]:
    hidden, _, query = model(batch.take(np.array([b]))).decision(0, n)
    return hidden, query


def _kernel_coalitions(
    n: int, samples: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Matrix]:
    """Coalitions of some but not all positions, with Shapley's kernel as their weights.

    All of them where there are at most ``samples``, else so many draws, each with the rest
    as a coalition of its own; the kernel is then in how often a size is drawn.
    """
    if n < 2:
        return np.zeros((0, n), dtype=bool), np.zeros(0)
    if n < 31 and 2**n - 2 <= samples:
        codes = np.arange(1, 2**n - 1)
        there = (codes[:, None] >> np.arange(n)) % 2 == 1
        sizes = there.sum(1)
        of_size = np.cumprod([1.0, *((n - s) / (s + 1) for s in range(n - 1))])
        return there, (n - 1) / (of_size[sizes] * sizes * (n - sizes))
    sizes = np.arange(1, n)
    kernel = 1 / (sizes * (n - sizes))
    half = -(-samples // 2)
    drawn = rng.choice(sizes, half, p=kernel / kernel.sum())
    places = rng.random((half, n)).argsort(axis=1).argsort(axis=1)
    some = places < drawn[:, None]
    return np.vstack([some, ~some]), np.ones(2 * half)


def _shapley(
    there: Matrix, weights: Matrix, values: Matrix, own: Matrix, nothing: Matrix
) -> Matrix:
    """Coefficients (n, K) of least squares that sum to what all make of nothing, exactly."""
    n = there.shape[1]
    total = own - nothing
    if n < 2:
        return np.broadcast_to(total, (n, total.shape[1])).copy()
    # The last coefficient is what the others leave of the sum (Lundberg & Lee 2017, 4.1).
    last = there[:, -1:]
    root = np.sqrt(weights)[:, None]
    target = values - nothing - last * total
    first, *_ = np.linalg.lstsq(
        root * (there[:, :-1] - last), root * target, rcond=None
    )
    return np.vstack([first, total - first.sum(0)])


def kernel_shap(
    model: DecisionModel,
    batch: Batch,
    of: str,
    samples: int,
    removal: str | None = None,
    output: str | None = None,
) -> tuple[Tensor, Tensor]:
    """sum_k |phi_tk|, Shapley values of the outputs by Kernel SHAP (Lundberg & Lee 2017).

    phi are weighted least squares of y_k(z) over coalitions z, such that y_k(none) + sum_t
    phi_tk = y_k(all). With all 2^n - 2 coalitions they are Shapley values themselves; of
    more than ``samples``, as many are drawn. ``removal`` and ``output`` are those of
    `ablation.leave_one_out`. Where there are fewer draws than positions, the coefficients
    are the smallest that fit.

    Returns (B, n), of hidden states (B, m), in double precision on the CPU, exactly 0 at
    padding and not normalized, and the completeness error (B,), which is rounding.
    """
    return _explained_by(
        lambda n, rng: _kernel_coalitions(n, samples, rng),
        _shapley,
        model,
        batch,
        of,
        removal,
        output,
        "kernel_shap",
    )


def _uniform_sizes(
    n: int, samples: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Matrix]:
    """The decision as it is, and draws that lack 1 to n positions, with Lime's weights."""
    lacking = rng.integers(1, n + 1, samples - 1)
    places = rng.random((samples - 1, n)).argsort(axis=1).argsort(axis=1)
    there = np.vstack([np.ones((1, n), dtype=bool), places >= lacking[:, None]])
    # The cosine of z and 1, which is 0 where nothing is there.
    apart = 1 - np.sqrt(there.mean(1))
    return there, np.exp(-((apart / KERNEL_WIDTH) ** 2) / 2)


def _ridge(
    there: Matrix, weights: Matrix, values: Matrix, own: Matrix, nothing: Matrix
) -> Matrix:
    """Coefficients (n, K) of weighted ridge regression with an intercept and penalty 1."""
    share = weights / weights.sum()
    z, y = there - share @ there, values - share @ values
    scaled = z.T * weights
    return np.linalg.solve(scaled @ z + np.eye(z.shape[1]), scaled @ y)


def lime(
    model: DecisionModel,
    batch: Batch,
    of: str,
    samples: int,
    removal: str | None = None,
    output: str | None = None,
) -> Tensor:
    """sum_k |c_tk|, coefficients of a local linear model of the outputs (Ribeiro et al. 2016).

    Of ``samples`` coalitions, the first of which is all, the others lack 1 to n positions,
    any number as likely. A coalition weighs exp(-d^2 / (2 w^2)), d the cosine distance
    from all and w = 0.25, and the model is ridge regression with a penalty of 1: the
    settings of the authors' code for texts. ``removal`` and ``output`` are those of
    `ablation.leave_one_out`.

    Returns (B, n), of hidden states (B, m), in double precision on the CPU, exactly 0 at
    padding and not normalized. It promises no sum.
    """
    importance, _ = _explained_by(
        lambda n, rng: _uniform_sizes(n, samples, rng),
        _ridge,
        model,
        batch,
        of,
        removal,
        output,
        "lime",
    )
    return importance
