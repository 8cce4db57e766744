"""Settings of the methods that store sketches of gradients; read without torch, as ``method_settings``."""

from dataclasses import dataclass
from typing import ClassVar

from lorif_core.config import Codec, check_choice, require
from lorif_core.methods.method_settings import DampedSettings


@dataclass(frozen=True, kw_only=True)
class SketchedSettings(DampedSettings):
    """What methods that store sketches are told."""

    sketch_width: int = 4096
    """Numbers k that are stored of a gradient; fewer where it has no more."""

    codec: Codec = "bf16"
    """How a stored number is encoded: bf16 (16 bits), int8, int4 or sign (1 bit)."""

    seed: int = 0
    """Seed of the masks, signs and buckets; any machine redraws the same ones."""

    def __post_init__(self) -> None:
        """Check ranges."""
        DampedSettings.__post_init__(self)
        check_choice("codec", self.codec, Codec)
        require(
            self.sketch_width >= 1,
            f"sketch_width must be at least 1, got {self.sketch_width}. The default is 4096; the curvature takes as "
            "many directions as there are texts, and no more than these.",
        )


@dataclass(frozen=True, kw_only=True)
class MaskedSettings(SketchedSettings):
    """Of those that keep a random part of a gradient before they sketch it."""

    mask_factor: int = 4
    """Entries of a gradient that are kept for each number that is stored; they are added up with random signs."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        require(
            self.mask_factor >= 1,
            f"mask_factor must be at least 1, got {self.mask_factor}: so many entries are kept per stored number.",
        )


@dataclass(frozen=True, kw_only=True)
class FactgrassConfig(MaskedSettings):
    """Masked and sketched gradients of every module, and the full inverse of each: the fast baseline."""

    name: ClassVar[str] = "factgrass"


@dataclass(frozen=True, kw_only=True)
class GrassConfig(MaskedSettings):
    """One masked and sketched gradient over all modules together, and its full inverse."""

    name: ClassVar[str] = "grass"


@dataclass(frozen=True, kw_only=True)
class TrakConfig(SketchedSettings):
    """One sketched gradient of the margin over all modules, the full inverse, and (1 - p) weights."""

    name: ClassVar[str] = "trak"

    f: int = 4
    """Divisor of the widths of a module before its gradient is sketched: 1 sketches the whole gradient, which takes
    as many products as there are weights, for every text."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        require(self.f >= 1, f"f must be at least 1, got {self.f}: it divides the width of a module.")
