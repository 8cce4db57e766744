"""Build an index and those of the further members of its scores, one after the other, and link them.

Each build is resumed as any is. The link is made when all are complete: until then the index answers as before.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lorif_core.catalog import DatasetRecord, IndexRecord
from lorif_core.data.sequences import sequences_of
from lorif_core.errors import ConfigError
from lorif_core.members_config import MembersConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.models.load import load_model
from lorif_core.models.outline import has_only_a_configuration
from lorif_core.workers_config import ALONE, WorkersConfig
from lorif_core.workspace.folder.index_members import LinkedMember, Members, Training
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.build_index import build_index, is_worth_an_estimate, plan_parts
from lorif_core.workspace.indexes.engine import build_engine
from lorif_core.workspace.indexes.estimate import IndexEstimate, estimate_index
from lorif_core.workspace.indexes.estimate_outline import estimate_outline, is_outgrown, refuse_outgrown
from lorif_core.workspace.indexes.fit_to_memory import plan_fitting
from lorif_core.workspace.indexes.index_job import IndexJob
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.indexes.linked_members import link_members
from lorif_core.workspace.indexes.name_members import WeighedModel, members_asked, place_members, weigh_members
from lorif_core.workspace.indexes.planned_index import Planned, planned_index
from lorif_core.workspace.indexes.training_segments import training_asked, unroll_training

ENCODED_AT_ONCE = 1024
"""Texts that are in memory in tokens."""

OnEstimate = Callable[[str, IndexEstimate], None]


class _Family(NamedTuple):
    own: IndexJob
    asked: MembersConfig
    """What the index shall answer with."""

    models: list[WeighedModel]
    """Its own first."""

    training: Training | None
    """What is done between them."""


def build_with_members(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    settings: IndexConfig,
    on_estimate: OnEstimate | None,
    on_progress: ProgressSink,
    workers: WorkersConfig = ALONE,
) -> IndexRecord:
    """Build or resume an index and its further members; the index's own record.

    Raises:
        LorifError: A model, the data or the machine does not fit the settings, or the members do not fit together.
    """
    job, asked, models, training = _plan_family(files, dataset, settings)
    if on_estimate is not None and is_worth_an_estimate(job):
        on_estimate(job.index_id, estimate_index(job))
    record, shared = build_index(job, on_progress, workers), _shared(job)
    del job  # with its model
    others: list[LinkedMember] = []
    for one in models[1:]:
        other = _plan_other(files, dataset, shared, one)
        _check_new(one, other.index_id, record.index_id, others)
        if on_estimate is not None and is_worth_an_estimate(other):
            on_estimate(other.index_id, estimate_index(other))
        others.append(
            LinkedMember(build_index(other, on_progress, workers).index_id, one.name, one.weight, one.model)
        )
        del other
    if others:
        rule = settings.method.name if training is not None else asked.member_weights or "average"
        members = Members(rule, models[0].name, models[0].weight, tuple(others), training)
        return link_members(files, record, members)
    return link_members(files, record, None) if settings.members.alone else record


def plan_with_members(
    files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig, on_progress: ProgressSink
) -> list[Planned]:
    """Decide the plans of an index and of its further members, its own first, so that any process can make parts.

    Raises:
        LorifError: A model, the data or the machine does not fit the settings, or the members do not fit together.
    """
    job, _, models, _ = _plan_family(files, dataset, settings)
    found, shared = [planned_index(files, plan_parts(job, on_progress).index_id)], _shared(job)
    del job
    for one in models[1:]:
        other = _plan_other(files, dataset, shared, one)
        found.append(planned_index(files, plan_parts(other, on_progress).index_id))
        del other
    return found


def estimate_members(
    files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig
) -> list[tuple[str, str | None, IndexEstimate]]:
    """Name, index id and cost of every member that a build of these settings would make, the own model first.

    Of a model whose weights are not there, or do not fit, the cost is what its configuration says; its index has no
    id yet, and further members are not looked at.

    Raises:
        LorifError: A model, the data or the machine does not fit the settings.
    """
    if has_only_a_configuration(settings.model) or is_outgrown(settings.model):
        return [(settings.model.model, None, estimate_outline(files, dataset, settings))]
    job, _, models, _ = _plan_family(files, dataset, settings)
    found: list[tuple[str, str | None, IndexEstimate]] = [(models[0].name, job.index_id, estimate_index(job))]
    shared = _shared(job)
    del job
    for one in models[1:]:
        other = _plan_other(files, dataset, shared, one)
        found.append((one.name, other.index_id, estimate_index(other)))
    return found


def plan_alone(files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig) -> IndexJob:
    """The index that settings name, whatever members they name."""
    if Path(settings.model.model).is_dir():  # so that the index can be asked from another folder
        placed = replace(settings.model, model=str(Path(settings.model.model).resolve()))
        settings = replace(settings, model=placed)
    settings = replace(settings, members=MembersConfig())
    refuse_outgrown(settings.model)
    return plan_fitting(files, dataset, settings, build_engine(load_model(settings.model), settings))


def _plan_family(files: WorkspaceFiles, dataset: DatasetRecord, settings: IndexConfig) -> _Family:
    named = place_members(settings.members)
    own = plan_alone(files, dataset, settings)
    records = {one.index_id: one for one in files.catalog.indexes()}
    known = MembersConfig()
    if own.index_id in records:
        known = read_index_settings(records[own.index_id].settings_json).members
    model, training = own.settings.model.model, None
    if settings.method.unrolls_training:
        asked = training_asked(named, known)
        models, training = unroll_training(model, asked, dataset.num_examples, _num_targets(own))
    else:
        asked = members_asked(named, known)
        models = weigh_members(model, asked)
    return _Family(replace(own, settings=replace(own.settings, members=known)), asked, models, training)


def _num_targets(job: IndexJob) -> int:
    """Target tokens of all texts, as they are differentiated."""
    encoder, total = job.engine.encoder, 0
    for start in range(0, job.dataset.num_examples, ENCODED_AT_ONCE):
        texts = encoder.encode_all(job.examples.iter_examples(start, start + ENCODED_AT_ONCE)).texts
        total += sum(sum(one.is_target) for text in texts for one in sequences_of(text))
    return total


def _shared(own: IndexJob) -> IndexConfig:
    """What the further members are built with: texts in shards of the same size, so that scores can be added."""
    shards = own.manifest.shard_examples
    return replace(own.settings, batches=replace(own.settings.batches, shard_examples=shards), size_chosen=None)


def _plan_other(files: WorkspaceFiles, dataset: DatasetRecord, shared: IndexConfig, member: WeighedModel) -> IndexJob:
    return plan_alone(files, dataset, replace(shared, model=replace(shared.model, model=member.model)))


def _check_new(member: WeighedModel, index_id: str, own: str, others: list[LinkedMember]) -> None:
    """Refuse a model that would count twice."""
    names = {own: "the index's own", **{one.index_id: repr(one.name) for one in others}}
    if index_id in names:
        raise ConfigError(
            f"every member must be another model, and {member.name!r} ({member.model}) is the same as "
            f"{names[index_id]}: it would count twice. Leave it out."
        )
