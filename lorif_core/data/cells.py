"""What the cells of a CSV file are: numbers, dates, times, true or false, or text.

A cell is a number only where it is plainly one: ``007`` and ``+5`` are text, so are numbers with more digits than
their type holds. NaN and inf are numbers beside numbers. Dates and times are ISO 8601, with ``T`` or a space. An
empty cell is missing. A column has a type when all its cells do; a column in which one number is spelled in two
ways (``1.1`` and ``1.10``, as versions are) is text.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple

import pyarrow as pa

CellKind = Literal["bool", "int", "uint", "float", "nan", "date", "moment", "instant", "text"]
"""``moment`` is a time without a zone, ``instant`` one with a zone."""

MAX_CELL = 64  # no number or time is longer
MAX_DIGITS = 17  # float64 tells numbers of up to so many digits apart
MAX_SPELLINGS = 50_000
FAMILIES: dict[str, tuple[CellKind, ...]] = {
    "numbers": ("int", "uint", "float", "nan"),
    "true or false": ("bool",),
    "dates or times": ("date", "moment", "instant"),
}

_WHOLE = r"(?:0|[1-9][0-9]*)"
_CELL = re.compile(
    rf"(?P<int>0|-?[1-9][0-9]*)|(?P<float>-?(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)"
    r"|(?P<nan>nan|[+-]?inf(?:inity)?)|(?P<bool>true|false)"
    r"|(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?P<clock>[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?)?"
    r"(?P<zone>\ ?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?))?",
    re.IGNORECASE | re.ASCII,
)
_COMMA = re.compile(r"-?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]*)(?:,[0-9]+)?(?:e[+-]?[0-9]+)?", re.IGNORECASE | re.ASCII)

_NEAR = re.compile(
    r"[+-]?[$€£]?[0-9][0-9.,]*(?:\ ?[%$€£])?|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?|(?:[0-9]{1,4}[./-]){2}[0-9]{1,4}",
    re.ASCII,
)
"""Text that people read as a number, a time of the day or a date."""


def kind_of(cell: str, *, has_comma: bool = False) -> CellKind:
    """What a cell that is not empty holds.

    Args:
        cell: Its text.
        has_comma: Numbers have a decimal comma, and points between thousands.
    """
    if len(cell) > MAX_CELL:
        return "text"
    cell = _with_point(cell) if has_comma else cell.strip()
    if (found := _CELL.fullmatch(cell)) is None:
        return "text"
    if found["int"]:
        whole = int(cell)
        return "int" if -(2**63) <= whole < 2**63 else "uint" if 0 < whole < 2**64 else "text"
    if found["float"]:
        return "float" if _is_exact(cell) else "text"
    if found["nan"] or found["bool"]:
        return "nan" if found["nan"] else "bool"
    if found["zone"] and not found["clock"]:
        return "text"
    try:
        datetime.fromisoformat(_iso(cell))
    except ValueError:
        return "text"
    return "instant" if found["zone"] else "moment" if found["clock"] else "date"


def _with_point(cell: str) -> str:
    cell = cell.strip()
    if _COMMA.fullmatch(cell):
        return cell.replace(".", "").replace(",", ".")
    return cell if _is_time(cell) or not re.match(r"[-.]?[0-9]", cell) else f"'{cell}"  # 1.5 is no number here


def _is_time(cell: str) -> bool:
    return re.match(r"[0-9]{4}-", cell) is not None


def _is_exact(cell: str) -> bool:
    digits = re.sub(r"e.*|[-.]", "", cell.lower()).lstrip("0")
    return len(digits) <= MAX_DIGITS and math.isfinite(float(cell))


def _iso(cell: str) -> str:
    """As Python reads it: no space before the zone."""
    return re.sub(r" (?=[+-]|Z\Z)", "", cell.upper().replace(",", "."))


def parse(cell: str, kind: pa.DataType, *, has_comma: bool = False) -> Any:
    """The plain value of a cell in a column of a type, as ``plain_values`` would give it.

    Raises:
        ValueError: The cell is none of this type.
    """
    if pa.types.is_string(kind):
        return cell
    found = kind_of(cell, has_comma=has_comma)
    cell = _with_point(cell) if has_comma else cell.strip()
    if pa.types.is_boolean(kind) and found == "bool":
        return cell.lower() == "true"
    if pa.types.is_integer(kind) and found in ("int", "uint"):
        return int(cell)
    if pa.types.is_floating(kind) and found in ("int", "float", "nan"):
        return float(cell)
    if pa.types.is_date(kind) and found == "date":
        return date.fromisoformat(cell).isoformat()
    if pa.types.is_timestamp(kind) and found in ("date", "moment", "instant"):
        return moment(cell, is_zoned=kind.tz is not None)
    raise ValueError(f"{cell[:80]!r} is none")


def moment(text: str, *, is_zoned: bool) -> str:
    """An ISO date or time as Arrow prints it in microseconds, in UTC where the column has zones."""
    found = datetime.fromisoformat(_iso(text.strip()))
    if (found.tzinfo is not None) != is_zoned:
        raise ValueError(f"{text[:80]!r} has {'no' if is_zoned else 'a'} zone")
    if is_zoned:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return found.isoformat(" ", "microseconds") + ("Z" if is_zoned else "")


class FirstCell(NamedTuple):
    """A cell and where it is."""

    cell: str
    line: int


@dataclass
class CellScan:
    """What the cells of a column are, as far as rows were looked at."""

    has_comma: bool = False
    """Numbers have a decimal comma."""

    kinds: Counter[CellKind] = field(default_factory=Counter)
    first: dict[CellKind, FirstCell] = field(default_factory=dict)
    num_empty: int = 0
    is_wide: bool = False
    """Whether a whole number is beyond what float64 holds exactly."""

    is_negative: bool = False
    has_two_spellings: bool = False
    """Whether one fraction is there in two spellings."""

    has_pointed_whole: bool = False
    """Whether a whole number is spelled as 1.0 or 1e3."""

    num_near: int = 0
    """Cells of text that people read as numbers or times: ``5%``, ``0012``, ``1,5``, ``9:05``, ``01.03.2026``."""

    first_near: FirstCell | None = None

    _lengths: dict[str, int] = field(default_factory=dict)
    """Fraction without the zeros at its end → number of its digits behind the point, of the first so many."""

    _shapes: set[tuple[int, bool]] = field(default_factory=set)
    """Number of digits behind the point, and whether the last one is 0."""

    def add(self, cell: str, line: int) -> None:
        """Take note of a cell."""
        if not cell or (len(cell) <= MAX_CELL and not cell.strip()):
            self.num_empty += 1
            return
        kind = kind_of(cell, has_comma=self.has_comma)
        if kind not in self.kinds:
            self.first[kind] = FirstCell(cell, line)
        self.kinds[kind] += 1
        if kind == "text" and len(cell) <= MAX_CELL and _NEAR.fullmatch(cell.strip()):
            self.num_near += 1
            self.first_near = self.first_near or FirstCell(cell, line)
        if kind == "int" or kind == "uint":
            whole = int(_with_point(cell) if self.has_comma else cell)
            self.is_wide = self.is_wide or abs(whole) > 2**53
            self.is_negative = self.is_negative or whole < 0
        elif kind == "float":
            self._add_fraction(_with_point(cell) if self.has_comma else cell.strip())

    def _add_fraction(self, cell: str) -> None:
        whole, point, fraction = cell.partition(".")
        self.has_pointed_whole |= float(cell).is_integer()
        if not point or "e" in fraction.lower():
            return
        stripped = f"{whole or '0'}.{fraction.rstrip('0')}"
        if len(self._lengths) < MAX_SPELLINGS:
            self.has_two_spellings |= self._lengths.setdefault(stripped, len(fraction)) != len(fraction)
            return
        self._shapes.add((len(fraction), fraction.endswith("0")))  # of more only whether it may be
        self.has_two_spellings |= len({length for length, _ in self._shapes}) > 1 and any(
            is_zero and length > 1 for length, is_zero in self._shapes
        )

    @property
    def found(self) -> pa.DataType:
        """The type that holds all cells."""
        kinds = set(self.kinds)
        if kinds == {"bool"}:
            return pa.bool_()
        if kinds == {"int"}:
            return pa.int64()
        if kinds and kinds <= {"int", "uint"} and not self.is_negative:
            return pa.uint64()
        if kinds & {"int", "float"} and kinds <= {"int", "float", "nan"}:
            return pa.string() if self.is_wide or self.has_two_spellings else pa.float64()
        if kinds == {"date"}:
            return pa.date32()
        if kinds == {"instant"}:
            return pa.timestamp("us", "UTC")
        return pa.timestamp("us") if kinds and kinds <= {"date", "moment"} else pa.string()

    @property
    def note(self) -> str:
        """Why a column of almost one type is text; empty when there is nothing to say."""
        if not pa.types.is_string(self.found) or not self.kinds:
            return ""
        total = self.kinds.total()
        family, kinds = max(FAMILIES.items(), key=lambda item: sum(map(self.kinds.__getitem__, item[1])))
        others: list[CellKind] = [kind for kind in self.kinds if kind not in kinds]
        num_others = sum(self.kinds[kind] for kind in others)
        if num_others:
            odd = min((self.first[kind] for kind in others), key=lambda one: one.line)
            is_close = num_others * 2 <= total
            said = f"{num_others:,} of {total:,} cells, such as {odd.cell[:40]!r} in line {odd.line}, are no {family}"
            return said if is_close else self._note_of_near()
        if family == "numbers":
            return "one number is spelled in two ways" if self.has_two_spellings else "not all numbers fit one type"
        return "some times have a zone, others have none"

    def _note_of_near(self) -> str:
        if self.first_near is None or 2 * self.num_near < self.kinds.total():
            return ""
        cell, line = self.first_near
        is_comma = not self.has_comma and re.fullmatch(r"-?[0-9.]*,[0-9]+", cell.strip())
        hint = "; `--decimal-comma` reads decimal commas" if is_comma else ""
        return (
            f"{self.num_near:,} of {self.kinds.total():,} cells, such as {cell[:40]!r} in line {line}, look like "
            f"numbers or times and are compared by their characters{hint}"
        )
