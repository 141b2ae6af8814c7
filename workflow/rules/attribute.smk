# attribute: what the model attends to, and what its inputs and hidden states do.


ATTENTION = f"{RESULTS}/attributions/{RUN}/attention.parquet"


rule attend:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
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
            seconds=lambda w: TORCH + 2e-5 * audited_tokens(w),
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
    """What a text is read for: each token of it, each of the samples, or once."""
    method = config["methods"][wildcards.method]
    of_inputs = method["of"] == "inputs"
    tokens = audited_tokens(wildcards)
    match method["kind"]:
        case "leave_one_out" if of_inputs:
            return TORCH + 5e-6 * audited_tokens(wildcards, power=2)
        case "attention_flow" | "value_zeroing":
            return TORCH + 1e-5 * audited_tokens(wildcards, power=2)
        case "kernel_shap" | "lime":
            return TORCH + (4e-6 if of_inputs else 5e-7) * method["samples"] * tokens
        case "gradient_shap" | "integrated_gradients" | "smooth_grad":
            points = method["steps" if "steps" in method else "samples"]
            return TORCH + (2e-5 if of_inputs else 4e-6) * points * tokens
    return TORCH + 2e-5 * tokens


IMPORTANCE = f"{RESULTS}/attributions/{RUN}/importance/{{method}}.parquet"


def importances_of(wildcards, pattern=IMPORTANCE):
    """The tables of importance of a run, by each method that applies to it."""
    return expand(pattern, method=methods_of(wildcards), **dict(wildcards.items()))


def importances_of_runs(runs):
    """The same of many runs, one after the other."""
    return [
        f"{RESULTS}/attributions/{run.path}/importance/{method}.parquet"
        for run in runs
        for method in methods_of(run)
    ]


rule attribute:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
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
            # a pass holds a fixed number of tokens, each with its attention, and what is
            # needed for slopes of them
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
            # and as many such passes as the text has tokens
            seconds=lambda w: (
                TORCH
                + 3.5e-7 * audited_tokens(w, config["influence"]["instances"], power=3)
            ),
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
            seconds=lambda w: TORCH + 2e-5 * audited_tokens(w),
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
