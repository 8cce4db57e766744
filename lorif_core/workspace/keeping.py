"""The part of a workspace that reports on its indexes and keeps what people name: versions and views."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import polars as pl

from lorif_core.config import ExportConfig, ImportConfig
from lorif_core.data.previewing import ImportPreview, preview_files
from lorif_core.journal.records import ExampleEvent
from lorif_core.views.index_figures import Spectrum
from lorif_core.workspace.actor import current_actor
from lorif_core.workspace.atlas import Atlas, build_atlas
from lorif_core.workspace.curating import Curator
from lorif_core.workspace.explaining import find_neighbours
from lorif_core.workspace.importing import keep_upload, read_rejects
from lorif_core.workspace.index_report import IndexReport, report_index, spectra_of
from lorif_core.workspace.outliers import rank_self_influences
from lorif_core.workspace.progress import ProgressSink, no_progress
from lorif_core.workspace.saved_views import SavedView, forget_view, save_view, saved_views
from lorif_core.workspace.trust import Trust, trust_in
from lorif_core.workspace.versions import (
    FrozenVersion,
    VersionDiff,
    VersionFiles,
    diff_draft,
    diff_version,
    files_of,
    freeze,
    version_named,
    versions,
)


class Keeper(Curator):
    """The part of a workspace that reports on indexes and imports, and freezes versions of the curated data."""

    def preview_import(self, paths: Sequence[str | Path], settings: ImportConfig | None = None) -> ImportPreview:
        """Columns, first rows and rejects of data files; reads some thousand rows, writes nothing.

        Raises:
            DataError: A file cannot be read.
        """
        return preview_files([Path(path) for path in paths], settings or ImportConfig())

    def stamp_of(self, path: str | Path) -> list[int]:
        """Size and time of a file, so that a preview of it is made anew when it changes; empty if it is none."""
        place = Path(path)
        return [place.stat().st_size, place.stat().st_mtime_ns] if place.is_file() else []

    def rejects(self, *, dataset: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The first rows that the latest import of a data set could not use: file, line, reason, detail, row."""
        return read_rejects(self.files, self.files.choose_dataset(dataset).name, limit)

    def keep_upload(self, name: str, content: IO[bytes]) -> Path:
        """Keep a file that was uploaded, under its name; the path that `import_data` takes."""
        return keep_upload(self.files, name, content)

    def index_report(self, index_id: str | None = None) -> IndexReport:
        """Settings of an index, every byte it takes on disk, and what its codes keep.

        ``views.index_figures.energy_map(report.explained_energy)`` draws the latter.

        Args:
            index_id: None: the newest complete one.

        Raises:
            CatalogError: There is no such index.
            ArtefactError: Its build has written nothing yet, or a file is missing.
        """
        return report_index(self.files, index_id)

    def spectra(self, module: str, index_id: str | None = None) -> list[Spectrum]:
        """Eigenvalues of a module's curvature beside the damping; ``views.index_figures.spectrum_lines`` draws them.

        Args:
            module: Name of one of the index's modules.
            index_id: None: the newest complete one.

        Raises:
            CatalogError: There is no such index or module.
            ArtefactError: The index is not complete, or its statistics are gone.
        """
        return spectra_of(self.files, index_id, module)

    def neighbours(self, train_id: str, k: int = 10, *, index_id: str | None = None) -> pl.DataFrame:
        """Texts whose stored gradients are most like those of a text: rank, train_id, cosine, text. Needs no model.

        Args:
            train_id: The text.
            k: How many.
            index_id: None: the newest complete one.

        Raises:
            LorifError: The text is unknown, or the index cannot be read.
        """
        return find_neighbours(self.files, train_id, k, index_id)

    def trust(self, index_id: str | None = None) -> Trust:
        """What was measured of an index's scores so far, each measurement beside what chance would give.

        Args:
            index_id: None: the newest complete one.

        Raises:
            CatalogError: There is no such index.
        """
        return trust_in(self.files, self.files.choose_index(index_id).index_id)

    def freeze(
        self,
        name: str,
        *,
        parent: str | None = None,
        note: str = "",
        actor: str | None = None,
        dataset: str | None = None,
        settings: ExportConfig | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> FrozenVersion:
        """Export what is kept at present under a name; it can never be edited, and the next draft comes after it.

        Args:
            name: Letters, digits, dots, hyphens and underscores.
            parent: The version that it comes after. None: the latest one, if there is any.
            note: What it is for.
            actor: Who freezes. None: LORIF_ACTOR, else the system's user.
            dataset: Name or id; may be left out when there is only one.
            settings: Format, what is left out, added columns.
            on_progress: Receives ("export", examples written, all).

        Raises:
            LorifError: The name or the parent cannot be used, nothing changed, or the export cannot be written.
        """
        record = self.files.choose_dataset(dataset)
        if parent is None:
            latest = versions(self.files, record.corpus_id)
            parent = latest[-1].name if latest else None
        decided = self.journal.snapshot(record.corpus_id)
        return freeze(
            self.files,
            record,
            decided.states,
            name,
            parent=parent,
            note=note,
            actor=actor or current_actor(),
            settings=settings or ExportConfig(),
            batches=[asdict(batch) for batch in decided.batches],
            on_progress=on_progress,
        )

    def versions(self, *, dataset: str | None = None) -> list[FrozenVersion]:
        """Frozen versions of a data set, oldest first."""
        return versions(self.files, self.files.choose_dataset(dataset).corpus_id)

    def version_files(self, name: str) -> VersionFiles:
        """Where the data of a frozen version lie, and the folder of its manifest, recipe and lists.

        Raises:
            ConfigError: There is no such version.
        """
        return files_of(self.files, version_named(self.files, name))

    def diff(
        self,
        *,
        version: str | None = None,
        against: str | None = None,
        by: Sequence[str] | None = None,
        dataset: str | None = None,
        settings: ExportConfig | None = None,
    ) -> VersionDiff:
        """What the draft keeps and a version did not, and the reverse; or a version and its parent.

        Args:
            version: A frozen version, to be compared with its parent. None: the draft.
            against: With the draft: the version to compare with. None: everything that was imported.
            by: Metadata columns, and ``length``. None: source, topic and length, as far as they are there.
            dataset: Name or id; may be left out when there is only one.
            settings: With the draft: what is left out.

        Raises:
            ConfigError: There is no such version or column.
        """
        if version is not None:
            return diff_version(self.files, version_named(self.files, version), by)
        record = self.files.choose_dataset(dataset)
        parent = None if against is None else version_named(self.files, against)
        states = self.journal.states(record.corpus_id)
        return diff_draft(self.files, record, states, settings or ExportConfig(), parent, by)

    def map(self, index_id: str | None = None, *, seed: int = 0, on_progress: ProgressSink = no_progress) -> Atlas:
        """Every text of an index as a point in a plane, near to those that teach alike; computed once, then kept.

        The plane is that in which random sketches of the stored gradients, each divided by its norm, differ most.

        Args:
            index_id: None: the newest complete one.
            seed: Of the sketches.
            on_progress: Receives ("map", shards done, all).

        Raises:
            LorifError: The index is not complete, or damaged.
        """
        return build_atlas(self.files, index_id, seed=seed, on_progress=on_progress)

    def outliers(self, index_id: str | None = None) -> pl.DataFrame:
        """Every text by its self-influence, the largest first: rank, train_id, self_influence. Needs no model.

        A text with a large one was learnt by heart, as nothing else teaches it: odd, wrong or rare.

        Args:
            index_id: None: the newest complete one.

        Raises:
            LorifError: The index is not complete, or damaged.
        """
        return rank_self_influences(self.files, index_id)

    def save_view(
        self, name: str, page: str, query: Sequence[tuple[str, str]] = (), *, actor: str | None = None
    ) -> SavedView:
        """Keep a page of the studio with its filters under a name; one of that name is replaced.

        Raises:
            ConfigError: The name, the page or the query cannot be kept.
        """
        return save_view(self.files, name, page, list(query), actor or current_actor())

    def saved_views(self) -> list[SavedView]:
        """Every kept view, by name."""
        return saved_views(self.files)

    def forget_view(self, name: str) -> None:
        """Let go of a kept view; nothing else is touched."""
        forget_view(self.files, name)

    def changes_of(self, batch_id: str, *, dataset: str | None = None, limit: int = 100) -> list[ExampleEvent]:
        """What an act did to each of its first texts: status before and after, in the order of the act.

        Raises:
            JournalError: There is no such act.
        """
        corpus_id = self.files.choose_dataset(dataset).corpus_id
        ids = self.journal.examples_of(corpus_id, batch_id)[:limit]
        histories = (self.journal.events_of(corpus_id, train_id) for train_id in ids)
        return [next(event for event in events if event.batch.batch_id == batch_id) for events in histories]
