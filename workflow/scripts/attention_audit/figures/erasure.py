"""What the figures of erasure share."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from attention_audit.figures.style import Order, measured, method_style
from attention_audit.statistics.controls import CUT, SOFTMAX, cut_name, softmax_name

# What the controls are called, as subjects beside attention.
CONTROLS = {CUT: "attention of the reference, cut", SOFTMAX: "scores under softmax"}
# Colour and marker of what stands beside the methods, which none of them has.
LOOKS = {
    "attention": {"color": "black", "marker": "p"},
    CUT: {"color": "0.45", "marker": "d"},
    SOFTMAX: {"color": "0.45", "marker": "h"},
    "random": {"color": "0.45", "marker": "x"},
}


def erased(
    summary: pd.DataFrame, measures: Iterable[str], order: Order
) -> pd.DataFrame:
    """The rows of a summary for the measures of erasure, with their model.

    A control stands at the normalizer that it is a control of, as a subject of its own.
    """
    found = [measured(summary, measure, controls=True) for measure in measures]
    rows = pd.concat(found, ignore_index=True)
    names = order["normalizers"]
    controls = {softmax_name(name): (name, SOFTMAX) for name in names} | {
        cut_name(reference, name): (name, CUT) for reference in names for name in names
    }
    where = rows["normalizer"].isin(controls)
    places = rows.loc[where, "normalizer"].map(controls)
    rows.loc[where, "normalizer"] = places.str[0]
    rows.loc[where, "subject"] = places.str[1]
    return rows


def subjects_of(
    order: Order, *controls: str, floor: str = "random"
) -> tuple[dict[str, str], dict[str, Mapping[str, Any]]]:
    """What each ranking is called, in order, and its colour and marker.

    ``floor`` is what all are held against.
    """
    subjects = ["attention", *controls, *order["methods"], floor]
    labels = {
        subject: CONTROLS.get(subject, subject.replace("_", " "))
        for subject in subjects
    }
    looks = LOOKS | {floor: LOOKS["random"]}
    looks |= {name: method_style(name, order) for name in order["methods"]}
    return labels, looks
