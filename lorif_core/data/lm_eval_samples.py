"""Samples that lm-evaluation-harness logs with ``--log_samples``: ``samples_TASK_TIME.jsonl``, one sample a line.

Read are logs of version 0.4. A sample has ``doc_id``, ``doc``, ``target``, ``arguments``, ``resps``,
``filtered_resps``, often ``filter`` and ``metrics``, and the value of every metric under its name. ``arguments`` are
one per request: a list of lists until 0.4.2, later ``{"gen_args_0": {"arg_0": …, "arg_1": …}}``.

What the model said is the text of the first response where it generated, and the likeliest choice where it was given
several: with the metric ``acc_norm``, the one with the largest log-probability per character, as the metric has it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lorif_core.data.failure_rows import FailureReading, FailureRow, ReadRows, SkippedRow, as_score, judged
from lorif_core.data.record import Record
from lorif_core.errors import DataError

KNOWN = {
    "doc_id",
    "doc",
    "target",
    "arguments",
    "resps",
    "filtered_resps",
    "filter",
    "metrics",
    "doc_hash",
    "prompt_hash",
    "target_hash",
}
USUAL = ("exact_match", "acc", "acc_norm", "f1")
"""Metrics that are taken first."""


class _Unusable(Exception):
    """Why a sample cannot be asked about."""


def is_lm_eval(values: Mapping[str, Any]) -> bool:
    """Whether a row is such a sample."""
    return {"doc_id", "arguments"} <= values.keys() and bool({"resps", "filtered_resps"} & values.keys())


def read_lm_eval(records: Iterable[Record], reading: FailureReading) -> ReadRows:
    """Rows of a log.

    Args:
        records: Its lines.
        reading: What a person chose.

    Raises:
        DataError: The metric that was chosen is none of the log's.
    """
    rows, skipped = list[FailureRow](), list[SkippedRow]()
    metrics: list[str] = []
    filter_of: dict[str, Any] = {}
    for record in records:
        if record.values is None:
            skipped.append(SkippedRow(record.line, record.problem or "cannot be read"))
            continue
        if not is_lm_eval(record.values):
            skipped.append(SkippedRow(record.line, "no sample: it lacks doc_id, arguments or resps"))
            continue
        metrics += [one for one in _metrics_of(record.values) if one not in metrics]
        document, used = str(record.values["doc_id"]), record.values.get("filter")
        if filter_of.setdefault(document, used) != used:
            skipped.append(SkippedRow(record.line, f"the same answer again, under the filter {used}"))
            continue
        try:
            rows.append(_row_of(record.line, record.values, reading))
        except _Unusable as error:
            skipped.append(SkippedRow(record.line, str(error)))
    if reading.score is not None and reading.score not in metrics:
        raise DataError(
            f"the log has the metrics {', '.join(metrics) or 'none'}, got {reading.score!r}. Choose one of these."
        )
    taken = {"prompt": "arguments, the context", "completion": "resps, what the model said"}
    return ReadRows(rows, skipped, metrics, reading.score or _first(metrics), [], taken)


def _metrics_of(values: Mapping[str, Any]) -> list[str]:
    named = values.get("metrics")
    names = named if isinstance(named, list) else [name for name in values if name not in KNOWN]
    found = [str(name) for name in names if as_score(values.get(str(name))) is not None]
    return sorted(found, key=lambda name: USUAL.index(name) if name in USUAL else len(USUAL))


def _first(metrics: list[str]) -> str | None:
    return next((name for name in USUAL if name in metrics), metrics[0] if metrics else None)


def _row_of(line: int, values: Mapping[str, Any], reading: FailureReading) -> FailureRow:
    metric = reading.score or _first(_metrics_of(values))
    if metric is None:
        raise _Unusable("no metric tells whether it failed")
    score = as_score(values.get(metric))
    if score is None:
        raise _Unusable(f"{metric} is no number")
    prompt, said, expected = _said(values, by_length=metric == "acc_norm")
    if not said:
        raise _Unusable("the model said nothing")
    is_failure, why = judged(metric, score, reading.below)
    return FailureRow(line, prompt, said, why, is_failure, score, expected, is_raw=True)


def _said(values: Mapping[str, Any], *, by_length: bool) -> tuple[str, str, str | None]:
    """Prompt, completion, and what was expected."""
    requests = _requests(values["arguments"])
    answers = values.get("resps") or values.get("filtered_resps")
    if not requests or not isinstance(answers, list) or len(answers) < len(requests):
        raise _Unusable("arguments and responses do not belong together")
    if len(requests[0]) < 2:
        raise _Unusable("only the log-probability of a whole text was logged")
    if not isinstance(requests[0][1], str):
        return (
            _text(requests[0][0], "prompt"),
            _text(_innermost(answers[0]), "response"),
            _plain(values.get("target")),
        )
    if len(requests) == 1:
        raise _Unusable("only the log-probability of the expected completion was logged, not what the model said")
    choices = [_text(request[1], "choice") for request in requests]
    sizes = [
        _log_probability(answer) / (_length(choice) if by_length else 1)
        for answer, choice in _pairs(answers, choices)
    ]
    place = max(range(len(sizes)), key=sizes.__getitem__)
    return _text(requests[place][0], "prompt"), choices[place], _expected(values.get("target"), choices)


def _pairs(answers: list[Any], choices: list[str]) -> list[tuple[Any, str]]:
    return list(zip(answers, choices, strict=False))  # some tasks log unconditional requests behind them


def _requests(arguments: Any) -> list[list[Any]]:
    if isinstance(arguments, Mapping):
        ordered = sorted(arguments, key=lambda name: (len(name), name))  # gen_args_10 behind gen_args_9
        arguments = [arguments[name] for name in ordered]
    if not isinstance(arguments, list):
        raise _Unusable("its arguments are none that this version knows")
    return [_arguments_of(one) for one in arguments]


def _arguments_of(request: Any) -> list[Any]:
    if isinstance(request, Mapping):
        return [request[name] for name in sorted(request)]
    if isinstance(request, list):
        return request
    raise _Unusable("its arguments are none that this version knows")


def _innermost(answer: Any) -> Any:
    while isinstance(answer, list) and answer:
        answer = answer[0]
    return answer


def _log_probability(answer: Any) -> float:
    found = as_score(_innermost(answer))
    if found is None:
        raise _Unusable("a response is no log-probability")
    return found


def _length(choice: str) -> int:
    return max(len(choice.removeprefix(" ")), 1)  # the harness counts a choice without the space before it


def _expected(target: Any, choices: list[str]) -> str | None:
    place = int(target) if isinstance(target, int) or (isinstance(target, str) and target.isdigit()) else None
    return choices[place] if place is not None and 0 <= place < len(choices) else _plain(target)


def _plain(value: Any) -> str | None:
    if isinstance(value, list) and value:
        value = value[0]
    return None if value is None or value == [] else str(value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _Unusable(f"the {what} is no text")
    return value
