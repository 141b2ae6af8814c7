"""Experiments that change attention, or the input, and look at what the output does.

One module an experiment. Each has a ``write_...`` function that fills the
experiment's table for one model; `attention_audit.statistics.explanations` turns the tables into
measures.
"""
