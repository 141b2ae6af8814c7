"""From the tables of the experiments to measures, a row an (instance, measure)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attention_audit.records import tables
from attention_audit.records.schemas import SCHEMAS
from attention_audit.statistics.in_step import check_run

_COLUMNS = ["instance_id", "measure", "subject", "reference", "value"]


def _measure(
    rows: pd.DataFrame,
    measure: str,
    value: pd.Series | np.ndarray,
    subject: str | pd.Series = "attention",
    reference: str | pd.Series | None = None,
) -> pd.DataFrame:
    return rows[["instance_id"]].assign(
        measure=measure, subject=subject, reference=reference, value=value
    )[_COLUMNS]


def _permutation(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    kind = "shuffled_" + rows["kind"]
    yield _measure(rows, "permutation_difference", rows["difference"], reference=kind)
    yield _measure(rows, "permutation_mass", rows["moved_mass"], reference=kind)
    wide = rows.pivot(index="instance_id", columns="kind", values="difference")
    wide = wide.reindex(rows["instance_id"].unique())
    for prefix, reference in (("", "shuffled_matched"), ("null_", "shuffled_null")):
        within, across = wide[f"{prefix}support"], wide[f"{prefix}border"]
        share = (within / (within + across)).reset_index(name="value")
        yield _measure(share, "permutation_within", share["value"], reference=reference)


def _adversarial(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    names = {"none": "adversarial", "support": "adversarial_same_support"}
    constraint = rows["constraint"].map(names)
    defined = rows["divergence"].notna()
    found = rows["found"].astype(float).where(defined)
    yield _measure(rows, "jsd", rows["divergence"], reference=constraint)
    yield _measure(rows, "adversarial_found", found, reference=constraint)


# Shares of the support at which the survival curve of a decision is looked at.
SURVIVAL_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


def _flips(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    known = rows["never"].notna()
    never = rows["never"].astype(float)
    removed = rows["removed"].astype(float)
    values = {
        ("flip_never", None): never,
        ("flip_share", None): removed / rows["length"],
        ("flip_support_share", None): removed / rows["support"],
    }
    for share in SURVIVAL_SHARES:
        # 0.1 * 20 must count as 2 weights, not as 1 and a rounding error.
        gone = np.floor(share * rows["support"] + 1e-9)
        stands = (removed.isna() | (removed > gone)).astype(float).where(known)
        values["decision_stands", f"without_{share:g}"] = stands
    keys = ["instance_id", "order"]
    for (measure, reference), value in values.items():
        # over the draws of an order, and for shares over those that flip
        mean = value.groupby([rows[key] for key in keys], sort=False).mean()
        mean = mean.rename("value").reset_index()
        yield _measure(mean, measure, mean["value"], mean["order"], reference)


def _erasure(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    (shares,) = {tuple(shares) for shares in rows["shares"]}
    for measure in ("comprehensiveness", "sufficiency"):
        curve = np.stack(rows[measure].to_list())
        yield _measure(rows, measure, curve.mean(1), rows["subject"])
        for share, values in zip(shares, curve.T, strict=True):
            name = np.format_float_positional(share, trim="-")
            yield _measure(rows, measure, values, rows["subject"], f"share_{name}")
        at_support = rows[f"{measure}_at_support"]
        yield _measure(rows, measure, at_support, rows["subject"], "at_support")


def _randomized(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    stage = "randomized_" + rows["stage"]
    yield _measure(rows, "kendall_tau_b", rows["tau_b"], rows["subject"], stage)


def _pairs(rows: pd.DataFrame, reference: str) -> Iterator[pd.DataFrame]:
    # Mean over the other runs; where one is undefined, over those that are not.
    columns = ["jsd", "tvd", "gain"]
    means = rows.groupby("instance_id", sort=False, as_index=False)[columns].mean()
    yield _measure(means, "jsd", means["jsd"], reference=reference)
    yield _measure(means, "tvd", means["tvd"], "prediction", reference)
    # What a seed gains on others these lose: over all of them it is 0 by arithmetic.
    # Scores are not right or wrong.
    if reference != "other_seeds" and means["gain"].notna().any():
        yield _measure(means, "gain", means["gain"], "prediction", reference)


def _adversaries(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    weight = rows["weight"].map("{:g}".format)
    reference = "trained_" + rows["trained_on"] + "_" + weight
    yield _measure(rows, "jsd", rows["jsd"], reference=reference)
    for direction in ("kl_run_adversary", "kl_adversary_run"):
        yield _measure(rows, direction, rows[direction], reference=reference)
    yield _measure(rows, "tvd", rows["tvd"], "prediction", reference)


# experiment -> the schema of its table, and its measures from the table's data frame
EXPERIMENTS = {
    "permutation": ("permutation", _permutation),
    "adversarial": ("adversarial", _adversarial),
    "flips": ("flips", _flips),
    "erasure": ("erasure", _erasure),
    "randomized": ("randomized", _randomized),
    "seed_variance": ("pairs", partial(_pairs, reference="other_seeds")),
    "uniform": ("pairs", partial(_pairs, reference="uniform")),
    "adversarial_training": ("adversaries", _adversaries),
}


def measure_explanations(
    run: Mapping[str, Any], paths: Mapping[str, Sequence[str | Path]]
) -> Iterator[pa.Table]:
    """Yield the measures of every experiment in ``paths``, as tables of "measures".

    Raises `AuditError` where a table belongs to another run.
    """
    schema = SCHEMAS["measures"]
    for experiment, files in paths.items():
        name, measures = EXPERIMENTS[experiment]
        # lists as long as the input are not measured
        columns = [column for column in SCHEMAS[name].names if column != "attention"]
        for path in files:
            table = tables.read_table(path, name, columns)
            check_run(table, run, path)
            if not len(table):
                continue
            for rows in measures(table.to_pandas()):
                yield pa.Table.from_pandas(
                    rows.assign(**run)[schema.names], schema, preserve_index=False
                )


def point_rows(
    run: Mapping[str, Any],
    measures: str | Path,
    attention: str | Path,
    keys: Sequence[tuple[str, str]],
) -> pa.Table:
    """Some measures of one run beside each instance's class and largest weight.

    For figures that show instances, not means. ``keys`` holds the (measure, reference)
    of those wanted. Returns a table of schema
    "explanation_points".
    """
    columns = ["instance_id", "predicted", "attention"]
    instances = tables.read_table(attention, "attention", columns).to_pandas()
    instances["max_attention"] = instances.pop("attention").map(np.max)
    values = tables.read_table(measures, "measures").to_pandas()
    wanted = pd.DataFrame(keys, columns=["measure", "reference"])
    rows = values.merge(wanted).merge(
        instances, on="instance_id", validate="many_to_one"
    )
    schema = SCHEMAS["explanation_points"]
    return pa.Table.from_pandas(
        rows.assign(**run)[schema.names], schema, preserve_index=False
    )
