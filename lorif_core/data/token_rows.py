"""Pre-tokenised rows: token ids with their targets, and the segments of packed rows, checked.

Labels are those of ``transformers``: aligned with the ids, -100 where a token is no target. Labels that are shifted
by one, or name other tokens, would be another objective than the one that is explained: such a row is refused.
"""

from itertools import pairwise
from typing import Any

from lorif_core.data.chat_turns import UnusableRowError
from lorif_core.data.columns import EMPTY_TARGET, spelled_out

NO_TARGET = -100


def tokens_of(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The fields of an example that hold tokens.

    Args:
        values: Role → value, of a row.
        names: Role → column, for problems.

    Raises:
        UnusableRowError: The lists do not belong together, or nothing is a target.
    """
    columns = {role: _numbers(value, names[role]) for role, value in values.items() if value is not None}
    if "input_ids" not in columns:
        raise UnusableRowError(f"missing column `{names['input_ids']}`")
    ids = columns["input_ids"]
    lengths = columns.pop("seq_lengths", None)
    for role, numbers in columns.items():
        if len(numbers) != len(ids):
            detail = f"{len(numbers)} numbers, `{names['input_ids']}` has {len(ids)}"
            raise UnusableRowError(f"`{names[role]}` has another length than the ids", detail)
    if lengths is not None:
        columns["segment_ids"] = _segments_of_lengths(lengths, len(ids), names["seq_lengths"])
    found = _without_padding(columns)
    _check_ids(found["input_ids"], names["input_ids"])
    _check_labels(found)
    return found


def _numbers(value: Any, name: str) -> list[int]:
    value = spelled_out(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # a batch of one, as tokenizers return it for tensors
    if not isinstance(value, list) or not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
        raise UnusableRowError(f"`{name}` is not a list of whole numbers")
    return value


def _segments_of_lengths(lengths: list[int], length: int, name: str) -> list[int]:
    if sum(lengths) != length or min(lengths, default=0) < 1:
        raise UnusableRowError(f"`{name}` does not add up to the ids", f"{sum(lengths)} against {length} ids")
    return [number for number, size in enumerate(lengths) for _ in range(size)]


def _without_padding(columns: dict[str, list[int]]) -> dict[str, list[int]]:
    """The columns without padded places; a mask of several numbers, one per segment, becomes the segments."""
    mask = columns.pop("attention_mask", None)
    if mask is None:
        return columns
    if "segment_ids" not in columns and len(set(mask) - {0}) > 1:
        columns["segment_ids"] = mask
    return {role: [one for one, real in zip(numbers, mask, strict=True) if real] for role, numbers in columns.items()}


def _check_ids(ids: list[int], name: str) -> None:
    if any(one < 0 for one in ids):
        raise UnusableRowError(f"`{name}` holds a negative id", f"{min(ids)}")
    if len(ids) < 2:
        raise UnusableRowError(EMPTY_TARGET, f"`{name}` has {len(ids)} ids: the first one is predicted from nothing")


def _check_labels(found: dict[str, list[int]]) -> None:
    ids, starts = found["input_ids"], segment_starts(found)
    labels = found.get("labels")
    if labels is None:
        has_target = len(starts) < len(ids)
    else:
        _check_tokens_of_labels(labels, ids)
        has_target = any(label != NO_TARGET and place not in starts for place, label in enumerate(labels))
    if not has_target:
        raise UnusableRowError(EMPTY_TARGET, "no label behind the first token of a segment")


def _check_tokens_of_labels(labels: list[int], ids: list[int]) -> None:
    if all(label in (NO_TARGET, token) for label, token in zip(labels, ids, strict=True)):
        return
    shifted = [NO_TARGET, *labels[:-1]]
    if all(label in (NO_TARGET, token) for label, token in zip(shifted, ids, strict=True)):
        raise UnusableRowError("labels are shifted by one", "they must be aligned with the ids, as in transformers")
    place = next(
        n for n, (label, token) in enumerate(zip(labels, ids, strict=True)) if label not in (NO_TARGET, token)
    )
    raise UnusableRowError(
        "labels are other tokens than the ids", f"at place {place + 1}: label {labels[place]}, id {ids[place]}"
    )


def segment_starts(found: dict[str, list[int]]) -> set[int]:
    """Places where a segment of a row begins; the first is one."""
    starts = {0}
    if (positions := found.get("position_ids")) is not None:
        starts |= {place for place, (one, two) in enumerate(pairwise(positions), start=1) if two != one + 1}
    if (segments := found.get("segment_ids")) is not None:
        starts |= {place for place, (one, two) in enumerate(pairwise(segments), start=1) if two != one}
    return starts
