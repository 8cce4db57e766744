"""The file beside an index that names the further members of its scores.

Every member is an index of its own. So a member can be added to a finished index without touching what is stored, and
an index that others name still answers by itself.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from lorif_core.errors import ArtefactError, LorifError
from lorif_core.files import read_json, write_json
from lorif_core.members_config import TrainedBy

MEMBERS = "members.json"


@dataclass(frozen=True)
class LinkedMember:
    """An index whose scores are added to another's."""

    index_id: str
    name: str
    weight: float
    """Of its scores in the sum; not 0."""

    model: str
    """Where its model lies."""


@dataclass(frozen=True)
class TrainingSegment:
    """A stretch of a training."""

    members: tuple[str, ...]
    """Names of its checkpoints."""

    first_step: int
    last_step: int

    rates: float
    """Learning rates of its steps, summed; above 0."""


@dataclass(frozen=True)
class Training:
    """How the last of a family of checkpoints was trained; see ``methods/source.py``."""

    segments: tuple[TrainingSegment, ...]
    """The first one first; the last checkpoint of the last one is the index's own model."""

    trained_by: str
    texts_per_step: float
    num_targets: int
    """Target tokens of all texts."""

    steps: tuple[int, ...] = ()
    learning_rates: tuple[float, ...] = ()
    """Of the checkpoints, as a person named them; empty: they are the trainer's."""

    @property
    def sentence(self) -> str:
        """What a score is, in words."""
        told = "; ".join(
            f"steps {one.first_step:,} to {one.last_step:,} by {', '.join(one.members)}, learning rates "
            f"{one.rates:.3g} in all"
            for one in self.segments
        )
        how = f"{self.trained_by}, {self.texts_per_step:g} texts a step" if self.trained_by == "adamw" else "sgd"
        return f"scores are those of the training unrolled in {len(self.segments)} segments ({how}): {told}"

    def segment_of(self, member: str) -> int:
        """Where a member stands, counted from 0."""
        return next(number for number, one in enumerate(self.segments) if member in one.members)


@dataclass(frozen=True)
class Members:
    """The members of an index's scores: its own model, and those of other indexes."""

    rule: str
    """How the weights were chosen."""

    name: str
    weight: float
    """Of the index's own scores."""

    others: tuple[LinkedMember, ...]

    training: Training | None = None
    """What is done between the members; None: they are added up by their weights and nothing else."""

    @property
    def count(self) -> int:
        """All of them."""
        return 1 + len(self.others)

    @property
    def label(self) -> str:
        """For the line of an index in a table, such as ``+ base (average)``."""
        how = self.rule if self.training is None else f"{len(self.training.segments)} segments"
        return f"+ {', '.join(one.name for one in self.others)} ({how})"

    @property
    def sentence(self) -> str:
        """The weighted sum in words."""
        if self.training is not None:
            return self.training.sentence
        terms = [(self.name, self.weight), *((one.name, one.weight) for one in self.others)]
        told = ", ".join(f"{weight:.3g} × {name}" for name, weight in terms)
        return f"scores are sums over {self.count} members: {told}"

    @property
    def cost(self) -> str:
        """What a question costs beside one to a single index."""
        return f"a question takes {self.count} times the time of one model and {self.count} models in memory"


def write_members(folder: Path, members: Members) -> None:
    """Write what an index answers with, atomically, in place of what it answered with before."""
    values = {"index_id": folder.name, **asdict(members)}
    if members.training is None:
        del values["training"]
    write_json(folder / MEMBERS, values)


def read_members(folder: Path) -> Members | None:
    """What an index answers with beside its own model; None where it is alone.

    Raises:
        ArtefactError: The file is not what was written, or of another index.
    """
    path = folder / MEMBERS
    if not path.is_file():
        return None
    kept = read_json(path, "index_id", "rule", "name", "weight", "others")
    try:
        found = _members_of(kept)
    except (TypeError, ValueError, KeyError) as error:
        raise _unusable(path, "does not say what the members of an index are") from error
    if kept["index_id"] != folder.name:
        raise _unusable(path, f"is of index {kept['index_id']!r}")
    return found


def linked_ids(folders: Path) -> set[str]:
    """Indexes that others name as members; a file that cannot be read names none here, and is refused when asked."""
    found: set[str] = set()
    for path in folders.glob(f"*/{MEMBERS}"):
        try:
            members = read_members(path.parent)
        except LorifError:
            continue
        found |= {one.index_id for one in members.others} if members is not None else set()
    return found


def _members_of(kept: dict[str, Any]) -> Members:
    others = tuple(LinkedMember(**one) for one in kept["others"])
    training = None if kept.get("training") is None else _training_of(kept["training"])
    found = Members(str(kept["rule"]), str(kept["name"]), float(kept["weight"]), others, training)
    weights = [found.weight, *(one.weight for one in others)]
    names = {found.name, *(one.name for one in others)}
    if not others or len(names) != found.count or not all(weight and math.isfinite(weight) for weight in weights):
        raise ValueError
    if training is not None and _is_odd(training, [found.name, *(one.name for one in others)]):
        raise ValueError
    return found


def _training_of(kept: dict[str, Any]) -> Training:
    segments = tuple(
        TrainingSegment(**{**one, "members": tuple(one["members"]), "rates": float(one["rates"])})
        for one in kept["segments"]
    )
    lists = {name: tuple(kept[name]) for name in ("steps", "learning_rates")}
    return Training(**{**kept, **lists, "segments": segments, "texts_per_step": float(kept["texts_per_step"])})


def _is_odd(training: Training, names: list[str]) -> bool:
    """Whether it is not about all members, each once, the index's own model last, or a number cannot be."""
    told = [name for one in training.segments for name in one.members]
    numbers = [training.texts_per_step, training.num_targets, *(one.rates for one in training.segments)]
    return (
        sorted(told) != sorted(names)
        or told[-1] != names[0]
        or training.trained_by not in get_args(TrainedBy)
        or not all(0 < number < math.inf for number in numbers)
    )


def _unusable(path: Path, problem: str) -> ArtefactError:
    return ArtefactError(
        f"{str(path)!r} {problem}: run the `lorif index` command that named the members again, or `lorif index` with "
        "`--alone`."
    )
