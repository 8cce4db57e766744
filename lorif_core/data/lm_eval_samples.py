"""Samples that lm-evaluation-harness logs with ``--log_samples``: ``samples_TASK_TIME.jsonl``, one sample a line.

Read are logs of version 0.4. A sample has ``doc_id``, ``doc``, ``target``, ``arguments``, ``resps``,
``filtered_resps``, often ``filter`` and ``metrics``, and the value of every metric under its name. ``arguments`` are
one per request: a list of lists until 0.4.2, later ``{"gen_args_0": {"arg_0": …, "arg_1": …}}``; of a chat model
behind an API the context is a list with the messages as JSON. A task with several filters logs every sample once per
filter, each with scores of its own: ``exact_match,strict-match`` and so on, as the harness prints them.

What the model said is the text of the response where it generated (``likeliest_choice.py``: where it had choices).
"""

import ast
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.data.failure_rows import FailureReading, FailureRow, ReadRows, SkippedRow, as_score, judged
from lorif_core.data.likeliest_choice import likeliest_choice
from lorif_core.data.logged_chats import Conversation, Unusable, conversation_of
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

NO_METRIC = "bypass"
"""What a run that only predicts logs in place of metrics."""

AS_SAID = (None, "none", "take_first")
"""Filters that leave a response as it was said."""

MAX_TARGET = 10_000


class _Said(NamedTuple):
    asked: Conversation
    completion: str
    expected: str | None
    is_raw: bool


@dataclass
class _Choice:
    """Which score tells failures: what a person chose, else what the first sample has; the same for all samples."""

    metric: str | None
    filter: str | None
    """None: whichever a sample was logged under first."""

    metrics: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    filter_of: dict[str, Any] = field(default_factory=dict)
    """Sample → the filter that it was logged under first."""

    def scores(self) -> list[str]:
        """Every score that the log has: metrics, or metrics under filters."""
        if len(self.filters) < 2:
            return self.metrics
        return [f"{metric},{one}" for one in self.filters for metric in self.metrics]

    def taken(self) -> str | None:
        """The one that tells failures."""
        if self.metric is None or len(self.filters) < 2:
            return self.metric
        return f"{self.metric},{self.filter or self.filters[0]}"


def is_lm_eval(values: Mapping[str, Any]) -> bool:
    """Whether a row is such a sample."""
    return {"doc_id", "arguments"} <= values.keys() and bool({"resps", "filtered_resps"} & values.keys())


def refuse_totals(values: object, path: Path) -> None:
    """Refuse the file that the harness writes beside its samples.

    Raises:
        DataError: It is that file.
    """
    if isinstance(values, dict) and isinstance(values.get("results"), dict) and "configs" in values:
        raise DataError(
            f"{path.name!r} holds the totals of lm-evaluation-harness, not its samples: choose a file named "
            "samples_TASK_….jsonl, which `--log_samples` writes beside it."
        )


def read_lm_eval(records: Iterable[Record], reading: FailureReading) -> ReadRows:
    """Rows of a log.

    Args:
        records: Its lines.
        reading: What a person chose: a metric, or a metric and a filter with a comma between them.

    Raises:
        DataError: The metric that was chosen is none of the log's.
    """
    rows, skipped = list[FailureRow](), list[SkippedRow]()
    metric, _, used = (reading.score or "").partition(",")
    choice = _Choice(metric or None, used or None)
    for record in records:
        try:
            rows.append(_row_of(record, choice, reading.below))
        except Unusable as error:
            skipped.append(SkippedRow(record.line, str(error)))
    if reading.score is not None and (metric not in choice.metrics or (used and used not in choice.filters)):
        raise DataError(
            f"the log has the metrics {', '.join(choice.scores()) or 'none'}, got {reading.score!r}. Choose one of "
            "these."
        )
    taken = {"prompt": "arguments, the context", "completion": "resps, what the model said"}
    return ReadRows(rows, skipped, choice.scores(), choice.taken(), [], taken)


def _row_of(record: Record, choice: _Choice, below: float) -> FailureRow:
    values = record.values
    if values is None:
        raise Unusable(record.problem or "cannot be read")
    if not is_lm_eval(values):
        raise Unusable("no sample: it lacks doc_id, arguments or resps")
    found = _metrics_of(values)
    choice.metrics += [one for one in found if one not in choice.metrics]
    _check_filter(values, choice)
    choice.metric = choice.metric or next(iter(found), None)
    if choice.metric is None:
        raise Unusable("no metric tells whether it failed")
    score = as_score(values.get(choice.metric))
    if score is None:
        raise Unusable(f"it has no {choice.metric}")
    is_failure, why = judged(choice.metric, score, below)
    said = _said(values, choice.metric, score, is_failure=is_failure)
    if not said.completion:
        raise Unusable("the model said nothing")
    return FailureRow(
        line=record.line,
        prompt=said.asked.prompt,
        completion=said.completion,
        why=why,
        is_failure=is_failure,
        score=score,
        expected=said.expected,
        system=said.asked.system,
        messages=said.asked.before,
        is_raw=said.is_raw,
    )


def _check_filter(values: Mapping[str, Any], choice: _Choice) -> None:
    used = values.get("filter")
    if isinstance(used, str) and used not in choice.filters:
        choice.filters.append(used)
    # Several tasks in one file count their documents from 0 each.
    sample = repr([values["doc_id"], *(values.get(name) for name in ("doc_hash", "prompt_hash", "target_hash"))])
    wanted = choice.filter_of.setdefault(sample, used) if choice.filter is None else choice.filter
    if used != wanted:
        raise Unusable(f"the same answer again, under the filter {used}")


def _metrics_of(values: Mapping[str, Any]) -> list[str]:
    """Names of a sample's metrics, the usual ones first."""
    named = values.get("metrics")
    names = [str(one) for one in (named if isinstance(named, list) else values) if one not in KNOWN]
    found = [name for name in names if name != NO_METRIC and as_score(values.get(name)) is not None]
    return sorted(found, key=lambda name: USUAL.index(name) if name in USUAL else len(USUAL))


def _said(values: Mapping[str, Any], metric: str, score: float, *, is_failure: bool) -> _Said:
    requests = _requests(values["arguments"])
    answers = values.get("resps") or values.get("filtered_resps")
    if not requests or not isinstance(answers, list) or len(answers) < len(requests):
        raise Unusable("arguments and responses do not belong together")
    if any(isinstance(part, Mapping) and {"visual", "audio"} & part.keys() for one in requests for part in one[2:]):
        raise Unusable("its prompt holds images or sounds")
    if len(requests[0]) < 2:
        raise Unusable("only the log-probability of a whole text was logged")
    targets = _targets(values.get("target"))
    if not isinstance(requests[0][1], str):
        if len(requests) > 1:
            raise Unusable("it has several prompts and one score")
        asked, is_raw = _asked(requests[0][0])
        return _Said(asked, _response(values, score), ", ".join(targets) or None, is_raw)
    if len(requests) == 1:
        raise Unusable("only the log-probability of the expected completion was logged, not what the model said")
    if is_failure and score != 0:
        raise Unusable(f"{metric} is about several choices together, not about the likeliest one")
    chosen = likeliest_choice(requests, answers, targets, metric)
    if is_failure and chosen.is_expected:
        raise Unusable(f"the likeliest choice is the expected one, though {metric} says that it failed")
    asked, is_raw = _asked(chosen.context)
    return _Said(asked, chosen.text, chosen.expected, is_raw)


def _asked(context: Any) -> tuple[Conversation, bool]:
    """What the model was given, and whether that is all that it read."""
    if isinstance(context, str):
        return Conversation(None, (), context), True
    if isinstance(context, list) and len(context) == 1 and isinstance(context[0], str):
        with suppress(ValueError, RecursionError):
            context = json.loads(context[0])
    if not isinstance(context, list):
        raise Unusable("the prompt is no text")
    return conversation_of(context), False


def _response(values: Mapping[str, Any], score: float) -> str:
    """What the model said; of several responses the one that was judged."""
    filtered = _first(values.get("filtered_resps"))
    logged = _first(values.get("resps"))
    if logged is None:
        if values.get("filter") not in AS_SAID:
            raise Unusable("only what a filter made of the response was logged")
        logged = filtered
    responses = [one for one in (logged if isinstance(logged, list) else [logged]) if isinstance(one, str)]
    if not responses:
        raise Unusable("the response is no text")
    if len(set(responses)) == 1 or (score == 0 and isinstance(filtered, list)):
        return responses[0]  # of a score over all of them, 0 says that each is wrong
    found = next((one for one in responses if isinstance(filtered, str) and one.strip() == filtered.strip()), None)
    if found is None:
        raise Unusable("several responses were logged, and nothing tells which one was judged")
    return found


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _requests(arguments: Any) -> list[list[Any]]:
    if isinstance(arguments, Mapping):
        ordered = sorted(arguments, key=lambda name: (len(name), name))  # gen_args_10 behind gen_args_9
        arguments = [arguments[name] for name in ordered]
    if not isinstance(arguments, list):
        raise Unusable("its arguments are none that this version knows")
    return [_arguments_of(one) for one in arguments]


def _arguments_of(request: Any) -> list[Any]:
    if isinstance(request, Mapping):
        return [request[name] for name in sorted(request)]
    if isinstance(request, list):
        return request
    raise Unusable("its arguments are none that this version knows")


def _targets(target: Any) -> list[str]:
    """What was expected, as texts: newer versions log any target as the text that Python prints of it."""
    if isinstance(target, str) and target.startswith("[") and len(target) <= MAX_TARGET:
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            target = ast.literal_eval(target)
    found = target if isinstance(target, list) else [target]
    return [str(one) for one in found if isinstance(one, str | int | float)]
