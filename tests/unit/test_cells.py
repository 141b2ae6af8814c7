"""Pyramids, whose hidden states are fewer than their inputs, in every audit."""

from dataclasses import replace
from itertools import combinations, permutations, product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import average_precision_score

from attention_audit.attribution.ablation import leave_one_out
from attention_audit.attribution.gradients import gradient_importance
from attention_audit.attribution.heads import write_heads
from attention_audit.attribution.importance import load_function, write_importance
from attention_audit.attribution.influence import jacobian_norms, write_influence
from attention_audit.attribution.weights import write_attention
from attention_audit.data.image_batches import REMOVALS, PatchBatch
from attention_audit.interventions.adversarial import SearchSettings, write_adversarial
from attention_audit.interventions.adversaries import write_adversary
from attention_audit.interventions.erasure import (
    erase,
    write_cut,
    write_erasure,
    write_softmax,
)
from attention_audit.interventions.fitting import attention_of
from attention_audit.interventions.flips import write_flips
from attention_audit.interventions.guided import given_weights
from attention_audit.interventions.pairs import write_pairs
from attention_audit.interventions.permutation import write_permutation
from attention_audit.methods import bound_to_weights, method_function
from attention_audit.models.attention import AttentionPooling
from attention_audit.models.decisions import DecisionModel, cell_array
from attention_audit.models.encoders import build_encoder
from attention_audit.records import tables
from attention_audit.records.errors import AuditError
from attention_audit.statistics.cells import by_input, by_state
from attention_audit.statistics.control_measures import Attributed, measure_controls
from attention_audit.statistics.estimates import Settings
from attention_audit.statistics.explanations import measure_explanations
from attention_audit.statistics.inference import comparison_table, summary_table
from attention_audit.statistics.measures import MEASURES
from attention_audit.statistics.ranks import (
    average_precision,
    intersection_over_union,
    reciprocal_rank,
    top_k_f1,
)
from attention_audit.statistics.run_measures import measure_run
from tests.unit.models import text_batch, tiny_batch, tiny_model
from tests.unit.test_lit import STAGES, tiny_lit

RUN = {"dataset": "d", "encoder": "e", "scorer": "s", "normalizer": "n", "seed": 0}
GRID = (4, 4)
N, M = 16, 4
CELL = np.array([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3])
ATTENDING = [{**STAGES[1], "depth": 1, "width": width} for width in (6, 8)]

mergings = pytest.mark.parametrize("merging", ["deformable", "strided"])


class Pyramid(DecisionModel):
    """Patches are the embeddings of a LIT, of two stages where nothing else is said."""

    def __init__(self, merging: str, kind: str, grid: tuple[int, int], **lit):
        super().__init__()
        self.encoder = tiny_lit(grid, merging=merging, **lit)
        pooling = AttentionPooling(8, {"kind": "additive"}, {"kind": kind})
        with torch.no_grad():  # apart, so that sparse attention has zeros
            pooling.scorer.score.weight.mul_(30)
        self.pooling = pooling.double()
        self.output = torch.nn.Linear(8, 3).double()

    def embed(self, batch):
        return batch.patches.double()


def pyramid(merging="deformable", kind="sparsemax", grid=GRID, **lit) -> Pyramid:
    return Pyramid(merging, kind, grid, **lit).requires_grad_(False).eval()


def pictures(count: int = 3, grid=GRID, seed: int = 0) -> PatchBatch:
    """Noise of three channels in patches of one pixel; the mean picture is black.

    All but the first are marked.
    """
    random = np.random.default_rng(seed)
    n = grid[0] * grid[1]
    patches = torch.from_numpy(random.standard_normal((count, n, 3))).float()
    gold = [None, *(random.permutation(n) < 5 for _ in range(count - 1))]
    return PatchBatch(
        [f"picture{i}" for i in range(count)],
        torch.zeros(count, dtype=torch.int64),
        np.full(count, n),
        patches,
        torch.ones(count, n, dtype=torch.bool),
        torch.zeros(n, 3),
        (*grid, 3),
        1,
        gold=gold,
    )


def write(path, schema, function, *arguments):
    with tables.open_table(path, schema, {}) as table:
        function(table, *arguments)


def probabilities(model, batch):
    return model(batch).logits.softmax(-1)


# --- the contract ---------------------------------------------------------------


@mergings
def test_a_pyramid_has_fewer_states_and_says_in_whose_cell_an_input_lies(merging):
    model, batch = pyramid(merging), pictures()
    output = model(batch)
    assert output.attention.shape == output.mask.shape == (3, M) and output.mask.all()
    assert output.hidden.shape == (3, M, 8)
    assert cell_array(model).tolist() == model.cell.tolist() == CELL.tolist()
    assert model.states(batch.lengths).tolist() == [M] * 3
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(3).double())


def test_a_state_at_each_input_needs_no_cell():
    model, batch = tiny_model(), text_batch(*tiny_batch())
    hidden, mask = model.encode(model.embed(batch), batch.mask)
    assert model.cell is None and cell_array(model) is None
    assert mask is batch.mask and hidden.shape[:2] == mask.shape
    assert model.states(batch.lengths) is batch.lengths


def test_sums_over_cells_and_even_shares_by_a_slow_loop():
    values = np.random.default_rng(0).random((2, N))
    sums = by_state(values, CELL)
    assert sums.shape == (2, M)
    for row, state in np.ndindex(sums.shape):
        own = [values[row, i] for i in range(N) if CELL[i] == state]
        assert sums[row, state] == pytest.approx(sum(own))
    uneven = np.array([0, 1, 0, 0])
    np.testing.assert_allclose(
        by_input(np.array([0.6, 0.4]), uneven), [0.2, 0.4, 0.2, 0.2]
    )
    np.testing.assert_allclose(by_state(by_input(sums, CELL), CELL), sums)
    assert by_state(values, None) is values and by_input(values, None) is values


# --- attribution ----------------------------------------------------------------


@mergings
def test_leaving_patches_out_by_a_slow_loop(merging):
    model, batch = pyramid(merging), pictures()
    got = leave_one_out(model, batch, "inputs", "mean")
    full = probabilities(model, batch)
    expected = torch.zeros(3, N, dtype=torch.float64)
    for t in range(N):
        patches = batch.patches.clone()
        patches[:, t] = 0.0
        without = probabilities(model, replace(batch, patches=patches))
        expected[:, t] = (without - full).abs().mean(-1)
    torch.testing.assert_close(got, expected)
    sums = by_state(got.numpy(), CELL)
    for b, state in np.ndindex(sums.shape):
        own = sum(expected[b, i] for i in range(N) if CELL[i] == state)
        assert sums[b, state] == pytest.approx(float(own))


def test_a_patch_without_weight_matters_where_another_stands_in_for_it():
    method, average = {"kind": "leave_one_out", "of": "inputs"}, {"kind": "average"}
    for removal in REMOVALS:
        assert not bound_to_weights({**method, "removal": removal}, average)
    assert bound_to_weights(method, average)
    model = pyramid(kind="sparsemax")
    model.encoder = build_encoder({"kind": "average", "hidden_size": 8}, 3).double()
    batch, weights = pictures(1), model.eval()(pictures(1)).attention
    top = 5 * batch.patches[0, weights.argmax()]
    batch = replace(batch, mean=top.expand(N, 3))
    found = leave_one_out(model, batch, "inputs", "mean")
    assert (weights == 0).any() and found[weights == 0].max() > 0


@mergings
def test_leaving_states_out_by_a_slow_loop(merging):
    model, batch = pyramid(merging, "softmax"), pictures()
    got = leave_one_out(model, batch, "hidden_states", "mean")
    output = model(batch)
    assert got.shape == (3, M)
    for state in range(M):
        rest = output.hidden[:, torch.arange(M) != state]
        weights = model.weights(rest, output.mask[:, 1:])
        without = model.decide(rest, weights).softmax(-1)
        expected = (without - output.logits.softmax(-1)).abs().mean(-1)
        torch.testing.assert_close(got[:, state], expected)


@pytest.mark.parametrize("attention", ["detached", "attached"])
@mergings
def test_gradients_by_patches_and_by_states(merging, attention):
    model, batch = pyramid(merging), pictures(2)
    everywhere = batch.mask[:1]
    for of, m in (("inputs", N), ("hidden_states", M)):
        got = gradient_importance(model, batch, of, attention)
        assert got.shape == (2, m)
        for b in range(2):
            x = model.embed(batch)[b : b + 1]
            fixed = model(batch).attention[b : b + 1]

            def outputs(v, of=of, fixed=fixed):
                states = v, everywhere[:, :M]
                hidden, mask = model.encode(v, everywhere) if of == "inputs" else states
                weights = model.weights(hidden, mask)
                used = fixed if attention == "detached" else weights
                return model.decide(hidden, used).softmax(-1)[0]

            v = x if of == "inputs" else model.encode(x, everywhere)[0]
            jacobian = torch.autograd.functional.jacobian(outputs, v)  # (K, 1, m, .)
            expected = (jacobian * v).sum(-1).abs().sum(0)[0]
            torch.testing.assert_close(got[b], expected)


def test_influence_is_summed_over_the_own_cell(tmp_path):
    batch, shares = pictures(2), {}
    for merging in ("deformable", "strided"):
        # MLPs alone, so that strided merging reads nothing beyond a cell
        stages = [STAGES[0], {**STAGES[0], "width": 8}]
        model = pyramid(merging, stages=stages)
        path = tmp_path / "influence.parquet"
        write(path, "influence", write_influence, model, iter([batch]), RUN, 2)
        shares[merging] = []
        for b, row in enumerate(tables.read_table(path, "influence").to_pylist()):
            norms = jacobian_norms(model.encoder, model.embed(batch)[b]).numpy()
            assert row["length"] == N and norms.shape == (M, N)
            np.testing.assert_allclose(row["matrix"], norms, rtol=1e-5)
            for i in range(M):
                cells = [norms[i, c == CELL].sum() for c in range(M)]
                share, rank = row["coindexed_share"][i], row["coindexed_rank"][i]
                if not sum(cells):  # of a state whose points have left the picture
                    assert np.isnan(share) and rank == M
                    continue
                assert share == pytest.approx(cells[i] / sum(cells)) and 0 <= share <= 1
                assert rank == 1 + sum(other > cells[i] for other in cells)
                shares[merging].append(share)
                alone = row["dispersion"][i] == pytest.approx(0, abs=1e-6)
                assert alone == (share == pytest.approx(1))
    assert shares["strided"] == pytest.approx([1] * 2 * M)
    assert len(shares["deformable"]) > M and max(shares["deformable"]) < 0.99


def test_heads_of_each_stage_are_over_its_own_tokens(tmp_path):
    model, batch = (
        pyramid(stages=ATTENDING, self_attention={"kind": "uniform"}),
        pictures(),
    )
    path = tmp_path / "heads.parquet"
    write(path, "heads", write_heads, model, iter([batch]), RUN)
    rows = tables.read_table(path, "heads").to_pandas()
    assert len(rows) == 3 * 2 * 2 and set(rows["length"]) == {N}
    # uniform attention has all keys of its stage
    assert (rows["support"] == rows["layer"].map({0: N, 1: M})).all()
    np.testing.assert_allclose(rows["entropy"], np.log(rows["support"]))


def slow_heads(weights):
    """What heads (nh, n, n) of a picture do, number by number: rows by measure."""
    count, n = len(weights), len(weights[0])
    rows = []
    for head in weights:
        zeros = sum(w == 0 for query in head for w in query)
        null, entropies, divergences = 0, [], []
        for q in range(n):
            shares = [[w / sum(h[q]) for w in h[q]] for h in weights if sum(h[q])]
            if not sum(head[q]):
                null += 1
                continue
            own = [w / sum(head[q]) for w in head[q]]
            middle = [sum(s[k] for s in shares) / len(shares) for k in range(n)]
            entropies.append(-sum(p * np.log(p) for p in own if p))
            if len(shares) > 1:
                pairs = zip(own, middle, strict=True)
                divergences.append(sum(p * np.log(p / m) for p, m in pairs if p))
        rows.append(
            {
                "sparsity": zeros / n**2,
                "support": (n**2 - zeros) / n,
                "null": null / n,
                "entropy": np.mean(entropies) if entropies else np.nan,
                "divergence": np.mean(divergences) if divergences else np.nan,
            }
        )
    assert len(rows) == count
    return rows


@pytest.mark.parametrize("kind", ["sparsemax", "rela"])
def test_heads_of_a_pyramid_are_those_of_a_slow_loop(tmp_path, kind):
    # two layers of two heads over the patches, one of one head over their cells
    stages = [{**ATTENDING[0], "depth": 2}, {**ATTENDING[1], "heads": 1}]
    model, batch = pyramid(stages=stages, self_attention={"kind": kind}), pictures()
    for stage in model.encoder.stages:
        stage.layers[0].attention.scale = 20.0  # apart, so that there are zeros
    path = tmp_path / "heads.parquet"
    write(path, "heads", write_heads, model, iter([batch]), RUN)
    rows = tables.read_table(path, "heads").to_pandas()
    rows = rows.set_index(["instance_id", "layer", "head"]).astype(
        {"divergence": float}
    )
    layers = model.encoder.with_attention(model.embed(batch), batch.mask)[1]
    assert [w.shape[1:] for w in layers] == [(2, N, N)] * 2 + [(1, M, M)]
    assert len(rows) == 3 * (2 + 2 + 1)
    for layer, weights in enumerate(layers):
        for name, picture in zip(batch.instance_ids, weights.tolist(), strict=True):
            for head, expected in enumerate(slow_heads(picture)):
                found = rows.loc[(name, layer, head)]
                for measure, value in expected.items():
                    assert found[measure] == pytest.approx(value, nan_ok=True), measure
    assert (rows["sparsity"] > 0).any()
    # a head alone has none to be apart from
    assert rows["divergence"].isna().eq(rows.index.get_level_values("layer") == 2).all()


# --- interventions --------------------------------------------------------------


def test_all_cells_erased_are_all_inputs_removed():
    model, batch = pyramid(), pictures()
    random = np.random.default_rng(0)
    ranks = torch.from_numpy(np.array([[random.permutation(M) for _ in range(3)]]))
    found = erase(model, batch, ranks, np.tile([0, 1, M], (3, 1)))
    full = probabilities(model, batch)
    for b in range(3):
        one = batch.take(np.array([b]))
        predicted = full[b].argmax()

        def fall(removed, one=one, b=b, predicted=predicted):
            left = probabilities(model, one.without(torch.from_numpy(removed)[None]))
            return float(full[b, predicted] - left[0, predicted])

        top = ranks[0, b].numpy()[CELL] == 0  # of the inputs
        everything = np.ones(N, dtype=bool)
        expected = [0.0, fall(top), fall(everything)], [fall(everything), fall(~top), 0]
        np.testing.assert_allclose(
            found.comprehensiveness[0, b], expected[0], atol=1e-9
        )
        np.testing.assert_allclose(found.sufficiency[0, b], expected[1], atol=1e-9)


def test_a_guide_gives_the_weight_of_a_state_to_the_inputs_of_its_cell():
    guide, other = pyramid("deformable"), pyramid("strided")
    flat = pyramid(stages=ATTENDING[1:])
    weights = guide(pictures(1)).attention[0]
    of_inputs = given_weights(weights, guide, tiny_model())
    for i in range(N):
        assert of_inputs[i].item() == pytest.approx(weights[CELL[i]].item() / 4)
    torch.testing.assert_close(given_weights(weights, guide, flat), of_inputs)
    torch.testing.assert_close(given_weights(weights, guide, other), weights)
    assert given_weights(weights, tiny_model(), tiny_model()) is weights


class Whole:
    """A split that is one batch."""

    def __init__(self, batch):
        self.of, self.lengths = batch, batch.lengths

    def __len__(self):
        return len(self.lengths)

    def batch(self, rows, device):
        return self.of.take(rows)


def test_attention_of_a_split_has_a_weight_a_state():
    model, batch = pyramid(), pictures(5)
    found, _ = attention_of(model, Whole(batch), 2, torch.device("cpu"))
    torch.testing.assert_close(torch.stack(found), model(batch).attention)


# --- all tables of a run --------------------------------------------------------

METHODS = {
    f"{of}_{kind}": {"kind": kind, "of": of, **options}
    for of in ("inputs", "hidden_states")
    for kind, options in {
        "gradient": {"attention": "detached"},
        "leave_one_out": {"removal": "mean"},
    }.items()
}
EFFECTS = {"inputs_gradient": "sum", "inputs_leave_one_out": "mean"}
EXPERIMENTS = ("permutation", "flips", "adversarial", "erasure")


def audit(folder, model, batch, run=RUN):
    """Every table of a run but those of heads; returns the arguments of `measure_run`."""
    folder.mkdir()
    on = model, iter([batch]), run

    def again(*more):
        return model, iter([batch]), run, *more

    attention, influence = folder / "attention.parquet", folder / "influence.parquet"
    write(attention, "attention", write_attention, *on)
    importances = {}
    for name, method in METHODS.items():
        function = load_function(*method_function(method["kind"]))
        options = {key: value for key, value in method.items() if key != "kind"}
        importances[name] = folder / f"{name}.parquet"
        more = again(name, function, options)
        write(importances[name], "importance", write_importance, *more)
    write(influence, "influence", write_influence, *again(1))
    settings = SearchSettings(candidates=2, steps=5)
    for name, function, more in (
        ("permutation", write_permutation, (5,)),
        ("flips", write_flips, (2,)),
        ("adversarial", write_adversarial, (settings,)),
        ("erasure", write_erasure, (attention, importances, (0.3, 0.6), 2)),
    ):
        write(folder / f"{name}.parquet", name, function, *again(*more))
    return {
        "attention": attention,
        "importances": importances,
        "influence": influence,
    }


def measured(paths, run=RUN):
    """The measures of a run by instance, measure, subject and reference."""
    pieces = pa.concat_tables(measure_run(run, **paths, effects=EFFECTS))
    return {
        (r["instance_id"], r["measure"], r["subject"], r["reference"]): r["value"]
        for r in pieces.to_pylist()
    }


def test_every_table_of_a_pyramid_is_measured(tmp_path):
    model, batch = pyramid(), pictures()
    output = model(batch)
    paths = audit(tmp_path / "run", model, batch)
    rows = tables.read_table(paths["attention"], "attention").to_pylist()
    for b, row in enumerate(rows):
        assert row["length"] == N and row["cell"] == CELL.tolist()
        assert row["attention"] == pytest.approx(output.attention[b].tolist())
        assert len(row["scores"]) == M
        assert row["guess"] == batch.guess.tolist()
        assert row["gold"] == (
            None if batch.gold[b] is None else batch.gold[b].tolist()
        )
    values = measured(paths)
    assert {key[1] for key in values} <= set(MEASURES)
    read = {
        name: np.array(tables.read_table(path, "importance")["importance"].to_pylist())
        for name, path in paths["importances"].items()
    }
    for name, found in read.items():
        assert found.shape == (3, N if name.startswith("inputs") else M)
    for b, instance in enumerate(batch.instance_ids):
        support = (output.attention[b] > 0).sum().item()
        assert values[instance, "support_share", "attention", None] == support / M
        # what leaving out one patch changes, though four make a state
        most = values[instance, "largest_effect", "inputs_leave_one_out", None]
        assert most == pytest.approx(read["inputs_leave_one_out"][b].max())
    explained = [tmp_path / "run" / f"{name}.parquet" for name in EXPERIMENTS]
    for path, name in zip(explained, EXPERIMENTS, strict=True):
        assert set(tables.read_table(path, name)["length"].to_pylist()) == {M}
    experiments = {n: [p] for n, p in zip(EXPERIMENTS, explained, strict=True)}
    found = pa.concat_tables(measure_explanations(RUN, experiments)).to_pandas()
    assert set(found["subject"]) >= {"attention", "random", *METHODS}
    high = found["measure"].map(lambda name: MEASURES[name]["high"] or np.inf)
    assert not (found["value"] > high + 1e-12).any()


def test_agreement_is_with_importance_summed_over_cells(tmp_path):
    model, batch = pyramid(kind="softmax"), pictures()
    paths = audit(tmp_path / "run", model, batch)
    values = measured(paths)
    read = tables.read_table(paths["importances"]["inputs_gradient"], "importance")
    for b, instance in enumerate(batch.instance_ids):
        weights = model(batch).attention[b].tolist()
        sums = by_state(np.array(read["importance"][b].as_py()), CELL)
        concordant = sum(
            np.sign(weights[i] - weights[j]) * np.sign(sums[i] - sums[j])
            for i, j in combinations(range(M), 2)
        )
        tau = values[instance, "kendall_tau_b", "attention", "inputs_gradient"]
        assert tau == pytest.approx(concordant / 6)


def test_controls_and_other_runs_of_a_pyramid(tmp_path):
    batch = pictures()
    run, reference = RUN | {"normalizer": "sparse"}, RUN | {"normalizer": "soft"}
    sparse, soft = pyramid(kind="sparsemax"), pyramid(kind="softmax")
    of_run = audit(tmp_path / "sparse", sparse, batch, run)
    of_reference = audit(tmp_path / "soft", soft, batch, reference)
    sides = [
        Attributed(identity, paths["attention"], paths["importances"])
        for identity, paths in ((run, of_run), (reference, of_reference))
    ]
    (controls,) = measure_controls(*sides)
    own, other = measured(of_run, run), measured(of_reference, reference)
    for name, expected in (("cut", other), ("softmax", own)):
        rows = controls[name].to_pylist()
        gold = [r for r in rows if r["measure"].startswith("gold")]
        # four measures of two pictures
        assert len(gold) == 4 * 2 and {r["subject"] for r in gold} == {"attention"}
        assert {r["measure"] for r in rows} <= {key[1] for key in expected}
    # softmax under softmax is itself
    (same,) = measure_controls(sides[1], sides[1])
    for row in same["softmax"].to_pylist():
        key = row["instance_id"], row["measure"], row["subject"], row["reference"]
        assert row["value"] == pytest.approx(other[key], abs=1e-6), key
    attention = of_run["attention"]
    cut = soft, [batch], run, attention, of_reference["attention"], (0.5,)
    write(tmp_path / "cut.parquet", "erasure", write_cut, *cut)
    under = sparse, [batch], run, attention, (0.5,)
    write(tmp_path / "under.parquet", "erasure", write_softmax, *under)
    for name in ("cut", "under"):
        rows = tables.read_table(tmp_path / f"{name}.parquet", "erasure")
        assert set(rows["length"].to_pylist()) == {M}
    pairs = run, attention, [reference], [of_reference["attention"]]
    write(tmp_path / "pairs.parquet", "pairs", write_pairs, *pairs)
    assert len(tables.read_table(tmp_path / "pairs.parquet", "pairs")) == 3
    adversary = soft, sparse, iter([batch]), run, 0.1, "jsd"
    write(tmp_path / "adversary.parquet", "adversaries", write_adversary, *adversary)
    found = tables.read_table(tmp_path / "adversary.parquet", "adversaries")
    assert len(found) == 3 and max(found["jsd"].to_pylist()) > 0


def test_a_state_at_each_input_is_the_same_with_a_cell_and_without(tmp_path):
    model, batch = pyramid(stages=ATTENDING[1:]), pictures()
    assert model.cell.tolist() == list(range(N))
    with_cell = audit(tmp_path / "with", model, batch)
    write(tmp_path / "heads.parquet", "heads", write_heads, model, iter([batch]), RUN)
    model.encoder.cell = None
    without = audit(tmp_path / "without", model, batch)
    write(tmp_path / "own.parquet", "heads", write_heads, model, iter([batch]), RUN)
    assert measured(with_cell) == measured(without)
    names = {name: name for name in (*EXPERIMENTS, "attention", "influence")}
    for name, schema in (names | dict.fromkeys(METHODS, "importance")).items():
        one, other = (
            tables.read_table(tmp_path / folder / f"{name}.parquet", schema).to_pandas()
            for folder in ("with", "without")
        )
        if name == "attention":
            assert other["cell"].isna().all()
            one, other = one.drop(columns="cell"), other.drop(columns="cell")
        pd.testing.assert_frame_equal(one, other)
    heads = [
        tables.read_table(tmp_path / f"{name}.parquet", "heads")
        for name in ("heads", "own")
    ]
    assert heads[0].equals(heads[1])


def reordered(paths, folder, inputs, states):
    """Copies of the tables of a run with inputs, and states, in another order."""
    folder.mkdir()
    at = np.argsort(states)  # where a state has gone

    def copy(path, schema, change):
        rows = [change(row) for row in tables.read_table(path, schema).to_pylist()]
        tables.write_rows(folder / path.name, schema, rows, {})
        return folder / path.name

    def moved(values):
        if values is None:
            return None
        order = inputs if len(values) == N else states
        return [values[i] for i in order]

    def attended(row):
        cells = [int(at[c]) for c in moved(row["cell"])]
        names = ("attention", "scores", "gold", "guess")
        return row | {name: moved(row[name]) for name in names} | {"cell": cells}

    def weighed(row):
        return row | {"importance": moved(row["importance"])}

    return {
        "attention": copy(paths["attention"], "attention", attended),
        "importances": {
            name: copy(path, "importance", weighed)
            for name, path in paths["importances"].items()
        },
    }


def test_no_order_of_inputs_or_states_changes_a_measure(tmp_path):
    paths = audit(tmp_path / "run", pyramid(), pictures())
    del paths["influence"]
    random = np.random.default_rng(0)
    order = random.permutation(N), random.permutation(M)
    expected, got = (
        measured(paths),
        measured(reordered(paths, tmp_path / "new", *order)),
    )
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        if value is None:
            assert got[key] is None, key
        else:
            assert got[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key


def broken(paths, schema, path, column, value):
    table = tables.read_table(path, schema).to_pylist()
    table[1][column] = value
    tables.write_rows(path, schema, table, {})
    return paths


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("cell", CELL[::-1].tolist(), "do not lie in the same cells"),
        ("cell", [0, 1], "'cell' of .* has 2 values, expected 16"),
        ("cell", None, "'cell' of .* has 0 values, expected 16"),
        ("attention", [1.0] * N, "has 16 values, expected 4"),
        ("gold", [True], "'gold' of .* has 1 values, expected 16"),
        ("importance", [1.0] * 3, "has 3 values, expected 16"),
        ("importance", [1.0] * M, "has 4 values, expected 16"),
    ],
)
def test_tables_that_are_not_of_one_pyramid_are_named(tmp_path, column, value, message):
    paths = audit(tmp_path / "run", pyramid(), pictures())
    path, schema = paths["attention"], "attention"
    if column == "importance":
        path, schema = paths["importances"]["inputs_gradient"], "importance"
    with pytest.raises(AuditError, match=message) as error:
        measured(broken(paths, schema, path, column, value))
    assert str(path) in str(error.value)


def test_a_state_without_inputs_is_named(tmp_path):
    paths = audit(tmp_path / "run", pyramid(), pictures())
    rows = tables.read_table(paths["attention"], "attention").to_pylist()
    for row in rows:
        row["cell"] = [0 if state == 2 else state for state in row["cell"]]
    tables.write_rows(paths["attention"], "attention", rows, {})
    with pytest.raises(AuditError, match="no input lies in the cell of some"):
        measured(paths)


# --- plausibility ---------------------------------------------------------------


def test_plausibility_of_a_run_is_that_of_scikit_learn(tmp_path):
    model, batch = pyramid(), pictures(4)
    paths = audit(tmp_path / "run", model, batch)
    values = measured(paths)
    attention = model(batch).attention.float().numpy()
    of_inputs = {"attention": attention[:, CELL], "guess": np.tile(batch.guess, (4, 1))}
    for name, path in paths["importances"].items():
        read = tables.read_table(path, "importance")["importance"].to_pylist()
        found = np.array(read, dtype=np.float32)
        of_inputs[name] = found if found.shape[1] == N else found[:, CELL]
    for b, instance in enumerate(batch.instance_ids):
        about = {key[2] for key in values if key[0] == instance and key[3] == "gold"}
        assert about == (set(of_inputs) if b else set())
        for subject in about:
            found = values[instance, "gold_average_precision", subject, "gold"]
            expected = average_precision_score(batch.gold[b], of_inputs[subject][b])
            assert found == pytest.approx(expected), subject
            overlap, f1, first = (
                values[instance, measure, subject, "gold"]
                for measure in ("gold_iou", "gold_f1", "gold_reciprocal_rank")
            )
            assert 0 <= overlap <= f1 <= 1 and 0 < first <= 1


def test_overlap_is_the_mean_over_all_ways_to_break_ties():
    random = np.random.default_rng(0)
    for _ in range(20):
        scores = random.integers(0, 3, 7).astype(float)
        gold = random.permutation(7) < random.integers(1, 7)
        k = gold.sum()
        # all sets of k whose least score is no smaller than what is left out
        found = [
            len(chosen & own) / len(chosen | own)
            for chosen in map(set, combinations(range(7), k))
            for own in [set(np.flatnonzero(gold))]
            if min(scores[list(chosen)])
            >= max([scores[i] for i in range(7) if i not in chosen], default=0)
        ]
        mask = np.ones((1, 7), dtype=bool)
        (got,) = intersection_over_union(gold[None], scores[None], mask)
        assert got == pytest.approx(np.mean(found))
        # of as many that are chosen as are marked, F1 is 2 IoU / (1 + IoU)
        (f1,) = top_k_f1(gold[None], scores[None], mask)
        assert f1 == pytest.approx(np.mean([2 * v / (1 + v) for v in found]))


def test_reciprocal_rank_is_the_mean_over_all_orders_of_ties():
    random = np.random.default_rng(0)
    mask = np.ones((1, 5), dtype=bool)
    for _ in range(15):
        scores = random.integers(0, 3, 5).astype(float)
        gold = random.permutation(5) < random.integers(1, 5)
        found = [
            1 / (1 + gold[list(order)].argmax())
            for order in permutations(range(5))
            if (np.diff(scores[list(order)]) <= 0).all()
        ]
        (got,) = reciprocal_rank(gold[None], scores[None], mask)
        assert got == pytest.approx(np.mean(found))


def test_plausibility_of_padded_rows_and_where_nothing_is_told_apart():
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]], dtype=bool)
    scores = np.array([[3, 2, 1, 9], [1, 1, 1, 1], [1, 2, 3, 4]], dtype=float)
    gold = np.array([[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=bool)
    iou = intersection_over_union(gold, scores, mask)
    assert iou[0] == 0 and np.isnan(iou[1:]).all()
    precision = average_precision(gold, scores, mask)
    assert precision[0] == 0.5 and np.isnan(precision[1:]).all()
    large = np.zeros((1, 2000))  # ways beyond what a float can count
    half = np.arange(2000)[None] < 1000
    (found,) = intersection_over_union(half, large, np.ones((1, 2000), dtype=bool))
    assert found == pytest.approx(1 / 3, abs=1e-3)
    assert top_k_f1(half, large, large == 0) == 0.5
    assert top_k_f1(gold, scores, mask)[0] == 0
    assert reciprocal_rank(gold, scores, mask)[0] == 0.5
    assert np.isnan(reciprocal_rank(gold, scores, mask)[1:]).all()


def test_a_guess_is_summarised_and_not_compared(tmp_path):
    runs, paths = [], []
    for seed, normalizer in product(range(3), ("softmax", "sparse")):
        runs.append(RUN | {"normalizer": normalizer, "seed": seed})
        paths.append(tmp_path / f"{normalizer}{seed}.parquet")
        random = np.random.default_rng(len(paths))
        rows = [
            runs[-1]
            | {"instance_id": f"i{i}", "measure": "gold_iou", "subject": subject}
            | {"reference": "gold", "value": random.random()}
            for subject in ("attention", "guess")
            for i in range(5)
        ]
        tables.write_rows(paths[-1], "measures", rows, {})
    settings = Settings(0.95, reference="softmax")
    path = tmp_path / "table.parquet"
    summary_table(runs, paths, settings, {}, path)
    found = tables.read_table(path, "summary")["subject"].to_pylist()
    assert sorted(found) == ["attention"] * 2 + ["guess"] * 2
    comparison_table(runs, paths, settings, {}, path)
    found = tables.read_table(path, "comparison")["subject"].to_pylist()
    assert found == ["attention"]


def test_the_middle_of_a_picture_is_the_guess():
    batch = replace(pictures(1, (6, 8)), shape=(6, 8, 3))
    guess = batch.guess.reshape(6, 8)
    assert (guess == guess[::-1]).all() and (guess == guess[:, ::-1]).all()
    # a quarter of each side from the centre is one standard deviation
    wide = replace(batch, shape=(40, 80, 3)).guess.reshape(40, 80)
    assert wide.max() == pytest.approx(1, abs=1e-2)
    inside, outside = wide[19, 59:61]
    assert outside < np.exp(-0.5) < inside
    inside, outside = wide[9:11, 39]
    assert inside < np.exp(-0.5) < outside
