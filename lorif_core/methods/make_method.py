"""From settings to the method that they are for, and from a name to a reference."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lorif_core.errors import ConfigError
from lorif_core.methods.method_settings import MethodSettings
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.methods.references.reference import Reference
from lorif_core.methods.registry import REFERENCES, method_entry


def make_method(
    settings: MethodSettings, *, f: int | None = None, ranks: Mapping[str, int] | None = None
) -> AttributionMethod:
    """The method that the settings are for.

    Args:
        settings: Of one of the methods.
        f: Projection divisor, where a budget decided it.
        ranks: Factor rank of every module, where a budget decided it.

    Raises:
        ConfigError: The settings' method is not registered.
    """
    method: AttributionMethod = _class_at(method_entry(settings.name).home)(settings)
    if f is None or ranks is None:
        return method
    return method.with_budget(f, ranks)


def make_reference(name: str) -> Reference:
    """The uncompressed reference of that name.

    Raises:
        ConfigError: There is none; names the known ones.
    """
    if name not in REFERENCES:
        raise ConfigError(f"a reference must be one of {', '.join(REFERENCES)}, got {name!r}.")
    return _class_at(REFERENCES[name])()


def _class_at(home: str) -> Any:
    module, _, kind = home.partition(":")
    return getattr(import_module(module), kind)
