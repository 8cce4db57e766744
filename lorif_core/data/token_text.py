"""The text of each token, so that the tokens of a text join to exactly that text.

A token has no text of its own: SentencePiece leaves out the space before a text's first word, and a byte-level
tokenizer may cut a character into several tokens. So each token's text is what it adds to the text decoded so far. A
token that ends amid a character adds nothing, and the one that completes the character adds it whole.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_CHARACTER = 4
"""Bytes of the longest UTF-8 character, which may be cut into as many tokens, behind one for a space that is not
shown."""

ANCHORS = (":", "\n", "a")
"""Texts that hardly any tokenizer joins to what follows."""


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], *, is_continued: bool = False) -> list[str]:
    """What each token adds to the text; special tokens, such as the end of a text, add their names.

    Args:
        tokenizer: Of the model.
        ids: The tokens, from the start of a text on.
        is_continued: The tokens stand amid a text: their first space is kept, which some tokenizers leave out at the
            start of a text.

    Returns:
        One text per token; they join to the decoded text.
    """
    special, unknown = set(tokenizer.all_special_ids), tokenizer.unk_token_id
    texts: list[str] = []
    run: list[int] = []
    for token in ids:
        if token not in special:
            run.append(token)
            continue
        texts += _texts_of_run(tokenizer, run, is_continued=is_continued)
        texts.append(str(tokenizer.convert_ids_to_tokens(token)))
        run, is_continued = [], token == unknown  # others stand between texts
    return texts + _texts_of_run(tokenizer, run, is_continued=is_continued)


def _texts_of_run(tokenizer: PreTrainedTokenizerBase, run: list[int], *, is_continued: bool) -> list[str]:
    """Texts of ordinary tokens that stand together.

    Each token is decoded behind the one before it, so that the space at a run's start is treated alike in both
    texts that are compared, and the work does not grow with the square of the length.
    """
    texts: list[str] = []
    context, first, known = (
        0,
        0,
        0,
    )  # tokens from `first` on wait for their text, behind `known` characters of context
    if is_continued and run:
        anchor = _ids(tokenizer, ANCHORS[0])
        run, first, known = [*anchor, *run], len(anchor), len(_decode(tokenizer, anchor))
    for stop in range(first + 1, len(run) + 1):
        text = _decode(tokenizer, run[context:stop])
        adds_nothing = text.endswith(REPLACEMENT) or len(text) <= known  # bytes that are no character yet
        is_cut = adds_nothing and stop < len(run) and stop - first <= LONGEST_CHARACTER
        texts.append("" if is_cut else text[known:])
        if not is_cut:
            context, first = first, stop
            known = len(_decode(tokenizer, run[context:stop]))
    return texts


def shown_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], text: str | None = None) -> list[str]:
    """The texts of tokens as people read them: special tokens around a text have none.

    Args:
        tokenizer: Of the model.
        ids: The tokens, from the start of a text on.
        text: What was tokenised, if it is known: special tokens that are written in it are shown, and so is what a
            token for unknown characters stands for.
    """
    texts, special = token_texts(tokenizer, ids), set(tokenizer.all_special_ids)
    is_special = [token in special for token in ids]
    if text is not None:
        plain = sum(len(one) for one, hides in zip(texts, is_special, strict=True) if not hides)
        for start in dict.fromkeys((0, max(len(text) - plain, 0))):  # from the front, or of a text that was cut there
            if (found := _aligned(tokenizer, ids, texts, text[start:])) is not None:
                return found
    return ["" if hides else one for one, hides in zip(texts, is_special, strict=True)]


def continuation_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text that goes on after another one, whatever that one is.

    Some tokenizers put a space before every text, which is none of a continuation's. The text is then tokenised
    behind an anchor and the anchor is taken away again. Tokens never reach across the border.
    """
    alone = _ids(tokenizer, text)
    if not text or _spells(tokenizer, alone, text):
        return alone
    for anchor in ANCHORS:
        start, both = _ids(tokenizer, anchor), _ids(tokenizer, anchor + text)
        behind = both[len(start) :]
        if both[: len(start)] == start and _spells(tokenizer, behind, text):
            return behind
    return alone  # a tokenizer whose tokens do not spell the text, such as one that lowers its case


def _spells(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], text: str) -> bool:
    found = _aligned(tokenizer, ids, token_texts(tokenizer, ids, is_continued=True), text)
    return found is not None and "".join(found) == text


def _aligned(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], texts: Sequence[str], text: str
) -> list[str] | None:
    """Each token's stretch of a text from its start on; None if the tokens do not spell it."""
    special, unknown = set(tokenizer.all_special_ids), tokenizer.unk_token_id
    shown, place = [], 0
    for position, (token, written) in enumerate(zip(ids, texts, strict=True)):
        follows_special = position > 0 and ids[position - 1] in special and token not in special
        if text.startswith(written, place):
            stretch = written
        elif follows_special and text.startswith(f" {written}", place):
            stretch = f" {written}"  # whether a space is put behind a special token differs
        elif follows_special and text.startswith(written.removeprefix(" "), place):
            stretch = written.removeprefix(" ")
        elif token == unknown:
            following = zip(ids[position + 1 :], texts[position + 1 :], strict=True)
            known = next((one for other, one in following if one and other not in special), None)
            found = -1 if known is None else text.find(known, place + 1)
            stretch = text[place:] if found < 0 else text[place:found]
        elif token in special:
            stretch = ""
        else:
            return None
        shown.append(stretch)
        place += len(stretch)
    return shown


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
