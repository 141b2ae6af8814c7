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


def removals_of(wildcards, methods):
    """What `made_by` is told of words left out: how a run's encoder reads what remains.

    Of the methods of the names ``methods`` one does so at least, and the encoder has a way of
    its own: otherwise nothing.
    """
    declared = [config["methods"][name] for name in methods]
    kind = config["encoders"][wildcards.encoder]["kind"]
    leaves = any(m["kind"] == "leave_one_out" and m["of"] == "inputs" for m in declared)
    if leaves and modality_of(wildcards) == "text" and kind in removal_kinds():
        return [f"attribution.removals.{kind}:left"]
    return []


def method_choice(wildcards):
    """What `made_by` is told of a method: its function, and of no other method's."""
    kind = config["methods"][wildcards.method]["kind"]
    own = ":".join(method_function(kind))
    return [own, *removals_of(wildcards, [wildcards.method])]


def all_methods(wildcards):
    """What `made_by` is told of all methods of a run: their functions."""
    names = methods_of(wildcards)
    kinds = {config["methods"][name]["kind"] for name in names}
    functions = {":".join(method_function(kind)) for kind in kinds}
    return sorted(functions.union(removals_of(wildcards, names)))


def told_methods(wildcards):
    """What a job is told that computes all methods of a run: functions and parameters."""
    return {
        name: {
            "function": method_function(config["methods"][name]["kind"]),
            "settings": method_settings(name),
        }
        for name in methods_of(wildcards)
    }


def method_seconds(wildcards, method, instances=config["audit"]["instances"]):
    """What a text is read for: each token of it, each of the samples, or once."""
    declared = config["methods"][method]
    of_inputs = declared["of"] == "inputs"
    word = PRETRAINED_WORD if is_pretrained(wildcards) else 5e-6
    tokens = word * audited_tokens(wildcards, instances)
    squares = word * audited_tokens(wildcards, instances, power=2)
    match declared["kind"]:
        case "leave_one_out" if of_inputs:
            return squares
        case "attention_flow" | "value_zeroing":
            return 2 * squares
        case "kernel_shap" | "lime":
            return (0.8 if of_inputs else 0.1) * declared["samples"] * tokens
        case "gradient_shap" | "integrated_gradients" | "smooth_grad":
            points = declared["steps" if "steps" in declared else "samples"]
            return (4 if of_inputs else 0.8) * points * tokens
    return 4 * tokens


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
            # a pass holds a fixed number of tokens, each with its attention, and what is
            # needed for slopes of them
            mb=lambda w: 700 + 10 * length(w),
            seconds=lambda w: TORCH + method_seconds(w, w.method),
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


def influence_seconds(wildcards):
    """Columns in proportion to a text's tokens pass the attention of every layer but one.

    Of a pretrained model they are estimated, by passes backwards for each token.
    """
    instances = config["influence"]["instances"]
    if is_pretrained(wildcards):
        return TORCH + 2e-2 * audited_tokens(wildcards, instances, power=2)
    layers = config["encoders"][wildcards.encoder].get("layers", 1)
    cubes = audited_tokens(wildcards, instances, power=3)
    return TORCH + 3.5e-7 * max(1, 2 * (layers - 1)) * cubes


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
            # a fixed number of columns of a Jacobian, and the attention that they pass
            mb=lambda w: 700 + 0.01 * length(w) ** 2,
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
        estimation={
            key: config["influence"][key] for key in ("method", "error", "probes")
        },
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
