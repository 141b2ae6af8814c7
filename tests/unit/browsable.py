"""Made-up results of every modality, as the report's pages to browse them read them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from attention_audit.records import tables
from attention_audit.records.decision_ids import decision_id
from attention_audit.records.schemas import SCHEMAS
from attention_audit.statistics import explorer
from attention_audit.statistics.explorer import Dataset, Files

METHODS = ["input_gradient", "hidden_gradient"]
NORMALIZERS = ["softmax", "sparsemax"]
# What must not become a tag, end a script or an attribute, or turn a line around.
ODD = ["</script><script>window.injected=1</script>", "\"'>&<b", "שלום", "<!--", "a"]
PAIRS, RECORDINGS, PICTURES = "pairs", "recordings", "pictures"
CELLS = [0, 0, 1, 1]


@dataclass
class Results:
    """Where made-up results stand, and what `explorer_tables` is told of them."""

    folder: Path
    runs: list[dict[str, Any]] = field(default_factory=list)
    files: list[Files] = field(default_factory=list)
    references: list[dict[str, Any] | None] = field(default_factory=list)
    datasets: dict[str, Dataset] = field(default_factory=dict)

    @property
    def order(self) -> dict[str, Any]:
        return {
            "datasets": list(self.datasets),
            "encoders": ["enc"],
            "scorers": ["additive"],
            "normalizers": NORMALIZERS,
            "methods": METHODS,
        }

    def gather(self, instances: int = 100) -> tuple[pa.Table, pa.Table]:
        """The tables "explorer" and "explorer_items", also as files below report/."""
        made = self.folder / "report/explorer.parquet"
        items = self.folder / "report/explorer_items.parquet"
        explorer.explorer_tables(
            self.runs,
            self.files,
            self.datasets,
            self.references,
            instances,
            {},
            made,
            items,
        )
        return (
            tables.read_table(made, "explorer"),
            tables.read_table(items, "explorer_items"),
        )


def write(path: Path, schema: str, rows: list[dict[str, Any]]) -> Path:
    """Rows as a table; what they lack is null, or nothing much where that may not be."""
    blank = {pa.string(): "", pa.int32(): 0, pa.int64(): 0, pa.bool_(): True}
    blank |= {pa.float64(): 0.0, pa.float32(): 0.0}
    lacking = {
        f.name: None if f.nullable else blank.get(f.type, []) for f in SCHEMAS[schema]
    }
    tables.write_rows(path, schema, [lacking | row for row in rows], {})
    return path


# Of each modality: its split, and what is decided, (id, inputs, more of the attention).
def _texts(folder: Path, words: list[list[str]]):
    ids = [f"{i:04}" for i in range(len(words))]
    rows = [
        {"instance_id": i, "cluster_id": i, "tokens": own, "length": len(own)}
        for i, own in zip(ids, words, strict=True)
    ]
    split = write(folder / "test.parquet", "examples", rows)
    made = [(i, len(own), {}) for i, own in zip(ids, words, strict=True)]
    return split, {"label_names": ["bad <i>", "good"]}, made


def _pictures(folder: Path):
    pixels = list(range(0, 256, 16))
    row = {"instance_id": "p0", "height": 4, "width": 4, "channels": 1}
    split = write(folder / "test.parquet", "pictures", [row | {"pixels": pixels}])
    card = {"label_names": ["0", "1"], "reading": {"patch": 2}}
    more = {"cell": CELLS, "gold": [True, False, False, True]}
    return split, card, [("p0", 4, more)]


def _pairs(folder: Path):
    pair = {"source_tokens": ["λόγος", "ἦν"], "target_tokens": ["word", "was", "it"]}
    row = {"instance_id": "0a", "origin": "JHN 1:1", **pair}
    split = write(folder / "test.parquet", "sentence_pairs", [row])
    sides = [
        {"side": "source", "tokens": ["?", "?"]},
        {"side": "target", "tokens": ["word", "was", "it"]},
    ]
    write(folder / "reading.parquet", "pair_vocabulary", sides)
    made = [
        (decision_id("0a", step), 2, {"label": step, "gold": [step == 0, step == 1]})
        for step in range(3)
    ]
    return split, {}, made


def _recordings(folder: Path):
    row = {"instance_id": "0b", "recording": "episode <1>"}
    split = write(folder / "test.parquet", "recordings", [row])
    made = [
        (
            decision_id("0b", second, 5),
            3,
            {"times": [-2.0, -1.0, 0.0], "targets": [0.25 * step], "label": None},
        )
        for step, second in enumerate((0, 10, 20))
    ]
    return split, {"reactions": ["laughter"]}, made


def make(folder: Path, words: list[list[str]] | None = None) -> Results:
    """Results of two texts with odd words and others, a picture, a pair, a recording."""
    found = Results(folder)
    texts = [ODD, ["a", "fine", "film"]] if words is None else words
    modalities = {"text": ("texts", lambda at: _texts(at, texts))}
    if words is None:
        modalities |= {
            "images": (PICTURES, _pictures),
            "translation": (PAIRS, _pairs),
            "reactions": (RECORDINGS, _recordings),
        }
    random = np.random.default_rng(0)
    for modality, (name, described) in modalities.items():
        at = folder / f"data/{name}"
        split, card, decisions = described(at)
        tables.write_json(at / "card.json", card)
        found.datasets[name] = Dataset(
            modality, split, at / "card.json", at / "reading.parquet"
        )
        for normalizer in NORMALIZERS:
            run = {"dataset": name, "encoder": "enc", "scorer": "additive"}
            run |= {"normalizer": normalizer, "seed": 0}
            found.runs.append(run)
            found.files.append(_run(folder, run, decisions, random))
            reference = run | {"normalizer": "softmax"}
            found.references.append(None if run == reference else reference)
    return found


def _run(folder: Path, run: dict[str, Any], decisions, random) -> Files:
    path = "/".join([*map(str, list(run.values())[:-1]), f"seed{run['seed']}"])
    attributions, explanations = (
        folder / part / path for part in ("attributions", "explanations")
    )
    attention, importance, influence, adversarial, flips, measures, cuts = (
        [] for _ in range(7)
    )
    for number, (instance, n, more) in enumerate(decisions):
        cell = more.get("cell")
        m = n if cell is None else max(cell) + 1
        of_scores = "targets" in more
        weights = random.dirichlet(np.ones(m))
        if run["normalizer"] == "sparsemax":
            weights = np.where(np.arange(m) == number % m, 1.0, 0.0)
        own = run | {"instance_id": instance, "length": n}
        attention.append(
            own
            | {
                "label": number % 2,
                "predicted": None if of_scores else 1,
                "probabilities": [0.625] if of_scores else [0.25, 0.75, 0.0],
                "attention": weights,
                "scores": weights,
                "support": int((weights > 0).sum()),
            }
            | more
        )
        for method in METHODS:
            size = m if method == "hidden_gradient" else n
            values = random.exponential(1e-3, size)
            importance.append(own | {"method": method, "importance": values})
            of = {"measure": "kendall_tau_b", "subject": "attention"}
            tau = None if number else random.uniform(-1, 1)
            measures.append(own | of | {"reference": method, "value": tau})
            control = own | {"normalizer": f"softmax cut to {run['normalizer']}"}
            cuts.append(control | of | {"reference": method, "value": number / 10})
        matrix = random.exponential(1, (m, n)).tolist()
        influence.append(own | {"matrix": matrix if number == 0 else None})
        far = {"divergence": 0.5, "attention": np.eye(m)[-1], "constraint": "none"}
        adversarial.append(own | far | {"found": True})
        adversarial.append(own | far | {"found": False, "constraint": "support"})
        for order in ("attention", "random"):
            flip = {"order": order, "removed": 1, "never": False}
            flips.append(own | flip)
    by_method = {
        method: write(
            attributions / f"importance/{method}.parquet",
            "importance",
            [row for row in importance if row["method"] == method],
        )
        for method in METHODS
    }
    return Files(
        write(attributions / "attention.parquet", "attention", attention),
        by_method,
        write(attributions / "influence.parquet", "influence", influence),
        write(folder / f"measures/{path}.parquet", "measures", measures),
        write(explanations / "adversarial.parquet", "adversarial", adversarial),
        write(explanations / "flips.parquet", "flips", flips),
        write(folder / f"controls/{path}/cut.parquet", "measures", cuts),
    )
