"""Commands that write curated data: export, replay, freeze, versions, diff."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, progress, say
from lorif_core.errors import ConfigError
from lorif_core.export_config import ExportConfig, HubConfig

if TYPE_CHECKING:
    from lorif_core.workspace.curation.all_versions import Versions
    from lorif_core.workspace.curation.export_records import ExportPreview, ExportResult, Tally

MAX_SHOWN = 20


def export(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ExportConfig] = ExportConfig(),  # noqa: B008 - frozen
    hub: OmitArgPrefixes[HubConfig] = HubConfig(),  # noqa: B008 - frozen
    *,
    dataset: TextArg = None,
    out: Path | None = None,
    dry_run: Annotated[bool, tyro.conf.arg(name="dry-run")] = False,
    force: bool = False,
    json: Json = False,
) -> None:
    """Write the curated data set: every text that is not excluded, and what was left out and why.

    Without `--out` everything goes to WORKSPACE/exports/ID/: the data, manifest.json (what, by whom, why, hashes),
    recipe.json (for `lorif replay`), kept.jsonl and excluded.jsonl. With `--out` the data are that file, and the
    rest is beside it in NAME.export-ID/; a folder of format hf holds the rest itself.

    JSONL from JSONL files that are still where they were imported from: their lines, byte for byte. Parquet and hf
    have the types of the data. What a format does not hold is listed, by `--dry-run` before anything is written.

    With `--to-hub OWNER/NAME` the same export also goes to the Hugging Face hub, as one commit; with `--dry-run` the
    card and the list of files are shown, and nothing is sent.

    Args:
        workspace: Folder of the workspace.
        settings: Format, what is left out, added columns.
        hub: Where on the Hugging Face hub it goes.
        dataset: Name or id of the data set; may be left out when there is only one.
        out: File to write (.jsonl, .parquet, .csv), or the folder for `--format hf`.
        dry_run: Write nothing, count what would be written.
        force: Replace an earlier export at `--out`, or add a commit to a repository that holds other files.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    if hub != HubConfig():
        if out is not None:
            raise ConfigError(
                f"an export goes to the hub or to a file, got `--out {out}` and settings of the hub: leave one out."
            )
        _export_to_hub(opened.versions, hub, settings, dataset, dry_run=dry_run, force=force, json=json)
        return
    if dry_run:
        preview = opened.versions.preview(dataset=dataset, settings=settings)
        if json:
            print_json(preview.to_dict())
        else:
            print_preview(preview)
        return
    with progress(json) as on_progress:
        result = opened.export(out, dataset=dataset, settings=settings, overwrites=force, on_progress=on_progress)
    if json:
        print_json(result.to_dict())
    else:
        _say_export(result)


def _say_export(result: "ExportResult") -> None:
    """Say what was written where."""
    if not result.is_new:
        say(f"Nothing written: this export is there already, as {result.path}.")
    else:
        _say_written(result)
    if result.num_unknown:
        say(f"{result.num_unknown} decisions are about texts that this version of the data does not have.")
    if result.lines == "verbatim":
        say("The lines are those of the source, byte for byte.")
    elif result.why_rewritten is not None:
        say(f"The lines were written from the stored values: {result.why_rewritten}.")
    _say_losses(result.losses)
    say(f"Manifest, recipe and lists: {result.about}.")


def _export_to_hub(
    versions: "Versions",
    hub: HubConfig,
    settings: ExportConfig,
    dataset: str | None,
    *,
    dry_run: bool,
    force: bool,
    json: bool,
) -> None:
    if dry_run:
        plan = versions.plan_hub(hub, dataset=dataset, settings=settings)
        if json:
            print_json(plan.to_dict())
            return
        say(f"Would put these files into {plan.repository}:")
        for path in plan.files:
            say(f"- {path}")
        say(f"README.md:\n{plan.card}")
        print_preview(plan.preview)
        return
    with progress(json) as on_progress:
        found = versions.to_hub(hub, dataset=dataset, settings=settings, overwrites=force, on_progress=on_progress)
    if json:
        print_json(found.to_dict())
        return
    _say_written(found.export)
    _say_losses(found.export.losses)
    say(f"On the hub: {found.url}, commit {found.commit_url}.")


def replay(
    recipe: Positional[Path],
    files: Positional[tuple[Path, ...]],
    /,
    *,
    out: Path,
    force: bool = False,
    json: Json = False,
) -> None:
    """Write an export's data again, byte for byte, from the files that were imported. Needs no workspace.

    Args:
        recipe: The export's recipe.json; the lists beside it are read, too.
        files: The files that were imported, in any order.
        out: File to write, or the folder for format hf.
        force: Replace something at `--out`.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.curation.export import replay_recipe

    if not files:
        raise ConfigError(
            "name the files that were imported, e.g. `lorif replay recipe.json texts.jsonl --out FILE`."
        )
    result = replay_recipe(recipe, files, out, overwrites=force)
    if json:
        print_json(result.to_dict())
        return
    _say_written(result)
    say("These are the bytes of the export.")


def freeze(
    workspace: Positional[Path],
    name: Positional[str],
    /,
    settings: OmitArgPrefixes[ExportConfig] = ExportConfig(),  # noqa: B008 - frozen
    *,
    parent: TextArg = None,
    note: str = "",
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Export the curated data under a name that it keeps: a frozen version is never edited.

    Args:
        workspace: Folder of the workspace.
        name: Letters, digits, dots, hyphens and underscores.
        settings: Format, what is left out, added columns.
        parent: The version that it comes after; unset: the latest one.
        note: What it is for.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    with progress(json) as on_progress:
        version = opened.versions.freeze(
            name, parent=parent, note=note, dataset=dataset, settings=settings, on_progress=on_progress
        )
    if json:
        print_json(asdict(version))
        return
    after = "the first version" if version.parent is None else f"after {version.parent}"
    say(f"Froze {version.name}, {after}: {version.counts['kept']} texts in {opened.versions.files_of(name).data}.")


def versions(workspace: Positional[Path], /, *, dataset: TextArg = None, json: Json = False) -> None:
    """List the frozen versions of a data set, oldest first.

    Args:
        workspace: Folder of the workspace.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(workspace).versions.records(dataset=dataset)
    if json:
        print_json({"versions": [asdict(one) for one in found]})
    elif found:
        rows = [
            [one.name, one.parent or "", one.at, one.actor, one.counts["kept"], one.export_id, one.note]
            for one in found
        ]
        columns = ["name", "parent", "when (UTC)", "who", "texts", "export", "note"]
        console().print(records_table("Versions", columns, rows))
    else:
        say(f"There is no frozen version yet. Next: lorif freeze {workspace} NAME")


def diff(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ExportConfig] = ExportConfig(),  # noqa: B008 - frozen
    *,
    version: TextArg = None,
    against: TextArg = None,
    by: tuple[str, ...] = (),
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Which texts came and went: between the draft and a version, or a version and its parent.

    Args:
        workspace: Folder of the workspace.
        settings: What the draft leaves out.
        version: A frozen version, to be compared with its parent; unset: the draft.
        against: With the draft: a version; unset: everything that was imported.
        by: Metadata columns, and length; unset: source, topic and length.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    found = opened.versions.diff(version=version, against=against, by=by or None, dataset=dataset, settings=settings)
    if json:
        print_json(found.to_dict())
        return
    say(
        f"{found.num_before} texts before ({found.parent or 'the import'}), {found.num_after} after: "
        f"{found.num_came} came, {found.num_went} went."
    )
    for name, groups in found.by.items():
        rows = [
            ["none" if one.value is None else one.value, one.before, one.after, one.came, one.went] for one in groups
        ]
        console().print(records_table(f"By {name}", [name, "before", "after", "came", "went"], rows[:MAX_SHOWN]))


def print_preview(preview: "ExportPreview") -> None:
    """What an export would hold, with counts by reason and by value."""
    say(
        f"Would write {preview.num_kept} of {preview.num_input} texts of {preview.dataset_id} and leave out "
        f"{preview.num_excluded}. {preview.num_flagged} are flagged; people disagree on {preview.num_conflicts}."
    )
    if preview.num_unknown:
        say(f"{preview.num_unknown} decisions are about texts that this version of the data does not have.")
    if preview.by_reason:
        _print_tallies("By reason", "reason", preview.by_reason, 0)
    if preview.count_by is not None:
        _print_tallies(f"By {preview.count_by}", preview.count_by, preview.by_value, preview.num_other_values)
    _say_losses(preview.losses)
    say("Nothing was written.")


def _say_losses(losses: Sequence[str]) -> None:
    if losses:
        say("What this format does not hold:")
    for loss in losses[:MAX_SHOWN]:
        say(f"- {loss}")
    if len(losses) > MAX_SHOWN:
        say(f"- and {len(losses) - MAX_SHOWN} more, which `--json` and the manifest list.")


def _print_tallies(title: str, name: str, tallies: Sequence["Tally"], num_others: int) -> None:
    from lorif_core.views.tables import records_table

    rows = [
        ["none" if tally.value is None else str(tally.value), tally.kept, tally.flagged, tally.excluded]
        for tally in tallies[:MAX_SHOWN]
    ]
    console().print(records_table(title, [name, "kept", "flagged", "excluded"], rows))
    num_hidden = num_others + sum(tally.total for tally in tallies[MAX_SHOWN:])
    if num_hidden:
        say(f"{num_hidden} more texts have rarer values.")


def _say_written(result: "ExportResult") -> None:
    from lorif_core.views.tables import human_bytes, human_seconds

    say(
        f"Wrote {result.num_kept} of {result.num_input} texts to {result.path}, {human_bytes(result.size_bytes)}, "
        f"in {human_seconds(result.elapsed_s)}; {result.num_excluded} were left out."
    )
