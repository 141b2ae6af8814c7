"""Example pictures of each class of one data set, to see what it holds."""

from attention_audit.data.contact_sheet import draw_sheet
from attention_audit.records.errors import reported

with reported(snakemake.log[0]):
    draw_sheet(snakemake.input.train, snakemake.input.card, snakemake.output.sheet)
