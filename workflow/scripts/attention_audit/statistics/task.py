"""Task scores of all runs in one table.

Apart from `inference`, so that a changed measure does not touch the scores.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.records.schemas import RUN_COLUMNS


def task_table(
    runs: Sequence[Mapping[str, object]],
    metrics_paths: Sequence[str | Path],
    provenance: Mapping[str, object],
    path: str | Path,
) -> None:
    """Write the table "task": a row a run and metric, from each run's metrics.json.

    Metrics of a split ("dev", "test") carry its name; those of the whole run
    (best_epoch, epochs, parameters, each learned alpha) have none.
    """
    rows = []
    for run, source in zip(runs, metrics_paths, strict=True):
        metrics = tables.read_json(source)
        metrics.pop("provenance", None)
        for split in ("dev", "test"):
            if not isinstance(metrics.get(split), Mapping):
                raise AuditError(
                    f"{source}: expected the metrics of split '{split}', found keys "
                    f"{sorted(metrics)}. Delete the file and run snakemake again to "
                    "rebuild it."
                )
        identity = {column: run[column] for column in RUN_COLUMNS}
        for name in sorted(metrics):
            nested = isinstance(metrics[name], Mapping)
            found = metrics[name] if nested else {name: metrics[name]}
            for metric in sorted(found):
                rows.append(
                    identity
                    | {
                        "split": name if nested else None,
                        "metric": metric,
                        "value": found[metric],
                    }
                )
    tables.write_rows(path, "task", rows, provenance)
