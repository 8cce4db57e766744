"""The statistics pass of half-whitened codes: second moments of every tracked module over a sample."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedText, sequences_of
from lorif_core.linalg.gradients import ProjectedGradient, SequenceGradient
from lorif_core.linalg.maps import ModuleMaps, seeded_generator
from lorif_core.linalg.whitening import Moments
from lorif_core.shapes import ModuleShape
from lorif_core.weights import locate_weight


def sample_positions(num_examples: int, size: int, seed: int) -> list[int]:
    """Positions of a random sample of the examples, ascending; all of them if there are no more than ``size``."""
    return sorted(sample_order(num_examples, seed)[:size]) if size < num_examples else list(range(num_examples))


def sample_order(num_examples: int, seed: int) -> list[int]:
    """Positions of all examples in the order in which they are drawn."""
    return torch.randperm(num_examples, generator=seeded_generator(f"{seed}:statistics")).tolist()


def empty_moments(modules: Sequence[ModuleShape]) -> dict[str, Moments]:
    """Moments of every module before the first token."""
    return {
        module.name: Moments.zeros(module.in_features, module.out_features, is_head=module.form == "columns")
        for module in modules
    }


def placed_moments(model: nn.Module, moments: Mapping[str, Moments]) -> dict[str, Moments]:
    """The same moments, each where the weight lies that it is of: they are summed there."""
    return {name: one.to(locate_weight(model, name).parameter.device) for name, one in moments.items()}


def add_moments(
    model: nn.Module,
    moments: Mapping[str, Moments],
    examples: Sequence[EncodedText],
    *,
    pad_id: int,
    tokens_per_batch: int,
    in_bfloat16: bool = False,
) -> None:
    """Add the layer inputs and output gradients at every real token of some examples.

    The gradient is that of each example's summed cross-entropy against its own tokens, as in
    the index itself; a weight of -1 leaves a product as it is. The sums are independent of batch size and padding up
    to float rounding.

    Args:
        model: Inside ``frozen``.
        moments: Per tracked module, on the weight's device; added to in place.
        examples: Encoded.
        pad_id: Any valid token.
        tokens_per_batch: Padding included.
        in_bfloat16: Whether the model multiplies in it on a CPU, and so do products here.
    """
    maps = {name: _same(one) for name, one in moments.items()}
    sequences = [one for example in examples for one in sequences_of(example) if one.input_ids]
    lengths = [len(one.input_ids) for one in sequences]
    for positions in plan_batches(lengths, tokens_per_batch, length_boundaries(model)):
        batch = pad_batch([sequences[position] for position in positions], pad_id)
        padding = _Padding(~batch.attention_mask.bool())
        num_tokens = int(batch.attention_mask.sum())

        def take(
            name: str, gradient: ProjectedGradient, padding: _Padding = padding, num_tokens: int = num_tokens
        ) -> None:
            assert isinstance(gradient, SequenceGradient)
            if maps[name].keeps_outputs_apart:
                kept = gradient.output_grads.any(2)
                moments[name].add(
                    gradient.inputs[kept], gradient.output_grads[kept], num_tokens, in_bfloat16=in_bfloat16
                )
                return
            calls = gradient.inputs.shape[1] // padding.num_places
            inputs, output_grads = padding.cleared(gradient.inputs), padding.cleared(gradient.output_grads)
            moments[name].add(inputs, output_grads, calls * num_tokens, in_bfloat16=in_bfloat16)

        capture_gradients(model, maps, batch, summed_cross_entropy, take, keeps_tokens=True)


class _Padding:
    """Where a batch has no token, brought to each device once."""

    def __init__(self, is_padding: Tensor) -> None:
        self._is_padding, self._on = is_padding, dict[torch.device, Tensor]()
        self._is_any = bool(is_padding.any())
        self.num_places = is_padding.shape[1]

    def cleared(self, rows: Tensor) -> Tensor:
        """Rows (B, calls · T, width) as (B · calls · T, width), those of padding zero: they add nothing, and taking
        them out would wait for the device. A shared module's calls stand one after another."""
        if not self._is_any:
            return rows.flatten(0, 1)
        if rows.device not in self._on:
            self._on[rows.device] = self._is_padding.to(rows.device)
        there = self._on[rows.device].repeat(1, rows.shape[1] // self.num_places)
        return rows.masked_fill(there[..., None], 0).flatten(0, 1)


def _same(moments: Moments) -> ModuleMaps:
    """Maps that leave gradients as they are; a head's with its outputs apart."""
    outputs = moments.output_grads
    return ModuleMaps(None, torch.ones_like(outputs) if outputs.ndim == 1 else None)
