"""From an example's text to token ids and the mask of its target tokens.

Prompt and completion are tokenised apart and joined, so that the completion's tokens are the
same whatever the prompt; the end token follows the completion and is a target. Plain text
targets every token but the first. Chat messages go through the tokenizer's own template,
whose assistant mask tells the targets. Examples and queries take this same path.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from lorif_core.data.chat_encoding import encode_chat
from lorif_core.data.example import Example


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

    def encode(self, example: Example) -> EncodedExample:
        """Token ids and targets of one example; a text that is too short may have no target.

        Raises:
            DataError: The tokenizer has no chat template, or one that cannot mark assistant tokens.
        """
        if example.messages is not None:
            ids, targets = encode_chat(self.tokenizer, example.messages, example.tools, example.target_turn)
        elif example.text is not None:
            ids = self._ids(example.text, adds_special_tokens=True)
            targets = [True] * len(ids)
        else:
            ids, targets = self._encode_completion(example.prompt or "", example.completion or "")
        keep = slice(-self.max_length, None) if example.completion is not None else slice(self.max_length)
        kept, is_target = ids[keep], targets[keep]
        if is_target:
            is_target[0] = False
        return EncodedExample(kept, is_target, len(ids))

    def _encode_completion(self, prompt: str, completion: str) -> tuple[list[int], list[bool]]:
        prompt_ids = encode_prompt(self.tokenizer, prompt)
        completion_ids = self._ids(completion, adds_special_tokens=False)
        end = special_token(self.tokenizer, "eos")
        if end is not None:
            completion_ids.append(end)
        return prompt_ids + completion_ids, [False] * len(prompt_ids) + [True] * len(completion_ids)

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


def pad_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """An id to pad with; padding is masked everywhere, so any valid id does."""
    tokens = (special_token(tokenizer, "pad"), special_token(tokenizer, "eos"))
    return next((token for token in tokens if token is not None), 0)
