"""Conditions with their zones written out, so that they choose the same examples for everyone.

``at > 2026-03-01T13:00`` is meant in the zone of who typed it. A rule that is kept says
``at > 2026-03-01T13:00+01:00``, and for a day where it begins and ends there.
"""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from lorif_core.corpus.conditions import And, Comparison, Condition, Not, Operator, Or
from lorif_core.corpus.literals import read_period, start_with_zone, with_zone
from lorif_core.corpus.names import Field, key_of


def pinned(condition: Condition, fields: Mapping[str, Field], zone: ZoneInfo) -> Condition:
    """The same condition, whose times say their zone wherever they are compared with instants.

    Raises:
        QueryError: A name is unknown or means two things.
    """
    match condition:
        case Or(parts):
            return Or(tuple(pinned(part, fields, zone) for part in parts))
        case And(parts):
            return And(tuple(pinned(part, fields, zone) for part in parts))
        case Not(part):
            return Not(pinned(part, fields, zone))
        case Comparison():
            is_instant = fields[key_of(condition, fields)].value.kind == "instant"
            return _pinned_comparison(condition, zone) if is_instant and condition.values else condition
    return condition


def _pinned_comparison(comparison: Comparison, zone: ZoneInfo) -> Condition:
    if not any(map(read_period, comparison.values)):
        values = tuple(with_zone(value, zone) for value in comparison.values)
        return Comparison(comparison.name, comparison.operator, values)
    if comparison.operator in ("in", "not in"):
        within = tuple(
            _pinned_comparison(Comparison(comparison.name, "=", (one,)), zone) for one in comparison.values
        )
        either = within[0] if len(within) == 1 else Or(within)
        return Not(either) if comparison.operator == "not in" else either
    if comparison.operator in ("=", "!="):
        within = _from_to(comparison.name, comparison.values[0], comparison.values[0], zone)
        return Not(within) if comparison.operator == "!=" else within
    if comparison.operator == "between":
        return _from_to(comparison.name, comparison.values[0], comparison.values[1], zone)
    if comparison.operator in (">=", "<"):
        return _starting(comparison.name, comparison.operator, comparison.values[0], zone)
    return _ending(comparison.name, comparison.operator, comparison.values[0], zone)


def _from_to(name: str, low: str, high: str, zone: ZoneInfo) -> Condition:
    return And((_starting(name, ">=", low, zone), _ending(name, "<=", high, zone)))


def _starting(name: str, operator: Operator, typed: str, zone: ZoneInfo) -> Condition:
    period = read_period(typed)
    start = with_zone(typed, zone) if period is None else start_with_zone(period.start, zone)
    return Comparison(name, operator, (start,))


def _ending(name: str, operator: Operator, typed: str, zone: ZoneInfo) -> Condition:
    """After a period is from the next day on, through it is before that day."""
    period = read_period(typed)
    if period is None:
        return Comparison(name, operator, (with_zone(typed, zone),))
    if period.end is None:  # nothing is later than the calendar
        return Comparison(name, operator, ("9999-12-31T23:59:59.999999999Z",))
    beyond: Operator = ">=" if operator == ">" else "<"
    return Comparison(name, beyond, (start_with_zone(period.end, zone),))
