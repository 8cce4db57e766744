"""Which columns of the data hold the text, what makes a row usable, how columns are stored.

Columns that a person names win. The others are found by name, and the first complete kind of
this order is taken: ``messages``, then ``prompt`` with ``completion``, then ``text``.

Columns keep their names in ``examples.parquet``, behind two of its own: ``train_id`` and
``source_line``. A column of the data with such a name becomes ``original_train_id`` or
``original_source_line``, and one without a name becomes ``unnamed``. A column is bool, int64,
float64 or text when all its values are (whole numbers among fractions are float64 where that
is exact); any other column holds JSON text and is listed as such in the file, so that its
values come back as they were.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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

OWN_COLUMNS = ("train_id", "source_line")
MAX_EXACT_FLOAT = 2**53  # float64 holds every whole number up to here
Storage = Literal["bool", "int", "wide int", "float", "string", "json"]


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


EMPTY_TARGET = "empty target"


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
    candidates = [shlex.quote(name) for name in names if name != "id"]
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


def problem_of_row(values: dict[str, Any], columns: Columns, *, keeps_empty: bool = False) -> RowProblem | None:
    """What keeps a row from being an example, or None.

    Args:
        values: Of the row; messages must have gone through ``messages_of``.
        columns: Which of them are text.
        keeps_empty: An empty completion is no problem: its end token is the target.
    """
    for name in columns.text_columns:
        if values.get(name) is None:
            return RowProblem(f"missing column `{name}`")
    problem = _PROBLEM_OF_KIND[columns.kind](values, columns)
    is_allowed = keeps_empty and columns.kind == "prompt_completion"
    return None if is_allowed and problem is not None and problem.reason == EMPTY_TARGET else problem


def _problem_of_texts(values: dict[str, Any], columns: Columns) -> RowProblem | None:
    for name in columns.text_columns:
        if not isinstance(values[name], str):
            return RowProblem(f"`{name}` is not text")
    target = columns.text_columns[-1]  # the completion, or the only column; a prompt may be empty
    return None if values[target].strip() else RowProblem(EMPTY_TARGET, f"`{target}` is empty or only spaces")


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
        return RowProblem(EMPTY_TARGET, "no assistant message has content")
    return None


_PROBLEM_OF_KIND: dict[ExampleKind, Callable[[dict[str, Any], Columns], RowProblem | None]] = {
    "text": _problem_of_texts,
    "prompt_completion": _problem_of_texts,
    "messages": _problem_of_messages,
}


@dataclass(frozen=True)
class ColumnPlan:
    """How every column of the data is stored. Keys are the names in the data."""

    source: Columns
    """The text and id columns by their names in the data."""

    storages: dict[str, Storage]
    """Name → how the values are stored."""

    stored_names: dict[str, str]
    """Name → name in ``examples.parquet``."""

    @property
    def stored(self) -> Columns:
        """The text and id columns by their names in ``examples.parquet``."""
        roles = ("text", "prompt", "completion", "messages", "id")
        names = {role: getattr(self.source, role) for role in roles}
        return replace(self.source, **{role: name and self.stored_names[name] for role, name in names.items()})

    @property
    def metadata_columns(self) -> list[str]:
        """Names in ``examples.parquet`` of the columns that are neither text nor ids."""
        taken = {*self.source.text_columns, self.source.id}
        return [stored for name, stored in self.stored_names.items() if name not in taken]

    @property
    def json_columns(self) -> list[str]:
        """Names in ``examples.parquet`` of the columns that hold JSON text."""
        return [self.stored_names[name] for name, storage in self.storages.items() if storage == "json"]


def plan_columns(scanned: Mapping[str, Storage | None], settings: ImportConfig) -> ColumnPlan:
    """Names and types of all columns, from those that a scan of all rows found.

    Raises:
        DataError: A column that the settings name is absent, or nothing is named and nothing found.
    """
    # Without one readable row there are no names: any plan will do to list what is wrong with the rows.
    source = find_columns(list(scanned), settings) if scanned else Columns("text", text="text")
    storages: dict[str, Storage] = {name: storage or "string" for name, storage in scanned.items()}
    # Whatever rejected rows hold, this is what accepted ones hold.
    storages |= dict.fromkeys(source.text_columns, "json" if source.kind == "messages" else "string")
    return ColumnPlan(source, storages, _stored_names(storages))


def _stored_names(names: Mapping[str, Any]) -> dict[str, str]:
    stored_names: dict[str, str] = {}
    taken = {*names, *OWN_COLUMNS, ""}
    for name in names:
        stored = name
        if name in OWN_COLUMNS or not name:
            stored = name or "unnamed"
            while stored in taken:
                stored = f"original_{stored}"
            taken.add(stored)
        stored_names[name] = stored
    return stored_names


def storage_of(value: Any) -> Storage | None:
    """The narrowest storage that holds a value, or None for a null."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if abs(value) <= MAX_EXACT_FLOAT:
            return "int"
        return "wide int" if -(2**63) <= value < 2**63 else "json"
    types: dict[type, Storage | None] = {type(None): None, float: "float", str: "string"}
    return types.get(type(value), "json")


def merge_storages(one: Storage | None, other: Storage | None) -> Storage | None:
    """The storage that holds what either holds; the order of merging does not matter."""
    if one == other or one is None or other is None:
        return one or other
    pair = {one, other}
    if pair == {"int", "wide int"}:
        return "wide int"
    return "float" if pair == {"int", "float"} else "json"
