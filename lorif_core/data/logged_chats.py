"""Chats that an evaluation logged: the turns before an answer, as far as they are text."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

UNKNOWN = "its messages are none that this version knows"


class Unusable(Exception):
    """Why a logged sample cannot be asked about."""


class Conversation(NamedTuple):
    """What a model was given before it answered."""

    system: str | None
    before: tuple[dict[str, Any], ...]
    """Turns before the prompt."""

    prompt: str
    """The last message to the model."""


def conversation_of(messages: Iterable[Any]) -> Conversation:
    """The conversation that logged messages are.

    Raises:
        Unusable: They hold more than texts of a system, a user and an assistant, or do not end with a user's.
    """
    turns = [turn_of(one) for one in messages]
    if any(turn["role"] == "tool" for turn in turns):
        raise Unusable("it uses tools, whose messages cannot be asked about")
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system") or None
    turns = [turn for turn in turns if turn["role"] != "system"]
    if not turns or turns[-1]["role"] != "user":
        raise Unusable("no message of a user comes before the answer")
    return Conversation(system, tuple(turns[:-1]), turns[-1]["content"])


def turn_of(message: Any) -> dict[str, Any]:
    """Role and text of a logged message.

    Raises:
        Unusable: It is none, or holds more than text.
    """
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise Unusable(UNKNOWN)
    return {"role": message["role"], "content": text_of(message.get("content"))}


def text_of(content: Any) -> str:
    """The text of a message; parts that are reasoning are left out.

    Raises:
        Unusable: Some part is no text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise Unusable(UNKNOWN)
    if {part.get("type") for part in content} - {"text", "reasoning"}:
        raise Unusable("its messages hold images or other parts that are no text")
    return "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
