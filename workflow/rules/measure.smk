# measure: numbers an instance, from the attributions of one run.


rule measure:
    input:
        attention=rules.attend.output.attention,
        importances=expand(rules.attribute.output.importance, method=METHODS, allow_missing=True),
        influence=rules.trace_influence.output.influence,
    output:
        measures=f"results/measures/{RUN}.parquet",
    log:
        f"logs/measure/{RUN}.log",
    benchmark:
        f"logs/measure/{RUN}.tsv"
    params:
        run=identity,
        methods=METHODS,
        **made_by("measure.py"),
    resources:
        mem_mb=1000,
    message:
        f"Measuring {THIS_RUN}"
    script:
        "../scripts/measure.py"
