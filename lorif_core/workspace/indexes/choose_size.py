"""f and factor rank where nobody says them: by the bytes that a text of such a model may take, then by memory."""

from collections.abc import Sequence
from dataclasses import replace

from lorif_core.linalg.codecs import codec_for
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import FactoredSettings, KroneckerConfig, MethodSettings
from lorif_core.models.modules import ModuleEntry, tracked_shapes
from lorif_core.passes.size_by_bytes import Size, default_bytes, rank_by_bytes, size_by_bytes, tracked_numbers
from lorif_core.store.blocks import bytes_per_example


def is_sized_by_model(settings: MethodSettings) -> bool:
    """Whether f is still to be chosen by the size of the model."""
    return isinstance(settings, FactoredSettings) and settings.is_sized_by_model


def sized(settings: MethodSettings, entries: list[ModuleEntry], f: int | None = None) -> MethodSettings:
    """The settings with f and factor rank for a model of such modules; settings that say f stay as they are.

    Args:
        settings: Of a method.
        entries: Every module of the model, tracked or not.
        f: The divisor, where memory asks for a larger one; None: as the bytes ask for.

    Raises:
        TargetError: Nothing is tracked.
    """
    if not isinstance(settings, FactoredSettings) or not settings.is_sized_by_model:
        return settings
    limit, usual = default_bytes(tracked_shapes(entries, 1)), _of_usual_bytes(settings)

    def bytes_at(f: int, rank: int) -> int:
        return text_bytes(replace(usual, f=f, factor_rank=rank), entries)

    most = settings.factor_rank or settings.own_factor_rank
    if f is None:
        size = size_by_bytes(limit, bytes_at, most)
    else:
        size = Size(f, rank_by_bytes(limit, bytes_at, f, most))
    return replace(settings, f=size.f, factor_rank=settings.factor_rank or size.factor_rank)


def _of_usual_bytes(settings: FactoredSettings) -> FactoredSettings:
    """The settings without what a person wants to spend more on: a wider codec, or more columns of the output head,
    are asked for beside the directions that there would be without them, and not in their place."""
    own = type(settings)()
    if isinstance(settings, KroneckerConfig) and settings.head_columns and isinstance(own, KroneckerConfig):
        settings = replace(settings, head_columns=min(settings.head_columns, own.head_columns or 0))
    return replace(settings, codec=own.codec)


def text_bytes(settings: FactoredSettings, entries: list[ModuleEntry]) -> int:
    """Bytes of a text's codes and scales under settings that say f and rank."""
    feature = make_method(settings).feature
    modules = tracked_shapes(entries, settings.f or 1)
    return bytes_per_example(modules, codec_for(feature.codec, feature.layout), feature.rank_of, feature.layout)


def reason_of_size(settings: MethodSettings, entries: list[ModuleEntry], doubled: Sequence[str] = ()) -> str:
    """What was chosen and why, in a sentence without its full stop.

    Args:
        settings: With the f and the rank that were chosen.
        entries: Every module of the model.
        doubled: What spoke against smaller divisors, one clause for each.
    """
    assert isinstance(settings, FactoredSettings)  # others are not sized
    whole = tracked_shapes(entries, 1)
    said = (
        f"f = {settings.f} with rank {settings.factor_rank}, {text_bytes(settings, entries):,} bytes per text; "
        f"{default_bytes(whole):,} are meant for {tracked_numbers(whole) / 1e6:,.1f} million tracked numbers"
    )
    return "; ".join([said, *doubled])
