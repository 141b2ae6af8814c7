# translate: the test split as a model says it, and how well by BLEU and chrF.

BEAMS = sorted(config["translation"]["beams"])


rule translate:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        translations=f"{RESULTS}/translations/{RUN}.parquet",
    log:
        f"{LOGS}/translate/{RUN}.log",
    benchmark:
        f"{LOGS}/translate/{RUN}.tsv"
    wildcard_constraints:
        dataset=TRANSLATIONS,
    threads: config["training"]["threads"]
    resources:
        **needs(
            "translate",
            mb=lambda w: 700 + 2 * length(w),
            # a step of a sentence and hypothesis at a time
            seconds=lambda w: (
                TORCH + 1e-4 * sum(BEAMS) * rows(w, "test") * size(w).tokens
            ),
            disk_mb=lambda w: 3e-4 * len(BEAMS) * rows(w, "test"),
        ),
        gpu=GPUS,
    params:
        **made_by(
            "translate.py",
            normalizers_of,
            parts_of,
            of_modality(models=["SETTINGS"]),
        ),
        run=identity,
        translation=config["translation"] | {"beams": BEAMS},
        device=config["training"]["device"],
    message:
        f"Translations by {THIS_RUN}"
    script:
        "../scripts/translate.py"


rule translation_scores:
    input:
        translations=[f"{RESULTS}/translations/{run.path}.parquet" for run in PAIR_RUNS],
    output:
        table=f"{RESULTS}/statistics/translation_scores.parquet",
    log:
        f"{LOGS}/translate/translation_scores.log",
    benchmark:
        f"{LOGS}/translate/translation_scores.tsv"
    resources:
        **needs(
            "translation_scores",
            lambda w: 500,
            # of a thousand sentences
            lambda w: LIGHT + 0.4 * len(BEAMS) * len(PAIR_RUNS),
        ),
    params:
        **made_by("score_translations.py"),
        **statistics_slice("confidence"),
        runs=list(map(asdict, PAIR_RUNS)),
        lowercase={name: config["datasets"][name]["lowercase"] for name in PAIRED},
    message:
        "BLEU and chrF of all translations"
    script:
        "../scripts/score_translations.py"


# Seeds cost alike.
FIRST_RUNS = [
    run for run in PAIR_RUNS if run.seed == min(other.seed for other in PAIR_RUNS)
]


rule translation_speed:
    input:
        models=[f"{RESULTS}/models/{run.path}/model.safetensors" for run in FIRST_RUNS],
        settings=[f"{RESULTS}/models/{run.path}/settings.json" for run in FIRST_RUNS],
        examples=expand(rules.prepare.output.test, dataset=PAIRED),
        reading=expand(rules.prepare.output.reading, dataset=PAIRED),
    output:
        table=f"{RESULTS}/statistics/translation_speed.parquet",
    log:
        f"{LOGS}/translate/translation_speed.log",
    benchmark:
        f"{LOGS}/translate/translation_speed.tsv"
    # Not those of training: a second one would measure the machine more than the models.
    threads: 1
    resources:
        **needs(
            "translation_speed",
            lambda w: 700 + 30 * len(FIRST_RUNS),
            lambda w: (
                TORCH
                + 4e-3
                * config["audit"]["instances"]
                * len(FIRST_RUNS)
                * (1 + config["efficiency"]["rounds"])
            ),
        ),
    params:
        **made_by(
            "measure_translation_speed.py",
            over_runs(normalizers_of, parts_of, TO_AUDIT, runs=FIRST_RUNS),
        ),
        runs=list(map(asdict, FIRST_RUNS)),
        modalities=dict.fromkeys(PAIRED, "translation"),
        audit=config["audit"],
        reference=REFERENCE,
        rounds=config["efficiency"]["rounds"],
        gradient_clip=config["training"]["gradient_clip"],
    message:
        "Words per second of all translators, in turn"
    script:
        "../scripts/measure_translation_speed.py"
