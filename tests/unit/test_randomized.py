"""Importance under randomized parameters, against other models made by hand."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.interventions.randomized import (
    STAGES,
    agreements,
    attention,
    new_model,
    randomized,
    write_randomized,
)
from attention_audit.models.modalities.images import PatchModelSettings
from attention_audit.records.randomness import generator
from attention_audit.records.tables import open_table, read_table, write_table
from attention_audit.statistics.explanations import measure_explanations
from tests.unit.models import text_batch as texts
from tests.unit.models import tiny_batch, tiny_model
from tests.unit.test_lit import STAGES as LIT_STAGES
from tests.unit.translators import pair_batch, tiny_translator
from tests.unit.viewers import seconds, viewer

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
BY_GRADIENT = {"of": "inputs", "attention": "detached"}
BY_REMOVAL = {"of": "hidden_states", "removal": None, "output": None}


def tiny_lit_model():
    """Pictures read in two stages, between which running means are kept."""
    torch.manual_seed(0)
    encoder = {
        "kind": "lit",
        "stages": LIT_STAGES,
        "grid": [4, 4],
        "merging": "strided",
        "self_attention": {"kind": "softmax"},
    }
    settings = PatchModelSettings(
        3, 3, encoder, {"kind": "additive"}, {"kind": "softmax"}
    )
    return settings.new_model().eval()


# What is drawn anew at each stage, by the model's own names of its parts.
MODELS = {
    "text": (
        partial(tiny_model, dtype=torch.float32),
        [{"output"}, {"pooling"}, {"encoder"}, {"embedding"}],
    ),
    "translator": (
        tiny_translator,
        [
            {"output"},
            {"pooling"},
            {"encoder", "decoder"},
            {"embedding", "target_embedding"},
        ],
    ),
    "picture": (tiny_lit_model, [{"output"}, {"pooling"}, {"encoder"}, set()]),
    "scores": (viewer, [{"output"}, {"pooling"}, {"encoder"}, set()]),
}


def trained(model):
    """The model with a state that no draw gives, in every entry of it."""
    for values in model.state_dict().values():
        values.add_(7)
    return model


# --- which parameters are drawn, and how -------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_a_cascade_changes_the_named_parts_and_no_others(kind):
    make, parts = MODELS[kind]
    model = trained(make())
    before = {name: values.clone() for name, values in model.state_dict().items()}
    fresh = new_model(model.settings, 0)
    drawn = fresh.state_dict()
    assert {name.split(".")[0] for name in before} == set().union(*parts)
    random = set()
    for stage, more in zip(STAGES, parts, strict=True):
        random |= more
        found = randomized(model, fresh, stage).state_dict()
        for name, values in found.items():
            expected = drawn if name.split(".")[0] in random else before
            assert torch.equal(values, expected[name]), (stage, name)
            assert not torch.equal(drawn[name], before[name])
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_tied_embeddings_are_random_with_the_output():
    model = trained(tiny_translator(tied=True))
    fresh = new_model(model.settings, 0)
    found = randomized(model, fresh, "output")
    assert found.output.weight is found.target_embedding.weight
    assert torch.equal(found.output.weight, fresh.output.weight)
    assert torch.equal(found.embedding.weight, model.embedding.weight)


def test_draws_are_keyed_by_the_seed_alone():
    settings = tiny_model().settings

    def state(seed):
        return new_model(settings, seed).state_dict()

    torch.manual_seed(5)
    first, rest = state(0), torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), rest)
    again, other = state(0), state(1)
    torch.manual_seed(0)
    started = settings.new_model().state_dict()
    for name, values in first.items():
        assert torch.equal(values, again[name])
        assert not torch.equal(values, other[name])
        # nor what a run of that seed starts from
        assert not torch.equal(values, started[name])


# --- agreement ----------------------------------------------------------------------


def by_words(model, batch, of):
    """Importance that looks at the input and at no parameter."""
    values = np.zeros(batch.mask.shape)
    for b, (name, n) in enumerate(zip(batch.instance_ids, batch.lengths, strict=True)):
        values[b, :n] = generator(("word", name), 0).random(n)
    return torch.from_numpy(values)


METHODS = {
    "gradient": (gradient_importance, BY_GRADIENT),
    "removal": (leave_one_out, BY_REMOVAL),
    "words": (by_words, {"of": "inputs"}),
}


def test_a_model_agrees_with_itself_and_what_reads_no_parameter_with_any():
    model, batch = tiny_model(), texts(*tiny_batch((7, 4, 6)))
    fresh = new_model(model.settings, 0).double()
    others = [randomized(model, fresh, stage) for stage in STAGES]
    subjects = {"attention": (attention, {}), **METHODS}
    for name, (function, parameters) in subjects.items():
        lengths, taus = agreements(model, [model, *others], batch, function, parameters)
        np.testing.assert_array_equal(lengths, batch.lengths)
        np.testing.assert_allclose(taus[0], 1, atol=1e-12)
        if name == "words":
            np.testing.assert_allclose(taus, 1, atol=1e-12)
        else:
            assert (taus[-1] < 0.99).all()
        if name == "attention":  # which is not made of the outputs
            np.testing.assert_allclose(taus[1], 1, atol=1e-12)


def table(path, model, batches, methods=METHODS, run=RUN):
    with open_table(path, "randomized", {}) as rows:
        write_randomized(rows, model, batches, run, methods)
    return read_table(path, "randomized").to_pandas()


def test_the_table_has_a_row_an_instance_subject_and_stage(tmp_path):
    model, batch = tiny_model(kind="sparsemax"), texts(*tiny_batch((7, 4, 1)))
    rows = table(tmp_path / "whole.parquet", model, [batch])
    keys = ["subject", "stage", "instance_id"]
    wanted = rows.set_index(keys)["tau_b"]
    assert list(wanted.index) == [
        (subject, stage, f"text{b}")
        for subject in ("attention", *METHODS)
        for stage in STAGES
        for b in range(3)
    ]
    # of one position there is no ranking
    assert (rows.loc[rows["tau_b"].isna(), "instance_id"] == "text2").all()
    assert rows.loc[rows["instance_id"] == "text2", "tau_b"].isna().all()

    # made by hand, of attention with random outputs and pooling
    drawn = new_model(model.settings, 0).state_dict()
    other = tiny_model(kind="sparsemax")
    state = {
        name: drawn[name] if name.startswith(("output", "pooling")) else values
        for name, values in model.state_dict().items()
    }
    other.load_state_dict(state)
    with torch.no_grad():
        own, found = model(batch).attention, other(batch).attention
    for b, n in enumerate((7, 4)):
        tau = kendalltau(own[b, :n], found[b, :n]).statistic
        got = wanted["attention", "pooling", f"text{b}"]
        np.testing.assert_allclose(got, tau, atol=1e-12)

    # the same of each text by itself, and of another seed not
    for b in (0, 1):
        one = batch.take(np.array([b]))
        alone = table(tmp_path / f"{b}.parquet", model, [one]).set_index(keys)["tau_b"]
        np.testing.assert_array_equal(alone, wanted[alone.index])
    other = table(tmp_path / "other.parquet", model, [batch], run=RUN | {"seed": 1})
    assert (other["tau_b"].dropna() != rows["tau_b"].dropna()).any()


@pytest.mark.parametrize(
    ("make", "batch"),
    [(tiny_translator, pair_batch()), (viewer, seconds(4, 0).whole)],
    ids=["translator", "scores"],
)
def test_every_modality_is_randomized_by_the_same_verbs(tmp_path, make, batch):
    methods = {"gradient": METHODS["gradient"]}
    rows = table(tmp_path / "r.parquet", make(), [batch], methods)
    assert len(rows) == 2 * len(STAGES) * len(batch.instance_ids)
    at = rows.set_index(["subject", "stage"])["tau_b"]
    np.testing.assert_allclose(at["attention", "output"].dropna(), 1, atol=1e-12)
    assert at["gradient", "whole"].notna().any()


def test_agreement_is_a_measure_with_its_stage_as_reference(tmp_path):
    columns = {
        **RUN,
        "instance_id": ["a", "a", "b"],
        "length": [3, 3, 1],
        "subject": ["attention", "input_gradient", "attention"],
        "stage": ["output", "whole", "output"],
        "tau_b": [1.0, -0.5, None],
    }
    path = tmp_path / "randomized.parquet"
    write_table(path, "randomized", columns, {})
    (rows,) = measure_explanations(RUN, {"randomized": [path]})
    found = rows.drop_columns([*RUN]).to_pylist()
    assert found == [
        {
            "instance_id": instance,
            "measure": "kendall_tau_b",
            "subject": subject,
            "reference": reference,
            "value": value,
        }
        for instance, subject, reference, value in (
            ("a", "attention", "randomized_output", 1.0),
            ("a", "input_gradient", "randomized_whole", -0.5),
            ("b", "attention", "randomized_output", None),
        )
    ]
