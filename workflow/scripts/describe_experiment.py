"""The experiment as it was made: its whole config, the commit and the date."""

import yaml

from attention_audit.records.errors import reported
from attention_audit.records.experiments import made_now
from attention_audit.records.provenance import SCRIPTS, record
from attention_audit.records.tables import atomic_path, write_json

with reported(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    provenance = record(snakemake.rule, dict(params.items()), snakemake.input)
    with atomic_path(output.config) as temporary:
        temporary.write_text(
            yaml.safe_dump(params.config, sort_keys=False, allow_unicode=True),
            encoding="utf-8",
        )
    # The only result that depends on the time: SOURCE_DATE_EPOCH sets it.
    about = {
        "experiment": params.config["experiment"],
        # optional data sets whose files are not there
        "left_out": params.left_out,
        **made_now(SCRIPTS),
    }
    write_json(output.about, {**about, "provenance": provenance})
