"""How a factor column becomes bytes: bf16, int8, int4 or sign.

A column of d numbers is stored as d codes, and all codecs but bf16 keep one scale per column.
The integer codes round to the nearest level of a symmetric grid whose step is the scale; a
sign code stores one bit per number and the mean magnitude, which is the least-squares scale.
Codes are computed with the scale as it will be read back. Scales are bf16: the two bytes of
fp16 with the range of float32, so a column of tiny gradients keeps its relative accuracy
(docs/decisions/0003).

Bytes per column: bf16 2d, int8 d + 2, int4 ⌈d/2⌉ + 2, sign ⌈d/8⌉ + 2. Of a term u vᵀ only the product of the two
scales is ever used, so one is enough: its right column takes 2 bytes less (docs/decisions/0048). Indexes from before
keep both.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from lorif_core.errors import ConfigError, NumericalError

Scales = Literal["term"] | None
"""What has a scale, as an index records it: a pair of columns, or each of them, as in indexes from before."""

SCALE_BYTES = 2
_BITS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Coded:
    """Encoded columns; ``scales`` is None for bf16."""

    codes: Tensor
    """(…, bytes or numbers of one column): bfloat16, int8, or uint8 with packed codes."""

    scales: Tensor | None
    """(…,) bfloat16, one per column."""


@dataclass(frozen=True)
class ColumnCodec:
    """One way to store columns of numbers."""

    name: str
    """As in settings and manifests."""

    has_scales: bool
    """Whether each column keeps a scale."""

    code_bytes: Callable[[int], int]
    """Bytes of the codes of a column of the given width."""

    encode: Callable[[Tensor], Coded]
    """(…, d) float → codes. Numbers that are not finite, or too large for bf16, leave codes or scales that are not
    finite either: nothing is checked here, since a GPU would be waited for (``check_finite``)."""

    decode_into: Callable[[Tensor, Tensor | None, Tensor], object]
    """Codes and scales → numbers, written to the last argument, (…, d) float32. Without scales they are 1."""

    one_scale_per_term: bool = False
    """Whether a pair of columns has one scale together, which lies with the left one."""

    def encode_pair(self, left: Tensor, right: Tensor) -> tuple[Coded, Coded]:
        """The columns of terms, (…, d_in) and (…, d_out), as they are stored."""
        first, second = self.encode(left), self.encode(right)
        if not self.one_scale_per_term or first.scales is None or second.scales is None:
            return first, second
        product = (first.scales.float() * second.scales.float()).bfloat16()
        return Coded(first.codes, product), Coded(second.codes, None)

    def pair_bytes(self, d_in: int, d_out: int) -> int:
        """Bytes of one term, its scales included."""
        saved = SCALE_BYTES if self.has_scales and self.one_scale_per_term else 0
        return self.column_bytes(d_in) + self.column_bytes(d_out) - saved

    def decode(self, codes: Tensor, scales: Tensor | None, width: int) -> Tensor:
        """The numbers of columns of d = ``width``, (…, d) float32."""
        numbers = torch.empty(*codes.shape[:-1], width, dtype=torch.float32, device=codes.device)
        self.decode_into(codes, scales, numbers)
        return numbers

    def column_bytes(self, width: int) -> int:
        """Bytes of one column of ``width`` numbers, its scale included."""
        return self.code_bytes(width) + (SCALE_BYTES if self.has_scales else 0)


def check_finite(name: str, stored: Tensor) -> None:
    """Refuse codes or scales of n examples, (n, …), that came of numbers that are not finite.

    Raises:
        NumericalError: Names the module and counts its examples.
    """
    if not stored.is_floating_point() or math.isfinite(
        float(stored.sum(dtype=torch.float64))
    ):  # one pass; a sum of finite floats is finite in float64
        return
    count = int((~torch.isfinite(stored.reshape(len(stored), -1)).all(1)).sum())
    raise NumericalError(
        f"factors must be finite to be stored, those of module {name!r} are not in {count} of {len(stored)} texts: "
        "the gradients overflowed. Check the model's weights, or run it in float32."
    )


def _encode_bf16(columns: Tensor) -> Coded:
    return Coded(columns.bfloat16(), None)


def _decode_bf16(codes: Tensor, scales: Tensor | None, out: Tensor) -> None:
    out.copy_(codes)


def _grid_codes(columns: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Nearest levels of a symmetric grid of 2·top + 1 steps, and its step as it is stored."""
    columns = columns.float()
    scale = _round_up(columns.abs().amax(-1) / top)
    step = scale.float().unsqueeze(-1)
    levels = torch.where(step > 0, columns / step, 0.0)
    return levels.round().clamp_(-top, top).to(torch.int8), scale


def _round_up(scale: Tensor) -> Tensor:
    """The next bf16 at or above each scale, so that the largest number stays on the grid."""
    rounded = scale.bfloat16()
    raised = torch.nextafter(rounded, torch.full_like(rounded, float("inf")))
    return torch.where(rounded.float() < scale, raised, rounded)


def _encode_int8(columns: Tensor) -> Coded:
    return Coded(*_grid_codes(columns, 127))


def _decode_int8(codes: Tensor, scales: Tensor | None, out: Tensor) -> None:
    _scale(out.copy_(codes), scales)


def _scale(numbers: Tensor, scales: Tensor | None) -> None:
    if scales is not None:
        numbers.mul_(scales.float().unsqueeze(-1))


def _encode_int4(columns: Tensor) -> Coded:
    levels, scales = _grid_codes(columns, 7)
    nibbles = torch.nn.functional.pad((levels + 8).to(torch.uint8), (0, levels.shape[-1] % 2))
    return Coded(nibbles[..., 0::2] | (nibbles[..., 1::2] << 4), scales)


def _decode_int4(codes: Tensor, scales: Tensor | None, out: Tensor) -> None:
    nibbles = torch.stack((codes & 15, codes >> 4), -1).flatten(-2)[..., : out.shape[-1]]
    _scale(out.copy_(nibbles).sub_(8), scales)


def _encode_sign(columns: Tensor) -> Coded:
    scales = columns.float().abs().mean(-1).bfloat16()
    bits = torch.nn.functional.pad((columns >= 0).to(torch.uint8), (0, -columns.shape[-1] % 8))
    weighed = bits.view(*bits.shape[:-1], bits.shape[-1] // 8, 8) * _bits(columns.device)
    return Coded(weighed.sum(-1, dtype=torch.uint8), scales)


def _decode_sign(codes: Tensor, scales: Tensor | None, out: Tensor) -> None:
    # One row of eight numbers per byte: five times faster than taking the bits apart.
    signs = signs_of_bytes(codes.device).index_select(0, codes.flatten().int())
    columns = signs.view(*codes.shape[:-1], codes.shape[-1] * 8)[..., : out.shape[-1]]
    if scales is None:
        out.copy_(columns)
    else:
        torch.mul(columns, scales.float().unsqueeze(-1), out=out)


@cache
def signs_of_bytes(device: torch.device) -> Tensor:
    """(256, 8): the signs that each byte holds, as +1 and -1."""
    bits = torch.arange(256, dtype=torch.uint8, device=device).unsqueeze(1) & _bits(device)
    return (bits != 0).float().mul_(2).sub_(1)


@cache
def _bits(device: torch.device) -> Tensor:
    return torch.tensor(_BITS, dtype=torch.uint8, device=device)


_CODECS = {
    codec.name: codec
    for codec in (
        ColumnCodec("bf16", False, lambda d: 2 * d, _encode_bf16, _decode_bf16),
        ColumnCodec("int8", True, lambda d: d, _encode_int8, _decode_int8),
        ColumnCodec("int4", True, lambda d: (d + 1) // 2, _encode_int4, _decode_int4),
        ColumnCodec("sign", True, lambda d: (d + 7) // 8, _encode_sign, _decode_sign),
    )
}


@cache
def column_codec(name: str, scales: Scales = None) -> ColumnCodec:
    """The codec of that name.

    Args:
        name: As in settings and manifests.
        scales: What has a scale; None: each column.

    Raises:
        ConfigError: There is none; the message lists the known ones.
    """
    if name not in _CODECS:
        raise ConfigError(f"codec must be one of {', '.join(_CODECS)}, got {name!r}.")
    return replace(_CODECS[name], one_scale_per_term=scales == "term")


def scales_of(codec: str, layout: str) -> Scales:
    """What has a scale in an index that is begun now; None for codecs without any, and for whole gradients."""
    return "term" if layout == "factors" and column_codec(codec).has_scales else None


def codec_for(codec: str, layout: str) -> ColumnCodec:
    """The codec of an index that is begun now."""
    return column_codec(codec, scales_of(codec, layout))


def factor_bytes(codec: ColumnCodec, factor_rank: int, d_in: int, d_out: int) -> int:
    """Bytes of one example's factors of one module: c·pair_bytes(d_in, d_out)."""
    return factor_rank * codec.pair_bytes(d_in, d_out)
