"""The table of what jobs asked for against what they used."""

import pytest

import compare_resources as table

HEADER = "s\tmax_rss\trule_name\twildcards\tresources\n"


def benchmark(path, seconds, rss, rule, dataset, mem_mb, runtime):
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = {"mem_mb": mem_mb, "runtime": runtime, "tmpdir": "/tmp"}
    wildcards = {"dataset": dataset} if dataset else {}
    path.write_text(
        f"{HEADER}{seconds}\t{rss}\t{rule}\t{wildcards}\t{asked}\n", encoding="utf-8"
    )


def test_largest_use_over_largest_request(tmp_path):
    benchmark(tmp_path / "train/a.tsv", 60, 400, "train", "sst", 1000, 10)
    benchmark(tmp_path / "train/b.tsv", 180, 250, "train", "sst", 800, 6)
    benchmark(tmp_path / "train/c.tsv", 30, 100, "train", "imdb", 800, 6)
    result = table.compare(table.read_benchmarks(tmp_path))
    sst = result.loc[("train", "sst")]
    assert sst["jobs"] == 2
    assert sst["used_mb_percent"] == 40  # 400 of 1000
    assert sst["used_min_percent"] == 30  # 3 minutes of 10
    assert result.loc[("train", "imdb"), "used_mb_percent"] == 12.5


def test_figures_count_as_one_rule(tmp_path):
    for name in ("one", "two"):
        benchmark(tmp_path / f"{name}.tsv", 6, 60, f"figure_{name}", None, 600, 5)
    assert table.compare(table.read_benchmarks(tmp_path))["jobs"].to_dict() == {
        ("figure", ""): 2
    }


def test_benchmarks_without_requests_are_named(tmp_path):
    (tmp_path / "old.tsv").write_text("s\tmax_rss\n1\t2\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="--benchmark-extended"):
        table.read_benchmarks(tmp_path)


def test_the_jobs_of_other_experiments_have_a_table_of_their_own(tmp_path):
    benchmark(tmp_path / "train/a.tsv", 60, 400, "train", "sst", 1000, 10)
    other = tmp_path / "experiments/other"
    benchmark(other / "train/a.tsv", 6, 900, "train", "sst", 1000, 10)
    found = table.compare(table.read_benchmarks(tmp_path))
    assert found.loc[("train", "sst"), "used_mb"] == 400
    assert table.compare(table.read_benchmarks(other))["used_mb"].tolist() == [900]
