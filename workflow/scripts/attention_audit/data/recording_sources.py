"""Where recordings come from: subtitles with laughter from a pinned package, one's own tables.

A recording is what viewers saw and heard over time, and how they reacted second by second.
Every source is read as a stream of `Recording`, in the order of its files.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attention_audit.data.archives import source_members
from attention_audit.data.columns import require_column
from attention_audit.data.formats import readable
from attention_audit.data.sources import local_records
from attention_audit.records.errors import AuditError

_BATCH = 1000  # rows of features held at once


class Line(NamedTuple):
    """A subtitle: from when to when it is on screen (seconds), and who says it, if known."""

    start: float
    end: float
    speaker: str | None
    text: str


class Measured(NamedTuple):
    """Features measured at times (m,), in seconds and rising: values (m, d) float32."""

    times: np.ndarray
    values: np.ndarray


class Recording(NamedTuple):
    """One recording of a source, of T seconds with known reactions.

    ``split`` is "train", "dev" or "test" where the source has its own splits and "all"
    where it has none. ``group`` names what recordings share, such as a season, or is None.
    It lasts from 0 to ``end`` seconds. What was seen is ``lines`` or ``streams``.

    ``seconds`` (T,) int are in order, s for the time from s to s + 1; those without a known
    reaction are missing. ``reactions`` (T, K) float32 are of the source's scale, and
    ``events`` (T, K) bool says where one happened; None where reactions are no events.
    """

    split: str
    name: str
    group: str | None
    end: float
    lines: list[Line] | None
    streams: dict[str, Measured]
    seconds: np.ndarray
    reactions: np.ndarray
    events: np.ndarray | None
    origin: str


# ---------------------------------------------------------------- a comedy and its laughter

_MEMBERS = "*/the_corpus/*.merged"
_EPISODE = re.compile(r".*\.(S\d+)E\d+\..*\.merged")
_TIME = re.compile(r"\d+\.\d+", re.ASCII)
_LAUGH = "**LOL**"
LAUGHTER = "laughter"


def _decoded(
    content: bytes, where: str, name: str, encoding: str | None, notes: Counter
) -> str | None:
    """The text of a file; None where it is not UTF-8 and no other encoding is given.

    Counts, by the name of the file, the lines that are not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    lines = content.split(b"\n")
    others = [line for line in lines if line.decode(errors="replace").count("\ufffd")]
    notes[f"lines_not_utf8_of_{name}"] += len(others)
    if encoding is None:
        notes["recordings_not_utf8"] += 1
        return None
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AuditError(
            f"{where}, line {line}: is neither UTF-8 nor {encoding}. Set "
            "source.other_encoding to what it is, or to null to leave such files out."
        ) from error


def _subtitles(text: str, where: str) -> tuple[list[Line], list[float]]:
    """The lines of a ``.merged`` file, and the times of laughter.

    A name behind "# " says who speaks from there on. A subtitle is its start, one to three
    lines of text and its end; laughter is a time and a line ``**LOL**``, which may come
    after a subtitle that starts later. Raises `AuditError` for anything else, and where
    subtitles or laughs go back in time.
    """
    rows = [row.rstrip("\r") for row in text.split("\n")]
    lines: list[Line] = []
    laughs: list[float] = []
    speaker = None
    place = 0

    def fault(row: int, what: str) -> AuditError:
        return AuditError(
            f"{where}, line {row + 1}: {what}. Fetch the archive again, or pin the "
            "version that this reads."
        )

    while place < len(rows):
        row = rows[place]
        if row.startswith("#"):
            speaker = row[1:].strip() or None
            place += 1
            continue
        if not row.strip():
            place += 1
            continue
        if not _TIME.fullmatch(row.strip()):
            raise fault(place, f"expected a time or '# SPEAKER', found {row[:40]!r}")
        start = float(row)
        if rows[place + 1 : place + 2] == [_LAUGH]:
            if laughs and start < laughs[-1]:
                raise fault(
                    place, f"laughter at {start} s comes after that at {laughs[-1]} s"
                )
            laughs.append(start)
            place += 2
            continue
        last = place + 1
        while last < len(rows) and not _TIME.fullmatch(rows[last].strip()):
            last += 1
        if last == len(rows):
            raise fault(place, "a subtitle starts and has no time at which it ends")
        said = " ".join(rows[place + 1 : last]).strip()
        end = float(rows[last])
        if not said:
            raise fault(place, "a subtitle has no text")
        if end < start:
            raise fault(
                last, f"a subtitle ends at {end} s, before its start, {start} s"
            )
        if lines and start < lines[-1].start:
            raise fault(
                place,
                f"a subtitle starts at {start} s, after one that starts at "
                f"{lines[-1].start} s",
            )
        lines.append(Line(start, end, speaker, said))
        place = last + 1
    if not lines:
        raise AuditError(
            f"{where}: has no subtitles. Fetch the archive again, or pin the version that "
            "this reads."
        )
    return lines, laughs


def _sitcom(
    source: Mapping[str, Any], files: Mapping[str, Any], notes: Counter
) -> Iterator[Recording]:
    path = files["archive"]
    held_out = {
        season: split
        for split, seasons in (source["held_out"] or {}).items()
        for season in seasons
    }
    met = set()
    for member, content in source_members(path, _MEMBERS):
        where = f"{path}, file '{member}'"
        name = Path(member).stem
        match = _EPISODE.fullmatch(Path(member).name)
        if match is None:
            raise AuditError(
                f"{where}: its name has no season and episode, such as S04E06. Pin the "
                "version that this reads."
            )
        season = match.group(1)
        met.add(season)
        text = _decoded(content, where, name, source["other_encoding"], notes)
        if text is None:
            continue
        lines, laughs = _subtitles(text, where)
        end = int(max(line.end for line in lines) + source["after_last_line"])
        heard = [time for time in laughs if time < end]
        # Beyond the last line they are in the music of the credits.
        notes["laughs_after_the_end"] += len(laughs) - len(heard)
        # What was before the first line nobody looked at.
        first = int(lines[0].start)
        counts = np.bincount(np.array(heard, dtype=np.int64), minlength=end)[first:]
        notes["laughs_in_one_second"] += int((counts > 1).sum())
        seconds = np.arange(first, end) if laughs else np.arange(0)
        events = (counts > 0)[: len(seconds), None]
        yield Recording(
            held_out.get(season, "train") if held_out else "all",
            name,
            season,
            float(end),
            lines,
            {},
            seconds,
            events.astype(np.float32),
            events,
            where,
        )
    if unknown := sorted(held_out.keys() - met):
        raise AuditError(
            f"{path}: has no season '{unknown[0]}' (source.held_out). Known: "
            f"{', '.join(sorted(met))}."
        )


# ---------------------------------------------------------------- tables of one's own

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def _number(value: Any, place: str, what: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        raise AuditError(
            f"{place}: {what} should be a number, found {str(value)[:40]!r}. Correct it, "
            "or take the row out."
        )
    return found


class _Labels(NamedTuple):
    """The rows of one recording: times in seconds, (K,) reactions each, the first's place."""

    times: list[float]
    rows: list[list[float]]
    place: str


def _labels(
    source: Mapping[str, Any], split: str, path: str | Path, notes: Counter
) -> dict[str, _Labels]:
    """The reactions of one file by recording; rows of a recording follow each other.

    What belongs to a recording is told by its name alone, so that it ends where its own
    rows do whichever recordings are used.
    """
    names = source["reactions"]
    columns = {"recording": source["recording"], "time": source["time"]}
    columns |= {f"reactions.{i}": name for i, name in enumerate(names)}
    settings = {**columns, "format": source["format"], "delimiter": source["delimiter"]}
    unit = _UNITS[source["time_unit"]]
    found: dict[str, _Labels] = {}
    current = None
    for _, place, (name, time, *values) in local_records(
        settings, {split: Path(path)}, list(columns)
    ):
        name = str(name)
        time = _number(time, place, f"column '{source['time']}'") * unit
        if time < 0:
            raise AuditError(f"{place}: the time {time:g} s is negative. Correct it.")
        if name != current:
            if name in found:
                raise AuditError(
                    f"{place}: the rows of '{name}' go on after those of '{current}'. "
                    "Sort the file, so that the rows of a recording follow each other."
                )
            found[name] = _Labels([], [], place)
            current = name
        times, rows, _ = found[name]
        if times and time <= times[-1]:
            raise AuditError(
                f"{place}: the time {time:g} s of '{name}' does not come after "
                f"{times[-1]:g} s, that of the row before. Sort the rows by time, or "
                "correct source.time and source.time_unit."
            )
        row = [
            _number(value, place, f"column '{column}'")
            for column, value in zip(names, values, strict=True)
        ]
        if source["zeros"] == "missing" and not any(row):
            notes["rows_of_zeros"] += 1
            continue
        times.append(time)
        rows.append(row)
    return found


def _vectors(column: pa.Array, place: str, row: int) -> np.ndarray:
    """Rows of a column of vectors as (rows, d) float32, all of one length and finite.

    ``row`` is the number of the first of them.
    """
    found: list[np.ndarray] = []
    for number, values in enumerate(column.to_pylist(), row):
        try:
            vector = np.array(values, dtype=np.float32)
        except (TypeError, ValueError):
            vector = np.empty(0)
        size = found[0].size if found else vector.size
        if vector.ndim != 1 or vector.size != size or not size:
            expected = size or "one vector of"
        elif not np.isfinite(vector).all():
            expected = size
        else:
            found.append(vector)
            continue
        raise AuditError(
            f"{place}, row {number}: expected {expected} finite numbers, found "
            f"{str(values)[:40]}. Store one vector a row, all of one length."
        )
    return np.stack(found)


def _features(
    source: Mapping[str, Any], path: str | Path
) -> Iterator[tuple[str, dict[str, Measured], str]]:
    """Yield (recording, its streams, place) of a Parquet file, one recording at a time."""
    where = str(path)
    wanted = source["features"]
    columns = {"features.recording": wanted["recording"]}
    columns["features.time"] = wanted["time"]
    columns |= {f"features.streams.{k}": v for k, v in wanted["streams"].items()}
    unit = _UNITS[wanted["time_unit"]]
    current, start = None, ""
    times: list[np.ndarray] = []
    values: dict[str, list[np.ndarray]] = {}
    done: set[str] = set()

    def whole() -> dict[str, Measured]:
        joined = np.concatenate(times)
        return {k: Measured(joined, np.concatenate(v)) for k, v in values.items()}

    if not Path(path).is_file():
        raise AuditError(
            f"{where}: no such file. Correct source.files; a relative path starts at the "
            "working directory."
        )
    with (
        readable(where, "Check the file."),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        for key, column in columns.items():
            require_column(where, column, key, file.schema_arrow.names)
        row = 0
        for batch in file.iter_batches(_BATCH, columns=list(columns.values())):
            names = [str(name) for name in batch[wanted["recording"]].to_pylist()]
            at = [
                _number(value, f"{where}, row {n}", f"column '{wanted['time']}'") * unit
                for n, value in enumerate(batch[wanted["time"]].to_pylist(), row)
            ]
            found = {
                stream: _vectors(batch[column], f"{where}, column '{column}'", row)
                for stream, column in wanted["streams"].items()
            }
            bounds = [
                0,
                *(i for i in range(1, len(names)) if names[i] != names[i - 1]),
                len(names),
            ]
            for first, last in itertools.pairwise(bounds):
                place = f"{where}, row {row + first}"
                if names[first] != current:
                    if current is not None:
                        yield current, whole(), start
                        done.add(current)
                    if names[first] in done:
                        raise AuditError(
                            f"{place}: the rows of '{names[first]}' go on after those of "
                            f"'{current}'. Sort the file by recording and time."
                        )
                    current, start = names[first], place
                    times, values = [], {stream: [] for stream in found}
                part = np.array(at[first:last])
                before = np.concatenate([times[-1][-1:], part]) if times else part
                back = np.flatnonzero(np.diff(before) <= 0)
                if len(back):
                    n = row + first + int(back[0]) + (not times)
                    raise AuditError(
                        f"{where}, row {n}: the time {before[back[0] + 1]:g} s of "
                        f"'{current}' does not come after {before[back[0]]:g} s, that of "
                        "the row before. Sort the rows by time, or correct "
                        "source.features.time and time_unit."
                    )
                times.append(part)
                for stream, rows in found.items():
                    if values[stream] and values[stream][0].shape[1] != rows.shape[1]:
                        raise AuditError(
                            f"{place}: stream '{stream}' has {rows.shape[1]} values, and "
                            f"{values[stream][0].shape[1]} before. Store one vector a row, "
                            "all of one length."
                        )
                    values[stream].append(rows[first:last])
            row += len(names)
    if current is None:
        raise AuditError(f"{where}: holds no rows. Name another file.")
    yield current, whole(), start


def _second_by_second(labels: _Labels, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The seconds (T,) with reactions, and the mean of these in each, (T, ``count``)."""
    seconds, row = np.unique(np.floor(labels.times).astype(int), return_inverse=True)
    sums = np.zeros((len(seconds), count))
    np.add.at(sums, row, np.array(labels.rows).reshape(-1, count))
    return seconds, (sums / np.bincount(row)[:, None]).astype(np.float32)


def _tables(
    source: Mapping[str, Any],
    files: Mapping[str, Mapping[str, str | Path]],
    notes: Counter,
) -> Iterator[Recording]:
    count = len(source["reactions"])
    for split, named in files.items():
        labels = _labels(source, split, named["labels"], notes)
        used = set()
        for name, streams, place in _features(source, named["features"]):
            used.add(name)
            times = next(iter(streams.values())).times
            end = float(times[-1]) + source["max_gap"]
            mine = labels.get(name, _Labels([], [], place))
            seconds, reactions = _second_by_second(mine, count)
            beyond = int((seconds + 0.5 >= end).sum())
            if beyond and source["unequal_lengths"] == "refuse":
                raise AuditError(
                    f"{place}: the features of '{name}' end at {times[-1]:g} s, and its "
                    f"reactions go on to {mine.times[-1]:g} s ({mine.place} and after). "
                    "Correct the times or their units, or set source.unequal_lengths to "
                    "cut, which counts such seconds in the card."
                )
            notes["seconds_after_the_features"] += beyond
            kept = len(seconds) - beyond
            yield Recording(
                split,
                name,
                None,
                end,
                None,
                streams,
                seconds[:kept],
                reactions[:kept],
                None,
                place,
            )
        lacking = [name for name in labels if name not in used]
        notes["recordings_without_features"] += len(lacking)


# ---------------------------------------------------------------- all of them

_Reader = Callable[[Mapping[str, Any], Mapping[str, Any], Counter], Iterator[Recording]]
READERS: dict[str, _Reader] = {"reaction_tables": _tables, "sitcom_laughs": _sitcom}


def reactions_of(source: Mapping[str, Any]) -> list[str]:
    """The names of the K reactions of a source."""
    return list(source.get("reactions", [LAUGHTER]))


def read_recordings(
    source: Mapping[str, Any], files: Mapping[str, Any], notes: Counter
) -> Iterator[Recording]:
    """Stream the recordings of a data set, in the order of its files.

    ``source`` has a ``kind``. By kind, with what ``files`` holds:

    - sitcom_laughs: ``other_encoding`` (of files that are not UTF-8, or None, which leaves
      them out), ``after_last_line`` (seconds from a recording's last line to its end; what
      is taken for laughter in the music after it is left out), ``held_out`` ({split: names
      of seasons, such as "S09"} or None); {"archive": the source archive of
      seinfeld-laugh-corpus}.
    - reaction_tables: a table of reactions with ``recording``, ``time`` and ``reactions``
      (columns, the last a list), ``time_unit`` ("s", "ms" or "us"), ``zeros`` ("missing"
      where a row of zeros says that nobody was seen, or "values"), ``format`` and
      ``delimiter`` (see `local_records`); and ``features``, a Parquet table with
      ``recording``, ``time``, ``time_unit`` and ``streams`` ({stream: column of vectors});
      ``max_gap`` (seconds that features hold for), ``unequal_lengths`` ("refuse", or "cut"
      where reactions go on after the features); {split: {"labels": path, "features":
      path}}. Rows of a recording follow each other, by time. A second's reaction is the
      mean of its rows.

    What a source leaves out is counted in ``notes``. A recording without reactions has no
    seconds. Raises `AuditError`, with file and line, for a missing or damaged file and for
    times that go back.
    """
    yield from READERS[source["kind"]](source, files, notes)
