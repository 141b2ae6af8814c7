# retrain: models that are trained to see whether the attention of a run explains it.


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
        pretrained=pretrained_of,
        train=rules.prepare.output.train,
        dev=rules.prepare.output.dev,
        test=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
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
        **made_by("train_adversary.py", normalizers_of, parts_of, TO_RETRAIN),
        modality=modality_of,
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
    """The tables of all adversaries of a run: none of frozen weights, or of translators.

    And none of what is finished.
    """
    frozen = config["normalizers"][wildcards.normalizer]["kind"] == "uniform"
    frozen = frozen or not can_be_trained(wildcards)
    if frozen or modality_of(wildcards) == "translation":
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


def without_context(wildcards):
    """What `made_by` is told of the encoder of a guided model."""
    return [":".join(ENCODERS["average"])]


rule train_guided:
    input:
        **PREPARED,
        guide=guide_of,
        pretrained=pretrained_of,
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
        **made_by(
            "train_guided.py", normalizers_of, parts_of, without_context, TO_RETRAIN
        ),
        modality=modality_of,
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
            without_context,
            scorer_of,
            TO_RETRAIN,
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
        **made_by(
            "train_guided.py",
            *normalizer_kinds("uniform"),
            without_context,
            scorer_of,
            TO_RETRAIN,
        ),
        guide="uniform",
        normalizer={"kind": "uniform"},
    message:
        "Training without context on {wildcards.dataset}, uniform weights, "
        "seed {wildcards.seed}"


# The weights of a frozen run are no guide, and those of a finished one none to its words.
GUIDED = [
    asdict(run) | {"guide": guide}
    for run in RUNS
    if config["normalizers"][run.normalizer]["kind"] != "uniform"
    and modality_of(run) != "translation"
    and can_be_trained(run)
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
