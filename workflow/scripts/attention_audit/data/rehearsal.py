"""A data set is prepared on trial before what was prepared of it goes.

Snakemake removes a job's outputs before it runs. Where the job then fails, for a column
that is misspelt, the data set is gone, and once the name is mended all that was made of it
is made again.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention_audit.data.modality import of_data
from attention_audit.data.own_files import OWN_KINDS


def rehearse(
    name: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    tokenizer: str | Path | None = None,
) -> None:
    """Prepare a data set, without its vectors, and leave nothing behind.

    ``files`` are those of its source, as its modality's `prepare` wants them, and
    ``tokenizer`` that of a pretrained model, where one is named. Raises what that would.
    Does nothing where files have yet to be fetched.
    """
    own = settings["source"]["kind"] in OWN_KINDS
    fetched = ([] if own else [*files.values()]) + ([tokenizer] if tokenizer else [])
    if not all(Path(path).exists() for path in fetched):
        return
    more = {"tokenizer": tokenizer} if tokenizer else {}
    outputs = ("train", "dev", "test", "reading", "card")
    with tempfile.TemporaryDirectory() as folder:
        of_data(settings["modality"], "prepare")(
            name, settings, files, {o: Path(folder, o) for o in outputs}, {}, **more
        )
