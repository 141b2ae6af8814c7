# compare: over instances and seeds. One table a question.

# They read what was measured of every audited instance of every run.
AUDITED = (len(RUNS) + len(CONTROLS)) * config["audit"]["instances"]
COMPARE_MB = 400 + 0.0025 * AUDITED
COMPARE_SECONDS = 5 + 2e-4 * AUDITED

# What stands among the runs says that it is a control.
RUNS_AND_CONTROLS = [*map(asdict, RUNS), *(control for _, control in CONTROLS)]
OF_MEASURES = [
    *of_runs(f"{RESULTS}/measures/{{run}}.parquet"),
    *of_controls(f"{RESULTS}/controls/{{run}}/{{control}}.parquet"),
]

OF_COMPARISON = (
    "reference",
    "interval",
    "confidence",
    "correction",
    "families",
    "smallest_effect",
)

# What each encoder of the grid reads in it.
READ = {
    encoder: {
        config["datasets"][run.dataset]["modality"]
        for run in RUNS
        if run.encoder == encoder
    }
    for encoder in sorted({run.encoder for run in RUNS})
}

# What a reader has to know of the rows about importance, and their order.
OF_IMPORTANCE = {
    "methods": METHODS,
    "bound": {
        encoder: [
            name
            for name in METHODS_OF[encoder]
            if all(
                bound_to_weights(
                    config["methods"][name], config["encoders"][encoder], modality
                )
                for modality in modalities
            )
        ]
        for encoder, modalities in READ.items()
    },
    "without_context": sorted(
        {
            run.encoder
            for run in RUNS
            if config["encoders"][run.encoder]["kind"] in WITHOUT_CONTEXT
        }
    ),
}

# Which say what instances share, in the order of DATASETS.
AUDITED_SPLITS = expand(rules.prepare.output.test, dataset=DATASETS)


rule runs:
    output:
        table=f"{RESULTS}/statistics/runs.parquet",
    log:
        f"{LOGS}/compare/runs.log",
    benchmark:
        f"{LOGS}/compare/runs.tsv"
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
        metrics=of_runs(f"{RESULTS}/models/{{run}}/metrics.json"),
    output:
        table=f"{RESULTS}/statistics/task.parquet",
    log:
        f"{LOGS}/compare/task.log",
    benchmark:
        f"{LOGS}/compare/task.tsv"
    resources:
        **needs("task", lambda w: COMPARE_MB, lambda w: LIGHT),
    params:
        **made_by("tabulate_task.py"),
        runs=list(map(asdict, RUNS)),
    message:
        "Task scores of all runs"
    script:
        "../scripts/tabulate_task.py"


# The last point of a run's curve is the run itself.
POINTS = [
    asdict(run) | {"share": share}
    for run in RUNS
    if run.normalizer == REFERENCE and can_be_trained(run)
    for share in (*SHARES, 1.0)
]


rule learning_curve:
    input:
        metrics=[
            (METRICS if point["share"] == 1 else METRICS_ON_SHARE).format(**point)
            for point in POINTS
        ],
        cards=expand(f"{RESULTS}/data/{{dataset}}/card.json", dataset=DATASETS),
    output:
        table=f"{RESULTS}/statistics/learning_curve.parquet",
    log:
        f"{LOGS}/compare/learning_curve.log",
    benchmark:
        f"{LOGS}/compare/learning_curve.tsv"
    resources:
        **needs("learning_curve", lambda w: COMPARE_MB, lambda w: LIGHT),
    params:
        **made_by("tabulate_learning_curve.py"),
        points=POINTS,
        datasets=DATASETS,
    message:
        "Scores of runs by their number of training texts"
    script:
        "../scripts/tabulate_learning_curve.py"


# What the models of all runs cost, on what is audited.
MODELS_AUDITED = {
    "models": of_runs(f"{RESULTS}/models/{{run}}/model.safetensors"),
    "settings": of_runs(f"{RESULTS}/models/{{run}}/settings.json"),
    "examples": AUDITED_SPLITS,
    "reading": expand(rules.prepare.output.reading, dataset=DATASETS),
    "pretrained": sorted({file for run in RUNS for file in pretrained_of(run)}),
}
COST = {
    "runs": list(map(asdict, RUNS)),
    # in the order of the files
    "modalities": {
        dataset: config["datasets"][dataset]["modality"] for dataset in DATASETS
    },
    "audit": config["audit"],
}
OF_MODELS = over_runs(normalizers_of, parts_of, TO_AUDIT)
# All of them at once.
MODELS_MB = 700 + 10 * len(RUNS)


rule sizes:
    input:
        **MODELS_AUDITED,
    output:
        table=f"{RESULTS}/statistics/sizes.parquet",
    log:
        f"{LOGS}/compare/sizes.log",
    benchmark:
        f"{LOGS}/compare/sizes.tsv"
    threads: 1
    resources:
        **needs("sizes", lambda w: MODELS_MB, lambda w: TORCH + 0.2 * len(RUNS)),
    params:
        **made_by("tabulate_sizes.py", OF_MODELS),
        **COST,
    message:
        "Parameters and multiply-adds of all models"
    script:
        "../scripts/tabulate_sizes.py"


ROUNDS = config["efficiency"]["rounds"]


rule speed:
    input:
        **MODELS_AUDITED,
    output:
        table=f"{RESULTS}/statistics/speed.parquet",
    log:
        f"{LOGS}/compare/speed.log",
    benchmark:
        f"{LOGS}/compare/speed.tsv"
    # Not those of training: a second one would measure the machine more than the models.
    threads: 1
    resources:
        **needs(
            "speed",
            lambda w: MODELS_MB,
            lambda w: TORCH + 1e-3 * AUDITED * (1 + ROUNDS),
        ),
    params:
        **made_by("measure_speed.py", OF_MODELS),
        **COST,
        rounds=ROUNDS,
    message:
        "Decisions per second of all models, in turn"
    script:
        "../scripts/measure_speed.py"


# What is summarised and compared: the measures of the audited instances, and those of the
# experiments on them. Of these, erasure alone has controls, and two measure methods.
ERASED = "erasure" in EXPERIMENTS_ON
OF_EVERY_METHOD = ERASED or "randomized" in EXPERIMENTS_ON
OF_EXPERIMENTS = of_runs(f"{RESULTS}/explanations/{{run}}/measures.parquet")
COMPARED = {
    "": {
        "what": "Measures",
        "runs": RUNS_AND_CONTROLS,
        "measures": OF_MEASURES,
        "subjects": OF_IMPORTANCE,
    },
    "explanation_": {
        "what": "Experiments",
        "runs": RUNS_AND_CONTROLS if ERASED else list(map(asdict, RUNS)),
        "measures": [
            *OF_EXPERIMENTS,
            *(
                of_controls(
                    f"{RESULTS}/controls/{{run}}/explanation_{{control}}.parquet"
                )
                if ERASED
                else []
            ),
        ],
        "subjects": {"methods": METHODS if OF_EVERY_METHOD else []},
    },
}

for prefix, its in COMPARED.items():

    rule:
        name:
            f"{prefix}summary"
        input:
            measures=its["measures"],
            examples=AUDITED_SPLITS,
        output:
            table=f"{RESULTS}/statistics/{prefix}summary.parquet",
        log:
            f"{LOGS}/compare/{prefix}summary.log",
        benchmark:
            f"{LOGS}/compare/{prefix}summary.tsv"
        resources:
            **needs(f"{prefix}summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
        params:
            **made_by("summarise.py"),
            runs=its["runs"],
            statistics=statistics_slice("interval", "confidence"),
            subjects=its["subjects"],
            datasets=DATASETS,
        message:
            f"{its['what']}: means with intervals over instances and seeds"
        script:
            "../scripts/summarise.py"

    rule:
        name:
            f"{prefix}comparison"
        input:
            measures=its["measures"],
            examples=AUDITED_SPLITS,
        output:
            table=f"{RESULTS}/statistics/{prefix}comparison.parquet",
        log:
            f"{LOGS}/compare/{prefix}comparison.log",
        benchmark:
            f"{LOGS}/compare/{prefix}comparison.tsv"
        resources:
            **needs(
                f"{prefix}comparison", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS
            ),
        params:
            **made_by("compare.py"),
            runs=its["runs"],
            statistics=statistics_slice(*OF_COMPARISON),
            subjects=its["subjects"],
            datasets=DATASETS,
        message:
            f"{its['what']}: normalizers and controls against the reference, by instance"
        script:
            "../scripts/compare.py"


# What the claims that this grid can test are decided by.
TESTED = [claim for claim in CLAIMS if not claim["lacks"]]
CLAIMED_TABLES = {claim["table"] for claim in TESTED}
# which are paired by recording and seed
if any(c["table"] == "reaction_summary" and c["less"] for c in TESTED):
    CLAIMED_TABLES.add("reaction_scores")
CLAIMED_TABLES = sorted(CLAIMED_TABLES)
# Differences within a cell are paired by text and seed, which only the measures can.
MEASURES_BEHIND = {
    "summary": f"{RESULTS}/measures/{{run}}.parquet",
    "explanation_summary": f"{RESULTS}/explanations/{{run}}/measures.parquet",
}


rule claims:
    input:
        **{
            f"behind_{table}": of_runs(MEASURES_BEHIND[table])
            for table in sorted(
                {c["table"] for c in TESTED if c["less"]} & {*OF_MEANS}
            )
        },
        **{table: f"{RESULTS}/statistics/{table}.parquet" for table in CLAIMED_TABLES},
        examples=AUDITED_SPLITS,
    output:
        table=f"{RESULTS}/statistics/claims.parquet",
    log:
        f"{LOGS}/compare/claims.log",
    benchmark:
        f"{LOGS}/compare/claims.tsv"
    resources:
        **needs("claims", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("judge_claims.py"),
        claims=CLAIMS,
        tables=CLAIMED_TABLES,
        runs=list(map(asdict, RUNS)),
        datasets=DATASETS,
        statistics=statistics_slice("interval", "confidence", "correction"),
    message:
        "Every declared claim: supported, contradicted or undecided"
    script:
        "../scripts/judge_claims.py"


rule recorded:
    input:
        # by its path: the oldest Snakemake knows no rule of a loop by its name
        summary=f"{RESULTS}/statistics/summary.parquet",
    output:
        table=f"{RESULTS}/statistics/recorded.parquet",
    log:
        f"{LOGS}/compare/recorded.log",
    benchmark:
        f"{LOGS}/compare/recorded.tsv"
    resources:
        **needs("recorded", lambda w: COMPARE_MB, lambda w: LIGHT),
    params:
        **made_by("tabulate_recorded.py"),
        recorded=config["recorded"],
    message:
        "What papers recorded, beside the same here"
    script:
        "../scripts/tabulate_recorded.py"


rule examples:
    input:
        measures=[f"{RESULTS}/measures/{run.path}.parquet" for run in TEXT_RUNS],
        attention=[
            f"{RESULTS}/attributions/{run.path}/attention.parquet" for run in TEXT_RUNS
        ],
        importances=importances_of_runs(TEXT_RUNS),
        examples=expand(rules.prepare.output.test, dataset=TEXTS),
        cards=expand(f"{RESULTS}/data/{{dataset}}/card.json", dataset=TEXTS),
    output:
        table=f"{RESULTS}/statistics/examples.parquet",
    log:
        f"{LOGS}/compare/examples.log",
    benchmark:
        f"{LOGS}/compare/examples.tsv"
    resources:
        **needs("examples", lambda w: COMPARE_MB, lambda w: LIGHT + 2e-4 * AUDITED),
    params:
        **made_by("pick_examples.py"),
        runs=list(map(asdict, TEXT_RUNS)),
        methods=[methods_of(run) for run in TEXT_RUNS],
        datasets=TEXTS,
    message:
        "The texts in which attention agrees least and most with each importance"
    script:
        "../scripts/pick_examples.py"


SHOWN = sorted({run.dataset for run in PICTURE_RUNS})


rule picture_examples:
    input:
        attention=[
            f"{RESULTS}/attributions/{run.path}/attention.parquet"
            for run in PICTURE_RUNS
        ],
        importances=importances_of_runs(PICTURE_RUNS),
        examples=expand(rules.prepare.output.test, dataset=SHOWN),
        cards=expand(f"{RESULTS}/data/{{dataset}}/card.json", dataset=SHOWN),
    output:
        table=f"{RESULTS}/statistics/picture_examples.parquet",
    log:
        f"{LOGS}/compare/picture_examples.log",
    benchmark:
        f"{LOGS}/compare/picture_examples.tsv"
    resources:
        **needs(
            "picture_examples", lambda w: COMPARE_MB, lambda w: LIGHT + 2e-4 * AUDITED
        ),
    params:
        **made_by("pick_pictures.py"),
        runs=list(map(asdict, PICTURE_RUNS)),
        methods=[methods_of(run) for run in PICTURE_RUNS],
        datasets=SHOWN,
    message:
        "Pictures with what each model attends to and finds important"
    script:
        "../scripts/pick_pictures.py"


rule head_summary:
    input:
        heads=[f"{RESULTS}/attributions/{run.path}/heads.parquet" for run in HEAD_RUNS],
        examples=AUDITED_SPLITS,
    output:
        table=f"{RESULTS}/statistics/head_summary.parquet",
    log:
        f"{LOGS}/compare/head_summary.log",
    benchmark:
        f"{LOGS}/compare/head_summary.tsv"
    resources:
        **needs("head_summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("summarise_heads.py"),
        runs=list(map(asdict, HEAD_RUNS)),
        statistics=statistics_slice("interval", "confidence"),
        datasets=DATASETS,
    message:
        "Heads over instances and seeds"
    script:
        "../scripts/summarise_heads.py"


rule offset_summary:
    input:
        offsets=[
            f"{RESULTS}/attributions/{run.path}/offsets.parquet" for run in OFFSET_RUNS
        ],
    output:
        table=f"{RESULTS}/statistics/offset_summary.parquet",
    log:
        f"{LOGS}/compare/offset_summary.log",
    benchmark:
        f"{LOGS}/compare/offset_summary.tsv"
    resources:
        **needs("offset_summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("summarise_offsets.py"),
        runs=list(map(asdict, OFFSET_RUNS)),
    message:
        "Sampling offsets over pictures"
    script:
        "../scripts/summarise_offsets.py"


rule explanation_points:
    input:
        measures=OF_EXPERIMENTS,
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
