"""What the checks of a workspace share: the files that are there, what is known of them, what is wrong."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lorif_core.catalog import Catalog, DatasetRecord, IndexRecord, QueryRecord
from lorif_core.errors import LorifError
from lorif_core.files import check_seal, stamp_of
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.health.file_kind import Kind
from lorif_core.workspace.health.findings import Finding, Severity
from lorif_core.workspace.health.inventory import kind_of
from lorif_core.workspace.health.living import Living
from lorif_core.workspace.health.snapshots import JournalFacts

REPAIRED = ".repaired"
"""Folder of a workspace that keeps what repairs have set aside."""

LOOKS = 3
"""How often a file is looked at that changes meanwhile."""


@dataclass
class Examination:
    """One look at a workspace. Changes nothing."""

    files: WorkspaceFiles
    living: Living
    found: dict[str, int]
    """Size of every file by its path below the workspace."""

    catalog: Catalog | None = None
    """A copy; None where it cannot be read."""

    journal: JournalFacts | None = None
    """None where it cannot be read, or there is none."""

    findings: list[Finding] = field(default_factory=list[Finding])
    unsealed: list[str] = field(default_factory=list[str])
    """Files of kinds that carry a seal, without one."""

    on_file: Callable[[str], None] = lambda path: None
    """Told every file that is read."""

    whole: set[str] = field(default_factory=set[str])
    """Files that were found to be what was written."""

    @property
    def root(self) -> Path:
        """The workspace's folder."""
        return self.files.root

    def datasets(self) -> list[DatasetRecord]:
        """Data sets that the catalog knows."""
        return [] if self.catalog is None else self.catalog.datasets()

    def indexes(self) -> list[IndexRecord]:
        """Indexes that the catalog knows."""
        return [] if self.catalog is None else self.catalog.indexes()

    def queries(self) -> list[QueryRecord]:
        """Questions that the catalog knows."""
        return [] if self.catalog is None else self.catalog.queries()

    def below(self, folder: str) -> list[str]:
        """Paths of the files in a folder."""
        return [path for path in self.found if path.startswith(f"{folder}/")]

    def has(self, path: str) -> bool:
        """Whether a file is there, or came meanwhile."""
        return path in self.found or (self.root / path).is_file()

    def report(self, path: str, problem: str, severity: Severity = "broken", *, artefact: str | None = None) -> None:
        """Something is wrong with a file, whose kind says what that means."""
        kind = kind_of(path)
        assert kind is not None  # only files of the inventory are looked for
        self.findings.append(kind.finding(path, problem, severity, artefact=artefact))

    def check(self, path: str, check: Callable[[Path], object], *, artefact: str | None = None) -> bool:
        """Read a file that is there; whether it is what was written.

        Looked at again where it was replaced meanwhile: of a file that changes under the look nothing can be said.
        """
        self.on_file(path)
        problem = self.problem_of(path, check)
        if problem is None:
            self.whole.add(path)
        else:
            self.report(path, problem, artefact=artefact)
        return problem is None

    def problem_of(self, path: str, check: Callable[[Path], object]) -> str | None:
        """What is wrong with a file, in a sentence; None if nothing is."""
        place = self.root / path
        kind = kind_of(path)
        for _ in range(LOOKS):
            try:
                before = stamp_of(place)
            except OSError:
                return None  # it went away, as files of writers do; what names it says that it is missing
            try:
                check(place)
                self._read_seal(place, path, kind)
                return None
            except (LorifError, OSError) as error:
                if _is_same(place, before):
                    return str(error)
        return None

    def _read_seal(self, place: Path, path: str, kind: Kind | None) -> None:
        if kind is not None and kind.is_sealed and not check_seal(place):
            self.unsealed.append(path)


def _is_same(place: Path, before: tuple[int, ...]) -> bool:
    try:
        return stamp_of(place) == before
    except OSError:
        return False


def files_below(root: Path) -> Iterator[tuple[str, int]]:
    """Path below a folder and size of every file, also behind links; what repairs have set aside is left out."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        folders[:] = [] if place in seen else sorted(one for one in folders if Path(folder, one) != root / REPAIRED)
        if place in seen:
            continue
        seen.add(place)
        for name in sorted(names):
            path = Path(folder, name)
            try:
                yield path.relative_to(root).as_posix(), path.stat().st_size
            except OSError:  # it went away, or is a link to nothing
                continue
