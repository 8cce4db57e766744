"""One training example or one question, as it is written: an id and the texts of its kind.

Apart from the Parquet file that holds imported examples, so that texts can be encoded without pyarrow and polars.
"""

import json
from typing import Any, NamedTuple

NOT_CHOSEN = "— not chosen:"
"""Stands before the rejected side of preference data where people read it."""


class TextPart(NamedTuple):
    """A part of an example that is one text by itself: what somebody wrote or said in one go."""

    name: str
    """``text``, ``prompt``, ``completion``, ``rejected``, or a turn such as ``turn 2 (assistant)``."""

    start: int
    """Its first character in ``plain_text``."""

    stop: int
    """The one behind its last."""


class Example(NamedTuple):
    """One training example; the fields of its kind are set, the others are None.

    The kinds, each told by its first field that is set: ``input_ids``, ``messages``, ``text``, ``completion``.
    """

    train_id: str
    """Stable across runs and imports."""

    text: str | None = None
    """Plain text; beside ``input_ids`` it is what people read in their place, and is not encoded."""

    prompt: str | None = None
    """Prompt; may be empty."""

    completion: str | None = None
    """Completion."""

    messages: list[dict[str, Any]] | None = None
    """Chat messages: ``role``, ``content`` (text or a list of parts), and what else a chat template reads."""

    tools: list[dict[str, Any]] | None = None
    """Tool definitions for the chat template."""

    rejected: str | list[dict[str, Any]] | None = None
    """Preference data: the side that was not chosen. Beside a completion a text, beside messages all messages."""

    target_turn: int | None = None
    """Which assistant turn is the target, counted among assistant turns, negative from the end; None: every one."""

    input_ids: list[int] | None = None
    """Token ids of a pre-tokenised row."""

    labels: list[int] | None = None
    """Per token: -100 is no target. None: all but the first of each segment are."""

    position_ids: list[int] | None = None
    """Of a packed row: a position that is not its predecessor's plus one starts a segment."""

    segment_ids: list[int] | None = None
    """Of a packed row: a change starts a segment."""

    weight: float = 1.0
    """What the text's loss is multiplied by."""

    @property
    def written_text(self) -> str | None:
        """The text that is tokenised, character by character; None where a template or a tokenizer wrote it."""
        is_written = self.messages is None and self.input_ids is None and self.rejected is None
        return self.plain_text if is_written else None

    @property
    def plain_text(self) -> str:
        """The text as people read it: whole, prompt and completion joined, or a line per message."""
        if self.input_ids is not None:
            return self.text or f"[pre-tokenised: {len(self.input_ids):,} ids]"
        if self.messages is not None:
            other = self.rejected if isinstance(self.rejected, list) else []
            shared = num_shared(self.messages, other)
            lines = [*map(line_of, self.messages), *([NOT_CHOSEN] if other else []), *map(line_of, other[shared:])]
            return "\n".join(lines)
        if self.text is not None:
            return self.text
        other_text = f"\n{NOT_CHOSEN}\n{self.rejected}" if isinstance(self.rejected, str) else ""
        return f"{self.prompt or ''}{self.completion or ''}{other_text}"

    @property
    def parts(self) -> list[TextPart]:
        """The parts of ``plain_text``, in its order."""
        if self.messages is not None and self.input_ids is None:
            return self._turns()
        if self.text is not None or self.input_ids is not None:
            return [TextPart("text", 0, len(self.plain_text))]
        asked, whole = len(self.prompt or ""), len(self.prompt or "") + len(self.completion or "")
        found = [TextPart("prompt", 0, asked), TextPart("completion", asked, whole)]
        if isinstance(self.rejected, str):
            end = len(self.plain_text)
            found.append(TextPart("rejected", end - len(self.rejected), end))
        return [part for part in found if part.stop > part.start]

    def _turns(self) -> list[TextPart]:
        other = self.rejected if isinstance(self.rejected, list) else []
        messages = self.messages or []
        shared = num_shared(messages, other)
        found, place = list[TextPart](), 0
        for before, first, turns in (("", 0, messages), ("rejected ", shared, other[shared:])):
            place += len(NOT_CHOSEN) + 1 if before else 0
            for number, turn in enumerate(turns, start=first + 1):
                line = line_of(turn)
                said = place + len(turn["role"]) + 2
                found.append(TextPart(f"{before}turn {number} ({turn['role']})", said, place + len(line)))
                place += len(line) + 1
        return [part for part in found if part.stop > part.start]


def num_shared(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> int:
    """How many messages two conversations have in common at their beginning."""
    places = range(min(len(one), len(other)))
    return next((place for place in places if one[place] != other[place]), len(places))


def line_of(message: dict[str, Any]) -> str:
    """One message as people read it, with the tools that it calls."""
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    calls = [call.get("function", call) for call in message.get("tool_calls") or []]
    called = [f"{call.get('name')}({_spelled(call.get('arguments'))})" for call in calls]
    return f"{message['role']}: {' '.join(filter(None, [content, *called]))}"


def _spelled(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
