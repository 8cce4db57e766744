"""What people were told was written, beside what the journal says: the two must agree, whatever happened between."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from storms.forked_command import Ended, Fault, forked
from storms.storm_tally import Tally

STATUS_OF = {"flag": "flagged", "exclude": "excluded", "restore": "kept"}


class Act(NamedTuple):
    """One decision that was tried."""

    tag: str
    kind: str
    train_ids: tuple[str, ...]

    def command(self, workspace: Path) -> list[object]:
        reason = ("--reason", "spam") if self.kind != "restore" else ()
        return [self.kind, workspace, *self.train_ids, *reason, "--text", self.tag, "--dataset", "texts", "--json"]


@dataclass
class Ledger:
    """Acts in the order in which they were tried, and which of them were acknowledged."""

    name: str
    tried: dict[str, Act] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)

    def draw(self, rng: random.Random, train_ids: Sequence[str]) -> Act:
        """A decision nobody has made yet."""
        kind = rng.choice(list(STATUS_OF))
        act = Act(
            f"{self.name}-{len(self.tried)}", kind, tuple(sorted(rng.sample(list(train_ids), rng.randint(1, 5))))
        )
        self.tried[act.tag] = act
        return act

    def make(self, act: Act, workspace: Path, fault: Fault, actor: str | None = None) -> Ended:
        """Try an act; what ends with exit code 0 is acknowledged."""
        ended = forked(act.command(workspace), watched=workspace, fault=fault, actor=actor)
        if ended.code == 0:
            self.acknowledged.add(act.tag)
        return ended

    def check(self, history: Sequence[dict[str, Any]], tally: Tally) -> None:
        """Compare with the journal's history, newest first: nothing lost, nothing invented, every batch whole."""
        batches = [entry["batch"] for entry in history]
        mine = [batch for batch in batches if (batch["text"] or "").rsplit("-", 1)[0] == self.name]
        found = [batch["text"] for batch in mine]
        for tag in sorted(self.acknowledged - set(found)):
            tally.violate(f"acknowledged act lost: {self.tried[tag]}")
        if len(set(found)) != len(found):
            tally.violate(f"an act was written twice: {[tag for tag in found if found.count(tag) > 1]}")
        for batch in mine:
            act = self.tried.get(batch["text"])
            if act is None:
                tally.violate(f"an act that nobody tried: {batch['text']}")
            elif (batch["kind"], batch["num_events"]) != (act.kind, len(act.train_ids)):
                tally.violate(f"an act is not whole: {batch} of {act}")
        revisions = [batch["revision"] for batch in batches]
        if revisions != sorted(set(revisions), reverse=True):
            tally.violate(f"revisions are not in order: {revisions[:20]}")


def expected_statuses(
    history: Sequence[dict[str, Any]], act_of: Callable[[str], Act | None], before: dict[str, str]
) -> dict[str, str]:
    """Where every text stands, replayed from the history by hand."""
    statuses = dict(before)
    for entry in sorted(history, key=lambda one: one["batch"]["revision"]):
        act = act_of(entry["batch"]["text"])
        if act is not None:
            statuses |= dict.fromkeys(act.train_ids, STATUS_OF[act.kind])
    return statuses
