# figures: one rule a figure, each a target by name, with the numbers it draws.

ORDER = {
    "datasets": [d for d in config["grid"]["datasets"] if d in DATASETS],
    **{axis: config["grid"][axis] for axis in ["encoders", "scorers", "normalizers"]},
    "methods": list(config["methods"]),
    "hidden_methods": [
        name
        for name, method in config["methods"].items()
        if method["of"] == "hidden_states"
    ],
}

# Tables with the methods among their subjects.
OF_METHODS = {"summary", "explanation_summary"}

for figure, tables in FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            **{table: f"{RESULTS}/statistics/{table}.parquet" for table in tables},
        output:
            png=report(
                f"{RESULTS}/figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": figure.replace("_", " ")},
            ),
            pdf=f"{RESULTS}/figures/{figure}.pdf",
            numbers=f"{RESULTS}/figures/{figure}.parquet",
        log:
            f"{LOGS}/figures/{figure}.log",
        benchmark:
            f"{LOGS}/figures/{figure}.tsv"
        # On a cluster all figures and the report that shows them are one job.
        group:
            "draw"
        resources:
            # a quarter of a minute a full page, of which most figures fill less than one
            **needs(
                f"figure_{figure}",
                mb=lambda w: 500,
                seconds=lambda w: 4,
                disk_mb=lambda w: 0.2,
            ),
        params:
            **made_by("draw.py", f"figures.{figure}:draw"),
            figure=figure,
            # Scores and heads know nothing of methods.
            order={
                axis: names
                for axis, names in ORDER.items()
                if not axis.endswith("methods") or OF_METHODS & set(tables)
            },
        message:
            f"Drawing {figure}"
        script:
            "../scripts/draw.py"
