"""What a script reaches in a small package, edit by edit."""

import pytest

from attention_audit.records.definitions import Code
from attention_audit.records.provenance import digest_of

FILES = {
    "job.py": '''
"""A script."""
from attention_audit import tools
from attention_audit.maths import area as surface

with open("x") as file:
    surface(tools.scale(2), file)
''',
    "attention_audit/__init__.py": "",
    "attention_audit/records/__init__.py": "",
    "attention_audit/records/errors.py": '''
class AuditError(Exception):
    """A fault."""

def suggestion(name): return "a word"
''',
    "attention_audit/records/schemas.py": "SCHEMAS = {}\nCOLUMNS = ('a',)\n",
    "attention_audit/tools.py": '''
import logging
import math
from functools import cache, partial

from attention_audit import loaded
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.kinds import KINDS
from attention_audit.maths import square as renamed

logger = logging.getLogger(__name__)
FACTOR, OTHER = 2, 3
UNUSED = partial(print, 1)

def scale(x):
    """Twice."""
    from attention_audit.late import inner
    if x < 0:
        raise AuditError(f"{x} is negative.{suggestion(x)}{describe(x)}")
    logger.info("scaled %s", x)
    return inner(helper(x) * FACTOR, KINDS["round"], loaded.deep.value)

@cache
def helper(x):
    return renamed(x) + math.pi

def describe(x):
    return f"the number {x}"

def spare(x):
    return x
''',
    "attention_audit/maths.py": """
from attention_audit.records.schemas import COLUMNS

def area(x, file): return (x, COLUMNS)

def square(x): return x * x

def cube(x): return x ** 3
""",
    "attention_audit/kinds.py": '''
class Base:
    size = 1

class Round(Base):
    """Round."""
    def __init__(self): self.corners = count()

def count(): return 0

KINDS = {"round": Round}
SPARE = ["spare"]
''',
    "attention_audit/late.py": """
from attention_audit.base import *

def inner(*x): return x
""",
    "attention_audit/base.py": "def star(): return 1\n",
    "attention_audit/loaded/__init__.py": "from attention_audit.loaded import deep\n",
    "attention_audit/loaded/deep.py": """
import antigravity
import sys

TABLE = {}
value = 1
unused = 2

def key(): return "a"

def register(function):
    TABLE[function.__name__] = function
    return function

@register
def registered(): return 3

if sys.flags.dev_mode:
    TABLE["b"] = 1

TABLE[key()] = 4
""",
}


@pytest.fixture
def digest(tmp_path):
    """A function of changed files that gives the digest of the script with them."""

    def written(changes):
        for name, text in {**FILES, **changes}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return digest_of(Code(tmp_path), "job.py")

    return written


def replaced(file: str, old: str, new: str) -> dict[str, str]:
    path = file if file == "job.py" else f"attention_audit/{file}"
    assert FILES[path].count(old) == 1, (file, old)
    return {path: FILES[path].replace(old, new)}


COUNTS = {
    "the script": ("job.py", '"x"', '"y"'),
    "another function by the same name": ("job.py", "area as", "cube as"),
    "a function": ("maths.py", "return (x, COLUMNS)", "return (COLUMNS, x)"),
    "an attribute of a module": ("tools.py", "if x < 0", "if x < 1"),
    "a condition of an error": ("tools.py", "raise AuditError", "raise ValueError"),
    "a function behind a function": ("tools.py", "math.pi", "math.e"),
    "a decorator": ("tools.py", "@cache\n", ""),
    "a function under another name": ("maths.py", "x * x", "x + x"),
    "an import under another name": ("tools.py", "square as", "cube as"),
    "a constant": ("tools.py", "2, 3", "4, 3"),
    "a constant of the schemas": ("records/schemas.py", "('a',)", "('b',)"),
    "a library's name": ("tools.py", "import math\n", "import cmath as math\n"),
    "an import inside a function": ("late.py", "return x", "return x, x"),
    "all that a star imports": ("base.py", "return 1", "return 2"),
    "a registry": ("kinds.py", '{"round": Round}', '{"round": Round, "more": Round}'),
    "a class in a registry": ("kinds.py", "self.corners =", "self.sides ="),
    "a base class": ("kinds.py", "size = 1", "size = 2"),
    "a function behind a class": ("kinds.py", "return 0", "return 1"),
    "a module in a package": ("loaded/deep.py", "value = 1", "value = 2"),
    "a statement that runs on import": ("loaded/deep.py", "] = 4", "] = 5"),
    "a function that such a statement calls": ("loaded/deep.py", '"a"', '"c"'),
    "a condition on import": ("loaded/deep.py", '["b"] = 1', '["b"] = 2'),
    "what a decorator of ours may keep": ("loaded/deep.py", "return 3", "return 4"),
    "an import for its effect": ("loaded/deep.py", "import antigravity\n", ""),
    "a line of the log that does something": (
        "tools.py",
        'logger.info("scaled %s", x)',
        'logger.info("scaled %s", next(x))',
    ),
    "a module handed on": ("job.py", "tools.scale(2)", "tools.scale(2), tools"),
}
NOTHING = {
    "a comment": ("tools.py", "return x\n", "return x  # so\n"),
    "layout": ("tools.py", "helper(x) * FACTOR", "helper( x )*FACTOR"),
    "a docstring": ("tools.py", "Twice", "Two times"),
    "the docstring of a class": ("kinds.py", "Round.", "A circle."),
    "a function that is not reached": ("tools.py", "return x\n", "return -x\n"),
    "a constant that is not reached": ("tools.py", "print, 1", "print, 2"),
    "a new function": ("maths.py", "def cube", "def new(): pass\ndef cube"),
    "a new import": ("kinds.py", "SPARE = [", "import csv\nSPARE = [csv, "),
    "the words of an error": ("tools.py", "is negative", "is below zero"),
    "a function that words an error": ("tools.py", "the number {x}", "number {x}"),
    "the module of errors": ("records/errors.py", "a word", "another word"),
    "a line of the log": ("tools.py", '    logger.info("scaled %s", x)\n', ""),
    "a constant of a loaded module": ("loaded/deep.py", "unused = 2", "unused = 3"),
}


@pytest.mark.parametrize("edit", COUNTS)
def test_an_edit_counts(digest, edit):
    assert digest(replaced(*COUNTS[edit])) != digest({})


@pytest.mark.parametrize("edit", NOTHING)
def test_an_edit_does_not_count(digest, edit):
    assert digest(replaced(*NOTHING[edit])) == digest({})


@pytest.mark.parametrize(
    "unseen",
    [
        'globals()["square"]',
        'eval("square")',
        'sys.modules["attention_audit.maths"]',
        'importlib.import_module("attention_audit.maths")',
        'getattr(attention_audit, "maths")',
        "attention_audit.maths.__dict__",
    ],
)
def test_where_names_cannot_be_followed_all_counts(digest, unseen):
    script = f"import importlib, sys\nimport attention_audit\n{unseen}\n"
    with_square = replaced("maths.py", "x * x", "x + x")
    assert digest({"job.py": script}) != digest({"job.py": script} | with_square)


def test_what_is_chosen_at_run_time_counts_alone(tmp_path, digest):
    script = {"job.py": "import importlib\nimportlib.import_module(snakemake.name)\n"}

    def chosen(changes):
        digest(script | changes)
        return digest_of(Code(tmp_path), "job.py", "maths:square")

    before = chosen({})
    assert chosen(replaced("maths.py", "x * x", "x + x")) != before
    assert chosen(replaced("maths.py", "x ** 3", "x ** 4")) == before
    with pytest.raises(ValueError, match="maths defines no circle"):
        Code(tmp_path).reached("job.py", ["attention_audit.maths:circle"])
