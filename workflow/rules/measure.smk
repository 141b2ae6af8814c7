# measure: numbers an instance, from the attributions of one run and, for what its zeros
# do by themselves, of its reference run.

CONTROL = f"{RESULTS}/controls/{RUN}"
# The normalizers whose runs have controls.
WITH_CONTROLS = one_of(
    name for name, kind in KINDS.items() if has_controls(name, kind, REFERENCE)
)


def lexicon_of(wildcards):
    """The lexicon that rates a data set's words, as it is declared and by its checksum."""
    name = config["datasets"][wildcards.dataset].get("lexicon")
    if name is None:
        return None
    lexicon = config["lexicons"][name]
    if lexicon["kind"] == "file":
        return lexicon | {"sha256": checksum(lexicon["path"])}
    return lexicon | {"sha256": config["archives"][lexicon["archive"]]["sha256"]}


def lexicon_file(wildcards):
    """The file of it, as far as it can be an input."""
    lexicon = lexicon_of(wildcards)
    if lexicon is None:
        return []
    if lexicon["kind"] == "archive":
        return archive_file(lexicon["archive"])
    return lexicon["path"] if can_be_input(lexicon["path"]) else []


rule measure:
    input:
        attention=rules.attend.output.attention,
        importances=importances_of,
        influence=rules.trace_influence.output.influence,
        lexicon=lexicon_file,
        examples=lambda w: rules.prepare.output.test if lexicon_of(w) else [],
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
        lexicon=lexicon_of,
        methods=methods_of,
        effects=lambda w: effects_of(
            {name: config["methods"][name] for name in methods_of(w)}, modality_of(w)
        ),
    message:
        f"Measuring {THIS_RUN}"
    script:
        "../scripts/measure.py"


def of_reference(pattern):
    """A pattern for runs, with the reference normalizer in the place of a run's own."""
    return pattern.replace("{normalizer}", REFERENCE)


rule measure_controls:
    input:
        attention=rules.attend.output.attention,
        importances=importances_of,
        reference_attention=of_reference(ATTENTION),
        reference_importances=lambda w: importances_of(w, of_reference(IMPORTANCE)),
    output:
        cut=f"{CONTROL}/cut.parquet",
        softmax=f"{CONTROL}/softmax.parquet",
    log:
        f"{LOGS}/measure_controls/{RUN}.log",
    benchmark:
        f"{LOGS}/measure_controls/{RUN}.tsv"
    wildcard_constraints:
        normalizer=WITH_CONTROLS,
    resources:
        **needs(
            "measure_controls",
            mb=lambda w: 300 + 2e-2 * config["audit"]["instances"] * length(w),
            seconds=lambda w: LIGHT + 3e-5 * audited_tokens(w),
            disk_mb=lambda w: 0.1,
        ),
    params:
        **made_by("measure_controls.py"),
        run=identity,
        reference=REFERENCE,
        methods=methods_of,
    message:
        f"Measuring the controls of {THIS_RUN}"
    script:
        "../scripts/measure_controls.py"
