# train: one model a run, its history and its scores.


def training_memory(wildcards):
    """MB: all examples, and the attention of a batch, tokens by tokens."""
    examples = rows(wildcards, "train", "dev", "test")
    return 700 + 4e-4 * examples * length(wildcards) + 0.02 * length(wildcards) ** 2


def training_seconds(wildcards, max_epochs=config["training"]["max_epochs"]):
    """As long as no early stop shortens it; time grows with the encoder's width."""
    encoder = config["encoders"][wildcards.encoder]
    width = max(1, encoder["hidden_size"] / 64) * encoder.get("layers", 1)
    found = size(wildcards)
    tokens = found.of("train", "dev") * found.tokens
    return TORCH + 8e-6 * max_epochs * tokens * width


# The patterns of outputs that other rules fill in: where results are in a store, the
# output of a rule is no pattern.
MODEL = {
    "model": f"{RESULTS}/models/{RUN}/model.safetensors",
    "settings": f"{RESULTS}/models/{RUN}/settings.json",
}


# What a model is trained and scored on.
PREPARED = {
    "train": rules.prepare.output.train,
    "dev": rules.prepare.output.dev,
    "test": rules.prepare.output.test,
    "vocabulary": rules.prepare.output.vocabulary,
    "card": rules.prepare.output.card,
}


rule train:
    input:
        **PREPARED,
    output:
        **MODEL,
        history=f"{RESULTS}/models/{RUN}/history.parquet",
        metrics=f"{RESULTS}/models/{RUN}/metrics.json",
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
        **made_by("train_model.py", normalizers_of),
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
