# explain: the tests of attention as explanation, one rule an experiment.

EXPLAIN = f"results/explanations/{RUN}"
ENABLED = [name for name, section in config["explanations"].items() if section["enabled"]]
# Those that measure the instances of one run of the grid.
MEASURED = [name for name in ENABLED if name in EXPERIMENTS]


def experiment_settings(name):
    """An experiment's settings without its switch."""
    section = config["explanations"][name]
    return {key: value for key, value in section.items() if key != "enabled"}


rule permutation:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        table=f"{EXPLAIN}/permutation.parquet",
    log:
        f"logs/permutation/{RUN}.log",
    benchmark:
        f"logs/permutation/{RUN}.tsv"
    params:
        run=identity,
        settings=experiment_settings("permutation"),
        audit=config["audit"],
        device=config["training"]["device"],
        **made_by("permute_attention.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=1500,
    message:
        f"Shuffling the attention of {THIS_RUN}"
    script:
        "../scripts/permute_attention.py"


rule adversarial:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        table=f"{EXPLAIN}/adversarial.parquet",
    log:
        f"logs/adversarial/{RUN}.log",
    benchmark:
        f"logs/adversarial/{RUN}.tsv"
    params:
        run=identity,
        settings=experiment_settings("adversarial"),
        audit=config["audit"],
        device=config["training"]["device"],
        **made_by("search_adversaries.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=1500,
    message:
        f"Searching other attention for the output of {THIS_RUN}"
    script:
        "../scripts/search_adversaries.py"


rule flips:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        table=f"{EXPLAIN}/flips.parquet",
    log:
        f"logs/flips/{RUN}.log",
    benchmark:
        f"logs/flips/{RUN}.tsv"
    params:
        run=identity,
        settings=experiment_settings("flips"),
        audit=config["audit"],
        device=config["training"]["device"],
        **made_by("flip_decisions.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=1500,
    message:
        f"Flipping the decisions of {THIS_RUN}"
    script:
        "../scripts/flip_decisions.py"


rule erasure:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
        attention=rules.attend.output.attention,
        importances=expand(rules.attribute.output.importance, method=METHODS, allow_missing=True),
    output:
        table=f"{EXPLAIN}/erasure.parquet",
    log:
        f"logs/erasure/{RUN}.log",
    benchmark:
        f"logs/erasure/{RUN}.tsv"
    params:
        run=identity,
        methods=METHODS,
        settings=experiment_settings("erasure"),
        audit=config["audit"],
        device=config["training"]["device"],
        **made_by("erase_tokens.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=2000,
    message:
        f"Erasing what mattered to {THIS_RUN}"
    script:
        "../scripts/erase_tokens.py"


def other_seeds(wildcards):
    """The other seeds of a run's cell of the grid."""
    own = identity(wildcards)
    return [
        run.seed
        for run in RUNS
        if run.seed != own["seed"] and asdict(run) | {"seed": own["seed"]} == own
    ]


def attention_of_other_seeds(wildcards):
    cell = {**wildcards}
    return [
        rules.attend.output.attention.format(**cell | {"seed": seed})
        for seed in other_seeds(wildcards)
    ]


rule seed_variance:
    input:
        attention=rules.attend.output.attention,
        others=attention_of_other_seeds,
    output:
        table=f"{EXPLAIN}/seed_variance.parquet",
    log:
        f"logs/seed_variance/{RUN}.log",
    benchmark:
        f"logs/seed_variance/{RUN}.tsv"
    params:
        run=identity,
        other_seeds=other_seeds,
        **made_by("compare_seeds.py"),
    resources:
        mem_mb=1000,
    message:
        f"Attention of {THIS_RUN} against other seeds"
    script:
        "../scripts/compare_seeds.py"


rule measure_explanations:
    input:
        **{name: f"{EXPLAIN}/{name}.parquet" for name in MEASURED},
    output:
        measures=f"{EXPLAIN}/measures.parquet",
    log:
        f"logs/measure_explanations/{RUN}.log",
    benchmark:
        f"logs/measure_explanations/{RUN}.tsv"
    params:
        run=identity,
        **made_by("measure_explanations.py"),
    resources:
        mem_mb=1000,
    message:
        f"Measuring the experiments on {THIS_RUN}"
    script:
        "../scripts/measure_explanations.py"


rule explanation_summary:
    input:
        measures=of_runs("results/explanations/{run}/measures.parquet"),
    output:
        table="results/statistics/explanation_summary.parquet",
    log:
        "logs/compare/explanation_summary.log",
    benchmark:
        "logs/compare/explanation_summary.tsv"
    params:
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice("bootstrap_draws", "confidence"),
        **made_by("summarise.py"),
    resources:
        mem_mb=2000,
    message:
        "Experiments: means with intervals over instances and seeds"
    script:
        "../scripts/summarise.py"


rule explanation_comparison:
    input:
        measures=of_runs("results/explanations/{run}/measures.parquet"),
    output:
        table="results/statistics/explanation_comparison.parquet",
    log:
        "logs/compare/explanation_comparison.log",
    benchmark:
        "logs/compare/explanation_comparison.tsv"
    params:
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice(
            "reference", "bootstrap_draws", "confidence", "correction"
        ),
        **made_by("compare.py"),
    resources:
        mem_mb=2000,
    message:
        "Experiments: every normalizer against the reference"
    script:
        "../scripts/compare.py"


rule explanation_points:
    input:
        measures=of_runs("results/explanations/{run}/measures.parquet"),
        attention=of_runs("results/attributions/{run}/attention.parquet"),
    output:
        table="results/statistics/explanation_points.parquet",
    log:
        "logs/compare/explanation_points.log",
    benchmark:
        "logs/compare/explanation_points.tsv"
    params:
        runs=list(map(asdict, RUNS)),
        measures=["permutation_difference", "jsd"],
        **made_by("pool_points.py"),
    resources:
        mem_mb=1000,
    message:
        "Experiments: instances of all runs"
    script:
        "../scripts/pool_points.py"
