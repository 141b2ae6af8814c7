"""What the repository keeps of the study: small tables, small pictures, what made them.

`collect` takes them from three finished experiments, the grid, the cells whose numbers
papers recorded, and the tests of attention as explanation. All that docs/study.md says is
made of these files alone, see `study_page`. Parts that a user may lack, such as a
treebank or a picture, are left out of the files, and the page says so or does without.
"""

import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
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
from attention_audit.statistics.controls import by_cut, cut_name, is_control
from attention_audit.statistics.random_effects import t_interval
from attention_audit.statistics.verdicts import NOT_TESTED

CELL = ["dataset", "encoder", "scorer", "normalizer"]
ABOUT = ["measure", "subject", "reference"]
INTERVAL = ["low", "high"]

# Decimals of a number; the page has three.
DIGITS = 5

# The roles of the experiments, in the order of the page, and what `make study` calls them.
STUDY = "study"
RECORDED = "recorded"
EXPLANATIONS = "explanations"
PRESETS = {
    STUDY: "study",
    RECORDED: "study_recorded",
    EXPLANATIONS: "study_explanations",
}

# picture -> whose figure it is, and which; a figure that was not drawn is left out
FIGURES = {
    "learning_curve": (STUDY, "learning_curve"),
    "claims": (STUDY, "claims"),
    "dial_own_share": (STUDY, "dial_own_share"),
    "dial_agreement": (STUDY, "dial_agreement"),
    "dial_importance": (STUDY, "dial_importance"),
    "permutation": (EXPLANATIONS, "permutation"),
    "adversarial_attention": (EXPLANATIONS, "adversarial_attention"),
    "adversarial_training": (EXPLANATIONS, "adversarial_training"),
    "guided_models": (EXPLANATIONS, "guided_models"),
}

# Of a picture: colours, the most bytes, and the widths in pixels that are tried for it.
COLORS = 64
MAX_BYTES = 80_000
WIDTHS = (1000, 900, 800, 700, 600)

PROVENANCE = "provenance.json"

CURVE = "statistics/learning_curve.parquet"
CURVE_COLUMNS = [*CELL, "seed", "share", "n_train", "split", "metric", "value"]

# What the figures and sentences of the page show of these tables.
_OF_INFLUENCE = ("coindexed_share", "coindexed_top")
_OF_ATTENTION = ("sparsity", "support_share", "dispersion")
_OF_EXPLANATIONS = ("permutation_difference", "jsd", "tvd", "gain", "flip_never")


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

    def called(self, name: str) -> str:
        """A file of the folder by its path in any checkout."""
        return str(PurePosixPath(results_of(self.config["experiment"])) / name)


def finished(folder: str | Path) -> Finished:
    """The experiment that a folder of results holds."""
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise AuditError(
            f"{path}: no such file. Name the folder of a finished experiment, or run "
            "`make study` to make it."
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


# --- what was run -----------------------------------------------------------------


def _seeds(values: Sequence[int]) -> str:
    return " ".join(map(str, sorted(set(values))))


def _experiments(by_role: Mapping[str, Finished]) -> pd.DataFrame:
    rows = []
    for role, one in by_role.items():
        config, runs = one.config, one.table("runs")
        rows.append(
            {
                "role": role,
                "experiment": config["experiment"],
                "n_runs": len(runs),
                "seeds": _seeds(runs["seed"]),
                "instances": config["audit"]["instances"],
                "instances_influence": config["influence"]["instances"],
                "confidence": config["statistics"]["confidence"],
                "reference": config["statistics"]["reference"],
                "correction": config["statistics"]["correction"],
            }
        )
    return pd.DataFrame(rows)


def _cells(by_role: Mapping[str, Finished]) -> pd.DataFrame:
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
    return str(value).lower() if isinstance(value, bool) else str(value)


def _change(one: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """What an instance has otherwise than another, key by key."""
    ours, theirs = dict(_flat(one)), dict(_flat(base))
    return ", ".join(
        f"{key}: {_told(ours.get(key))} instead of {_told(theirs.get(key))}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    )


def _settings(by_role: Mapping[str, Finished]) -> pd.DataFrame:
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
            told = {} if axis == "dataset" else dict(_flat(declared[name]))
            said = ", ".join(f"{key} {_told(value)}" for key, value in told.items())
            rows.append(
                {
                    "role": role,
                    "axis": axis,
                    "name": name,
                    "settings": said or None,
                    "base": base,
                    "change": base and _change(declared[name], declared[base]),
                }
            )
    return pd.DataFrame(rows)


def _data(one: Finished, names: Sequence[str]) -> pd.DataFrame:
    """What the texts of each data set are, from the cards."""
    rows = []
    for name in names:
        card = read_json(one.folder / f"data/{name}/card.json")
        sizes = {split: sum(card["counts"][split].values()) for split in card["counts"]}
        rows.append(
            {"dataset": name}
            | {f"n_{split}": sizes[split] for split in ("train", "dev", "test")}
            | {
                "n_classes": len(card["label_names"]),
                "max_length": one.config["datasets"][name]["max_length"],
                "tokens": card["length"]["test"]["quantiles"]["0.5"],
                "tokens_before_cut": card["length_before_cut"]["test"]["quantiles"][
                    "0.5"
                ],
                "share_cut": card["truncated"]["test"] / sizes["test"],
            }
        )
    return pd.DataFrame(rows)


def _scores(one: Finished) -> pd.DataFrame:
    """Scores on test, over seeds."""
    task = one.table("task")
    task = task[
        (task["split"] == "test") & task["metric"].isin(["accuracy", "macro_f1"])
    ]
    by_seed = task.groupby([*CELL, "metric"])["value"]
    return by_seed.agg(
        mean="mean", lowest="min", highest="max", n_seeds="count"
    ).reset_index()


# --- the learning curve -----------------------------------------------------------


def _curve(one: Finished) -> pd.DataFrame:
    """Accuracy on test at each size of the training set, a row a run."""
    path = one.folder / CURVE
    found = pq.read_schema(path).names
    if missing := [name for name in CURVE_COLUMNS if name not in found]:
        raise AuditError(
            f"{path}: column '{missing[0]}' is missing; expected "
            f"{', '.join(CURVE_COLUMNS)}. Run snakemake to build it anew."
        )
    rows = pd.read_parquet(path, columns=CURVE_COLUMNS)
    rows = rows[(rows["split"] == "test") & (rows["metric"] == "accuracy")]
    if rows.empty:
        raise AuditError(f"{path}: no row has split test and metric accuracy")
    return rows


def _curve_means(curve: pd.DataFrame) -> pd.DataFrame:
    by_seed = curve.groupby([*CELL, "share"])
    return by_seed.agg(
        n_train=("n_train", "max"), mean=("value", "mean"), n_seeds=("value", "count")
    ).reset_index()


def _gain(curve: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """What all training texts add to the accuracy of half of them, in each cell.

    The mean over seeds of the difference within a seed, with Student's interval over
    seeds; that is null with one seed.
    """
    rows = []
    for cell, part in curve.groupby(CELL):
        wide = part.pivot(index="seed", columns="share", values="value")
        if not {0.5, 1.0} <= set(wide):
            continue
        gains = (wide[1.0] - wide[0.5]).dropna().to_numpy()
        n = len(gains)
        low = high = np.nan
        if n > 1:
            variance = gains.var(ddof=1) / n
            low, high = t_interval(gains.mean(), variance, n - 1, confidence)
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {
                "n_half": part.loc[part["share"] == 0.5, "n_train"].max(),
                "n_all": part.loc[part["share"] == 1.0, "n_train"].max(),
                "gain": gains.mean() if n else np.nan,
                "low": low,
                "high": high,
                "n_seeds": n,
            }
        )
    columns = [*CELL, "n_half", "n_all", "gain", *INTERVAL, "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


# --- what was found ---------------------------------------------------------------

_CLAIM = ["claim", "source", "text", "rule", "side", "bound", "holds"]
_COUNTS = ["n_cells", "n_supported", "n_contradicted", "n_undecided"]


def _claims(claims: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every claim over all cells, in the order in which they are declared; its cells."""
    over = claims["n_cells"].notna()
    known = ["estimate", *INTERVAL, "p_corrected", "verdict"]
    columns = [*_CLAIM, *known, *_COUNTS, "n_seeds", "note", "evidence", "figure"]
    of_cell = ["claim", *CELL, *ABOUT, "less", *known, "n_instances", "n_seeds", "note"]
    return claims.loc[over, columns], claims.loc[~over, of_cell]


def _summary(one: Finished) -> pd.DataFrame:
    """What hidden states owe to their inputs, and importance of inputs and attention.

    Of the controls, the agreement of the reference's attention cut to each normalizer.
    """
    rows = one.table("summary")
    inputs = one.inputs_methods()
    control = rows["normalizer"].map(is_control)
    reference = one.config["statistics"]["reference"]
    cuts = [cut_name(reference, name) for name in one.config["grid"]["normalizers"]]
    attention = rows["subject"] == "attention"
    agreement = (
        (rows["measure"] == "kendall_tau_b")
        & attention
        & rows["reference"].isin(inputs)
        & (~control | rows["normalizer"].isin(cuts))
    )
    weights = rows["measure"].isin(_OF_ATTENTION) & attention
    dispersion = (rows["measure"] == "dispersion") & rows["subject"].isin(inputs)
    influence = rows["measure"].isin(_OF_INFLUENCE)
    return _means(rows[agreement | (~control & (weights | dispersion | influence))])


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    keys = [*ABOUT, *CELL]
    columns = [*keys, "mean", *INTERVAL, "n_instances", "n_seeds", "by_construction"]
    return rows[columns].sort_values(keys, kind="stable")


def _comparison(one: Finished) -> pd.DataFrame:
    """Agreement with inputs less the reference's, and the two parts that a cut makes.

    A row is about the normalizer, or the one that the reference was cut to.
    """
    rows = one.table("comparison")
    rows = rows.assign(normalizer=rows["normalizer"].replace(by_cut(rows)))
    rows = rows[
        rows["contrast"].isin(["normalizer", "cut", "beyond_cut"])
        & (rows["measure"] == "kendall_tau_b")
        & (rows["subject"] == "attention")
        & rows["reference"].isin(one.inputs_methods())
        # of these nothing is cut
        & rows["normalizer"].isin(by_cut(rows).values())
    ]
    keys = ["contrast", *ABOUT, *CELL]
    known = ["difference", *INTERVAL, "p_corrected", "smallest_effect", "verdict"]
    columns = [*keys, *known, "n_seeds", "by_construction"]
    return rows[columns].sort_values(keys, kind="stable")


def _explanation_summary(one: Finished) -> pd.DataFrame:
    """What the experiments measured of attention itself, and of other runs beside it."""
    rows = one.table("explanation_summary")
    rows = rows[
        rows["measure"].isin(_OF_EXPLANATIONS) & ~rows["normalizer"].map(is_control)
    ]
    return _means(rows)


def _recorded(one: Finished) -> pd.DataFrame:
    keys = [*CELL, *ABOUT]
    known = ["recorded", "mean", "difference", *INTERVAL, "beyond"]
    rows = one.table("recorded")[["source", *keys, *known, "n_instances", "n_seeds"]]
    return rows.sort_values(keys, kind="stable")


# --- files ------------------------------------------------------------------------


def _pictured(path: Path) -> bytes:
    """A picture of few colours, as wide as `MAX_BYTES` allow and at most as it is.

    The octree keeps the few pixels of a marker's hue apart from the many greys of
    letters, which the median cut does not; dither would spoil flat colours.
    """
    with Image.open(path) as image:
        whole = image.convert("RGB")
    for width in WIDTHS:
        small = whole
        if whole.width > width:
            height = max(1, round(whole.height * width / whole.width))
            small = whole.resize((width, height), Image.Resampling.LANCZOS)
        few = small.quantize(
            COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
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


def _tables(by_role: Mapping[str, Finished]) -> Collected:
    """Every table of the page, of what there is."""
    study = by_role[STUDY]
    found = Collected()
    grids = [(one, "config.yaml") for one in by_role.values()]
    runs = [(one, "statistics/runs.parquet") for one in by_role.values()]
    found.add("experiments", _experiments(by_role), *grids, *runs)
    found.add("settings", _settings(by_role), *grids)
    found.add("cells", _cells(by_role), *grids, *runs)
    names = [
        name
        for name in study.config["grid"]["datasets"]
        if name in set(study.table("runs")["dataset"])
    ]
    cards = [(study, f"data/{name}/card.json") for name in names]
    found.add("data", _data(study, names), *cards)

    def add(name: str, rows: pd.DataFrame, one: Finished, table: str) -> None:
        found.add(name, rows, (one, f"statistics/{table}.parquet"))

    add("scores", _scores(study), study, "task")
    if study.has(CURVE):
        curve = _curve(study)
        confidence = study.config["statistics"]["confidence"]
        add("learning_curve", _curve_means(curve), study, "learning_curve")
        add("learning_gain", _gain(curve, confidence), study, "learning_curve")
    claims = study.table("claims")
    over, cells = _claims(claims)
    add("claims", over, study, "claims")
    add("claim_cells", cells, study, "claims")
    add("summary", _summary(study), study, "summary")
    add("comparison", _comparison(study), study, "comparison")
    if (recorded := by_role.get(RECORDED)) is not None:
        add("recorded", _recorded(recorded), recorded, "recorded")
    if (explained := by_role.get(EXPLANATIONS)) is not None:
        # what the study's own table has not tested
        untested = claims.loc[claims["verdict"] == NOT_TESTED, "claim"]
        theirs = explained.table("claims")
        over, cells = _claims(theirs[theirs["claim"].isin(untested)])
        add("explanation_claims", over, explained, "claims")
        add("explanation_claim_cells", cells, explained, "claims")
        rows = _explanation_summary(explained)
        add("explanation_summary", rows, explained, "explanation_summary")
    return found


def collect(folders: Mapping[str, str | Path], target: str | Path) -> None:
    """Write the tables and pictures of the page, and what made them, into ``target``.

    ``folders`` are those of finished experiments by role; only the study has to be there.
    What an earlier call has written and this one does not is removed.
    """
    target = Path(target)
    by_role = {role: finished(folders[role]) for role in PRESETS if role in folders}
    names = [one.config["experiment"] for one in by_role.values()]
    if len(set(names)) < len(names):
        raise AuditError(
            f"the experiments of {', '.join(by_role)} are called {', '.join(names)}: "
            "give each a name of its own, the key experiment of its config"
        )
    written: dict[str, bytes] = {}
    sources: dict[str, list[tuple[Finished, str]]] = {}
    for name, (rows, made_of) in _tables(by_role).tables.items():
        text = rows.to_csv(index=False, lineterminator="\n")
        written[f"{name}.csv"] = text.encode()
        sources[f"{name}.csv"] = made_of
    for name, (role, figure) in FIGURES.items():
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
