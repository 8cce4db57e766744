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
    SourceConfig,
)
from lorif_core.methods.sketched_settings import FactgrassConfig, GrassConfig, TrakConfig


class MethodEntry(NamedTuple):
    """One method."""

    settings: type[MethodSettings]
    """Its settings, whose ``name`` is the method's."""

    home: str
    """Where its class is: ``module:class``. The class takes the settings."""

    summary: str
    """What it is, for help and documents: a sentence that goes on after the name and a colon."""

    inputs: str
    """Which models it needs beside the texts."""

    passes: str
    """Over the texts, to build an index."""

    stores: str
    """Of each text."""

    when: str
    """To use it."""

    source: str
    """Where it was published."""

    @property
    def name(self) -> str:
        """As people type it."""
        return self.settings.name


_ENTRIES = (
    MethodEntry(
        KroneckerConfig,
        "lorif_core.methods.kronecker:Kronecker",
        "factors of half-whitened gradients, one bit per number, whose plain product is the influence; the default.",
        inputs="the model",
        passes="statistics over 2,048 texts or more (by groups of layers where memory is short), then one",
        stores="c · (d_in + d_out) bits per module and 8 columns of the output head: 0.5 to 10 KB, or a budget",
        when="first, and for all that is large",
        source="K-FAC (arXiv:1503.05671), docs/decisions/0039",
    ),
    MethodEntry(
        LorifConfig,
        "lorif_core.methods.lorif:Lorif",
        "the paper's random projections, their factors, and the curvature in a subspace.",
        inputs="the model",
        passes="one, and a few over what is stored for the subspace",
        stores="c · (d_in + d_out) numbers of 2 bytes per module",
        when="to repeat the paper, or to change the damping after the build",
        source="LoRIF (arXiv:2601.21929)",
    ),
    MethodEntry(
        GraddotConfig,
        "lorif_core.methods.graddot:Graddot",
        "the same factors without curvature: the plain inner product of gradients.",
        inputs="the model",
        passes="one",
        stores="c · (d_in + d_out) numbers of 2 bytes per module",
        when="as the line to beat, and as TracIn over checkpoints",
        source="TracIn (arXiv:2002.08484)",
    ),
    MethodEntry(
        LograConfig,
        "lorif_core.methods.logra:Logra",
        "whole projected gradients and the full inverse, for small models.",
        inputs="the model",
        passes="one, and one over what is stored",
        stores="d_in · d_out numbers of 2 bytes per module",
        when="for small models, where the factors' loss is to be measured",
        source="LoGra (arXiv:2405.13954)",
    ),
    MethodEntry(
        FactgrassConfig,
        "lorif_core.methods.factgrass:Factgrass",
        "masked gradients, hashed to 4,096 numbers per module, and the full inverse of each: the fast baseline.",
        inputs="the model",
        passes="one, and one over what is stored",
        stores="k = 4,096 numbers of 2 bytes per module",
        when="as a fast baseline",
        source="GraSS (arXiv:2505.18976), sections 3.2 and 3.3",
    ),
    MethodEntry(
        GrassConfig,
        "lorif_core.methods.grass:Grass",
        "one masked and hashed gradient over all modules, and its full inverse: 8 KB per text of any model.",
        inputs="the model",
        passes="one, and one over what is stored",
        stores="k = 4,096 numbers of 2 bytes",
        when="where bytes must not grow with the model, as a baseline",
        source="GraSS (arXiv:2505.18976), sections 3.1 and 3.2",
    ),
    MethodEntry(
        TrakConfig,
        "lorif_core.methods.trak:Trak",
        "hashed gradients of the margin over all modules, their inverse and 1 - p, averaged over several models.",
        inputs="the model; better several, trained apart (`--checkpoints`)",
        passes="one per model, and one over what is stored",
        stores="k = 4,096 numbers of 2 bytes per model, and 1 - p",
        when="with an ensemble of models, and to repeat the paper",
        source="TRAK (arXiv:2303.14186)",
    ),
    MethodEntry(
        SourceConfig,
        "lorif_core.methods.source:Source",
        "what leaving a text out of the whole training changes, by the checkpoints of that training (--checkpoints).",
        inputs="checkpoints of the training, with their learning rates and steps",
        passes="one per checkpoint, and a few over what is stored",
        stores="as lorif, for each checkpoint",
        when="where the training's course matters: several stages, or far from its end",
        source="SOURCE (arXiv:2405.12186)",
    ),
    MethodEntry(
        DaunceConfig,
        "lorif_core.methods.daunce:Daunce",
        "the covariance of losses over models that differ a little, for models that tell losses and no gradients.",
        inputs="K models that `lorif perturb` or retraining made, or a table of their losses (`lorif import-losses`)",
        passes="one forward pass per model; none where the losses come with a table",
        stores="2 bytes per model",
        when="for models behind an interface, and where many retrained models are there anyway",
        source="Daunce (arXiv:2505.23223)",
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
