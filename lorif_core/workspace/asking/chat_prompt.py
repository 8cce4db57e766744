"""A chat as the model reads it when it is to answer: its own template, up to where the answer begins."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from lorif_core.errors import DataError


def chat_prompt_ids(tokenizer: PreTrainedTokenizerBase, conversation: Sequence[dict[str, Any]]) -> list[int]:
    raise DataError("todo")


def end_of_turn(tokenizer: PreTrainedTokenizerBase, conversation: Sequence[dict[str, Any]]) -> list[int]:
    raise DataError("todo")
