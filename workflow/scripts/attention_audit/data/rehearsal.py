"""A data set is prepared on trial before what was prepared of it goes.

Snakemake removes a job's outputs before it runs. Where the job then fails, for a column
that is misspelt, the data set is gone, and once the name is mended all that was made of it
is made again.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention_audit.data.sources import read_documents
from attention_audit.data.text import prepare_dataset


def rehearse(
    name: str, settings: Mapping[str, Any], documents: Mapping[str, str | Path]
) -> None:
    """Prepare a data set, without its vectors, and leave nothing behind.

    ``documents`` are the files of its source, as `read_documents` wants them. Raises what
    `prepare_dataset` would. Does nothing where files have yet to be fetched.
    """
    own = settings["source"]["kind"] == "local"
    if not own and not all(Path(path).exists() for path in documents.values()):
        return
    outputs = ("train", "dev", "test", "vocabulary", "card")
    with tempfile.TemporaryDirectory() as folder:
        prepare_dataset(
            name,
            settings,
            read_documents(settings["source"], documents),
            None,
            {output: Path(folder, output) for output in outputs},
            {},
        )
