"""The same configuration gives the same bytes, however many jobs run side by side."""

from pathlib import Path

from tests.workflow import project

# A run that has controls. The jobs of the others are those of the same rules.
KEPT = "reviews/bilstm/additive"
MADE_ANEW = f"{KEPT}/entmax15/seed1"


def forget(results: Path) -> None:
    """Remove all results but those of the other runs."""
    kept = {
        path
        for stage in results.iterdir()
        for path in (stage / KEPT).rglob("*")
        if MADE_ANEW not in path.as_posix()
    }
    for path in results.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()


def test_one_core_and_two_give_the_same_bytes(done, finished, offline):
    # `finished` ran with two.
    forget(done / "results")
    project.run(done, "--cores", "1", **offline)
    once, again = project.results(finished), project.results(done)
    assert set(once) == set(again)
    assert [path for path in once if once[path] != again[path]] == []
