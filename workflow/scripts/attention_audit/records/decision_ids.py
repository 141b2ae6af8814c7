"""Ids of decisions where an instance has several: a sentence pair one a next word, a recording
one a second.
"""

from attention_audit.records.errors import AuditError

# Digits of a step's number, so that ids of a pair sort as its steps do.
_DIGITS = 3
# The same of a second's number, in the id of a recording's decision.
SECOND_DIGITS = 5


def decision_id(pair: str, step: int, digits: int = _DIGITS) -> str:
    """The id of a sentence pair's decision at a step, from 0."""
    return f"{pair}.{step:0{digits}d}"


def parts(instance_id: str) -> tuple[str, int]:
    """The sentence pair and the step of a decision's id.

    Raises `AuditError` for what is no such id.
    """
    pair, _, step = instance_id.rpartition(".")
    # what `int` reads besides, such as signs, is no step
    if not pair or not (step.isascii() and step.isdigit()):
        raise AuditError(
            f"'{instance_id}' is no decision of a sentence pair: expected the pair's id, a "
            f"dot and a step, such as '{decision_id('0f3a', 7)}'. Delete the table that "
            "has it and run snakemake again to rebuild it."
        )
    return pair, int(step)
