"""The contract: a modality of two classes, of which no audit has ever heard."""

from dataclasses import dataclass
from typing import get_type_hints

import numpy as np
import pyarrow as pa
import pytest
import torch

from attention_audit.attribution.importance import load_function, write_importance
from attention_audit.attribution.influence import write_influence
from attention_audit.attribution.weights import write_attention
from attention_audit.data.text_batches import TextBatch
from attention_audit.interventions.adversarial import SearchSettings, write_adversarial
from attention_audit.interventions.adversaries import write_adversary
from attention_audit.interventions.erasure import write_erasure
from attention_audit.interventions.fitting import attention_of, fit
from attention_audit.interventions.flips import write_flips
from attention_audit.interventions.permutation import write_permutation
from attention_audit.methods import method_function
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import Batch, DecisionModel, Examples
from attention_audit.models.encoders import build_encoder
from attention_audit.models.training import evaluate
from attention_audit.records.tables import open_table, read_table
from tests.unit.models import text_batch, tiny_batch, tiny_model
from tests.unit.test_training import CPU, SETTINGS

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
SIZE = 3


@dataclass(frozen=True)
class Series:
    """Readings of SIZE instruments, moment by moment; a removed moment reads 0."""

    instance_ids: list[str]
    labels: torch.Tensor
    lengths: np.ndarray
    values: torch.Tensor  # (B, n, SIZE)
    mask: torch.Tensor

    removal = "silence"
    cluster_ids = None
    gold = None
    guess = None
    places = None
    times = None
    groups = None

    def take(self, rows):
        n = self.lengths[rows].max()
        names = [self.instance_ids[row] for row in rows]
        parts = self.values[rows, :n], self.mask[rows, :n]
        return Series(names, self.labels[rows], self.lengths[rows], *parts)

    def without(self, removed, removal="silence"):
        assert removal == "silence"
        rows = np.zeros(len(removed), dtype=int)
        all_of_them = self.take(rows)
        values = all_of_them.values.masked_fill(removed.unsqueeze(-1), 0.0)
        names, labels = all_of_them.instance_ids, all_of_them.labels
        return Series(names, labels, all_of_them.lengths, values, all_of_them.mask)


@dataclass(frozen=True)
class Recordings:
    """A split of them, of class 1 where the first instrument reads much."""

    whole: Series

    @property
    def instance_ids(self):
        return self.whole.instance_ids

    @property
    def labels(self):
        return self.whole.labels.numpy()

    @property
    def lengths(self):
        return self.whole.lengths

    def __len__(self):
        return len(self.lengths)

    def take(self, rows):
        return Recordings(self.whole.take(np.asarray(rows)))

    def batch(self, rows, device):
        return self.whole.take(rows)


def recordings(n: int, seed: int) -> Recordings:
    random = np.random.default_rng(seed)
    lengths = random.integers(2, 8, n)
    mask = torch.arange(lengths.max()) < torch.from_numpy(lengths).unsqueeze(1)
    values = torch.from_numpy(random.standard_normal((*mask.shape, SIZE))).float()
    values *= mask.unsqueeze(-1)
    labels = (values[..., 0].sum(1) > 0).long()
    names = [f"series{seed}-{i}" for i in range(n)]
    return Recordings(Series(names, labels, lengths, values, mask))


class Listener(DecisionModel):
    """A model of them: the readings are the embeddings."""

    def __init__(self, kind: str):
        super().__init__()
        self.encoder = build_encoder({"kind": "bilstm", "hidden_size": 4}, SIZE)
        self.pooling = AttentionPooling(8, {"kind": "additive"}, {"kind": kind})
        self.output = torch.nn.Linear(8, 2)

    def embed(self, batch):
        return batch.values


def listener(kind: str = "sparsemax", seed: int = 0) -> Listener:
    torch.manual_seed(seed)
    return Listener(kind).eval()


def test_text_and_any_other_batch_have_all_that_the_contract_names():
    for batch in (text_batch(*tiny_batch()), recordings(3, 0).whole):
        assert all(hasattr(batch, name) for name in get_type_hints(Batch))
        assert callable(batch.take) and callable(batch.without)
    assert all(hasattr(recordings(3, 0), name) for name in get_type_hints(Examples))


def test_every_audit_takes_a_modality_that_it_does_not_know(tmp_path):
    model, other = listener(), listener(seed=1)
    batch = recordings(5, 0).whole
    written = {}

    def table(name, schema, write, *arguments):
        written[name] = tmp_path / f"{name}.parquet"
        with open_table(written[name], schema, {}) as rows:
            write(rows, *arguments)
        return read_table(written[name], schema)

    def on(*more):
        return model, iter([batch]), RUN, *more

    attended = table("attention", "attention", write_attention, *on())
    assert attended["label"].to_pylist() == batch.labels.tolist()
    methods = {
        "gradient": {"of": "inputs", "attention": "detached"},
        "leave_one_out": {"of": "inputs", "removal": "silence"},
    }
    for kind, parameters in methods.items():
        function = load_function(*method_function(kind))
        for of in ("inputs", "hidden_states"):
            options = {**parameters, "of": of}
            more = (f"{of}_{kind}", function, options)
            found = table(f"{of}_{kind}", "importance", write_importance, *on(*more))
            lengths = pa.compute.list_value_length(found["importance"])
            assert lengths.to_pylist() == batch.lengths.tolist()
    importances = {name: written[f"inputs_{name}"] for name in methods}
    table("influence", "influence", write_influence, *on(1))
    table("permutation", "permutation", write_permutation, *on(5))
    table("flips", "flips", write_flips, *on(2))
    settings = SearchSettings(candidates=2, steps=3)
    table("adversarial", "adversarial", write_adversarial, *on(settings))
    arguments = on(written["attention"], importances, (0.5,), 1)
    table("erasure", "erasure", write_erasure, *arguments)
    pair = (model, other, iter([batch]), RUN, 0.1, "jsd")
    found = table("adversaries", "adversaries", write_adversary, *pair)
    assert len(found) == len(batch.lengths)


def test_a_moment_left_out_is_read_as_silence():
    model, batch = listener("softmax"), recordings(4, 0).whole
    got = load_function(*method_function("leave_one_out"))(
        model, batch, "inputs", "silence"
    )
    for b, n in enumerate(batch.lengths):
        one = batch.take(np.array([b]))
        full = model(one).logits.softmax(-1)
        for t in range(n):
            values = one.values.clone()
            values[0, t] = 0.0
            silent = Series(one.instance_ids, one.labels, one.lengths, values, one.mask)
            expected = (model(silent).logits.softmax(-1) - full).abs().mean()
            assert got[b, t].item() == pytest.approx(expected.item(), abs=1e-5)
    assert (got[~batch.mask] == 0).all()


def test_the_training_loop_takes_any_loss_of_any_modality():
    train, dev = recordings(120, 0), recordings(60, 1)
    model = listener("softmax")

    def loss(split, rows):
        batch = split.batch(rows, CPU)
        return torch.nn.functional.cross_entropy(
            model(batch).logits, batch.labels, reduction="sum"
        )

    before = evaluate(model, dev, 16, CPU)
    best = fit(model, loss, train, dev, SETTINGS, 0, "recordings")
    after = evaluate(model, dev, 16, CPU)
    assert best >= 1 and after["loss"] < before["loss"]
    assert after["accuracy"] > 0.75
    weights, _ = attention_of(model, dev, 16, CPU)
    assert [len(row) for row in weights] == dev.lengths.tolist()


# --- texts ------------------------------------------------------------------------


def test_words_are_deleted_or_replaced():
    batch = text_batch(torch.tensor([[5, 6, 7]]))
    removed = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=torch.bool)
    shorter = batch.without(removed)
    assert shorter.token_ids.tolist() == [[6, 7, 0], [5, 0, 0], [0, 0, 0]]
    assert shorter.lengths.tolist() == shorter.mask.sum(-1).tolist() == [2, 1, 0]
    replaced = batch.without(removed, "replace")
    assert replaced.token_ids.tolist() == [[1, 6, 7], [5, 1, 1], [1, 1, 1]]
    assert replaced.mask.all() and replaced.lengths.tolist() == [3, 3, 3]
    assert replaced.instance_ids == batch.instance_ids * 3


def test_rows_of_a_batch_are_padded_to_the_longest_of_them():
    ids, mask = tiny_batch((7, 4, 1))
    whole = TextBatch(
        ["a", "b", "c"], torch.arange(3), mask.sum(-1).numpy(), ids, mask, list("xyx")
    )
    some = whole.take(np.array([2, 1]))
    assert some.instance_ids == ["c", "b"] and some.cluster_ids == ["x", "y"]
    assert some.labels.tolist() == [2, 1] and some.lengths.tolist() == [1, 4]
    assert torch.equal(some.token_ids, ids[[2, 1], :4])
    assert torch.equal(some.mask, mask[[2, 1], :4])


def test_a_model_of_texts_reads_them_by_its_verbs():
    model, batch = tiny_model(), text_batch(*tiny_batch())
    hidden, mask = model.encode(model.embed(batch), batch.mask)
    weights = model.weights(hidden, mask)
    output = model(batch)
    assert torch.equal(output.attention, weights)
    assert torch.equal(output.logits, model.decide(hidden, weights))
    assert torch.equal(output.mask, batch.mask)
