"""Which models a build names as members, and what each weighs: one row per rule in ``RULES``."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.errors import ConfigError, DataError
from lorif_core.members_config import MembersConfig, MemberWeights
from lorif_core.workspace.folder.index_members import Members
from lorif_core.workspace.indexes.trainer_state import read_trainer_state

OWN, BASE = "final", "base"


class NamedModel(NamedTuple):
    """A model under the name of its member."""

    name: str
    model: str
    """Folder or hub name."""


class WeighedModel(NamedTuple):
    """A member before it is an index."""

    name: str
    model: str
    weight: float


def place_members(asked: MembersConfig) -> MembersConfig:
    """The same with patterns expanded and folders absolute, so that it means the same from every folder.

    Raises:
        ConfigError: A pattern fits no folder.
    """
    base = None if asked.base is None else _placed(asked.base)
    return replace(asked, base=base, checkpoints=placed_folders(asked.checkpoints, "--checkpoints"))


def placed_folders(patterns: Sequence[str], option: str) -> tuple[str, ...]:
    """Absolute folders that patterns fit, each once, those of one pattern by the numbers in their names.

    Raises:
        ConfigError: A pattern fits no folder.
    """
    found: list[str] = []
    for pattern in patterns:
        whole = Path(pattern).absolute()
        if whole.is_dir():
            places = [whole]
        else:
            anchor = Path(whole.anchor)
            places = [place for place in anchor.glob(str(whole.relative_to(anchor)).rstrip("/")) if place.is_dir()]
        if not places:
            what = option.lstrip("-")
            raise ConfigError(f"{what} must be folders of models, {pattern!r} fits none. Check `{option}`.")
        found += [str(place.resolve()) for place in sorted(places, key=_by_numbers)]
    return tuple(dict.fromkeys(found))


def members_asked(asked: MembersConfig, known: MembersConfig) -> MembersConfig:
    """What an index shall answer with.

    Args:
        asked: By this build. Naming none leaves what is there; naming some replaces it.
        known: What the index has.
    """
    if asked.alone:
        return MembersConfig()
    refuse_training(asked)
    named = asked if asked.names_any else known
    rule = asked.member_weights or known.member_weights or "average"
    return replace(named, member_weights=rule) if named.names_any else MembersConfig()


def weigh_members(own: str, asked: MembersConfig) -> list[WeighedModel]:
    """The index's own model, then the further ones, with their weights; only itself where none is named.

    Args:
        own: The index's own model.
        asked: Placed. A checkpoint that is the index's own model is not named twice.

    Raises:
        ConfigError: The rule does not fit the members, or one of them would weigh nothing.
        DataError: A learning rate cannot be told.
    """
    models = [NamedModel(OWN, own), *([] if asked.base is None else [NamedModel(BASE, asked.base)])]
    models += name_checkpoints([place for place in asked.checkpoints if place not in (own, asked.base)])
    if asked.base == own or (len(models) == 1 and asked.names_any):
        raise ConfigError(f"a further member must be another model than {own!r}, the index's own. Name others.")
    weights = RULES[asked.member_weights or "average"](models)
    return [WeighedModel(*one, weight) for one, weight in zip(models, weights, strict=True)]


def name_checkpoints(places: Sequence[str]) -> list[NamedModel]:
    """Folders under their own names, or under their paths where those are not one name each."""
    names = [Path(place).name for place in places]
    return [
        NamedModel(name if names.count(name) == 1 and name not in (OWN, BASE) else place, place)
        for name, place in zip(names, places, strict=True)
    ]


def refuse_training(asked: MembersConfig) -> None:
    """Refuse what is about a training, for a method that does not look at it.

    Raises:
        ConfigError: Something is.
    """
    if asked.about_training is not None:
        raise ConfigError(
            f"{asked.about_training} is for `--method source`, which unrolls the training between checkpoints. Leave "
            "it out, or build with that method."
        )


def config_of(members: Members | None) -> MembersConfig:
    """What a build would name to get the members that an index has."""
    if members is None:
        return MembersConfig()
    base = next((one.model for one in members.others if one.name == BASE), None)
    checkpoints = tuple(one.model for one in members.others if one.name != BASE)
    rule: Any = members.rule
    if members.training is None:
        return MembersConfig(base=base, checkpoints=checkpoints, member_weights=rule)
    how: Any = members.training.trained_by
    return MembersConfig(
        checkpoints=checkpoints,
        segments=len(members.training.segments),
        steps=members.training.steps,
        learning_rates=members.training.learning_rates,
        trained_by=how,
        texts_per_step=members.training.texts_per_step,
    )


def _placed(model: str) -> str:
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _by_numbers(place: Path) -> list[tuple[int, str]]:
    """So that ckpt-20 comes before ckpt-100."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(place))]


def _average(models: Sequence[NamedModel]) -> list[float]:
    return [1 / len(models)] * len(models)


def _final_minus_base(models: Sequence[NamedModel]) -> list[float]:
    if [one.name for one in models] != [OWN, BASE]:
        raise ConfigError(
            f"final-minus-base is for a model and its base, got {', '.join(one.name for one in models)}. Name "
            "`--base` and no `--checkpoints`, or choose other `--member-weights`."
        )
    return [1.0, -1.0]


def _tracin(models: Sequence[NamedModel]) -> list[float]:
    rates = [_learning_rate(one) for one in models]
    return [rate / sum(rates) for rate in rates]


def _learning_rate(member: NamedModel) -> float:
    """The learning rate of a checkpoint, as the trainer logged it last."""
    instead = "Name the checkpoints that have one, the last of them as `--model`, or choose other `--member-weights`."
    state = read_trainer_state(member.model, "tracin weighs members by the learning rates in their", instead)
    known = [rate for step, rate in state.rates if step <= state.step]
    if not known:
        raise DataError(f"{state.place!r} logs no `learning_rate` up to its step. {instead}")
    if not 0 < known[-1] < float("inf"):
        raise DataError(
            f"a member weighs its learning rate, and that of {member.model!r} is {known[-1]:g}: it would add "
            f"nothing. {instead}"
        )
    return known[-1]


RULES: Mapping[MemberWeights, Callable[[Sequence[NamedModel]], list[float]]] = {
    "average": _average,
    "tracin": _tracin,
    "final-minus-base": _final_minus_base,
}
"""How the weights follow from the models, the index's own first; docs/reference/members.md is about them."""
