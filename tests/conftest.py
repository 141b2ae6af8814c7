"""Shared by all tests."""

import pytest
import torch
from hypothesis import settings

from attention_audit.errors import suggestion
from attention_audit.kinds import normalizer_kinds

# Examples from a fixed seed: a red run can be repeated.
settings.register_profile("steady", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser):
    parser.addoption("--kind", help="hold normalizers of this kind to the laws")


def pytest_configure(config):
    kind, known = config.getoption("kind"), normalizer_kinds()
    if kind not in (None, *known):
        raise pytest.UsageError(
            f"no normalizer of kind '{kind}'.{suggestion(kind, known)}"
        )


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Results and speed of small tensors are steadier on one thread."""
    torch.set_num_threads(1)
