"""How a training is cut into segments, from its checkpoints: steps and rates of each, and who is in which."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from lorif_core.errors import ConfigError, DataError
from lorif_core.members_config import MembersConfig
from lorif_core.workspace.folder.index_members import Training, TrainingSegment
from lorif_core.workspace.indexes.name_members import OWN, NamedModel, WeighedModel, name_checkpoints
from lorif_core.workspace.indexes.trainer_state import TrainerState, read_trainer_state, summed_rates

USUAL_SEGMENTS = 3
"""The paper's number."""

WANTED = "source unrolls a training by the steps and learning rates in each checkpoint's"
INSTEAD = "Name `--steps` and `--learning-rates`, one of each per checkpoint and the model itself last."


class Unrolled(NamedTuple):
    """Members of a training, and what is done between them."""

    models: list[WeighedModel]
    """The index's own first."""

    training: Training


def training_asked(asked: MembersConfig, known: MembersConfig) -> MembersConfig:
    """How an index shall unroll its training.

    Args:
        asked: By this build. What it leaves out stays; other checkpoints have steps and rates of their own.
        known: What the index has.

    Raises:
        ConfigError: There is no checkpoint, or something does not go with checkpoints of one training.
    """
    if asked.alone or asked.base is not None or asked.member_weights is not None:
        name = "alone" if asked.alone else "base" if asked.base is not None else "member_weights"
        raise ConfigError(
            f"source weighs the checkpoints of one training by how it went, and {name} was asked for. Leave it out, "
            "or use `--method lorif`, whose indexes are added up as they are."
        )
    named = asked if asked.checkpoints else replace(asked, checkpoints=known.checkpoints)
    if not named.checkpoints:
        raise ConfigError(
            "source needs checkpoints of the training that led to the model: name their folders with "
            "`--checkpoints 'out/checkpoint-*/'`."
        )
    if not asked.checkpoints:
        if not named.steps:
            named = replace(named, steps=known.steps, learning_rates=known.learning_rates)
        named = replace(named, texts_per_step=named.texts_per_step or known.texts_per_step)
    trained_by = named.trained_by or known.trained_by or "adamw"
    return replace(named, segments=named.segments or known.segments, trained_by=trained_by)


def unroll_training(own: str, asked: MembersConfig, num_texts: int, num_targets: int) -> Unrolled:
    """Members with their weights, and the segments that they stand for.

    Args:
        own: The index's own model, at which the training ended.
        asked: Placed and complete. A checkpoint that is the index's own model is not named twice.
        num_texts: N.
        num_targets: Target tokens of all texts.

    Raises:
        ConfigError: Steps and checkpoints do not go together, or there are more segments than checkpoints.
        DataError: A trainer did not write what is needed.
    """
    models = [*name_checkpoints([place for place in asked.checkpoints if place != own]), NamedModel(OWN, own)]
    if len(models) == 1:
        raise ConfigError(f"a checkpoint must be another model than {own!r}, the index's own. Name others.")
    ordered, steps, rates, texts_per_step = _course(models, asked, num_texts)
    count = asked.segments or min(USUAL_SEGMENTS, len(ordered))
    if count > len(ordered):
        raise ConfigError(
            f"segments must be at most the number of checkpoints, {len(ordered)} with the model itself, got {count}."
        )
    segments = tuple(_segments(ordered, steps, rates, count))
    weights = {name: 1 / len(one.members) for one in segments for name in one.members}
    training = Training(
        segments, asked.trained_by or "adamw", texts_per_step, num_targets, asked.steps, asked.learning_rates
    )
    last, *first = reversed(ordered)
    weighed = [WeighedModel(*one, weights[one.name]) for one in (last, *reversed(first))]
    return Unrolled(weighed, training)


class _Course(NamedTuple):
    models: list[NamedModel]
    """In the order of their steps."""

    steps: list[int]
    rates: list[float]
    """Learning rates between each checkpoint and the one before, summed."""

    texts_per_step: float


def _course(models: list[NamedModel], asked: MembersConfig, num_texts: int) -> _Course:
    if asked.steps:
        if len(asked.steps) != len(models):
            raise ConfigError(
                f"steps must be one per checkpoint, the model itself last: {len(asked.steps)} for "
                f"{', '.join(one.name for one in models)}."
            )
        lengths = [after - before for before, after in pairwise((0, *asked.steps))]
        rates = [rate * length for rate, length in zip(asked.learning_rates, lengths, strict=True)]
        return _Course(models, list(asked.steps), rates, _batch(asked, None, num_texts))
    states = {one.name: read_trainer_state(one.model, WANTED, INSTEAD) for one in models}
    models = sorted(models, key=lambda one: states[one.name].step)
    steps = [states[one.name].step for one in models]
    last = states[OWN]
    if models[-1].name != OWN or len(set(steps)) < len(steps) or steps[0] < 1:
        told = ", ".join(f"{one.name} at {states[one.name].step}" for one in models)
        raise DataError(
            f"checkpoints must be of steps that rise up to that of the model itself, got {told}. Name the last one "
            "as `--model`."
        )
    if not last.rates:
        raise DataError(f"{last.place!r} logs no `learning_rate`. {INSTEAD}")
    rates = [summed_rates(last.rates, before + 1, after) for before, after in pairwise((0, *steps))]
    return _Course(models, steps, rates, _batch(asked, last, num_texts))


def _batch(asked: MembersConfig, state: TrainerState | None, num_texts: int) -> float:
    """Texts of a step; that of sgd does not matter."""
    if asked.texts_per_step is not None:
        return asked.texts_per_step
    if asked.trained_by == "sgd":
        return 1.0
    if state is None or not state.epoch:
        where = "`--steps` do not tell it" if state is None else f"{state.place!r} has no `epoch`"
        raise DataError(
            f"adamw's steps depend on how many texts are in a batch, and {where}. Pass `--texts-per-step`, or "
            "`--trained-by sgd`."
        )
    return num_texts * state.epoch / state.step


def _segments(
    models: Sequence[NamedModel], steps: Sequence[int], rates: Sequence[float], count: int
) -> Iterable[TrainingSegment]:
    """Consecutive checkpoints, as many in each as in the others, up to one."""
    edges = [number * len(models) // count for number in range(count + 1)]
    for first, last in pairwise(edges):
        names = tuple(one.name for one in models[first:last])
        total = sum(rates[first:last])
        if not 0 < total < float("inf"):
            raise DataError(
                f"the learning rates of a segment must add up to a number above 0, those up to {names[-1]!r} are "
                f"{total:g}. {INSTEAD}"
            )
        yield TrainingSegment(names, 1 + (steps[first - 1] if first else 0), steps[last - 1], total)
