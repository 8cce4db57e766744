"""The file beside an index that names the further members of its scores.

Every member is an index of its own. So a member can be added to a finished index without touching what is stored, and
an index that others name still answers by itself.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorif_core.errors import ArtefactError, LorifError
from lorif_core.files import read_json, write_json

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
class Members:
    """The members of an index's scores: its own model, and those of other indexes."""

    rule: str
    """How the weights were chosen."""

    name: str
    weight: float
    """Of the index's own scores."""

    others: tuple[LinkedMember, ...]

    @property
    def count(self) -> int:
        """All of them."""
        return 1 + len(self.others)

    @property
    def label(self) -> str:
        """For the line of an index in a table, such as ``+ base (average)``."""
        return f"+ {', '.join(one.name for one in self.others)} ({self.rule})"

    @property
    def sentence(self) -> str:
        """The weighted sum in words."""
        terms = [(self.name, self.weight), *((one.name, one.weight) for one in self.others)]
        told = ", ".join(f"{weight:.3g} × {name}" for name, weight in terms)
        return f"scores are sums over {self.count} members: {told}"

    @property
    def cost(self) -> str:
        """What a question costs beside one to a single index."""
        return f"a question takes {self.count} times the time of one model and {self.count} models in memory"


def write_members(folder: Path, members: Members) -> None:
    """Write what an index answers with, atomically, in place of what it answered with before."""
    write_json(folder / MEMBERS, {"index_id": folder.name, **asdict(members)})


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
    found = Members(str(kept["rule"]), str(kept["name"]), float(kept["weight"]), others)
    weights = [found.weight, *(one.weight for one in others)]
    names = {found.name, *(one.name for one in others)}
    if not others or len(names) != found.count or not all(weight and math.isfinite(weight) for weight in weights):
        raise ValueError
    return found


def _unusable(path: Path, problem: str) -> ArtefactError:
    return ArtefactError(
        f"{str(path)!r} {problem}: run the `lorif index` command that named the members again, or `lorif index` with "
        "`--alone`."
    )
