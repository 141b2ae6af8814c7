"""Write the page that shows all figures and the main tables."""

from pathlib import Path

from attention_audit.figures import report
from attention_audit.figures.explorer import explorer_data
from attention_audit.figures.libraries import libraries
from attention_audit.records.errors import reported
from attention_audit.records.tables import read_json, read_table

with reported(snakemake.log[0]):
    params = snakemake.params
    order, statistics = params.order, params.statistics
    claims, task, summary, comparison = (
        read_table(snakemake.input[name], name).to_pandas()
        for name in ("claims", "task", "summary", "comparison")
    )
    figures = {
        name: (picture, Path(caption).read_text(encoding="utf-8"))
        for name, picture, caption in zip(
            params.figures,
            snakemake.input.figures,
            snakemake.input.captions,
            strict=True,
        )
    }
    tables = [
        report.claim_table(claims, params.figures, statistics["confidence"]),
        report.claim_cell_table(claims, statistics["confidence"]),
        report.score_table(task, order),
        *(
            [
                report.cost_table(
                    task,
                    read_table(sizes, "sizes").to_pandas(),
                    read_table(snakemake.input.speed, "speed").to_pandas(),
                    order,
                )
            ]
            if (sizes := snakemake.input.get("sizes"))
            else []
        ),
        report.agreement_table(summary, order, statistics["confidence"]),
        *(
            report.difference_table(
                comparison,
                order,
                statistics["reference"],
                statistics["correction"],
                contrast,
            )
            for contrast in ("normalizer", "cut", "beyond_cut")
        ),
        *(
            [report.recorded_table(read_table(recorded, "recorded").to_pandas(), order)]
            if (recorded := snakemake.input.get("recorded"))
            else []
        ),
        report.example_table(
            read_table(snakemake.input.examples, "agreement_examples").to_pandas(),
            order,
        ),
        report.data_table([read_json(card) for card in snakemake.input.cards]),
    ]
    about = read_json(snakemake.input.experiment)
    config = Path(snakemake.input.config).read_text(encoding="utf-8")
    browsed = (
        read_table(snakemake.input[name], name)
        for name in ("explorer", "explorer_items")
    )
    report.write_page(
        {
            Path(source).name: Path(source).read_text(encoding="utf-8")
            for source in snakemake.input.sources
        },
        {**about, "config": config},
        figures,
        tables,
        params.n_runs,
        order,
        snakemake.output.page,
        params.notice,
        libraries(),
        explorer_data(*browsed, order),
    )
