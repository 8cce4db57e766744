"""Logs of Inspect (inspect_ai): ``.eval`` archives and ``.json`` files, both of the log schema 2.

A ``.eval`` file is a zip archive with one ``samples/ID_epoch_N.json`` per sample; a ``.json`` log has all of them in
``samples``. A sample has ``input`` (a text or chat messages), ``target``, ``messages`` (the conversation),
``output`` (``choices`` with a message each, often ``completion``, too), and ``scores``: scorer → ``value``, where C
is correct, P partial, I incorrect and N no answer, or a number. An archive that is compressed with Zstandard needs
Python 3.14; ``inspect log convert --to json`` makes a file that can be read.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.data.failure_rows import FailureReading, FailureRow, ReadRows, SkippedRow, as_score, judged
from lorif_core.errors import DataError

MAX_SAMPLE_BYTES = 256 << 20
MAX_ARCHIVE_BYTES = 8 << 30
"""What an archive may hold unpacked."""

TO_JSON = "Convert it with `inspect log convert --to json`, and choose the new file."


class _Unusable(Exception):
    """Why a sample cannot be asked about."""


class _Conversation(NamedTuple):
    system: str | None
    before: tuple[dict[str, Any], ...]
    prompt: str
    said: str


def is_inspect_log(values: object) -> bool:
    """Whether the object of a JSON file is such a log."""
    return isinstance(values, dict) and {"eval", "samples"} <= values.keys()


def samples_of_archive(path: Path) -> Iterator[Any]:
    """The samples of an ``.eval`` file, one at a time, in the order of their names.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.startswith("samples/")]
            members = sorted((one for one in members if one.filename.endswith(".json")), key=lambda one: one.filename)
            if not members:
                raise DataError(f"{path.name!r} holds no samples: is it a log of Inspect that was finished?")
            large = [one for one in members if one.file_size > MAX_SAMPLE_BYTES]
            if large or sum(one.file_size for one in members) > MAX_ARCHIVE_BYTES:
                raise DataError(
                    f"{path.name!r} holds more than {MAX_ARCHIVE_BYTES >> 30} GiB, or a sample of more than "
                    f"{MAX_SAMPLE_BYTES >> 20} MiB. Split it."
                )
            for member in members:
                yield json.loads(archive.read(member))
    except (NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path.name!r} is compressed in a way that this Python cannot read. {TO_JSON}") from error
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise DataError(f"{path.name!r} is no readable log of Inspect ({error}). {TO_JSON}") from error


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
            rows.append(_row_of(number, sample, values, reading))
        except _Unusable as error:
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
        raise _Unusable("it is no sample")
    if sample.get("error"):
        raise _Unusable("it ended with an error")
    found: dict[str, float] = {}
    for scorer, score in (sample.get("scores") or {}).items():
        value = score.get("value") if isinstance(score, Mapping) else score
        parts = (
            {f"{scorer}.{name}": one for name, one in value.items()}
            if isinstance(value, Mapping)
            else {scorer: value}
        )
        found |= {name: number for name, one in parts.items() if (number := as_score(one)) is not None}
    return found


def _row_of(number: int, sample: Mapping[str, Any], values: dict[str, float], reading: FailureReading) -> FailureRow:
    scorer = reading.score or next(iter(values), None)
    if scorer is None or scorer not in values:
        raise _Unusable("it has no score" if scorer is None else f"it has no score of {scorer}")
    asked = _conversation(sample)
    is_failure, why = judged(scorer, values[scorer], reading.below)
    return FailureRow(
        line=number,
        prompt=asked.prompt,
        completion=asked.said,
        why=why,
        is_failure=is_failure,
        score=values[scorer],
        expected=_target(sample.get("target")),
        system=asked.system,
        messages=asked.before,
    )


def _conversation(sample: Mapping[str, Any]) -> _Conversation:
    said = _completion(sample.get("output"))
    turns = [_turn(one) for one in sample.get("messages") or []]
    while turns and turns[-1]["role"] != "assistant":
        turns.pop()
    if turns:
        said = said or turns[-1]["content"]
        turns = turns[:-1]
    else:
        given = sample.get("input")
        turns = (
            [{"role": "user", "content": given}] if isinstance(given, str) else [_turn(one) for one in given or []]
        )
    if not said:
        raise _Unusable("the model said nothing")
    if any(turn["role"] == "tool" for turn in turns):
        raise _Unusable("it uses tools, whose messages cannot be asked about")
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system") or None
    turns = [turn for turn in turns if turn["role"] != "system"]
    if not turns or turns[-1]["role"] != "user":
        raise _Unusable("no message of a user comes before the answer")
    return _Conversation(system, tuple(turns[:-1]), turns[-1]["content"], said)


def _completion(output: Any) -> str:
    if not isinstance(output, Mapping):
        return ""
    choices = output.get("choices") or []
    if choices and isinstance(choices[0], Mapping) and isinstance(choices[0].get("message"), Mapping):
        return _content(choices[0]["message"].get("content"))
    return _content(output.get("completion"))


def _turn(message: Any) -> dict[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise _Unusable("its messages are none that this version knows")
    return {"role": message["role"], "content": _content(message.get("content"))}


def _content(content: Any) -> str:
    """The text of a message; parts that are reasoning are left out, those that are no text are refused."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise _Unusable("its messages are none that this version knows")
    kinds = {part.get("type") for part in content} - {"text", "reasoning"}
    if kinds:
        raise _Unusable("its messages hold images or other parts that are no text")
    return "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")


def _target(target: Any) -> str | None:
    found = target[0] if isinstance(target, list) and target else target
    return found if isinstance(found, str) and found else None
