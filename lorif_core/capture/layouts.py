"""Where a module's rows belong: which example and which token every row of its input is of.

Models hand a batch of B examples of T tokens to their modules in several shapes, and every row has to find its
example again:

    (B, T, width)              most modules
    (B·T, width), (1, B·T, …)  examples and tokens flattened into one axis
    (B, K, width)              the output head, at the K positions whose logits are asked for
    (B, T, a, width), (B, a, T, width), (B·T, a, width)   attention heads, latent attention
    (n, width) with row numbers      tokens routed to an expert

Any other shape is refused: a guess would credit a gradient to another text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import torch
from torch import Tensor

Layout = Callable[[Tensor], Tensor]
"""From a module's rows (…, width) to (B, R, width), where R is a multiple of T if tokens are kept apart."""


class BatchShape(NamedTuple):
    """The batch that a model was given."""

    num_examples: int
    """B."""

    num_tokens: int
    """T, padding included."""

    predicting: Tensor
    """Positions whose logits are computed, (K,)."""


def layout_of(leading: torch.Size, shape: BatchShape, *, keeps_tokens: bool) -> Layout | None:
    """How rows of that shape find their example; None where nothing tells.

    Args:
        leading: Shape of a module's input without its width.
        shape: Of the batch.
        keeps_tokens: Whether the rows have to find their token too.
    """
    size, length, kept = shape.num_examples, shape.num_tokens, len(shape.predicting)
    if leading == (size, length):
        return _unchanged
    if len(leading) > 1 and leading[0] == 1 and leading[1] == size * length:
        leading = leading[1:]
    if leading and leading[0] == size * length:
        return partial(_by_token_axis, lead=(size, length, *leading[1:]), axis=1)
    if leading in ((size, kept), (size * kept,)):
        # With fewer positions than tokens, these are the ones whose logits are asked for.
        return partial(_kept_positions, shape=shape, keeps_tokens=keeps_tokens)
    if len(leading) > 2 and leading[0] == size and length in leading[1:]:
        return partial(_by_token_axis, lead=tuple(leading), axis=1 + leading[1:].index(length))
    return None


def routed_layout(rows: Tensor, shape: BatchShape, *, keeps_tokens: bool) -> Layout:
    """How the tokens that were routed to an expert find their example.

    Args:
        rows: Ascending numbers of the tokens in the batch, flattened, (n,).
        shape: Of the batch.
        keeps_tokens: Whether every row stands at its token; else each example's rows stand close together.
    """
    example, token = rows // shape.num_tokens, rows % shape.num_tokens
    if keeps_tokens:
        return _Scatter(example, token, shape.num_examples, shape.num_tokens)
    counts = torch.bincount(example, minlength=shape.num_examples)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[example]
    return _Scatter(example, place, shape.num_examples, int(counts.max()))


@dataclass(frozen=True)
class _Scatter:
    """Puts row n at place ``place[n]`` of example ``example[n]``; zeros elsewhere, which add nothing."""

    example: Tensor
    place: Tensor
    num_examples: int
    num_places: int

    def __call__(self, rows: Tensor) -> Tensor:
        spread = rows.new_zeros(self.num_examples, self.num_places, rows.shape[-1])
        spread[self.example, self.place] = rows
        return spread


@dataclass(frozen=True)
class Segments:
    """Puts every token of packed rows at the text that it is of."""

    texts: Tensor
    """Number of each token's text, (rows, T); negative: of none, such as padding."""

    num_texts: int
    """Of all rows together."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of a module's input, without its width, whose tokens are found."""
        rows, length = self.texts.shape
        return (rows, length), (1, rows * length), (rows * length,)

    @cached_property
    def counts(self) -> Tensor:
        """Tokens of each text, (texts,)."""
        return torch.bincount(self.texts[self.texts >= 0], minlength=self.num_texts)

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (…, width) as (texts, most tokens of a text, width); zeros where a text has fewer."""
        kept, scatter = self._places[rows.device]
        return scatter(rows.reshape(-1, rows.shape[-1])[kept])

    @cached_property
    def _places(self) -> "_OnDevices":
        return _OnDevices(self)


class _OnDevices(dict[torch.device, tuple[Tensor, _Scatter]]):
    """Which tokens are of a text, and where they go; brought to each device once."""

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        self._segments = segments

    def __missing__(self, device: torch.device) -> tuple[Tensor, _Scatter]:
        flat = self._segments.texts.to(device).flatten()
        kept = (flat >= 0).nonzero()[:, 0]
        text = flat[kept]
        order = text.argsort(stable=True)
        counts = self._segments.counts.to(device)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=device) - (counts.cumsum(0) - counts)[text[order]]
        self[device] = kept, _Scatter(text, place, self._segments.num_texts, int(counts.max()))
        return self[device]


def _unchanged(rows: Tensor) -> Tensor:
    return rows


def _by_token_axis(rows: Tensor, lead: tuple[int, ...], axis: int) -> Tensor:
    """Rows whose axis ``axis`` counts tokens as (B, a·T, width): one run over the tokens after another."""
    rows = rows.reshape(*lead, rows.shape[-1]).movedim(axis, len(lead) - 1)
    return rows.reshape(lead[0], -1, rows.shape[-1])


def _kept_positions(rows: Tensor, shape: BatchShape, *, keeps_tokens: bool) -> Tensor:
    kept = len(shape.predicting)
    rows = rows.reshape(shape.num_examples, kept, rows.shape[-1])
    if not keeps_tokens:
        return rows
    spread = rows.new_zeros(shape.num_examples, shape.num_tokens, rows.shape[-1])
    spread[:, shape.predicting.to(rows.device)] = rows
    return spread
