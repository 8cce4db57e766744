"""Logs of Inspect (inspect_ai): ``.eval`` archives and ``.json`` files, both of the log schema 2.

A ``.eval`` file is a zip archive with one ``samples/ID_epoch_N.json`` per sample, deflated until 2025 and compressed
with Zstandard since; a ``.json`` log has all of them in ``samples``. A sample has ``input`` (a text or chat
messages), ``target``, ``messages`` (the conversation), ``output`` (``choices`` with a message each, often
``completion``, too), and ``scores``: scorer → ``value``, where C is correct, P partial, I incorrect and N no answer,
or a number, or an object of such values. Every epoch of a sample is a row of its own.
"""

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lorif_core.data.failure_rows import FailureReading, FailureRow, ReadRows, SkippedRow, as_score, judged
from lorif_core.data.logged_chats import Conversation, Unusable, conversation_of, text_of, turn_of
from lorif_core.errors import DataError

MAX_SAMPLE_BYTES = 256 << 20
MAX_ARCHIVE_BYTES = 8 << 30
"""What an archive may hold unpacked."""

TO_JSON = "Convert it with `inspect log convert --to json`, and choose the new file."
UNREADABLE = (zipfile.BadZipFile, zlib.error, pa.ArrowException, ValueError, OSError, EOFError, RecursionError)
ZSTANDARD = 93
"""The method of the zip format, which ``zipfile`` knows from Python 3.14 on."""

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""What stands before a member's bytes: mark, …, length of the name, length of the extra field."""

SAMPLE = re.compile(r"samples/(?P<id>.+)_epoch_(?P<epoch>\d+)\.json", re.DOTALL)


def is_inspect_log(values: object) -> bool:
    """Whether the object of a JSON file is such a log; one without its samples is, too."""
    return isinstance(values, dict) and isinstance(values.get("eval"), dict) and "version" in values


def samples_of_log(values: Mapping[str, Any], path: Path) -> list[Any]:
    """The samples of a ``.json`` log.

    Raises:
        DataError: It was written without them.
    """
    samples = values.get("samples")
    if not isinstance(samples, list) or not samples:
        raise DataError(
            f"{path.name!r} is a log of Inspect without samples: choose one of a run that was finished and logs its "
            "samples."
        )
    return samples


def samples_of_archive(path: Path) -> Iterator[Any]:
    """The samples of an ``.eval`` file, one at a time, by epoch and id.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in _members(archive, path):
                yield json.loads(_content(archive, member))
    except UNREADABLE as error:
        raise DataError(f"{path.name!r} is no readable log of Inspect ({error}). {TO_JSON}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path.name!r} is packed in a way that is not known here. {TO_JSON}") from error


def _members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    named = {one.filename: one for one in archive.infolist()}  # of a sample that was written again, the last
    found = {name: match for name in named if (match := SAMPLE.fullmatch(name)) is not None}
    if not found:
        is_parted = any(name.startswith("samples/") for name in named)
        raise DataError(
            f"{path.name!r} holds its samples in parts, which is not known here. {TO_JSON}"
            if is_parted
            else f"{path.name!r} holds no samples: choose the log of an evaluation that was finished."
        )
    members = [named[name] for name in sorted(found, key=lambda name: _order(found[name]))]
    is_large = any(one.file_size > MAX_SAMPLE_BYTES for one in members)
    if is_large or sum(one.file_size for one in members) > MAX_ARCHIVE_BYTES:
        raise DataError(
            f"{path.name!r} holds more than {MAX_ARCHIVE_BYTES >> 30} GiB, or a sample of more than "
            f"{MAX_SAMPLE_BYTES >> 20} MiB. Split it."
        )
    return members


def _order(match: re.Match[str]) -> tuple[int, int, str]:
    number = int(match["id"]) if match["id"].isdecimal() else -1  # as Inspect sorts them: 9 before 10
    return int(match["epoch"]), number, match["id"]


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != ZSTANDARD:
        return archive.read(member)
    handle = archive.fp
    assert handle is not None  # the archive is open
    handle.seek(member.header_offset)
    mark, name_length, extra_length = LOCAL_HEADER.unpack(handle.read(LOCAL_HEADER.size))
    if mark != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{member.filename!r} does not begin where the archive says")
    handle.seek(name_length + extra_length, 1)
    packed = pa.BufferReader(handle.read(member.compress_size))
    content = pa.CompressedInputStream(packed, "zstd").read(member.file_size + 1)
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile(f"{member.filename!r} is damaged")
    return content


def read_inspect(samples: Iterable[Any], reading: FailureReading) -> ReadRows:
    """Rows of a log.

    Args:
        samples: Its samples.
        reading: What a person chose.

    Raises:
        DataError: The scorer that was chosen is none of the log's.
    """
    rows, skipped, scorers = list[FailureRow](), list[SkippedRow](), list[str]()
    for number, sample in enumerate(samples, start=1):
        try:
            values = _scores_of(sample)
            scorers += [one for one in values if one not in scorers]
            rows.append(_row_of(number, sample, values, reading.score or next(iter(scorers), None), reading.below))
        except Unusable as error:
            skipped.append(SkippedRow(number, str(error)))
    if reading.score is not None and reading.score not in scorers:
        raise DataError(
            f"the log has the scorers {', '.join(scorers) or 'none'}, got {reading.score!r}. Choose one of these."
        )
    taken = {"prompt": "messages before the last answer", "completion": "the last answer of the model"}
    return ReadRows(rows, skipped, scorers, reading.score or next(iter(scorers), None), [], taken)


def _scores_of(sample: Any) -> dict[str, float]:
    """Scorer → value; one whose value is an object gives one score per entry: ``scorer.entry``."""
    if not isinstance(sample, Mapping):
        raise Unusable("it is no sample")
    if sample.get("error"):
        raise Unusable("it ended with an error")
    if sample.get("invalidation"):
        raise Unusable("it was declared invalid")
    scores = sample.get("scores") or ({"score": sample["score"]} if sample.get("score") else {})
    if not isinstance(scores, Mapping):
        raise Unusable("its scores are none that this version knows")
    found: dict[str, float] = {}
    for scorer, score in scores.items():
        value = score.get("value") if isinstance(score, Mapping) else score
        parts = (
            {f"{scorer}.{name}": one for name, one in value.items()}
            if isinstance(value, Mapping)
            else {scorer: value}
        )
        found |= {name: number for name, one in parts.items() if (number := as_score(one)) is not None}
    return found


def _row_of(
    number: int, sample: Mapping[str, Any], values: dict[str, float], scorer: str | None, below: float
) -> FailureRow:
    if scorer is None or scorer not in values:
        raise Unusable("it has no score" if scorer is None else f"it has no score of {scorer}")
    asked, said = _conversation(sample)
    is_failure, why = judged(scorer, values[scorer], below)
    return FailureRow(
        line=number,
        prompt=asked.prompt,
        completion=said,
        why=why,
        is_failure=is_failure,
        score=values[scorer],
        expected=_target(sample.get("target")),
        system=asked.system,
        messages=asked.before,
    )


def _conversation(sample: Mapping[str, Any]) -> tuple[Conversation, str]:
    """What the model was given, and what it said."""
    said = _completion(sample.get("output"))
    logged = sample.get("messages") or []
    turns = [turn_of(one) for one in logged] if isinstance(logged, list) else []
    answers = [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]
    if answers:
        # What was scored is the output; a solver may have said something else behind it.
        last = next((place for place in reversed(answers) if turns[place]["content"] == said), answers[-1])
        said = said or turns[last]["content"]
        turns = turns[:last]
    else:
        given = sample.get("input")
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or [])
    if not said:
        raise Unusable("the model said nothing")
    return conversation_of(turns), said


def _completion(output: Any) -> str:
    if not isinstance(output, Mapping):
        return ""
    choices = output.get("choices") or []
    if choices and isinstance(choices[0], Mapping) and isinstance(choices[0].get("message"), Mapping):
        return text_of(choices[0]["message"].get("content"))
    return text_of(output.get("completion"))


def _target(target: Any) -> str | None:
    found = target if isinstance(target, list) else [target]
    return ", ".join(one for one in found if isinstance(one, str)) or None
