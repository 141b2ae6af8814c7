"""The attribution methods by kind.

A method is a function

    (model, batch, **parameters) -> importance

of a batch of decisions, as `models.decisions` has them and their models, that returns
non-negative importance (B, n), of hidden states (B, m), exactly 0 at padding and not
normalized. To add one, write it in a module of ``attribution/`` and enter it here under
its kind; its parameters are the keys of the instance in the config.

The workflow reads this table and tells each job its function, so that a job depends
on its own method and not on this list.
"""

from collections.abc import Mapping
from typing import Any

from attention_audit.records.errors import AuditError, suggestion

# kind -> module and function, relative to the package
METHODS: dict[str, tuple[str, str]] = {
    "gradient": ("attribution.gradients", "gradient_importance"),
    "leave_one_out": ("attribution.ablation", "leave_one_out"),
}


# What an importance of a kind says of the output: how much it changes, mean_k |dy_k|, or
# to first order the sum over k. Without an entry, nothing.
EFFECTS: dict[str, str] = {"gradient": "sum", "leave_one_out": "mean"}

# Kinds of encoders whose hidden states depend on the input at their own position alone.
WITHOUT_CONTEXT = ("average",)


def effects_of(
    methods: Mapping[str, Mapping[str, Any]], modality: str
) -> dict[str, str]:
    """What each declared method says of the output, see `EFFECTS`, on a modality.

    What is said of one class alone, or of its log-probability, is no such thing.
    """
    usual = "label" if modality == "translation" else "all"
    return {
        name: EFFECTS[method["kind"]]
        for name, method in methods.items()
        if method["kind"] in EFFECTS and (method.get("output") or usual) == "all"
    }


def hidden_methods(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The declared methods whose importance is of hidden states, in their order."""
    return [name for name in methods if methods[name]["of"] == "hidden_states"]


def inputs_first(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The declared methods in their order, those of inputs before those of hidden states."""
    hidden = hidden_methods(methods)
    return [*(name for name in methods if name not in hidden), *hidden]


def bound_to_weights(
    method: Mapping[str, Any], encoder: Mapping[str, Any], modality: str = "text"
) -> bool:
    """Whether a method's importance is 0 wherever attention is, whatever was learnt.

    ``method`` and ``encoder`` are declared instances. What has no weight is no part of
    the context vector, and small changes or the removal of it leave the other weights
    as they are, for every normalizer. That holds of hidden states, and without context
    of the inputs behind them. An input that is replaced, not removed, may get weight.
    """
    removal = method.get("removal") or (None if modality == "images" else "delete")
    stays = method["kind"] != "leave_one_out" or removal == "delete"
    behind = encoder["kind"] in WITHOUT_CONTEXT and stays
    return method["kind"] in EFFECTS and (method["of"] == "hidden_states" or behind)


def method_function(kind: str) -> tuple[str, str]:
    """Module and function of a kind of method."""
    if kind not in METHODS:
        raise AuditError(
            f"unknown attribution method kind '{kind}'.{suggestion(kind, METHODS)}"
        )
    return METHODS[kind]
