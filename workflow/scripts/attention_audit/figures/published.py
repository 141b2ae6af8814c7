"""What the repository keeps of finished experiments, for a page of what was found.

Small tables, small pictures, and what made them: all that such a page says is made of
these files alone, see `published_page`. Parts that a user may lack, such as a treebank
or a picture, are left out of the files, and the page says so or does without.
"""

import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from attention_audit.methods import hidden_methods
from attention_audit.records.errors import AuditError
from attention_audit.records.experiments import results_of
from attention_audit.records.provenance import file_digest
from attention_audit.records.tables import (
    atomic_path,
    read_json,
    read_metadata,
    read_table,
    write_json,
)
from attention_audit.records.unique_keys import read_yaml
from attention_audit.statistics.controls import is_control

CELL = ["dataset", "encoder", "scorer", "normalizer"]
ABOUT = ["measure", "subject", "reference"]
INTERVAL = ["low", "high"]

# Decimals of a number; the page has three.
DIGITS = 5

# Of a picture: colours, and greys in the place of those that have no more of a hue; the most
# bytes, and the widths in pixels that are tried for it.
COLORS = 64
GREYS = 32
HUE = 12
MAX_BYTES = 80_000
WIDTHS = (1000, 900, 800, 700, 600)

PROVENANCE = "provenance.json"

_CARD = "data/{}/card.json"


@dataclass(frozen=True)
class Finished:
    """The results of an experiment, and the config that made them."""

    folder: Path
    config: Mapping[str, Any]

    def has(self, name: str) -> bool:
        """Whether there is a file ``name`` below the folder."""
        return (self.folder / name).is_file()

    def table(self, name: str) -> pd.DataFrame:
        """A table of statistics."""
        return read_table(self.folder / f"statistics/{name}.parquet", name).to_pandas()

    def inputs_methods(self) -> list[str]:
        """The methods whose importance is of inputs."""
        hidden = hidden_methods(self.config["methods"])
        return [name for name in self.config["methods"] if name not in hidden]

    def datasets(self) -> list[str]:
        """The data sets of the grid that have runs, in its order."""
        ran = set(self.table("runs")["dataset"])
        return [name for name in self.config["grid"]["datasets"] if name in ran]

    def left_out(self) -> list[str]:
        """The optional data sets that the grid went without, for lack of their files."""
        return read_json(self.folder / "experiment.json").get("left_out", [])

    def called(self, name: str) -> str:
        """A file of the folder by its path in any checkout."""
        return str(PurePosixPath(results_of(self.config["experiment"])) / name)


def finished(folder: str | Path, command: str) -> Finished:
    """The experiment that a folder of results holds; ``command`` is what makes it."""
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise AuditError(
            f"{path}: no such file. Name the folder of a finished experiment, or run "
            f"`{command}` to make it."
        )
    return Finished(Path(folder), read_yaml(path))


@dataclass
class Collected:
    """Tables by name, each with the files that it is from."""

    tables: dict[str, tuple[pd.DataFrame, list[tuple[Finished, str]]]] = field(
        default_factory=dict
    )

    def add(
        self, name: str, rows: pd.DataFrame, *sources: tuple[Finished, str]
    ) -> None:
        """Take a table in, whole numbers as such and others rounded."""
        rows = rows.reset_index(drop=True)
        for column in rows.select_dtypes("float"):
            values = rows[column].round(DIGITS) + 0.0
            whole = column.startswith("n_") or column.startswith("instances")
            rows[column] = values.astype("Int64") if whole else values
        self.tables[name] = (rows, list(sources))

    def add_statistics(
        self, name: str, rows: pd.DataFrame, one: Finished, table: str
    ) -> None:
        """Take in what was made of one table of statistics."""
        self.add(name, rows, (one, f"statistics/{table}.parquet"))

    def add_claims(self, rows: pd.DataFrame, one: Finished, before: str = "") -> None:
        """Take in rows of the table of claims: each over all cells, and its cells."""
        over, cells = _claims_tables(rows)
        self.add_statistics(f"{before}claims", over, one, "claims")
        self.add_statistics(f"{before}claim_cells", cells, one, "claims")

    def add_data(
        self,
        one: Finished,
        told: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]],
        before: str = "",
    ) -> None:
        """Take in the data sets that have runs: sizes, classes, and what is ``told``.

        That is made of the settings of a data set and its card. The number of classes is
        null where a decision is a word.
        """
        names = one.datasets()
        rows = []
        for name in names:
            card = read_json(one.folder / _CARD.format(name))
            sizes = {
                f"n_{split}": sum(card["counts"][split].values())
                for split in ("train", "dev", "test")
            }
            labels = card.get("label_names")
            sizes["n_classes"] = None if labels is None else len(labels)
            rows.append(
                {"dataset": name, **sizes} | told(one.config["datasets"][name], card)
            )
        cards = [(one, _CARD.format(name)) for name in names]
        self.add(f"{before}data", pd.DataFrame(rows), *cards)


@dataclass(frozen=True)
class Kept:
    """What a page keeps: of which experiments, and which figures and tables of them.

    ``roles`` holds, in the order of the page, what its ``command`` calls each experiment;
    only the first has to be there. ``figures`` says of each picture whose figure it is,
    by role, and which; one that was not drawn is left out.
    """

    roles: Mapping[str, str]
    figures: Mapping[str, tuple[str, str]]
    tables: Callable[[Mapping[str, Finished]], Collected]
    command: str


# --- tables of any experiment ---------------------------------------------------------


def _seeds(values: Sequence[int]) -> str:
    return " ".join(map(str, sorted(set(values))))


def experiments_table(by_role: Mapping[str, Finished]) -> pd.DataFrame:
    rows = []
    for role, one in by_role.items():
        config, runs = one.config, one.table("runs")
        rows.append(
            {
                "role": role,
                "experiment": config["experiment"],
                "n_runs": len(runs),
                "seeds": _seeds(runs["seed"]),
                "left_out": " ".join(one.left_out()) or None,
                "instances": config["audit"]["instances"],
                "instances_influence": config["influence"]["instances"],
                "confidence": config["statistics"]["confidence"],
                "reference": config["statistics"]["reference"],
                "correction": config["statistics"]["correction"],
            }
        )
    return pd.DataFrame(rows)


def cells_table(by_role: Mapping[str, Finished]) -> pd.DataFrame:
    """Every cell of the grids, with its seeds; null where the grid leaves it out."""
    rows = []
    for role, one in by_role.items():
        runs = one.table("runs")
        seeds = runs.groupby(CELL)["seed"].agg(_seeds).to_dict()
        axes = [one.config["grid"][f"{axis}s"] for axis in CELL]
        for cell in itertools.product(*axes):
            named = dict(zip(CELL, cell, strict=True))
            rows.append({"role": role} | named | {"seeds": seeds.get(cell)})
    return pd.DataFrame(rows)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return f"({', '.join(f'{key} {_told(one)}' for key, one in value.items())})"
    if isinstance(value, list):
        return " ".join(map(_told, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def told_settings(settings: Mapping[str, Any]) -> str | None:
    """Settings in words, key by key; None of none."""
    said = (f"{key} {_told(value)}" for key, value in _flat(settings))
    return ", ".join(said) or None


def _change(one: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """What an instance has otherwise than another, key by key."""
    ours, theirs = dict(_flat(one)), dict(_flat(base))
    return ", ".join(
        f"{key}: {_told(ours.get(key))} instead of {_told(theirs.get(key))}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    )


def settings_table(by_role: Mapping[str, Finished]) -> pd.DataFrame:
    """The instances of the grids in their order, and what sets variants apart.

    A variant is called as the instance that it is a variant of, ``base``, with more
    behind an underscore.
    """
    rows = []
    for (role, one), axis in itertools.product(by_role.items(), CELL):
        names = one.config["grid"][f"{axis}s"]
        declared = one.config[f"{axis}s"]
        for name in names:
            base = max(
                (other for other in names if name.startswith(f"{other}_")),
                key=len,
                default=None,
            )
            # of a data set the table "data" tells
            told = {} if axis == "dataset" else declared[name]
            rows.append(
                {
                    "role": role,
                    "axis": axis,
                    "name": name,
                    "settings": told_settings(told),
                    "base": base,
                    "change": base and _change(declared[name], declared[base]),
                }
            )
    return pd.DataFrame(rows)


def scores_table(
    one: Finished, metrics: Sequence[str] = ("accuracy", "macro_f1")
) -> pd.DataFrame:
    """Scores on test, over seeds."""
    task = one.table("task")
    task = task[(task["split"] == "test") & task["metric"].isin(metrics)]
    by_seed = task.groupby([*CELL, "metric"])["value"]
    return by_seed.agg(
        mean="mean", lowest="min", highest="max", n_seeds="count"
    ).reset_index()


def models_table(one: Finished) -> pd.DataFrame:
    """Parameters and epochs of a cell, the means over seeds."""
    task = one.table("task")
    names = {"parameters": "n_parameters", "epochs": "epochs", "best_epoch": "best"}
    task = task[task["split"].isna() & task["metric"].isin(names)]
    by_cell = task.pivot_table("value", CELL, "metric")
    return by_cell[list(names)].rename(columns=names).reset_index()


_CLAIM = ["claim", "source", "text", "rule", "side", "bound", "holds"]
_COUNTS = ["n_cells", "n_supported", "n_contradicted", "n_undecided"]


def _claims_tables(claims: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every claim over all cells, in the order in which they are declared; its cells."""
    over = claims["n_cells"].notna()
    known = ["estimate", *INTERVAL, "p_corrected", "verdict"]
    columns = [*_CLAIM, *known, *_COUNTS, "n_seeds", "note", "evidence", "figure"]
    of_cell = ["claim", *CELL, *ABOUT, "less", *known, "n_instances", "n_seeds", "note"]
    return claims.loc[over, columns], claims.loc[~over, of_cell]


def means(rows: pd.DataFrame) -> pd.DataFrame:
    keys = [*ABOUT, *CELL]
    columns = [*keys, "mean", *INTERVAL, "n_instances", "n_seeds", "by_construction"]
    return rows[columns].sort_values(keys, kind="stable")


def explanations_table(
    one: Finished,
    tests: Mapping[str, tuple[Sequence[str], Sequence[str | None]]],
) -> pd.DataFrame:
    """What the tests of attention as explanation come to.

    ``tests`` holds by measure the subjects and references that are wanted, null of none.
    """
    rows = one.table("explanation_summary")
    keys = zip(rows["measure"], rows["subject"], rows["reference"], strict=True)
    chosen = []
    for measure, subject, reference in keys:
        subjects, references = tests.get(measure, ((), ()))
        of = None if pd.isna(reference) else reference
        chosen.append(subject in subjects and of in references)
    return means(
        rows[pd.Series(chosen, rows.index) & ~rows["normalizer"].map(is_control)]
    )


def run_tables(by_role: Mapping[str, Finished]) -> Collected:
    """What was run: the experiments, the instances of their grids, and the cells."""
    found = Collected()
    grids = [(one, "config.yaml") for one in by_role.values()]
    runs = [(one, "statistics/runs.parquet") for one in by_role.values()]
    found.add("experiments", experiments_table(by_role), *grids, *runs)
    found.add("settings", settings_table(by_role), *grids)
    found.add("cells", cells_table(by_role), *grids, *runs)
    return found


# --- files ------------------------------------------------------------------------


def _pictured(path: Path) -> bytes:
    """A picture of few colours, as wide as `MAX_BYTES` allow and at most as it is.

    The octree keeps the few pixels of a marker's hue apart from the many greys of
    letters, which the median cut does not. Of greys it has few, and takes those of small
    weights for white, so that greys in even steps stand in their place. Dither would spoil
    flat colours.
    """
    greys = [round(255 * i / (GREYS - 1)) for i in range(GREYS) for _ in "rgb"]
    palette = Image.new("P", (1, 1))
    with Image.open(path) as image:
        whole = image.convert("RGB")
    for width in WIDTHS:
        small = whole
        if whole.width > width:
            height = max(1, round(whole.height * width / whole.width))
            small = whole.resize((width, height), Image.Resampling.LANCZOS)
        octree = small.quantize(COLORS, method=Image.Quantize.FASTOCTREE)
        hues = np.reshape(octree.getpalette(), (-1, 3))
        hues = hues[np.ptp(hues, axis=1) > HUE]
        palette.putpalette([*hues.ravel().tolist(), *greys])
        few = small.quantize(palette=palette, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        few.save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()


def _made_by(one: Finished, name: str) -> dict[str, Any]:
    """Digests of a source and of what made it, as its metadata has it.

    ``config`` is the digest of all its rule's params but code and libraries; of the
    config of an experiment, which no rule's params are, the commit is told.
    """
    path = one.folder / name
    made = {"sha256": file_digest(path)}
    if name == "config.yaml":
        about = read_json(one.folder / "experiment.json")
        return made | {"commit": about["commit"], "changed": about["changed"]}
    if path.suffix == ".json":
        record = read_json(path)["provenance"]
    else:
        # a picture has beside it the table of the numbers that it shows
        record = read_metadata(path.with_suffix(".parquet"))
    params = dict(record["params"])
    code, libraries = params.pop("code", None), params.pop("libraries", {})
    seeds = {
        run["seed"]
        for runs in (params.get("runs", []), params.get("points", []))
        for run in runs
    }
    sliced = json.dumps(params, sort_keys=True).encode()
    return made | {
        "rule": record["rule"],
        "code": code,
        "config": hashlib.sha256(sliced).hexdigest(),
        "libraries": libraries,
        "seeds": sorted(seeds),
        "versions": record["versions"],
    }


def collect(kept: Kept, folders: Mapping[str, str | Path], target: str | Path) -> None:
    """Write the tables and pictures of a page, and what made them, into ``target``.

    ``folders`` are those of finished experiments by role. What an earlier call has
    written and this one does not is removed.
    """
    target = Path(target)
    by_role = {
        role: finished(folders[role], kept.command)
        for role in kept.roles
        if role in folders
    }
    names = [one.config["experiment"] for one in by_role.values()]
    if len(set(names)) < len(names):
        raise AuditError(
            f"the experiments of {', '.join(by_role)} are called {', '.join(names)}: "
            "give each a name of its own, the key experiment of its config"
        )
    written: dict[str, bytes] = {}
    sources: dict[str, list[tuple[Finished, str]]] = {}
    for name, (rows, made_of) in kept.tables(by_role).tables.items():
        text = rows.to_csv(index=False, lineterminator="\n")
        written[f"{name}.csv"] = text.encode()
        sources[f"{name}.csv"] = made_of
    for name, (role, figure) in kept.figures.items():
        source = f"figures/{figure}.png"
        if role in by_role and by_role[role].has(source):
            written[f"{name}.png"] = _pictured(by_role[role].folder / source)
            sources[f"{name}.png"] = [(by_role[role], source)]
    made = {
        "files": {
            name: {
                "sha256": hashlib.sha256(content).hexdigest(),
                "from": [one.called(source) for one, source in sources[name]],
            }
            for name, content in written.items()
        },
        "sources": {
            one.called(source): _made_by(one, source)
            for made_of in sources.values()
            for one, source in made_of
        },
    }
    index = target / PROVENANCE
    earlier = read_json(index)["files"] if index.is_file() else {}
    for name in earlier.keys() - written.keys():
        (target / name).unlink(missing_ok=True)
    for name, content in written.items():
        with atomic_path(target / name) as temporary:
            temporary.write_bytes(content)
    write_json(index, made)
