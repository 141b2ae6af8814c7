"""What a decision is called that a sentence pair shares with others: the pair and a step."""


def decision_id(pair: str, step: int) -> str:
    """The instance of step ``step``, from 0, of a sentence pair."""
    return f"{pair}.{step:03d}"


def parts(instance_id: str) -> tuple[str, int]:
    """The sentence pair and the step of an instance."""
    pair, _, step = instance_id.rpartition(".")
    return pair, int(step)
