"""What a repair would do, decided from what was found, before anything is done.

Only what is derived is touched. Journal, catalog, texts, uploads, frozen versions and exports stay as they are,
damaged or not: for them there is a backup. Whatever is replaced or taken away is moved to
``WORKSPACE/.repaired/<time>/``, so a repair can be undone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.health.findings import CheckReport, Finding, Repair

BUILD_AGAIN = "run the same `lorif index` command again"


@dataclass(frozen=True)
class Step:
    """One thing that a repair does."""

    repair: Repair
    paths: tuple[str, ...]
    """Files that it sets aside, or makes anew in their places."""

    does: str
    """In a sentence."""

    index_id: str | None = None
    left: tuple[str, ...] = ()
    """What a person still has to do then."""


@dataclass(frozen=True)
class RepairPlan:
    """Everything that a repair would do, and what it leaves to people."""

    steps: list[Step]
    others: list[Finding]
    """Findings that no step is about."""


def plan_repairs(files: WorkspaceFiles, report: CheckReport) -> RepairPlan:
    """What ``apply_repairs`` would do about the findings of a report. Changes nothing."""
    steps: list[Step] = []
    of_indexes: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.path is not None and finding.path.startswith("indexes/") and finding.severity != "leftover":
            of_indexes.setdefault(finding.path.split("/")[1], []).append(finding)
        else:
            steps += _step(finding)
    for index_id, findings in of_indexes.items():
        steps += _steps_of_index(files, index_id, findings)
    about = {path for step in steps for path in step.paths}
    return RepairPlan(steps, [_for_people(finding) for finding in report.findings if finding.path not in about])


def _for_people(finding: Finding) -> Finding:
    """A finding that no repair is about, with what a person can do."""
    path = finding.path or ""
    if finding.repair is not None and path.startswith("indexes/"):
        folder = "/".join(path.split("/")[:2])
        return replace(finding, remedy=f"Restore {folder} from a backup, or move it away and {BUILD_AGAIN}.")
    return replace(finding, remedy=finding.left or finding.remedy)


def _step(finding: Finding) -> Iterable[Step]:
    path, left = finding.path, _left(finding)
    if path is None or finding.repair is None:
        return
    if finding.severity == "leftover" or (finding.repair == "set aside" and finding.severity == "broken"):
        yield Step("set aside", (path,), f"set aside {path}", left=left)
    elif finding.repair == "search":
        yield Step("search", (path,), f"set aside {path} and build it again from the texts")
    elif finding.repair == "changes":
        yield Step("changes", (path,), f"set aside {path} and compare the versions again")


def _left(finding: Finding) -> tuple[str, ...]:
    return (f"{finding.artefact}: {finding.left}",) if finding.left and finding.severity != "leftover" else ()


def _steps_of_index(files: WorkspaceFiles, index_id: str, findings: Sequence[Finding]) -> list[Step]:
    """Steps in the order in which they can be done: the plan names everything else."""
    place = f"indexes/{index_id}"
    by_repair: dict[str, list[Finding]] = {}
    for finding in findings:
        by_repair.setdefault(finding.repair or "none", []).append(finding)

    def paths(*repairs: Repair) -> tuple[str, ...]:
        return tuple(finding.path or "" for name in repairs for finding in by_repair.get(name, []))

    steps = [one for finding in by_repair.get("set aside", []) for one in _step(finding)]
    has_manifest = "manifest" not in by_repair and (files.root / place / "manifest.json").is_file()
    has_plan = "plan" not in by_repair and (files.root / place / "plan.json").is_file()
    if not (has_plan or has_manifest):
        return steps  # nothing tells what the others are
    if "plan" in by_repair:
        steps.append(Step("plan", paths("plan"), f"write {place}/plan.json from the manifest", index_id))
        has_plan = True
    if not has_plan:  # of format 1: it cannot be built on
        by_repair.pop("maps", None)
        if "part" in by_repair:
            return steps
    if "maps" in by_repair:
        does = f"set aside {len(paths('maps'))} maps of {index_id} and make them from the statistics"
        steps.append(Step("maps", paths("maps"), does, index_id))
    if "part" in by_repair:
        steps.append(_step_of_parts(index_id, paths("part"), by_repair["part"][0]))
        return steps
    if "entry" in by_repair:
        does = "write the entries of parts from the manifest" if has_manifest else "set aside the entries of parts"
        left = () if has_manifest else (f"{index_id}: run the same `lorif index` command again.",)
        steps.append(Step("entry", paths("entry"), f"{does} of {index_id}: {len(paths('entry'))}", index_id, left))
    if "manifest" in by_repair:
        does = f"set aside {place}/manifest.json, make it from the parts' entries and fit the curvature again"
        steps.append(Step("manifest", paths("manifest", "fit"), does, index_id))
    elif "fit" in by_repair:
        does = f"set aside {len(paths('fit'))} files of the curvature of {index_id} and fit it again from the parts"
        steps.append(Step("fit", paths("fit"), does, index_id))
    return steps


def _step_of_parts(index_id: str, paths: Sequence[str], finding: Finding) -> Step:
    """Tensors go with their entries and the manifest, so that the index says that they are to be made."""
    place = f"indexes/{index_id}"
    entries = (f"{place}/parts/{path.rpartition('/')[2].partition('-')[0]}.json" for path in paths)
    does = f"set aside {len(paths)} parts of {index_id} with their entries, and its manifest"
    return Step("part", (*paths, *entries, f"{place}/manifest.json"), does, index_id, _left(finding))
