"""What a person types, as the span of a column's values that it stands for, without losing a digit.

A day, month or year (``2026-03-01``, ``2026-03``, ``2026``) stands for all of its moments. A time without a zone is
one in the zone of the person, where the column holds instants.
"""

import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_DOWN, Decimal, InvalidOperation, localcontext
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lorif_core.corpus.value_types import ColumnType, Span, ValueType
from lorif_core.corpus.zones import offset_text

MAX_EXPONENT = 400
"""Numbers beyond ten to this power are larger than all that a column holds, and are compared as this one."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DAYS = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt]| +)(?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)"
    r" *(?P<zone>[Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?")
_DURATION_PARTS = {
    "d": Fraction(86_400),
    "h": Fraction(3_600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
_DURATION = re.compile(r"(-?)((?:[0-9]+(?:\.[0-9]+)?(?:ms|us|ns|d|h|m|s))+)")

EXAMPLES: dict[ColumnType, str] = {
    "bool": "true or false",
    "int": "a number such as 2020 or 0.5",
    "float": "a number such as 2020 or 0.5",
    "decimal": "a number such as 9.50",
    "date": "a day, month or year such as 2026-03-01, 2026-03 or 2026",
    "time": "a time of the day such as 14:30 or 14:30:05",
    "moment": "a date such as 2026-03-01 or 2026-03-01T14:30, without a zone",
    "instant": "a date such as 2026-03-01 or 2026-03-01T14:30+01:00",
    "duration": "a duration such as 90s, 1h30m or 250ms",
}


class Moment(NamedTuple):
    """A typed point in time."""

    at: datetime
    """To the second; with a zone if one was typed."""

    fraction: Fraction
    """Of a second, to be added."""


class Period(NamedTuple):
    """A typed day, month or year."""

    start: date
    """First day."""

    end: date | None
    """Day after the last one; None: the calendar ends before."""


def span_of(typed: str, value: ValueType, zone: ZoneInfo) -> Span | None:
    """The values of a column that a typed one stands for; None if it is none of its type.

    Args:
        typed: Without quotes.
        value: Type of the column; neither text nor yes/no.
        zone: What a time without a zone is meant in.
    """
    return _READERS[value.kind](typed, value, zone)


def span_of_number(number: Decimal, value: ValueType) -> Span:
    """The numbers of a column that are a number: one, or none, where it lies between two of them."""
    if value.kind == "float":
        return _float_span(number, is_single=value.sql == "FLOAT")
    return _whole_span(_fraction(number) * value.unit)


def read_moment(typed: str) -> Moment | None:
    """The date and time that is typed."""
    found = _MOMENT.fullmatch(typed)
    if found is None:
        return None
    seconds = _seconds_of_day(found["clock"])
    if seconds is None:
        return None
    zone = (found["zone"] or "").upper().replace("UTC", "Z")
    try:
        at = datetime.fromisoformat(f"{found['day']}T00:00:00{zone}") + timedelta(seconds=math.floor(seconds))
    except (ValueError, OverflowError):
        return None
    return Moment(at, seconds - math.floor(seconds))


def read_period(typed: str) -> Period | None:
    """The day, month or year that is typed."""
    found = _DAYS.fullmatch(typed)
    if found is None:
        return None
    year, month, day = (None if part is None else int(part) for part in found.groups())
    try:
        start = date(year or 0, month or 1, day or 1)
        if day is not None:
            return Period(start, start + timedelta(days=1))
        following = (start.year + 1, 1) if month in (None, 12) else (start.year, start.month + 1)
        return Period(start, date(*following, 1))
    except OverflowError:
        return Period(start, None)
    except ValueError:
        return Period(start, None) if year == date.max.year and month in (None, 12) else None


def _number_span(typed: str, value: ValueType, zone: ZoneInfo) -> Span | None:
    if not _NUMBER.fullmatch(typed):
        return None
    try:
        return span_of_number(Decimal(typed), value)
    except InvalidOperation:  # an exponent that even decimals cannot hold
        return None


def _fraction(number: Decimal) -> Fraction:
    if number.is_infinite() or (number and number.adjusted() > MAX_EXPONENT):
        number = Decimal(1).scaleb(MAX_EXPONENT).copy_sign(number)
    elif number and number.adjusted() < -MAX_EXPONENT:
        number = Decimal(1).scaleb(-MAX_EXPONENT).copy_sign(number)
    with localcontext(prec=3 * MAX_EXPONENT):
        short = number.quantize(Decimal(1).scaleb(-MAX_EXPONENT), ROUND_DOWN)
    rest = Fraction(1, 10 ** (MAX_EXPONENT + 1)) if short != number else 0  # digits so far behind only say "more"
    return Fraction(short) + (-rest if number < 0 else rest)


def _whole_span(number: Fraction) -> Span:
    return Span(math.ceil(number), math.floor(number))


def _float_span(number: Decimal, *, is_single: bool) -> Span:
    nearest = float(number)
    if is_single and math.isfinite(nearest):
        try:
            (nearest,) = struct.unpack("f", struct.pack("f", nearest))
        except OverflowError:
            nearest = math.copysign(math.inf, nearest)
    if math.isfinite(nearest) or number.is_infinite():
        return Span(nearest, nearest)
    most = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0] if is_single else math.nextafter(math.inf, 0)
    return Span(math.inf, most) if nearest > 0 else Span(-most, -math.inf)


def _date_span(typed: str, value: ValueType, zone: ZoneInfo) -> Span | None:
    period = read_period(typed)
    if period is None:
        return None
    epoch = date(1970, 1, 1)
    last = date.max if period.end is None else period.end - timedelta(days=1)
    return Span((period.start - epoch).days, (last - epoch).days)


def _moment_span(typed: str, value: ValueType, zone: ZoneInfo) -> Span | None:
    period, is_instant = read_period(typed), value.kind == "instant"
    if period is not None:
        inside = zone if is_instant else UTC
        start = _ticks(_first_moment(period.start, inside), value.unit)
        if period.end is None:
            return Span(start, value.limits[1])
        return Span(start, _ticks(_first_moment(period.end, inside), value.unit) - 1)
    moment = read_moment(typed)
    if moment is None or (moment.at.tzinfo is not None and not is_instant):
        return None
    at = moment.at if moment.at.tzinfo else moment.at.replace(tzinfo=zone if is_instant else UTC)
    return _whole_span(_ticks(at, value.unit) + moment.fraction * value.unit)


def _first_moment(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _ticks(at: datetime, unit: int) -> int:
    # Not by subtracting aware times: those of one zone are subtracted by their clocks.
    offset = at.utcoffset() or timedelta()
    return ((at.replace(tzinfo=None) - datetime(1970, 1, 1) - offset) // timedelta(seconds=1)) * unit


def _time_span(typed: str, value: ValueType, zone: ZoneInfo) -> Span | None:
    seconds = _seconds_of_day(typed)
    return None if seconds is None else _whole_span(seconds * value.unit)


def _seconds_of_day(clock: str) -> Fraction | None:
    found = _CLOCK.fullmatch(clock)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    digits = found[4] or "0"
    return Fraction(hours * 3600 + minutes * 60 + seconds) + Fraction(int(digits[:4000]), 10 ** len(digits[:4000]))


def _duration_span(typed: str, value: ValueType, zone: ZoneInfo) -> Span | None:
    found = _DURATION.fullmatch(typed.replace(" ", ""))
    if found is None or len(typed) > 100:
        return None
    parts = re.findall(r"([0-9.]+)(ms|us|ns|d|h|m|s)", found[2])
    seconds = sum((Fraction(number) * _DURATION_PARTS[unit] for number, unit in parts), Fraction())
    return _whole_span((-seconds if found[1] else seconds) * value.unit)


_READERS: dict[ColumnType, Callable[[str, ValueType, ZoneInfo], Span | None]] = {
    "int": _number_span,
    "float": _number_span,
    "decimal": _number_span,
    "date": _date_span,
    "time": _time_span,
    "moment": _moment_span,
    "instant": _moment_span,
    "duration": _duration_span,
}


def with_zone(typed: str, zone: ZoneInfo) -> str:
    """A typed time with its zone written out; as it was where it has one already."""
    moment = read_moment(typed)
    if moment is None or moment.at.tzinfo is not None:
        return typed
    seconds = moment.at.second or moment.fraction
    fraction = re.split(r"[.,]", typed.strip())[1:] if moment.fraction else []
    return _zoned_text(moment.at.replace(tzinfo=zone), "seconds" if seconds else "minutes", "".join(fraction))


def start_with_zone(day: date, zone: ZoneInfo) -> str:
    """The first moment of a day in a zone, as it is typed."""
    return _zoned_text(_first_moment(day, zone), "minutes", "")


def _zoned_text(at: datetime, precision: str, fraction: str) -> str:
    if (at.utcoffset() or timedelta()).seconds % 60:  # before there were zones, an offset had seconds: in UTC, then
        at, precision = at.astimezone(UTC), "seconds"
    written = at.replace(tzinfo=None).isoformat(timespec=precision)
    return f"{written}{f'.{fraction}' if fraction else ''}{offset_text(at)}"
