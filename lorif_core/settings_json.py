"""Settings as JSON and back: one piece of code for every dataclass of settings.

Nested settings are objects, tuples are lists, and the settings of a method carry its name, by which their class is
found again. A field that JSON does not have takes its default, so that settings of an older version are read.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_origin, get_type_hints

from lorif_core.config import require
from lorif_core.errors import ConfigError
from lorif_core.methods.method_settings import MethodSettings

Settings = TypeVar("Settings")
SettingsOfName = Callable[[str], type[MethodSettings]]
"""The settings class of a method; raises ``ConfigError`` for an unknown name."""

NAME = "name"
"""Key under which the settings of a method hold its name."""


def settings_to_json(settings: Any) -> dict[str, Any]:
    """A dataclass of settings in JSON's types."""
    own = {field.name: _to_json(getattr(settings, field.name)) for field in fields(settings)}
    return {NAME: settings.name, **own} if isinstance(settings, MethodSettings) else own


def _to_json(value: Any) -> Any:
    if is_dataclass(value):
        return settings_to_json(value)
    return list(value) if isinstance(value, tuple) else value


def settings_from_json(
    kind: type[Settings], raw: Mapping[str, Any], settings_of_name: SettingsOfName | None = None
) -> Settings:
    """Settings from what ``settings_to_json`` made of them.

    Args:
        kind: Their class.
        raw: The object that was read.
        settings_of_name: For settings that hold those of a method.

    Raises:
        ConfigError: A key is unknown or missing, or a value is out of range.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # pyright: ignore[reportArgumentType] - a dataclass
    unknown = sorted(set(raw) - set(known))
    require(not unknown, f"{kind.__name__} has no setting {unknown[:1]}: there are {', '.join(known)}.")
    missing = [
        name
        for name, one in known.items()
        if name not in raw and one.default is MISSING and one.default_factory is MISSING
    ]
    require(not missing, f"{kind.__name__} needs {', '.join(missing)}, which is missing.")
    return kind(**{name: _from_json(hints[name], value, settings_of_name) for name, value in raw.items()})


def _from_json(kind: Any, value: Any, settings_of_name: SettingsOfName | None) -> Any:
    if kind is MethodSettings:
        return _method_from_json(value, settings_of_name)
    if isinstance(kind, type) and is_dataclass(kind):
        return settings_from_json(kind, value, settings_of_name)
    return tuple(value) if get_origin(kind) is tuple else value


def _method_from_json(value: Any, settings_of_name: SettingsOfName | None) -> MethodSettings:
    if settings_of_name is None or not isinstance(value, Mapping) or NAME not in value:
        raise ConfigError(f"the settings of a method are an object with its name, got {value!r}.")
    own = {name: one for name, one in value.items() if name != NAME}
    return settings_from_json(settings_of_name(str(value[NAME])), own)
