"""The attribution methods by kind.

A method is a function

    (model, batch, **parameters) -> importance

of a batch of decisions, as `models.decisions` has them and their models, that returns
non-negative importance (B, n), of hidden states (B, m), exactly 0 at padding and not
normalized. One whose attributions are to sum to a change of the output returns
(importance, error): how far each decision's are from it, (B,). To add one, write it in a
module of ``attribution/`` and enter it here under its kind; its parameters are the keys of
the instance in the config. docs/methods.md says what each is.

The workflow reads this table and tells each job its function, so that a job depends
on its own method and not on this list.
"""

from collections.abc import Mapping
from typing import Any

from attention_audit.records.errors import AuditError, suggestion

# kind -> module and function, relative to the package
METHODS: dict[str, tuple[str, str]] = {
    "attention_flow": ("attribution.self_attention", "attention_flow"),
    "attention_gradient": ("attribution.weighted", "attention_gradient"),
    "attention_rollout": ("attribution.self_attention", "attention_rollout"),
    "gradient": ("attribution.gradients", "gradient_importance"),
    "gradient_norm": ("attribution.sensitivity", "gradient_norm"),
    "gradient_shap": ("attribution.paths", "gradient_shap"),
    "integrated_gradients": ("attribution.paths", "integrated_gradients"),
    "kernel_shap": ("attribution.coalitions", "kernel_shap"),
    "leave_one_out": ("attribution.ablation", "leave_one_out"),
    "lime": ("attribution.coalitions", "lime"),
    "smooth_grad": ("attribution.sensitivity", "smooth_grad"),
    "value_norm": ("attribution.weighted", "value_norm"),
    "value_zeroing": ("attribution.self_attention", "value_zeroing"),
}

# Kinds that follow attention through the layers of an encoder, and the kinds of encoders
# that have such layers, with a hidden state at each input.
THROUGH_LAYERS = ("attention_flow", "attention_rollout", "value_zeroing")
WITH_LAYERS = ("transformer", "vit", "pretrained")


# What an importance of a kind says of the output: how much it changes, mean_k |dy_k|, or
# to first order the sum over k. Without an entry, nothing.
EFFECTS: dict[str, str] = {"gradient": "sum", "leave_one_out": "mean"}

# Kinds whose importance of a hidden state goes with its weight, and is 0 where that is.
WITH_WEIGHT = (
    "attention_gradient",
    "gradient",
    "gradient_norm",
    "leave_one_out",
    "value_norm",
)

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
    return method["kind"] in WITH_WEIGHT and (method["of"] == "hidden_states" or behind)


def applies(method: Mapping[str, Any], encoder: Mapping[str, Any]) -> bool:
    """Whether an encoder has what a method is about; both are declared instances."""
    return method["kind"] not in THROUGH_LAYERS or encoder["kind"] in WITH_LAYERS


def applying(
    methods: Mapping[str, Mapping[str, Any]], encoder: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """Those of the declared methods that apply to an encoder, in their order."""
    return {name: of for name, of in methods.items() if applies(of, encoder)}


def not_applying(
    methods: Mapping[str, Mapping[str, Any]],
    encoders: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """A notice for each method that does not apply to all of the encoders, by name."""
    notices = {}
    for name, method in methods.items():
        without = [e for e, encoder in encoders.items() if not applies(method, encoder)]
        if without:
            notices[name] = (
                f"methods.{name} follows attention through layers, as encoders of kind "
                f"{', '.join(WITH_LAYERS[:-1])} and {WITH_LAYERS[-1]} have them: runs go without it that have "
                f"{', '.join(without)}"
            )
    return notices


def method_function(kind: str) -> tuple[str, str]:
    """Module and function of a kind of method."""
    if kind not in METHODS:
        raise AuditError(
            f"unknown attribution method kind '{kind}'.{suggestion(kind, METHODS)}"
        )
    return METHODS[kind]
