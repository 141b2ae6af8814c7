"""What stands in a row: a text, and a label that is one of a few classes."""

import ast
import contextlib
import functools
import math
import numbers
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attention_audit.records.errors import AuditError, suggestion

# More labels than this that are numbers are scores. Five are the stars of a review, the
# longest scale whose steps are often taken for classes (SST-5, Yelp).
_MOST_NUMBERS = 5
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")


def clean_label(label: str) -> str:
    """A label or a class's name as it is compared: form C, no white space around it."""
    return unicodedata.normalize("NFC", label).strip()


@functools.lru_cache(maxsize=4096)
def fold(label: str) -> str:
    """What is left of a label where case, width, spaces and invisible signs go.

    Of a whole number written as 1.0, as pandas does where a column has gaps, 1 is left.
    """
    folded = unicodedata.normalize("NFKC", label.casefold())
    seen = (c for c in folded if unicodedata.category(c) != "Cf")
    folded = " ".join("".join(seen).split())
    whole, _, decimals = folded.partition(".")
    return whole if whole.isdecimal() and not decimals.strip("0") else folded


def _unlike(value: Any, where: str, column: str, wanted: str, key: str) -> AuditError:
    """What to say of a value that is neither text nor label, by its shape."""
    fix = f"Name the column of {key}s in source.{key}."
    if not isinstance(value, (bytes, str)) and hasattr(value, "__len__"):
        fix = (
            "A row has one text and one label, each a single value. Pairs of texts, "
            "lists of tokens, several labels a text and spans are not supported: join "
            f"or choose, so that a column holds one {key} a row (docs/terms.md)."
        )
    return AuditError(
        f"{where}: column '{column}' should hold {wanted}, found "
        f"{type(value).__name__} {str(value)[:40]!r}. {fix}"
    )


def as_text(value: Any, where: str, column: str) -> str | None:
    """A text as it stands; null is none."""
    if value is None or isinstance(value, str):
        return value
    raise _unlike(value, where, column, "text", "text")


# Spans [start, end) of the characters of a text.
Spans = list[tuple[int, int]]


def _passage(passage: str, text: str, where: str, column: str) -> tuple[int, int]:
    """The first place of a passage in a text, however its words are spaced."""
    words = map(re.escape, passage.split())
    found = re.search(r"\s+".join(words), text)
    if found is None or not passage.strip():
        raise AuditError(
            f"{where}: the passage {passage[:40]!r} of column '{column}' does not stand in "
            "the text. Give its characters as [start, end), or mend it."
        )
    return found.span()


def as_rationale(value: Any, text: str | None, where: str, column: str) -> Spans | None:
    """Which parts of a text somebody marked: its spans; None where nothing is marked.

    A value is a list: of flags, one for each run of characters between white space; of
    spans [start, end) in characters; or of passages that stand in the text, of which the
    first place counts, however their words are spaced.
    """
    if text is None or value is None:
        return None
    found: Spans | None = None
    if isinstance(value, (list, tuple)):
        if all(isinstance(part, str) for part in value):
            found = [_passage(part, text, where, column) for part in value]
        elif all(part in (0, 1) for part in value):
            words = [word.span() for word in re.finditer(r"\S+", text)]
            if len(words) != len(value):
                raise AuditError(
                    f"{where}: column '{column}' has {len(value)} flags, and the text "
                    f"{len(words)} words between white space. Give one for each."
                )
            found = [span for span, flag in zip(words, value, strict=True) if flag]
        elif all(
            isinstance(part, (list, tuple))
            and len(part) == 2
            and all(isinstance(at, int) for at in part)
            and 0 <= part[0] <= part[1] <= len(text)
            for part in value
        ):
            found = [(start, end) for start, end in value]
    if found is None:
        raise AuditError(
            f"{where}: column '{column}' should hold what is marked in a text of "
            f"{len(text)} characters, found {type(value).__name__} {str(value)[:40]!r}. "
            "Expected a list, in JSON or Parquet, of flags, one a word, of spans "
            "[start, end) in characters, or of passages of the text."
        )
    return found or None


def class_name(value: Any, names: Sequence[str] | None) -> Any:
    """What a ClassLabel of the hub stands for: a name by its position; -1 is hidden."""
    if names is None or value is None:
        return value
    return names[value] if value >= 0 else None


def as_label(value: Any, where: str, column: str) -> str | None:
    """A label as a clean string; 1, 1.0 and "1" are one; null, NaN and "" are none."""
    if value is None:
        return None
    if isinstance(value, str):
        return clean_label(value) or None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        if math.isnan(value):
            return None
        if float(value).is_integer():
            return str(int(value))
        if math.isfinite(value):
            return repr(float(value))
    raise _unlike(value, where, column, "labels (text or numbers)", "label")


def check_class(label: str, seen: Iterable[str], where: str) -> None:
    """Raise an `AuditError` where a label that no one has named stands for no class.

    That are scores, which are many numbers or not whole, and a list written as text.
    ``seen`` are all labels so far, this one too.
    """
    how = (
        'Name the class of each in source.labels, such as {"1": low, "2": low, '
        '"5": high}, which makes bins and leaves out rows with other labels; or write '
        "the class of each row into a column and name that in source.label."
    )
    if label[0] in "[{(" and label[-1] in "]})":
        with contextlib.suppress(ValueError, SyntaxError, RecursionError):
            ast.literal_eval(label)
            raise AuditError(
                f"{where}: the label {label[:40]!r} is a list. A text has one label; "
                f"several, and spans, are not supported (docs/terms.md). {how}"
            )
    if not _NUMBER.fullmatch(label):
        return
    found = sorted(
        (other for other in seen if _NUMBER.fullmatch(other)),
        key=lambda number: float(number.replace(",", ".")),
    )
    whole = float(label.replace(",", ".")).is_integer()
    if not whole or len(found) > _MOST_NUMBERS:
        what = "it is not whole" if not whole else f"there are over {_MOST_NUMBERS}"
        raise AuditError(
            f"{where}: the label '{label}' is a score and no class, for {what}; labels "
            f"found so far: {', '.join(found)}. {how}"
        )


def require_column(where: str, column: str, key: str, found: list[str]) -> None:
    """Raise an `AuditError` unless exactly one column has the name."""
    if found.count(column) > 1:
        raise AuditError(
            f"{where}: {found.count(column)} columns are named '{column}' "
            f"(source.{key}). Rename all but one."
        )
    if column not in found:
        raise AuditError(
            f"{where}: no column '{column}' (source.{key}); found columns: "
            f"{', '.join(found)}.{suggestion(column, found)} One column of each kind is "
            "read (docs/terms.md)."
        )


def label_mapping(labels: Mapping[str, str] | None) -> dict[str, str]:
    """``source.labels`` with clean labels and names; two that are one must agree."""
    cleaned: dict[str, str] = {}
    for label, name in (labels or {}).items():
        label, name = clean_label(label), clean_label(name)
        if not label or not name or cleaned.setdefault(label, name) != name:
            raise AuditError(
                f"source.labels: the label '{label}' or its class '{name}' is empty, or "
                "the label has two classes. White space around either does not count."
            )
    return cleaned
