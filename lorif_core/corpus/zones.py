"""The time zone of the person who asks: what times without a zone are meant in, and instants are shown in."""

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from lorif_core.errors import QueryError

LOCALTIME = Path("/etc/localtime")
_FOLDER = "zoneinfo/"


def zone_named(name: str | None) -> ZoneInfo:
    """A zone by its IANA name; None: that of this process.

    Raises:
        QueryError: There is no such zone.
    """
    if name is None:
        return zone_of_process()
    zone = _zone(name)
    if zone is None:
        raise QueryError(f"a time zone is named like Europe/Berlin or UTC, got {name!r}: correct it.")
    return zone


def is_zone(name: str) -> bool:
    """Whether this computer knows a zone of this name."""
    return _zone(name) is not None


def zone_of_process(environment: Mapping[str, str] = os.environ, localtime: Path = LOCALTIME) -> ZoneInfo:
    """The zone of ``TZ``, else that of the computer; where neither has a name, the whole hours that it is off now."""
    named = environment.get("TZ", "").removeprefix(":")
    if zone := _zone(named.rpartition(_FOLDER)[2]):
        return zone
    if not named and localtime.is_symlink() and (zone := _zone(str(localtime.resolve()).rpartition(_FOLDER)[2])):
        return zone
    offset = datetime.now().astimezone().utcoffset() or timedelta()
    hours = round(offset / timedelta(hours=1))
    return ZoneInfo(f"Etc/GMT{-hours:+d}" if hours else "UTC")


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # unknown, no relative path, a folder
        return None


def offset_text(moment: datetime) -> str:
    """How far a time with a zone is from UTC, as it is written behind it: ``+02:00``."""
    written = f"{moment:%z}"
    return f"{written[:3]}:{written[3:5]}"
