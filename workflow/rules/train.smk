# train: one model a run, its history and its scores.


rule train:
    input:
        train=rules.prepare.output.train,
        dev=rules.prepare.output.dev,
        test=rules.prepare.output.test,
        vocabulary=rules.prepare.output.vocabulary,
        card=rules.prepare.output.card,
    output:
        model=f"results/models/{RUN}/model.safetensors",
        settings=f"results/models/{RUN}/settings.json",
        history=f"results/models/{RUN}/history.parquet",
        metrics=f"results/models/{RUN}/metrics.json",
    log:
        f"logs/train/{RUN}.log",
    benchmark:
        f"logs/train/{RUN}.tsv"
    params:
        run=identity,
        encoder=lambda w: config["encoders"][w.encoder],
        scorer=lambda w: config["scorers"][w.scorer],
        normalizer=lambda w: config["normalizers"][w.normalizer],
        training=config["training"],
        # Not an output: it outlives an interrupted job, so that the next one resumes.
        checkpoint=f"results/models/{RUN}/checkpoint.pt",
        **made_by("train_model.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=2000,
    message:
        f"Training {THIS_RUN}"
    script:
        "../scripts/train_model.py"
