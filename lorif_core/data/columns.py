"""Which columns of a file hold the text, and what makes one row of it usable.

Columns that a person names win. The others are found by name, and the first complete kind of
this order is taken: ``messages``, then ``prompt`` with ``completion``, then ``text``.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from lorif_core.config import ImportConfig
from lorif_core.errors import DataError

ExampleKind = Literal["text", "prompt_completion", "messages"]
ROLES: dict[ExampleKind, tuple[str, ...]] = {
    "messages": ("messages",),
    "prompt_completion": ("prompt", "completion"),
    "text": ("text",),
}
"""The columns that each kind needs, in the order in which the kinds are looked for."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns that hold the text and the ids; exactly those of ``kind`` are set."""

    kind: ExampleKind
    """Which of the columns below hold the text."""

    text: str | None = None
    """Plain text; every token but the first is a target."""

    prompt: str | None = None
    """Prompt; never a target."""

    completion: str | None = None
    """Completion; its tokens are the targets."""

    messages: str | None = None
    """Chat messages; the tokens of the assistant's turns are the targets."""

    id: str | None = None
    """Stable ids, or None: an id is then the hash of the content."""

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Columns that hold the text: one, or prompt and completion."""
        return tuple(getattr(self, role) for role in ROLES[self.kind])

    def to_dict(self) -> dict[str, str | None]:
        """All fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Columns":
        """Inverse of ``to_dict``."""
        return cls(**values)


class RowProblem(NamedTuple):
    """Why a row cannot be an example."""

    reason: str
    """The same words for all rows with this problem."""

    detail: str = ""
    """What is particular to this row."""


def find_columns(names: Sequence[str], settings: ImportConfig) -> Columns:
    """The columns to read, among ``names``.

    Raises:
        DataError: A column that the settings name is absent, or nothing is named and nothing found.
    """
    if settings.prompt is not None and settings.prompt == settings.completion:
        raise DataError(
            f"the prompt and the completion are two columns, got {settings.prompt!r} for both. Name two of "
            f"{_listed(names)}, or read one column with `--text`."
        )
    for role in ("text", "prompt", "completion", "messages", "id"):
        named = getattr(settings, role)
        if named is not None and named not in names:
            raise DataError(
                f"`--{role}` must name a column of the data, got {named!r}; the columns are {_listed(names)}. "
                f"Name one of them{_example_flags(names)}."
            )
    id_column = settings.id or ("id" if "id" in names else None)
    for kind, roles in ROLES.items():
        if getattr(settings, roles[0]) is not None:
            return Columns(kind, **{role: getattr(settings, role) for role in roles}, id=id_column)
    for kind, roles in ROLES.items():
        if all(role in names for role in roles):
            return Columns(kind, **{role: role for role in roles}, id=id_column)
    raise DataError(
        "the text is looked for in columns called `messages`, `prompt` with `completion`, or `text`; the columns "
        f"are {_listed(names)}. Name them with `--text`, `--messages`, or `--prompt` with `--completion`"
        f"{_example_flags(names)}."
    )


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _example_flags(names: Sequence[str]) -> str:
    candidates = [name for name in names if name != "id"]
    if len(candidates) >= 2:
        return f", for example `--prompt {candidates[0]} --completion {candidates[1]}`"
    return f", for example `--text {candidates[0]}`" if candidates else ""


def messages_of(value: Any) -> Any:
    """Chat messages as a list, where they arrive as JSON text; anything else unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def problem_of_row(values: dict[str, Any], columns: Columns) -> RowProblem | None:
    """What keeps a row from being an example, or None. Messages must have gone through ``messages_of``."""
    for name in columns.text_columns:
        if values.get(name) is None:
            return RowProblem(f"missing column `{name}`")
    return _PROBLEM_OF_KIND[columns.kind](values, columns)


def _problem_of_texts(values: dict[str, Any], columns: Columns) -> RowProblem | None:
    for name in columns.text_columns:
        if not isinstance(values[name], str):
            return RowProblem(f"`{name}` is not text")
    target = columns.text_columns[-1]  # the completion, or the only column; a prompt may be empty
    return None if values[target].strip() else RowProblem("empty target", f"`{target}` is empty or only spaces")


def _problem_of_messages(values: dict[str, Any], columns: Columns) -> RowProblem | None:
    (name,) = columns.text_columns
    turns = values[name]
    malformed = f"`{name}` is not a list of messages"
    if not isinstance(turns, list):
        return RowProblem(malformed, "it is not a list")
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict):
            return RowProblem(malformed, f"message {number} is not an object")
        for part in ("role", "content"):
            if not isinstance(turn.get(part), str):
                return RowProblem(malformed, f"`{part}` of message {number} is missing or not text")
    if not any(turn["role"] == "assistant" and turn["content"].strip() for turn in turns):
        return RowProblem("empty target", "no assistant message has content")
    return None


_PROBLEM_OF_KIND: dict[ExampleKind, Callable[[dict[str, Any], Columns], RowProblem | None]] = {
    "text": _problem_of_texts,
    "prompt_completion": _problem_of_texts,
    "messages": _problem_of_messages,
}
