"""Texts as a model reads them: a sequence of tokens, or several weighted ones whose gradients are added.

A text that fits is one sequence. A long one is windows of itself; a packed row is its segments, for a token attends
to its own segment only; a preference pair is its chosen side with weight 1 and its rejected side with weight -1. What
is differentiated of a text is the weighted sum of its sequences' losses. A text that has a weight of its own, such as
an advantage, multiplies the weights of all its sequences by it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class EncodedExample(NamedTuple):
    """Token ids of one sequence."""

    input_ids: list[int]

    is_target: list[bool]
    """Tokens whose cross-entropy belongs to the objective; never the first."""

    num_tokens: int
    """Length of what it was taken from, before anything was cut."""

    weight: float = 1.0
    """Of its loss in that of the text."""

    start: int = 0
    """Where it begins in what it was taken from."""

    head: int = 0
    """How many of its first tokens are those that the whole begins with (a start token), in place of its own."""

    is_rejected: bool = False
    """Whether it is of the side of a preference pair that was not chosen."""

    @property
    def has_targets(self) -> bool:
        """Whether anything is to be predicted; without, the gradient is zero."""
        return any(self.is_target)

    @property
    def places(self) -> list[int]:
        """Where each token stands in what the sequence was taken from."""
        return [*range(self.head), *range(self.start + self.head, self.start + len(self.input_ids))]


EncodedText = EncodedExample | tuple[EncodedExample, ...]
"""One text as a pass takes it; without any sequence, a row that could not be read."""


def sequences_of(text: EncodedText) -> tuple[EncodedExample, ...]:
    """The sequences of a text."""
    return (text,) if isinstance(text, EncodedExample) else text


def is_single(text: EncodedText) -> bool:
    """Whether a text is one sequence, taken as it is."""
    return len(sequences_of(text)) == 1 and sequences_of(text)[0].weight == 1


def has_targets(text: EncodedText) -> bool:
    """Whether anything of a text is to be predicted, with a weight other than 0; without, its gradient is zero."""
    return any(one.has_targets and one.weight != 0 for one in sequences_of(text))


class TokenCount(NamedTuple):
    """Tokens of a text, or of several."""

    whole: int
    """As the tokenizer makes them."""

    read: int
    """Of these, those that stand in a sequence; the others were cut."""

    positions: int
    """Places of all sequences: a token that is repeated as context counts again."""


def count_tokens(text: EncodedText) -> TokenCount:
    """How many tokens a text has, and how many of them the model reads."""
    sequences = sequences_of(text)
    sides = {one.is_rejected: one.num_tokens for one in sequences}
    read = {(one.is_rejected, place) for one in sequences for place in one.places}
    return TokenCount(sum(sides.values()), len(read), sum(len(one.input_ids) for one in sequences))


def add_counts(counts: Iterable[TokenCount]) -> TokenCount:
    """The counts of several texts together."""
    return TokenCount(*(sum(column) for column in zip(TokenCount(0, 0, 0), *counts, strict=True)))


def is_cut(text: EncodedText) -> bool:
    """Whether the model does not read all of a text."""
    count = count_tokens(text)
    return count.read < count.whole


def take_sequence(
    ids: Sequence[int], targets: Sequence[bool], max_length: int, *, keeps_end: bool, head: int = 0
) -> EncodedExample:
    """One sequence of what fits.

    Args:
        ids: All tokens.
        targets: Which of them are to be predicted; the first of the sequence never is.
        max_length: Most tokens of the sequence.
        keeps_end: Cut at the front; else at the end.
        head: First tokens that stay when the front is cut.
    """
    start = max(0, len(ids) - max_length) if keeps_end else 0
    return _from(ids, targets, start, min(len(ids), start + max_length), seen=start, head=head)


def cut_windows(
    ids: Sequence[int], targets: Sequence[bool], max_length: int, stride: int, *, head: int = 0
) -> tuple[EncodedExample, ...]:
    """Windows of a long text in which every target is one exactly once.

    A window begins ``stride`` tokens behind the one before, the last one where it reaches the end; what it shares
    with the one before is context. Windows without targets are left out, unless none has any.

    Args:
        ids: All tokens.
        targets: Which of them are to be predicted.
        max_length: Tokens of every window, more than ``stride`` and ``head``.
        stride: Tokens from one window to the next.
        head: First tokens that every window begins with.
    """
    last = max(0, len(ids) - max_length)
    found, seen = list[EncodedExample](), 0
    for start in [*range(0, last, stride), last]:
        stop = min(start + max_length, len(ids))
        found.append(_from(ids, targets, start, stop, seen=seen, head=head))
        seen = stop
    return tuple(one for one in found if one.has_targets) or tuple(found[:1])


def _from(
    ids: Sequence[int], targets: Sequence[bool], start: int, stop: int, *, seen: int, head: int
) -> EncodedExample:
    """The tokens from ``start`` to ``stop``, of which those behind ``seen`` may be targets."""
    kept = list(ids[start:stop])
    is_target = [targets[place] and place >= seen for place in range(start, stop)]
    head = min(head, len(kept)) if start else 0
    for place in range(head):
        kept[place], is_target[place] = ids[place], False
    if is_target:
        is_target[0] = False
    return EncodedExample(kept, is_target, len(ids), start=start, head=head)
