"""What is known of one kind of file that a workspace holds."""

from dataclasses import dataclass
from typing import Literal

from lorif_core.workspace.health.findings import Finding, Repair, Severity

Check = Literal[
    "nothing",
    "readable",
    "json",
    "lines",
    "states",
    "password",
    "upload",
    "statistics",
    "row",
    "view",
    "memory",
    "starting",
    "elsewhere",
]
"""How one file is checked by itself; ``elsewhere``: with what names it, in the checks of its folder."""

RESTORE = "Restore it from a backup: `lorif restore-backup`."
INDEX_AGAIN = "Run the same `lorif index` command again: it makes what is missing, with the same bytes."


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of file."""

    name: str
    place: str
    """Where it lies, for people."""

    pattern: str
    """Of the path below the workspace, with `/`; the whole of it fits."""

    what: str
    source: str | None
    """What it can be made from again; None: nothing else holds what it says."""

    check: Check
    meaning: str
    """What it means for answers if it is damaged or gone."""

    remedy: str
    repair: Repair | None = None
    left: str = ""
    """What a person still has to do after the repair; empty: nothing."""

    is_sealed: bool = False
    """Whether it has room for a seal, so that one without is worth a note."""

    def finding(
        self, path: str, problem: str, severity: Severity = "broken", *, artefact: str | None = None
    ) -> Finding:
        """What is wrong with a file of this kind."""
        return Finding(artefact or path, problem, severity, path, self.meaning, self.remedy, self.repair, self.left)
