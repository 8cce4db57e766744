"""What the unrolled training does to a query, per module and segment: a chain of functions of stored curvatures.

The mathematics is in ``methods/source.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lorif_core.errors import ArtefactError
from lorif_core.linalg.spectra import Chain, Spectrum, mean_spectrum, remaining, response, spectrum_of
from lorif_core.members_config import TrainedBy
from lorif_core.shapes import ModuleShape
from lorif_core.store.reader import StoreReader

KEPT_BYTES = 1 << 30
"""Of means of curvatures that are kept from one question to the next; what is beyond is decomposed anew."""


@dataclass(frozen=True)
class UnrolledSegment:
    """A stretch of a training and what is stored of its checkpoints."""

    readers: tuple[StoreReader, ...]
    """One per checkpoint, each of a complete index."""

    rates: float
    """Learning rates of its steps, summed; above 0."""


@dataclass(frozen=True)
class Unrolling:
    """A training, the first segment first."""

    segments: tuple[UnrolledSegment, ...]
    trained_by: TrainedBy
    texts_per_step: float
    num_targets: int
    """Target tokens of all texts: the training loss is their mean."""

    _means: dict[tuple[int, str], Spectrum] = field(default_factory=dict, repr=False, compare=False)
    """Of segments of several checkpoints, whose decomposition takes longer than to read it."""

    def chain(self, segment: int, module: ModuleShape) -> Chain:
        """What acts on a query before it meets the gradients of one segment: F_S of all later ones, the last first,
        then this one's F_r.

        Args:
            segment: Counted from 0.
            module: Whose gradients.
        """
        later = range(len(self.segments) - 1, segment, -1)
        spectra = {number: self._spectrum(number, module) for number in (*later, segment)}
        kept = [remaining(spectra[number], self._duration(number, module, spectra[number])) for number in later]
        own = response(spectra[segment], self._duration(segment, module, spectra[segment]))
        return Chain((*kept, own))

    def _spectrum(self, segment: int, module: ModuleShape) -> Spectrum:
        readers = self.segments[segment].readers
        if len(readers) == 1:
            return spectrum_of(readers[0].subspace(module))
        key = segment, module.name
        if key in self._means:
            return self._means[key]
        found = mean_spectrum([spectrum_of(one.subspace(module)) for one in readers])
        if found.basis.nbytes + sum(one.basis.nbytes for one in self._means.values()) <= KEPT_BYTES:
            self._means[key] = found
        return found

    def _duration(self, segment: int, module: ModuleShape, spectrum: Spectrum) -> float:
        """Learning rates in units of the inverse of a sum over texts."""
        rates = self.segments[segment].rates
        if self.trained_by == "sgd":
            return rates / self.num_targets
        trace, num_texts = spectrum.trace, self.segments[segment].readers[0].manifest.num_examples
        numbers = module.in_features * module.out_features
        # Without any gradient there is nothing to move, at whatever rate.
        return rates * (self.texts_per_step * numbers / (num_texts * trace)) ** 0.5 if trace > 0 else 0.0


def check_one_space(names: Sequence[str], readers: Sequence[StoreReader]) -> None:
    """Refuse indexes whose projected gradients do not mean the same.

    Args:
        names: Of the members, the index's own first.
        readers: In the same order.

    Raises:
        ArtefactError: A member has other modules, or other maps.
    """
    own = readers[0].manifest
    for name, reader in zip(names, readers, strict=True):
        if reader.modules != readers[0].modules or reader.manifest.maps_digest != own.maps_digest:
            raise ArtefactError(
                f"the checkpoints of a training must have the same modules and maps, and {name!r} has others than "
                f"{names[0]!r}: a query of one model would not mean the same in the other. Leave it out, or build "
                "both with the same `--include`."
            )
