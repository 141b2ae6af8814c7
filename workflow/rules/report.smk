# report: what the experiment is, and the page that people look at first.


rule experiment:
    input:
        # Made when and from what: again whenever one of the tables is.
        runs=rules.runs.output.table,
        tables=expand(
            f"{RESULTS}/statistics/{{table}}.parquet",
            table=sorted({"comparison"}.union(*FIGURES.values())),
        ),
    output:
        config=f"{RESULTS}/config.yaml",
        about=f"{RESULTS}/experiment.json",
    log:
        f"{LOGS}/experiment.log",
    benchmark:
        f"{LOGS}/experiment.tsv"
    # It looks at the checkout, which nodes of a cluster may lack.
    localrule: True
    params:
        **made_by("describe_experiment.py"),
        # A function of the outputs too, which Snakemake does not compare: what of the
        # config matters reruns a table.
        config=lambda w, output: config,
        left_out=lambda w, output: [*LEFT_OUT],
    message:
        f"The experiment {config['experiment']}"
    script:
        "../scripts/describe_experiment.py"


# Whose instances can be browsed: of every cell the runs of its first seeds.
BROWSED = [
    run
    for _, of_cell in groupby(RUNS, key=lambda run: astuple(run)[:-1])
    for run in islice(of_cell, config["report"]["seeds"])
]
HAVE_CUT = {run for run, control in CONTROLS if control["control"] == CUT} & {*BROWSED}


def uncut(run):
    """The run whose weights are cut to the support of this one; None without any."""
    reference = replace(run, normalizer=REFERENCE)
    return asdict(reference) if run in HAVE_CUT and reference in {*BROWSED} else None


def browsed(pattern):
    """The paths of a pattern for every run whose instances can be browsed."""
    return expand(pattern, run=[run.path for run in BROWSED])


rule explorer:
    input:
        **{
            experiment: browsed(f"{RESULTS}/explanations/{{run}}/{experiment}.parquet")
            for experiment in ("adversarial", "flips")
            if experiment in EXPERIMENTS_ON
        },
        attention=browsed(f"{RESULTS}/attributions/{{run}}/attention.parquet"),
        importances=importances_of_runs(BROWSED),
        influence=browsed(f"{RESULTS}/attributions/{{run}}/influence.parquet"),
        measures=browsed(f"{RESULTS}/measures/{{run}}.parquet"),
        # of those that are cut, in the order of the references
        cuts=[
            f"{RESULTS}/controls/{run.path}/cut.parquet"
            for run in BROWSED
            if uncut(run)
        ],
        splits=AUDITED_SPLITS,
        reading=expand(rules.prepare.output.reading, dataset=DATASETS),
        cards=expand(f"{RESULTS}/data/{{dataset}}/card.json", dataset=DATASETS),
    output:
        table=f"{RESULTS}/report/explorer.parquet",
        browsed=f"{RESULTS}/report/explorer_items.parquet",
    log:
        f"{LOGS}/report/explorer.log",
    benchmark:
        f"{LOGS}/report/explorer.tsv"
    resources:
        **needs(
            "explorer",
            mb=lambda w: 1000,
            seconds=lambda w: LIGHT
            + 2e-4 * len(BROWSED) * config["report"]["instances"],
            disk_mb=lambda w: 10,
        ),
    params:
        **made_by("gather_explorer.py"),
        runs=list(map(asdict, BROWSED)),
        methods=[methods_of(run) for run in BROWSED],
        references=list(map(uncut, BROWSED)),
        modalities={name: config["datasets"][name]["modality"] for name in DATASETS},
        instances=config["report"]["instances"],
    message:
        "Instances to be browsed"
    script:
        "../scripts/gather_explorer.py"


rule report_page:
    input:
        figures=expand(f"{RESULTS}/figures/{{figure}}.png", figure=FIGURES),
        claims=rules.claims.output.table,
        task=rules.task.output.table,
        summary=f"{RESULTS}/statistics/summary.parquet",
        comparison=f"{RESULTS}/statistics/comparison.parquet",
        examples=rules.examples.output.table,
        recorded=rules.recorded.output.table if config["recorded"] else [],
        sizes=rules.sizes.output.table if config["efficiency"]["enabled"] else [],
        speed=rules.speed.output.table if config["efficiency"]["enabled"] else [],
        experiment=rules.experiment.output.about,
        config=rules.experiment.output.config,
        # part of the checkout, also where results are in a store
        captions=[local(f"{WORKFLOW}/report/{figure}.rst") for figure in FIGURES],
        sources=[local(f"{WORKFLOW}/report/{source}") for source in PAGE_SOURCES],
        explorer=rules.explorer.output.table,
        explorer_items=rules.explorer.output.browsed,
        cards=expand(f"{RESULTS}/data/{{dataset}}/card.json", dataset=DATASETS),
    output:
        page=f"{RESULTS}/report/index.html",
    log:
        f"{LOGS}/report/index.log",
    benchmark:
        f"{LOGS}/report/index.tsv"
    group:
        "draw"
    resources:
        # libraries are bundled, pictures packed
        **needs(
            "report_page",
            mb=lambda w: 1500,
            seconds=lambda w: LIGHT + 10,
            disk_mb=lambda w: 10,
        ),
    params:
        **made_by("write_report.py"),
        figures=list(FIGURES),
        n_runs=len(RUNS),
        order=ORDER,
        notice=config["notice"],
        statistics=statistics_slice("reference", "confidence", "correction"),
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"
