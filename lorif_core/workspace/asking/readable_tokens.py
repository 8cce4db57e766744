"""Tokens of a text as people read them, with their parts of a score."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from lorif_core.views.hits import TokenPart

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_CHARACTER = 4
"""Bytes of the longest UTF-8 character, which a byte-level tokenizer may cut into as many tokens."""


def readable_tokens(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], parts: Sequence[float]
) -> tuple[TokenPart, ...]:
    """Tokens as text with their parts; tokens that are pieces of one character stand together.

    Special tokens, such as the end of the text, have parts but no text.

    Args:
        tokenizer: Of the model.
        ids: The tokens.
        parts: One per token.
    """
    readable: list[TokenPart] = []
    first = 0
    for stop in range(1, len(ids) + 1):
        text = str(tokenizer.decode(list(ids[first:stop]), skip_special_tokens=True))
        if text.endswith(REPLACEMENT) and stop < len(ids) and stop - first < LONGEST_CHARACTER:
            continue
        readable.append(TokenPart(text, sum(parts[first:stop])))
        first = stop
    return tuple(readable)
