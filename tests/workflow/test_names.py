"""Whatever a user's own file is called: it is read, and no other."""

import json
import shutil
from pathlib import Path

from attention_audit.records import tables
from tests.workflow import project

# A folder or a file each; three make the splits of a data set.
NAMES = [
    *("reviews[1].csv", "reviews?.csv", "reviews*.csv"),
    *("{dataset}.csv", "{x}/a.csv", "{x,[0-9]+}.csv"),
    *("<logs>.csv", "<results>/a.csv", "{{x}}.csv"),
    *("https:/reviews.csv", "~/a.csv", "**/a.csv"),
    *("--help.csv", "%41 #1.csv", "crème de la crème.csv"),
    *("'quoted'.csv", '"twice".csv', "$HOME;ls.csv"),
]
# What those above mean where they are taken for patterns.
OTHERS = ["reviews1.csv", "reviewsx.csv", "data0.csv", "x/a.csv", "7.csv", "A.csv"]
SPLITS = ("train", "dev", "test")


def write(path: Path, number: int) -> None:
    """A few texts that hold the word ``n{number}``."""
    rows = [f"text n{number} w{i},{'ab'[i % 2]}" for i in range(4)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["text,label", *rows, ""]), encoding="utf-8")


def test_exactly_the_named_files_are_read(fresh):
    for number, name in enumerate([*NAMES, *OTHERS]):
        write(fresh / name, number)
    vectors = ["{x} [1].txt", "<logs>.txt", "v*.txt"]
    for name in vectors:
        (fresh / name).write_text("text 1 2\n")
    (fresh / "vx.txt").write_text("other 1 2\n")
    for i in range(0, len(NAMES), 3):
        key = f"data{i // 3}"
        files = dict(zip(SPLITS, NAMES[i : i + 3], strict=True))
        path = vectors[i // 3 % 3]
        project.set_key(fresh, f"vectors.{key}", {"kind": "file", "path": path})
        project.set_key(
            fresh,
            f"datasets.{key}",
            {
                "source": {"kind": "local", "files": files},
                "vectors": key,
                "min_count": 1,
            },
        )
    keys = [f"data{i}" for i in range(len(NAMES) // 3)]
    cards = [f"results/data/{key}/card.json" for key in keys]
    project.run(fresh, "--cores", "2", *cards)
    for i, key in enumerate(keys):
        record = json.loads((fresh / cards[i]).read_text())["provenance"]
        paths = [*NAMES[3 * i : 3 * i + 3], vectors[i % 3]]
        assert record["inputs"] == {
            path: project.sha256(fresh / path) for path in paths
        }
        for j, split in enumerate(SPLITS):
            table = tables.read_table(
                fresh / f"results/data/{key}/{split}.parquet", "examples"
            )
            words = {word for text in table["tokens"].to_pylist() for word in text}
            assert {w for w in words if w[0] == "n"} == {f"n{3 * i + j}"}
    assert project.planned(fresh, *cards) == {}
    # What Snakemake would take for a pattern counts by its bytes as the others do.
    for name in ("{x}/a.csv", "reviews[1].csv"):
        before = (fresh / name).read_bytes()
        write(fresh / name, 99)
        of_name = keys[NAMES.index(name) // 3]
        assert project.planned(fresh, *cards) == {"prepare": {of_name}}
        (fresh / name).write_bytes(before)
    assert project.planned(fresh, *cards) == {}


def test_a_missing_file_is_named_in_the_words_of_the_config(fresh):
    write(fresh / "x.csv", 0)
    for name in ("{x}.csv", "no[1].csv"):
        source = {"kind": "local", "files": {"all": name}}
        project.set_key(fresh, "datasets.own.source", source)
        shutil.rmtree(fresh / "results", ignore_errors=True)
        status, output = project.snakemake(
            fresh, "--cores", "1", "results/data/own/card.json"
        )
        assert status != 0 and name in output
        assert "WildcardError" not in output
