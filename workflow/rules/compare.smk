# compare: over instances and seeds. One table a question.

# They read what was measured of every audited instance of every run.
AUDITED = len(RUNS) * config["audit"]["instances"]
COMPARE_MB = 400 + 0.05 * AUDITED
COMPARE_MINUTES = 10 + 1e-6 * AUDITED * config["statistics"]["bootstrap_draws"]

# What a reader has to know of the rows about importance, and their order.
OF_IMPORTANCE = {
    "methods": METHODS,
    "bound": {
        encoder: [
            name
            for name in METHODS
            if bound_to_weights(config["methods"][name], config["encoders"][encoder])
        ]
        for encoder in sorted({run.encoder for run in RUNS})
    },
    "without_context": sorted(
        {
            run.encoder
            for run in RUNS
            if config["encoders"][run.encoder]["kind"] in WITHOUT_CONTEXT
        }
    ),
}


rule runs:
    output:
        table="results/statistics/runs.parquet",
    log:
        "logs/compare/runs.log",
    benchmark:
        "logs/compare/runs.tsv"
    # It reads nothing and takes no time.
    localrule: True
    params:
        **made_by("tabulate_runs.py"),
        runs=[asdict(run) | {"path": run.path} for run in RUNS],
    message:
        "The runs of the grid"
    script:
        "../scripts/tabulate_runs.py"


rule task:
    input:
        metrics=of_runs("results/models/{run}/metrics.json"),
    output:
        table="results/statistics/task.parquet",
    log:
        "logs/compare/task.log",
    benchmark:
        "logs/compare/task.tsv"
    resources:
        mem_mb=memory(lambda w: COMPARE_MB),
        runtime=growing(lambda w: COMPARE_MINUTES),
    params:
        **made_by("tabulate_task.py"),
        runs=list(map(asdict, RUNS)),
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
    resources:
        mem_mb=memory(lambda w: COMPARE_MB),
        runtime=growing(lambda w: COMPARE_MINUTES),
    params:
        **made_by("summarise.py"),
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice("bootstrap_draws", "confidence"),
        subjects=OF_IMPORTANCE,
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
    resources:
        mem_mb=memory(lambda w: COMPARE_MB),
        runtime=growing(lambda w: COMPARE_MINUTES),
    params:
        **made_by("compare.py"),
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice(
            "reference", "bootstrap_draws", "confidence", "correction"
        ),
        subjects=OF_IMPORTANCE,
    message:
        "Every normalizer against the reference, paired by instance"
    script:
        "../scripts/compare.py"


rule head_summary:
    input:
        heads=[
            f"results/attributions/{run.path}/heads.parquet"
            for run in TRANSFORMER_RUNS
        ],
    output:
        table="results/statistics/head_summary.parquet",
    log:
        "logs/compare/head_summary.log",
    benchmark:
        "logs/compare/head_summary.tsv"
    resources:
        mem_mb=memory(lambda w: COMPARE_MB),
        runtime=growing(lambda w: COMPARE_MINUTES),
    params:
        **made_by("summarise_heads.py"),
        runs=list(map(asdict, TRANSFORMER_RUNS)),
        statistics=statistics_slice("bootstrap_draws", "confidence"),
    message:
        "Heads of self-attention over instances and seeds"
    script:
        "../scripts/summarise_heads.py"
