"""Where the bars of a histogram begin and end.

Floats get bars of equal width, whole numbers and decimals bars of whole units, times bars that people count in:
minutes, hours, days, months, quarters, years, by the clock and the calendar of the zone in which they are shown.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from lorif_core.corpus.value_types import ValueType

NUM_BINS = 20
MOST_TIME_BINS = 31
"""Bars of times: as many as a month has days."""

_SECONDS = [Fraction(1, 10**digits) for digits in range(9, 0, -1)] + [
    Fraction(seconds) for seconds in (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
]
_DAY = 86_400
_MONTHS = (1, 3, 12, 60, 120, 600, 1200, 6000, 12_000)
_EPOCH = datetime(1970, 1, 1)


def float_edges(minimum: float, maximum: float) -> list[float]:
    """Ends of equally wide bins, ascending; twice the same number if it is the only one."""
    if minimum == maximum:
        return [minimum, maximum]
    # Halves, because the difference of two floats may be infinite.
    half = maximum / 2 - minimum / 2
    inner = [minimum + half * (2 * number / NUM_BINS) for number in range(1, NUM_BINS)]
    return [minimum, *sorted({edge for edge in inner if minimum < edge < maximum}), maximum]


def unit_edges(minimum: int, maximum: int) -> list[int]:
    """Ends of bins of whole units, the last of which may be cut."""
    if minimum == maximum:
        return [minimum, maximum]
    width = -(-(maximum - minimum + 1) // NUM_BINS)
    return [*range(minimum, maximum + 1, width), maximum]


def time_edges(minimum: int, maximum: int, value: ValueType, zone: ZoneInfo) -> list[int]:
    """Ends of bins of times, in units; the last one is later than all of them.

    Args:
        minimum: Earliest time, in units of the type.
        maximum: Latest one.
        value: A date, time of the day, moment or instant.
        zone: Whose clock and calendar count, for instants.
    """
    if value.kind == "time":
        return _clock_edges(minimum, maximum, value.unit)
    inside = zone if value.kind == "instant" else UTC
    per_day = 1 if value.kind == "date" else _DAY * value.unit

    def place(day: date) -> int:
        local = datetime(day.year, day.month, day.day, tzinfo=inside)
        offset = local.utcoffset() or timedelta()
        seconds = (local.replace(tzinfo=None) - _EPOCH - offset) // timedelta(seconds=1)
        return seconds // _DAY if value.kind == "date" else seconds * value.unit

    try:
        first, last = (_local(number, value, inside).date() for number in (minimum, maximum))
        if value.kind != "date" and maximum - minimum < 2 * per_day and minimum < maximum:
            return _steps_from(place(first), minimum, maximum, value.unit)
        return [place(day) for day in _calendar(first, last)]
    except (ValueError, OverflowError):  # beyond the calendar of Python
        return unit_edges(minimum, maximum)


def of_units(number: int, value: ValueType, zone: ZoneInfo) -> Any:
    """A number of units as a value: a decimal, a day, a time in the zone, a duration."""
    if value.kind == "decimal":
        return Decimal(number) / value.unit
    if value.kind == "duration":
        return timedelta(microseconds=number * 10**6 // value.unit)
    if value.kind == "time":
        return (datetime.min + timedelta(microseconds=number * 10**6 // value.unit)).time()
    if value.kind == "int":
        return number
    try:
        local = _local(number, value, zone if value.kind == "instant" else UTC)
    except (ValueError, OverflowError):
        return number
    if value.kind == "date":
        return local.date()
    return local if value.kind == "instant" else local.replace(tzinfo=None)


def _local(number: int, value: ValueType, zone: Any) -> datetime:
    microseconds = number * _DAY * 10**6 if value.kind == "date" else number * 10**6 // value.unit
    return (_EPOCH.replace(tzinfo=UTC) + timedelta(microseconds=microseconds)).astimezone(zone)


def _clock_edges(minimum: int, maximum: int, unit: int) -> list[int]:
    edges = _steps_from(0, minimum, maximum, unit)
    end = _DAY * unit
    return edges if edges[-1] < end else [*(edge for edge in edges if edge < end), end - 1]


def _steps_from(origin: int, minimum: int, maximum: int, unit: int) -> list[int]:
    """Multiples of the finest step that gives few bins, counted from an origin."""
    steps = [int(seconds * unit) for seconds in _SECONDS if seconds * unit >= 1]
    few = (step for step in steps if (maximum - minimum) // step < MOST_TIME_BINS - 1)
    step = next(few, _DAY * unit)
    start = origin + (minimum - origin) // step * step
    return list(range(start, maximum + step + 1, step)) if start + step <= maximum else [start, start + step]


def _calendar(first: date, last: date) -> list[date]:
    """First days of the periods that hold all days between two, and the day after the last period."""
    if (last - first).days < MOST_TIME_BINS:
        return [first + timedelta(days=number) for number in range((last - first).days + 2)]
    low, high = (day.year * 12 + day.month - 1 for day in (first, last))
    length = next((one for one in _MONTHS if high // one - low // one < MOST_TIME_BINS), _MONTHS[-1])
    months = range(low // length * length, (high // length + 2) * length, length)
    days = [date(max(month // 12, 1), month % 12 + 1, 1) for month in months if month // 12 <= date.max.year]
    return days if days[-1] > last else [*days, date.max]
