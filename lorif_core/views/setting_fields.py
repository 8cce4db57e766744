"""Settings of a method as fields of a form: what they are called, what can be typed, what is the method's own."""

from dataclasses import MISSING, fields
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object


class SettingField(NamedTuple):
    """One setting."""

    name: str
    kind: type
    """int, float, bool, str, or tuple for several."""

    choices: tuple[str, ...]
    """All that it can be; empty: whatever is typed."""

    meaning: str
    """In a sentence or two."""

    usual: Any
    """Of settings that leave it out; None: it follows from others, or from the model."""


@lru_cache
def setting_fields(settings: type) -> tuple[SettingField, ...]:
    """The fields of a settings class, in its order; they mean what stands below them in the source.

    Args:
        settings: A dataclass whose fields are numbers, words and switches, or None.
    """
    types, told = get_type_hints(settings), _meanings(settings)
    usual = settings()
    found = []
    for field in fields(settings):
        kind, choices = _kind_of(types[field.name])
        assert field.default is not MISSING  # a method runs without being told anything
        found.append(SettingField(field.name, kind, choices, told.get(field.name, ""), getattr(usual, field.name)))
    return tuple(found)


def _kind_of(annotation: Any) -> tuple[type, tuple[str, ...]]:
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is Literal:
        return str, get_args(annotation)
    return get_origin(annotation) or annotation, ()


def _meanings(settings: type) -> dict[str, str]:
    """By field; a class says of its own fields what its bases said otherwise."""
    found: dict[str, str] = {}
    for one in reversed(settings.__mro__[:-1]):
        for parameter in parse_from_object(one).params:
            found[parameter.arg_name] = " ".join((parameter.description or "").split())
    return found
