# report: the page that people look at first.


rule report_page:
    input:
        figures=expand("results/figures/{figure}.png", figure=FIGURES),
        task=rules.task.output.table,
        summary=rules.summary.output.table,
        comparison=rules.comparison.output.table,
        # part of the checkout, also where results are in a store
        captions=[local(f"{WORKFLOW}/report/{figure}.rst") for figure in FIGURES],
        template=local(f"{WORKFLOW}/report/page.html"),
        cards=expand("results/data/{dataset}/card.json", dataset=DATASETS),
    output:
        page="results/report/index.html",
    log:
        "logs/report/index.log",
    benchmark:
        "logs/report/index.tsv"
    group:
        "draw"
    resources:
        mem_mb=memory(lambda w: 500),
        runtime=growing(lambda w: 5),
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
