"""The gated encoder: as its formula has it, and blind to padding and to other streams."""

import pytest
import torch

from attention_audit.attribution.influence import (
    batched_jacobian_norms,
    jacobian_norms,
)
from attention_audit.models import gated
from attention_audit.models.gated import GatedEncoder
from attention_audit.records.errors import AuditError

STREAMS = (3, 2)


def encoder(layers=1):
    torch.manual_seed(0)
    return GatedEncoder(5, 4, STREAMS, layers).double().eval()


def moments(*lengths):
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    x = torch.randn(*mask.shape, 5, dtype=torch.float64)
    return x * mask.unsqueeze(-1), mask


@pytest.mark.parametrize("layers", [1, 2])
def test_states_are_those_of_torchs_bidirectional_grus_gated(layers):
    model = encoder(layers)
    x, mask = moments(6)
    read = []
    for stream, part in zip(model.streams, x.split(STREAMS, -1), strict=True):
        theirs = torch.nn.GRU(
            part.shape[-1], 4, layers, batch_first=True, bidirectional=True
        ).double()
        for layer in range(layers):
            for suffix, ours in (
                ("", stream.forwards[layer]),
                ("_reverse", stream.backwards[layer]),
            ):
                for name, values in ours.named_parameters():
                    wanted = name.replace("_l0", f"_l{layer}") + suffix
                    getattr(theirs, wanted).data.copy_(values.data)
        read.append(theirs(part)[0])
    joined = torch.cat(read, -1)
    gate = joined @ model.gate.linear.weight.T + model.gate.linear.bias
    torch.testing.assert_close(model(x, mask), joined * gate.sigmoid())


def test_states_do_not_depend_on_padding():
    model = encoder()
    x, mask = moments(6, 4)
    padded = model(x, mask)
    alone = model(x[1:, :4], mask[1:, :4])
    torch.testing.assert_close(padded[1:, :4], alone)
    assert (padded[1, 4:] == 0).all()


def test_influence_is_that_of_any_encoder():
    model = encoder()
    x, mask = moments(5)
    got = jacobian_norms(model, x[0])
    whole = torch.autograd.functional.jacobian(lambda v: model(v[None], mask)[0], x[0])
    expected = whole.square().sum((1, 3)).sqrt()
    torch.testing.assert_close(got.double(), expected)


def test_streams_of_other_sizes_are_an_error():
    with pytest.raises(AuditError, match=r"3 \+ 2 values a moment, and a moment has 6"):
        GatedEncoder(6, 4, STREAMS)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("numbers", [1, 2**17])
def test_influence_is_that_of_backward_passes(layers, numbers, monkeypatch):
    monkeypatch.setattr(gated, "NUMBERS_PER_STEP", numbers)
    model = encoder(layers)
    x = moments(6)[0][0]
    found = jacobian_norms(model, x)
    assert found == pytest.approx(batched_jacobian_norms(model, x), rel=1e-9)
    assert found.min() > 0


def test_when_a_moment_was_has_no_part_in_its_influence():
    model = encoder()
    model.timed = True
    x = moments(6)[0][0]
    columns = torch.tensor([0, 1, 3])

    def by_values(values):
        whole = x.index_copy(1, columns, values)
        return model(whole.unsqueeze(0), torch.ones(1, 6, dtype=torch.bool))[0]

    slopes = torch.autograd.functional.jacobian(by_values, x[:, columns])
    norms = slopes.square().sum((1, 3)).sqrt()  # (m, H, n, values)
    assert jacobian_norms(model, x) == pytest.approx(norms, rel=1e-9)
