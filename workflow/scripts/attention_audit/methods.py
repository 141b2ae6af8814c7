"""The attribution methods by kind.

A method is a function

    (model, token_ids, mask, **parameters) -> importance

of token ids (B, n) and a mask (B, n), that returns non-negative importance (B, n),
exactly 0 at padding and not normalized. To add one, write it in a module of
``attribution/`` and enter it here under its kind; its parameters are the keys of the
instance in the config.

The workflow reads this table and tells each job its function, so that a job depends
on its own method and not on this list.
"""

from attention_audit.errors import AuditError, suggestion

# kind -> module and function, relative to the package
METHODS: dict[str, tuple[str, str]] = {
    "gradient": ("attribution.gradients", "gradient_importance"),
    "leave_one_out": ("attribution.ablation", "leave_one_out"),
}


# What an importance of a kind says of the output: how much it changes, mean_k |dy_k|, or
# to first order the sum over k. Without an entry, nothing.
EFFECTS: dict[str, str] = {"gradient": "sum", "leave_one_out": "mean"}


def method_function(kind: str) -> tuple[str, str]:
    """Module and function of a kind of method."""
    if kind not in METHODS:
        raise AuditError(
            f"unknown attribution method kind '{kind}'.{suggestion(kind, METHODS)}"
        )
    return METHODS[kind]
