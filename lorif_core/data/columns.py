"""Which columns of the data make an example, and how the values of a column are stored.

Columns keep their names in ``examples.parquet``, behind some of its own (``column_plan``). Plain values are bool,
int64, uint64, float64 or text when all of a column are (whole numbers among fractions are float64 where that is
exact); any other column holds JSON text and is listed as such in the file, so that its values come back as they were.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from lorif_core.config import FormName, Preference, PromptForm
from lorif_core.data.cells import CellKind, CellScan, kind_of

ExampleKind = Literal["text", "prompt_completion", "messages", "preference", "tokens"]
Storage = Literal["bool", "int", "wide int", "uint", "float", "string", "json"]
Look = Literal["text", "turns", "ids", "bool", "other"]
"""What the values of a column are: text, lists of chat messages, lists of whole numbers, true or false."""

MAX_EXACT_FLOAT = 2**53  # float64 holds every whole number up to here
SPEAKERS = ("role", "from")
"""Keys of a chat message that say who speaks."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns that make an example, by their role; a role that the form does not have is None."""

    kind: ExampleKind
    """Which fields of the example are set."""

    system: str | None = None
    """Text before the prompt, or the system message of a chat."""

    messages: str | None = None
    """Chat messages; the tokens of the assistant's turns are the targets."""

    prompt: str | None = None
    """Prompt, question or instruction; never a target."""

    context: str | None = None
    """Text that belongs to the prompt, such as Alpaca's input."""

    completion: str | None = None
    """Completion, answer or output; its tokens are the targets."""

    chosen: str | None = None
    """Preference data: the better side, text or messages."""

    rejected: str | None = None
    """Preference data: the worse side."""

    label: str | None = None
    """Whether a completion is a wanted one; others are no examples."""

    text: str | None = None
    """Plain text; every token but the first is a target."""

    input_ids: str | None = None
    """Token ids."""

    labels: str | None = None
    """Target tokens; -100 is none."""

    position_ids: str | None = None
    """Positions; where they start again, a segment begins."""

    segment_ids: str | None = None
    """Number of the segment that a token belongs to."""

    seq_lengths: str | None = None
    """Lengths of the segments of a row."""

    attention_mask: str | None = None
    """0 is padding, which is left out; several numbers are segments."""

    shown: str | None = None
    """Text that people read in place of token ids."""

    tools: str | None = None
    """Tools that a chat may call."""

    id: str | None = None
    """Stable ids, or None: an id is then the hash of the content."""

    weight: str | None = None
    """A number per text that its loss is multiplied by; None: every text weighs 1. It is metadata like any column."""

    form: FormName | None = None
    """How the columns are read, where that is not what ``kind`` says alone."""

    prompt_form: PromptForm | None = None
    """How texts become a prompt; None: they follow one another as they are."""

    preference: Preference | None = None
    """Which sides of preference data are read."""

    target_turn: int | None = None
    """Assistant turn that is the target: 1 is the first, -1 the last; None: every one."""

    @property
    def names(self) -> dict[str, str]:
        """Role → column, of every column that makes the example's text; id and weight are none of them."""
        found = {role: getattr(self, role) for role in ROLES if role not in BESIDE_TEXT}
        return {role: name for role, name in found.items() if name is not None}

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Every column that makes the example's text."""
        return tuple(self.names.values())

    @property
    def trained_columns(self) -> tuple[str, ...]:
        """Every column that says what is trained on, the weight among them."""
        return self.read_columns if self.weight is None else (*self.read_columns, self.weight)

    @property
    def structured_columns(self) -> tuple[str, ...]:
        """Columns that hold lists, or JSON text that spells them."""
        has_turns = self.form in ("conversational", "preference", "unpaired")
        roles = (*STRUCTURED, "prompt", "completion") if has_turns else STRUCTURED
        return tuple(name for role, name in self.names.items() if role in roles)

    @property
    def is_verbatim(self) -> bool:
        """Whether what people read is what the columns hold: text, or prompt and completion, as they are."""
        return self.form is None and self.kind in ("text", "prompt_completion")

    @property
    def choices(self) -> dict[str, Any]:
        """All that is no column: how the columns are read."""
        return {name: getattr(self, name) for name in CHOICES if getattr(self, name) is not None}

    @property
    def opening(self) -> bytes:
        """The start of the hash over all examples: the same columns read in another way are other examples."""
        told = [self.kind, *self.read_columns]
        is_plain = not self.choices and "tools" not in self.names
        weighed = [] if self.weight is None else [{"weight": self.weight}]
        told = told if is_plain and not weighed else [*told, self.names, self.choices, *weighed]
        return json.dumps(told, sort_keys=True).encode()

    def renamed(self, stored_names: Mapping[str, str]) -> "Columns":
        """The same columns under other names."""
        new = {name: getattr(self, name) for name in ROLES}
        new = {role: name if name is None else stored_names[name] for role, name in new.items()}
        return Columns(self.kind, **new, **self.choices)

    def to_dict(self) -> dict[str, Any]:
        """The kind and all that is set, ready for JSON."""
        always = ("kind", "text", "prompt", "completion", "messages", "id")
        return {name: value for name, value in asdict(self).items() if value is not None or name in always}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Columns":
        """Inverse of ``to_dict``."""
        return cls(**values)


STRUCTURED = (
    *("messages", "chosen", "rejected"),
    *("input_ids", "labels", "position_ids", "segment_ids", "seq_lengths", "attention_mask"),
)
"""Roles whose columns hold lists. Tools are not among them: before they were read, ids knew them as they are."""

BESIDE_TEXT = ("id", "weight")
"""Roles whose columns are no part of the text."""

CHOICES = ("form", "prompt_form", "preference", "target_turn")
"""Fields of ``Columns`` that say how columns are read."""

ROLES = tuple(one.name for one in fields(Columns) if one.name not in ("kind", *CHOICES))
"""Fields of ``Columns`` that name a column."""


class RowProblem(NamedTuple):
    """Why a row cannot be an example."""

    reason: str
    """The same words for all rows with this problem."""

    detail: str = ""
    """What is particular to this row."""


EMPTY_TARGET = "empty target"


def spelled_out(value: Any) -> Any:
    """The list or object that JSON text spells; anything else unchanged."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def look_of(value: Any) -> Look | None:
    """What a value is, or None where it says nothing: a null, an empty list."""
    if value is None or value == []:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, list):
        return _look_of_list(value)
    if not isinstance(value, str):
        return "other"
    if value.strip().lower() in ("true", "false"):
        return "bool"
    # A file of nothing but text, CSV say, spells messages as JSON.
    if value.lstrip().startswith("[") and any(f'"{key}"' in value for key in SPEAKERS):
        return "turns" if look_of(spelled_out(value)) == "turns" else "text"
    return "text"


def _look_of_list(values: list[Any]) -> Look:
    first = values[0]
    if isinstance(first, dict) and any(key in first for key in SPEAKERS):
        return "turns"
    return "ids" if isinstance(first, int) and not isinstance(first, bool) else "other"


@dataclass
class ColumnScan:
    """What the values of a column are, as far as rows were looked at."""

    has_comma: bool = False
    """Numbers in cells have a decimal comma."""

    storages: Counter[Storage] = field(default_factory=Counter)
    """How many values each storage holds; nulls and cells of CSV are not counted."""

    looks: Counter[Look] = field(default_factory=Counter)
    cells: CellScan | None = None
    """What the cells of CSV files are; None: there were none."""

    first: dict[Storage, tuple[Any, int]] = field(default_factory=dict)
    """Storage → the first such value and its line."""

    num_nulls: int = 0
    is_negative: bool = False
    has_pointed_whole: bool = False
    """Whether a whole number came as 1.0."""

    fields: "FieldScan" = field(default_factory=lambda: FieldScan())
    times: "TimeScan" = field(default_factory=lambda: TimeScan())

    def add(self, value: Any, line: int = 0) -> None:
        """Take note of a value."""
        if (storage := storage_of(value)) is None:
            self.num_nulls += 1
            return
        if storage not in self.storages:
            self.first[storage] = (value, line)
        self.storages[storage] += 1
        if (look := look_of(value)) is not None:
            self.looks[look] += 1
        if storage == "string":
            self.times.add(value)
        elif storage == "json":
            self.fields.add(value)
        elif storage in ("int", "wide int") and value < 0:
            self.is_negative = True
        elif storage == "float" and value.is_integer():
            self.has_pointed_whole = True

    def add_cell(self, cell: str, line: int) -> None:
        """Take note of a cell of a CSV file."""
        self.cells = self.cells or CellScan(self.has_comma)
        self.cells.add(cell, line)
        if (look := look_of(cell)) is not None:
            self.looks[look] += 1

    @property
    def storage(self) -> Storage | None:
        """Holds all plain values; None without one."""
        merged: Storage | None = None
        for storage in self.storages:
            merged = merge_storages(merged, storage)
        return "json" if merged == "uint" and self.is_negative else merged

    @property
    def num_missing(self) -> int:
        """Nulls and empty cells."""
        return self.num_nulls + (self.cells.num_empty if self.cells is not None else 0)

    @property
    def example(self) -> str:
        """One of the first values, shortened; empty without one."""
        cells = [one.cell for one in self.cells.first.values()] if self.cells is not None else []
        return next(
            (str(value)[:MAX_EXAMPLE] for value in [*cells, *(value for value, _ in self.first.values())]), ""
        )

    @property
    def is_mixed(self) -> bool:
        """Whether a column of JSON holds no list and no object."""
        return self.storage == "json" and not self.fields.has_nested

    @property
    def has_plain_whole(self) -> bool:
        """Whether numbers with fractions stand beside whole ones, all of which came without a point."""
        return self.storage == "float" and "int" in self.storages and not self.has_pointed_whole

    @property
    def look(self) -> Look | None:
        """What most of them are; None when they say nothing."""
        return next((look for look, _ in self.looks.most_common(1)), None)


MAX_EXAMPLE = 40
MAX_FIELD_DEPTH = 3
MAX_FIELDS = 64


@dataclass
class FieldScan:
    """What the fields of a column's objects hold, to some depth and number."""

    has_nested: bool = False
    """Whether a value is a list or an object, not a number of many digits."""

    storages: dict[str, Storage | None] = field(default_factory=dict)
    """Path, such as ``author.name`` → what holds all its values."""

    def add(self, value: Any) -> None:
        """Take note of a value."""
        self.has_nested = self.has_nested or isinstance(value, (dict, list))
        if isinstance(value, dict):
            self._add_object(value, "", 1)

    def _add_object(self, values: dict[str, Any], before: str, depth: int) -> None:
        for name, value in values.items():
            path = f"{before}{name}"
            if isinstance(value, dict) and depth < MAX_FIELD_DEPTH:
                self._add_object(value, f"{path}.", depth + 1)
            elif path in self.storages:
                self.storages[path] = merge_storages(self.storages[path], storage_of(value))
            elif len(self.storages) < MAX_FIELDS:
                self.storages[path] = storage_of(value)

    @property
    def found(self) -> dict[str, Storage]:
        """Path → storage, of those with a value; ``json`` where scalars are mixed or lists."""
        return {path: storage for path, storage in self.storages.items() if storage is not None}


@dataclass
class TimeScan:
    """Whether all texts of a column are ISO dates or times, all with a zone or all without one."""

    kinds: set[CellKind] | None = field(default_factory=set)
    """None: some text is no time."""

    def add(self, text: str) -> None:
        """Take note of a text."""
        if self.kinds is None:
            return
        is_dated = text[:4].isdigit() and text[4:5] == "-" and text == text.strip()
        kind: CellKind = kind_of(text) if is_dated else "text"
        self.kinds = {*self.kinds, kind} if kind in ("date", "moment", "instant") else None

    @property
    def found(self) -> bool:
        """Whether the column holds times."""
        return bool(self.kinds) and (self.kinds == {"instant"} or "instant" not in self.kinds)


Looks = Mapping[str, Look | None]
"""Every column, with what most of its values are; None: nothing is known."""


def looks_of(scanned: Mapping[str, ColumnScan]) -> dict[str, Look | None]:
    """What most values of each column are."""
    return {name: scan.look for name, scan in scanned.items()}


def storage_of(value: Any) -> Storage | None:
    """The narrowest storage that holds a value, or None for a null."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if abs(value) <= MAX_EXACT_FLOAT:
            return "int"
        if -(2**63) <= value < 2**63:
            return "wide int"
        return "uint" if 0 < value < 2**64 else "json"
    types: dict[type, Storage | None] = {type(None): None, float: "float", str: "string"}
    return types.get(type(value), "json")


def merge_storages(one: Storage | None, other: Storage | None) -> Storage | None:
    """The storage that holds what either holds; the order of merging does not matter."""
    if one == other or one is None or other is None:
        return one or other
    pair = {one, other}
    if pair <= {"int", "wide int", "uint"}:
        return "uint" if "uint" in pair else "wide int"
    return "float" if pair == {"int", "float"} else "json"
