"""From an example's text to token ids and the mask of its target tokens.

Prompt and completion are tokenised apart and joined, so that the completion's tokens are the
same whatever the prompt, and the tokens read as the two texts put together; the end token follows
the completion of a training text and is a target. Plain text targets every token but the first.
Chat messages go through the tokenizer's own template (``chat_encoding``), rows that came tokenised
through ``packed_rows``. An example is one sequence or several (``sequences``).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from lorif_core.data.chat_encoding import encode_chat
from lorif_core.data.example import Example
from lorif_core.data.packed_rows import split_row
from lorif_core.data.sequences import EncodedExample as EncodedExample  # read from here by those who encode
from lorif_core.data.sequences import cut_windows, take_sequence
from lorif_core.data.token_text import continuation_ids
from lorif_core.errors import DataError, UnreadableRow


class EncodedTexts(NamedTuple):
    """Texts of several examples."""

    texts: list[tuple[EncodedExample, ...]]
    """In the order of the examples; one that cannot be read has no sequence."""

    unreadable: dict[str, str]
    """Why, by the id of each of those."""


@dataclass(frozen=True)
class Encoder:
    """Encodes examples of every kind for one tokenizer."""

    tokenizer: PreTrainedTokenizerBase

    max_length: int
    """Longest sequence in tokens. Prompts are cut at the front, texts and chats at the end."""

    stride: int | None = None
    """Tokens from one window of a long text to the next; None: long texts are cut."""

    num_ids: int | None = None
    """Ids that the model has an embedding for; None: those of the tokenizer."""

    def encode(self, example: Example) -> EncodedExample:
        """Token ids and targets of an example that is one sequence; a text that is too short may have no target.

        Raises:
            DataError: The tokenizer has no chat template, or the example is several sequences.
            UnreadableRow: The example cannot be read by this model.
        """
        found = replace(self, stride=None).encode_windows(example)
        if len(found) != 1:
            raise DataError(
                f"{example.train_id!r} must be one sequence here, it is {len(found)}: a preference pair or a packed "
                "row. Give a prompt and one completion."
            )
        return found[0]

    def encode_windows(self, example: Example) -> tuple[EncodedExample, ...]:
        """The sequences of an example, whose weighted gradients are added.

        Raises:
            DataError: The tokenizer has no chat template.
            UnreadableRow: The example cannot be read by this model.
        """
        found = self._encode_unweighted(example)
        if example.weight == 1:
            return found
        return tuple(one._replace(weight=one.weight * example.weight) for one in found)

    def _encode_unweighted(self, example: Example) -> tuple[EncodedExample, ...]:
        if example.input_ids is not None:
            return self._encode_tokens(example)
        if example.rejected is None:
            return self._fit(*self._encode_side(example), keeps_end=_keeps_end(example))
        chosen, rejected = (
            self._fit(*self._encode_side(side), keeps_end=_keeps_end(side))
            for side in (example, _rejected_side(example))
        )
        return chosen + tuple(one._replace(weight=-1.0, is_rejected=True) for one in rejected)

    def encode_all(self, examples: Iterable[Example]) -> EncodedTexts:
        """Every example; one that cannot be read is left without sequences and listed with its reason.

        Raises:
            DataError: The tokenizer has no chat template.
        """
        found = EncodedTexts([], {})
        for example in examples:
            try:
                found.texts.append(self.encode_windows(example))
            except UnreadableRow as error:
                found.texts.append(())
                found.unreadable[example.train_id] = str(error)
        return found

    def _fit(self, ids: list[int], targets: list[bool], *, keeps_end: bool) -> tuple[EncodedExample, ...]:
        head = 1 if ids and ids[0] == special_token(self.tokenizer, "bos") else 0
        if self.stride is None or len(ids) <= self.max_length:
            return (take_sequence(ids, targets, self.max_length, keeps_end=keeps_end, head=head),)
        return cut_windows(ids, targets, self.max_length, min(self.stride, self.max_length - 1), head=head)

    def _encode_side(self, example: Example) -> tuple[list[int], list[bool]]:
        if example.messages is not None:
            ids, targets = encode_chat(self.tokenizer, example.messages, example.tools, example.target_turn)
        elif example.text is not None:
            ids = text_ids(self.tokenizer, example.text)
            targets = [True] * len(ids)
        else:
            ids, targets = self._encode_completion(example.prompt or "", example.completion or "")
        self._check_ids(example, ids)
        return ids, targets

    def _check_ids(self, example: Example, ids: list[int]) -> None:
        highest = max(ids, default=0)
        if self.num_ids is None or highest < self.num_ids:
            return
        token = self.tokenizer.convert_ids_to_tokens(highest)
        raise UnreadableRow(
            f"every token of a text needs an embedding, but the model has {self.num_ids}, none for token {token!r} "
            f"(id {highest}) of text {example.train_id!r}. Use the tokenizer that the model was trained with, or add "
            "the embedding with `model.resize_token_embeddings(len(tokenizer))` and train it."
        )

    def _encode_tokens(self, example: Example) -> tuple[EncodedExample, ...]:
        size = len(self.tokenizer) if self.num_ids is None else self.num_ids
        found = list[EncodedExample]()
        for start, ids, targets in split_row(example, size, special_token(self.tokenizer, "pad")):
            parts = self._fit(ids, targets, keeps_end=False)
            found += [one._replace(start=one.start + start) for one in parts]
        whole = len(example.input_ids or [])
        return tuple(one._replace(num_tokens=whole) for one in found)

    def _encode_completion(self, prompt: str, completion: str) -> tuple[list[int], list[bool]]:
        prompt_ids = encode_prompt(self.tokenizer, prompt)
        completion_ids = closed(self.tokenizer, continuation_ids(self.tokenizer, completion))
        return prompt_ids + completion_ids, [False] * len(prompt_ids) + [True] * len(completion_ids)


def _keeps_end(example: Example) -> bool:
    """Whether a long example loses its beginning: its targets stand at the end."""
    return example.completion is not None or example.target_turn is not None


def _rejected_side(example: Example) -> Example:
    rejected = example.rejected
    if isinstance(rejected, str):
        return example._replace(completion=rejected, rejected=None)
    return example._replace(messages=rejected, rejected=None)


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a whole text with the special tokens around it; one that the text has written is not doubled."""
    ids: list[int] = list(tokenizer(text, verbose=False)["input_ids"])
    start, end = special_token(tokenizer, "bos"), special_token(tokenizer, "eos")
    if start is not None and ids[:2] == [start, start] and text.startswith(str(tokenizer.bos_token)):
        ids = ids[1:]
    if end is not None and ids[-2:] == [end, end] and text.endswith(str(tokenizer.eos_token)):
        ids = ids[:-1]
    return ids


def closed(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    """The tokens with the end token behind them, if the tokenizer has one and they do not end with it already."""
    end = special_token(tokenizer, "eos")
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt that is to be continued; never empty if the tokenizer has a start or end token."""
    ids = text_ids(tokenizer, prompt)
    end = special_token(tokenizer, "eos")
    if ids and ids[-1] == end and not prompt.endswith(str(tokenizer.eos_token)):
        ids.pop()  # some tokenizers close every text; the prompt goes on
    if not ids:
        # Without any context the first token could not be predicted: start where texts start.
        ids = [token for token in (special_token(tokenizer, "bos"), end) if token is not None][:1]
    return ids


def special_token(tokenizer: PreTrainedTokenizerBase, role: Literal["bos", "eos", "pad"]) -> int | None:
    """Id of the token that starts, ends or pads a text, if the tokenizer has one."""
    token = getattr(tokenizer, f"{role}_token_id")
    return token if isinstance(token, int) else None


def pad_token(tokenizer: PreTrainedTokenizerBase, num_ids: int | None = None) -> int:
    """An id to pad with; padding is masked everywhere, so any that the model has an embedding for does.

    Args:
        tokenizer: Of the model.
        num_ids: How many ids have an embedding; None: not known, the tokenizer is believed.
    """
    tokens = (special_token(tokenizer, "pad"), special_token(tokenizer, "eos"))
    return next((token for token in tokens if token is not None and (num_ids is None or token < num_ids)), 0)
