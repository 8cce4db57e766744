"""One training example or one question, as it is written: an id and the texts of its kind.

Apart from the Parquet file that holds imported examples, so that texts can be encoded without pyarrow and polars.
"""

from typing import Any, NamedTuple


class Example(NamedTuple):
    """One training example; the fields of its kind are set, the others are None."""

    train_id: str
    """Stable across runs and imports."""

    text: str | None = None
    """Plain text."""

    prompt: str | None = None
    """Prompt; may be empty."""

    completion: str | None = None
    """Completion."""

    messages: list[dict[str, Any]] | None = None
    """Chat messages with at least ``role`` and ``content``; a content is a text or a list of parts."""

    tools: list[dict[str, Any]] | None = None
    """Tool definitions for the chat template."""

    rejected: str | list[dict[str, Any]] | None = None
    """Of preference data the side that was not chosen, a completion or a whole chat; it enters with weight -1."""

    target_turn: int | None = None
    """Which assistant turn is the target, counted among them, negative from the end; None: every one."""

    input_ids: list[int] | None = None
    """Tokens of a row that came tokenised."""

    labels: list[int] | None = None
    """Of such a row: -100 where nothing is to be predicted; None: all but the first token of each segment."""

    position_ids: list[int] | None = None
    """Of a packed row: a position that is not its predecessor's plus 1 starts a new segment."""

    segment_ids: list[int] | None = None
    """Of a packed row: a change starts a new segment."""

    @property
    def written_text(self) -> str | None:
        """The text that is tokenised, character by character; None where a chat template or a tokenizer wrote it."""
        return None if self.messages is not None else self.plain_text

    @property
    def plain_text(self) -> str:
        """The text as people read it: whole, prompt and completion joined, or a line per message."""
        if self.messages is not None:
            return "\n".join(f"{turn['role']}: {turn['content']}" for turn in self.messages)
        return self.text if self.text is not None else f"{self.prompt or ''}{self.completion or ''}"
