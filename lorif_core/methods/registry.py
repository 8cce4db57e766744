"""Every attribution method, once: what the command line, the studio, labels and documents know of them is read here.

Reading the registry imports no method, and so no torch: a method's file is imported when the method is used.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from lorif_core.errors import ConfigError
from lorif_core.methods.method_settings import (
    DaunceConfig,
    GraddotConfig,
    KroneckerConfig,
    LograConfig,
    LorifConfig,
    MethodSettings,
)


class MethodEntry(NamedTuple):
    """One method."""

    settings: type[MethodSettings]
    """Its settings, whose ``name`` is the method's."""

    home: str
    """Where its class is: ``module:class``. The class takes the settings."""

    summary: str
    """What it is, for help and documents: a sentence that goes on after the name and a colon."""

    @property
    def name(self) -> str:
        """As people type it."""
        return self.settings.name


_ENTRIES = (
    MethodEntry(
        KroneckerConfig,
        "lorif_core.methods.kronecker:Kronecker",
        "factors of half-whitened gradients, one bit per number, whose plain product is the influence; the default.",
    ),
    MethodEntry(
        LorifConfig,
        "lorif_core.methods.lorif:Lorif",
        "the paper's random projections, their factors, and the curvature in a subspace.",
    ),
    MethodEntry(
        GraddotConfig,
        "lorif_core.methods.graddot:Graddot",
        "the same factors without curvature: the plain inner product of gradients.",
    ),
    MethodEntry(
        LograConfig,
        "lorif_core.methods.logra:Logra",
        "whole projected gradients and the full inverse, for small models.",
    ),
    MethodEntry(
        DaunceConfig,
        "lorif_core.methods.daunce:Daunce",
        "the covariance of losses over models that differ a little, for models that tell losses and no gradients.",
    ),
)

METHODS: Mapping[str, MethodEntry] = {entry.name: entry for entry in _ENTRIES}
"""By name, the default first."""

DEFAULT_METHOD = _ENTRIES[0].name


def method_entry(name: str) -> MethodEntry:
    """The method of that name.

    Raises:
        ConfigError: There is none; names the known ones.
    """
    if name not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {name!r}.")
    return METHODS[name]


def method_settings(name: str, **chosen: Any) -> MethodSettings:
    """Settings of the method of that name, such as ``method_settings("lorif", f=8)``.

    Args:
        name: Of the method.
        **chosen: Its settings; those left out are its own.

    Raises:
        ConfigError: The name or a setting is unknown, or a value is out of range.
    """
    kind = method_entry(name).settings
    known = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType] - all are dataclasses
    if unknown := [one for one in chosen if one not in known]:
        raise ConfigError(f"{name} has no setting {unknown[0]!r}: there are {', '.join(known)}.")
    return kind(**chosen)


def settings_of_name(name: str) -> type[MethodSettings]:
    """The settings class of a method, for ``settings_json``.

    Raises:
        ConfigError: There is no such method.
    """
    return method_entry(name).settings


REFERENCES: Mapping[str, str] = {
    "ekfac": "lorif_core.methods.references.ekfac:Ekfac",
    "kfac": "lorif_core.methods.references.kfac:Kfac",
    "ekfac+head": "lorif_core.methods.references.with_head:EkfacWithHead",
    "kfac+head": "lorif_core.methods.references.with_head:KfacWithHead",
    "graddot": "lorif_core.methods.references.whole_gradients:WholeGradients",
    "cosine": "lorif_core.methods.references.cosine:Cosine",
    "repsim": "lorif_core.methods.references.repsim:Repsim",
    "bm25": "lorif_core.methods.references.bm25:Bm25",
    "tokens": "lorif_core.methods.references.shared_tokens:SharedTokens",
}
"""Uncompressed references by name: where their classes are, ``module:class``."""
