"""A decision's outputs as functions of its embeddings, or of its hidden states.

Shapes: B decisions, n inputs or hidden states, D their size, J outputs that are
differentiated, R rows of values, each of one of the decisions.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel
from attention_audit.models.outputs import (
    INPUTS_PER_PASS,
    asked_output,
    exact_outputs,
)


class Explained:
    """The outputs of a batch, as `gradients.gradient_importance` takes them.

    What has slopes are the J outputs that do not vanish in rounding: of classes all but the
    most probable, whose slope is that of the others with the sign turned; of scores y_k or
    1 - y_k; or the log-probability of one class. Which these are is settled by the decision
    as it is, and stays so wherever else the outputs are asked for.

    ``values`` (B, n, D) is what they are functions of, with ``mask`` (B, n). For hidden
    states, what asks is taken as given.
    """

    def __init__(
        self, model: DecisionModel, batch: Batch, of: str, output: str | None
    ) -> None:
        self.model, self.batch, self.of = model, batch, of
        self.output = asked_output(model, output)
        with torch.no_grad():
            self.values, self.mask = model.embed(batch), batch.mask
            self.query = None
            if of == "hidden_states":
                self.values, self.mask = model.encode(self.values, self.mask)
                self.query = model.query(self.values, self.mask, batch)
            logits = self._logits(self.values, np.arange(len(self.mask)), "attached")
        logits = logits.cpu().double()
        if self.output == "label":
            self.chosen = batch.labels.cpu().unsqueeze(-1)
        elif self.output == "predicted":
            self.chosen = logits.argmax(-1, keepdim=True)
        elif model.link == "softmax":
            self.chosen = logits.argsort(-1)[..., :-1]
        else:
            self.chosen = torch.where(logits > 0, -1.0, 1.0)

    @property
    def content(self) -> Tensor:
        """Which of the D numbers say what an input is, and not when it was, (D,).

        Of hidden states, which are of them alone, and not carried along for a query.
        """
        others = "is_time" if self.of == "inputs" else "is_carried"
        beside = getattr(self.model, others, None)
        everything = self.values.new_ones(self.values.shape[-1], dtype=torch.bool)
        return everything if beside is None else ~beside

    def movable(self, b: int, n: int) -> Tensor:
        """Which numbers (n, D) of decision b noise may move, as factors.

        Not those of pieces that a word does not have, which would be pieces of it.
        """
        factors = self.values.new_ones(n, self.values.shape[-1]) * self.content
        if self.of == "inputs" and getattr(self.model.encoder, "in_pieces", False):
            factors *= self.values[b, :n] != 0
        return factors

    @property
    def baseline(self) -> Tensor:
        """Values (B, n, D) that say nothing: 0, but for when an input was."""
        return torch.where(self.content, 0.0, self.values)

    def _logits(self, values: Tensor, rows: np.ndarray, attention: str) -> Tensor:
        """(R, n, D) of the decisions ``rows`` (R,) -> (R, K)."""
        places = torch.as_tensor(rows, device=values.device)
        mask = self.mask[places, : values.shape[1]]
        hidden, query = values, None
        if self.of == "inputs":
            hidden, mask = self.model.encode(values, mask)
            query = self.model.query(hidden, mask, self.batch.take(rows))
        elif self.query is not None:
            query = self.query[places]
        weights = self.model.weights(hidden, mask, query)
        if attention == "detached":
            weights = weights.detach()
        return self.model.decide(hidden, weights, query)

    def outputs(
        self, values: Tensor, rows: np.ndarray, attention: str = "attached"
    ) -> Tensor:
        """Those that have slopes, (R, J), in double precision on the CPU."""
        return self.linked(self._logits(values, rows, attention), rows)

    def linked(self, logits: Tensor, rows: np.ndarray | None = None) -> Tensor:
        """The same of logits (R, K) of the decisions ``rows`` (R,), or of all in turn."""
        chosen = self.chosen if rows is None else self.chosen[torch.as_tensor(rows)]
        if self.output != "all":
            return logits.cpu().double().log_softmax(-1).gather(-1, chosen)
        if self.model.link == "softmax":
            return exact_outputs(logits).gather(-1, chosen)
        return exact_outputs(logits.cpu() * chosen, self.model.link)

    def mean_slopes(
        self,
        points: Callable[[int, int], Tensor],
        shares: np.ndarray,
        attention: str = "attached",
    ) -> Tensor:
        """Slopes of the outputs by the values, means over points: (J, B, n, D).

        ``points(b, length)`` gives the S points (S, length, D) of decision b, and
        ``shares`` (S,) how much of the mean each makes up. In double precision on the CPU.
        """
        lengths = self.mask.sum(-1).tolist()
        share = torch.from_numpy(shares).view(-1, 1, 1)
        J = self.chosen.shape[-1]
        found = torch.zeros(J, *self.values.shape, dtype=torch.float64)
        # The points of as many decisions of one length at once as fill a pass.
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            n = lengths[order[start]]
            most = max(1, INPUTS_PER_PASS // (max(n, 1) * len(shares)))
            some = [int(b) for b in order[start : start + most] if lengths[int(b)] == n]
            start += len(some)
            leaf = torch.cat([points(b, n) for b in some]).requires_grad_()
            rows = np.repeat(some, len(shares))
            outputs = self.outputs(leaf, rows, attention)
            for j in range(J):
                (slopes,) = torch.autograd.grad(
                    outputs[:, j].sum(), leaf, retain_graph=j < J - 1
                )
                of_each = slopes.cpu().double().unflatten(0, (len(some), -1))
                found[j, some, :n] = (of_each * share).sum(1)
        return found

    def all_outputs(self, signed: Tensor) -> Tensor:
        """What (J, ...) of the differentiated outputs is of all that are asked for.

        ``signed`` is linear in the outputs. They sum to one where they are classes, and so
        the rest is that of the most probable.
        """
        if self.output != "all" or self.model.link != "softmax":
            return signed
        return torch.cat([signed, -signed.sum(0, keepdim=True)])

    def importance(self, signed: Tensor) -> Tensor:
        """Sum over the outputs of the sizes of (J, B, n): (B, n), exactly 0 at padding."""
        return self.all_outputs(signed).abs().sum(0) * self.mask.cpu()

    def incompleteness(self, signed: Tensor) -> Tensor:
        """max_k |sum_t a_kt - (y_k(x) - y_k(baseline))| of attributions (J, B, n): (B,)."""
        rows = np.arange(len(self.mask))
        with torch.no_grad():
            own = self.outputs(self.values, rows)
            change = own - self.outputs(self.baseline, rows)  # (B, J)
        missed = self.all_outputs((signed * self.mask.cpu()).sum(-1) - change.T)
        return missed.abs().amax(0)
