"""Tokens of a text as people read them, with their parts of a score."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from lorif_core.data.token_text import shown_texts
from lorif_core.views.hits import TokenPart


def readable_tokens(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], parts: Sequence[float], text: str | None = None
) -> tuple[TokenPart, ...]:
    """Tokens as text with their parts; tokens that are pieces of one character stand together.

    Special tokens that were put around the text, such as its end, have parts but no text.

    Args:
        tokenizer: Of the model.
        ids: The tokens, from the start of a text on.
        parts: One per token.
        text: What was tokenised, if it is known; the tokens of all of it join to exactly this text.
    """
    readable: list[TokenPart] = []
    special, waiting = set(tokenizer.all_special_ids), 0.0
    for token, shown, part in zip(ids, shown_texts(tokenizer, ids, text), parts, strict=True):
        if not shown and token not in special:  # the character is not complete
            waiting += part
            continue
        readable.append(TokenPart(shown, part + waiting))
        waiting = 0.0
    if waiting:
        readable.append(TokenPart("", waiting))
    return tuple(readable)
