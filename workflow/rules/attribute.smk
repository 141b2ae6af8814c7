# attribute: what the model attends to, and what its inputs and hidden states do.


ATTENTION = f"results/attributions/{RUN}/attention.parquet"


rule attend:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        attention=ATTENTION,
    log:
        f"logs/attend/{RUN}.log",
    benchmark:
        f"logs/attend/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        mem_mb=memory(lambda w: 700 + 2 * length(w)),
        runtime=growing(lambda w: 5 + 1e-4 * config["audit"]["instances"] * length(w)),
        gpu=GPUS,
    params:
        **made_by("attend.py", normalizers_of),
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Attention of {THIS_RUN}"
    script:
        "../scripts/attend.py"


def method_parameters(wildcards):
    """A method's parameters: its settings without the kind."""
    settings = config["methods"][wildcards.method]
    return {key: value for key, value in settings.items() if key != "kind"}


def method_choice(wildcards):
    """What `made_by` is told of a method: its function, and of no other method's."""
    kind = config["methods"][wildcards.method]["kind"]
    return [":".join(method_function(kind))]


IMPORTANCE = f"results/attributions/{RUN}/importance/{{method}}.parquet"


rule attribute:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        importance=IMPORTANCE,
    log:
        f"logs/attribute/{RUN}/{{method}}.log",
    benchmark:
        f"logs/attribute/{RUN}/{{method}}.tsv"
    threads: config["training"]["threads"]
    resources:
        # leave-one-out holds a fixed number of tokens, each with its attention
        mem_mb=memory(lambda w: 700 + 10 * length(w)),
        # and reads a text once for every token of it
        runtime=growing(
            lambda w: 5 + 1e-6 * config["audit"]["instances"] * length(w) ** 2
        ),
        gpu=GPUS,
    params:
        **made_by("attribute.py", method_choice, normalizers_of),
        run=identity,
        method="{method}",
        function=lambda w: method_function(config["methods"][w.method]["kind"]),
        settings=method_parameters,
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
    output:
        influence=f"results/attributions/{RUN}/influence.parquet",
    log:
        f"logs/trace_influence/{RUN}.log",
    benchmark:
        f"logs/trace_influence/{RUN}.tsv"
    threads: config["training"]["threads"]
    resources:
        # a fixed number of rows of a Jacobian, each with the attention of its pass
        mem_mb=memory(lambda w: 700 + 0.05 * length(w) ** 2),
        # and as many such passes as the text has tokens
        runtime=growing(
            lambda w: 5 + 3e-7 * config["influence"]["instances"] * length(w) ** 3
        ),
        gpu=GPUS,
    params:
        **made_by("trace_influence.py", normalizers_of),
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
    output:
        heads=f"results/attributions/{RUN}/heads.parquet",
    log:
        f"logs/trace_heads/{RUN}.log",
    benchmark:
        f"logs/trace_heads/{RUN}.tsv"
    wildcard_constraints:
        encoder=one_of(TRANSFORMERS),
    threads: config["training"]["threads"]
    resources:
        mem_mb=memory(lambda w: 700 + 10 * length(w)),
        runtime=growing(lambda w: 5 + 1e-4 * config["audit"]["instances"] * length(w)),
        gpu=GPUS,
    params:
        **made_by("trace_heads.py", normalizers_of),
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
    message:
        f"Heads of {THIS_RUN}"
    script:
        "../scripts/trace_heads.py"
