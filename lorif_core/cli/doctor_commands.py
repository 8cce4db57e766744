"""The command that looks whether everything is whole: `lorif doctor`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from lorif_core.cli.output import Json, console, print_json, progress, say
from lorif_core.errors import ConfigError

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
    from lorif_core.workspace.health.environment_report import Environment
    from lorif_core.workspace.health.findings import CheckReport, Finding

TITLES = {
    "broken": "Broken: not what was written",
    "missing": "Missing: named, and not there",
    "leftover": "Left over: no answer depends on it",
    "note": "Notes: nothing is wrong",
}


def doctor(
    workspace: Annotated[Path | None, tyro.conf.Positional] = None,
    /,
    *,
    repair: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    json: Json = False,
) -> None:
    """Say what is installed; with a workspace, read every file of it and look for every one that should be there.

    Exits with 2 when something is broken or missing. Changes nothing, unless it is told to repair. Then it says what
    it would do, asks, and moves whatever it takes away to WORKSPACE/.repaired. Journal, catalog, texts and exports
    are never touched: restore those from a backup.

    Args:
        workspace: Folder of a workspace to check.
        repair: Set aside what is damaged or left over, and make again what can be made from the rest.
        dry_run: With `--repair`: say what would be done, and do nothing.
        yes: With `--repair`: do not ask.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.health.check_workspace import check_workspace, files_to_check
    from lorif_core.workspace.health.environment_report import describe_environment

    _check_flags(workspace, repair=repair, dry_run=dry_run, yes=yes)

    files = files_to_check(workspace) if workspace is not None else None
    environment = describe_environment(workspace or Path())
    report = None
    if files is not None:
        with progress(json) as on_progress:
            report = check_workspace(files, on_progress)
    found: dict[str, Any] = {"environment": asdict(environment), "workspace": _as_json(report)}
    if not json:
        _print_environment(environment)
        if report is not None:
            _print_report(report)
    if repair and files is not None and report is not None:
        told, after = _repair(files, report, is_agreed=yes, is_dry=dry_run, is_quiet=json)
        found |= {"repair": told, "after": _as_json(after)}
        report = after or report
    if json:
        print_json(found)
    if report is not None and not report.is_whole:
        sys.exit(2)


def _check_flags(workspace: Path | None, *, repair: bool, dry_run: bool, yes: bool) -> None:
    if repair and workspace is None:
        raise ConfigError("a repair is of a workspace: name its folder, as in `lorif doctor WORKSPACE --repair`.")
    if (dry_run or yes) and not repair:
        raise ConfigError("`--dry-run` and `--yes` say how to repair: pass `--repair` with them.")
    if repair and not (dry_run or yes or sys.stdin.isatty()):
        raise ConfigError(
            "a person agrees to a repair, and nobody can be asked here: try `--repair --dry-run`, then pass `--yes`."
        )


def _as_json(report: "CheckReport | None") -> dict[str, Any] | None:
    return None if report is None else asdict(report) | {"is_whole": report.is_whole}


def _repair(
    files: "WorkspaceFiles", report: "CheckReport", *, is_agreed: bool, is_dry: bool, is_quiet: bool
) -> tuple[dict[str, Any], "CheckReport | None"]:
    """Say what would be done, do it if that is confirmed, and look again: what was said, and the second look."""
    from lorif_core.workspace.health.apply_repairs import apply_repairs
    from lorif_core.workspace.health.check_workspace import check_workspace
    from lorif_core.workspace.health.plan_repairs import plan_repairs

    plan = plan_repairs(files, report)
    told: dict[str, Any] = {"plan": asdict(plan), "result": None}
    show = (lambda text: None) if is_quiet else say
    _show_all(
        show, "A repair would", [step.does for step in plan.steps] or ["do nothing: nothing here can be made again"]
    )
    _show_all(show, "It would leave to you", [f"{one.path or one.artefact}: {one.remedy}" for one in plan.others])
    if is_dry or not plan.steps or not (is_agreed or _is_agreed()):
        return told, None
    with progress(is_quiet) as on_progress:
        result = apply_repairs(files, plan.steps, on_progress)
        after = check_workspace(files, on_progress)
    _show_all(show, "Done", [*result.done, f"what was taken away is in {files.root / result.aside}"])
    _show_all(show, "Could not be done", result.failed)
    _show_all(show, "Left to do", result.left)
    if not is_quiet:
        _print_report(after)
    return told | {"result": asdict(result)}, after


def _is_agreed() -> bool:
    print("Do this? [y/N] ", end="", flush=True, file=sys.stderr)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show_all(show: Callable[[str], None], title: str, sentences: Sequence[str]) -> None:
    if sentences:
        show(f"\n{title}:")
    for sentence in sentences:
        show(f"  {sentence}")


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
        console().print(records_table("Indexes", ["id", "method", "status", "texts", "size"], rows))
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
