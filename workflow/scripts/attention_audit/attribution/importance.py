"""Importance of every input or hidden state, by any method."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from attention_audit.models.decisions import Batch, DecisionModel, ragged
from attention_audit.records.tables import TableWriter

# What a method is; see `methods`.
Method = Callable[..., Tensor | tuple[Tensor, Tensor]]


def load_function(module: str, name: str) -> Callable[..., Any]:
    """A function of the package, by its module's name relative to the package."""
    return getattr(importlib.import_module(f"attention_audit.{module}"), name)


def attributed(
    function: Method, model: DecisionModel, batch: Batch, parameters: Mapping[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """Importance (B, n), of hidden states (B, m), and the completeness error (B,).

    The error is None of a method that promises no sum.
    """
    found = function(model, batch, **parameters)
    return (found, None) if isinstance(found, Tensor) else found


def importance_alone(function: Method) -> Callable[..., Tensor]:
    """A method without the error that it may promise."""

    def found(model: DecisionModel, batch: Batch, **parameters: Any) -> Tensor:
        return attributed(function, model, batch, parameters)[0]

    return found


def write_importance(
    table: TableWriter,
    model: DecisionModel,
    batches: Iterator[Batch],
    run: Mapping[str, Any],
    method: str,
    function: Method,
    parameters: Mapping[str, Any],
) -> None:
    """Importance by one declared method, not normalized; see `methods`."""
    for batch in batches:
        values, error = attributed(function, model, batch, parameters)
        of_inputs = parameters["of"] == "inputs"
        lengths = batch.lengths if of_inputs else model.states(batch.lengths)
        table.write(
            {
                **run,
                "method": method,
                "instance_id": batch.instance_ids,
                "length": batch.lengths,
                "importance": ragged(values, lengths),
                "completeness_error": None if error is None else error.tolist(),
            }
        )
