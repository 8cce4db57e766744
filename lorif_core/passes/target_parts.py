"""Split a score over the target tokens of the train example or of the query.

The objective is a sum of one cross-entropy per target token, L = Σ_k L_k, and a score ⟨M, G̃⟩ is linear in the
gradient G̃ = P_inᵀ (∂L/∂W) P_out. So it splits exactly over the tokens that are predicted:

    ⟨M, G̃⟩ = Σ_k ⟨P_in M P_outᵀ, ∂L_k/∂W⟩ = Σ_k dL_k(W + ε P_in M P_outᵀ) / dε   at ε = 0

one derivative of every token's loss in one direction of the weights, which forward-mode differentiation gives in a
single forward pass. A token's part is the part of *learning to say it* here; what the tokens before it lent to that
is contained in it. The stored rank-c form is G̃ R Rᵀ with R the orthonormal right factors, so on the train side the
direction is M R Rᵀ, and the parts add up to the score before the codec's rounding.

Models with an operation that has no forward derivative (such as BLOOM's own GELU) take one ordinary
pass per target token instead, with the same result.
Source: docs/explanation/design.md §2.12; forward mode: Baydin et al. (arXiv:1502.05767), section 3.1.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorif_core.capture.experts import run_experts_in_a_loop
from lorif_core.capture.hooks import capture_gradients, model_inputs
from lorif_core.capture.objectives import summed_cross_entropy, token_losses
from lorif_core.data.batches import pad_batch
from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.passes.queries import Query
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.text_gradients import capture_texts
from lorif_core.turns import turn_on
from lorif_core.weights import locate_weight

LEAST_LENGTH = 1e-3
"""Of a factor beside the longest one, 1e-6 of singular values: below, a direction is rounding."""

TARGETS_PER_PASS = 8
"""Targets that one ordinary pass takes side by side."""


def split_over_train_targets(
    source: GradientSource, texts: Sequence[EncodedText], matrices: Mapping[str, Tensor]
) -> list[list[Tensor]]:
    """Each text's score on one query as a sum over its target tokens.

    Args:
        source: Of the index.
        texts: Train examples; of each, its weighted sequences.
        matrices: Per module, the preconditioned query (d_in, d_out).

    Returns:
        Per text and sequence a (T,) tensor, T the sequence's length, zero at tokens that are no targets; those of a
        text sum to its score before the codec's rounding.
    """
    directions = _directions_as_stored(source, texts, matrices)
    return [
        [losses_along(source, one, along)[0] * one.weight for one in sequences_of(text)]
        for text, along in zip(texts, directions, strict=True)
    ]


class WholeText(NamedTuple):
    """A text of one or more sequences joined again, with the parts of its tokens."""

    input_ids: list[int]
    parts: list[float]
    """What a token is to all sequences that it stands in."""

    strongest: tuple[int, int] | None
    """The first token, and one behind the last, of the sequence that has most of the score; None if there is one."""


def join_sequences(text: EncodedText, splits: Sequence[Tensor]) -> WholeText:
    """The tokens of a text, each once, with their parts; a rejected side stands behind the chosen one.

    Args:
        text: Its sequences.
        splits: Parts of the tokens of every sequence.
    """
    sequences = sequences_of(text)
    found: dict[tuple[bool, int], tuple[int, float]] = {}
    for one, split in zip(sequences, splits, strict=True):
        for place, token, part in zip(one.places, one.input_ids, split.tolist(), strict=True):
            _, before = found.get((one.weight < 0, place), (token, 0.0))
            found[one.weight < 0, place] = token, before + part
    order = {key: number for number, key in enumerate(sorted(found))}
    strongest = None
    if len(sequences) > 1:
        sign = 1 if sum(float(split.sum()) for split in splits) >= 0 else -1
        best, _ = max(zip(sequences, splits, strict=True), key=lambda pair: sign * float(pair[1].sum()))
        side = best.weight < 0
        strongest = order[side, best.places[best.head]], order[side, best.places[-1]] + 1
    joined = [found[key] for key in order]
    return WholeText([token for token, _ in joined], [part for _, part in joined], strongest)


def split_over_query_targets(
    source: GradientSource, query: Query, objective: str, matrices: Mapping[str, Tensor]
) -> list[Tensor]:
    """A query's score on one train example as a sum over the query's target tokens.

    Args:
        source: Of the index.
        query: One or two weighted sequences.
        objective: As the query was scored.
        matrices: Per module, the preconditioned train gradient (d_in, d_out): the inverse is
            symmetric, so it may stand on either side.

    Returns:
        One (T,) tensor per sequence of the query; together they sum to the score.
    """
    parts = []
    for sequence, weight in zip(query.sequences, query.weights, strict=True):
        found, loss = losses_along(source, sequence, matrices)
        # margin = L + log(1 - e^(-L)), whose derivative by L is 1 / (1 - e^(-L))
        by_loss = float(-1 / torch.expm1(-loss)) if objective == "margin" else 1.0
        parts.append(found * (weight * by_loss))
    return parts


def losses_along(
    source: GradientSource, example: EncodedExample, directions: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Derivative of every target token's loss in a direction of the weights, and the summed loss.

    Args:
        source: Of the index.
        example: T tokens.
        directions: Per module, (d_in, d_out) in projected coordinates.

    Returns:
        (T,) float32 on the CPU, zero at tokens that are no targets; and a scalar, in nats.
    """
    try:
        return _forward_mode(source, example, directions)
    except NotImplementedError:  # an operation of this model has no forward derivative
        return _pass_per_target(source, example, directions)


def _forward_mode(
    source: GradientSource, example: EncodedExample, directions: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    _load_formulas()
    batch = pad_batch([example], source.pad_id)
    model = source.model
    # The fused attention kernels have no forward derivative; the plain products have.
    with (
        turn_on(model),
        _experts_in_a_loop(source),
        sdpa_kernel(SDPBackend.MATH),
        torch.no_grad(),
        forward_ad.dual_level(),
    ):
        weights: dict[str, Tensor] = {}
        for names, weight, tangent in _weight_directions(source, directions):
            weights |= dict.fromkeys(names, forward_ad.make_dual(weight.detach(), tangent))
        # Each module is named once, and every one that holds a weight: torch's own tying leaves a layer that stands
        # in two places with the replaced weight.
        logits = functional_call(model, weights, (), model_inputs(model, batch), tie_weights=False).logits
        labels, is_target = (part[:, 1:].to(logits.device) for part in (batch.input_ids, batch.target_mask))
        losses = token_losses(logits[:, :-1], labels, is_target)
        value, tangent = forward_ad.unpack_dual(losses)
    parts = torch.zeros(len(example.input_ids))
    if tangent is not None:  # None where no direction reaches the objective
        parts[1:] = tangent[0].cpu()
    return parts, value.sum().cpu()


@cache
def _load_formulas() -> None:
    """torch compiles its forward-mode formulas when they are first used, and its compiler warns of itself."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _weight_directions(
    source: GradientSource, directions: Mapping[str, Tensor]
) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Per parameter its names, itself, and P_in M P_outᵀ of what is tracked of it in its own layout."""
    names: dict[Tensor, list[str]] = defaultdict(list)
    for module_name, module in source.model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            names[parameter].append(f"{module_name}.{name}")
    tangents: dict[Tensor, Tensor] = {}
    for name, direction in directions.items():
        weight, maps = locate_weight(source.model, name), source.maps[name]
        wide = direction.to(weight.parameter.device, torch.float32)
        wide = wide if maps.input_map is None else maps.input_map.float() @ wide
        wide = wide if maps.output_map is None else wide @ maps.output_map.float().mT
        tangent = tangents.setdefault(weight.parameter, torch.zeros_like(weight.parameter, requires_grad=False))
        weight.of(tangent).add_(wide.to(tangent.dtype))
    return ((names[parameter], parameter, tangent) for parameter, tangent in tangents.items())


@contextmanager
def _experts_in_a_loop(source: GradientSource) -> Iterator[None]:
    """Fused experts one after another: their fused kernels have no forward derivative."""
    weights = [locate_weight(source.model, name) for name in source.maps]
    modules = {weight.module for weight in weights if weight.kind == "experts"}
    with ExitStack() as loops:
        for module in modules:
            loops.enter_context(run_experts_in_a_loop(module, lambda product: None))
        yield


def _pass_per_target(
    source: GradientSource, example: EncodedExample, directions: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    targets = [place for place, is_target in enumerate(example.is_target) if is_target]
    parts, total = torch.zeros(len(example.input_ids)), torch.zeros(())
    for first in range(0, len(targets), TARGETS_PER_PASS):
        places = targets[first : first + TARGETS_PER_PASS]
        alone = [
            example._replace(is_target=[place == wanted for place in range(len(example.input_ids))])
            for wanted in places
        ]
        found = torch.zeros(len(places))

        def take(name: str, gradient: ProjectedGradient, found: Tensor = found) -> None:
            matrix = gradient.dense()
            found.add_((matrix * directions[name].to(matrix)).sum((1, 2)).cpu())

        batch = pad_batch(alone, source.pad_id)
        total = total + capture_gradients(source.model, source.maps, batch, summed_cross_entropy, take).sum().cpu()
        parts[places] = found
    return parts, total


def _directions_as_stored(
    source: GradientSource, texts: Sequence[EncodedText], matrices: Mapping[str, Tensor]
) -> list[dict[str, Tensor]]:
    """Of each text per module, M R Rᵀ (d_in, d_out): what of the query the text's stored form meets."""
    by_name = {module.name: module for module in source.modules}
    directions: list[dict[str, Tensor]] = [{} for _ in texts]

    def take(name: str, positions: Tensor, gradient: ProjectedGradient) -> None:
        block, matrix = source.method.feature.compress(gradient, by_name[name]), matrices[name]
        # left = G̃ R with orthonormal R, so the columns of ``right`` span R.
        rights = _orthonormal(block.right) if isinstance(block, Factors) else [None] * len(positions)
        for position, right in zip(positions.tolist(), rights, strict=True):
            stored = matrix if right is None else (matrix.to(right) @ right.mT) @ right
            directions[position][name] = stored

    capture_texts(
        source.model, source.maps, texts, take, pad_id=source.pad_id, tokens_per_batch=source.tokens_per_batch
    )
    return directions


def _orthonormal(right: Tensor) -> Tensor:
    """R of left = G̃ R, as rows (n, c, d_out); zero where the gradient has fewer directions than c.

    The right factors are orthogonal, with the root of the singular value as their length.
    """
    lengths = torch.linalg.vector_norm(right, dim=-1, keepdim=True)
    is_there = lengths > LEAST_LENGTH * lengths.amax(1, keepdim=True)
    return torch.where(is_there, right / lengths, 0)
