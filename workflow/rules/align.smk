# align: what attention and importances link, held against what people linked.

# Data sets of sentence pairs, in the grid or not.
TRANSLATIONS = one_of(
    name
    for name, dataset in config["datasets"].items()
    if dataset["modality"] == "translation"
)
DEV_PAIRS = config["alignment"]["dev_pairs"]


rule align:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
        dev=rules.prepare.output.dev,
        reading=rules.prepare.output.reading,
        attention=rules.attend.output.attention,
        importances=importances_of,
    output:
        alignment=f"{RESULTS}/attributions/{RUN}/alignment.parquet",
    log:
        f"{LOGS}/align/{RUN}.log",
    benchmark:
        f"{LOGS}/align/{RUN}.tsv"
    wildcard_constraints:
        dataset=TRANSLATIONS,
    threads: config["training"]["threads"]
    resources:
        **needs(
            "align",
            # leave-one-out holds a fixed number of tokens, each with its attention
            mb=lambda w: (
                700
                + 10 * length(w)
                + 1e-4 * config["audit"]["instances"] * length(w) ** 2
            ),
            seconds=lambda w: (
                TORCH
                + 5e-4 * audited_tokens(w)
                + 5e-5 * len(METHODS) * audited_tokens(w, DEV_PAIRS, power=2)
            ),
            disk_mb=lambda w: 0.1,
        ),
        gpu=GPUS,
    params:
        **made_by("align.py", all_methods, normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        methods=told_methods,
        audit=config["audit"],
        dev_pairs=DEV_PAIRS,
        device=config["training"]["device"],
    message:
        f"Alignment of {THIS_RUN}"
    script:
        "../scripts/align.py"


rule align_floors:
    input:
        train=rules.prepare.output.train,
        dev=rules.prepare.output.dev,
        test=rules.prepare.output.test,
    output:
        table=f"{RESULTS}/data/{{dataset}}/alignment_floors.parquet",
    log:
        f"{LOGS}/align_floors/{{dataset}}.log",
    benchmark:
        f"{LOGS}/align_floors/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=TRANSLATIONS,
    resources:
        **needs(
            "align_floors",
            # 60 bytes a pair of words of one sentence pair
            mb=lambda w: (
                500 + 1e-4 * rows(w, "train", "dev", "test") * size(w).tokens ** 2
            ),
            seconds=lambda w: (
                LIGHT + 1e-6 * rows(w, "train", "dev", "test") * size(w).tokens ** 2
            ),
        ),
    params:
        **made_by("align_floors.py"),
        dataset="{dataset}",
        audit=config["audit"],
        dev_pairs=DEV_PAIRS,
    message:
        "Floors of alignment in {wildcards.dataset}"
    script:
        "../scripts/align_floors.py"


rule alignment_summary:
    input:
        alignment=[
            f"{RESULTS}/attributions/{run.path}/alignment.parquet" for run in PAIR_RUNS
        ],
        floors=expand(rules.align_floors.output.table, dataset=PAIRED),
    output:
        summary=f"{RESULTS}/statistics/alignment_summary.parquet",
        comparison=f"{RESULTS}/statistics/alignment_comparison.parquet",
    log:
        f"{LOGS}/compare/alignment_summary.log",
    benchmark:
        f"{LOGS}/compare/alignment_summary.tsv"
    resources:
        **needs("alignment_summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("summarise_alignment.py"),
        runs=list(map(asdict, PAIR_RUNS)),
        datasets=PAIRED,
        methods=METHODS,
        statistics=statistics_slice(
            "reference", "interval", "confidence", "correction", "smallest_effect"
        ),
    message:
        "Alignment over sentence pairs and seeds, and its floors"
    script:
        "../scripts/summarise_alignment.py"


rule alignment_examples:
    input:
        attention=[
            f"{RESULTS}/attributions/{run.path}/attention.parquet" for run in PAIR_RUNS
        ],
        importances=importances_of_runs(PAIR_RUNS),
        examples=expand(rules.prepare.output.test, dataset=PAIRED),
    output:
        table=f"{RESULTS}/statistics/alignment_examples.parquet",
    log:
        f"{LOGS}/compare/alignment_examples.log",
    benchmark:
        f"{LOGS}/compare/alignment_examples.tsv"
    resources:
        **needs("alignment_examples", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("pick_alignments.py"),
        runs=list(map(asdict, PAIR_RUNS)),
        methods=[methods_of(run) for run in PAIR_RUNS],
        datasets=PAIRED,
        audit=config["audit"],
    message:
        "Sentence pairs with gold, and what every model attends to in them"
    script:
        "../scripts/pick_alignments.py"


rule trace_null_queries:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        table=f"{RESULTS}/attributions/{RUN}/null_queries.parquet",
    log:
        f"{LOGS}/trace_null_queries/{RUN}.log",
    benchmark:
        f"{LOGS}/trace_null_queries/{RUN}.tsv"
    wildcard_constraints:
        dataset=TRANSLATIONS,
    threads: config["training"]["threads"]
    resources:
        **needs(
            "trace_null_queries",
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: TORCH + 1e-4 * audited_tokens(w),
            disk_mb=lambda w: 0.1,
        ),
        gpu=GPUS,
    params:
        **made_by("trace_null_queries.py", normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Queries of {THIS_RUN} that attend to nothing"
    script:
        "../scripts/trace_null_queries.py"


rule null_summary:
    input:
        queries=[
            f"{RESULTS}/attributions/{run.path}/null_queries.parquet"
            for run in PAIR_RUNS
        ],
    output:
        table=f"{RESULTS}/statistics/null_summary.parquet",
    log:
        f"{LOGS}/compare/null_summary.log",
    benchmark:
        f"{LOGS}/compare/null_summary.tsv"
    resources:
        **needs("null_summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("summarise_null_queries.py"),
        runs=list(map(asdict, PAIR_RUNS)),
        statistics=statistics_slice("interval", "confidence"),
    message:
        "Queries that attend to nothing, by class of words"
    script:
        "../scripts/summarise_null_queries.py"
