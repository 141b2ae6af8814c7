# train: one model a run, its history and its scores; before it hidden states, once for all
# runs on an encoder that learns nothing.

# What a model is trained and scored on.
PREPARED = {
    "train": rules.prepare.output.train,
    "dev": rules.prepare.output.dev,
    "test": rules.prepare.output.test,
    "reading": rules.prepare.output.reading,
    "card": rules.prepare.output.card,
}

ENCODED = f"{RESULTS}/encoded/{{dataset}}/{{encoder}}/{{attention}}"


def encoded_of(wildcards):
    """The hidden states that a run is trained on, of the splits train and dev, if stored."""
    encoder = config["encoders"][wildcards.encoder]
    if not stores_states(encoder, config["normalizers"][wildcards.normalizer]):
        return []
    by_run = "run" in inner_normalizers(encoder)
    attention = wildcards.normalizer if by_run else OWN_ATTENTION
    return expand(
        f"{ENCODED}/{{split}}.safetensors",
        dataset=wildcards.dataset,
        encoder=wildcards.encoder,
        attention=attention,
        split=["train", "dev"],
    )


def encodings_of(wildcards):
    """What `made_by` is told of them."""
    return ["models.encodings:stored", "models.encodings:Head"] * bool(
        encoded_of(wildcards)
    )


def self_attention_of(wildcards):
    """The normalizer of an encoder's self-attention."""
    own = config["encoders"][wildcards.encoder]["self_attention"]
    return config["normalizers"][wildcards.attention] if own == "run" else own


def normalizers_within(wildcards):
    """What `made_by` is told of the normalizers of an encoder alone, in all its layers."""
    inner = inner_normalizers(config["encoders"][wildcards.encoder])
    found = (self_attention_of(wildcards) if of == "run" else of for of in inner)
    return normalizer_kinds(*(normalizer["kind"] for normalizer in found))


def states_mb(wildcards):
    """Hidden states of width 384; no config says how large a model is."""
    return 1.6e-3 * rows(wildcards, "train", "dev") * size(wildcards).tokens


rule encode:
    input:
        train=PREPARED["train"],
        dev=PREPARED["dev"],
        reading=PREPARED["reading"],
        card=PREPARED["card"],
        pretrained=pretrained_of,
    output:
        train=f"{ENCODED}/train.safetensors",
        dev=f"{ENCODED}/dev.safetensors",
    log:
        f"{LOGS}/encode/{{dataset}}/{{encoder}}/{{attention}}.log",
    benchmark:
        f"{LOGS}/encode/{{dataset}}/{{encoder}}/{{attention}}.tsv"
    wildcard_constraints:
        attention=one_of([OWN_ATTENTION, *config["normalizers"]]),
    cache: SHARED
    threads: config["training"]["threads"]
    resources:
        **needs(
            "encode",
            # as they are, and as they are written
            lambda w: 1300 + 2 * states_mb(w),
            lambda w: TORCH
            + PRETRAINED_WORD * rows(w, "train", "dev") * size(w).tokens,
            disk_mb=states_mb,
        ),
        gpu=GPUS,
    params:
        **made_by(
            "encode.py",
            normalizers_within,
            lambda w: [":".join(ENCODERS[config["encoders"][w.encoder]["kind"]])],
            ":".join(SCORERS["last"]),
            TO_TRAIN,
        ),
        modality=modality_of,
        encoder=lambda w: config["encoders"][w.encoder],
        # A model has attention above its encoder too; hidden states know nothing of it.
        scorer={"kind": "last"},
        normalizer=self_attention_of,
        device=config["training"]["device"],
    message:
        "Making the hidden states of {wildcards.dataset} by {wildcards.encoder}"
    script:
        "../scripts/encode.py"


def training_memory(wildcards):
    """MB: all examples, and the attention of a batch, tokens by tokens."""
    examples = rows(wildcards, "train", "dev", "test")
    own = 0
    if is_pretrained(wildcards):
        own = 600
        if encoded_of(wildcards):
            own += states_mb(wildcards)
    return (
        700 + 4e-4 * examples * length(wildcards) + 0.02 * length(wildcards) ** 2 + own
    )


def pretrained_seconds(wildcards, max_epochs):
    """Texts are read to train on, backwards through what learns, and to score.

    Of a model that is finished they are read to score alone.
    """
    found = size(wildcards)
    texts = found.of("dev", "test")
    if can_be_trained(wildcards) and not encoded_of(wildcards):
        # of six layers, and a layer takes twice as long backwards
        layers = {"none": 0, "all": 6}
        trained = config["encoders"][wildcards.encoder]["trained"]
        share = layers.get(trained, trained) / 6
        texts += (1 + 2 * share) * max_epochs * found.of("train", "dev")
    return TORCH + PRETRAINED_WORD * texts * found.tokens


def training_seconds(wildcards, max_epochs=config["training"]["max_epochs"]):
    """As long as no early stop shortens it; time grows with the encoder's width."""
    encoder = config["encoders"][wildcards.encoder]
    if is_pretrained(wildcards):
        return pretrained_seconds(wildcards, max_epochs)
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


rule train:
    input:
        **PREPARED,
        pretrained=pretrained_of,
        encoded=encoded_of,
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
        **made_by("train_model.py", normalizers_of, parts_of, encodings_of, TO_TRAIN),
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
        encoded=encoded_of,
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
        **made_by("train_on_share.py", normalizers_of, parts_of, encodings_of, TO_TRAIN),
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
