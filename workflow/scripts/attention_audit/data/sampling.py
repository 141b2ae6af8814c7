"""How many moments of a recording a decision is made by, as its settings say.

Without numpy, for the config is checked by it.
"""

from fractions import Fraction

from attention_audit.records.errors import AuditError


def rate_and_count(rate: float, span: float, where: str) -> tuple[Fraction, int]:
    """Moments a second, and how many lie in ``span`` seconds.

    Raises `AuditError`, naming ``where``, for moments that lie on no grid.
    """
    exact = Fraction(rate).limit_denominator(1000)
    count = exact * Fraction(span).limit_denominator(1000)
    if 1 not in (exact.numerator, exact.denominator) or exact <= 0:
        raise AuditError(
            f"{where}.rate: {rate:g} moments a second are on no common grid. Set a whole "
            "number of moments a second, or of seconds a moment (0.5, 0.25)."
        )
    if count.denominator != 1 or count < 1:
        raise AuditError(
            f"{where}.span: {span:g} s at {rate:g} moments a second are {float(count):g} "
            "moments. Set a span of a whole number of them, at least 1."
        )
    return exact, int(count)
