"""The training loop: it learns, repeats itself, stops, resumes, and fails loudly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from attention_audit.data.text_batches import TextExamples
from attention_audit.models.modalities.text import Classifier, ModelSettings
from attention_audit.models.optimizer import AMSGrad
from attention_audit.models.scores import classes_absent, macro_f1
from attention_audit.models.training import build_optimizer, evaluate, train
from attention_audit.records.errors import AuditError
from tests.unit.models import ENCODERS, tiny_model
from tests.unit.programs import PRINT_COMPILER, output_of

CPU = torch.device("cpu")
SETTINGS = {
    "max_epochs": 6,
    "patience": 3,
    "batch_size": 16,
    "learning_rate": 0.02,
    "weight_decay": 1e-5,
    "gradient_clip": 5.0,
    "label_smoothing": 0.0,
    "warmup_steps": 0,
}


def keyword_task(n=160, seed=0):
    """Texts whose class is whether they hold token 2."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(n):
        tokens = rng.integers(3, 30, rng.integers(2, 9))
        if i % 2:
            tokens[rng.integers(len(tokens))] = 2
        texts.append(tokens.astype(np.int64))
        labels.append(i % 2)
    return TextExamples(
        [f"{i:016x}" for i in range(n)],
        texts,
        np.array(labels),
        np.array([len(t) for t in texts]),
    )


def model_settings(encoder="bilstm", dropout=0.0, normalizer=None):
    return ModelSettings(
        vocabulary_size=30,
        n_classes=2,
        embedding_size=8,
        freeze_vectors=False,
        encoder={**ENCODERS[encoder], "dropout": dropout},
        scorer={"kind": "additive"},
        normalizer=normalizer or {"kind": "sparsemax"},
    )


def test_one_logit_is_that_of_a_sigmoid():
    settings = replace(model_settings(), single_logit=True)
    trained = train(
        settings, SETTINGS, keyword_task(), keyword_task(60, seed=1), 0, CPU
    )
    linear = trained.model.output
    assert not linear.weight[0].any() and linear.bias[0] == 0
    assert linear.weight[1].all() and linear.bias[1] != 0
    with pytest.raises(AuditError, match="single_logit is for two classes"):
        Classifier(replace(settings, n_classes=3))


def run(
    settings=SETTINGS, seed=0, checkpoint=None, identity="", examples=None, **model
):
    return train(
        model_settings(**model),
        settings,
        keyword_task() if examples is None else examples,
        keyword_task(60, seed=1),
        seed,
        CPU,
        checkpoint=checkpoint,
        identity=identity,
    )


def same_weights(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("encoder", ["average", "bilstm", "transformer"])
def test_it_learns(encoder):
    trained = run({**SETTINGS, "max_epochs": 15}, encoder=encoder)
    score = evaluate(trained.model, keyword_task(100, seed=2), 16, CPU)
    assert score["accuracy"] > 0.9
    assert score["n"] == 100


NORMALIZERS = [
    {"kind": "top_k", "k": 2},
    {"kind": "rela"},
    {"kind": "rela", "gated": True},
    {"kind": "entmax", "alpha": "learned"},
    {"kind": "entmax", "alpha": 3.0},
]


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
def test_it_learns_with_any_normalizer(normalizer):
    trained = run({**SETTINGS, "max_epochs": 15}, normalizer=normalizer)
    assert evaluate(trained.model, keyword_task(100, seed=2), 16, CPU)["accuracy"] > 0.9


def test_the_learned_alpha_of_every_epoch_is_kept():
    trained = run(normalizer={"kind": "entmax", "alpha": "learned"})
    alphas = [row["alpha"] for row in trained.history]
    assert all(len(alpha) == 1 and 1 < alpha[0] < 2 for alpha in alphas)
    assert len({alpha[0] for alpha in alphas}) == len(alphas)
    kept = trained.model.pooling.normalizer.alpha.item()
    assert alphas[trained.best_epoch - 1] == [pytest.approx(kept)]
    assert {row["alpha"] for row in run().history} == {None}


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not():
    first, again, other = run(dropout=0.2), run(dropout=0.2), run(dropout=0.2, seed=1)
    assert same_weights(first.model, again.model)
    assert first.history == again.history
    assert not same_weights(first.model, other.model)


def test_the_best_epoch_is_kept_and_training_stops_without_progress():
    # Labels drawn at random can be learned by heart, which does not help on dev.
    task = keyword_task()
    task.labels[:] = np.random.default_rng(0).permutation(task.labels)
    trained = run({**SETTINGS, "max_epochs": 40, "patience": 2}, examples=task)
    losses = [row["dev_loss"] for row in trained.history]
    assert trained.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == min(trained.best_epoch + 2, 40) < 40
    assert [r["best"] for r in trained.history].index(True) + 1 == trained.best_epoch
    score = evaluate(trained.model, keyword_task(60, seed=1), 16, CPU)
    assert score["loss"] == pytest.approx(min(losses), abs=1e-6)


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path, monkeypatch):
    undisturbed = run(dropout=0.2)
    path = tmp_path / "checkpoint.pt"

    import attention_audit.models.training as training

    real, calls = training.evaluate, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(dropout=0.2, checkpoint=path, identity="x")
    assert path.exists()
    calls[:] = [1] * 10
    resumed = run(dropout=0.2, checkpoint=path, identity="x")
    # three epochs were done before: only the other three are evaluated again
    assert len(calls) == 10 + SETTINGS["max_epochs"] - 3
    assert same_weights(resumed.model, undisturbed.model)
    assert resumed.history == undisturbed.history
    assert not path.exists()


@pytest.mark.parametrize("damage", ["truncated", "foreign", "of other settings"])
def test_a_checkpoint_that_cannot_be_trusted_is_not_resumed(tmp_path, damage):
    path = tmp_path / "checkpoint.pt"
    if damage == "of other settings":
        torch.save({"identity": "y", "history": [1, 2, 3]}, path)
    else:
        torch.save({"identity": "x"}, path)
        whole = path.read_bytes()
        path.write_bytes(whole[:50] if damage == "truncated" else b"not a checkpoint")
    trained = run(checkpoint=path, identity="x")
    assert same_weights(trained.model, run().model)


def test_a_checkpoint_outlives_a_lack_of_memory(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    torch.save({"identity": "x"}, path)
    whole = path.read_bytes()

    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(RuntimeError, match="allocate"):
        run(checkpoint=path, identity="x")
    assert path.read_bytes() == whole


def test_a_loss_that_is_not_finite_is_named():
    with pytest.raises(AuditError, match=r"loss became .*learning_rate \(now 1e\+30\)"):
        run({**SETTINGS, "learning_rate": 1e30, "gradient_clip": 1e30})


def test_weight_decay_leaves_attention_alone():
    model = tiny_model()
    rest, attention = build_optimizer(model, SETTINGS).param_groups
    assert attention["weight_decay"] == 0 and rest["weight_decay"] == 1e-5
    assert {id(p) for p in attention["params"]} == {
        id(p) for p in model.pooling.parameters()
    }
    assert len(rest["params"]) + len(attention["params"]) == len(
        list(model.parameters())
    )


def test_a_module_may_learn_at_a_rate_of_its_own():
    # Adam's first step is the learning rate, whatever the gradient.
    model = tiny_model("average")
    model.encoder.project.learning_rate_factor = 0.01
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = build_optimizer(
        model, {**SETTINGS, "learning_rate": 0.5, "weight_decay": 0.0}
    )
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    slow = {"encoder.project.weight", "encoder.project.bias"}
    named = zip(before, model.named_parameters(), strict=True)
    for old, (name, new) in named:
        step = torch.full_like(old, -0.005 if name in slow else -0.5)
        torch.testing.assert_close(new.detach() - old, step)


def test_the_step_size_warms_up_and_goes_on_so_after_an_interruption():
    # Under a constant gradient each step of Adam is the learning rate.
    settings = {
        **SETTINGS,
        "learning_rate": 0.5,
        "warmup_steps": 4,
        "weight_decay": 0.0,
    }
    model = tiny_model("average")
    parameter = model.output.bias
    steps = []
    optimizer = build_optimizer(model, settings)
    for i in range(6):
        if i == 2:
            saved = optimizer.state_dict()
            optimizer = build_optimizer(model, settings)
            optimizer.load_state_dict(saved)
        before = parameter.detach().clone()
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        steps.append((before - parameter.detach())[0].item())
    assert steps == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5], rel=1e-5)


def test_smoothed_labels_are_learned_from_and_dev_is_scored_by_its_own():
    plain, smoothed = (
        run({**SETTINGS, "label_smoothing": share}) for share in (0.0, 0.5)
    )
    losses = [trained.history[-1]["train_loss"] for trained in (plain, smoothed)]
    assert losses[1] > losses[0] + 0.1
    found = evaluate(smoothed.model, keyword_task(60, seed=1), 16, CPU)
    kept = smoothed.history[smoothed.best_epoch - 1]
    assert found["loss"] == pytest.approx(kept["dev_loss"])


def test_the_optimizer_is_torchs_to_the_bit():
    generator = torch.Generator().manual_seed(0)
    first, second = (
        [
            torch.randn(shape, generator=generator, requires_grad=True)
            for shape in ((7, 3), (5,), (4,))
        ]
        for _ in range(2)
    )
    copies = [[p.detach().clone().requires_grad_() for p in g] for g in (first, second)]
    ours = AMSGrad(
        [
            {"params": first, "weight_decay": 0.1},
            {"params": second, "weight_decay": 0.0},
        ],
        0.05,
    )
    torchs = torch.optim.Adam(
        [{"params": copies[0]}, {"params": copies[1], "weight_decay": 0.0}],
        lr=0.05,
        weight_decay=0.1,
        amsgrad=True,
        fused=True,
    )
    pairs = list(zip(first + second, copies[0] + copies[1], strict=True))
    for step in range(5):
        if step == 3:
            saved = [[t.clone() for t in tensors] for tensors in ours.state_dict()]
            ours = AMSGrad(ours.param_groups, 0.05)
            ours.load_state_dict(saved)
        for i, (mine, theirs) in enumerate(pairs):
            # one parameter of the first group has no gradient at times
            gradient = torch.randn(mine.shape, generator=generator)
            mine.grad = theirs.grad = None if (i, step % 2) == (1, 1) else gradient
        ours.step()
        torchs.step()
        for mine, theirs in pairs:
            assert torch.equal(mine, theirs)
    ours.zero_grad()
    assert all(mine.grad is None for mine, _ in pairs)


def test_training_does_not_wait_for_torchs_compiler():
    program = "from tests.unit.test_training import run\nrun()\n"
    assert output_of(program + PRINT_COMPILER) == "[]"


def test_training_refuses_what_is_not_deterministic():
    run({**SETTINGS, "max_epochs": 1})
    assert torch.are_deterministic_algorithms_enabled()


def test_frozen_vectors_stay():
    vectors = torch.randn(30, 5)
    settings = ModelSettings.from_config(
        {**ENCODERS["average"], "embedding_size": 9, "freeze_vectors": True},
        {"kind": "additive"},
        {"kind": "softmax"},
        30,
        2,
        vectors,
    )
    assert settings.embedding_size == 5
    trained = train(
        settings, SETTINGS, keyword_task(), keyword_task(60, 1), 0, CPU, vectors
    )
    torch.testing.assert_close(trained.model.embedding.weight[2:], vectors[2:])


def test_macro_f1_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 0, 0])
    # class 0: TP 2, FP 2, FN 1 -> 4/7; class 1: TP 1, FP 1, FN 1 -> 1/2; class 2: 0
    assert macro_f1(labels, predicted, 3) == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)


def test_a_class_that_does_not_occur_is_left_out_of_macro_f1_and_counted():
    labels = np.array([0, 0, 2, 2])
    # class 1 is absent and predicted, 3 is absent
    predicted = np.array([0, 1, 2, 2])
    assert macro_f1(labels, predicted, 4) == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert macro_f1(labels, labels, 4) == 1
    assert classes_absent(labels, 4) == 2
    task = keyword_task(20)
    task.labels[:] = 1
    score = evaluate(tiny_model(dtype=torch.float32), task, 16, CPU)
    assert score["classes_absent"] == 1
