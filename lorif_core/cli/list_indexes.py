"""The command `lorif indexes`: list them, report on one; copy, name or delete one."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.change_index import UNCHANGED, ChangeArgs, change_index
from lorif_core.cli.index_commands import say_members, say_share, say_size
from lorif_core.cli.output import Json, TextArg, complain, console, print_json, progress, say
from lorif_core.errors import ConfigError, LorifError

if TYPE_CHECKING:  # the engine imports torch; `lorif --help` must not
    from lorif_core.catalog import IndexRecord
    from lorif_core.workspace.folder.index_members import Members
    from lorif_core.workspace.indexes.index_report import IndexReport
    from lorif_core.workspace.workspace import Workspace


def indexes(
    workspace: Positional[Path],
    index: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    *,
    copy_to: TextArg = None,
    change: OmitArgPrefixes[ChangeArgs] = UNCHANGED,
    json: Json = False,
) -> None:
    """List the indexes of a workspace; with one named, every byte of it and what its codes keep of each module.

    With `--copy-to` the index is copied, every file is compared with its checksum, and from then on it is read from
    the copy; its files stay where they were, and may be deleted. Interrupted, the same command goes on.

    Args:
        workspace: Folder of the workspace.
        index: Name or id of an index.
        copy_to: Where to copy the index: s3://bucket/prefix, gs://…, az://… or a folder, in which it gets a folder of
            its own. WORKSPACE/indexes brings it back.
        change: Its name, or that it goes.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    index = None if index is None else opened.files.choose_index(index).index_id
    if change.names_any:
        if copy_to is not None:
            raise ConfigError("one thing is done to an index at a time: leave out `--copy-to`, or the rest.")
        change_index(opened, index, change, json=json)
        return
    if copy_to is not None:
        _copy(opened, index, copy_to, json=json)
        return
    if index is not None:
        report = opened.indexes.report(index)
        if json:
            print_json(report.to_dict())
        else:
            _print_index(report)
        return
    _list(opened, workspace, json=json)


def _list(opened: "Workspace", workspace: Path, *, json: bool) -> None:
    from lorif_core.views.tables import human_bytes, records_table
    from lorif_core.workspace.indexes.linked_members import members_to_dict

    found, named = opened.indexes.records(), opened.indexes.named()
    if json:
        told = [
            asdict(one)
            | {"name": named[one.index_id].name, "description": named[one.index_id].description}
            | {"storage": one.storage, "coverage": _coverage(opened, one)}
            | {"members": members_to_dict(_members(opened, one))}
            for one in found
        ]
        print_json({"indexes": told})
    elif found:
        rows = [
            [
                one.index_id,
                named[one.index_id].name,
                one.method,
                one.status,
                f"{one.num_examples:,}",
                human_bytes(one.total_bytes or 0),
                _left_out(_coverage(opened, one)),
                _members_column(opened, one),
                one.storage or "",
            ]
            for one in found
        ]
        columns = ["id", "name", "method", "status", "texts", "size", "without a gradient", "members", "stored in"]
        told = [number for number in range(len(columns)) if number < 7 or any(row[number] for row in rows)]
        rows = [[row[number] for number in told] for row in rows]
        console().print(records_table("Indexes", [columns[number] for number in told], rows))
    else:
        say(f"There is no index yet. Next: lorif index {workspace} --model FOLDER")


def _copy(opened: "Workspace", index: str | None, to: str, *, json: bool) -> None:
    from lorif_core.views.tables import human_bytes

    if index is None:
        raise ConfigError("one index is copied at a time: `lorif indexes WORKSPACE INDEX --copy-to PLACE`.")
    with progress(json) as on_progress:
        copied = opened.indexes.copy(index, to, on_progress=on_progress)
    if json:
        print_json(asdict(copied))
        return
    say(
        f"Index {index} lies in {copied.target} now: {copied.num_files:,} files, {human_bytes(copied.size_bytes)}; "
        f"{copied.num_copied:,} of them were copied, the others were there."
    )
    say(f"It is read from there from now on. What lies in {copied.source} is not needed any more.")


def _coverage(opened: "Workspace", record: "IndexRecord") -> dict[str, Any] | None:
    """What an index rests on; None before anything is built, or where its files are gone."""
    try:
        return opened.indexes.coverage(record.index_id).to_dict()
    except LorifError as error:
        if record.status == "complete":
            complain(f"what index {record.index_id} covers cannot be said: {error}")
        return None


def _members(opened: "Workspace", record: "IndexRecord") -> "Members | None":
    """What an index's scores are sums over; None where it is alone, or where that cannot be told."""
    try:
        return opened.indexes.members(record.index_id)
    except LorifError as error:
        complain(f"the members of index {record.index_id} are unknown: {error}")
        return None


def _members_column(opened: "Workspace", record: "IndexRecord") -> str:
    members = _members(opened, record)
    return "" if members is None else members.label


def _left_out(coverage: dict[str, Any] | None) -> str:
    return "" if coverage is None else f"{len(coverage['unreadable']) + coverage['num_without_targets']:,}"


def _print_index(report: "IndexReport") -> None:
    from lorif_core.views.tables import human_bytes, records_table

    rows = [[one.kind, human_bytes(one.size_bytes), human_bytes(one.per_example), one.what] for one in report.parts]
    count = max(report.record.num_examples, 1)
    rows.append(["all", human_bytes(report.total_bytes), human_bytes(report.total_bytes / count), ""])
    title = (
        f"{report.record.index_id}, {report.status}: {report.num_stored:,} of {report.record.num_examples:,} texts"
    )
    console().print(records_table(title, ["kind", "bytes", "per text", ""], rows))
    shares = [[name, f"{share:.1%}"] for name, share in report.explained_energy.items()]
    how = "before rounding" if report.kept_energy.as_stored is None else "as stored"
    console().print(records_table(f"Squared gradient norm that is kept, {how}", ["module", "share"], shares))
    say(report.kept_energy.sentence)
    if report.statistics is not None:
        say(report.statistics)
    say_size(report.settings.get("size_chosen"))
    say_share(report.model_share)
    coverage = report.coverage
    left_out = [
        *([train_id, reason] for train_id, reason in coverage.unreadable.items()),
        *([train_id, "no token to predict"] for train_id in coverage.without_targets),
    ]
    if left_out:
        console().print(records_table("Texts without a gradient, which never come up", ["id", "why"], left_out))
    for sentence in coverage.sentences("the table above"):
        say(sentence)
    say_members(report.members)
