# measure: numbers an instance, from the attributions of one run.


rule measure:
    input:
        attention=rules.attend.output.attention,
        importances=expand(IMPORTANCE, method=METHODS, allow_missing=True),
        influence=rules.trace_influence.output.influence,
    output:
        measures=f"{RESULTS}/measures/{RUN}.parquet",
    log:
        f"{LOGS}/measure/{RUN}.log",
    benchmark:
        f"{LOGS}/measure/{RUN}.tsv"
    resources:
        **needs(
            "measure",
            mb=lambda w: 300 + 1e-2 * config["audit"]["instances"] * length(w),
            seconds=lambda w: LIGHT + 1.5e-5 * audited_tokens(w),
            disk_mb=lambda w: 0.06,
        ),
    params:
        **made_by("measure.py"),
        run=identity,
        methods=METHODS,
        effects={
            name: EFFECTS[config["methods"][name]["kind"]]
            for name in METHODS
            if config["methods"][name]["kind"] in EFFECTS
        },
    message:
        f"Measuring {THIS_RUN}"
    script:
        "../scripts/measure.py"
