"""attention-audit: does attention, dense or sparse, show which inputs a model used?

The package holds all logic of the workflow and never touches Snakemake. Imports
run one way: figures, inference, measures, attribution and training build on
``model``, which builds on ``encoders``, ``attention`` and ``normalizers``;
``tables``, ``provenance`` and ``errors`` stand on the ground.
"""
