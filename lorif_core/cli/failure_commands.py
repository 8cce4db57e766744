"""Commands about many failing prompts and about groups of texts: failures, groups."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.ask_commands import IndexArgs
from lorif_core.cli.output import Json, console, print_json, progress, refuse_out, say
from lorif_core.cli.worker_commands import say_submitted
from lorif_core.data.failure_rows import FailureReading
from lorif_core.errors import ConfigError
from lorif_core.views.text import counted

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.data.read_failures import FailuresFound
    from lorif_core.workspace.failures.failure_run import FailureRun
    from lorif_core.workspace.workspace import Workspace

MAX_SHOWN = 20
CELL_CHARACTERS = 60
TopArg = Annotated[int | None, tyro.conf.arg(aliases=["-k"])]


@dataclass(frozen=True, kw_only=True)
class FailureArgs(FailureReading):
    """How the file is read, and what is shown of it."""

    by: str = "source"
    """What the texts are grouped by: a metadata column, clusters (of `lorif map`), near-duplicates or equal texts."""

    k: TopArg = None
    """How many texts of a question's ranking count as those that taught it; unset: 20."""

    @property
    def reading(self) -> FailureReading:
        """The same as the workspace takes it."""
        return FailureReading(**{one.name: getattr(self, one.name) for one in fields(FailureReading)})


def failures(
    workspace: Positional[Path],
    file: Positional[str],
    /,
    what: OmitArgPrefixes[FailureArgs] = FailureArgs(),
    where: OmitArgPrefixes[IndexArgs] = IndexArgs(),  # noqa: B008
    *,
    preview: bool = False,
    out: Path | None = None,
    as_job: bool = False,
    json: Json = False,
) -> None:
    """Ask a file of failing prompts at once: which sources and texts taught these failures?

    The file is JSONL, CSV or Parquet with a prompt and a completion a row, or a sample log of lm-evaluation-harness
    (`--log_samples`) or Inspect (`.eval`, `.json`). Rows whose score is below `--below` are failures; without scores,
    all are. What was asked is kept: the same command again shows it, and goes on where it was stopped.

    Args:
        workspace: Folder of the workspace.
        file: The file, or the id of a run that was asked before.
        what: How it is read and grouped.
        where: Which index, and which processes scan it.
        preview: Only say what the file holds: what counts as a failure, what is skipped.
        out: New Parquet file for what every text taught: train_id, value, num_top and so on.
        as_job: Let a worker in the background do it; `lorif jobs` shows how far it is.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.failures.failure_folder import TOP
    from lorif_core.workspace.workspace import open_workspace

    k = TOP if what.k is None else what.k
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    refuse_out(out)
    opened = open_workspace(workspace)
    if preview:
        _show_preview(opened.failures.read(file, what.reading), json=json)
        return
    if as_job:
        _start(opened, Path(file), what, where, json=json)
        return
    found = _found(opened, file, what, where, is_quiet=json)
    if out is not None:
        _write(found, out, k)
    print_json(found.to_dict(what.by, k)) if json else _print_run(found, what.by, k)


def groups(
    workspace: Positional[Path],
    query: Positional[str],
    /,
    *,
    by: str = "source",
    k: TopArg = None,
    json: Json = False,
) -> None:
    """Add up the scores of all texts of every source on a kept question, and compare with chance.

    The sum is over all texts of a group, not over the listed ones. A group stands out where it has more or fewer
    texts among the top than a random draw would put there.

    Args:
        workspace: Folder of the workspace.
        query: Id of the question, see `lorif queries`.
        by: A metadata column, clusters (of `lorif map`), near-duplicates or equal texts.
        k: How many texts are the top; unset: a hundredth of all, between 10 and 1,000.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(workspace).failures.groups(query, by, k=k)
    if json:
        print_json(found.to_dict())
        return
    rows = [
        [
            row["group"][:CELL_CHARACTERS],
            f"{row['num_texts']:,}",
            f"{row['sum']:+.4g}",
            f"{row['share']:.1%}",
            f"{row['num_top']:,}",
            f"{row['expected']:.1f} ({row['chance_low']} to {row['chance_high']})",
            row["stands_out"],
        ]
        for row in found.frame.head(MAX_SHOWN).iter_rows(named=True)
    ]
    columns = [found.by, "texts", f"sum, {found.unit}", "share", f"in top {found.k}", "by chance", "against chance"]
    console().print(records_table(f"Question {query} by {found.by}", columns, rows))
    for sentence in (found.sentence, *found.notes):
        say(sentence)
    if (hidden := len(found.frame) - len(rows)) > 0:
        say(f"{hidden:,} more groups are not shown; `--json` has all.")


def _found(opened: "Workspace", file: str, what: FailureArgs, where: IndexArgs, *, is_quiet: bool) -> "FailureRun":
    from lorif_core.workspace.failures.all_failures import Failures

    if not Path(file).exists() and any(run.run_id == file for run in opened.failures.records()):
        return opened.failures.open(file)
    opened.failures.check_grouping(where.index, what.by)
    with opened.questions.scanned_by(where.scan) as questions, progress(is_quiet) as on_progress:
        return Failures(questions, opened.data).ask(
            file, what.reading, index_id=where.index, model=where.model, on_progress=on_progress
        )


def _start(opened: "Workspace", file: Path, what: FailureArgs, where: IndexArgs, *, json: bool) -> None:
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.jobs.requests import failures_request
    from lorif_core.workspace.jobs.submit import start_job

    index_id = opened.files.choose_index(where.index).index_id
    job = start_job(opened.files, failures_request(file, index_id, what.reading), current_actor())
    say_submitted(job, opened.path, json=json)


def _write(found: "FailureRun", out: Path, k: int) -> None:
    from lorif_core.files import replace_file

    frame = found.folder.texts(k)
    frame.insert_column(0, found.ids.alias("train_id"))
    with replace_file(out) as partial:
        frame.write_parquet(partial)


def _show_preview(found: "FailuresFound", *, json: bool) -> None:
    if json:
        print_json(found.to_dict())
        return
    if found.problem is not None:
        say(f"{found.problem[0].upper()}{found.problem[1:]}")
    else:
        num_passed = len(found.found.rows) - len(found.failures)
        say(f"{found.sentence} {counted(len(found.failures), 'failure')}, {num_passed:,} passed.")
    for role, name in found.found.taken.items():
        say(f"{role}: {name}")
    for one in found.found.skipped[:MAX_SHOWN]:
        say(f"skipped, line {one.line:,}: {one.reason}")
    if len(found.found.skipped) > MAX_SHOWN:
        say(f"… and {len(found.found.skipped) - MAX_SHOWN:,} more; `--json` has all.")


def _print_run(found: "FailureRun", by: str, k: int) -> None:
    from lorif_core.views.failure_figures import MEANING, share_range, sum_range
    from lorif_core.views.tables import records_table

    say(found.sentence)
    rows = [
        [
            row["group"][:CELL_CHARACTERS],
            f"{row['num_texts']:,}",
            f"{row['value']:+.4g} ({sum_range(row['value_low'], row['value_high'])})",
            f"{row['num_questions']:,}",
            f"{row['fold']:.1f} ×",
            f"{row['share']:.1%} ({share_range(row['share_low'], row['share_high'])})",
        ]
        for row in found.groups(by, k).frame.head(MAX_SHOWN).iter_rows(named=True)
    ]
    columns = [by, "texts", "sum, nats (95 % over failures)", "failures", "against chance", "payout (95 %)"]
    console().print(records_table(f"What taught them, by {by}", columns, rows))
    columns = ["id", "failures", "works against", "payout"]
    for title, frame in (("Texts that taught them", found.texts(k)), ("Texts on both sides", found.mixed(k))):
        rows = [
            [row["train_id"], f"{row['num_top']:,}", f"{row['num_bottom']:,}", f"{row['share']:.1%}"]
            for row in frame.head(MAX_SHOWN).iter_rows(named=True)
        ]
        console().print(records_table(title, columns, rows))
    say(MEANING)
    say(f"Run {found.run_id}; `lorif failures` with this id shows it again.")
