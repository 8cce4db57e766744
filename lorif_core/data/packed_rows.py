"""Rows that came tokenised: their segments, and what of them is to be predicted.

A packed row holds several texts one behind the other, each of which attends to itself only; its ``position_ids``
begin anew, or its ``segment_ids`` change, where the next one begins.
"""

from collections.abc import Iterator, Sequence

from lorif_core.data.example import Example
from lorif_core.errors import UnreadableRow

_NO_TARGET = -100
"""As in transformers."""


def split_row(
    example: Example, vocabulary_size: int, pad_id: int | None
) -> Iterator[tuple[int, list[int], list[bool]]]:
    """Of every segment of a tokenised row: where it begins, its tokens, and which of them are targets.

    The first token of a segment is predicted by nothing and is no target.

    Args:
        example: With ``input_ids``.
        vocabulary_size: Ids from here on have no embedding.
        pad_id: A segment of nothing else is padding, without targets.

    Raises:
        UnreadableRow: An id is unknown to the model, or a column does not fit the ids.
    """
    ids = example.input_ids or []
    for name in ("labels", "position_ids", "segment_ids"):
        column = getattr(example, name)
        if column is not None and len(column) != len(ids):
            raise UnreadableRow(f"`{name}` must be as long as `input_ids`, {len(ids)}, got {len(column)}")
    _check_ids(ids, vocabulary_size)
    targets = _targets(ids, example.labels)
    starts = [place for place in range(len(ids)) if place == 0 or _begins(example, place)]
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        part, is_target = list(ids[start:stop]), targets[start:stop]
        if len(part) > 1 and set(part) == {pad_id}:
            is_target = [False] * len(part)
        yield start, part, is_target


def _begins(example: Example, place: int) -> bool:
    positions, segments = example.position_ids, example.segment_ids
    jumps = positions is not None and positions[place] != positions[place - 1] + 1
    return jumps or (segments is not None and segments[place] != segments[place - 1])


def _targets(ids: Sequence[int], labels: Sequence[int] | None) -> list[bool]:
    if labels is None:
        return [True] * len(ids)
    for place, (token, label) in enumerate(zip(ids, labels, strict=True)):
        if label not in (token, _NO_TARGET):
            raise UnreadableRow(
                f"a label must be the token at its place or {_NO_TARGET}, got {label} for token {token} at place "
                f"{place}"
            )
    return [label != _NO_TARGET for label in labels]


def _check_ids(ids: Sequence[int], vocabulary_size: int) -> None:
    if not ids:
        raise UnreadableRow("`input_ids` must hold a token, got none")
    unknown = next((place for place, token in enumerate(ids) if not 0 <= token < vocabulary_size), None)
    if unknown is not None:
        raise UnreadableRow(
            f"`input_ids` must be below the model's {vocabulary_size:,} tokens, got {ids[unknown]} at place "
            f"{unknown}: it was tokenised for another model"
        )
