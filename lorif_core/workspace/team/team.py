"""The room of the team: guidelines, comments, labels, rounds of review, progress and agreement."""

from collections.abc import Sequence

import polars as pl

from lorif_core.errors import DataError
from lorif_core.journal.entries import Batch
from lorif_core.journal.journal import Journal
from lorif_core.journal.reads_of_people import live_acts, opinions_since
from lorif_core.journal.team_records import Guidelines, Round, TeamRecords
from lorif_core.workspace.curation.choice import Choice, chosen_ids
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.curation.review import Review, title_of
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.team.comment_threads import Comment, thread_of
from lorif_core.workspace.team.round_results import RoundResults, results_of
from lorif_core.workspace.team.share_left import still_there
from lorif_core.workspace.team.sharing_out import share_out
from lorif_core.workspace.team.who_decided import daily


class Team:
    """What people who work on the same data set say to each other, and how far they are."""

    def __init__(self, decisions: Decisions) -> None:
        self.decisions = decisions
        self.files = decisions.files

    @property
    def journal(self) -> Journal:
        """Everything that people decided, with members and reasons."""
        return self.files.journal

    @property
    def records(self) -> TeamRecords:
        """Guidelines and rounds as the journal keeps them."""
        return TeamRecords(self.journal.engine)

    def guidelines(self, *, dataset: str | None = None) -> Guidelines | None:
        """The page that says how a data set is to be reviewed; None if nobody wrote one.

        Args:
            dataset: Name or id; may be left out when there is only one.
        """
        versions = self.guidelines_history(dataset=dataset)
        return versions[0] if versions and versions[0].markdown.strip() else None

    def guidelines_history(self, *, dataset: str | None = None) -> list[Guidelines]:
        """Every version of the guidelines, newest first."""
        return self.records.guidelines(self._corpus_id(dataset))

    def write_guidelines(self, markdown: str, *, actor: str | None = None, dataset: str | None = None) -> None:
        """Write the guidelines anew; earlier versions are kept. For an admin.

        Raises:
            RoleError: They may not.
            JournalError: The page is too long.
        """
        self.records.write_guidelines(self._corpus_id(dataset), markdown, actor or current_actor())

    def comments(self, train_id: str, *, dataset: str | None = None) -> list[Comment]:
        """What people said about a text, oldest first.

        Raises:
            DataError: The id is unknown.
        """
        return thread_of(self.decisions.events_of(train_id, dataset=dataset))

    def comment(
        self,
        train_id: str,
        text: str,
        *,
        actor: str | None = None,
        client_id: str | None = None,
        dataset: str | None = None,
    ) -> Batch:
        """Say something about a text, for everyone to read; `undo` takes it back. It is a note on one text.

        Raises:
            DataError: The id is unknown.
            JournalError: It is empty, or too long.
            RoleError: They may not.
        """
        return self.decisions.note([train_id], text, actor=actor, client_id=client_id, dataset=dataset)

    def latest_comments(self, limit: int = 50, *, dataset: str | None = None) -> list[tuple[str, Comment]]:
        """The newest comments on any text: train id of the first text and what was said."""
        entries = self.decisions.history(kind="note", limit=limit, dataset=dataset)
        batches = [entry.batch for entry in entries if not entry.is_undone and entry.batch.text]
        about = self.journal.first_examples([batch.batch_id for batch in batches])
        return [
            (
                about[batch.batch_id],
                Comment(batch_id=batch.batch_id, by=batch.actor, at=batch.at, text=batch.text or "", beside=None),
            )
            for batch in batches
        ]

    def labels(self, *, dataset: str | None = None) -> dict[str, int]:
        """Every label in use → texts that carry it, most first."""
        counts = self.decisions.states(dataset=dataset)["labels"].explode().drop_nulls().value_counts()
        return dict(counts.sort("count", "labels", descending=[True, False]).iter_rows())

    def progress(self, *, dataset: str | None = None, zone: str | None = None) -> pl.DataFrame:
        """What each person decided on each day, by decision and reason; what is undone does not count.

        Args:
            dataset: Name or id; may be left out when there is only one.
            zone: IANA name of the time zone whose days are meant; None is UTC.
        """
        return daily(live_acts(self.journal.engine, self._corpus_id(dataset)), zone)

    def share_out(
        self,
        name: str,
        choice: Choice,
        people: Sequence[str],
        *,
        overlap_percent: float = 0.0,
        actor: str | None = None,
        dataset: str | None = None,
    ) -> Round:
        """Begin a round: share a queue out among people, some of its texts for two of them. For an admin.

        Args:
            name: Of the round.
            choice: Which texts.
            people: Who gets a share.
            overlap_percent: Texts that two people see, in % of the queue.
            actor: Who shares it out. Left out: LORIF_ACTOR, else the system's user.
            dataset: Name or id; may be left out when there is only one.

        Raises:
            DataError: The queue is empty, or the people or the overlap cannot be.
            RoleError: They may not, or somebody with a share may not decide.
            JournalError: The name is taken, or there are too many texts.
        """
        shares = share_out(chosen_ids(self.decisions, choice, dataset), people, overlap_percent)
        corpus_id = self._corpus_id(dataset)
        self.records.write_round(corpus_id, name, title_of(choice), shares, overlap_percent, actor or current_actor())
        return self._round(name, dataset)

    def end_round(self, name: str, *, actor: str | None = None, dataset: str | None = None) -> None:
        """Ask nobody for the texts of a round any more; what was decided in it stays. For an admin."""
        self.records.end_round(self._corpus_id(dataset), name, actor or current_actor())

    def rounds(self, *, dataset: str | None = None) -> list[Round]:
        """Every round, newest first."""
        return self.records.rounds(self._corpus_id(dataset))

    def results(self, name: str, *, dataset: str | None = None) -> RoundResults:
        """How far a round is, how well people agree, and where they do not.

        Raises:
            DataError: There is no such round.
        """
        found, record = self._round(name, dataset), self.files.choose_dataset(dataset)
        opinions = opinions_since(self.journal.engine, record.corpus_id, found.train_ids, found.revision)
        present = still_there(self.files.examples(record.dataset_id), found.train_ids)
        return results_of(found, opinions, present)

    def share_left(self, actor: str | None = None, *, dataset: str | None = None) -> list[str]:
        """Train ids that a person has still to decide about, of all open rounds, the oldest round first."""
        return chosen_ids(self.decisions, Choice("share", person=actor or current_actor()), dataset)

    def review(self, actor: str | None = None, *, dataset: str | None = None) -> Review:
        """A person's share, to go through one by one; its widget is that of ``Workspace.review``."""
        person = actor or current_actor()
        dataset_id = self.files.choose_dataset(dataset).dataset_id
        ids = self.share_left(person, dataset=dataset_id)
        choice = Choice("share", person=person)
        return Review(self.decisions, dataset_id, choice, ids, self.decisions.data.home)

    def _round(self, name: str, dataset: str | None) -> Round:
        known = self.rounds(dataset=dataset)
        found = next((one for one in known if one.name == name), None)
        if found is None:
            names = ", ".join(repr(one.name) for one in known) or "none"
            raise DataError(f"no round is called {name!r}; there are {names}.")
        return found

    def _corpus_id(self, dataset: str | None) -> str:
        return self.files.choose_dataset(dataset).corpus_id
