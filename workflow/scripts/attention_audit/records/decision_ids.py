"""Ids of decisions that have their inputs in common, such as the next words of a sentence.

An id is that of what they share and a number: ``0123456789abcdef.007``.
"""


def decision_id(shared: str, step: int) -> str:
    """The id of a decision; ids of one ``shared`` sort by their ``step``."""
    return f"{shared}.{step:03d}"


def parts(instance_id: str) -> tuple[str, int]:
    """What `decision_id` made an id of."""
    shared, _, step = instance_id.rpartition(".")
    return shared, int(step)
