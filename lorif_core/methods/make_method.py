"""From settings to the method that they are for."""

from collections.abc import Mapping
from importlib import import_module

from lorif_core.methods.method_settings import MethodSettings
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.methods.registry import method_entry


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
    module, _, kind = method_entry(settings.name).home.partition(":")
    method: AttributionMethod = getattr(import_module(module), kind)(settings)
    if f is None or ranks is None:
        return method
    return method.with_budget(f, ranks)
