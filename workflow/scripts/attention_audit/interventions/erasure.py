"""Faithfulness by erasing tokens (DeYoung et al. 2020, ERASER, sec. 4).

Comprehensiveness is how much the probability of the predicted class falls when the
most important tokens are taken out of the input, sufficiency how much it falls when
only these are left. Scores have no predicted class: of them both are how far the outputs
move, mean_k |dy_k|. The benchmark looks at fixed shares of the tokens. Sparse attention
ranks no more tokens than it attends to: what a larger share takes besides is drawn at
random from its zeros. At the size of the support, the same for every ranking of a text,
all rankings are compared that attention has.

What attention is over, hidden states, may be fewer than the inputs. Then the inputs of a
state's cell are taken out together, by every ranking: an importance of inputs is summed
over cells. Of a text, tokens and states are the same.

Shapes: B instances, n positions (hidden states), A rankings, S shares of tokens, C counts
of tokens.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, cell_array
from attention_audit.models.outputs import outputs_anew
from attention_audit.records.errors import AuditError
from attention_audit.records.randomness import generator
from attention_audit.records.tables import TableWriter, iterate_table
from attention_audit.statistics import controls
from attention_audit.statistics.cells import Cell, by_state


class Erasure(NamedTuple):
    """Falls in the probability of the predicted class, or moves of scores, (A, B, C) each."""

    comprehensiveness: np.ndarray
    sufficiency: np.ndarray


def _falls(model: DecisionModel, one: Batch, keep: Tensor) -> Tensor:
    """Falls (R,) in the probability of the predicted class of one decision.

    Of scores it is mean_k |dy_k|, how far they move. Row r of ``keep`` (R, n) says which of its inputs are left.
    """
    # Many shares of few inputs come to the same ones; each is read once.
    distinct, inverse = keep.unique(dim=0, return_inverse=True)
    ((own, left),) = outputs_anew(model, one, one.without(~distinct))
    if model.link == "softmax":
        predicted = own.argmax()
        falls = own[0, predicted] - left[:, predicted]
    else:
        falls = (own - left).abs().mean(-1)
    return falls[inverse.cpu()]


def token_counts(shares: Sequence[float], lengths: np.ndarray) -> np.ndarray:
    """Whole tokens (B, S) that each share of a text of each length (B,) comes to.

    Rounded up, so that it is at least one.
    """
    # 0.2 * 5 must count as 1 token, not as the next after 1 and a rounding error.
    return np.ceil(np.outer(lengths, shares) - 1e-9).astype(np.int64)


@torch.no_grad()
def erase(
    model: DecisionModel, batch: Batch, ranks: Tensor, counts: np.ndarray
) -> Erasure:
    """Comprehensiveness and sufficiency of rankings at every count of top tokens.

    ``ranks`` (A, B, n) holds the place of each token in each ranking, 0 the most
    important; what stands at padding is not read. ``counts`` (B, C) says how many
    tokens of each text are taken. Falls below the resolution of the output are exactly
    0; see `outputs`. Texts are read one by one, so that none depends on its neighbours.
    """
    A, B, _ = ranks.shape
    C = counts.shape[1]
    falls = np.empty((2, A, B, C))
    for b, n in enumerate(model.states(batch.lengths).tolist()):
        count = torch.from_numpy(counts[b]).to(ranks.device)
        top = ranks[:, b, None, :n] < count.unsqueeze(1)  # (A, C, n)
        keep = torch.stack([~top, top]).view(-1, n)
        if model.cell is not None:
            keep = keep[:, model.cell]
        found = _falls(model, batch.take(np.array([b])), keep)
        falls[:, :, b] = found.view(2, A, C).numpy()
    return Erasure(falls[0], falls[1])


def descending_ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places (n,) of values in descending order; ties fall in random order.

    Ties are no rarity: sparse attention ties at zero.
    """
    order = np.lexsort((rng.random(len(values)), -values))
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values))
    return ranks


class _Rows:
    """Rows of a table, which come in the order of the audited instances.

    With a ``cell``, values of inputs are summed over the cells of states.
    """

    def __init__(
        self, path: str | Path, schema: str, *columns: str, cell: Cell | None = None
    ) -> None:
        self._path, self._columns, self._cell = path, columns, cell
        tables = iterate_table(path, schema, columns=["instance_id", *columns])
        self._rows = (row for table in tables for row in table.to_pylist())

    def of(self, instance: str, n: int) -> list[Any]:
        """The columns' values of the next row: lists of n values as arrays.

        Raises `AuditError` where it is of another instance or length.
        """
        row = next(self._rows, {})
        values = [row.get(column, []) for column in self._columns]
        lengths = {len(value) for value in values if isinstance(value, list)}
        cell = None if lengths == {n} else self._cell
        expected = n if cell is None else len(cell)
        found = row.get("instance_id")
        if found != instance or lengths != {expected}:
            raise AuditError(
                f"{self._path}: expected instance '{instance}' with {expected} values, "
                f"found "
                f"'{found}' with {max(lengths)}. Delete the file and run snakemake "
                "again to rebuild it."
            )
        return [
            by_state(np.asarray(value, dtype=np.float64), cell)
            if isinstance(value, list)
            else value
            for value in values
        ]


# From an instance and its positions: how many of them its attention ranks, and by what
# each subject ranks them. It is asked for the instances in their order.
Rankings = Callable[[str, int], tuple[int, dict[str, np.ndarray]]]


def _ranks(
    batch: Batch,
    lengths: np.ndarray,
    values: Sequence[Mapping[str, np.ndarray]],
    orders: int,
    seed: int,
) -> tuple[list[str], Tensor]:
    """Subjects (A,) and the ranks (A, B, n) that each gives, random ones last.

    ``values`` (B,) holds by what each subject ranks the positions of each instance, of
    which there are ``lengths`` (B,).
    """
    known = list(values[0])
    subjects = [*known, *["random"] * orders]
    ranks = np.zeros((len(subjects), len(lengths), lengths.max()), dtype=np.int64)
    for b, (instance, n) in enumerate(zip(batch.instance_ids, lengths, strict=True)):
        for a, subject in enumerate(known):
            rng = generator(("erasure", subject, instance), seed)
            ranks[a, b, :n] = descending_ranks(values[b][subject], rng)
        rng = generator(("erasure", instance), seed)
        for a in range(len(known), len(subjects)):
            ranks[a, b, :n] = rng.permutation(n)
    return subjects, torch.from_numpy(ranks).to(batch.mask.device)


def _write(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterable[Batch],
    run: Mapping[str, Any],
    rankings: Rankings,
    shares: Sequence[float],
    random_orders: int,
    seed: int,
) -> None:
    """A row an (instance, subject), the random orders as one."""
    for batch in batches:
        lengths = model.states(batch.lengths)
        asked = map(rankings, batch.instance_ids, lengths.tolist())
        supports, values = zip(*asked, strict=True)
        support = np.array(supports)
        subjects, ranks = _ranks(batch, lengths, values, random_orders, seed)
        counts = np.column_stack([token_counts(shares, lengths), support])
        found = erase(model, batch, ranks, counts)
        # Where the top tokens are none or all, they are those of every ranking.
        told_apart = (support > 0) & (support < lengths)
        for subject in dict.fromkeys(subjects):
            places = [a for a, name in enumerate(subjects) if name == subject]
            columns = {}
            for name, falls in found._asdict().items():
                mean = falls[places].mean(0)  # (B, C)
                columns[name] = list(mean[:, :-1])
                columns[f"{name}_at_support"] = [
                    fall if told else None
                    for fall, told in zip(mean[:, -1], told_apart, strict=True)
                ]
            table.write(
                {
                    **run,
                    "instance_id": batch.instance_ids,
                    "length": lengths,
                    "support": support,
                    "subject": subject,
                    "shares": [shares] * len(support),
                    **columns,
                }
            )


def write_erasure(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterable[Batch],
    run: Mapping[str, Any],
    attention: str | Path,
    importances: Mapping[str, str | Path],
    shares: Sequence[float],
    random_orders: int,
    seed: int = 0,
) -> None:
    """Comprehensiveness and sufficiency, a row an (instance, ranking).

    Ranks by attention, by every importance and, as a floor, at random: the mean of
    ``random_orders`` orders. The tables hold the instances of ``batches`` in their
    order.
    """
    attended = _Rows(attention, "attention", "attention", "support")
    others = {
        name: _Rows(path, "importance", "importance", cell=cell_array(model))
        for name, path in importances.items()
    }

    def rankings(instance: str, n: int) -> tuple[int, dict[str, np.ndarray]]:
        weights, support = attended.of(instance, n)
        values = {"attention": weights}
        for name, rows in others.items():
            (values[name],) = rows.of(instance, n)
        return support, values

    _write(table, model, batches, run, rankings, shares, random_orders, seed)


def write_cut(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterable[Batch],
    run: Mapping[str, Any],
    attention: str | Path,
    reference_attention: str | Path,
    shares: Sequence[float],
    seed: int = 0,
) -> None:
    """The same of a reference's attention, cut in each text to the support of a run.

    ``model`` is the reference's, ``attention`` the run's, and ``run`` what the control
    is called. It ties at zero as sparse attention does, in the same random order.
    """
    attended = _Rows(attention, "attention", "attention", "support")
    reference = _Rows(reference_attention, "attention", "attention")

    def rankings(instance: str, n: int) -> tuple[int, dict[str, np.ndarray]]:
        _, support = attended.of(instance, n)
        (weights,) = reference.of(instance, n)
        mask = np.ones((1, n), dtype=bool)
        (left,) = controls.cut(weights[np.newaxis], np.array([support]), mask)
        return support, {"attention": left}

    _write(table, model, batches, run, rankings, shares, 0, seed)


def write_softmax(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterable[Batch],
    run: Mapping[str, Any],
    attention: str | Path,
    shares: Sequence[float],
    seed: int = 0,
) -> None:
    """The same of a run's scores under softmax, at the support of its own attention.

    ``run`` is what the control is called.
    """
    attended = _Rows(attention, "attention", "scores", "support")

    def rankings(instance: str, n: int) -> tuple[int, dict[str, np.ndarray]]:
        scores, support = attended.of(instance, n)
        mask = np.ones((1, n), dtype=bool)
        (weights,) = controls.softmax(scores[np.newaxis], mask)
        return support, {"attention": weights}

    _write(table, model, batches, run, rankings, shares, 0, seed)
