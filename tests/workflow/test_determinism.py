"""The same configuration gives the same bytes, however many jobs run side by side."""

from tests.workflow import project


def test_one_core_and_two_give_the_same_bytes(fresh, finished, offline):
    # `finished` ran with two.
    project.run(fresh, "--cores", "1", **offline)
    once, again = project.results(finished), project.results(fresh)
    assert set(once) == set(again)
    assert [path for path in once if once[path] != again[path]] == []
