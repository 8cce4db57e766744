"""Does what is taken from the first batch of a loop add up to what the loop itself gives its weights?

The texts' gradients, divided by what the loss was divided by, add up to the weight's own gradient. Both are compared
in a small random projection. A layer whose weight is used where no hook sees it, as inside torch's fused attention,
shows here, and so does whatever changes the weights' gradients inside the block. Whether ``targets`` is what the loss
was divided by cannot be seen here: it is the same factor on both sides.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lorif_core.capture.loop_hooks import LoopBatch
from lorif_core.errors import CaptureError
from lorif_core.linalg.gradients import ProjectedGradient, SequenceGradient
from lorif_core.linalg.maps import ModuleMaps, Side, random_signs
from lorif_core.linalg.sparse_maps import Mask
from lorif_core.weights import TrackedWeight, locate_weight

SKETCH_WIDTH = 8
"""Numbers per side that two gradients are compared in."""

LARGEST_DIFFERENCE = 0.01
"""Of both, relative to the larger one; products in bfloat16 differ by less than a fifth of it with a few rows."""

LARGEST_IN_BFLOAT16 = 0.1

ROUNDING = 0.01
"""Of the largest norm that a sketch could have, what counts as its size at least."""


class LoopCheck:
    """Compares one batch's gradients with those that the loop made of it."""

    def __init__(self, model: nn.Module, maps: Mapping[str, ModuleMaps], heads: set[str]) -> None:
        self._maps, self._heads = maps, heads
        compared = [name for name, one in maps.items() if name not in heads and _is_matrices(one)]
        weights = {name: locate_weight(model, name) for name in compared}
        self._weights = {name: one for name, one in weights.items() if one.kind == "linear"}
        self._before = {name: _gradient(one) for name, one in self._weights.items()}
        self._sums: dict[str, Tensor] = {}
        self._is_narrow = False

    def take(self, name: str, gradient: ProjectedGradient, batch: LoopBatch) -> None:
        """Take in one module's gradients, which are weighed by the batch's divisors."""
        if name not in self._weights:
            return
        assert batch.divisors is not None
        left, right = (_signs(f"{name}:{side}", width, gradient) for side, width in enumerate(gradient.widths))
        if isinstance(gradient, SequenceGradient):
            self._is_narrow |= gradient.inputs.dtype == torch.bfloat16
            of_texts = (gradient.wide.inputs @ left).mT @ (gradient.wide.output_grads @ right)
        else:
            of_texts = left.mT @ gradient.matrix @ right
        divisors = torch.as_tensor(batch.divisors).to(of_texts)
        self._sums[name] = (of_texts / divisors.expand(len(of_texts))[:, None, None]).sum(0)

    def finish(self, batch: LoopBatch, *, in_bfloat16: bool) -> None:
        """Compare, when the backward pass is over.

        Raises:
            CaptureError: They differ; names the module and what to do.
        """
        if unseen := sorted(self._heads - batch.seen):
            raise CaptureError(_unseen(unseen[0]))
        limit = LARGEST_IN_BFLOAT16 if in_bfloat16 or self._is_narrow else LARGEST_DIFFERENCE
        for name, weight in self._weights.items():
            own = _gradient(weight)
            if own is None:
                continue
            before = self._before[name]
            wanted, rounding = self._sketch(name, own if before is None else own - before)
            found = self._sums.get(name, torch.zeros_like(wanted)).to(wanted)
            largest = max(float(wanted.norm()), float(found.norm()))
            # Gradients that the maps take away are nothing but rounding, of the size of what they were.
            if float((found - wanted).norm()) > limit * (largest + ROUNDING * rounding):
                raise CaptureError(_refusal(name, float(wanted.norm()), float(found.norm()), name in self._sums))

    def _sketch(self, name: str, gradient: Tensor) -> tuple[Tensor, float]:
        """A weight's gradient as the texts' are projected and sketched, and the most that its norm could be."""
        maps = self._maps[name]
        widths = zip((maps.input_map, maps.output_map), gradient.shape, strict=True)
        left, right = (_sketched(f"{name}:{number}", side, width) for number, (side, width) in enumerate(widths))
        left, right = left.to(gradient), right.to(gradient)
        return left.mT @ gradient @ right, float(left.norm() * gradient.norm() * right.norm())


def _gradient(weight: TrackedWeight) -> Tensor | None:
    found = weight.parameter.grad
    return None if found is None else weight.of(found.detach()).clone()


def _is_matrices(maps: ModuleMaps) -> bool:
    """Whether both sides are multiplied by matrices, or left as they are, and nothing is sketched behind them."""
    return maps.sketch is None and not any(isinstance(one, Mask) for one in (maps.input_map, maps.output_map))


def _sketched(key: str, side: Side, width: int) -> Tensor:
    """One side's map and sketch, (width, ``SKETCH_WIDTH``), float32."""
    if side is None:
        return random_signs(key, width, SKETCH_WIDTH)
    assert isinstance(side, Tensor)
    assert side.ndim == 2  # heads, which have a diagonal, are not compared
    wide = side.float()
    return wide @ random_signs(key, wide.shape[1], SKETCH_WIDTH).to(wide)


def _signs(key: str, width: int, like: ProjectedGradient) -> Tensor:
    wide = torch.promote_types(like.parts[0].dtype, torch.float32)
    return random_signs(key, width, SKETCH_WIDTH).to(like.device, wide)


def _unseen(name: str) -> str:
    return (
        f"the products of every tracked layer must be seen, and none of module {name!r} was in this batch: its "
        "weight is used where no hook sees it (a fused kernel), or the forward pass lies outside `run.batch`. Leave "
        f"it out with `exclude=({name!r},)`."
    )


def _refusal(name: str, wanted: float, found: float, was_taken: bool) -> str:
    if not was_taken:
        return _unseen(name)
    return (
        "what the texts of a batch teach must add up to the weight's own gradient, and of module "
        f"{name!r} it does not (norm {found:.3g} for {wanted:.3g}, in a sketch): its weight is used where no hook "
        "sees it as well, or gradients were clipped or changed inside `run.batch`. End the block after `backward`, "
        f"or leave the module out with `exclude=({name!r},)`."
    )
