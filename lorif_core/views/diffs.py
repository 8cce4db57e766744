"""Where two short texts differ, token by token.

Tokens are words with the white space before them, and single signs: what most tokenizers cut a text into before
they merge. They are not those of a model, so that completions of different models can be compared.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")

Side = Literal["both", "a", "b"]


class Piece(NamedTuple):
    """A run of tokens."""

    text: str

    side: Side
    """Which of the two texts says it."""


def token_diff(a: str, b: str) -> list[Piece]:
    """Runs of tokens that both texts say, or only one of them, in reading order; what only ``a`` says comes first.

    The pieces of ``a`` and of both, joined, are ``a``; those of ``b`` and of both are ``b``.
    """
    first, second = TOKEN.findall(a), TOKEN.findall(b)
    pieces: list[Piece] = []
    for _, start_a, end_a, start_b, end_b in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if first[start_a:end_a] == second[start_b:end_b]:
            pieces.append(_piece(first[start_a:end_a], "both"))
        else:
            pieces += [_piece(first[start_a:end_a], "a"), _piece(second[start_b:end_b], "b")]
    return [piece for piece in pieces if piece.text]


def _piece(tokens: Sequence[str], side: Side) -> Piece:
    return Piece("".join(tokens), side)
