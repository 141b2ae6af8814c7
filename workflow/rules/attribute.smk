# attribute: what the model attends to, and what its inputs and hidden states do.


rule attend:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        attention=f"results/attributions/{RUN}/attention.parquet",
    log:
        f"logs/attend/{RUN}.log",
    benchmark:
        f"logs/attend/{RUN}.tsv"
    params:
        run=identity,
        audit=config["audit"],
        device=config["training"]["device"],
        **made_by("attend.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=1500,
    message:
        f"Attention of {THIS_RUN}"
    script:
        "../scripts/attend.py"


def method_parameters(wildcards):
    """A method's parameters: its settings without the kind."""
    settings = config["methods"][wildcards.method]
    return {key: value for key, value in settings.items() if key != "kind"}


def method_module(wildcards):
    return method_function(config["methods"][wildcards.method]["kind"])[0]


rule attribute:
    input:
        model=rules.train.output.model,
        settings=rules.train.output.settings,
        examples=rules.prepare.output.test,
    output:
        importance=f"results/attributions/{RUN}/importance/{{method}}.parquet",
    log:
        f"logs/attribute/{RUN}/{{method}}.log",
    benchmark:
        f"logs/attribute/{RUN}/{{method}}.tsv"
    params:
        run=identity,
        method="{method}",
        function=lambda w: method_function(config["methods"][w.method]["kind"]),
        settings=method_parameters,
        audit=config["audit"],
        device=config["training"]["device"],
        # The script loads the module of one method; the others do not count.
        code=lambda w: code_digest("attribute.py", method_module(w)),
        libraries=lambda w: library_versions("attribute.py", method_module(w)),
    threads: config["training"]["threads"]
    resources:
        mem_mb=2000,
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
    params:
        run=identity,
        # The traced instances are the first of the audited ones.
        instances=min(config["influence"]["instances"], config["audit"]["instances"]),
        matrices=config["influence"]["matrices"],
        device=config["training"]["device"],
        **made_by("trace_influence.py"),
    threads: config["training"]["threads"]
    resources:
        mem_mb=2000,
    message:
        f"Influence of inputs on hidden states of {THIS_RUN}"
    script:
        "../scripts/trace_influence.py"
