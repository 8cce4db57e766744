"""Split a score over the tokens of the train example or of the query.

G̃ = Σ_t x_t y_tᵀ is a sum over positions, and a score is linear in each side, so
⟨Q', Σ_t x_t y_tᵀ⟩ splits exactly: part t is x_tᵀ Q' y_t. The stored rank-c form is G̃ R Rᵀ
with R the orthonormal right factors, so on the train side y_t is first projected on R, and
the parts add up to the score before the codec's rounding. Parts are computed on demand from
the text, for what is on screen.
Source: docs/explanation/design.md §2.12.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import ExampleObjective, example_objective
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, SequenceGradient
from lorif_core.passes.queries import Query
from lorif_core.passes.shards import GradientSource


def split_over_train_tokens(
    source: GradientSource, examples: Sequence[EncodedExample], matrices: Mapping[str, Tensor]
) -> list[Tensor]:
    """Each example's score on one query as a sum over its tokens.

    Args:
        source: Of the index.
        examples: Train examples.
        matrices: Per module, the preconditioned query (d_in, d_out).

    Returns:
        One (T,) tensor per example, T its own length; its sum is the example's score.
    """

    def projected(name: str, pair: SequenceGradient) -> Tensor:
        is_short = pair.inputs.shape[1] < min(pair.widths)  # factored as the index factored it
        block = source.method.feature.compress(pair if is_short else DenseGradient(pair.dense()), by_name[name])
        if not isinstance(block, Factors):
            return pair.output_grads
        # left = G̃ R with orthonormal R, so the columns of ``right`` span R.
        right = torch.linalg.qr(block.right.mT).Q if block.right.shape[1] > 1 else _unit(block.right).mT
        return (pair.output_grads @ right) @ right.mT

    def part(name: str, pair: SequenceGradient) -> Tensor:
        half = pair.inputs @ matrices[name].to(pair.inputs)  # (B, T, d_out)
        return (half * projected(name, pair)).sum(2)

    by_name = {module.name: module for module in source.modules}
    return _split(source, examples, example_objective("loss"), part)


def split_over_query_tokens(
    source: GradientSource, query: Query, objective: str, matrices: Mapping[str, Tensor]
) -> list[Tensor]:
    """A query's score on one train example as a sum over the query's tokens.

    Args:
        source: Of the index.
        query: One or two weighted sequences.
        objective: As the query was scored.
        matrices: Per module, the preconditioned train gradient (d_in, d_out): the inverse is
            symmetric, so it may stand on either side.

    Returns:
        One (T,) tensor per sequence of the query; together they sum to the score.
    """

    def part(name: str, pair: SequenceGradient) -> Tensor:
        half = pair.inputs @ matrices[name].to(pair.inputs)
        return (half * pair.output_grads).sum(2)

    per_example = example_objective("loss" if objective == "contrast" else objective)
    parts = _split(source, query.sequences, per_example, part)
    return [weight * one for weight, one in zip(query.weights, parts, strict=True)]


def _split(
    source: GradientSource,
    sequences: Sequence[EncodedExample],
    objective: ExampleObjective,
    part: Callable[[str, SequenceGradient], Tensor],
) -> list[Tensor]:
    """The parts of all modules, (B, T) each, added up over modules; one (T,) tensor per sequence."""
    found: dict[int, Tensor] = {}
    lengths = [len(sequence.input_ids) for sequence in sequences]
    for positions in plan_batches(lengths, sum(lengths) * len(lengths), length_boundaries(source.model)):
        batch = pad_batch([sequences[position] for position in positions], source.pad_id)
        parts = torch.zeros(batch.input_ids.shape)

        def take(name: str, gradient: ProjectedGradient, parts: Tensor = parts) -> None:
            assert isinstance(gradient, SequenceGradient)
            parts.add_(_fold(part(name, gradient), parts.shape[1]))

        capture_gradients(source.model, source.maps, batch, objective, take, keeps_tokens=True)
        found |= {position: parts[row, : lengths[position]] for row, position in enumerate(positions)}
    return [found[position] for position in range(len(sequences))]


def _unit(rows: Tensor) -> Tensor:
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)


def _fold(parts: Tensor, num_tokens: int) -> Tensor:
    """Several calls of one module stand one after another along the tokens: add them up."""
    return parts.cpu().unflatten(1, (-1, num_tokens)).sum(1)
