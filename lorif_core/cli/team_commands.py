"""Commands of a team: guidelines, comments, rounds of review and their agreement, progress."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.ids import LINES, write_ids
from lorif_core.cli.output import Json, TextArg, complain, console, print_json, say
from lorif_core.errors import ConfigError
from lorif_core.views.text import counted

if TYPE_CHECKING:
    from lorif_core.workspace.curation.choice import Choice
    from lorif_core.workspace.team.round_results import RoundResults
    from lorif_core.workspace.team.team import Team


@dataclass(frozen=True, kw_only=True)
class QueueArgs:
    """Which texts a round is about; without any of these, the flagged ones."""

    query: TextArg = None
    """The strongest texts of this question, see `lorif queries`."""

    k: int = 100
    """How many of them."""

    where: TextArg = None
    """Or the texts of a condition, see docs/reference/rules.md."""

    def choice(self) -> "Choice":
        """The texts that are meant."""
        from lorif_core.workspace.curation.choice import Choice

        if self.query is not None and self.where is not None:
            raise ConfigError("a round is about a question's texts or those of a condition, got both: give one.")
        if self.query is not None:
            return Choice("query", self.query, self.k)
        return Choice("flagged") if self.where is None else Choice("condition", where=self.where)


def guidelines(
    workspace: Positional[Path],
    /,
    *,
    write: Path | None = None,
    history: bool = False,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Show how a data set is to be reviewed, or write it anew from a file of Markdown.

    Args:
        workspace: Folder of the workspace.
        write: A file of Markdown that becomes the new guidelines; an empty one takes them away. For an admin.
        history: Show who wrote which version, instead of the page.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.team.guidelines_file import read_guidelines

    team = _opened_team(workspace)
    if write is not None:
        team.write_guidelines(read_guidelines(write), dataset=dataset)
    versions = team.guidelines_history(dataset=dataset)
    now = team.guidelines(dataset=dataset)
    if json:
        print_json(
            {"guidelines": None if now is None else asdict(now), "versions": [asdict(one) for one in versions]}
        )
    elif history:
        _table(
            "Guidelines",
            ["when (UTC)", "who", "characters"],
            [[f"{one.at:%Y-%m-%d %H:%M}", one.by, f"{len(one.markdown):,}"] for one in versions],
            "There are no guidelines yet.",
        )
    elif now is None:
        say(f"There are no guidelines yet: `lorif guidelines {workspace} --write FILE.md` writes them.")
    else:
        say(f"{now.markdown.rstrip()}\n\nWritten by {now.by}, {now.at:%Y-%m-%d %H:%M} UTC.")


def comments(
    workspace: Positional[Path],
    id: TextArg = None,
    /,
    *,
    add: TextArg = None,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Show what people said about a training text, or the latest comments on any; add one with --add.

    A comment is a note on one text: `lorif note` writes the same on many, and `lorif undo` takes it back.

    Args:
        workspace: Folder of the workspace.
        id: Id of the text.
        add: What you want to say about it.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    team = _opened_team(workspace)
    if id is None:
        if add is not None:
            raise ConfigError(
                "a comment is about one text: give its id, as in `lorif comments WORKSPACE ID --add TEXT`."
            )
        found = team.latest_comments(dataset=dataset)
    else:
        if add is not None:
            if not add.strip():
                raise ConfigError("a comment has some text, got none: give it with `--add TEXT`.")
            team.comment(id, add, dataset=dataset)
        found = [(id, one) for one in team.comments(id, dataset=dataset)]
    if json:
        print_json({"comments": [{"train_id": train_id, **asdict(one)} for train_id, one in found]})
        return
    if not found:
        say("Nobody has said anything yet.")
    for train_id, one in found:
        beside = f", {one.beside}" if one.beside else ""
        say(f"{one.by}, {one.at:%Y-%m-%d %H:%M} UTC, {train_id}{beside} (batch {one.batch_id}):\n    {one.text}")


@dataclass(frozen=True, kw_only=True)
class SharingArgs:
    """A new round."""

    share_out: TextArg = None
    """Name of a new round. For an admin."""

    among: TextArg = None
    """Who shares it, with commas between: ann,ben."""

    overlap: float = 0.0
    """Texts that two people see, in % of the queue; `lorif agreement` then says how well they agree."""


def rounds(
    workspace: Positional[Path],
    /,
    queue: OmitArgPrefixes[QueueArgs] = QueueArgs(),
    *,
    sharing: OmitArgPrefixes[SharingArgs] = SharingArgs(),
    end: TextArg = None,
    mine: bool = False,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Share a review queue out among people, and show how far each of them is.

    Everybody gets the same number of texts, within one; the same queue and people give the same shares.

    Args:
        workspace: Folder of the workspace.
        queue: Which texts.
        sharing: A new round.
        end: Ask nobody for the texts of this round any more; what was decided stays. For an admin.
        mine: Print only the ids of the texts that you have still to decide about.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of a table.
    """
    _check_round(queue, sharing)
    team = _opened_team(workspace)
    if sharing.share_out is not None and sharing.among is not None:
        people = [name.strip() for name in sharing.among.split(",") if name.strip()]
        team.share_out(sharing.share_out, queue.choice(), people, overlap_percent=sharing.overlap, dataset=dataset)
    if end is not None:
        team.end_round(end, dataset=dataset)
    if mine:
        ids = team.share_left(dataset=dataset)
        print_json({"ids": ids}) if json else _write_mine(ids)
        return
    found = [team.results(one.name, dataset=dataset) for one in team.rounds(dataset=dataset)]
    if json:
        print_json({"rounds": [one.to_dict() for one in found]})
        return
    rows = [
        [
            one.round.name + (" (over)" if one.round.is_over else ""),
            one.round.queue,
            share.person,
            share.num_done,
            share.num_texts,
        ]
        for one in found
        for share in one.shares
    ]
    _table("Rounds", ["round", "queue", "person", "done", "of"], rows, "No queue was shared out yet.")


def _check_round(queue: QueueArgs, sharing: SharingArgs) -> None:
    if (sharing.share_out is None) != (sharing.among is None):
        raise ConfigError("`--share-out NAME` and `--among PEOPLE` go together, only one was given.")
    if sharing.share_out is None and (queue != QueueArgs() or sharing.overlap):
        raise ConfigError(
            "`--query`, `--k`, `--where` and `--overlap` are about a new round: add `--share-out NAME --among "
            "PEOPLE`, or leave them out."
        )


def _write_mine(ids: list[str]) -> None:
    """On standard output ids only, for a pipe."""
    if ids:
        write_ids(ids, LINES)
    else:
        complain("nothing is left for you.")


def agreement(
    workspace: Positional[Path], name: TextArg = None, /, *, dataset: TextArg = None, json: Json = False
) -> None:
    """Show how well people agree who saw the same texts of a round, and the texts on which they do not.

    The first decision of each person counts, before they talked about it. Percent and Cohen's kappa for two people,
    Krippendorff's alpha for all.

    Args:
        workspace: Folder of the workspace.
        name: Of the round; left out: the latest one.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of tables.
    """
    team = _opened_team(workspace)
    known = team.rounds(dataset=dataset)
    if name is None and not known:
        raise ConfigError(
            f"no queue was shared out yet: `lorif rounds {workspace} --share-out NAME --among ann,ben`."
        )
    found = team.results(name or known[0].name, dataset=dataset)
    print_json(found.to_dict()) if json else _print_agreement(found)


def progress(
    workspace: Positional[Path],
    /,
    *,
    by: TextArg = None,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Show what each person decided, for which reason and on which day; what is undone does not count.

    Args:
        workspace: Folder of the workspace.
        by: person, reason or day; left out: person.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object with all of it instead of a table.
    """
    from lorif_core.workspace.team.who_decided import by_person, by_reason, every_day

    days = _opened_team(workspace).progress(dataset=dataset)
    tables = {"person": by_person, "reason": by_reason, "day": every_day}
    if by is not None and by not in tables:
        raise ConfigError(f"progress is shown by {', '.join(tables)}, got {by!r}.")
    if json:
        print_json({"days": days.to_dicts()})
        return
    table = tables[by or "person"](days)
    _table("Progress", [name.replace("_", " ") for name in table.columns], table.rows(), "Nothing was decided yet.")


def _opened_team(workspace: Path) -> "Team":
    from lorif_core.cli.curate_commands import opened_decisions
    from lorif_core.workspace.team.team import Team

    return Team(opened_decisions(workspace))


def _print_agreement(found: "RoundResults") -> None:
    twice = counted(found.num_judged_twice, "text")
    say(f"{found.round.name}: {found.round.queue}. Two or more people decided about {twice}.")
    rows = [
        [pair.one, pair.other, pair.num_texts, f"{pair.percent:.0f} %", _number(pair.kappa)] for pair in found.pairs
    ]
    _table(
        "Agreement", ["one", "other", "texts", "agree", "Cohen's kappa"], rows, "Nobody decided about the same text."
    )
    if found.pairs:
        say(f"Krippendorff's alpha of all: {_number(found.alpha)}.")
    said = [
        [one.train_id, "; ".join(f"{person}: {what}" for person, what in one.said.items())]
        for one in found.disagreements
    ]
    if said:
        _table("Disagreements", ["text", "who said what"], said)


def _number(value: float | None) -> str:
    return "not defined, as only one status was given" if value is None else f"{value:.2f}"


def _table(title: str, columns: list[str], rows: list[Any], empty: str = "") -> None:
    from lorif_core.views.tables import records_table

    if rows or not empty:
        console().print(records_table(title, columns, rows))
    else:
        say(empty)
