"""Changes of the output against rounding: what ties, what keeps its order."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.importance import write_importance
from attention_audit.attribution.weights import write_attention
from attention_audit.models.normalizers import Fixed
from attention_audit.models.outputs import (
    RESOLUTION,
    LogitSize,
    Readout,
    changed_outputs,
    exact_outputs,
)
from attention_audit.records import tables
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.inference import summary_table
from attention_audit.statistics.ranks import kendall_tau_b
from attention_audit.statistics.run_measures import measure_run
from tests.unit.models import ENCODERS, text_batch, tiny_batch, tiny_model
from tests.unit.test_training import SETTINGS, keyword_task, run

EPS = torch.finfo(torch.float32).eps
LENGTHS = (9, 1, 5, 2, 7)
encoders = pytest.mark.parametrize("encoder", ENCODERS)
removals = pytest.mark.parametrize(
    ("of", "removal"),
    [("inputs", "delete"), ("inputs", "replace"), ("hidden_states", "delete")],
)


def single(encoder="bilstm", **settings):
    """A tiny model in single precision, as the pipeline's are."""
    return tiny_model(encoder, dtype=torch.float32, **settings)


def trained(encoder, kind):
    """A model that has learned a task, and the ids and mask of some of its texts."""
    settings = {**SETTINGS, "max_epochs": 4}
    model = run(settings, encoder=encoder, normalizer={"kind": kind}).model
    texts = keyword_task(40, seed=3).token_ids
    mask = torch.arange(9) < torch.tensor([len(t) for t in texts]).unsqueeze(1)
    ids = torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.from_numpy(np.concatenate(texts))
    return model, ids, mask


# --- one output -------------------------------------------------------------------


def test_differences_below_the_resolution_tie_and_larger_ones_are_kept():
    own = torch.tensor([[3.0, -2.0]])
    step = RESOLUTION * EPS * 5.0
    moves = torch.tensor([[0.0, 0.0], [0.4, -0.4], [1.0, 0.0], [1.4, 0.2], [3.0, 0.0]])
    # the steps exist in single precision here, so that only `moves` decides
    before, after = changed_outputs(own, own + moves * step, 5.0)
    torch.testing.assert_close(before, own.double().softmax(-1), rtol=0, atol=0)
    assert (after[:2] == before).all()
    assert (after[2] == after[3]).all()
    assert before[0, 0] < after[2, 0] < after[4, 0]


def test_probabilities_near_one_are_told_apart():
    logits = torch.tensor([[20.0, 0.0], [21.0, 0.0]])
    assert (logits.softmax(-1)[:, 0] == 1).all()
    p = exact_outputs(logits)
    assert p.dtype == torch.float64 and p[0, 0] < p[1, 0] < 1


def test_rounding_goes_by_the_terms_of_a_logit():
    output = torch.nn.Linear(2, 2)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[3.0, -3.0], [1.0, 0.0]]))
        output.bias.copy_(torch.tensor([0.5, -2.0]))
    # 3 * 2 - 3 * 2 + 0.5 is 0.5 as a logit, but 12.5 in terms
    assert LogitSize(output)(torch.tensor([2.0, 2.0])) == 12.5


@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
def test_rounding_of_a_trained_model_is_below_its_resolution(encoder):
    model, ids, mask = trained(encoder, "softmax")
    exact = deepcopy(model).double()
    worst = 0.0
    with torch.no_grad():
        for text, n in zip(ids, mask.sum(-1).tolist(), strict=True):
            whole = text[None, :n]
            own = [m(text_batch(whole)) for m in (model, exact)]
            context = exact.pooling.context(own[1].hidden, own[1].attention)[0]
            size = LogitSize(exact.output)(context)
            for t in range(n if n > 1 else 0):
                shorter = torch.cat([text[:t], text[t + 1 : n]])[None]
                moved = [
                    m(text_batch(shorter)).logits.double() - o.logits.double()
                    for m, o in zip((model, exact), own, strict=True)
                ]
                error = (moved[0] - moved[1]).abs().max().item()
                worst = max(worst, error / (EPS * size))
    # Rounding to multiples of RESOLUTION takes half of that to none.
    assert 0.1 < worst < RESOLUTION / 2


def test_a_readout_gives_the_logits_of_its_model():
    model = tiny_model("transformer", kind="rela", gated=True)
    ids, mask = tiny_batch((6,))
    output = model(text_batch(ids, mask))
    got = Readout(model).logits(output.hidden[0], output.attention)
    torch.testing.assert_close(got, output.logits)


# --- leaving out ------------------------------------------------------------------


class Spread(torch.nn.Module):
    """The scores of another scorer, at a spread that leaves many without weight."""

    def __init__(self, scorer):
        super().__init__()
        self.scorer = scorer

    def forward(self, hidden):
        scores = self.scorer(hidden)
        return 2 * (scores - scores.mean()) / scores.std()


def clipped(scores, mask):
    """A normalizer of one's own: softmax without the weights below 1 / n."""
    p = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    p = p * (p >= 1 / mask.sum(-1, keepdim=True))
    return p / p.sum(-1, keepdim=True)


NORMALIZERS = {
    "sparsemax": {},
    "entmax": {"alpha": 1.5},
    "entmax4": {"kind": "entmax", "alpha": 4},
    "sparsegen": {"lam": 0.5},
    "top_k": {"k": 3},
    "rela": {},
    "own": {},
}


@encoders
@pytest.mark.parametrize("kind", NORMALIZERS)
def test_what_changes_no_weight_has_no_effect(encoder, kind):
    own = kind == "own"
    model = single(encoder, **({} if own else {"kind": kind} | NORMALIZERS[kind]))
    model.pooling.scorer = Spread(model.pooling.scorer)
    if own:
        model.pooling.normalizer = Fixed(clipped)
    without_effect = with_effect = 0
    for seed in range(8):
        ids, mask = tiny_batch((12,), seed)
        with torch.no_grad():
            output = model(text_batch(ids, mask))
            scores = model.pooling.scorer(output.hidden)
        (importance,) = leave_one_out(model, text_batch(ids, mask), "hidden_states")
        for t in range(12):
            rest = mask.clone()
            rest[0, t] = False
            others = model.pooling.normalizer(scores, rest)
            if torch.allclose(others, output.attention, rtol=1e-6, atol=0):
                assert importance[t] == 0
                without_effect += 1
        with_effect += (importance > 0).sum()
    assert without_effect > 20 and with_effect > 5


@encoders
@removals
def test_no_instance_depends_on_its_neighbours(encoder, of, removal):
    model = single(encoder, kind="sparsemax")
    ids, mask = tiny_batch(LENGTHS)
    whole = leave_one_out(model, text_batch(ids, mask), of, removal)
    order = torch.tensor([3, 0, 4])
    torch.testing.assert_close(
        leave_one_out(model, text_batch(ids[order], mask[order]), of, removal),
        whole[order],
        rtol=0,
        atol=0,
    )
    for b, n in enumerate(LENGTHS):
        alone = leave_one_out(model, text_batch(ids[b : b + 1, :n]), of, removal)
        assert torch.equal(alone[0], whole[b, :n])


def test_without_context_one_reading_is_enough(monkeypatch):
    model = tiny_model("average", n_classes=3, kind="sparsemax")
    ids, mask = tiny_batch(LENGTHS)
    quick = leave_one_out(model, text_batch(ids, mask), "inputs")
    assert torch.equal(
        quick, leave_one_out(model, text_batch(ids, mask), "hidden_states")
    )
    monkeypatch.setattr(model.encoder, "contextual", True)
    slow = leave_one_out(model, text_batch(ids, mask), "inputs")
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-13)
    assert (slow > 0).any()


@encoders
@pytest.mark.parametrize("of", ["inputs", "hidden_states"])
def test_order_under_certainty_is_that_of_double_precision(encoder, of):
    model = single(encoder)
    ids, mask = tiny_batch((12, 9))
    with torch.no_grad():
        model.output.bias.copy_(torch.tensor([22.0, 0.0]))
        assert (model(text_batch(ids, mask)).logits.softmax(-1)[:, 0] == 1).all()
    exact = deepcopy(model).double()
    arguments = (text_batch(ids, mask), of)
    for function, more in (
        (leave_one_out, ()),
        (gradient_importance, ("detached",)),
    ):
        ours, theirs = (function(m, *arguments, *more).numpy() for m in (model, exact))
        assert (ours[mask.numpy()] > 0).all()
        tau, _ = kendall_tau_b(ours, theirs, mask.numpy())
        assert tau.min() > 0.9, function


@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
@pytest.mark.parametrize("kind", ["softmax", "sparsemax"])
@pytest.mark.parametrize("rest", [4e-8, 2e-12])
def test_confident_predictions_keep_the_ranks_of_double_precision(encoder, kind, rest):
    model, ids, mask = trained(encoder, kind)
    with torch.no_grad():
        logits = model(text_batch(ids, mask)).logits
        # so much of the first class that half of the texts leave this to the other
        gap = (logits[:, 0] - logits[:, 1]).median()
        model.output.bias[0] += -np.log(rest) - gap
        assert (model(text_batch(ids, mask)).logits.softmax(-1)[:, 0] == 1).any()
    exact = deepcopy(model).double()
    for of in ("inputs", "hidden_states"):
        for importance in (
            lambda m, of=of: gradient_importance(
                m, text_batch(ids, mask), of, "detached"
            ),
            lambda m, of=of: gradient_importance(
                m, text_batch(ids, mask), of, "attached"
            ),
            lambda m, of=of: leave_one_out(m, text_batch(ids, mask), of),
        ):
            ours, theirs = importance(model).numpy(), importance(exact).numpy()
            tau, _ = kendall_tau_b(ours, theirs, mask.numpy())
            assert np.nanmean(tau) > 0.99


def test_where_nothing_changes_the_output_there_is_no_agreement():
    model = single()
    ids, mask = tiny_batch((9, 5))
    with torch.no_grad():
        model.output.weight.zero_()
        weights = model(text_batch(ids, mask)).attention.numpy()
    for of in ("inputs", "hidden_states"):
        importance = leave_one_out(model, text_batch(ids, mask), of)
        assert (importance == 0).all()
        tau, p = kendall_tau_b(weights, importance.numpy(), mask.numpy())
        assert np.isnan(tau).all() and np.isnan(p).all()


@pytest.mark.parametrize("encoder", ["bilstm", "transformer"])
def test_agreement_of_a_trained_sparse_model_is_that_of_double_precision(encoder):
    model, ids, mask = trained(encoder, "sparsemax")
    with torch.no_grad():
        weights = model(text_batch(ids, mask)).attention
    assert (weights[mask] == 0).any()
    ours = leave_one_out(model, text_batch(ids, mask), "hidden_states")
    assert (ours[weights == 0] == 0).all()
    exact = leave_one_out(
        deepcopy(model).double(), text_batch(ids, mask), "hidden_states"
    )
    taus = [
        kendall_tau_b(weights.numpy(), importance.numpy(), mask.numpy())[0]
        for importance in (ours, exact)
    ]
    np.testing.assert_allclose(taus[0], taus[1], atol=1e-9)


def summarised(folder, model):
    """The rows of agreement with attention that the summary has of a model's texts."""
    run = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
    ids, mask = tiny_batch((11, 9, 12, 7))
    batch = replace(text_batch(ids, mask), instance_ids=list("abcd"))
    with tables.open_table(folder / "attention.parquet", "attention", {}) as table:
        write_attention(table, model, iter([batch]), run)
    methods = {
        "gradient": (gradient_importance, {"of": "inputs", "attention": "detached"}),
        "ablation": (leave_one_out, {"of": "inputs"}),
    }
    for name, (function, parameters) in methods.items():
        with tables.open_table(folder / name, "importance", {}) as table:
            write_importance(
                table, model, iter([batch]), run, name, function, parameters
            )
    effects = {"gradient": "sum", "ablation": "mean"}
    paths = {name: folder / name for name in methods}
    measures = measure_run(run, folder / "attention.parquet", paths, effects=effects)
    tables.write_table(
        folder / "measures.parquet", "measures", pa.concat_tables(measures), {}
    )
    out = folder / "summary.parquet"
    settings = Settings(confidence=0.95)
    summary_table([run], [folder / "measures.parquet"], settings, {}, out)
    rows = tables.read_table(out, "summary").to_pandas()
    rows = rows[(rows["measure"] == "kendall_tau_b") & (rows["subject"] == "attention")]
    return rows.set_index("reference")


def test_a_model_whose_output_hardly_moves_gets_no_agreement_without_a_word(tmp_path):
    model = single()
    with torch.no_grad():
        model.output.weight.mul_(20)
        model.embedding.weight.mul_(5)
    rows = summarised(tmp_path, model)
    assert rows["note"].isna().all() and rows["mean"].notna().all()
    with torch.no_grad():
        model.output.weight.mul_(1e-5)
    rows = summarised(tmp_path, model)
    assert len(rows) == 2 and rows["note"].str.contains("negligible").all()
