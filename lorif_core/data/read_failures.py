"""Files of failing prompts: which rows count as failures and why, what was taken for what, what is skipped.

A file is a data file (JSONL, JSON, CSV, Parquet) with a column each for prompt and completion, or the sample log of
lm-evaluation-harness or Inspect; the content says which. Where there is a score, rows below a threshold are failures;
where there is none, every row is one.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lorif_core.data.failure_rows import (
    FailureReading,
    FailureRow,
    LogFormat,
    ReadRows,
    SkippedRow,
    as_score,
    judged,
)
from lorif_core.data.inspect_logs import is_inspect_log, read_inspect, samples_of_archive, samples_of_log
from lorif_core.data.lm_eval_samples import is_lm_eval, read_lm_eval, refuse_totals
from lorif_core.data.logged_chats import Conversation, Unusable, conversation_of
from lorif_core.data.record import Record
from lorif_core.data.sources import AS_IT_IS, MAX_WHOLE_BYTES, PEEKED_BYTES, READERS, iter_records, suffix_of
from lorif_core.data.text_files import open_text
from lorif_core.errors import DataError
from lorif_core.plain_files import refuse_special

TOLD: dict[LogFormat, str] = {
    "rows": "rows with a prompt and a completion",
    "lm-eval": "samples of lm-evaluation-harness (--log_samples)",
    "inspect": "a log of Inspect",
}
SUFFIXES = ("jsonl", "ndjson", "json", "csv", "tsv", "parquet", "eval", "gz", "zst")
PROMPTS = ("prompt", "question", "input", "query", "instruction", "messages")
COMPLETIONS = (
    "completion",
    "response",
    "output",
    "prediction",
    "generation",
    "model_output",
    "model_answer",
    "answer",
)
EXPECTED = ("expected", "target", "reference", "gold", "label", "ideal", "correct_answer", "ground_truth", "answer")
SCORES = ("correct", "is_correct", "passed", "success", "score", "acc", "exact_match", "em", "grade", "f1")
PEEKED = 200
"""Rows that are looked at for columns."""

ARRAY = re.compile(rb"\s*\[\s*\{")
MOST_ROWS = 100_000
"""Rows that a file may have."""


@dataclass(frozen=True)
class FailuresFound:
    """What a file of failures holds."""

    format: LogFormat
    found: ReadRows
    below: float
    problem: str | None = None
    """Why nothing can be read before a person chooses; None: nothing stands in the way."""

    @property
    def failures(self) -> list[FailureRow]:
        """The rows that count as failures."""
        return [row for row in self.found.rows if row.is_failure]

    @property
    def sentence(self) -> str:
        """What the file was read as, and what counts."""
        name = self.found.score
        if name is not None:
            rule = f"{name} below {self.below:g} counts"
        elif self.format == "rows":
            rule = "every row counts, as there is no score"
        else:
            rule = "no row counts, as none has a score"
        return f"Read as {TOLD[self.format]}; {rule}."

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """How many rows are skipped for which reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.found.skipped).most_common())

    def to_dict(self) -> dict[str, Any]:
        """Counts and rules as JSON-serialisable values, without the texts."""
        return {
            "format": self.format,
            "score": self.found.score,
            "scores": self.found.scores,
            "below": self.below,
            "taken": self.found.taken,
            "num_rows": len(self.found.rows) + len(self.found.skipped),
            "num_failures": len(self.failures),
            "num_passed": len(self.found.rows) - len(self.failures),
            "skipped": [{"line": one.line, "reason": one.reason} for one in self.found.skipped],
            "problem": self.problem,
        }


def read_failures(path: Path, reading: FailureReading = FailureReading()) -> FailuresFound:  # noqa: B008 - frozen
    """Read a file of failures.

    Args:
        path: The file.
        reading: What a person chose.

    Raises:
        DataError: The file, or a column that was chosen, cannot be used.
    """
    refuse_special(path)
    if not path.is_file():
        raise DataError(f"{str(path)!r} is no file: name a file of failing prompts.")
    samples = _inspect_samples(path)
    if samples is not None:
        _refuse_other(reading, "inspect", path)
        return FailuresFound("inspect", read_inspect(samples, reading), reading.below)
    records = islice(_records_of(path), MOST_ROWS + 1)
    peeked = list(islice(records, PEEKED))
    first = next((one.values for one in peeked if one.values is not None), {})
    every = _counted(chain(peeked, records), path)
    if is_lm_eval(first) and reading.format != "rows":
        _refuse_other(reading, "lm-eval", path)
        return FailuresFound("lm-eval", read_lm_eval(every, reading), reading.below)
    _refuse_other(reading, "rows", path)
    return _read_rows(every, peeked, reading)


def _records_of(path: Path) -> Iterator[Record]:
    """Rows of the file; lm-evaluation-harness 0.4.0 and 0.4.1 wrote one JSON array into a file named .jsonl."""
    if suffix_of(path) == ".jsonl":
        with open_text(path) as (handle, _):
            is_array = ARRAY.match(handle.peek(PEEKED_BYTES)) is not None
        if is_array:
            return READERS[".json"](path, AS_IT_IS)
    return iter_records(path)


def _inspect_samples(path: Path) -> Iterable[Any] | None:
    suffix = path.suffix.lower()
    if suffix == ".eval":
        return samples_of_archive(path)
    if suffix != ".json" or path.stat().st_size > MAX_WHOLE_BYTES:
        return None
    with path.open("rb") as handle:
        if not handle.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None  # the reader of data files says what is wrong
    refuse_totals(values, path)
    return samples_of_log(values, path) if is_inspect_log(values) else None


def _refuse_other(reading: FailureReading, found: LogFormat, path: Path) -> None:
    if reading.format not in (None, found):
        raise DataError(f"{path.name!r} holds {TOLD[found]}, not {TOLD[reading.format]}: leave the format unset.")


def _counted(records: Iterable[Record], path: Path) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        if number > MOST_ROWS:
            raise DataError(f"{path.name!r} has more than {MOST_ROWS:,} rows. Keep those that failed, or split it.")
        yield record


def _columns_of(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for one in records for name in one.values or {}))


def _scores_of(records: Iterable[Record]) -> list[str]:
    """Columns with scores in them, those that are named like one first."""
    found = dict.fromkeys(
        name for one in records for name, value in (one.values or {}).items() if as_score(value) is not None
    )
    return [name for name in SCORES if name in found] + [name for name in found if name not in SCORES]


def _read_rows(records: Iterable[Record], peeked: list[Record], reading: FailureReading) -> FailuresFound:
    columns, scores = _columns_of(peeked), _scores_of(peeked)
    for name in (reading.prompt, reading.completion, reading.score):
        if name is not None and name not in columns:
            raise DataError(f"the file has the columns {', '.join(columns)}, got {name!r}. Choose one of these.")
    prompt = reading.prompt or _only(columns, PROMPTS)
    completion = reading.completion or _only([one for one in columns if one != prompt], COMPLETIONS)
    score = reading.score or next((name for name in SCORES if name in scores), None)
    expected = next((name for name in EXPECTED if name in columns and name not in (prompt, completion)), None)
    if prompt is None or completion is None or prompt == completion:
        problem = (
            f"nothing tells which columns are prompt and completion: there are {', '.join(columns) or 'none'}. "
            "Choose both, as `prompt` and `completion`."
        )
        return FailuresFound("rows", ReadRows([], [], scores, score, columns, {}), reading.below, problem)
    rows, skipped = list[FailureRow](), list[SkippedRow]()
    for record in records:
        row = _row_of(record, (prompt, completion, score, expected), reading.below)
        (rows if isinstance(row, FailureRow) else skipped).append(row)  # type: ignore[arg-type]
    taken = {"prompt": prompt, "completion": completion}
    taken |= {} if score is None else {"score": score}
    taken |= {} if expected is None else {"expected": expected}
    return FailuresFound("rows", ReadRows(rows, skipped, scores, score, columns, taken), reading.below)


def _only(columns: list[str], names: tuple[str, ...]) -> str | None:
    """The one column with one of the names; None where there are several: a person chooses."""
    found = [name for name in names if name in columns]
    return found[0] if len(found) == 1 or (found and found[0] in ("prompt", "completion")) else None


def _row_of(record: Record, names: tuple[str, str, str | None, str | None], below: float) -> FailureRow | SkippedRow:
    prompt, completion, score, expected = names
    values = record.values
    if values is None:
        return SkippedRow(record.line, record.problem or "cannot be read")
    try:
        asked = _asked(values, prompt)
    except Unusable as error:
        return SkippedRow(record.line, str(error))
    said = _text(values, completion)
    if asked is None or said is None:
        return SkippedRow(record.line, f"{prompt if asked is None else completion} is missing or no text")
    if not said:
        return SkippedRow(record.line, "the model said nothing")
    value = None if score is None else as_score(values.get(score))
    if score is not None and value is None:
        return SkippedRow(record.line, f"{score} is missing or no score")
    is_failure, why = (
        (True, "the file has no score") if score is None or value is None else judged(score, value, below)
    )
    wanted = None if expected is None or values.get(expected) is None else str(values[expected])
    chat = {"system": asked.system, "messages": asked.before}
    return FailureRow(record.line, asked.prompt, said, why, is_failure, value, wanted, **chat)


def _asked(values: Mapping[str, Any], prompt: str) -> Conversation | None:
    """What the model was given: a text, or messages."""
    found = values.get(prompt)
    if isinstance(found, list) and found:
        return conversation_of(found)
    text = _text(values, prompt)
    return None if text is None else Conversation(None, (), text)


def _text(values: Mapping[str, Any], name: str) -> str | None:
    found = values.get(name)
    return found if isinstance(found, str) else str(found) if isinstance(found, int | float) else None
