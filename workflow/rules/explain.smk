# explain: the tests of attention as explanation, one rule an experiment.

EXPLAIN = f"{RESULTS}/explanations/{RUN}"
# Those that measure the instances of one run of the grid.
MEASURED_HERE = [name for name in EXPERIMENTS_ON if name in MEASURED]


def experiment_settings(name, *but):
    """An experiment's settings without its switch and what else is named."""
    section = config["explanations"][name]
    return {k: v for k, v in section.items() if k not in ("enabled", *but)}


rule permutation:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        table=f"{EXPLAIN}/permutation.parquet",
    log:
        f"{LOGS}/permutation/{RUN}.log",
    benchmark:
        f"{LOGS}/permutation/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "permutation",
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: (
                TORCH
                + 2e-6
                * audited_tokens(w)
                * config["explanations"]["permutation"]["draws"]
            ),
        ),
        gpu=GPUS,
    params:
        **made_by("permute_attention.py", normalizers_of),
        run=identity,
        settings=experiment_settings("permutation"),
        audit=config["audit"],
        device=config["training"]["device"],
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
        f"{LOGS}/adversarial/{RUN}.log",
    benchmark:
        f"{LOGS}/adversarial/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "adversarial",
            mb=lambda w: 700 + 10 * length(w),
            # a step is one pass of the pooling layer for all candidates of a batch
            seconds=lambda w: (
                TORCH
                + 1.5e-5
                * audited_tokens(w, config["explanations"]["adversarial"]["instances"])
                * config["explanations"]["adversarial"]["steps"]
            ),
        ),
        gpu=GPUS,
    params:
        **made_by("search_adversaries.py", normalizers_of),
        run=identity,
        settings=experiment_settings("adversarial", "instances"),
        # The searched instances are the first of the audited ones.
        audit={
            "instances": min(
                config["audit"]["instances"],
                config["explanations"]["adversarial"]["instances"],
            ),
        },
        device=config["training"]["device"],
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
        f"{LOGS}/flips/{RUN}.log",
    benchmark:
        f"{LOGS}/flips/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "flips",
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: TORCH + 1e-4 * audited_tokens(w),
        ),
        gpu=GPUS,
    params:
        **made_by("flip_decisions.py", normalizers_of),
        run=identity,
        settings=experiment_settings("flips"),
        audit=config["audit"],
        device=config["training"]["device"],
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
        importances=expand(IMPORTANCE, method=METHODS, allow_missing=True),
    output:
        table=f"{EXPLAIN}/erasure.parquet",
    log:
        f"{LOGS}/erasure/{RUN}.log",
    benchmark:
        f"{LOGS}/erasure/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "erasure",
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: TORCH + 3e-4 * audited_tokens(w),
            disk_mb=lambda w: 0.1,
        ),
        gpu=GPUS,
    params:
        **made_by("erase_tokens.py", normalizers_of),
        run=identity,
        methods=METHODS,
        settings=experiment_settings("erasure"),
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Erasing what mattered to {THIS_RUN}"
    script:
        "../scripts/erase_tokens.py"


def others_in_seed(wildcards):
    """The runs of the grid that differ from one in the seed alone."""
    own = identity(wildcards)
    cells = [asdict(run) for run in RUNS]
    return [c for c in cells if c != own and c | {"seed": own["seed"]} == own]


def with_uniform_weights(wildcards):
    """The run that differs from one in its weights alone, which are uniform."""
    own = identity(wildcards)
    other = own | {"normalizer": config["explanations"]["uniform"]["normalizer"]}
    return [] if own == other else [other]


def attention_of(runs):
    """The attention tables of the runs that a function of the wildcards names."""
    return lambda wildcards: [ATTENTION.format(**run) for run in runs(wildcards)]


for experiment, runs in {
    "seed_variance": others_in_seed,
    "uniform": with_uniform_weights,
}.items():

    rule:
        name:
            experiment
        input:
            attention=rules.attend.output.attention,
            others=attention_of(runs),
        output:
            table=f"{EXPLAIN}/{experiment}.parquet",
        log:
            f"{LOGS}/{experiment}/{RUN}.log",
        benchmark:
            f"{LOGS}/{experiment}/{RUN}.tsv"
        resources:
            **needs(
                experiment,
                mb=lambda w: 400 + 1e-2 * config["audit"]["instances"] * length(w),
                seconds=lambda w: LIGHT,
            ),
        params:
            **made_by("compare_runs.py"),
            run=identity,
            others=runs,
        message:
            f"{experiment.replace('_', ' ')}: {THIS_RUN} beside others"
        script:
            "../scripts/compare_runs.py"


def divergences_of(wildcards):
    """What adversaries of a run are trained on: KL is infinite for exact zeros."""
    kind = config["normalizers"][wildcards.normalizer]["kind"]
    wanted = config["explanations"]["adversarial_training"]["divergences"]
    return [d for d in wanted if kind == "softmax" or d == "jsd"]


def retraining(name):
    """The section ``training`` with the epochs and patience of an experiment."""
    section = config["explanations"][name]
    own = {key: section[key] for key in ("max_epochs", "patience")}
    return config["training"] | own


ADVERSARY = f"{RESULTS}/adversaries/{RUN}/{{divergence}}/lambda{{weight}}"
ADVERSARIAL_MODEL = {
    "model": f"{ADVERSARY}/model.safetensors",
    "settings": f"{ADVERSARY}/settings.json",
}
DIVERGENCE = f"{ADVERSARY}/divergence.parquet"


rule train_adversary:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        train=rules.prepare.output.train,
        dev=rules.prepare.output.dev,
        test=rules.prepare.output.test,
        vocabulary=rules.prepare.output.vocabulary,
    output:
        **ADVERSARIAL_MODEL,
        table=DIVERGENCE,
    log:
        f"{LOGS}/train_adversary/{RUN}/{{divergence}}/lambda{{weight}}.log",
    benchmark:
        f"{LOGS}/train_adversary/{RUN}/{{divergence}}/lambda{{weight}}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "train_adversary",
            # two models at a time
            mb=lambda w: 300 + training_memory(w),
            seconds=lambda w: (
                2
                * training_seconds(
                    w, config["explanations"]["adversarial_training"]["max_epochs"]
                )
            ),
            disk_mb=lambda w: 2,
        ),
        gpu=GPUS,
    params:
        **made_by("train_adversary.py", normalizers_of),
        run=identity,
        divergence="{divergence}",
        weight=lambda w: float(w.weight),
        training=retraining("adversarial_training"),
        audit=config["audit"],
    message:
        f"Training away from the attention of {THIS_RUN}"
    script:
        "../scripts/train_adversary.py"


def adversaries_of(wildcards):
    """The tables of all adversaries of a run: none where its weights are frozen."""
    if config["normalizers"][wildcards.normalizer]["kind"] == "uniform":
        return []
    return [
        DIVERGENCE.format(**wildcards, divergence=divergence, weight=f"{weight:g}")
        for divergence in divergences_of(wildcards)
        for weight in sorted(config["explanations"]["adversarial_training"]["weights"])
    ]


def guide_of(wildcards):
    """The model whose attention a guided model is given."""
    if wildcards.guide == "attention":
        return [pattern.format(**wildcards) for pattern in MODEL.values()]
    weight = config["explanations"]["diagnostics"]["adversary_weight"]
    # The divergence that exists for every normalizer.
    adversary = {**wildcards, "divergence": "jsd", "weight": f"{weight:g}"}
    return [pattern.format(**adversary) for pattern in ADVERSARIAL_MODEL.values()]


# A guided model by its guide and what else it depends on. One that is given no attention
# does not depend on the encoder of a run, nor with uniform weights on its normalizer:
# runs share it.
GUIDED_BY = {
    "attention": f"{RUN}/{{guide}}",
    "adversary": f"{RUN}/{{guide}}",
    "learned": "{dataset}/{scorer}/{normalizer}/seed{seed}/learned",
    "uniform": "{dataset}/{scorer}/seed{seed}/uniform",
}


def guided_seconds(wildcards):
    """Without context, a model costs half as much as the narrowest encoder."""
    found = size(wildcards)
    tokens = found.of("train", "dev") * found.tokens
    return TORCH + 4e-6 * config["training"]["max_epochs"] * tokens


rule train_guided:
    input:
        **PREPARED,
        guide=guide_of,
    output:
        metrics=f"{RESULTS}/diagnostics/{RUN}/{{guide}}/metrics.json",
    log:
        f"{LOGS}/train_guided/{RUN}/{{guide}}.log",
    benchmark:
        f"{LOGS}/train_guided/{RUN}/{{guide}}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs("train_guided", lambda w: 300 + training_memory(w), guided_seconds),
        gpu=GPUS,
    params:
        **made_by("train_guided.py", normalizers_of),
        guide="{guide}",
        seed=lambda w: int(w.seed),
        encoder=config["encoders"].get(config["explanations"]["diagnostics"]["encoder"]),
        scorer=lambda w: config["scorers"][w.scorer],
        normalizer=lambda w: config["normalizers"][w.normalizer],
        training=config["training"],
    message:
        f"Training on attention ({{wildcards.guide}}) of {THIS_RUN}"
    script:
        "../scripts/train_guided.py"


use rule train_guided as train_learned with:
    input:
        **PREPARED,
    output:
        metrics=f"{RESULTS}/diagnostics/{GUIDED_BY['learned']}/metrics.json",
    log:
        f"{LOGS}/train_guided/{GUIDED_BY['learned']}.log",
    benchmark:
        f"{LOGS}/train_guided/{GUIDED_BY['learned']}.tsv"
    params:
        **made_by(
            "train_guided.py",
            lambda w: normalizer_kinds(config["normalizers"][w.normalizer]["kind"]),
        ),
        guide="learned",
    message:
        "Training without context on {wildcards.dataset}, {wildcards.normalizer}, "
        "seed {wildcards.seed}"


use rule train_guided as train_uniform with:
    input:
        **PREPARED,
    output:
        metrics=f"{RESULTS}/diagnostics/{GUIDED_BY['uniform']}/metrics.json",
    log:
        f"{LOGS}/train_guided/{GUIDED_BY['uniform']}.log",
    benchmark:
        f"{LOGS}/train_guided/{GUIDED_BY['uniform']}.tsv"
    params:
        **made_by("train_guided.py", *normalizer_kinds("uniform")),
        guide="uniform",
        normalizer={"kind": "uniform"},
    message:
        "Training without context on {wildcards.dataset}, uniform weights, "
        "seed {wildcards.seed}"


# The weights of a frozen run are no guide.
GUIDED = [
    asdict(run) | {"guide": guide}
    for run in RUNS
    if config["normalizers"][run.normalizer]["kind"] != "uniform"
    for guide in sorted(config["explanations"]["diagnostics"]["guides"])
]


rule diagnostics:
    input:
        metrics=[
            f"{RESULTS}/diagnostics/{GUIDED_BY[model['guide']]}/metrics.json".format(
                **model
            )
            for model in GUIDED
        ],
    output:
        table=f"{RESULTS}/statistics/diagnostics.parquet",
    log:
        f"{LOGS}/compare/diagnostics.log",
    benchmark:
        f"{LOGS}/compare/diagnostics.tsv"
    resources:
        **needs("diagnostics", lambda w: COMPARE_MB, lambda w: LIGHT),
    params:
        **made_by("tabulate_diagnostics.py"),
        models=GUIDED,
    message:
        "Scores of models on given attention"
    script:
        "../scripts/tabulate_diagnostics.py"


def tables_of(experiment):
    """The tables of an experiment on one run."""
    if experiment == "adversarial_training":
        return adversaries_of
    return [f"{EXPLAIN}/{experiment}.parquet"]


rule measure_explanations:
    input:
        **{name: tables_of(name) for name in MEASURED_HERE},
    output:
        measures=f"{EXPLAIN}/measures.parquet",
    log:
        f"{LOGS}/measure_explanations/{RUN}.log",
    benchmark:
        f"{LOGS}/measure_explanations/{RUN}.tsv"
    resources:
        **needs(
            "measure_explanations",
            mb=lambda w: 300 + 1e-2 * config["audit"]["instances"] * length(w),
            seconds=lambda w: LIGHT + 1.5e-5 * audited_tokens(w),
        ),
    params:
        **made_by("measure_explanations.py"),
        run=identity,
    message:
        f"Measuring the experiments on {THIS_RUN}"
    script:
        "../scripts/measure_explanations.py"


# Of the experiments, erasure alone measures methods.
ERASED = {"methods": METHODS if "erasure" in EXPERIMENTS_ON else []}


rule explanation_summary:
    input:
        measures=of_runs(f"{RESULTS}/explanations/{{run}}/measures.parquet"),
        examples=AUDITED_SPLITS,
    output:
        table=f"{RESULTS}/statistics/explanation_summary.parquet",
    log:
        f"{LOGS}/compare/explanation_summary.log",
    benchmark:
        f"{LOGS}/compare/explanation_summary.tsv"
    resources:
        **needs("explanation_summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("summarise.py"),
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice("interval", "confidence"),
        subjects=ERASED,
        datasets=DATASETS,
    message:
        "Experiments: means with intervals over instances and seeds"
    script:
        "../scripts/summarise.py"


rule explanation_comparison:
    input:
        measures=of_runs(f"{RESULTS}/explanations/{{run}}/measures.parquet"),
        examples=AUDITED_SPLITS,
    output:
        table=f"{RESULTS}/statistics/explanation_comparison.parquet",
    log:
        f"{LOGS}/compare/explanation_comparison.log",
    benchmark:
        f"{LOGS}/compare/explanation_comparison.tsv"
    resources:
        **needs(
            "explanation_comparison", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS
        ),
    params:
        **made_by("compare.py"),
        runs=list(map(asdict, RUNS)),
        statistics=statistics_slice(*OF_COMPARISON),
        subjects=ERASED,
        datasets=DATASETS,
    message:
        "Experiments: every normalizer against the reference"
    script:
        "../scripts/compare.py"


rule explanation_points:
    input:
        measures=of_runs(f"{RESULTS}/explanations/{{run}}/measures.parquet"),
        attention=of_runs(f"{RESULTS}/attributions/{{run}}/attention.parquet"),
    output:
        table=f"{RESULTS}/statistics/explanation_points.parquet",
    log:
        f"{LOGS}/compare/explanation_points.log",
    benchmark:
        f"{LOGS}/compare/explanation_points.tsv"
    resources:
        **needs(
            "explanation_points",
            lambda w: COMPARE_MB,
            lambda w: LIGHT + 1e-4 * AUDITED,
        ),
    params:
        **made_by("pool_points.py"),
        runs=list(map(asdict, RUNS)),
        # measure and reference of what the figures show
        keys_wanted=[
            ["permutation_difference", "shuffled_all"],
            ["jsd", "adversarial"],
            ["jsd", "adversarial_same_support"],
            ["jsd", "other_seeds"],
        ],
    message:
        "Experiments: instances of all runs"
    script:
        "../scripts/pool_points.py"
