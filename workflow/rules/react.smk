# react: every second of the test recordings as a model predicts it, and how well that is.

# Data sets of recordings, in the grid or not.
RECORDINGS = one_of(
    name
    for name, dataset in config["datasets"].items()
    if dataset["modality"] == "reactions"
)


def predicted_seconds(wildcards):
    """The seconds of a data set's test recordings, of which each audit has a share."""
    found = size(wildcards)
    every = config["datasets"][wildcards.dataset]["audit_every"]
    return found.of("test") * found.decisions * every


rule react:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        predictions=f"{RESULTS}/reactions/{RUN}.parquet",
    log:
        f"{LOGS}/react/{RUN}.log",
    benchmark:
        f"{LOGS}/react/{RUN}.tsv"
    wildcard_constraints:
        dataset=RECORDINGS,
    threads: config["training"]["threads"]
    resources:
        **needs(
            "react",
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: TORCH + 4e-6 * predicted_seconds(w) * size(w).tokens,
            disk_mb=lambda w: 5e-5 * predicted_seconds(w),
        ),
        gpu=GPUS,
    params:
        **made_by(
            "react.py",
            normalizers_of,
            parts_of,
            of_modality(models=["SETTINGS"]),
        ),
        run=identity,
        shown=config["reactions"]["shown"],
        device=config["training"]["device"],
    message:
        f"Reactions by {THIS_RUN}"
    script:
        "../scripts/react.py"


rule reaction_scores:
    input:
        predictions=[f"{RESULTS}/reactions/{run.path}.parquet" for run in REACTION_RUNS],
        train=expand(rules.prepare.output.train, dataset=REACTED),
        test=expand(rules.prepare.output.test, dataset=REACTED),
        reading=expand(rules.prepare.output.reading, dataset=REACTED),
    output:
        table=f"{RESULTS}/statistics/reaction_scores.parquet",
    log:
        f"{LOGS}/react/reaction_scores.log",
    benchmark:
        f"{LOGS}/react/reaction_scores.tsv"
    resources:
        **needs("reaction_scores", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("score_reactions.py"),
        runs=list(map(asdict, REACTION_RUNS)),
        datasets=REACTED,
        floors={
            key: config["reactions"][key]
            for key in ("last_seconds", "base_rate_sigma")
        },
    message:
        "Reactions of all runs held against the true ones, and two floors"
    script:
        "../scripts/score_reactions.py"


rule reaction_summary:
    input:
        scores=rules.reaction_scores.output.table,
        reading=expand(rules.prepare.output.reading, dataset=REACTED),
    output:
        summary=f"{RESULTS}/statistics/reaction_summary.parquet",
        comparison=f"{RESULTS}/statistics/reaction_comparison.parquet",
    log:
        f"{LOGS}/compare/reaction_summary.log",
    benchmark:
        f"{LOGS}/compare/reaction_summary.tsv"
    resources:
        **needs("reaction_summary", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("summarise_reactions.py"),
        datasets=REACTED,
        statistics=statistics_slice(
            "reference", "interval", "confidence", "correction", "smallest_effect"
        ),
    message:
        "Scores of reactions over recordings and seeds, and of floors"
    script:
        "../scripts/summarise_reactions.py"


# Seeds look alike.
EPISODE_RUNS = [
    run
    for run in REACTION_RUNS
    if run.seed == min(other.seed for other in REACTION_RUNS)
]


rule reaction_episodes:
    input:
        predictions=[f"{RESULTS}/reactions/{run.path}.parquet" for run in EPISODE_RUNS],
        reading=expand(rules.prepare.output.reading, dataset=REACTED),
    output:
        table=f"{RESULTS}/statistics/reaction_episodes.parquet",
    log:
        f"{LOGS}/compare/reaction_episodes.log",
    benchmark:
        f"{LOGS}/compare/reaction_episodes.tsv"
    resources:
        **needs("reaction_episodes", lambda w: COMPARE_MB, lambda w: COMPARE_SECONDS),
    params:
        **made_by("pick_episodes.py"),
        runs=list(map(asdict, EPISODE_RUNS)),
        datasets=REACTED,
    message:
        "Recordings second by second, as they were and as models of the first seed have them"
    script:
        "../scripts/pick_episodes.py"
