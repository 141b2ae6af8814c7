"""Finished classifiers: what the library makes of a raw text, as an attention over words."""

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer

from attention_audit.attribution.importance import load_function
from attention_audit.attribution.influence import jacobian_norms
from attention_audit.attribution.weights import write_attention
from attention_audit.config import validate
from attention_audit.data.text_batches import TextExamples
from attention_audit.data.word_pieces import WordPieces
from attention_audit.grid import Run, grid, unsuited
from attention_audit.interventions.adversarial import SearchSettings, write_adversarial
from attention_audit.interventions.erasure import erase
from attention_audit.interventions.flips import write_flips
from attention_audit.interventions.permutation import write_permutation
from attention_audit.interventions.randomized import STAGES, attention, randomized
from attention_audit.interventions.randomized import new_model as random_model
from attention_audit.methods import METHODS, applies
from attention_audit.models.attention import build_scorer
from attention_audit.models.finished import FinishedEncoder
from attention_audit.models.modalities.text import ModelSettings
from attention_audit.models.model import load_model, save_model, settings_json
from attention_audit.models.outputs import Readout
from attention_audit.models.training import new_model as new_model_of
from attention_audit.models.training import train
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.targets import check_target
from tests.unit.models import text_batch
from tests.unit.pretrained import TEXTS, edited, folder_of, ids_of, vocabulary_of
from tests.unit.test_config import SCHEMA_PATH, message, small

CPU = torch.device("cpu")
LABELS = ("NEGATIVE", "neutral", "POSITIVE")
# a data set's order is another than the model's
ORDER = ["negative", "positive", "neutral"]
OWN, SOFTMAX = {"kind": "own"}, {"kind": "softmax"}
FAMILIES = ["bert", "distilbert", "electra", "roberta"]


def settings_of(
    family="bert", labels=ORDER, folder=None, scorer=OWN, normalizer=SOFTMAX
):
    """Settings, pieces of words, and the token ids (B, n) of texts."""
    folder = folder or folder_of(family, LABELS)
    tokenizer = WordPieces(folder / "tokenizer.json")
    tokens = vocabulary_of(tokenizer, TEXTS)
    encoder = {"kind": "finished", "model": family, "labels": labels}
    made, pieces = FinishedEncoder.declared(encoder, folder, tokens)
    settings = ModelSettings.from_config(
        made, scorer, normalizer, len(tokens), len(labels)
    )
    return settings, pieces, ids_of(tokenizer, tokens, TEXTS)


def model_of(family="bert", double=True):
    """A classifier in evaluation mode, and a batch of all texts."""
    settings, pieces, ids = settings_of(family)
    model = new_model_of(settings, 0, CPU, pieces)
    return model.double() if double else model, text_batch(ids, ids > 0)


def library_of(family, text):
    """The classifier by the library, what it reads, and where the pieces of words are."""
    tokenizer = Tokenizer.from_file(str(folder_of(family, LABELS) / "tokenizer.json"))
    tokenizer.no_padding()
    read = tokenizer.encode(" ".join(text.split()))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder_of(family, LABELS), attn_implementation="eager", dtype=torch.float32
    )
    places: dict[int, list[int]] = {}
    for place, word in enumerate(read.word_ids):
        if word is not None:
            places.setdefault(word, []).append(place)
    return model.double().eval(), torch.tensor([read.ids]), list(places.values())


def in_order(logits):
    return logits[..., [0, 2, 1]]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_attention_are_those_of_the_library_on_raw_texts(family):
    model, batch = model_of(family)
    with torch.no_grad():
        found = model(batch)
    assert found.attention.sum(-1).tolist() == pytest.approx([1, 1, 1])
    for row, text in enumerate(TEXTS):
        library, ids, places = library_of(family, text)
        with torch.no_grad():
            made = library(ids, output_attentions=True)
        torch.testing.assert_close(found.logits[row], in_order(made.logits[0]))
        of_words = made.attentions[-1][0, :, 0].mean(0)
        of_words = torch.stack([of_words[place].sum() for place in places])
        torch.testing.assert_close(
            found.attention[row, : len(places)], of_words / of_words.sum()
        )
        # What is not in the exponentials of scores goes to special tokens.
        special = made.attentions[-1][0, :, 0][:, [0, -1]].sum(-1).mean()
        of_scores = model.pooling.scores(found.hidden, found.query)[row, : len(places)]
        torch.testing.assert_close(1 - of_scores.exp().sum(), special)
        assert (found.attention[row, len(places) :] == 0).all()
    # in single precision, as jobs compute
    single, _ = model_of(family, double=False)
    with torch.no_grad():
        close = single(batch).logits.double()
    torch.testing.assert_close(close, found.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_other_weights_scale_what_every_head_takes_of_a_word(family):
    model, batch = model_of(family)
    library, ids, places = library_of(family, TEXTS[0])
    one = batch.take(np.array([0]))
    with torch.no_grad():
        own = model(one)
    n = len(places)
    other = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(n)))
    factor = torch.ones(ids.shape[1], dtype=torch.float64)
    for t, place in enumerate(places):
        factor[place] = other[t] / own.attention[0, t]

    def weighed(module, query, key, value, mask, scaling=None, **_):
        weights = (query @ key.mT * scaling).softmax(-1)
        calls.append(module)
        if len(calls) == 2:  # of two layers the last
            weights = weights * factor
        return (weights @ value).transpose(1, 2).contiguous(), weights

    calls = []
    transformers.AttentionInterface.register("weighed", weighed)
    library.set_attn_implementation("weighed")
    with torch.no_grad():
        expected = in_order(library(ids).logits)
    found = Readout(model).logits(*_state(own, n, other))
    torch.testing.assert_close(found, expected)
    assert (found - own.logits).abs().max() > 1e-3


def _state(output, n, weights):
    hidden, _, query = output.decision(0, n)
    return hidden, weights.unsqueeze(0), query


def test_the_gradient_by_words_is_that_of_the_library():
    model, batch = model_of()
    found = load_function(*METHODS["gradient"])(
        model, batch, of="inputs", attention="attached"
    )
    library, ids, places = library_of("bert", TEXTS[0])
    x = library.get_input_embeddings()(ids).detach().requires_grad_()
    p = library(inputs_embeds=x).logits.softmax(-1)[0]
    expected = torch.zeros(len(places), dtype=torch.float64)
    for k in range(3):
        (slopes,) = torch.autograd.grad(p[k], x, retain_graph=True)
        of_pieces = (slopes * x).sum(-1)[0]
        expected += torch.stack([of_pieces[place].sum() for place in places]).abs()
    torch.testing.assert_close(found[0, : len(places)], expected)


def test_a_text_without_words_is_left_with_its_special_tokens():
    model, batch = model_of()
    library, ids, _ = library_of("bert", TEXTS[0])
    with torch.no_grad():
        expected = in_order(library(ids[:, [0, -1]]).logits)
        found = model.decide_without(batch)
    torch.testing.assert_close(found, expected.expand(3, -1))


def test_every_method_and_experiment_runs(tmp_path):
    model, batch = model_of(double=False)
    encoder = {"kind": "finished"}
    more = {
        "gradient": {"attention": "detached"},
        "gradient_shap": {"samples": 4, "noise": 0.1},
        "integrated_gradients": {"steps": 4},
        "kernel_shap": {"samples": 20},
        "lime": {"samples": 20},
        "smooth_grad": {"samples": 4, "noise": 0.1},
    }
    for kind, function in METHODS.items():
        if not applies({"kind": kind}, encoder):
            continue
        weighted = kind in ("attention_gradient", "value_norm")
        for of in ["hidden_states"] if weighted else ["inputs", "hidden_states"]:
            found = load_function(*function)(model, batch, of=of, **more.get(kind, {}))
            found = found if isinstance(found, torch.Tensor) else found[0]
            assert found.shape == batch.mask.shape and found.isfinite().all()
            assert (found[batch.mask] > 0).any() and not found[~batch.mask].any()
    run = {"dataset": "d", "encoder": "e", "scorer": "o", "normalizer": "s", "seed": 0}
    few = SearchSettings(candidates=2, steps=3)
    for name, write in {
        "attention": lambda t: write_attention(t, model, [batch], run),
        "adversarial": lambda t: write_adversarial(t, model, [batch], run, few),
        "permutation": lambda t: write_permutation(t, model, [batch], run, 5),
        "flips": lambda t: write_flips(t, model, [batch], run, 2),
    }.items():
        with tables.open_table(tmp_path / f"{name}.parquet", name, {}) as table:
            write(table)
        assert tables.read_table(tmp_path / f"{name}.parquet", name).num_rows
    ranks = torch.arange(batch.mask.shape[1]).expand(1, *batch.mask.shape)
    falls = erase(model, batch, ranks, np.minimum(batch.lengths, 2)[:, None])
    assert np.isfinite(falls.comprehensiveness).all()


def test_hidden_states_are_asked_of_what_words_give_alone():
    model, batch = model_of()
    # weights are given, and the context is linear in values
    slopes = load_function(*METHODS["gradient"])
    found = [
        slopes(model, batch, of="hidden_states", attention=attention)
        for attention in ("attached", "detached")
    ]
    torch.testing.assert_close(*found)
    one = batch.take(np.array([1]))
    leave_out = load_function(*METHODS["leave_one_out"])
    found = leave_out(model, one, of="hidden_states")[0]
    with torch.no_grad():
        own = model(one)
    # without a word the others have its weight, in proportion
    left = own.attention * torch.tensor([[0.0, 1.0]])
    state = _state(own, 2, (left / left.sum())[0])
    changed = Readout(model).outputs(*state) - own.logits.softmax(-1)
    assert found[0].item() == pytest.approx(changed.abs().mean().item(), rel=1e-5)


def test_influence_and_heads_are_of_the_states_that_are_attended_to():
    model, batch = model_of()
    one = batch.take(np.array([1]))
    x = model.embed(one).detach()
    library, ids, places = library_of("bert", TEXTS[1])
    with torch.no_grad():
        hidden, layers = model.encoder.with_attention(x, one.mask)
        made = library(ids, output_hidden_states=True, output_attentions=True)
    wanted = torch.stack([made.hidden_states[1][0, p].mean(0) for p in places])
    torch.testing.assert_close(hidden[0], wanted)
    for ours, theirs in zip(layers, made.attentions, strict=True):
        to_last = theirs[0][:, places[0]][:, :, places[1]].sum(-1).mean(-1)
        torch.testing.assert_close(ours[0, :, 0, 1], to_last)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: model.encoder(x, one.mask)[0], x
    )
    torch.testing.assert_close(
        jacobian_norms(model.encoder, x[0]),
        torch.linalg.vector_norm(jacobian[:, :, 0], dim=(1, 3)),
    )


def test_parameters_are_drawn_anew_from_the_output_down():
    model, batch = model_of(double=False)
    fresh = random_model(model.settings, 0)
    own = attention(model, batch)
    stages = {stage: randomized(model, fresh, stage) for stage in STAGES}
    for stage in ("output", "pooling"):
        torch.testing.assert_close(attention(stages[stage], batch), own)
        with torch.no_grad():
            assert not torch.equal(stages[stage](batch).logits, model(batch).logits)
    assert (attention(stages["encoder"], batch) - own).abs().max() > 0.01
    # it reads the same words
    for other in stages.values():
        assert torch.equal(other.encoder.pieces, model.encoder.pieces)
    # torch's draw, and not the folder's weights
    weights = fresh.encoder.last.state_dict()
    for name, values in model.encoder.last.state_dict().items():
        assert values.dim() < 2 or not torch.equal(values, weights[name])


TRAINING = {
    "max_epochs": 2,
    "patience": 2,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "gradient_clip": 5.0,
    "label_smoothing": 0.0,
    "warmup_steps": 0,
}


def test_nothing_is_trained_and_the_model_is_rebuilt_from_its_folder(tmp_path):
    settings, pieces, ids = settings_of("distilbert")
    texts = [row[row > 0].numpy() for row in ids]
    lengths = np.array([len(text) for text in texts])
    examples = TextExamples(["a", "b", "c"], texts, np.array([0, 1, 2]), lengths)
    made = train(settings, TRAINING, examples, examples, 1, CPU, pieces)
    assert (made.history, made.best_epoch) == ([], 0)
    batch = text_batch(ids, ids > 0)
    expected, _ = model_of("distilbert", double=False)
    with torch.no_grad():
        torch.testing.assert_close(made.model(batch).logits, expected(batch).logits)
    # beside what is in the folder, as the workflow has it
    root = folder_of("distilbert", LABELS).parents[2]
    own = root / "models"
    own.mkdir()
    save_model(made.model, own / "model.safetensors", {})
    tables.write_json(own / "settings.json", settings_json(settings))
    assert (own / "model.safetensors").stat().st_size < 6000
    loaded = load_model(own / "model.safetensors", own / "settings.json")
    with torch.no_grad():
        torch.testing.assert_close(loaded(batch).logits, expected(batch).logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["neg", "pos"]}, "classes NEGATIVE, neutral, POSITIVE.*neg, pos"),
        ({"scorer": {"kind": "additive"}}, "not by 'additive' and 'softmax'"),
        ({"normalizer": {"kind": "sparsemax"}}, "not by 'own' and 'sparsemax'"),
        ({"config": {"problem_type": "multi_label_classification"}}, "one of several"),
        # its classes decide by the mean over tokens
        ({"family": "modernbert"}, "does not decide by a class token"),
        ({"whole": False}, "lacks a head of classes|weights lack classifier"),
    ],
)
def test_what_cannot_be_audited_is_refused(tmp_path, change, message):
    family = change.pop("family", "bert")
    labels = LABELS if change.pop("whole", True) else None
    folder = folder_of(family, labels)
    if config := change.pop("config", {}):
        folder = edited(folder, tmp_path / "other", **config)
    with pytest.raises(AuditError, match=message):
        new_model_of(settings_of(family, folder=folder, **change)[0], 0, CPU, None)


def test_the_attention_of_finished_classifiers_is_of_no_other():
    with pytest.raises(AuditError, match="kind 'own' is the attention of encoders"):
        build_scorer(OWN, 8)


# --- what is asked of it --------------------------------------------------------------


def asked(**sections):
    """A small configuration that declares a finished classifier, and has it in its grid."""
    config = small()
    config["datasets"]["mine"]["tokenizer"] = "done"
    config["pretrained"] = {"done": {"kind": "folder", "path": "done"}}
    config["encoders"]["done"] = {"kind": "finished", "model": "done"}
    config["scorers"]["own"] = OWN
    config["normalizers"]["sparsemax"] = {"kind": "sparsemax"}
    config["grid"] = {"seeds": [3, 1]}
    return config | sections


def test_a_grid_has_a_finished_classifier_once_and_says_what_it_goes_without():
    config = validate(asked(), SCHEMA_PATH)
    runs = [run for run in grid(config) if run.encoder == "done"]
    assert runs == [Run("mine", "done", "own", "softmax", 3)]
    others = {run.scorer for run in grid(config)} - {"own"}
    assert others == {"additive"} and len(grid(config)) == 5
    assert unsuited(config) == {
        "average": "encoders.average is no finished classifier: it has no runs with own",
        "done": "encoders.done is a finished classifier, which attends by weights of its own "
        "and is not trained: it has no runs with additive, sparsemax, seed 1",
    }


def test_a_grid_says_which_experiments_go_without_a_finished_classifier():
    explanations = {
        "uniform": {"enabled": True, "normalizer": "even"},
        "permutation": {"enabled": True},
    }
    config = asked(explanations=explanations, learning_curve={"enabled": True})
    config["normalizers"]["even"] = {"kind": "uniform"}
    config["grid"] = {"encoders": ["average", "done"]}
    notice = unsuited(validate(config, SCHEMA_PATH))["done"]
    assert notice.endswith("its runs go without explanations.uniform, learning_curve")


OWN_RUN = "mine/done/own/softmax/seed3"


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        (f"models/{OWN_RUN}/metrics.json", None),
        (f"explanations/{OWN_RUN}/permutation.parquet", None),
        (f"attributions/{OWN_RUN}/heads.parquet", None),
        (
            "models/mine/done/own/sparsemax/seed3/metrics.json",
            "is for encoders of kind finished",
        ),
        (
            "models/mine/average/own/softmax/seed3/metrics.json",
            "is for encoders of kind finished",
        ),
        ("measures/mine/done/own/softmax/seed1.parquet", "Ask for seed3"),
        (
            f"models/{OWN_RUN.replace('mine', 'others')}/metrics.json",
            "datasets.others.tokenizer must be 'done'",
        ),
        *(
            (target, "of which nothing is trained")
            for target in (
                f"learning_curve/{OWN_RUN}/share0.5.json",
                f"adversaries/{OWN_RUN}/jsd/lambda0.1/model.safetensors",
                f"diagnostics/{OWN_RUN}/attention/metrics.json",
                "diagnostics/mine/own/softmax/seed3/learned/metrics.json",
                "diagnostics/mine/own/seed3/uniform/metrics.json",
                f"explanations/{OWN_RUN}/uniform.parquet",
                f"explanations/{OWN_RUN}/seed_variance.parquet",
            )
        ),
    ],
)
def test_a_target_that_a_finished_classifier_does_not_have_is_refused(target, fault):
    on = ("adversarial_training", "diagnostics", "permutation", "seed_variance")
    config = asked(
        explanations={name: {"enabled": True} for name in on},
        learning_curve={"enabled": True, "shares": [0.5]},
    )
    config["grid"] |= {"datasets": ["mine"]}
    config["datasets"]["others"] = small()["datasets"]["mine"]
    config["explanations"]["uniform"] = {"enabled": True, "normalizer": "even"}
    config["normalizers"]["even"] = {"kind": "uniform"}
    config = validate(config, SCHEMA_PATH)
    if fault is None:
        check_target(f"results/{target}", config)
    else:
        with pytest.raises(AuditError, match=fault):
            check_target(f"results/{target}", config)


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        (
            {"datasets": small()["datasets"]},
            "datasets.mine.tokenizer must be 'done', for encoders.done",
        ),
        (
            {"scorers": small()["scorers"]},
            "encoders.done is a finished classifier, and attends by a scorer of kind own",
        ),
        (
            {"statistics": {"reference": "sparsemax"}},
            "statistics.reference: 'sparsemax' is not of kind softmax",
        ),
        (
            {
                "grid": {"encoders": ["done"]},
                "explanations": {"adversarial_training": {"enabled": True}},
            },
            "explanations.adversarial_training is of models that are trained",
        ),
        (
            {"grid": {"encoders": ["done"]}, "learning_curve": {"enabled": True}},
            "learning_curve is of models that are trained",
        ),
    ],
)
def test_faults_of_a_grid_name_the_key(sections, fault):
    assert fault in message(asked(**sections))
