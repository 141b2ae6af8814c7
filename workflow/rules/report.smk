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
        template=local(f"{WORKFLOW}/report/page.html"),
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
        **needs("report_page", mb=lambda w: 500, seconds=lambda w: LIGHT),
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
