# attribute: what the model attends to, and what its inputs and hidden states do.


def reading_seconds(wildcards):
    """Every audited instance is read once, or a few times."""
    word = 4 * PRETRAINED_WORD if is_pretrained(wildcards) else 2e-5
    return TORCH + word * audited_tokens(wildcards)


ATTENTION = f"{RESULTS}/attributions/{RUN}/attention.parquet"


rule attend:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        pretrained=pretrained_of,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        attention=ATTENTION,
    log:
        f"{LOGS}/attend/{RUN}.log",
    benchmark:
        f"{LOGS}/attend/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "attend",
            mb=lambda w: 700 + 2 * length(w),
            seconds=reading_seconds,
            disk_mb=lambda w: 1e-5 * audited_tokens(w),
        ),
        gpu=GPUS,
    params:
        **made_by("attend.py", normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Attention of {THIS_RUN}"
    script:
        "../scripts/attend.py"


def method_settings(method):
    """A method's parameters: what is declared of it without the kind."""
    declared = config["methods"][method]
    return {key: value for key, value in declared.items() if key != "kind"}


def method_choice(wildcards):
    """What `made_by` is told of a method: its function, and of no other method's."""
    kind = config["methods"][wildcards.method]["kind"]
    return [":".join(method_function(kind))]


def attribution_seconds(wildcards):
    """Leave-one-out of inputs reads a text once for every token of it."""
    method = config["methods"][wildcards.method]
    if method["kind"] == "leave_one_out" and method["of"] == "inputs":
        word = PRETRAINED_WORD if is_pretrained(wildcards) else 5e-6
        return TORCH + word * audited_tokens(wildcards, power=2)
    return reading_seconds(wildcards)


def influence_seconds(wildcards):
    """As many passes backwards as a text has tokens, of an estimate for each some of it."""
    instances = config["influence"]["instances"]
    if is_pretrained(wildcards):
        return TORCH + 2e-2 * audited_tokens(wildcards, instances, power=2)
    return TORCH + 3.5e-7 * audited_tokens(wildcards, instances, power=3)


IMPORTANCE = f"{RESULTS}/attributions/{RUN}/importance/{{method}}.parquet"


rule attribute:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        pretrained=pretrained_of,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        importance=IMPORTANCE,
    log:
        f"{LOGS}/attribute/{RUN}/{{method}}.log",
    benchmark:
        f"{LOGS}/attribute/{RUN}/{{method}}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "attribute",
            # leave-one-out holds a fixed number of tokens, each with its attention
            mb=lambda w: 700 + 10 * length(w),
            seconds=attribution_seconds,
            disk_mb=lambda w: 1e-5 * audited_tokens(w),
        ),
        gpu=GPUS,
    params:
        **made_by("attribute.py", method_choice, normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        method="{method}",
        function=lambda w: method_function(config["methods"][w.method]["kind"]),
        settings=lambda w: method_settings(w.method),
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"{{wildcards.method}} of {THIS_RUN}"
    script:
        "../scripts/attribute.py"


rule trace_influence:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        pretrained=pretrained_of,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        influence=f"{RESULTS}/attributions/{RUN}/influence.parquet",
    log:
        f"{LOGS}/trace_influence/{RUN}.log",
    benchmark:
        f"{LOGS}/trace_influence/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        **needs(
            "trace_influence",
            # a fixed number of rows of a Jacobian, each with the attention of its pass
            mb=lambda w: 700 + 0.05 * length(w) ** 2,
            seconds=influence_seconds,
            disk_mb=lambda w: 0.2,
        ),
        gpu=GPUS,
    params:
        **made_by("trace_influence.py", normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        # The traced instances are the first of the audited ones.
        audit={
            "instances": min(
                config["influence"]["instances"], config["audit"]["instances"]
            ),
        },
        matrices=min(
            config["influence"]["matrices"],
            config["influence"]["instances"],
            config["audit"]["instances"],
        ),
        device=config["training"]["device"],
    message:
        f"Influence of inputs on hidden states of {THIS_RUN}"
    script:
        "../scripts/trace_influence.py"


rule trace_heads:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        pretrained=pretrained_of,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        heads=f"{RESULTS}/attributions/{RUN}/heads.parquet",
    log:
        f"{LOGS}/trace_heads/{RUN}.log",
    benchmark:
        f"{LOGS}/trace_heads/{RUN}.tsv"
    wildcard_constraints:
        encoder=one_of(WITH_HEADS),
    threads: config["training"]["threads"]
    resources:
        **needs(
            "trace_heads",
            mb=lambda w: 700 + 10 * length(w),
            seconds=reading_seconds,
            disk_mb=lambda w: 0.1,
        ),
        gpu=GPUS,
    params:
        **made_by("trace_heads.py", normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Heads of {THIS_RUN}"
    script:
        "../scripts/trace_heads.py"


rule trace_offsets:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        pretrained=pretrained_of,
        examples=rules.prepare.output.test,
        reading=rules.prepare.output.reading,
    output:
        offsets=f"{RESULTS}/attributions/{RUN}/offsets.parquet",
    log:
        f"{LOGS}/trace_offsets/{RUN}.log",
    benchmark:
        f"{LOGS}/trace_offsets/{RUN}.tsv"
    wildcard_constraints:
        encoder=one_of(WITH_OFFSETS),
    threads: config["training"]["threads"]
    resources:
        **needs(
            "trace_offsets",
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: TORCH + 2e-5 * audited_tokens(w),
            # two numbers for each of four points a cell, of which the first merging has most
            disk_mb=lambda w: 1e-5 * audited_tokens(w),
        ),
        gpu=GPUS,
    params:
        **made_by("trace_offsets.py", normalizers_of, parts_of, TO_AUDIT),
        modality=modality_of,
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Sampling offsets of {THIS_RUN}"
    script:
        "../scripts/trace_offsets.py"
