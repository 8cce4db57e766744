"""A complete index with the model it was built from, and with the further members of its scores, ready to be asked.

The models of further members are held in memory where they fit. Where memory is short each is loaded when it is its
turn and let go after it, so that beside the index's own model there is one at a time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lorif_core.catalog import IndexRecord
from lorif_core.config import CurvatureConfig, ModelConfig
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ArtefactError, ConfigError, FingerprintMismatch
from lorif_core.methods.make_method import make_method
from lorif_core.methods.protocol import AttributionMethod, Member
from lorif_core.models.load import choose_device, load_model
from lorif_core.passes.scoring import FittedIndex
from lorif_core.passes.unrolling import UnrolledSegment, Unrolling, check_one_space
from lorif_core.store.manifest import Manifest
from lorif_core.store.plan import Parents
from lorif_core.store.reader import StoreReader
from lorif_core.turns import turn_on
from lorif_core.workspace.folder.index_losses import IndexLosses, knows_only_losses
from lorif_core.workspace.folder.index_members import LinkedMember, Members, Training
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes import free_memory
from lorif_core.workspace.indexes.engine import Engine, engine_of_index
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.indexes.linked_members import check_member, members_of
from lorif_core.workspace.indexes.loss_models import LossModels, losses_of
from lorif_core.workspace.indexes.model_share import share_sentence
from lorif_core.workspace.indexes.query_capture import GradientCapture, LossCapture, QueryCapture
from lorif_core.workspace.indexes.scoring_devices import scoring_device, with_room

SHARE_FOR_MEMBERS = 0.5
"""Of the free memory, what the models of further members may take; the rest is for gradients and scores."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class OpenIndex:
    """An index in use."""

    index_id: str
    model: ModelConfig

    own_engine: Engine | None
    """None for losses that were imported: there is no model."""

    examples: ExampleTable
    fitted: FittedIndex
    captures: QueryCapture
    """What makes features of questions."""

    model_share: str
    """Which share of the model it sees, in words."""

    members: Members | None = None
    """What its scores are sums over; None: it is alone."""

    others: tuple["OtherMember", ...] = ()
    """The further members, in their order."""

    unrolling: Unrolling | None = None
    """What its method does to a query between the members, which are checkpoints of one training."""

    needs_checkpoints: bool = False
    """Whether its method has no answer without such members."""

    losses: IndexLosses | None = None
    """What is known of an index of losses; None for one of gradients."""

    note: str | None = None
    """What a question costs more than one would think, in a sentence."""

    @property
    def engine(self) -> Engine:
        """Its model, modules and maps.

        Raises:
            ConfigError: It holds losses that were imported, and has no model.
        """
        if self.own_engine is None:
            raise ConfigError(
                f"this needs a model, and index {self.index_id!r} holds losses that were imported without one. Name "
                "an index that was built with a model."
            )
        return self.own_engine

    def held(self) -> AbstractContextManager[object]:
        """Its model ready for capture, where there is one; nobody else's turn while the block runs."""
        return nullcontext() if self.own_engine is None else self.own_engine.frozen_model()

    def in_turn(self) -> AbstractContextManager[object]:
        """Its model is used by nobody else while the block runs, where there is one."""
        return nullcontext() if self.own_engine is None else turn_on(self.own_engine.loaded.model)

    def over_members(self, work: Callable[["OpenIndex"], Found]) -> list[Found]:
        """What a piece of work finds for every member: this index first, then the further ones, one at a time.

        The work must keep nothing of what it is given but stored features: a model may be let go after it.
        """
        return [work(self), *(other.do(work) for other in self.others)]

    @property
    def label(self) -> str:
        """Method and settings, and the further members."""
        own = self.fitted.method.label
        return own if self.members is None else f"{own} {self.members.label}"

    @property
    def memory_note(self) -> str | None:
        """That the models of its members do not fit into memory together; None: they do."""
        if all(other.held is not None for other in self.others):
            return self.note
        return "memory is short, so every question loads the further members' models one at a time"

    @property
    def reader(self) -> StoreReader:
        """What is stored."""
        return self.fitted.reader


@dataclass(frozen=True)
class OtherMember:
    """A further member of an index's scores."""

    load: Callable[[], OpenIndex]
    held: OpenIndex | None
    """None where memory is short."""

    def do(self, work: Callable[[OpenIndex], Found]) -> Found:
        """What a piece of work finds for it."""
        return work(self.held or self.load())


def open_with_members(
    files: WorkspaceFiles, record: IndexRecord, model: str | None, free_bytes: int | None = None
) -> OpenIndex:
    """Load the model of a complete index and those of the further members of its scores.

    Args:
        files: The workspace.
        record: Of the index.
        model: Where the index's own model lies now, if it was moved since the index was built.
        free_bytes: Memory for models; None: what there is.

    Raises:
        ArtefactError: The index or a member is not complete, or they do not fit together.
        FingerprintMismatch: A model or the data is not the one that an index was built from.
    """
    members, own = members_of(files, record), open_index(files, record, model)
    if members is None:
        return own
    checked = [(linked, check_member(files, record, linked)) for linked in members.others]
    if own.fitted.scored_on is not None:
        own.fitted.scored_on.release()  # models are worth more memory than indexes, which stream as well
    needed = len(checked) * sum(one.nbytes for one in own.engine.loaded.model.parameters())
    free = free_memory.free_bytes(own.engine.loaded.device) if free_bytes is None else free_bytes
    holds = needed <= SHARE_FOR_MEMBERS * free

    def other(linked: LinkedMember, theirs: IndexRecord) -> OtherMember:
        def load() -> OpenIndex:
            found = open_index(files, theirs, linked.model)
            return replace(found, fitted=replace(found.fitted, member=Member(linked.name, linked.weight)))

        return OtherMember(load, load() if holds else None)

    fitted = replace(own.fitted, member=Member(members.name, members.weight))
    others = tuple(other(linked, theirs) for linked, theirs in checked)
    unrolling = None if members.training is None else _unrolling(files, own.reader, members, members.training)
    return replace(own, fitted=fitted, members=members, others=others, unrolling=unrolling)


def _unrolling(files: WorkspaceFiles, own: StoreReader, members: Members, training: Training) -> Unrolling:
    """The training with what is stored of its checkpoints.

    Raises:
        ArtefactError: Their projected gradients do not mean the same.
    """
    readers = {members.name: own} | {one.name: files.open_index(one.index_id) for one in members.others}
    check_one_space(list(readers), list(readers.values()))
    segments = tuple(
        UnrolledSegment(tuple(readers[name] for name in one.members), one.rates) for one in training.segments
    )
    how: Any = training.trained_by
    return Unrolling(segments, how, training.texts_per_step, training.num_targets)


def open_index(files: WorkspaceFiles, record: IndexRecord, model: str | None) -> OpenIndex:
    """Load the model of a complete index, by itself.

    Args:
        files: The workspace.
        record: Of the index.
        model: Where the model lies now, if it was moved since the index was built.

    Raises:
        ArtefactError: The index is not complete.
        FingerprintMismatch: The model or the data is not the one the index was built from.
    """
    if knows_only_losses(record):
        return open_losses(files, record, model)
    reader = files.open_index(record.index_id)
    reader.require_complete()
    refuse_module(record.index_id, reader.manifest)
    examples = files.examples(record.dataset_id)
    settings = read_index_settings(record.settings_json, model)
    place = scoring_device(choose_device(settings.model.device))
    engine = with_room(place, lambda: engine_of_index(load_model(settings.model), settings, reader))
    engine = replace(engine, stride=reader.manifest.stride)  # whatever the settings would choose today
    loaded = engine.loaded
    found = Parents(examples.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint)
    check_parents(record.index_id, reader.manifest.parents, found, loaded.name)
    # Format 1 kept the length that was asked for, also where the model reads less and texts were cut sooner.
    longest = min(reader.manifest.max_length, engine.encoder.max_length)
    reader = StoreReader(reader.place, replace(reader.manifest, max_length=longest))
    check_fit(record, reader, engine.method)
    # What was fitted, not what the catalog says was asked for: a build may have stopped in between. The rank is the
    # manifest's: version 0.1 wrote one beside the curvature also where the method keeps every direction.
    fitted: dict[str, Any] = {**(reader.manifest.curvature or {}), "subspace_rank": reader.manifest.subspace_rank}
    curvature = CurvatureConfig(**fitted)
    return OpenIndex(
        record.index_id,
        settings.model,
        engine,
        examples,
        FittedIndex(reader, engine.method, curvature, scored_on=place),
        GradientCapture(engine, place),
        share_sentence(files, record),
        needs_checkpoints=settings.method.unrolls_training,
    )


def refuse_module(index_id: str, manifest: Manifest) -> None:
    """Refuse an index of a model that cannot be loaded from anywhere.

    Raises:
        ArtefactError: A training run logged it, of a module that is no language model.
    """
    logged = manifest.logged or {}
    if logged.get("is_module"):
        raise ArtefactError(
            f"index {index_id!r} was logged by run {logged['run']!r} of a torch module that is no language model, so "
            f"questions to it are losses: ask in Python, `ws.logged({logged['run']!r}).ask(model, loss)`."
        )


def open_losses(files: WorkspaceFiles, record: IndexRecord, model: str | None) -> OpenIndex:
    """A complete index of losses, with the model that speaks where there is one.

    Args:
        files: The workspace.
        record: Of the index.
        model: Where that model lies now, if it was moved.

    Raises:
        ArtefactError: The index is not complete.
        FingerprintMismatch: The model or the data is not the one the index was built from.
    """
    reader, losses = files.open_index(record.index_id), losses_of(files, record)
    reader.require_complete()
    settings = read_index_settings(record.settings_json, model)
    examples, curvature = files.examples(record.dataset_id), CurvatureConfig(**(reader.manifest.curvature or {}))
    if losses.is_imported:
        engine, models, method = None, None, make_method(settings.method)
    else:
        engine = engine_of_index(load_model(settings.model), settings, reader)
        engine, method = replace(engine, stride=reader.manifest.stride), engine.method
        models = LossModels.of(losses, settings.model, engine.loaded)
    check_losses(record.index_id, reader.manifest.parents, losses, examples, engine)
    captures = LossCapture(
        record.index_id, reader.manifest.column_codec, None if models is None else models.each, engine
    )
    return OpenIndex(
        record.index_id,
        settings.model,
        engine,
        examples,
        FittedIndex(reader, method, curvature),
        captures,
        losses.sentence,
        losses=losses,
        note=None if models is None else models.note,
    )


def check_losses(
    index_id: str, built: Parents, losses: IndexLosses, examples: ExampleTable, engine: Engine | None
) -> None:
    """Refuse other data, or another own model, than an index of losses was built from; its further models are
    compared when they are loaded.

    Raises:
        FingerprintMismatch: One differs; says which, and what to do.
    """
    if engine is None:
        found = Parents(examples.fingerprint, built.model, built.tokenizer)
        check_parents(index_id, built, found, "")
        return
    loaded = engine.loaded
    own = replace(losses, own_fingerprint=loaded.fingerprint).fingerprint
    found = Parents(examples.fingerprint, own, loaded.tokenizer_fingerprint)
    check_parents(index_id, built, found, loaded.name)


def check_fit(record: IndexRecord, reader: StoreReader, method: AttributionMethod) -> None:
    """Refuse an index whose curvature is not of the method that it is registered with.

    Raises:
        ArtefactError: A build with other settings was stopped before its fit, or is at work.
    """
    if reader.manifest.subspace_rank != method.curvature.subspace_rank:
        raise ArtefactError(
            f"index {record.index_id!r} is registered as {method.label}, but its curvature is still that of before: "
            "a build was stopped before it was fitted. Run the same `lorif index` command again; it goes on."
        )


def check_parents(index_id: str, built: Parents, found: Parents, model: str) -> None:
    """Refuse other data, another model or another tokenizer than an index was built from.

    Raises:
        FingerprintMismatch: One differs; says which, and what to do.
    """
    moved = "Pass the right folder with `--model`, or build a new index."
    for kind, was, now, holder, remedy in (
        ("data", built.dataset, found.dataset, "examples.parquet", "Restore the file, or import and index again."),
        ("a model", built.model, found.model, repr(model), moved),
        ("a tokenizer", built.tokenizer, found.tokenizer, repr(model), moved),
    ):
        if now != was:
            raise FingerprintMismatch(
                f"index {index_id!r} was built from {kind} with fingerprint {was[:8]}…, {holder} has {now[:8]}…. "
                f"{remedy}"
            )
