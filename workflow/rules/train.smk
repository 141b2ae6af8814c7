# train: one model a run, its history and its scores.


def training_memory(wildcards):
    """MB: all examples, and the attention of a batch, tokens by tokens."""
    examples = rows(wildcards, "train", "dev", "test")
    own = 0
    if is_pretrained(wildcards):
        # itself, and hidden states that are kept, a gigabyte of them at most
        own = 600 + min(1100, 1.6e-3 * examples * size(wildcards).tokens)
    return (
        700 + 4e-4 * examples * length(wildcards) + 0.02 * length(wildcards) ** 2 + own
    )


def pretrained_seconds(wildcards, encoder, max_epochs):
    """Of one that learns nothing the texts are read once, and backwards takes as long."""
    found = size(wildcards)
    times = 1 if encoder["trained"] == "none" else 2 * max_epochs
    texts = times * found.of("train", "dev") + found.of("dev", "test")
    return TORCH + PRETRAINED_WORD * texts * found.tokens


def training_seconds(wildcards, max_epochs=config["training"]["max_epochs"]):
    """As long as no early stop shortens it; time grows with the encoder's width."""
    encoder = config["encoders"][wildcards.encoder]
    if is_pretrained(wildcards):
        return pretrained_seconds(wildcards, encoder, max_epochs)
    # each four times as wide in tokens as the next
    stages = encoder.get("stages", [])
    parts = [
        (stage["width"] / 4**i, stage["depth"]) for i, stage in enumerate(stages)
    ] or [(encoder["hidden_size"], encoder.get("layers", 1))]
    width = sum(max(1, size / 64) * depth for size, depth in parts)
    if encoder["kind"] == "gated":
        # a recurrent network a stream, of which there are some four
        width *= 2.3
    found = size(wildcards)
    tokens = found.of("train", "dev") * found.tokens
    return TORCH + 8e-6 * max_epochs * tokens * width


# The patterns of outputs that other rules fill in: where results are in a store, the
# output of a rule is no pattern.
MODEL = {
    "model": f"{RESULTS}/models/{RUN}/model.safetensors",
    "settings": f"{RESULTS}/models/{RUN}/settings.json",
}
METRICS = f"{RESULTS}/models/{RUN}/metrics.json"


# What a model is trained and scored on.
PREPARED = {
    "train": rules.prepare.output.train,
    "dev": rules.prepare.output.dev,
    "test": rules.prepare.output.test,
    "reading": rules.prepare.output.reading,
    "card": rules.prepare.output.card,
}


rule train:
    input:
        **PREPARED,
        pretrained=pretrained_of,
    output:
        **MODEL,
        history=f"{RESULTS}/models/{RUN}/history.parquet",
        metrics=METRICS,
    log:
        f"{LOGS}/train/{RUN}.log",
    benchmark:
        f"{LOGS}/train/{RUN}.tsv"
    cache: SHARED
    threads: config["training"]["threads"]
    resources:
        **needs("train", training_memory, training_seconds, disk_mb=lambda w: 2),
        gpu=GPUS,
    params:
        **made_by("train_model.py", normalizers_of, parts_of, TO_TRAIN),
        modality=modality_of,
        run=identity,
        encoder=lambda w: config["encoders"][w.encoder],
        scorer=lambda w: config["scorers"][w.scorer],
        normalizer=lambda w: config["normalizers"][w.normalizer],
        training=config["training"],
        # Not an output: it outlives an interrupted job, so that the next one resumes.
        checkpoint=f"{RESULTS}/models/{RUN}/checkpoint.pt",
    message:
        f"Training {THIS_RUN}"
    script:
        "../scripts/train_model.py"


SHARES = sorted(config["learning_curve"]["shares"])
SHARE = f"{RESULTS}/learning_curve/{RUN}/share{{share}}"
METRICS_ON_SHARE = f"{SHARE}.json"


# The vocabulary is that of the whole split: words that only the other texts have are in it,
# with vectors that no text trains.
rule train_on_share:
    input:
        **PREPARED,
        pretrained=pretrained_of,
    output:
        metrics=METRICS_ON_SHARE,
    log:
        f"{LOGS}/train_on_share/{RUN}/share{{share}}.log",
    benchmark:
        f"{LOGS}/train_on_share/{RUN}/share{{share}}.tsv"
    wildcard_constraints:
        share=one_of(map(str, SHARES)),
    threads: config["training"]["threads"]
    resources:
        **needs(
            "train_on_share",
            training_memory,
            lambda w: TORCH + float(w.share) * training_seconds(w),
        ),
        gpu=GPUS,
    params:
        **made_by("train_on_share.py", normalizers_of, parts_of, TO_TRAIN),
        modality=modality_of,
        run=identity,
        share=lambda w: float(w.share),
        encoder=lambda w: config["encoders"][w.encoder],
        scorer=lambda w: config["scorers"][w.scorer],
        normalizer=lambda w: config["normalizers"][w.normalizer],
        training=config["training"],
        # Not an output: it outlives an interrupted job, so that the next one resumes.
        checkpoint=f"{SHARE}.pt",
    message:
        f"Training {THIS_RUN} on {{wildcards.share}} of its texts"
    script:
        "../scripts/train_on_share.py"
