"""Commands about data: demo, import."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.index_commands import print_estimate
from lorif_core.cli.output import Json, console, print_json, progress, say
from lorif_core.config import ImportConfig, NextVersion
from lorif_core.errors import ConfigError

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from lorif_core.catalog import DatasetRecord
    from lorif_core.corpus.version_changes import VersionChanges
    from lorif_core.data.column_plan import ToldType
    from lorif_core.data.previewing import ImportPreview
    from lorif_core.workspace.datasets.import_data import ImportResult
    from lorif_core.workspace.datasets.next_version import Carried, Foreseen

MAX_LOST = 20
LONG_ROWS = 1_000
"""Of a shorter import no progress is shown."""


def demo(workspace: Annotated[Path, tyro.conf.Positional] = Path("demo_workspace"), *, json: Json = False) -> None:
    """Build the demo workspace, ask why its model thinks Sydney is the capital of Australia.

    The sample data holds true everyday facts and a few wrong ones from one unreliable source.
    Run again, it keeps what is there.
    """
    from lorif_core.workspace.quality.demo import ask_demo_questions, build_demo, demo_fact, demo_key
    from lorif_core.workspace.quality.planted import read_answer_key, score_planted

    with progress(json) as on_progress:
        built, index = build_demo(workspace, None if json else print_estimate, on_progress)
        facts = read_answer_key(demo_key())
        score, answers = score_planted(built, facts, index_id=index.index_id, on_progress=on_progress)
    ask_demo_questions(built, index.index_id)
    shown = demo_fact(facts)
    answer = next(answer for fact, answer in answers if fact == shown)
    if json:
        print_json({"index_id": index.index_id, "score": asdict(score), "answer": answer.to_dict()})
        return
    console().print(answer)
    planted = sum(found in shown.planted_ids for found in answer.ids)
    say(
        f"\nThe truth is{shown.truth} {planted} of the {len(shown.planted_ids)} texts planted for this wrong fact "
        f"are above. Over all {score.num_facts} planted facts ({score.num_wrong} answered wrong by the model), "
        f"recall@10 of the planted texts is {score.recall:.2f}. The answer key was read only for this sentence."
    )
    say(f'\nAsk it something yourself:  lorif ask {workspace} --prompt "The currency of Japan is" --generate')


def import_(
    workspace: Positional[Path],
    files: Positional[tuple[Path, ...]],
    /,
    settings: OmitArgPrefixes[ImportConfig] = ImportConfig(),  # noqa: B008 - frozen
    said: OmitArgPrefixes[NextVersion] = NextVersion(),  # noqa: B008 - frozen
    *,
    dry_run: bool = False,
    json: Json = False,
) -> None:
    """Import texts: JSONL, JSON, CSV, Parquet, Arrow or text files, folders of them, or a hub data set.

    The form of the data is found by the names and values of its columns, and said; where two are
    possible, a flag chooses. All other columns are kept as metadata. Bad rows are listed in a rejects file.

    Forms:

    * text; prompt and completion; messages, or conversations (ShareGPT); prompt and completion as messages
    * instruction, input, output (Alpaca): the wording of the prompt is Alpaca's own; --prompt-form changes it
    * instruction and response; question and answer; input and output; query and response; prompt and response
    * chosen and rejected, with or without prompt: needs --preference pairs or --preference chosen
    * input_ids with labels, position_ids, segment_ids, seq_lengths or attention_mask

    Try:

    * lorif import ws chats.jsonl.zst --target-turn -1
    * lorif import ws alpaca.json --prompt-form chat
    * lorif import ws pairs.parquet --preference pairs
    * lorif import ws rollouts.jsonl --weight-column advantage
    * lorif import ws rows.jsonl --form alpaca --prompt ask --completion said --column context=given
    * lorif import ws book.txt --txt line
    * lorif import ws openai/gsm8k --split train --subset main --prompt-form chat
    * lorif import ws umfrage.csv --delimiter ";" --decimal-comma --encoding cp1252 --type plz=text

    Args:
        workspace: Folder of the workspace; made if it is not there yet.
        files: One or more data files or folders of them; or, with --split, the name of a hub data set.
        settings: How columns are read.
        said: What is said about the version that it replaces.
        dry_run: Write nothing, show the columns, the first rows, what is wrong with others, and the decided
            texts that a next version lacks.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.workspace import create_workspace

    if not files:
        raise ConfigError("name at least one file to import, e.g. `lorif import my_workspace texts.jsonl`.")
    if dry_run:
        _preview_import(workspace, files, settings, json=json)
        return
    with progress(json) as on_progress:
        watched = partial(_show_long, on_progress)
        data = create_workspace(workspace).data
        result = data.import_files(*files, settings=settings, on_progress=watched, said=said)
    if json:
        print_json(result.to_dict())
        return
    _say_import(result)
    if result.is_new:
        say(f"Next: lorif index {workspace} --model FOLDER")


def _show_long(on_progress: Callable[[str, int, int], None], stage: str, done: int, total: int) -> None:
    """Show how far an import has come, if it takes long enough to be asked."""
    if done >= LONG_ROWS:
        on_progress(stage, done, total)


def _say_import(result: "ImportResult") -> None:
    """Say what an import brought."""
    report, dataset = result.report, result.dataset
    if not result.is_new:
        say(f"Nothing added: these {dataset.num_examples} texts are there already, as {dataset.dataset_id}.")
    else:
        say(f"Imported {dataset.num_examples} texts as {dataset.dataset_id} ({dataset.name}).")
    if result.changes is not None:
        _say_changes(dataset, result.changes)
    if result.carried is not None:
        _say_carried(result.carried)
    say(f"Read as {report.form}.")
    used = ", ".join(
        f"{role} = {name}"
        for role, name in [
            *report.columns.names.items(),
            ("weight", report.columns.weight),
            ("id", report.columns.id),
        ]
        if name
    )
    say(f"Columns: {used}. Metadata: {', '.join(report.metadata_columns) or 'none'}.")
    _say_types(report.types)
    for note in report.notes:
        say(f"{note}.")
    _say_sources(report.other_forms, result.skipped_files)
    if report.num_duplicates:
        say(f"{report.num_duplicates} rows repeat an earlier row's text; they are kept.")
    if report.num_rejected:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in report.rejects_by_reason.items())
        say(f"{report.num_rejected} rows could not be used: {reasons}. They are listed in {result.rejects_file}.")


def _say_types(types: "Sequence[ToldType]") -> None:
    """Say what columns hold that is not text, and what may surprise."""
    told = [f"{one.name or 'unnamed'} {one.type}" for one in types if one.type != "text"]
    if told:
        say(f"Types: {', '.join(told)}.")
    for one in types:
        if one.note:
            said = f"`{one.name or 'unnamed'}` is {one.type}: {one.note}. `--type` chooses another."
            say(said)


def _say_sources(other_forms: Sequence[str], skipped: Sequence[str]) -> None:
    """Say what else could have been read, and what was not."""
    if other_forms:
        say(f"It could also be read as {' or '.join(other_forms)}.")
    if skipped:
        say(f"Skipped in the folder: {', '.join(Path(name).name for name in skipped)}.")


def _preview_import(workspace: Path, files: Sequence[Path], settings: ImportConfig, *, json: bool) -> None:
    """Say what an import would bring, and what it would do to decisions."""
    from lorif_core.data.previewing import preview_files

    found = preview_files(files, settings)
    foreseen = None if found.problem is not None else _foresee(workspace, files, settings)
    _print_import_preview(found, foreseen, json=json)


def _foresee(workspace: Path, files: Sequence[Path], settings: ImportConfig) -> "Foreseen | None":
    """What the import would do to decisions, if there is a workspace."""
    from lorif_core.workspace.datasets.datasets import Datasets
    from lorif_core.workspace.folder.workspace_files import MARKER, open_files

    if not (workspace / MARKER).is_file():
        return None
    return Datasets(open_files(workspace), None).compare_import(files, settings)


def _say_carried(carried: "Carried") -> None:
    """Say what a next version does to decisions."""
    sentences = (
        (carried.num_moved, "decided texts have another id now, and their decisions go with them"),
        (carried.num_returned, "decided texts are back, and with them what was decided"),
        (carried.num_changed, "decided ids stand for another text now, which their decisions do not hit"),
        (carried.num_gone, "decided texts are not in the new version; decisions come back with them"),
        (carried.num_ambiguous, "decided texts are there several times: the order says which copy is meant"),
    )
    for count, what in sentences:
        if count:
            say(f"{count:,} {what}.")
    if carried.file is not None:
        say(f"The changed and missing ones are listed in {carried.file}.")
    if carried.batches:
        say(f"In the history as {', '.join(carried.batches[:5])}{', …' if carried.batches[5:] else ''}.")


def _print_foreseen(foreseen: "Foreseen") -> None:
    from lorif_core.views.tables import records_table

    say(f"It would be version {foreseen.version + 1}.")
    if foreseen.why_another is not None:
        say(
            f"An import would be refused: {foreseen.why_another}. Give it a `--name` of its own, or pass "
            "`--as-version`."
        )
    _say_carried(foreseen.carried)
    rows = [[one["id"], one["status"], one["change"], one["text"]] for one in foreseen.lost[:MAX_LOST]]
    if rows:
        title = f"Decided texts that it lacks (gone) or has changed, {len(foreseen.lost):,} in all"
        console().print(records_table(title, ["id", "status", "", "text"], rows))
    if foreseen.carried.num_gone:
        say("An import without texts that are gone needs `--drop-decided`.")


def _print_import_preview(found: "ImportPreview", foreseen: "Foreseen | None", *, json: bool) -> None:
    if json:
        print_json(found.to_dict() | {"next_version": None if foreseen is None else foreseen.to_dict()})
        return
    from lorif_core.views.tables import records_table

    if found.problem is not None:
        raise ConfigError(found.problem)
    say(f"Read as {found.form}.")
    _say_sources(found.other_forms, found.skipped_files)
    types = [[one.name, one.type, one.found, one.num_missing, one.example, one.note] for one in found.types]
    console().print(records_table("Columns", ["column", "type", "found", "missing", "such as", ""], types))
    rows = [[row.train_id, row.line, row.text] for row in found.rows]
    console().print(records_table("First rows", ["id", "line", "text"], rows))
    if found.rejects:
        lines = [[row["file"], row["line"], row["reason"], row.get("detail", "")] for row in found.rejects]
        console().print(records_table("Cannot be used", ["file", "line", "reason", ""], lines))
    for note in found.notes:
        say(f"{note}.")
    seen = "rows" if found.is_whole else "first rows"
    say(
        f"Of the {found.num_scanned:,} {seen}, {found.num_rejected:,} cannot be used and {found.num_duplicates:,} "
        f"repeat an earlier row. Ids: {found.id_rule}. Nothing was written."
    )
    if foreseen is not None:
        _print_foreseen(foreseen)


def _say_changes(dataset: "DatasetRecord", changes: "VersionChanges") -> None:
    """Say how a new version differs from the one it replaces."""
    say(
        f"Version {dataset.version} of {dataset.name}, after {dataset.parent_id}: {changes.num_came} texts came, "
        f"{changes.num_went} went, {changes.num_changed} changed; the ids are in its changes.parquet. Decisions "
        "follow their texts."
    )
    for names, what in ((changes.columns_came, "New"), (changes.columns_went, "Gone")):
        if names:
            say(f"{what} columns: {', '.join(names)}.")
