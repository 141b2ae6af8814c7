# compare: over instances and seeds. One table a question.


rule task:
    input:
        metrics=of_runs("results/models/{run}/metrics.json"),
    output:
        table="results/statistics/task.parquet",
    log:
        "logs/compare/task.log",
    benchmark:
        "logs/compare/task.tsv"
    params:
        runs=list(map(asdict, RUNS)),
        **made_by("tabulate_task.py"),
    resources:
        mem_mb=1000,
    message:
        "Task scores of all runs"
    script:
        "../scripts/tabulate_task.py"


rule summary:
    input:
        measures=of_runs("results/measures/{run}.parquet"),
    output:
        table="results/statistics/summary.parquet",
    log:
        "logs/compare/summary.log",
    benchmark:
        "logs/compare/summary.tsv"
    params:
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice("bootstrap_draws", "confidence"),
        **made_by("summarise.py"),
    resources:
        mem_mb=2000,
    message:
        "Means with intervals over instances and seeds"
    script:
        "../scripts/summarise.py"


rule comparison:
    input:
        measures=of_runs("results/measures/{run}.parquet"),
    output:
        table="results/statistics/comparison.parquet",
    log:
        "logs/compare/comparison.log",
    benchmark:
        "logs/compare/comparison.tsv"
    params:
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice(
            "reference", "bootstrap_draws", "confidence", "correction"
        ),
        **made_by("compare.py"),
    resources:
        mem_mb=2000,
    message:
        "Every normalizer against the reference, paired by instance"
    script:
        "../scripts/compare.py"
