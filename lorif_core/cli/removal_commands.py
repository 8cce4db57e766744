"""Commands that judge a removal and a data set's worth: what-if, verify, value."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.ask_commands import IndexArgs, QueriesArgs
from lorif_core.cli.ids import LINES, IdForm, Ids, read_ids
from lorif_core.cli.output import Json, TextArg, console, print_json, progress, refuse_out, say
from lorif_core.cli.score_args import ScoreArgs
from lorif_core.cli.worker_commands import say_submitted
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.text import counted

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.workspace.asking.value_file import Valuation
    from lorif_core.workspace.curation.removing import PredictedChange, Verification
    from lorif_core.workspace.workspace import Workspace

Queries = Annotated[tuple[str, ...], tyro.conf.arg(metavar="QUERY...")]
ROLES = {"target": "be heard less", "control": "not change"}
MAX_SHOWN = 20
CELL_CHARACTERS = 60


def what_if(
    workspace: Positional[Path],
    ids: Ids,
    /,
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    queries: Queries,
    controls: Queries | None = None,
    details: bool = False,
    json: Json = False,
) -> None:
    """Predict what removing training texts would do to questions that were asked, without training.

    Shows the probability of every completion now and after the removal. Predictions exaggerate; where enough of them
    were verified (`lorif verify`), they are multiplied by what was measured, and have a range.

    Args:
        workspace: Folder of the workspace.
        ids: Ids of the texts to remove; - reads them from standard input, one a line.
        form: How ids stand on standard input.
        queries: Questions whose completions you want to hear less, see `lorif queries`.
        controls: Questions whose completions should not change. Unset: all other kept ones.
        details: Show the predicted changes in nats as well.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(workspace).what_if(read_ids(ids, form), queries, controls=controls)
    if json:
        print_json(found.to_dict())
        return
    shown = [change for change in found.queries if change.role == "target" or change.outcome != "unchanged"]
    rows = [_effect_row(change, details=details) for change in shown[:MAX_SHOWN]]
    columns = ["query", "should", "prompt", "completion", "now", "predicted", "range", "outcome"]
    title = f"Without {counted(len(found.train_ids), 'text')}: probability of every completion"
    console().print(records_table(title, [*columns, *(["change, nats"] if details else [])], rows))
    hidden = len(found.queries) - len(rows)
    say(
        f"{len(found.helped)} helped, {len(found.harmed)} harmed, "
        f"{len(found.queries) - len(found.helped) - len(found.harmed)} unchanged"
        + (f" ({hidden} not shown)." if hidden else ".")
    )
    say(found.basis)


def _effect_row(change: "PredictedChange", *, details: bool) -> list[str]:
    from lorif_core.views.effect_text import completion_text, predicted_text, probability_text, range_text

    effect, completion = change.effect, change.completion[:CELL_CHARACTERS]
    return [
        change.query_id,
        ROLES[change.role],
        change.prompt[-CELL_CHARACTERS:],
        completion_text(completion, effect.num_tokens, is_per_token=effect.is_per_token),
        probability_text(effect.now),
        predicted_text(effect.predicted, effect.beyond),
        range_text(effect.low, effect.high),
        change.outcome,
        *([f"{change.change:+.3f}"] if details else []),
    ]


def verifications(workspace: Positional[Path], /, *, dataset: TextArg = None, json: Json = False) -> None:
    """Show predicted against actual probability of everything that was verified, and the range that it gives.

    Args:
        workspace: Folder of the workspace.
        dataset: Name or id of a data set; left out: all.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.effect_text import completion_text, predicted_text, probability_text
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.curation.removing import basis_of
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    chosen = None if dataset is None else opened.files.choose_dataset(dataset).dataset_id
    found = opened.removals.verifications(chosen)
    if json:
        print_json(found.to_dict())
        return
    if not found.effects:
        say("Nothing was verified yet: `lorif verify` trains with and without some texts.")
        return
    rows = [
        [
            one.query_id,
            completion_text(one.completion[:CELL_CHARACTERS], one.num_tokens, is_per_token=one.is_per_token),
            f"{one.num_removed:,}",
            probability_text(one.now),
            predicted_text(one.predicted, one.beyond),
            probability_text(one.actual),
            f"{one.verified_at:%Y-%m-%d %H:%M}",
        ]
        for one in found.effects[::-1][:MAX_SHOWN]
    ]
    columns = ["query", "completion", "texts removed", "now", "predicted", "actual", "verified (UTC)"]
    console().print(records_table("Predicted against actual", columns, rows))
    if len(found.effects) > MAX_SHOWN:
        say(f"The latest {MAX_SHOWN} of {len(found.effects):,}; `--json` prints all.")
    calibrations = found.calibrations
    for index, count in found.num_measured.items():
        say(basis_of(calibrations.get(index), count, index if len(found.num_measured) > 1 else None))


def verify(
    workspace: Positional[Path],
    ids: Ids,
    /,
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    queries: Queries,
    recipe: Path,
    device: str = "auto",
    as_job: bool = False,
    json: Json = False,
) -> None:
    """Train with and without some texts, and compare what that does to questions with what was predicted.

    Both runs start from the recipe's checkpoint with the same seed and order of batches. docs/reference/recipes.md
    describes the file.

    Args:
        workspace: Folder of the workspace.
        ids: Ids of the texts to remove; - reads them from standard input, one a line.
        form: How ids stand on standard input.
        queries: Questions to look at, see `lorif queries`; all about one data set.
        recipe: TOML file: checkpoint, learning_rate, max_length, epochs, seed, tuning = "full" or "lora".
        device: auto (a GPU when there is one, else the CPU), cpu, cuda, …
        as_job: Let a worker in the background do it; `lorif jobs` shows how far it is.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.jobs.requests import verify_request
    from lorif_core.workspace.jobs.submit import start_job
    from lorif_core.workspace.workspace import open_workspace

    opened, removed = open_workspace(workspace), read_ids(ids, form)
    if as_job:
        request = verify_request(removed, queries, recipe)
        job = start_job(opened.files, request, current_actor(), device=device, again=False)
        say_submitted(job, workspace, json=json)
        return
    if not json:
        _say_time(opened, removed, queries, recipe)
    with progress(json) as on_progress:
        found = opened.removals.verify(removed, queries, recipe, device=device, on_progress=on_progress)
    if json:
        print_json(found.to_dict())
    else:
        _print_verification(opened, found)


def _say_time(opened: "Workspace", removed: Sequence[str], queries: Sequence[str], recipe: Path) -> None:
    """How long it will take, once it is known that the texts, the questions and the recipe can be used."""
    from lorif_core.views.tables import human_seconds

    time = opened.removals.training_time(opened.removals.check(removed, queries), recipe)
    if time is not None:
        say(f"This will take about {human_seconds(time.seconds)}: {time.sentence}")


def _print_verification(opened: "Workspace", found: "Verification") -> None:
    from lorif_core.views.effect_text import completion_text, predicted_text, probability_text
    from lorif_core.views.tables import human_seconds, records_table

    kept = {one.query_id: one for one in opened.removals.verifications().effects}  # the latest of each question
    effects = [kept[change.query_id] for change in found.queries]
    rows = [
        [
            change.query_id,
            change.prompt[-CELL_CHARACTERS:],
            completion_text(change.completion[:CELL_CHARACTERS], effect.num_tokens, is_per_token=effect.is_per_token),
            probability_text(effect.now),
            predicted_text(effect.predicted, effect.beyond),
            probability_text(effect.actual),
            change.answer_with,
            change.answer_without,
        ]
        for change, effect in zip(found.queries, effects, strict=True)
    ]
    columns = ["query", "prompt", "completion", "now", "predicted", "actual", "answer with", "answer without"]
    title = f"Trained with and without {counted(len(found.train_ids), 'text')}: probability of every completion"
    console().print(records_table(title, columns, rows))
    if found.rank_correlation is not None:
        say(f"Rank correlation of predicted and actual change: {found.rank_correlation:.2f}.")
    say(f"Two trainings took {human_seconds(found.elapsed_s)}.")


@dataclass(frozen=True, kw_only=True)
class ValueArgs(QueriesArgs):
    """What is added up."""

    by: str = "source"
    """Metadata column whose values are added up."""

    groups: Path | None = None
    """Instead of a column: a Parquet or CSV file with columns train_id and group."""


def value(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ScoreArgs] = ScoreArgs(),  # noqa: B008 - frozen
    where: OmitArgPrefixes[IndexArgs] = IndexArgs(),  # noqa: B008
    *,
    what: OmitArgPrefixes[ValueArgs],
    out: Path | None = None,
    k: int = 10,
    force: bool = False,
    json: Json = False,
) -> None:
    """Sum every text's influence over a file of questions: what each text, and each source, is worth to them.

    Give prompts with the completions that fail, and the sources to blame stand on top; give an evaluation
    set with right answers, and the shares are a pay-out table.

    Args:
        workspace: Folder of the workspace.
        settings: Objective, normalisation, damping.
        where: Which index, and which processes scan it.
        what: Questions and groups.
        out: Parquet file for the value of every text: train_id, value, group.
        k: Texts shown at both ends.
        force: Replace an existing file.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.asking.value_file import read_groups
    from lorif_core.workspace.workspace import open_workspace

    if out is not None and out.exists() and not force:
        raise DataError(f"{str(out)!r} exists already. Choose another `--out`, or pass `--force` to replace it.")
    refuse_out(out, replaces=True)
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    opened = open_workspace(workspace)
    with opened.questions.scanned_by(where.scan) as questions, progress(json) as on_progress:
        found = questions.value(
            what.file(),
            by=what.by,
            groups=None if what.groups is None else read_groups(what.groups),
            settings=settings.settings,
            index_id=where.index,
            model=where.model,
            on_progress=on_progress,
        )
    if out is not None:
        found.write(out)
    if json:
        print_json(found.to_dict(k))
    else:
        _print_value(found, k)
    if out is not None and not json:
        say(f"Wrote the value of {len(found.examples):,} texts to {out}.")


def _print_value(found: "Valuation", k: int) -> None:
    from lorif_core.views.tables import human_seconds, records_table
    from lorif_core.workspace.asking.value_file import VALUE_CONVENTION

    rows = [
        [
            row["group"],
            f"{row['num_examples']:,}",
            f"{row['value']:+.4g}",
            f"{row['share']:.1%}",
            f"{row['share_low']:.1%} to {row['share_high']:.1%}",
        ]
        for row in found.groups.head(MAX_SHOWN).to_dicts()
    ]
    columns = [found.by, "texts", "value", "share of positive", "95 % over questions"]
    console().print(records_table(f"By {found.by}", columns, rows))
    for title, part in (("Most supporting texts", found.top(k)), ("Most opposing texts", found.bottom(k))):
        console().print(records_table(title, ["id", "value", found.by], _example_rows(part.rows())))
    say(VALUE_CONVENTION)
    say(f"{found.num_queries:,} questions took {found.passes.sentence}.")
    if found.missing is not None:
        say(f"Note: {found.missing.sentence}; they have no value and count in no {found.by}.")
    say(f"{found.num_queries:,} questions, index {found.index_id}, {human_seconds(found.elapsed_s)}.")


def _example_rows(rows: Sequence[tuple[str, float, str]]) -> list[list[str]]:
    return [[train_id, f"{worth:+.4g}", group] for train_id, worth, group in rows]
