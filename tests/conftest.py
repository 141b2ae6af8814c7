"""Shared by all tests."""

import gc
from collections import defaultdict
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from attention_audit.records.errors import AuditError, suggestion
from attention_audit.records.unique_keys import read_yaml
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


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in an order in which several processes seldom wait for each other.

    pytest-xdist's `worksteal` gives each process an equal number of neighbouring tests,
    and who has none left takes from the end of another's. So each begins with tests of
    the workflow: one with those of the longest fixtures, the others with those that need
    no finished grid. All end with short ones.
    """
    makers, free, waiting, short = [], [], [], []
    for item in items:
        needs = item.fixturenames
        if item.path.parent.name != "workflow":
            short.append(item)
        elif "explained" in needs:
            makers.append(item)
        else:
            (waiting if "finished" in needs else free).append(item)

    heads = [[] for _ in range(workers)]
    for tests, shares in ((makers, heads[:1]), (free, heads[1:]), (waiting, heads)):
        modules = defaultdict(list)
        for item in tests:
            modules[item.path].append(item)
        # Where a module has few tests, each takes long.
        for i, module in enumerate(sorted(modules.values(), key=len)):
            shares[i % len(shares)].extend(module)
    left = len(items)
    for i, head in enumerate(heads):
        room = max(0, left // (workers - i) - len(head))
        head += short[:room]
        del short[:room]
        left -= len(head)
    return [*chain(*heads), *short]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = dealt(items, workers)


def pytest_collection_finish():
    # What the tests import stays, and to search it for garbage takes long.
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Results and speed of small tensors are steadier on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def schemas_parsed_once():
    """To parse a schema takes longer than to validate by it, and nothing changes it."""
    parsed = cache(lambda path, contents: read_yaml(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "attention_audit.config.read_yaml",
            lambda path: parsed(path, Path(path).read_bytes()),
        )
        yield
