"""Programs in a Python of their own, which has imported nothing yet."""

import os
import subprocess
import sys

# What torch's compiler takes a second to import, of what a program has imported.
PRINT_COMPILER = """
import sys
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def output_of(program: str) -> str:
    """What a program prints, which finds what the tests find."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
