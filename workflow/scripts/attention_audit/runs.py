"""One trained run, and one instance explained: in a notebook or at a prompt.

    from attention_audit.runs import load_run

    run = load_run("results/models/imdb/bilstm/additive/softmax/seed0")
    run.explain("a text that I type")

What a run reads is up to its reader (`text.TextReader`): an object whose ``read`` turns
an instance into a `text.Reading`, ids of units that the model embeds and how each of them
is shown, and to the batch of these. Nothing else here knows that the units are words.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console, ConsoleOptions, RenderResult

from attention_audit.attribution.importance import attributed, load_function
from attention_audit.data.text import TextReader
from attention_audit.data.text_batches import TextBatch
from attention_audit.figures.heatmap import Heatmap, as_html, as_rich, write_page
from attention_audit.methods import METHODS, method_function
from attention_audit.models.decisions import DecisionModel
from attention_audit.models.model import load_model, resolve_device
from attention_audit.models.outputs import exact_outputs
from attention_audit.records.errors import AuditError, suggestion
from attention_audit.records.experiments import split
from attention_audit.records.provenance import file_digest, record
from attention_audit.records.schemas import RUN_COLUMNS
from attention_audit.records.tables import (
    mismatch,
    open_table,
    read_json,
    read_metadata,
)
from attention_audit.statistics.ranks import kendall_tau_b

# The methods of a run that was not audited: those of the default configuration.
DEFAULT_METHODS: dict[str, dict[str, Any]] = {
    "hidden_gradient": {
        "kind": "gradient",
        "of": "hidden_states",
        "attention": "detached",
        "output": None,
    },
    "hidden_leave_one_out": {
        "kind": "leave_one_out",
        "of": "hidden_states",
        "removal": None,
        "output": None,
    },
    "input_gradient": {
        "kind": "gradient",
        "of": "inputs",
        "attention": "detached",
        "output": None,
    },
    "input_leave_one_out": {
        "kind": "leave_one_out",
        "of": "inputs",
        "removal": None,
        "output": None,
    },
}


@dataclass(frozen=True)
class Explanation:
    """What a run makes of one instance of n units, and what mattered to it.

    ``frame`` has a row a unit: ``position`` (from 0), ``token``, ``attention`` and a
    column a method, its importance, not normalized. ``notes`` says in words what has to
    be known to read it. Shown as a heatmap, in a notebook and by ``rich.print``.
    """

    run: Mapping[str, Any]
    instance_id: str
    text: str
    prediction: str
    probabilities: Mapping[str, float]
    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    @property
    def weights(self) -> pd.DataFrame:
        """Attention and every importance: the columns of ``frame`` that hold weights."""
        return self.frame.drop(columns=["position", "token"])

    @property
    def agreement(self) -> dict[str, float]:
        """Kendall's tau-b of attention with every importance; NaN where undefined."""
        rows = self.weights.to_numpy().T[:, None]  # (1 + methods, 1, n)
        mask = np.ones(rows.shape[1:], dtype=bool)
        taus = [float(kendall_tau_b(rows[0], row, mask)[0][0]) for row in rows[1:]]
        return dict(zip(self.weights.columns[1:], taus, strict=True))

    def heatmap(self) -> Heatmap:
        probabilities = (f"{name} {p:.3f}" for name, p in self.probabilities.items())
        agreement = {
            k: f"{k} ({v:.2f})" for k, v in self.agreement.items() if not np.isnan(v)
        }
        return Heatmap(
            title=f"{_path(self.run)}, instance {self.instance_id}",
            prediction=f"{self.prediction} ({', '.join(probabilities)})",
            words=self.frame["token"].tolist(),
            rows={agreement.get(n, n): v.to_numpy() for n, v in self.weights.items()},
            notes=self.notes,
        )

    def _repr_html_(self) -> str:
        return as_html([self.heatmap()])

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        colours = console.color_system is not None and not console.no_color
        yield from as_rich(self.heatmap(), colours)


@dataclass(frozen=True)
class Run:
    """A trained model with all that is needed to explain an instance by it.

    ``settings`` is what settings.json holds: the model's settings, the labels by id, the
    run's identity and how it was trained. ``methods`` are instances as the configuration
    declares them, by name. ``files`` are those that the run was read from.
    """

    model: DecisionModel
    reader: TextReader
    settings: Mapping[str, Any]
    methods: Mapping[str, Mapping[str, Any]]
    files: Sequence[Path]

    @property
    def identity(self) -> dict[str, Any]:
        """Dataset, encoder, scorer, normalizer and seed."""
        return {name: self.settings["run"][name] for name in RUN_COLUMNS}

    @property
    def name(self) -> str:
        """The run as its folders are called: imdb/bilstm/additive/softmax/seed0."""
        return _path(self.identity)

    @property
    def labels(self) -> list[str]:
        """The names of the classes, by id."""
        return list(self.settings["label_names"])

    def explain(self, text: str) -> Explanation:
        """Prediction, attention and every importance of one instance.

        They are those that the pipeline computes, up to rounding: it reads several
        instances at once. Raises `AuditError` where nothing is there to be read.
        """
        reading = self.reader.read(text)
        device = self.model.output.weight.device
        batch = TextBatch.of([reading.instance_id], [reading.token_ids], device)
        with torch.no_grad():
            output = self.model(batch)
        (probabilities,) = exact_outputs(output.logits).tolist()
        weights = {"attention": output.attention}
        for name, declared in self.methods.items():
            parameters = {k: v for k, v in declared.items() if k != "kind"}
            function = load_function(*method_function(declared["kind"]))
            weights[name], _ = attributed(function, self.model, batch, parameters)
        return Explanation(
            self.identity,
            reading.instance_id,
            text,
            self.labels[int(output.logits.argmax())],
            dict(zip(self.labels, probabilities, strict=True)),
            pd.DataFrame(
                {
                    "position": range(len(reading.tokens)),
                    "token": reading.tokens,
                    # in the precision of the pipeline's tables
                    **{name: w[0].cpu().float().numpy() for name, w in weights.items()},
                }
            ),
            reading.notes,
        )


def load_run(
    folder: str | Path,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "cpu",
) -> Run:
    """The run whose model is in ``folder``, such as results/models/{run}.

    ``methods`` are instances as the section ``methods`` of a configuration declares
    them; without any, those that the run was measured by last, with their parameters as
    they were then, and `DEFAULT_METHODS` for a run that was not measured. The data set's
    card and vocabulary are found by what the model's record says of them, and must be
    those that it was trained with. Raises `AuditError` where a part is missing, damaged
    or another's, and where the run reads anything but texts.
    """
    folder = Path(folder)
    _check_folder(folder)
    weights, description = folder / "model.safetensors", folder / "settings.json"
    settings = read_json(description)
    if settings.get("modality", "text") != "text":
        raise AuditError(
            f"{folder}: the run reads a data set of modality {settings['modality']}, and "
            "texts alone can be explained one by one. Name a run on a data set of "
            "modality text."
        )
    model = load_model(weights, description, resolve_device(device))
    inputs = settings.get("provenance", {}).get("inputs", {})
    card, vocabulary = (
        _trained_with(folder, inputs, name) for name in ("card.json", "reading.parquet")
    )
    if methods is None:
        methods = _measured_by(folder, settings["run"])
    return Run(
        model,
        TextReader.of(card, vocabulary),
        settings,
        dict(methods),
        [weights, description, card, vocabulary],
    )


def _path(run: Mapping[str, Any]) -> str:
    *names, seed = (str(run[name]) for name in RUN_COLUMNS)
    return "/".join([*names, f"seed{seed}"])


def _check_folder(folder: Path) -> None:
    """Raise an `AuditError` that names the first part of the path that is not there."""
    for part in [*reversed(folder.parents), folder]:
        if not part.is_dir():
            above = part.parent
            names = sorted(p.name for p in above.iterdir() if p.is_dir())
            known = suggestion(part.name, names) if names else ""
            raise AuditError(
                f"{folder}: no such run: {above} holds no folder '{part.name}'.{known}"
            )
    if not (folder / "settings.json").is_file():
        raise AuditError(
            f"{folder}: holds no settings.json. Name the folder of one trained run, such "
            "as results/models/imdb/bilstm/additive/softmax/seed0."
        )


def _trained_with(folder: Path, inputs: Mapping[str, str], name: str) -> Path:
    """The file ``name`` of a record, in the results of the experiment of ``folder``."""
    by_name = {Path(path).name: path for path in inputs}
    if name not in by_name:
        raise mismatch(folder / "settings.json", f"names no {name} in its record")
    path, digest = by_name[name], inputs[by_name[name]]
    _, inner = split(path) or (None, path)
    for above in (Path.cwd() / folder).parents:
        if (found := above / inner).is_file():
            if file_digest(found) != digest:
                raise mismatch(found, f"is not what {folder} was trained with")
            return Path(os.path.relpath(found))
    raise AuditError(
        f"{folder}: was trained with {path}, which is in no folder above it. Put it back, "
        "or run snakemake to build it."
    )


def _measured_by(folder: Path, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The methods of the run's table of measures; the default ones where there is none."""
    path = Path(_path(run))
    absolute = Path.cwd() / folder
    if absolute.parts[-len(path.parts) - 1 :] != ("models", *path.parts):
        return DEFAULT_METHODS
    results = absolute.parents[len(path.parts)]
    measures = results / "measures" / path.with_name(f"{path.name}.parquet")
    if not measures.is_file():
        return DEFAULT_METHODS
    kinds = {function: kind for kind, function in METHODS.items()}
    methods = {}
    for name in read_metadata(measures)["params"]["methods"]:
        table = results / "attributions" / path / "importance" / f"{name}.parquet"
        params = read_metadata(table)["params"]
        function = tuple(params["function"])
        if function not in kinds:
            raise mismatch(table, f"made by {'.'.join(function)}, which is no method")
        methods[name] = {"kind": kinds[function], **params["settings"]}
    return methods


def read_lines(path: str | Path) -> list[str]:
    """The texts of a file in UTF-8, one a line.

    Raises `AuditError` for a file that cannot be read, and for a line without a text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
    # Only "\n" ends a line: a text may hold what else counts as an end.
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise AuditError(f"{path}, line {number}: holds no text. Take it out.")
    return lines


def write_explanations(
    explanations: Sequence[Explanation], run: Run, folder: str | Path, name: str
) -> tuple[Path, Path]:
    """Write explanations by one run as a table, "explained", and as a page.

    Returns the paths of both. Texts are numbered from 0.
    """
    table, page = Path(folder) / f"{name}.parquet", Path(folder) / f"{name}.html"
    params = {
        "methods": {k: dict(v) for k, v in run.methods.items()},
        "texts": [e.text for e in explanations],
    }
    with open_table(table, "explained", record("explain", params, run.files)) as rows:
        for number, e in enumerate(explanations):
            for subject, weight in e.weights.items():
                rows.write(
                    {
                        **run.identity,
                        "number": number,
                        "instance_id": e.instance_id,
                        "prediction": e.prediction,
                        "position": e.frame["position"].to_numpy(),
                        "token": e.frame["token"].to_list(),
                        "subject": subject,
                        "weight": weight.to_numpy(),
                    }
                )
    write_page([e.heatmap() for e in explanations], page)
    return table, page
