"""From an example's text to token ids and the mask of its target tokens.

Prompt and completion are tokenised apart and joined, so that the completion's tokens are the
same whatever the prompt; the end token follows the completion and is a target. Plain text
targets every token but the first. Chat messages go through the tokenizer's own template,
whose assistant mask tells the targets. Examples and queries take this same path.
"""

import re
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from lorif_core.data.example import Example
from lorif_core.errors import DataError

_GENERATION_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
"""Not just the word, which nearly every template has in `add_generation_prompt`."""

_RENDERING = Lock()
"""Held while a chat is rendered: transformers notes the assistant's turns in the compiled template, which all
tokenizers of this process share, so that chats of two threads would get each other's targets."""


class EncodedExample(NamedTuple):
    """Token ids of one example."""

    input_ids: list[int]

    is_target: list[bool]
    """Tokens whose cross-entropy belongs to the objective; never the first."""

    num_tokens: int
    """Length before truncation."""

    @property
    def has_targets(self) -> bool:
        """Whether anything is to be predicted; without, the gradient is zero."""
        return any(self.is_target)

    @property
    def is_truncated(self) -> bool:
        """Whether tokens were cut off."""
        return self.num_tokens > len(self.input_ids)


@dataclass(frozen=True)
class Encoder:
    """Encodes examples of every kind for one tokenizer."""

    tokenizer: PreTrainedTokenizerBase

    max_length: int
    """Longest sequence in tokens. Prompts are cut at the front, texts and chats at the end."""

    num_ids: int | None = None
    """Ids that the model has an embedding for; None: not known, nothing is checked."""

    def encode(self, example: Example) -> EncodedExample:
        """Token ids and targets of one example; a text that is too short may have no target.

        Raises:
            DataError: The tokenizer has no chat template, or one that cannot mark assistant tokens; or a token has no
                embedding.
        """
        if example.messages is not None:
            ids, targets = self._encode_chat(example)
        elif example.text is not None:
            ids = self._ids(example.text, adds_special_tokens=True)
            targets = [True] * len(ids)
        else:
            ids, targets = self._encode_completion(example.prompt or "", example.completion or "")
        keep = slice(-self.max_length, None) if example.completion is not None else slice(self.max_length)
        kept, is_target = ids[keep], targets[keep]
        if is_target:
            is_target[0] = False
        self._check_ids(example, kept)
        return EncodedExample(kept, is_target, len(ids))

    def _check_ids(self, example: Example, ids: list[int]) -> None:
        highest = max(ids, default=0)
        if self.num_ids is None or highest < self.num_ids:
            return
        token = self.tokenizer.convert_ids_to_tokens(highest)
        raise DataError(
            f"every token of a text needs an embedding, but the model has {self.num_ids}, none for token {token!r} "
            f"(id {highest}) of text {example.train_id!r}. Use the tokenizer that the model was trained with, or add "
            "the embedding with `model.resize_token_embeddings(len(tokenizer))` and train it."
        )

    def _encode_completion(self, prompt: str, completion: str) -> tuple[list[int], list[bool]]:
        prompt_ids = encode_prompt(self.tokenizer, prompt)
        completion_ids = self._ids(completion, adds_special_tokens=False)
        end = special_token(self.tokenizer, "eos")
        if end is not None:
            completion_ids.append(end)
        return prompt_ids + completion_ids, [False] * len(prompt_ids) + [True] * len(completion_ids)

    def _encode_chat(self, example: Example) -> tuple[list[int], list[bool]]:
        if not self.tokenizer.chat_template:
            raise DataError(
                "chat messages need a tokenizer with a chat template, this one has none. Use an instruction-tuned "
                "model's tokenizer, or import `prompt` and `completion` columns."
            )
        if not _GENERATION_MARK.search(str(self.tokenizer.chat_template)):
            raise DataError(
                "the tokenizer's chat template cannot tell assistant tokens apart: it needs {% generation %} … "
                "{% endgeneration %} around assistant turns. Add them to the template, or import `prompt` and "
                "`completion` columns."
            )
        with _RENDERING:
            encoded: Any = self.tokenizer.apply_chat_template(
                example.messages or [], tokenize=True, return_dict=True, return_assistant_tokens_mask=True
            )
        return list(encoded["input_ids"]), [bool(flag) for flag in encoded["assistant_masks"]]

    def _ids(self, text: str, *, adds_special_tokens: bool) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=adds_special_tokens, verbose=False)["input_ids"])


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt that is to be continued; never empty if the tokenizer has a start or end token."""
    ids = list(tokenizer(prompt, verbose=False)["input_ids"])
    end = special_token(tokenizer, "eos")
    if ids and ids[-1] == end:
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
