"""What the report draws with: charts by Vega-Lite, tables by DataTables.

Both come with packages of Python, pinned as all others are, and go into the page whole.
"""

import re
from importlib import metadata, resources
from typing import NamedTuple

# Distributions that bring the libraries, what they are, and their licences.
BRINGS = {
    "vl-convert-python": "Vega, Vega-Lite and Vega-Embed, BSD-3-Clause; from "
    "vl-convert-python {version}, BSD-3-Clause",
    "itables": "DataTables and jQuery, MIT, with Lucide's icons, ISC; from itables {version}, "
    "MIT",
}


class Libraries(NamedTuple):
    """Modules for a page's script elements, a style sheet, and licences in words."""

    scripts: list[str]
    style: str
    licences: list[str]


def with_global(module: str, name: str) -> str:
    """A bundled module that leaves what it exports by default in ``window[name]``.

    An inline module can be imported by nobody.
    """
    (exported,) = re.findall(r"export\s*\{([^}]*)\}", module)
    (own,) = re.findall(r"([\w$]+) as default\b", exported)
    return f"{module}\nwindow.{name} = {own};\n"


def libraries() -> Libraries:
    """Those that are installed."""
    import vl_convert

    bundled = resources.files("itables") / "html"
    datatables, style = (
        (bundled / f"dt_bundle.{kind}").read_text(encoding="utf-8")
        for kind in ("js", "css")
    )
    return Libraries(
        [vl_convert.javascript_bundle(), with_global(datatables, "DataTable")],
        style,
        [said.format(version=metadata.version(name)) for name, said in BRINGS.items()],
    )
