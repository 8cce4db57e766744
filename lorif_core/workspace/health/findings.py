"""What is found wrong with a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lorif_core.catalog import IndexRecord

Severity = Literal["broken", "missing", "leftover", "note"]
"""A broken file is not what was written; a missing one is named by something that is there; a leftover belongs to
nothing any more; a note says what a person may want to know and harms nothing."""

SEVERITIES: tuple[Severity, ...] = ("broken", "missing", "leftover", "note")

Repair = Literal["set aside", "part", "entry", "manifest", "plan", "fit", "search", "changes", "maps"]
"""What ``lorif doctor --repair`` can do about a finding; see ``health/plan_repairs.py``."""


@dataclass(frozen=True)
class Finding:
    """One file or record of a workspace that is not as it should be."""

    artefact: str
    """Id of the data set, index or question that it is about; else the path."""

    problem: str
    """What is wrong, in a sentence."""

    severity: Severity = "broken"
    path: str | None = None
    """Of the file, below the workspace; None where no single file is meant."""

    meaning: str = ""
    """What it means for answers."""

    remedy: str = ""
    """What to do."""

    repair: Repair | None = None
    """What a repair would do; None where only a person can do something."""

    left: str = ""
    """What a person still has to do after the repair."""


@dataclass(frozen=True)
class CheckReport:
    """Result of reading every file of a workspace."""

    num_files: int
    """Files that were read."""

    size_bytes: int
    """Their bytes."""

    findings: list[Finding] = field(default_factory=list[Finding])
    """What is broken, missing or left over, the worst first."""

    notes: list[Finding] = field(default_factory=list[Finding])
    """What harms nothing: files without a seal, files that are not LoRIF's, caches that are made when needed."""

    indexes: list[IndexRecord] = field(default_factory=list[IndexRecord])
    """What the catalog knows of indexes."""

    adapters: dict[str, str] = field(default_factory=dict[str, str])
    """Per index of an adapter that is still in its folder, one sentence: kind, rank, base, tracked modules."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is broken or missing; what is left over disturbs no answer."""
        return all(finding.severity == "leftover" for finding in self.findings)


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """The worst first; of several findings about a file, the first."""
    seen: dict[tuple[str, str], Finding] = {}
    for finding in found:
        seen.setdefault((finding.path or finding.artefact, "" if finding.path else finding.problem), finding)
    return sorted(seen.values(), key=lambda one: (SEVERITIES.index(one.severity), one.path or "", one.artefact))
