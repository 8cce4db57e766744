"""The indexes of a workspace: built, opened with their model, reported on."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lorif_core.catalog import IndexRecord
from lorif_core.config import Alike, Codec, Search, check_choice
from lorif_core.errors import ConfigError, LorifError
from lorif_core.methods.method_settings import DaunceConfig, IndexConfig
from lorif_core.store.manifest import KeptEnergy
from lorif_core.views.index_figures import Spectrum
from lorif_core.workers_config import ALONE, WorkersConfig
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.index_losses import IndexLosses, read_index_losses
from lorif_core.workspace.folder.index_members import Members
from lorif_core.workspace.folder.index_names import GivenName, NamedIndex, named_indexes
from lorif_core.workspace.folder.kept_map import Atlas
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.delete_index import IndexLoss, delete_index, finish_deletions, index_loss
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.indexes.linked_members import all_members, members_fingerprint, members_of
from lorif_core.workspace.indexes.name_index import name_index
from lorif_core.workspace.indexes.trust import Trust, trust_in

if TYPE_CHECKING:
    from lorif_core.models.modules import ModuleEntry
    from lorif_core.workspace.indexes.budget_share import BudgetShare
    from lorif_core.workspace.indexes.copy_index import CopiedIndex
    from lorif_core.workspace.indexes.coverage import Coverage
    from lorif_core.workspace.indexes.engine import Engine
    from lorif_core.workspace.indexes.estimate import IndexEstimate
    from lorif_core.workspace.indexes.import_losses import ImportedLosses
    from lorif_core.workspace.indexes.index_report import IndexReport
    from lorif_core.workspace.indexes.neighbours import Neighbours
    from lorif_core.workspace.indexes.open_index import OpenIndex
    from lorif_core.workspace.indexes.planned_index import Planned
    from lorif_core.workspace.indexes.slices import SliceDone


class Indexes:
    """Every index of a workspace. Keeps the last opened one in memory, so a second question is fast.

    Where an index may be left out, its name does as well as its id, and None is the newest complete one.
    """

    def __init__(self, files: WorkspaceFiles) -> None:
        self.files = files
        self._opened: dict[tuple[str, str | None, str, str], OpenIndex] = {}
        self._opening = threading.RLock()

    def records(self) -> list[IndexRecord]:
        """Every index, oldest first, whatever its status."""
        return self.files.catalog.indexes()

    def build(
        self,
        settings: IndexConfig,
        *,
        dataset: str | None = None,
        on_estimate: "Callable[[str, IndexEstimate], None] | None" = None,
        on_progress: ProgressSink = no_progress,
        workers: WorkersConfig = ALONE,
    ) -> IndexRecord:
        """Build the index that the settings name, or resume it, or find it complete; then its further members.

        Further members that are named replace those that the index has; where none is named, they stay.

        Args:
            settings: Model, method, batches, members.
            dataset: Name or id; may be left out when there is only one.
            on_estimate: Receives the id of each index and what its build will cost, before it starts.
            on_progress: Receives (stage, done, total).
            workers: How many processes make the parts, and where; one where it says nothing.

        Raises:
            RoleError: The person is a viewer.
            LorifError: The model, the data or the machine does not fit the settings.
        """
        from lorif_core.workspace.indexes.build_losses import build_losses
        from lorif_core.workspace.indexes.build_members import build_with_members

        require_curator(self.files, "build indexes")
        finish_deletions(self.files)
        record = self.files.choose_dataset(dataset)
        if isinstance(settings.method, DaunceConfig):
            return build_losses(self.files, record, settings, on_estimate, on_progress, workers)
        return build_with_members(self.files, record, settings, on_estimate, on_progress, workers)

    def plan(
        self, settings: IndexConfig, *, dataset: str | None = None, on_progress: ProgressSink = no_progress
    ) -> "list[Planned]":
        """Do of a build what comes before its parts, for the index that the settings name and its further members.

        Then any process makes parts, see ``build_slice``; ``build`` with the same settings makes those that are
        missing and links the members.

        Args:
            settings: Model, method, batches, members.
            dataset: Name or id; may be left out when there is only one.
            on_progress: Receives (stage, done, total).

        Raises:
            RoleError: The person is a viewer.
            LorifError: The model, the data or the machine does not fit the settings.
        """
        from lorif_core.workspace.indexes.build_members import plan_with_members

        require_curator(self.files, "build indexes")
        if isinstance(settings.method, DaunceConfig):
            raise ConfigError(
                "daunce reads its models one after the other in one process, so its parts are no work for others. "
                "Leave `--plan-only` out."
            )
        return plan_with_members(self.files, self.files.choose_dataset(dataset), settings, on_progress)

    def build_slice(
        self,
        index_id: str,
        slice_: str,
        *,
        device: str = "auto",
        model: str | None = None,
        shards_model: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> "SliceDone":
        """Make the parts of one slice of a planned index that are missing; finish the index if none is missing then.

        Args:
            index_id: Of the index.
            slice_: Which, counted from 1, such as ``3/16``.
            device: auto, cpu or cuda:N.
            model: Where the model lies on this machine, if it is not where it was.
            shards_model: Divide the model, and the slice, among the processes that torchrun started.
            on_progress: Receives ("gradients", texts done, all of the slice), then the stages of the fit.

        Raises:
            RoleError: The person is a viewer.
            ConfigError: There is no such slice.
            ArtefactError: The index has no plan.
            LorifError: The model or the data is not the planned one, or the machine does not suffice.
        """
        from lorif_core.workspace.indexes.planned_index import ModelPlace
        from lorif_core.workspace.indexes.sharded_slices import index_sharded_slice
        from lorif_core.workspace.indexes.slices import index_slice, parse_slice

        require_curator(self.files, "build indexes")
        make = index_sharded_slice if shards_model else index_slice
        index_id = self.files.choose_index(index_id).index_id
        return make(self.files, index_id, parse_slice(slice_), ModelPlace(device, model), on_progress)

    def estimate(self, settings: IndexConfig, *, dataset: str | None = None) -> "tuple[str, IndexEstimate]":
        """Id of the index that the settings name, and what building it would cost, by itself.

        Raises:
            LorifError: The model, the data or the machine does not fit the settings.
        """
        from lorif_core.workspace.indexes.build_losses import estimate_losses, plan_losses
        from lorif_core.workspace.indexes.build_members import plan_alone
        from lorif_core.workspace.indexes.estimate import estimate_index

        if isinstance(settings.method, DaunceConfig):
            build = plan_losses(self.files, self.files.choose_dataset(dataset), settings)
            return build.job.index_id, estimate_losses(build)
        job = plan_alone(self.files, self.files.choose_dataset(dataset), settings)
        return job.index_id, estimate_index(job)

    def estimate_members(
        self, settings: IndexConfig, *, dataset: str | None = None
    ) -> "list[tuple[str, str | None, IndexEstimate]]":
        """Name, index id and cost of every member that a build of these settings would make, the own model first.

        A model without weights is estimated from its configuration; its index has no id yet.

        Raises:
            LorifError: A model, the data or the machine does not fit the settings.
        """
        from lorif_core.workspace.indexes.build_members import estimate_members

        if isinstance(settings.method, DaunceConfig):
            return [(settings.model.model, *self.estimate(settings, dataset=dataset))]
        return estimate_members(self.files, self.files.choose_dataset(dataset), settings)

    def open(self, index_id: str | None = None, *, model: str | None = None) -> "OpenIndex":
        """A complete index with its model in memory.

        Args:
            index_id: Of the index.
            model: Where the model lies now, if it was moved since the index was built.

        Raises:
            FingerprintMismatch: The model or the data is not the one the index was built from.
        """
        from lorif_core.workspace.indexes.open_index import open_with_members

        record = self.files.choose_index(index_id)
        # With its settings: another build may have fitted it anew since it was opened.
        key = (record.index_id, model, str(members_fingerprint(self.files, record)), record.settings_json)
        with self._opening:
            if key not in self._opened:
                self._opened = {key: open_with_members(self.files, record, model)}
            return self._opened[key]

    def copy(self, index_id: str, to: str, *, on_progress: ProgressSink = no_progress) -> "CopiedIndex":
        """Copy a complete index to another place, from which it is read from then on.

        What lies where it was is left there. Interrupted, the same call goes on.

        Args:
            index_id: Of the index.
            to: A location such as s3://bucket/prefix, or a folder; the workspace's own `indexes` brings it back.
            on_progress: Receives ("copy", bytes done, all).

        Raises:
            RoleError: The person is a viewer.
            LorifError: The index is not complete or damaged, or the place holds another one or cannot be used.
        """
        from lorif_core.workspace.indexes.copy_index import copy_index

        require_curator(self.files, "copy indexes")
        with self._opening:
            self._opened = {}
        return copy_index(self.files, index_id, to, on_progress)

    def named(self) -> dict[str, NamedIndex]:
        """Every index as people see it, by its id: its name, and a line of what it is."""
        return named_indexes(self.files.root, self.files.catalog)

    def rename(
        self, index_id: str, name: str, *, description: str | None = None, actor: str | None = None
    ) -> GivenName:
        """Call an index by a name from now on; an empty one takes the name back.

        Args:
            index_id: Of the index.
            name: At most 80 printable characters, not another index's.
            description: What to remember of it; None keeps what is there.
            actor: Who says so; None is who uses this process.

        Raises:
            RoleError: The person is a viewer.
            LorifError: There is no such index, or it cannot be called so.
        """
        return name_index(self.files, index_id, name=name, description=description, actor=actor or current_actor())

    def loss(self, index_id: str) -> IndexLoss:
        """What deleting an index would give up.

        Raises:
            CatalogError: There is no such index.
        """
        return index_loss(self.files, index_id)

    def delete(self, index_id: str, *, actor: str | None = None) -> IndexLoss:
        """Delete an index, its questions with their answers, and measurements of it alone; what that was.

        Args:
            index_id: Of the index.
            actor: Who does it; None is who uses this process.

        Raises:
            RoleError: The person is no admin.
            LorifError: There is no such index, or something uses it.
        """
        with self._opening:
            self._opened = {}
        return delete_index(self.files, index_id, actor=actor)

    def has_open(self, index_id: str) -> bool:
        """Whether an index and its model are in memory."""
        return any(opened == index_id for opened, *_ in list(self._opened))

    def members(self, index_id: str) -> Members | None:
        """What an index's scores are sums over; None: it is alone.

        Raises:
            LorifError: The file that says so is damaged or gone.
        """
        return members_of(self.files, self.files.catalog.index(index_id))

    def losses(self, index_id: str) -> IndexLosses | None:
        """What is known of an index of losses: models, and questions of its table; None for one of gradients.

        Raises:
            ArtefactError: The file that says it is damaged.
        """
        return read_index_losses(self.files.index_folder(index_id))

    def import_losses(
        self,
        path: str | Path,
        name: str,
        *,
        dataset: str | None = None,
        codec: Codec = "bf16",
        leaves_out: bool = False,
        on_progress: ProgressSink = no_progress,
    ) -> "ImportedLosses":
        """Make an index of a table of losses, see ``data.loss_table``; no model is needed, now or when it is asked.

        Args:
            path: CSV, JSONL or Parquet: id, model and loss, or id and a column per model.
            name: The id of the index. The same name with the same losses of the texts replaces the questions.
            dataset: Name or id; may be left out when there is only one.
            codec: How a stored loss is encoded.
            leaves_out: Whether texts that lack a loss are left out; else they are refused.
            on_progress: Receives ("losses", texts written, all).

        Raises:
            RoleError: The person is a viewer.
            LorifError: The name is another index's, or the table is not in order.
        """
        from lorif_core.workspace.indexes.import_losses import import_losses

        record = self.files.choose_dataset(dataset)
        return import_losses(
            self.files, record, Path(path), name, codec=codec, leaves_out=leaves_out, on_progress=on_progress
        )

    def all_members(self) -> dict[str, Members]:
        """Per index that is not alone, what its scores are sums over; one whose file is damaged is left out here."""
        return all_members(self.files)

    def kept_energy(self, index_id: str) -> KeptEnergy:
        """Share of the squared gradient norm that is kept over all modules, as stored and before rounding."""
        return self.files.index_manifest(index_id).kept_energy()

    def coverage(self, index_id: str) -> "Coverage":
        """What of the data set's texts an index's gradients are of: texts left out, tokens cut."""
        from lorif_core.workspace.indexes.coverage import coverage_of

        return coverage_of(self.files.index_manifest(index_id))

    def budget_share(self, index_id: str) -> "BudgetShare | None":
        """What a budget bought, and what is left of it; None for an index without a budget."""
        from lorif_core.workspace.indexes.budget_share import share_of_budget

        return share_of_budget(self.files.index_manifest(index_id))

    def report(self, index_id: str | None = None) -> "IndexReport":
        """Settings of an index, every byte it takes on disk, and what its codes keep.

        ``views.index_figures.energy_map(report.explained_energy)`` draws the latter.

        Raises:
            CatalogError: There is no such index.
            ArtefactError: Its build has written nothing yet, or a file is missing.
        """
        from lorif_core.workspace.indexes.index_report import report_index

        return report_index(self.files, index_id)

    def spectra(self, module: str, index_id: str | None = None) -> list[Spectrum]:
        """Eigenvalues of a module's curvature beside the damping; ``views.index_figures.spectrum_lines`` draws them.

        Raises:
            CatalogError: There is no such index or module.
            ArtefactError: The index is not complete, or its statistics are gone.
        """
        from lorif_core.workspace.indexes.index_report import spectra_of

        return spectra_of(self.files, index_id, module)

    def neighbours(
        self,
        train_id: str,
        k: int = 10,
        *,
        by: Alike = "gradient",
        index_id: str | None = None,
        search: Search | None = None,
    ) -> "Neighbours":
        """Texts most like a text. Needs no model.

        Args:
            train_id: Of the text.
            k: How many to find.
            by: gradient: those whose stored gradients are most like its own, so that they teach alike. meaning: those
                of which the model makes the same, by the states that ``map`` computes.
            index_id: Of the index.
            search: Of gradients only. exact: every text is compared. fast: by reading a part of what is stored;
                ``fast_search`` of the result says what the list rests on. None: exact below 100,000 texts, else
                fast.

        Raises:
            LorifError: The text is unknown, the index cannot be read, or its texts have no states yet.
        """
        from lorif_core.workspace.indexes.neighbours import find_by_meaning, find_neighbours

        check_choice("by", by, Alike)
        if by == "meaning":
            if search is not None:
                raise ConfigError("a search by meaning compares every text: leave `--search` out.")
            return find_by_meaning(self.files, train_id, k, index_id)
        return find_neighbours(self.files, train_id, k, index_id, search)

    def trust(self, index_id: str | None = None) -> Trust:
        """What was measured of an index's scores so far, each measurement beside what chance would give.

        Raises:
            CatalogError: There is no such index.
        """
        return trust_in(self.files, self.files.choose_index(index_id).index_id)

    def adapters(self) -> dict[str, str]:
        """Per index of an adapter that is still in its folder, one sentence: kind, rank, base, tracked modules."""
        return describe_adapters(self.files, self.records())

    def map(
        self,
        index_id: str | None = None,
        *,
        seed: int = 0,
        num_clusters: int | None = None,
        on_progress: ProgressSink = no_progress,
    ) -> Atlas:
        """The texts of an index as a picture in which near means alike to the model, and clusters with names.

        Computed once, then kept: first the state of every text, by forward passes of the index's model, then the
        picture and the clusters. ``views.atlas_figures.atlas_figure`` draws it.

        Args:
            index_id: Of the index.
            seed: Another one turns and bends the picture a little; the same one gives the same map.
            num_clusters: None: as a kept map has, else a third of the square root of the number of texts, 2 to 40.
            on_progress: Receives ("states", texts read, all), then ("map", steps done, all).

        Raises:
            LorifError: The index is not complete, damaged, or has no model.
        """
        from lorif_core.workspace.indexes.atlas import build_atlas

        return build_atlas(self.files, index_id, seed=seed, num_clusters=num_clusters, on_progress=on_progress)

    def outliers(self, index_id: str | None = None) -> pl.DataFrame:
        """Every text by its self-influence, the largest first: rank, train_id, self_influence. Needs no model.

        A text with a large one was memorised, as nothing else teaches it: odd, wrong or rare.

        Raises:
            LorifError: The index is not complete, or damaged.
        """
        from lorif_core.workspace.indexes.outliers import rank_self_influences

        return rank_self_influences(self.files, index_id)


def describe_adapters(files: WorkspaceFiles, records: Sequence[IndexRecord]) -> dict[str, str]:
    """As ``Indexes.adapters``, of these indexes."""
    from lorif_core.models.adapter_report import describe_folder

    found: dict[str, str | None] = {}
    for record in records:
        with suppress(LorifError):  # a damaged index is not described; `lorif doctor` names it
            model = read_index_settings(record.settings_json).model.model
            modules = files.index_manifest(record.index_id).modules
            found[record.index_id] = describe_folder(model, (module.name for module in modules))
    return {index_id: sentence for index_id, sentence in found.items() if sentence is not None}


def list_model_modules(settings: IndexConfig) -> "tuple[list[ModuleEntry], Engine]":
    """Every module of a model that owns weights, and the engine that would track some of them."""
    from lorif_core.models.load import load_model
    from lorif_core.workspace.indexes.engine import build_engine

    engine = build_engine(load_model(settings.model), settings)
    return engine.entries, engine
