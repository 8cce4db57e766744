"""Values of columns as people read them: an instant in the person's zone, named by how far it is from UTC."""

import math
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from lorif_core.corpus.facets import Bin, HistogramFacet
from lorif_core.corpus.literals import read_moment
from lorif_core.corpus.value_types import ValueType
from lorif_core.corpus.zones import zone_named

_UNITS = ((86_400 * 10**9, "d"), (3_600 * 10**9, "h"), (60 * 10**9, "m"), (10**9, "s"), (10**6, "ms"), (10**3, "us"))


def cell_text(value: object, zone: str | None = None) -> str:
    """One value.

    Args:
        value: As a page, a facet or the metadata of a text hold it.
        zone: IANA name of the person's time zone, in which instants are shown; None: that of this process.
    """
    if isinstance(value, datetime):
        return _moment_text(value if value.tzinfo is None else value.astimezone(zone_named(zone)))
    if isinstance(value, time):
        return value.isoformat("auto" if value.second or value.microsecond else "minutes")
    if isinstance(value, timedelta):
        return duration_text((value // timedelta(microseconds=1)) * 1000)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def instant_text(value: object, type_of_column: ValueType | None, zone: str | None = None) -> str:
    """A plain value of a column, whose instants are text and durations numbers, as ``cell_text`` shows it."""
    if type_of_column is not None and type_of_column.kind == "duration" and isinstance(value, int):
        return duration_text(value * 10**9 // type_of_column.unit)
    is_instant = type_of_column is not None and type_of_column.kind == "instant"
    moment = read_moment(value) if is_instant and isinstance(value, str) else None
    if moment is None or moment.at.tzinfo is None:
        return cell_text(value, zone)
    fraction = moment.at + timedelta(microseconds=math.floor(moment.fraction * 10**6))
    return cell_text(fraction, zone)


def duration_text(nanoseconds: int) -> str:
    """A duration as it can be typed: ``1h30m``."""
    rest, written = abs(nanoseconds), ""
    for size, name in _UNITS:
        count, rest = divmod(rest, size)
        written += f"{count}{name}" if count else ""
    written += f"{rest}ns" if rest else ""
    return ("-" if nanoseconds < 0 else "") + (written or "0s")


def shown_frame(frame: pl.DataFrame, types: Mapping[str, ValueType], zone: str | None = None) -> pl.DataFrame:
    """A page with its times and durations as people read them; numbers, text and yes/no stay as they are.

    Args:
        frame: Columns of a data set, and others.
        types: What the values of the columns are.
        zone: IANA name of the person's time zone; None: that of this process.
    """
    shown = [_shown_column(frame[name], types.get(name), zone_named(zone)) for name in frame.columns]
    return pl.DataFrame(shown)


def _shown_column(column: pl.Series, value: ValueType | None, zone: ZoneInfo) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime):
        offset = "" if column.dtype.time_zone is None else "%:z"
        local = column if not offset else column.dt.convert_time_zone(zone.key)
        return local.dt.strftime(f"%Y-%m-%d %H:%M:%S%.f{offset}")
    if value is not None and value.kind == "duration":
        nanoseconds = 10**9 // value.unit
        texts = [None if one is None else duration_text(one * nanoseconds) for one in column]
        return pl.Series(column.name, texts, dtype=pl.String)
    if column.dtype in (pl.Date, pl.Time):
        return column.cast(pl.String)
    if column.dtype == pl.Float32:  # its shortest digits, not those of the nearest float64
        return column.cast(pl.String).cast(pl.Float64)
    return column


def bin_text(facet: HistogramFacet, one: Bin, zone: str | None = None) -> str:
    """What a bar of a histogram holds: its day, month or year, or its two ends."""
    low, high = one.range.minimum, one.range.maximum
    if facet.type == "int":
        return f"{low:,} to {high:,}" if one.range.includes_maximum else f"{low:,} to below {high:,}"
    if isinstance(low, float) and isinstance(high, float):
        return f"{low:g} to {high:g}"
    return _period_text(low, high) or f"{cell_text(low, zone)} to {cell_text(high, zone)}"


def _period_text(low: object, high: object) -> str | None:
    """The day, month or year that lies between two days, or None."""
    first, after = (str(one)[:10] for one in (low, high))
    is_midnight = all(
        not isinstance(one, datetime) or (one.hour, one.minute, one.second, one.microsecond) == (0, 0, 0, 0)
        for one in (low, high)
    )
    if isinstance(low, time | timedelta | Decimal) or not is_midnight or len(first) < 10:
        return None
    year, month, day = map(int, first.split("-"))
    if after == f"{year + 1:04}-01-01" and first.endswith("-01-01"):
        return f"{year:04}"
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    if day == 1 and after == "{:04}-{:02}-01".format(*following):
        return f"{year:04}-{month:02}"
    lasts = datetime.fromisoformat(after) - datetime.fromisoformat(first)
    return first if lasts == timedelta(days=1) else None


def _moment_text(moment: datetime) -> str:
    precision = "auto" if moment.second or moment.microsecond else "minutes"
    return moment.isoformat(" ", timespec=precision)
