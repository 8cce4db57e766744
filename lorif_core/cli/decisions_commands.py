"""Commands of `lorif decisions`: bring decisions back from a file, and write them to one."""

from dataclasses import asdict
from pathlib import Path

from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, print_json, say


def import_(
    workspace: Positional[Path],
    file: Positional[Path],
    /,
    *,
    dry_run: bool = False,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Bring decisions back from a file: an export's list, an export with decisions, or a table of your own.

    Rows are matched by `id` (or `train_id`), else by `text`; an id that stands for another text here is no match.
    They say `status` (kept, flagged, excluded), and as wanted `reason`, `comment`, `actor`, `note` and `labels`.
    Run again, it adds nothing. CSV, TSV, JSON lines and Parquet are read.

    Args:
        workspace: Folder of the workspace.
        file: The file.
        dry_run: Only say how many rows match, and what would be done.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    from lorif_core.cli.curate_commands import opened_decisions

    decisions = opened_decisions(workspace)
    found = decisions.find_in_file(file, dataset=dataset)
    batches = [] if dry_run else decisions.import_file(file, dataset=dataset)
    if json:
        print_json(found.to_dict() | {"batches": [asdict(batch) for batch in batches]})
        return
    say(
        f"Of {found.num_rows:,} rows, {found.num_by_id:,} match by id and {found.num_by_text:,} by text; "
        f"{found.num_already:,} of these are so already. {found.num_not_found:,} are not found"
        f"{_lines(found.not_found_lines)}, {found.num_ambiguous:,} stand for several texts and are left alone"
        f"{_lines(found.ambiguous_lines)}."
    )
    for one in found.decisions:
        why = ", ".join(part for part in (one.reason, one.text) if part)
        say(f"{one.kind}: {len(one.train_ids):,} texts{f' ({why})' if why else ''}")
    say(
        "Nothing was written."
        if dry_run or not batches
        else f"Written as {len(batches):,} acts, see `lorif history`."
    )


def export(
    workspace: Positional[Path], file: Positional[Path], /, *, dataset: TextArg = None, json: Json = False
) -> None:
    """Write every decision, label and note with its text as JSON lines, which `lorif decisions import` reads.

    Args:
        workspace: Folder of the workspace.
        file: A .jsonl file that is not there yet.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    from lorif_core.cli.curate_commands import opened_decisions

    count = opened_decisions(workspace).export_file(file, dataset=dataset)
    print_json({"path": str(file), "num_texts": count}) if json else say(f"Wrote {count:,} decisions to {file}.")


def _lines(numbers: list[int]) -> str:
    return f" (lines {', '.join(map(str, numbers[:5]))}{', …' if len(numbers) > 5 else ''})" if numbers else ""


COMMANDS = {"import": import_, "export": export}
