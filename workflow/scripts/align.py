"""Links of one model's attention, its heads and every importance, held against gold."""

from attention_audit.attribution.importance import load_function
from attention_audit.attribution.pair_weights import write_links
from attention_audit.data.audit import audited
from attention_audit.job import audited_model
from attention_audit.models.model import resolve_device
from attention_audit.records.errors import reported
from attention_audit.records.tables import open_table

with reported(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    model, batches, provenance = audited_model(snakemake)
    on_dev = audited(
        inputs.dev,
        inputs.reading,
        params.modality,
        params.dev_pairs,
        resolve_device(params.device),
        name="dev",
    )
    methods = {
        name: (load_function(*its["function"]), its["settings"])
        for name, its in params.methods.items()
    }
    with open_table(snakemake.output.alignment, "alignment", provenance) as table:
        write_links(
            table,
            params.run,
            model,
            methods,
            (batches, inputs.examples),
            (on_dev, inputs.dev),
            inputs.attention,
            dict(zip(methods, inputs.importances, strict=True)),
        )
