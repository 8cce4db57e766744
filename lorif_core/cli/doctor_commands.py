"""The command that looks whether everything is whole: `lorif doctor`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from lorif_core.cli.output import Json, console, print_json, progress, say

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.workspace.health.environment_report import Environment
    from lorif_core.workspace.health.findings import CheckReport, Finding

TITLES = {
    "broken": "Broken: not what was written",
    "missing": "Missing: named, and not there",
    "leftover": "Left over: no answer depends on it",
    "note": "Notes: nothing is wrong",
}


def doctor(workspace: Annotated[Path | None, tyro.conf.Positional] = None, /, *, json: Json = False) -> None:
    """Say what is installed; with a workspace, read every file of it and look for every one that should be there.

    Exits with 2 when something is broken or missing. Changes nothing.

    Args:
        workspace: Folder of a workspace to check.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.health.check_workspace import check_workspace, files_to_check
    from lorif_core.workspace.health.environment_report import describe_environment

    files = files_to_check(workspace) if workspace is not None else None
    environment = describe_environment(workspace or Path())
    report = None
    if files is not None:
        with progress(json) as on_progress:
            report = check_workspace(files, on_progress)
    if json:
        checked = None if report is None else asdict(report) | {"is_whole": report.is_whole}
        print_json({"environment": asdict(environment), "workspace": checked})
    else:
        _print_environment(environment)
        if report is not None:
            _print_report(report)
    if report is not None and not report.is_whole:
        sys.exit(2)


def _print_environment(environment: "Environment") -> None:
    from lorif_core.views.tables import human_bytes, key_value_table

    rows = asdict(environment)
    packages = rows.pop("packages")
    for name in ("memory_bytes", "free_memory_bytes", "free_disk_bytes"):
        rows[name.removesuffix("_bytes").replace("_", " ")] = human_bytes(rows.pop(name))
    rows["devices"] = "; ".join(rows["devices"])
    console().print(key_value_table("Machine", rows))
    console().print(
        key_value_table("Packages", {name: version or "not installed" for name, version in packages.items()})
    )


def _print_report(report: "CheckReport") -> None:
    from lorif_core.views.tables import human_bytes, records_table

    rows = [[r.index_id, r.method, r.status, r.num_examples, human_bytes(r.total_bytes or 0)] for r in report.indexes]
    if rows:
        console().print(records_table("Indexes", ["id", "method", "status", "examples", "size"], rows))
    for index_id, sentence in report.adapters.items():
        say(f"{index_id}: {sentence}")
    counts = {name: sum(one.severity == name for one in report.findings) for name in TITLES if name != "note"}
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "everything is whole"
    say(f"Read {report.num_files:,} files, {human_bytes(report.size_bytes)}: {told}.")
    shown: dict[str, list[Finding]] = {}
    for finding in [*report.findings, *report.notes]:
        shown.setdefault(finding.severity, []).append(finding)
    for severity, findings in shown.items():
        say(f"\n{TITLES[severity]}")
        for finding in findings:
            _print_finding(finding)


def _print_finding(finding: "Finding") -> None:
    say(f"  {finding.path or finding.artefact}")
    rows: dict[str, Any] = {"": finding.problem, "means": finding.meaning, "remedy": finding.remedy}
    for name, sentence in rows.items():
        if sentence:
            say(f"    {f'{name}: ' if name else ''}{sentence}")
