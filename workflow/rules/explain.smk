# explain: the tests of attention as explanation.

EXPLAIN = f"{RESULTS}/explanations/{RUN}"
# Those that measure the instances of one run of the grid.
MEASURED_HERE = [name for name in EXPERIMENTS_ON if name in MEASURED]


def experiment_settings(name, *but):
    """An experiment's settings without its switch and what else is named."""
    section = config["explanations"][name]
    return {k: v for k, v in section.items() if k not in ("enabled", *but)}


def normalizers_of_controls(wildcards):
    """Those of a run and of its reference run."""
    return sorted({*normalizers_of(wildcards), *normalizer_kinds(KINDS[REFERENCE])})


# What changes the attention, the texts or the model of a run and asks again, by name. What
# all of these have in common stands in `intervention`, which names and explains the keys.
INTERVENTIONS = {
    "permutation": {
        "by": "permute_attention.py",
        "doing": "Shuffling the attention of",
        "seconds": lambda w: (
            TORCH
            + 2e-6 * audited_tokens(w) * config["explanations"]["permutation"]["draws"]
        ),
    },
    "adversarial": {
        "by": "search_adversaries.py",
        "doing": "Searching other attention for the output of",
        # a step is one pass of the pooling layer for all candidates of a batch
        "seconds": lambda w: (
            TORCH
            + 1.5e-5
            * audited_tokens(w, config["explanations"]["adversarial"]["instances"])
            * config["explanations"]["adversarial"]["steps"]
        ),
        "settings": experiment_settings("adversarial", "instances"),
        # The searched instances are the first of the audited ones.
        "audit": {
            "instances": min(
                config["audit"]["instances"],
                config["explanations"]["adversarial"]["instances"],
            ),
        },
    },
    "flips": {
        "by": "flip_decisions.py",
        "doing": "Flipping the decisions of",
        "seconds": lambda w: TORCH + 1e-4 * audited_tokens(w),
    },
    "erasure": {
        "by": "erase_tokens.py",
        "doing": "Erasing what mattered to",
        "seconds": lambda w: TORCH + 3e-4 * audited_tokens(w),
        "disk_mb": lambda w: 0.1,
        "inputs": {
            "attention": rules.attend.output.attention,
            "importances": importances_of,
        },
        "told": {"methods": methods_of},
    },
    "randomized": {
        "by": "randomize_parameters.py",
        "doing": "Randomizing the parameters of",
        # the trained model and one a stage
        "seconds": lambda w: (
            TORCH
            + 5
            * sum(
                method_seconds(
                    w, method, config["explanations"]["randomized"]["instances"]
                )
                for method in methods_of(w)
            )
        ),
        # six models at a time, with the one that the random parts are taken from
        "mb": lambda w: 900 + 10 * length(w),
        "chosen": lambda w: [*all_methods(w), *normalizers_of(w)],
        "told": {"methods": told_methods},
        "settings": experiment_settings("randomized", "instances"),
        # The explained instances are the first of the audited ones.
        "audit": {
            "instances": min(
                config["audit"]["instances"],
                config["explanations"]["randomized"]["instances"],
            ),
        },
    },
    "erase_controls": {
        "by": "erase_controls.py",
        "doing": "Erasing by the controls of",
        "seconds": lambda w: TORCH + 8e-5 * audited_tokens(w),
        # two models at a time
        "mb": lambda w: 800 + 10 * length(w),
        "disk_mb": lambda w: 0.1,
        "inputs": {
            "attention": rules.attend.output.attention,
            "reference_model": of_reference(rules.train.output.model),
            "reference_settings": of_reference(rules.train.output.settings),
            "reference_attention": of_reference(ATTENTION),
        },
        "outputs": {
            "cut": f"{CONTROL}/erasure_cut.parquet",
            "softmax": f"{CONTROL}/erasure_softmax.parquet",
        },
        "only": {"normalizer": WITH_CONTROLS},
        "chosen": normalizers_of_controls,
        "told": {"reference": REFERENCE},
        # The floor does not depend on what ranks the tokens.
        "settings": experiment_settings("erasure", "random_orders"),
    },
}


def intervention(
    name,
    by,
    doing,
    seconds,
    mb=lambda w: 700 + 10 * length(w),
    disk_mb=lambda w: 0.02,
    inputs={},
    outputs={},
    only={},
    chosen=normalizers_of,
    told={},
    settings=None,
    audit=config["audit"],
):
    """The rule ``name`` of one experiment on a run, made ``by`` a script.

    ``doing`` is what its message says it does to the run; ``seconds``, ``mb`` and
    ``disk_mb`` are those of `needs`. Beside what all read, ``inputs``; ``outputs`` where
    they are not one table, ``only`` the constraints of its wildcards. ``chosen`` is what
    the script picks at run time, ``told`` what params it has beside those of all.
    ``settings`` are all of its section unless they are given.
    """

    # A function and not a loop, for Snakemake looks the script up when a job starts.
    rule:
        name:
            name
        input:
            **{
                "model": rules.train.output.model,
                "settings": rules.train.output.settings,
                "pretrained": pretrained_of,
                "examples": rules.prepare.output.test,
                "reading": rules.prepare.output.reading,
                **inputs,
            },
        output:
            **(outputs or {"table": f"{EXPLAIN}/{name}.parquet"}),
        log:
            f"{LOGS}/{name}/{RUN}.log",
        benchmark:
            f"{LOGS}/{name}/{RUN}.tsv"
        wildcard_constraints:
            **only,
        threads: config["training"]["threads"]
        resources:
            **needs(name, mb, seconds, disk_mb),
            gpu=GPUS,
        params:
            **made_by(by, chosen, parts_of, TO_AUDIT),
            **told,
            modality=modality_of,
            run=identity,
            settings=experiment_settings(name) if settings is None else settings,
            audit=audit,
            device=config["training"]["device"],
        message:
            f"{doing} {THIS_RUN}"
        script:
            f"../scripts/{by}"


for name, its in INTERVENTIONS.items():
    intervention(name, **its)


def others_in_seed(wildcards):
    """The runs of the grid that differ from one in the seed alone."""
    own = identity(wildcards)
    cells = [asdict(run) for run in RUNS]
    return [c for c in cells if c != own and c | {"seed": own["seed"]} == own]


def with_uniform_weights(wildcards):
    """The run that differs from one in its weights alone, which are uniform."""
    own = identity(wildcards)
    other = own | {"normalizer": config["explanations"]["uniform"]["normalizer"]}
    return [other] if own != other and can_be_trained(wildcards) else []


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


rule measure_erased_controls:
    input:
        # by their paths: the oldest Snakemake knows no rule of a function by its name
        cut=f"{CONTROL}/erasure_cut.parquet",
        softmax=f"{CONTROL}/erasure_softmax.parquet",
    output:
        cut=f"{CONTROL}/explanation_cut.parquet",
        softmax=f"{CONTROL}/explanation_softmax.parquet",
    log:
        f"{LOGS}/measure_erased_controls/{RUN}.log",
    benchmark:
        f"{LOGS}/measure_erased_controls/{RUN}.tsv"
    wildcard_constraints:
        normalizer=WITH_CONTROLS,
    resources:
        **needs("measure_erased_controls", mb=lambda w: 300, seconds=lambda w: LIGHT),
    params:
        **made_by("measure_erased_controls.py"),
        run=identity,
        reference=REFERENCE,
    message:
        f"Measuring what erasing by the controls of {THIS_RUN} did"
    script:
        "../scripts/measure_erased_controls.py"
