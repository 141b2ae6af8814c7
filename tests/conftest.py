"""Shared by all tests."""

import gc

import pytest
import torch
from hypothesis import settings

from attention_audit.records.errors import AuditError, suggestion
from tests.unit.instances import instances

# Examples from a fixed seed: a red run can be repeated.
settings.register_profile("steady", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser):
    parser.addoption("--kind", help="hold normalizers of this kind to the laws")


def pytest_configure(config):
    kind = config.getoption("kind")
    if kind is None:
        return
    try:
        known = {settings["kind"] for settings in instances().values()}
    except AuditError as error:
        raise pytest.UsageError(str(error)) from None
    if kind not in known:
        raise pytest.UsageError(
            f"no normalizer of kind '{kind}'.{suggestion(kind, known)}"
        )


def pytest_collection_finish():
    # What the tests import stays, and to search it for garbage takes long.
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Results and speed of small tensors are steadier on one thread."""
    torch.set_num_threads(1)
