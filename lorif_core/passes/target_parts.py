"""Split a score over the target tokens of the train example or of the query.

The objective is a sum of one cross-entropy per target token, L = Σ_k L_k, and a score ⟨M, G̃⟩ is linear
in the gradient G̃ = P_inᵀ (∂L/∂W) P_out. So it splits exactly over the tokens that are predicted: with a
weight v_k = 1 at every loss,

    ⟨M, G̃(v)⟩ = Σ_k v_k ⟨M, P_inᵀ (∂L_k/∂W) P_out⟩,    part k = ∂⟨M, G̃(v)⟩ / ∂v_k

which differentiates the captured gradients once more, for all tokens at once. A token's part is the part of
*learning to say it* here; what the tokens before it lent to that is contained in it. The stored rank-c form is
G̃ R Rᵀ with R the orthonormal right factors, so on the train side M R Rᵀ stands for M, and the parts add up to
the score before the codec's rounding.

Models with an operation that cannot be differentiated twice take one ordinary pass per target token instead,
with the same result.
Source: docs/explanation/design.md §2.12; differentiating a vector-Jacobian product by its vector: Townsend, "A new
trick for calculating Jacobian vector products", 2017.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import capture_gradients, predicting_positions
from lorif_core.capture.objectives import summed_cross_entropy, token_losses
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import ProjectedGradient, SequenceGradient
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.passes.queries import Query
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.text_gradients import capture_texts

LEAST_LENGTH = 1e-3
"""Of a factor beside the longest one, 1e-6 of singular values: below, a direction is rounding."""

Direction = Tensor | Columns
"""What one module's gradient is multiplied by: (d_in, d_out), or one such matrix that is zero but for columns."""

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
    owners = [place for place, text in enumerate(texts) for _ in sequences_of(text)]
    sequences = [one for text in texts for one in sequences_of(text)]
    found: list[list[Tensor]] = [[] for _ in texts]
    lengths = [len(one.input_ids) for one in sequences]
    parts: dict[int, Tensor] = {}
    for places in plan_batches(lengths, source.tokens_per_batch, length_boundaries(source.model)):
        chosen = [sequences[place] for place in places]
        split, losses = parts_along(source, chosen, [directions[owners[place]] for place in places])
        by_loss = [_by_loss(source.method.train_objective, loss) for loss in losses]
        parts |= zip(places, (part * own for part, own in zip(split, by_loss, strict=True)), strict=True)
    for place, sequence in enumerate(sequences):
        found[owners[place]].append(parts[place] * sequence.weight)
    return found


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
            _, before = found.get((one.is_rejected, place), (token, 0.0))
            found[one.is_rejected, place] = token, before + part
    order = {key: number for number, key in enumerate(sorted(found))}
    strongest = None
    if len(sequences) > 1:
        sign = 1 if sum(float(split.sum()) for split in splits) >= 0 else -1
        best, _ = max(zip(sequences, splits, strict=True), key=lambda pair: sign * float(pair[1].sum()))
        side = best.is_rejected
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
        (found,), losses = parts_along(source, [sequence], [matrices])
        parts.append(found * (weight * _by_loss(objective, losses[0])))
    return parts


def _by_loss(objective: str, loss: Tensor) -> float:
    """Derivative of an objective by the loss: margin = L + log(1 - e^(-L)), whose own is 1 / (1 - e^(-L))."""
    return float(-1 / torch.expm1(-loss)) if objective == "margin" else 1.0


def parts_along(
    source: GradientSource, sequences: Sequence[EncodedExample], directions: Sequence[Mapping[str, Direction]]
) -> tuple[list[Tensor], Tensor]:
    """Product of every target token's own gradient with a matrix per module, and the summed losses.

    Args:
        source: Of the index.
        sequences: B of them, of T tokens each.
        directions: Of each sequence, per module, (d_in, d_out), or some columns of it.

    Returns:
        (T,) per sequence, float32 on the CPU, zero at tokens that are no targets; and (B,), in nats.
    """
    try:
        return _differentiated_twice(source, sequences, directions)
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
    found = [_pass_per_target(source, *pair) for pair in zip(sequences, directions, strict=True)]
    return [parts for parts, _ in found], torch.stack([loss for _, loss in found])


def _differentiated_twice(
    source: GradientSource, sequences: Sequence[EncodedExample], directions: Sequence[Mapping[str, Direction]]
) -> tuple[list[Tensor], Tensor]:
    batch = pad_batch(sequences, source.pad_id)
    weights: list[Tensor] = []
    products: list[Tensor] = []

    def weighted(logits: Tensor, labels: Tensor, is_target: Tensor) -> Tensor:
        losses = token_losses(logits, labels, is_target)
        weights.append(torch.ones_like(losses, requires_grad=True))
        return (losses * weights[0]).sum(1)

    def take(name: str, gradient: ProjectedGradient) -> None:
        # An expert that no token of a text was routed to has no direction there, and no gradient.
        known = next((one[name] for one in directions if name in one), None)
        if isinstance(known, Columns):
            nothing = Columns(torch.zeros_like(known.left), known.places, known.d_out)
            columns = [cast(Columns, one.get(name, nothing)) for one in directions]
            products.append(_column_product(gradient, columns))
        elif known is not None:
            matrices = [cast(Tensor, one.get(name, torch.zeros_like(known))) for one in directions]
            products.append(_product(gradient, torch.stack(matrices)))

    # The fused attention kernels cannot be differentiated twice; the plain products can.
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        losses = capture_gradients(source.model, source.maps, batch, weighted, take, keeps_graph=True)
        parts = torch.zeros(batch.input_ids.shape)
        total = sum(product.to(weights[0]) for product in products)
        if isinstance(total, Tensor) and total.requires_grad:
            (found,) = torch.autograd.grad(total, weights[0])
            parts[:, predicting_positions(batch.target_mask) + 1] = found.float().cpu()
    return [parts[row, : len(one.input_ids)] for row, one in enumerate(sequences)], losses.cpu()


def _product(gradient: ProjectedGradient, matrices: Tensor) -> Tensor:
    """Σ_b ⟨M_b, G̃_b⟩ of matrices (B, d_in, d_out), a scalar."""
    if isinstance(gradient, SequenceGradient):
        inputs, output_grads = gradient.wide.inputs, gradient.wide.output_grads
        return ((inputs @ matrices.to(inputs)) * output_grads).sum()
    return (gradient.dense() * matrices.to(gradient.dense())).sum()


def _column_product(gradient: ProjectedGradient, directions: Sequence[Columns]) -> Tensor:
    """The same with matrices of which only some columns are not zero: no other column of the gradients is read."""
    left = torch.cat([one.left for one in directions]).to(gradient.device)
    places = torch.cat([one.places for one in directions]).to(gradient.device)
    return (gradient.columns(places) * left.mT).sum()


def _pass_per_target(
    source: GradientSource, example: EncodedExample, directions: Mapping[str, Direction]
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
            matrix, direction = gradient.dense(), directions[name]
            whole = direction.dense()[0] if isinstance(direction, Columns) else direction
            found.add_((matrix * whole.to(matrix)).sum((1, 2)).cpu())

        batch = pad_batch(alone, source.pad_id)
        total = total + capture_gradients(source.model, source.maps, batch, summed_cross_entropy, take).sum().cpu()
        parts[places] = found
    return parts, total


def _directions_as_stored(
    source: GradientSource, texts: Sequence[EncodedText], matrices: Mapping[str, Tensor]
) -> list[dict[str, Direction]]:
    """Of each text per module, M R Rᵀ (d_in, d_out): what of the query the text's stored form meets."""
    by_name = {module.name: module for module in source.modules}
    directions: list[dict[str, Direction]] = [{} for _ in texts]

    def take(name: str, positions: Tensor, gradient: ProjectedGradient) -> None:
        block, matrix = source.method.feature.compress(gradient, by_name[name]), matrices[name]
        if isinstance(block, Columns):
            for position, places in zip(positions.tolist(), block.places, strict=True):
                kept = matrix.to(block.left)[:, places].mT
                directions[position][name] = Columns(kept[None], places[None], block.d_out)
            return
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
