# figures: one rule a figure, each a target by name, with the numbers it draws.

ORDER = figure_order(config)
ORDER["datasets"] = [name for name in ORDER["datasets"] if name in DATASETS]
ORDER |= {
    axis: [name for name in ORDER[axis] if name in METHODS]
    for axis in ("methods", "hidden_methods")
}

# Tables with the methods among their subjects.
OF_METHODS = {
    "alignment_examples",
    "alignment_summary",
    "comparison",
    "explanation_summary",
    "picture_examples",
    "summary",
}


def without_methods(order):
    """The order, for a figure that no method can change."""
    return {
        axis: without_methods(names) if axis == "slots" else names
        for axis, names in order.items()
        if not axis.endswith("methods")
    }


# Snakemake's own report says it beside every figure.
NOTICE = {"notice": config["notice"]} if config["notice"] else {}

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
                category=category_of(figure),
                labels={"figure": figure.replace("_", " ")} | NOTICE,
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
            order=ORDER if OF_METHODS & set(tables) else without_methods(ORDER),
            notice=config["notice"],
        message:
            f"Drawing {figure}"
        script:
            "../scripts/draw.py"
