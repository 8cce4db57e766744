"""Chats as text: the tokenizer's own template, asked in one place, and what it refuses as one reason.

A template is a program that came with a model. It may refuse a chat (``raise_exception``), or stumble over one that
its author did not think of, which jinja shows as any of Python's errors; either is a reason why this row cannot be
read, and says nothing about the next row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Literal

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from lorif_core.errors import DataError, UnreadableRow

Message = dict[str, Any]

ASSISTANT_ROLES = ("assistant", "model")
"""Whose words are targets; Gemma's own name for the assistant is `model`."""

_GENERATION_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
"""Not just the word, which nearly every template has in `add_generation_prompt`."""

_RENDERING = Lock()
"""Held while marks are read: transformers notes the assistant's turns in the compiled template, which all
tokenizers of this process share, so that chats of two threads would get each other's targets."""

_STUMBLES = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What comes out of a template that refuses a chat or was not written for it."""

_PROBE = "lorif0probe"

_RENDER: Any = render_jinja_template  # which says that it returns one text


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's template with the tool definitions of one chat."""

    tokenizer: PreTrainedTokenizerBase
    tools: list[dict[str, Any]] | None

    def __post_init__(self) -> None:
        """Check that there is a template."""
        if not self.tokenizer.chat_template:
            raise DataError(
                "chat messages need a tokenizer with a chat template, this one has none. Use an instruction-tuned "
                "model's tokenizer, or import `prompt` and `completion` columns."
            )

    @property
    def has_marks(self) -> bool:
        """Whether ``{% generation %}`` marks tell the assistant's words."""
        return bool(_GENERATION_MARK.search(self._source))

    def render(self, messages: Sequence[Message], *, asks: bool = False) -> str:
        """The chat as text, with ``asks`` followed by the header behind which the assistant would speak.

        Raises:
            UnreadableRow: The template refuses the chat; names its reason.
        """
        return self._render(_as_read(messages, self._reads), asks=asks)

    def render_marked(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        """The chat as text, and the stretches between generation marks as character ranges.

        Raises:
            UnreadableRow: The template refuses the chat; names its reason.
        """
        chat = [
            {name: value for name, value in message.items() if value is not None}
            for message in _as_read(messages, self._reads)
        ]
        special: dict[str, Any] = dict(self.tokenizer.special_tokens_map)
        try:
            with _RENDERING:
                texts, spans = _RENDER(
                    [chat],
                    tools=self.tools,
                    chat_template=self._source,
                    return_assistant_tokens_mask=True,
                    **special,
                )
        except _STUMBLES as error:
            raise _refusal(error) from error
        return texts[0], [(first, stop) for first, stop in spans[0] if stop > first]

    @cached_property
    def _source(self) -> str:
        try:
            return self.tokenizer.get_chat_template(tools=self.tools)
        except ValueError as error:  # several templates by name, none of them the default
            raise DataError(f"the tokenizer's chat template cannot be used: {error}") from error

    @cached_property
    def _reads(self) -> Literal["text", "parts"]:
        """Whether the template prints a content that is a text; those of multimodal models may want parts only."""
        for reads in ("text", "parts"):
            try:
                if _PROBE in self._render(_as_read([{"role": "user", "content": _PROBE}], reads), asks=False):
                    return reads
            except UnreadableRow:
                continue
        return "text"

    def _render(self, messages: Sequence[Message], *, asks: bool) -> str:
        try:
            tools: Any = self.tools
            text = self.tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=asks
            )
        except _STUMBLES as error:
            raise _refusal(error) from error
        return str(text)


def _refusal(error: BaseException) -> UnreadableRow:
    said = str(error) or type(error).__name__
    if type(error) is TemplateError:  # what `raise_exception` raises; its kinds are faults of the template
        return UnreadableRow(f"the chat template refuses it: {said}")
    return UnreadableRow(f"the chat template cannot read it ({type(error).__name__}: {said})")


def _as_read(messages: Sequence[Message], reads: Literal["text", "parts"]) -> list[Message]:
    """Messages whose contents are in the form that a template prints; one without content stays without."""
    return [
        message if message.get("content") is None else {**message, "content": _content(message["content"], reads)}
        for message in messages
    ]


def _content(content: Any, reads: Literal["text", "parts"]) -> Any:
    parts = [content] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise UnreadableRow(f"a message's content must be a text or a list of parts, got {type(content).__name__}")
    texts = [part if isinstance(part, str) else _text_of(part) for part in parts]
    return "".join(texts) if reads == "text" else [{"type": "text", "text": text} for text in texts]


def _text_of(part: Any) -> str:
    if isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
        return part["text"]
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise UnreadableRow(f"a part of a message's content must be a text, got one of type {kind!r}")
