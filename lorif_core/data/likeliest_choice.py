"""Which of several choices a model said: the likeliest one, as the metric that judges it takes likeliness.

``acc`` takes the log-probability, ``acc_norm`` divides it by the characters of the choice and ``acc_bytes`` by its
bytes, both without the space before it; ``acc_mutual_info`` subtracts what the choice has without the context, which
is logged behind the other requests, with empty contexts.
"""

from typing import Any, NamedTuple

from lorif_core.data.failure_rows import as_score
from lorif_core.data.logged_chats import Unusable


class LikeliestChoice(NamedTuple):
    """The choice that a model said."""

    context: Any
    text: str
    expected: str | None
    """The right choice; None where the log does not tell."""

    is_expected: bool


def likeliest_choice(
    requests: list[list[Any]], answers: list[Any], targets: list[str], metric: str
) -> LikeliestChoice:
    """The likeliest choice of a sample.

    Args:
        requests: Context and choice of each.
        answers: The log-probability of each, first in its lists.
        targets: Places of the right choices from 0, or the choices themselves.
        metric: By which they are compared.

    Raises:
        Unusable: A choice is no text, or has no log-probability.
    """
    num_choices = _num_choices(requests)
    choices = [_choice(request) for request in requests[:num_choices]]
    sizes = [_log_probability(answer) for answer in answers[: len(requests)]]
    if metric == "acc_mutual_info" and len(sizes) == 2 * num_choices:
        sizes = [size - sizes[place + num_choices] for place, size in enumerate(sizes[:num_choices])]
    weights = [size / _length(choice, metric) for size, choice in zip(sizes, choices, strict=False)]
    place = max(range(num_choices), key=weights.__getitem__)
    right = _right_ones(targets, choices)
    return LikeliestChoice(
        context=requests[place][0],
        text=choices[place],
        expected=choices[right[0]] if len(right) == 1 else ", ".join(choices[one].strip() for one in right) or None,
        is_expected=place in right,
    )


def _num_choices(requests: list[list[Any]]) -> int:
    """Without the requests behind them that have no context."""
    half, odd = divmod(len(requests), 2)
    if odd or any(request[0] != "" for request in requests[half:]):
        return len(requests)
    return len(requests) if any(request[0] == "" for request in requests[:half]) else half


def _right_ones(targets: list[str], choices: list[str]) -> list[int]:
    """Places of the right choices; none where choices are equal (the contexts differ) or a target may be two."""
    if len(set(choices)) < len(choices):
        return []
    found = []
    for target in targets:
        places = {place for place, choice in enumerate(choices) if choice.strip() == target.strip()}
        if target.isdecimal() and int(target) < len(choices):
            places.add(int(target))
        if len(places) != 1:
            return []
        found += places
    return found


def _choice(request: list[Any]) -> str:
    if len(request) < 2 or not isinstance(request[1], str):
        raise Unusable("the choice is no text")
    return request[1]


def _log_probability(answer: Any) -> float:
    while isinstance(answer, list) and answer:
        answer = answer[0]
    found = as_score(answer)
    if found is None:
        raise Unusable("a response is no log-probability")
    return found


def _length(choice: str, metric: str) -> int:
    bare = choice.removeprefix(" ")  # which the harness puts between context and choice
    return max({"acc_norm": len(bare), "acc_bytes": len(bare.encode())}.get(metric, 1), 1)
