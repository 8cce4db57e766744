"""The curated data of a workspace: previewed, exported, frozen under a name, compared."""

from collections.abc import Sequence
from pathlib import Path

from lorif_core.export_config import ExportConfig, HubConfig
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.curation.export import export_data, preview_export
from lorif_core.workspace.curation.export_records import ExportPreview, ExportResult
from lorif_core.workspace.curation.publish_to_hub import HubPlan, HubResult, hub_settings, plan_of, publish
from lorif_core.workspace.curation.versions import (
    FrozenVersion,
    Naming,
    VersionDiff,
    VersionFiles,
    diff_draft,
    diff_version,
    freeze,
    version_named,
    versions,
)
from lorif_core.workspace.curation.versions import files_of as files_of_version
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.progress import ProgressSink, no_progress


class Versions:
    """The draft, which is what people decided so far, and the versions that were frozen."""

    def __init__(self, decisions: Decisions) -> None:
        self.decisions = decisions
        self.files = decisions.files

    def preview(self, *, dataset: str | None = None, settings: ExportConfig | None = None) -> ExportPreview:
        """What an export would hold, by reason and by source; writes nothing.

        Raises:
            ConfigError: The settings name a column that does not fit the data.
        """
        record = self.files.choose_dataset(dataset)
        return preview_export(
            self.files, record, self.files.journal.states(record.corpus_id), settings or ExportConfig()
        )

    def export(
        self,
        out: str | Path | None = None,
        *,
        dataset: str | None = None,
        settings: ExportConfig | None = None,
        overwrites: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> ExportResult:
        """Write every example that is not excluded, with manifest, recipe and the list of what was left out.

        Args:
            out: The data file, or the folder of format hf. None: a folder of the workspace.
            dataset: Name or id; may be left out when there is only one.
            settings: Format, what is left out, added columns.
            overwrites: Whether an export at ``out`` may be replaced.
            on_progress: Receives ("export", examples written, all).

        Raises:
            LorifError: The settings or the place do not fit, or the disk is full. Nothing is half-written.
        """
        record = self.files.choose_dataset(dataset)
        decided = self.files.journal.snapshot(record.corpus_id)
        return export_data(
            self.files,
            record,
            decided.states,
            None if out is None else Path(out),
            settings or ExportConfig(),
            batches=decided.iter_acts(),
            overwrites=overwrites,
            on_progress=on_progress,
        )

    def plan_hub(
        self, hub: HubConfig, *, dataset: str | None = None, settings: ExportConfig | None = None
    ) -> HubPlan:
        """The card and the files that ``to_hub`` would put into the hub; asks nobody, writes nothing.

        Raises:
            ConfigError: No repository is named, or the settings do not fit.
        """
        chosen = hub_settings(hub, settings or ExportConfig())
        return plan_of(hub, self.files.choose_dataset(dataset), self.preview(dataset=dataset, settings=chosen))

    def to_hub(
        self,
        hub: HubConfig,
        *,
        dataset: str | None = None,
        settings: ExportConfig | None = None,
        overwrites: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> HubResult:
        """Export into the workspace as Parquet, and put that into a data set of the Hugging Face hub, in one commit.

        Args:
            hub: Repository, split, and what is said about people.
            dataset: Name or id; may be left out when there is only one.
            settings: What is left out, added columns.
            overwrites: Whether files of the repository that no export put there may be replaced.
            on_progress: Receives ("export", examples written, all).

        Raises:
            LorifError: The settings do not fit, or the hub takes nothing. Nothing is half-uploaded.
        """
        chosen = hub_settings(hub, settings or ExportConfig())
        preview = self.preview(dataset=dataset, settings=chosen)
        result = self.export(dataset=dataset, settings=chosen, on_progress=on_progress)
        return publish(hub, self.files.choose_dataset(dataset), preview, result, overwrites=overwrites)

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
        decided = self.files.journal.snapshot(record.corpus_id)
        return freeze(
            self.files,
            record,
            decided.states,
            Naming(name=name, parent=parent, note=note, actor=actor or current_actor()),
            settings=settings or ExportConfig(),
            batches=decided.iter_acts(),
            on_progress=on_progress,
        )

    def records(self, *, dataset: str | None = None) -> list[FrozenVersion]:
        """Frozen versions of a data set, oldest first."""
        return versions(self.files, self.files.choose_dataset(dataset).corpus_id)

    def files_of(self, name: str) -> VersionFiles:
        """Where the data of a frozen version lie, and the folder of its manifest, recipe and lists.

        Raises:
            ConfigError: There is no such version.
        """
        return files_of_version(self.files, version_named(self.files, name))

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
        states = self.files.journal.states(record.corpus_id)
        return diff_draft(self.files, record, states, settings or ExportConfig(), parent, by)
