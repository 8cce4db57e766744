"""Commands that record and show decisions: flag, exclude, restore, note, label, settle, undo, apply, history …"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.ids import LINES, IdForm, Ids, read_ids
from lorif_core.cli.output import Json, TextArg, console, print_json, say
from lorif_core.errors import ConfigError, JournalError

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.journal.entries import Batch, HistoryEntry
    from lorif_core.workspace.curation.decisions import Decisions, RulePreview

BatchArg = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(constructor=str, metavar="BATCH")]
Status = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="{kept,flagged,excluded}")]
MAX_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class WhyArgs:
    """Why a decision is made."""

    reason: TextArg = None
    """A word of the list that `lorif reasons` shows; an exclusion needs one."""

    text: TextArg = None
    """Free text beside it."""

    query: TextArg = None
    """Id of the question that led to it, see `lorif queries`."""


def _decision(verb: str, done: str, words: str) -> Callable[..., None]:
    """The command that gives texts a status.

    Args:
        verb: Name of the command, and of what it calls.
        done: What the texts are then.
        words: What it does, for help.
    """

    def decide(
        workspace: Positional[Path],
        ids: Ids,
        /,
        why: OmitArgPrefixes[WhyArgs] = WhyArgs(),
        form: OmitArgPrefixes[IdForm] = LINES,
        *,
        dataset: TextArg = None,
        json: Json = False,
    ) -> None:
        act = getattr(opened_decisions(workspace), verb)
        _report(act(read_ids(ids, form), dataset=dataset, **asdict(why)), done, json=json)

    decide.__name__ = decide.__qualname__ = verb
    decide.__doc__ = f"""{words}

    Args:
        workspace: Folder of the workspace.
        ids: Ids of texts; - reads them from standard input, one a line.
        why: Reason, text and question.
        form: How ids stand on standard input.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    return decide


flag = _decision(
    "flag", "flagged", "Mark training texts as suspicious. They stay in the data; `lorif exclude` leaves them out."
)
exclude = _decision(
    "exclude",
    "excluded",
    "Leave training texts out of every export from now on; needs a reason. `lorif undo` takes it back.",
)
restore = _decision(
    "restore",
    "kept",
    "Keep training texts, whatever was decided before. A whole workspace comes back with `lorif restore-backup`.",
)


def note(
    workspace: Positional[Path],
    ids: Ids,
    /,
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    text: str,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Write a note beside training texts; their status stays.

    Args:
        workspace: Folder of the workspace.
        ids: Ids of texts; - reads them from standard input, one a line.
        form: How ids stand on standard input.
        text: The note.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    _report(opened_decisions(workspace).note(read_ids(ids, form), text, dataset=dataset), "given a note", json=json)


def label(
    workspace: Positional[Path],
    name: Positional[str],
    ids: Ids,
    /,
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Give training texts a label, besides those they have; their status stays.

    Args:
        workspace: Folder of the workspace.
        name: The label, e.g. "needs check".
        ids: Ids of texts; - reads them from standard input, one a line.
        form: How ids stand on standard input.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    _report(
        opened_decisions(workspace).label(read_ids(ids, form), name, dataset=dataset), f"labelled {name!r}", json=json
    )


def unlabel(
    workspace: Positional[Path],
    name: Positional[str],
    ids: Ids,
    /,
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Take a label from training texts.

    Args:
        workspace: Folder of the workspace.
        name: The label.
        ids: Ids of texts; - reads them from standard input, one a line.
        form: How ids stand on standard input.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    _report(
        opened_decisions(workspace).unlabel(read_ids(ids, form), name, dataset=dataset),
        f"freed of {name!r}",
        json=json,
    )


def settle(
    workspace: Positional[Path],
    status: Status,
    ids: Ids,
    /,
    why: OmitArgPrefixes[WhyArgs] = WhyArgs(),
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """End a disagreement: decide, and earlier decisions of others no longer conflict. For an admin.

    Args:
        workspace: Folder of the workspace.
        status: kept, flagged or excluded.
        ids: Ids of texts; - reads them from standard input, one a line.
        why: Reason, text and question.
        form: How ids stand on standard input.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    if status not in ("kept", "flagged", "excluded"):
        raise JournalError(f"a status is one of kept, flagged, excluded, got {status!r}.")
    batch = opened_decisions(workspace).settle(read_ids(ids, form), status, dataset=dataset, **asdict(why))
    _report(batch, f"settled as {status}", json=json)


def undo(
    workspace: Positional[Path], batch: BatchArg = None, /, *, dataset: TextArg = None, json: Json = False
) -> None:
    """Take back your latest batch of decisions, or a given one. `lorif redo` brings it back.

    Refused if somebody else has since decided on one of the same texts.

    Args:
        workspace: Folder of the workspace.
        batch: Id of a batch, see `lorif history`.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    _report_back(opened_decisions(workspace).undo(batch, dataset=dataset), "taken back", json=json)


def redo(
    workspace: Positional[Path], batch: BatchArg = None, /, *, dataset: TextArg = None, json: Json = False
) -> None:
    """Bring back what your latest undo took back, or a given batch.

    Args:
        workspace: Folder of the workspace.
        batch: Id of a batch, see `lorif history`.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    _report_back(opened_decisions(workspace).redo(batch, dataset=dataset), "brought back", json=json)


def apply(
    workspace: Positional[Path],
    rule: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(constructor=str, metavar="RULE")] = None,
    /,
    *,
    rules: Path | None = None,
    dry_run: bool = False,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Decide by a rule, as one batch that names it; see it first with --dry-run.

    Example: exclude where source = forum and score in the top 1 % for query 7 because misinformation: "forum dump".
    docs/reference/rules.md tells the whole language.

    Args:
        workspace: Folder of the workspace.
        rule: A verb (flag, exclude, restore, label NAME, unlabel NAME), `where`, a condition, `because` a reason.
        rules: A file of rules instead, one a line; all are read before the first is applied.
        dry_run: Only say what the rule would change, with a sample.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.curation.decisions import read_rules

    if (rule is None) == (rules is None):
        raise ConfigError("give one rule, or a file of rules with `--rules FILE`.")
    opened = opened_decisions(workspace)
    given = [rule] if rule is not None else read_rules(rules or Path())
    if dry_run:
        previews = [opened.preview(one, dataset=dataset) for one in given]
        if json:
            print_json({"previews": [preview.to_dict() for preview in previews]})
        else:
            for preview in previews:
                _print_preview(preview)
        return
    batches = [opened.apply(one, dataset=dataset) for one in given]
    if json:
        print_json({"batches": [asdict(batch) for batch in batches]})
        return
    for batch in batches:
        say(f"{batch.num_events:,} texts: {batch.rule}")
        say(f"Batch {batch.batch_id}; `lorif undo {workspace} {batch.batch_id}` takes it back.")


def history(
    workspace: Positional[Path],
    /,
    *,
    id: TextArg = None,
    by: TextArg = None,
    kind: TextArg = None,
    limit: int = 20,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Show who decided what, when and why, newest first.

    Args:
        workspace: Folder of the workspace.
        id: Only what happened to this training text.
        by: Only what this person did.
        kind: Only flag, exclude, restore, note, label, unlabel, undo or redo.
        limit: At most so many.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of a table.
    """
    entries = opened_decisions(workspace).history(train_id=id, actor=by, kind=kind, limit=limit, dataset=dataset)
    if json:
        print_json({"history": [asdict(entry) for entry in entries]})
    elif entries:
        _print_history(entries)
    else:
        say("Nothing was decided yet." if (id, by, kind) == (None, None, None) else "No decision matches.")


def conflicts(workspace: Positional[Path], /, *, dataset: TextArg = None, json: Json = False) -> None:
    """Show the training texts on which people disagree, with what each of them decided.

    Args:
        workspace: Folder of the workspace.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table

    found = opened_decisions(workspace).conflicts(dataset=dataset)
    if json:
        print_json({"conflicts": found.to_dicts()})
    elif len(found):
        console().print(records_table("Disagreements", found.columns, found.rows()))
        say(f"`lorif settle {workspace} STATUS ID` ends one.")
    else:
        say("Nobody disagrees.")


def reasons(
    workspace: Positional[Path], /, *, add: TextArg = None, description: TextArg = None, json: Json = False
) -> None:
    """Show the reasons that a decision can give, or add one.

    Args:
        workspace: Folder of the workspace.
        add: A new reason, lower-case words joined by hyphens. For an admin.
        description: What it is for, in one line.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.folder.actor import current_actor

    if (add is None) != (description is None):
        raise ConfigError("`--add NAME` and `--description TEXT` go together, only one was given.")
    journal = opened_decisions(workspace).journal
    if add is not None and description is not None:
        journal.add_reason(add, description, current_actor())
    found = journal.reasons()
    if json:
        print_json({"reasons": [asdict(reason) for reason in found]})
    else:
        rows = [[reason.name, reason.description] for reason in found]
        console().print(records_table("Reasons", ["reason", "what it is for"], rows))


def opened_decisions(workspace: Path) -> "Decisions":
    """The decisions of a workspace; a whole Workspace would load torch."""
    from lorif_core.workspace.curation.decisions import Decisions
    from lorif_core.workspace.datasets.datasets import Datasets
    from lorif_core.workspace.folder.workspace_files import open_files

    return Decisions(Datasets(open_files(workspace), None))


def _report(batch: "Batch", what: str, *, json: bool) -> None:
    if json:
        print_json(asdict(batch))
        return
    texts = "1 text is" if batch.num_events == 1 else f"{batch.num_events:,} texts are"
    say(f"{texts} {what}. Batch {batch.batch_id}, by {batch.actor}.")


def _report_back(batch: "Batch", what: str, *, json: bool) -> None:
    if json:
        print_json(asdict(batch))
    else:
        texts = "1 text" if batch.num_events == 1 else f"{batch.num_events:,} texts"
        say(f"Batch {batch.of_batch} ({texts}) is {what}. Batch {batch.batch_id}, by {batch.actor}.")


def _print_preview(preview: "RulePreview") -> None:
    from lorif_core.views.tables import records_table

    say(f"{preview.rule}")
    now = ", ".join(f"{count:,} {status}" for status, count in preview.by_status.items()) or "none"
    say(f"Holds of {preview.num_matching:,} texts; {len(preview.train_ids):,} would change (now {now}).")
    if len(preview.sample):
        shown = preview.sample.drop("source_line")
        rows = [[str(value)[:60] if value is not None else "" for value in row] for row in shown.rows()]
        console().print(records_table("Some of them", shown.columns, rows))
    say("Nothing was decided.")


def _print_history(entries: list["HistoryEntry"]) -> None:
    from lorif_core.views.tables import records_table

    rows: list[list[Any]] = []
    for entry in entries:
        batch = entry.batch
        why = ": ".join(part for part in (batch.reason, batch.text) if part) or batch.of_batch or ""
        rows.append(
            [
                f"{batch.at:%Y-%m-%d %H:%M:%S}",
                batch.actor,
                batch.kind + (" (undone)" if entry.is_undone else ""),
                f"{batch.num_events:,}",
                why if batch.rule is None else f"{why} [{batch.rule}]",
                batch.query_id or "",
                batch.batch_id,
            ]
        )
    console().print(records_table("History", ["when (UTC)", "who", "what", "texts", "why", "query", "batch"], rows))
