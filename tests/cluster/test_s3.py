"""Results in an S3-compatible store, here one of moto on this machine."""

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load

from tests.cluster.conftest import Driver, pipeline
from tests.cluster.local_slurm import free_port, wait_until

KEY = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything"}
BUCKET = "audit"
# Two runs are enough: what is tested is the way of the files.
GRID = "grid: {encoders: [bilstm], normalizers: [softmax, sparsemax], seeds: [0]}"


@pytest.fixture
def store(tmp_path, archives):
    """A server, and a client of it whose one bucket holds the archives."""
    for package in ("snakemake_storage_plugin_s3", "moto", "boto3"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: `make cluster-env`")
    import boto3
    from botocore.exceptions import BotoCoreError

    url = f"http://127.0.0.1:{(port := free_port())}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **KEY)

    def answers() -> bool:
        try:
            client.list_buckets()
        except BotoCoreError:
            return False
        return True

    with (tmp_path / "moto.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--port", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(answers, f"an answer of {url}")
        client.create_bucket(Bucket=BUCKET)
        for file in archives.iterdir():
            client.upload_file(str(file), BUCKET, f"results/raw/{file.name}")
        yield url, client
    finally:
        server.terminate()
        server.wait()


def content(name: str, data: bytes) -> object:
    """What a file holds, without the record of how it was made.

    That names and digests the local copies of the inputs, whose paths, and with them
    the records within, are others where a store is used.
    """
    if name.endswith(".parquet"):
        return pq.read_table(io.BytesIO(data)).replace_schema_metadata().to_pydict()
    if name.endswith(".safetensors"):
        return {key: value.tolist() for key, value in load(data).items()}
    if name.endswith(".json"):
        return {k: v for k, v in json.loads(data).items() if k != "provenance"}
    return data


def test_results_in_a_store_are_those_of_a_local_run(store, workdir, tmp_path):
    url, client = store
    remote, local = workdir / "remote", workdir
    remote.mkdir()
    keys = {
        "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": KEY["aws_access_key_id"],
        "SNAKEMAKE_STORAGE_S3_SECRET_KEY": KEY["aws_secret_access_key"],
    }
    (tmp_path / "small.yaml").write_text(GRID, encoding="utf-8")
    everything = pipeline(tmp_path / "small.yaml")
    provider = ["--cores", "2", "--default-storage-provider", "s3"]
    provider += ["--default-storage-prefix", f"s3://{BUCKET}"]
    provider += ["--storage-s3-endpoint-url", url]
    Driver(remote, {**os.environ, **keys}, *provider, *everything).succeed()
    Driver(local, dict(os.environ), "--cores", "2", *everything).succeed()

    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    stored = {o["Key"] for page in pages for o in page.get("Contents", [])}
    made = {
        str(path.relative_to(local))
        for path in (local / "results").rglob("*")
        if path.is_file()
    }
    assert {key for key in stored if key.startswith("results/")} == made
    # The checkpoint of a training stays here, and goes with its end.
    assert not any(path.is_file() for path in (remote / "results").rglob("*"))
    for key in sorted(made):
        body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert content(key, body) == content(key, (local / key).read_bytes()), key
