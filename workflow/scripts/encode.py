"""Store what an encoder that learns nothing makes of the texts that models are trained on."""

from attention_audit.job import declared_model, split_of, undertaken
from attention_audit.models.encodings import encoded
from attention_audit.models.model import resolve_device
from attention_audit.models.tensors import write_tensors
from attention_audit.models.training import be_repeatable, new_model
from attention_audit.records.errors import reported

with reported(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    provenance = undertaken(snakemake)
    device = resolve_device(params.device)
    be_repeatable(device)
    settings, vectors, _ = declared_model(snakemake)
    # of what is drawn for it, nothing is in a hidden state
    model = new_model(settings, 0, device, vectors)
    for split in ("train", "dev"):
        states = encoded(model, split_of(snakemake, split), device, split)
        write_tensors(output[split], states, provenance)
