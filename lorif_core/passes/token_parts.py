"""Split a score over the tokens of the train example or of the query.

G̃ = Σ_t x_t y_tᵀ is a sum over positions, and a score is linear in each side, so
⟨Q', Σ_t x_t y_tᵀ⟩ splits exactly: part t is x_tᵀ Q' y_t. The stored rank-c form is G̃ R Rᵀ
with R the orthonormal right factors, so on the train side y_t is first projected on R, and
the parts add up to the score before the codec's rounding. Parts are computed on demand from
the text, for what is on screen.
Source: docs/explanation/design.md §2.12.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import example_objective
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, SequenceGradient
from lorif_core.passes.queries import Query
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.text_gradients import capture_texts
from lorif_core.shapes import ModuleShape


def split_over_train_tokens(
    source: GradientSource, examples: Sequence[EncodedExample], matrices: Mapping[str, Tensor]
) -> list[Tensor]:
    """Each example's score on one query as a sum over its tokens.

    Args:
        source: Of the index.
        examples: Train examples of one sequence each.
        matrices: Per module, the preconditioned query (d_in, d_out).

    Returns:
        One (T,) tensor per example, T its own length; its sum is the example's score.
    """
    modules = {module.name: module for module in source.modules}

    def projected(name: str, pair: SequenceGradient) -> Tensor:
        is_short = pair.inputs.shape[1] < min(pair.widths)  # factored as the index factored it
        right = _right_factors(source, pair if is_short else DenseGradient(pair.dense()), modules[name])
        return pair.output_grads if right is None else (pair.output_grads @ right) @ right.mT

    return _split(source, examples, matrices, projected)


def split_over_sequences(
    source: GradientSource, text: Sequence[EncodedExample], matrices: Mapping[str, Tensor]
) -> list[Tensor]:
    """The score of a text of several sequences on one query as a sum over the tokens of each.

    Args:
        source: Of the index.
        text: Its weighted sequences.
        matrices: Per module, the preconditioned query (d_in, d_out).

    Returns:
        One (T,) tensor per sequence; all together sum to the text's score.
    """
    modules = {module.name: module for module in source.modules}
    rights: dict[str, Tensor | None] = {}

    def keep(name: str, _: Tensor, gradient: ProjectedGradient) -> None:
        rights[name] = _right_factors(source, gradient, modules[name])

    def projected(name: str, pair: SequenceGradient) -> Tensor:
        right = rights[name]
        return pair.output_grads if right is None else (pair.output_grads @ right) @ right.mT

    capture_texts(
        source.model,
        source.maps,
        [tuple(text)],
        keep,
        pad_id=source.pad_id,
        tokens_per_batch=source.tokens_per_batch,
    )
    parts = [torch.zeros(len(one.input_ids)) for one in text]
    for places in plan_batches([len(one.input_ids) for one in text], source.tokens_per_batch):
        found = _split(source, [text[place] for place in places], matrices, projected)
        for place, split in zip(places, found, strict=True):
            parts[place] = split * text[place].weight
    return parts


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
    batch = pad_batch(query.sequences, source.pad_id)
    parts = torch.zeros(batch.input_ids.shape)

    def take(name: str, gradient: ProjectedGradient) -> None:
        assert isinstance(gradient, SequenceGradient)
        half = gradient.inputs @ matrices[name].to(gradient.inputs)
        parts.add_(_fold((half * gradient.output_grads).sum(2), parts.shape[1]))

    per_example = example_objective("loss" if objective == "contrast" else objective)
    capture_gradients(source.model, source.maps, batch, per_example, take, keeps_tokens=True)
    parts *= torch.tensor(query.weights)[:, None]
    return [parts[row, : len(sequence.input_ids)] for row, sequence in enumerate(query.sequences)]


def _split(
    source: GradientSource,
    sequences: Sequence[EncodedExample],
    matrices: Mapping[str, Tensor],
    projected: Callable[[str, SequenceGradient], Tensor],
) -> list[Tensor]:
    """Per sequence, ⟨matrix, x_t y_tᵀ⟩ of every token, y_t being what ``projected`` makes of the output gradients."""
    batch = pad_batch(sequences, source.pad_id)
    parts = torch.zeros(batch.input_ids.shape)

    def take(name: str, gradient: ProjectedGradient) -> None:
        assert isinstance(gradient, SequenceGradient)
        half = gradient.inputs @ matrices[name].to(gradient.inputs)  # (B, T, d_out)
        parts.add_(_fold((half * projected(name, gradient)).sum(2), parts.shape[1]))

    capture_gradients(source.model, source.maps, batch, example_objective("loss"), take, keeps_tokens=True)
    return [parts[row, : len(one.input_ids)] for row, one in enumerate(sequences)]


def _right_factors(source: GradientSource, gradient: ProjectedGradient, module: ModuleShape) -> Tensor | None:
    """An orthonormal basis of the right factors, (B, d_out, c); None for a method that keeps whole gradients."""
    block = source.method.feature.compress(gradient, module)
    if not isinstance(block, Factors):
        return None
    # left = G̃ R with orthonormal R, so the columns of ``right`` span R.
    return torch.linalg.qr(block.right.mT).Q if block.right.shape[1] > 1 else _unit(block.right).mT


def _unit(rows: Tensor) -> Tensor:
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)


def _fold(parts: Tensor, num_tokens: int) -> Tensor:
    """Several calls of one module stand one after another along the tokens: add them up."""
    return parts.cpu().unflatten(1, (-1, num_tokens)).sum(1)
