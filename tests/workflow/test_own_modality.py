"""A modality of one's own: two modules, its lines of the schema, and a config."""

import re
import shutil
import textwrap
from pathlib import Path

import numpy as np

from attention_audit.records.tables import read_json, read_table
from tests.workflow import project
from tests.workflow.project import replace_in

SERIES = Path(__file__).parent / "series"
PACKAGE = "workflow/scripts/attention_audit"
SCHEMA = "workflow/schemas/config.schema.yaml"
LINE = (
    "- {if: {required: [modality], properties: {modality: {const: series}}}, "
    'then: {$ref: "#/$defs/dataset_series"}}\n'
)
RUN = "rooms/average/additive/sparsemax/seed0"
FIGURE = "results/figures/agreement.png"
PAGE = "results/report/index.html"


def test_two_modules_and_a_config_go_through_every_stage(tmp_path):
    folder = project.clone(tmp_path / "project")
    for module, room in (("data", "data"), ("model", "models")):
        target = folder / PACKAGE / room / "modalities/series.py"
        shutil.copyfile(SERIES / f"{module}.py", target)
    schema = folder / SCHEMA
    others = "enum: [text, images, translation, reactions"
    replace_in(schema, f"{others}]", f"{others}, series]")
    text = schema.read_text(encoding="utf-8")
    last = re.search(r".*dataset_translation\"\}\}\n", text).end()
    text = text[:last] + textwrap.indent(LINE, "      ") + text[last:]
    branch = (SERIES / "schema.yaml").read_text(encoding="utf-8")
    schema.write_text(text + textwrap.indent(branch, "  "), encoding="utf-8")
    shutil.copyfile(SERIES / "config.yaml", folder / "config.yaml")
    rng = np.random.default_rng(0)
    lines = []
    for row in range(90):
        readings = rng.normal(2 * (row % 2), 1, 10).round(3)
        lines.append(",".join([str(row % 2), *map(str, readings)]))
    (folder / "rooms.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    # what the encoders read decides which cells there are
    wanted = [FIGURE, PAGE]
    jobs = project.planned(folder, *wanted)
    assert jobs["train"] == {
        "rooms/average/additive/sparsemax/0",
        "rooms/average/additive/softmax/0",
        "rooms/bilstm/additive/softmax/0",
    }
    refused = RUN.replace("average", "transformer")
    status, output = project.snakemake(
        folder, "-n", f"results/measures/{refused}.parquet"
    )
    assert (
        status and "is of series, which encoders of the kinds average, bilstm" in output
    )

    project.run(folder, "--cores", "2", *wanted)
    assert read_json(folder / f"results/models/{RUN}/metrics.json")["test"]["n"] == 30
    measures = read_table(folder / f"results/measures/{RUN}.parquet", "measures")
    taus = {
        row["reference"]
        for row in measures.to_pylist()
        if row["measure"] == "kendall_tau_b" and row["value"] is not None
    }
    assert "input_leave_one_out" in taus
    assert (folder / FIGURE).stat().st_size > 1000
    assert "rooms" in (folder / PAGE).read_text(encoding="utf-8")
