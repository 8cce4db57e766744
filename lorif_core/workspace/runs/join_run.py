"""From the rows of a run to indexes like any other: one per member, its texts in the order of the data set.

Every step leaves whole files and starts again where it was: a run whose joining is killed is joined by the same call.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from lorif_core.catalog import IndexRecord, ModelRecord
from lorif_core.errors import DataError, ModelError
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.codecs import scales_of
from lorif_core.linalg.maps import maps_digest
from lorif_core.models.load import LoadedModel, load_model
from lorif_core.models.modules import linear_widths
from lorif_core.settings_json import settings_to_json
from lorif_core.store.blocks import bytes_per_example
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.manifest import manifest_of_plan, read_manifest
from lorif_core.store.parts import Origin, ShardFacts, missing_parts, sweep_leftovers, write_part
from lorif_core.store.plan import Parents, Plan, write_plan
from lorif_core.store.statistics import entries_of_maps, read_maps, write_maps
from lorif_core.weights import locate_weight
from lorif_core.workspace.folder.index_members import LinkedMember, Members
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.indexes.fit_index import compact_checked, fit_index, has_curvature, only_builder
from lorif_core.workspace.indexes.index_job import index_id_of, shard_size
from lorif_core.workspace.indexes.index_records import put_index_record, register_complete
from lorif_core.workspace.indexes.linked_members import link_members
from lorif_core.workspace.indexes.make_parts import worker_name
from lorif_core.workspace.indexes.model_share import ModelShare, keep_share
from lorif_core.workspace.runs.row_files import Rows, StoredRows, stored_rows
from lorif_core.workspace.runs.run_files import EndedMember, RunFiles, fingerprint_of_module

NO_TOKENIZER = "none"


@dataclass(frozen=True)
class MemberModel:
    """The model of a member, as the catalog and a plan name it."""

    record: ModelRecord
    max_length: int


def join_run(run: RunFiles, has_dropout: bool, on_progress: ProgressSink) -> list[IndexRecord]:
    """Write the index of every member that has ended, and let the last one answer with the others.

    Args:
        run: Of which no text of a member is missing.
        has_dropout: Whether gradients were taken with dropout.
        on_progress: Receives ("parts", parts done, all), then the stages of a fit.

    Raises:
        DataError: Texts are missing.
        ModelError: A model cannot be loaded, or is another one.
    """
    ended = run.ended()
    found = [_join_member(run, number, one, has_dropout, on_progress) for number, one in enumerate(ended)]
    *others, own = zip(found, ended, strict=True)
    if others:
        weight = 1 / len(found)
        linked = tuple(LinkedMember(record.index_id, one.name, weight, one.model) for record, one in others)
        record = link_members(run.files, own[0], Members("average", own[1].name, weight, linked))
        found[-1] = record
    run.write_result([one.index_id for one in reversed(found)])
    for name in run.place.listed("rows"):
        run.place.delete(name)
    return found


def refuse_missing(run: RunFiles, member: int) -> None:
    """Refuse to make an index of a member without all of its texts.

    Raises:
        DataError: Some are missing; says how many, and what to do.
    """
    missing = stored_rows(run.place, member, run.dataset.num_examples).missing
    if missing:
        (first,) = run.examples.examples_at(missing[:1])
        raise DataError(
            f"an index holds every text of its data set, and {len(missing):,} of {run.dataset.num_examples:,} were "
            f"not stored by run {run.name!r}, such as {first.train_id!r}: they were not trained on, or only while "
            "statistics were taken. Train on for another epoch, or call `run.finish_missing()`, which takes them "
            "with the model as it is now."
        )


def _join_member(
    run: RunFiles, number: int, ended: EndedMember, has_dropout: bool, on_progress: ProgressSink
) -> IndexRecord:
    began = time.monotonic()
    refuse_missing(run, number)
    settings, told = run.settings(ended.model), _model_of(run, ended)
    plan = _plan(run, number, told, has_dropout)
    own = None if run.loop.method.shares_gradients else settings_to_json(settings.method)
    index_id = index_id_of(plan, own)
    place, folder = LocalPlace(run.files.index_folder(index_id)), run.files.index_folder(index_id)
    folder.mkdir(parents=True, exist_ok=True)
    with only_builder(folder):
        plan = _with_maps(run, place, plan)
        run.files.catalog.put_model(told.record)
        dataset_id, model_id = run.dataset.dataset_id, told.record.model_id
        put_index_record(run.files, dataset_id, settings, model_id, index_id, manifest_of_plan(plan))
        write_plan(place, plan)
        keep_share(folder, _share(run.loop.model, run))
        _write_parts(run, place, plan, stored_rows(run.place, number, plan.num_examples), on_progress)
        sweep_leftovers(place)
        curvature = run.loop.method.curvature
        manifest = compact_checked(place)
        if not has_curvature(manifest, curvature):
            manifest = fit_index(place, read_manifest(place), curvature, on_progress)
        return register_complete(run.files, index_id, manifest, curvature.fitted, time.monotonic() - began)


def _plan(run: RunFiles, number: int, told: MemberModel, has_dropout: bool) -> Plan:
    loop, feature = run.loop, run.loop.method.feature
    projection = loop.method.projection
    is_random = projection.sample(loop.modules) is None
    random = {module.name: projection.maps(module, None) for module in loop.modules} if is_random else {}
    size = bytes_per_example(loop.modules, loop.codec, feature.rank_of, feature.layout)
    return Plan(
        layout=feature.layout,
        codec=feature.codec,
        factor_rank=feature.factor_rank,
        f=loop.f,
        seed=projection.seed,
        max_length=told.max_length,
        parents=Parents(run.dataset.fingerprint, told.record.fingerprint, told.record.tokenizer_fingerprint),
        modules=loop.modules,
        maps_digest=maps_digest(random),
        members=tuple(member.name for member in loop.method.members),
        whitening=projection.recorded(loop.modules),
        num_examples=run.dataset.num_examples,
        shard_examples=shard_size(size),
        precision="bfloat16" if loop.in_bfloat16 else None,
        scales=scales_of(feature.codec, feature.layout),
        logged={
            "run": run.name,
            "member": number,
            "statistics": None if is_random else run.statistics(),
            "dropout": has_dropout,
            "is_module": not run.can_be_loaded,
        },
    )


def _with_maps(run: RunFiles, place: LocalPlace, plan: Plan) -> Plan:
    if run.loop.method.projection.sample(run.loop.modules) is None:
        return plan
    write_maps(place, read_maps(run.place, run.loop.names))
    return replace(plan, maps=entries_of_maps(place, run.loop.names))


def _model_of(run: RunFiles, ended: EndedMember) -> MemberModel:
    if not run.can_be_loaded:
        model = run.loop.model
        num_parameters = sum(one.numel() for one in model.parameters())
        own = ("torch module", fingerprint_of_module(model), fingerprint_of_value(NO_TOKENIZER))
        record = _record(ended.model, own, type(model).__name__, num_parameters)
        return MemberModel(record, run.max_length)
    loaded = load_model(run.settings(ended.model).model)
    _check_modules(run, loaded)
    own = (loaded.name, loaded.fingerprint, loaded.tokenizer_fingerprint)
    longest = run.max_length if loaded.max_positions is None else min(run.max_length, loaded.max_positions)
    return MemberModel(_record(loaded.name, own, loaded.architecture, loaded.num_parameters), longest)


def _record(name: str, own: Sequence[str], architecture: str, num_parameters: int) -> ModelRecord:
    return ModelRecord(
        model_id=f"lm-{own[1][:12]}",
        name=name,
        fingerprint=own[1],
        tokenizer_fingerprint=own[2],
        architecture=architecture,
        num_parameters=num_parameters,
    )


def _check_modules(run: RunFiles, loaded: LoadedModel) -> None:
    for module in run.loop.modules:
        try:
            widths = linear_widths(locate_weight(loaded.model, module.name).module)
        except AttributeError as error:
            raise ModelError(
                f"the model of a run must be the one that was trained, and {loaded.name!r} has no module "
                f"{module.name!r}. Name the folder that this model was saved to."
            ) from error
        if widths is not None and widths != (module.in_features, module.out_features):
            raise ModelError(
                f"the model of a run must be the one that was trained, and module {module.name!r} of {loaded.name!r} "
                f"is {widths[0]} × {widths[1]}, not {module.in_features} × {module.out_features}."
            )


def _share(model: nn.Module, run: RunFiles) -> ModelShare:
    seen = sum(one.in_features * one.out_features for one in run.loop.modules)
    return ModelShare(seen, sum(one.numel() for one in model.parameters()))


def _write_parts(run: RunFiles, place: LocalPlace, plan: Plan, stored: StoredRows, on_progress: ProgressSink) -> None:
    device = next(run.loop.model.parameters()).device
    for number in missing_parts(plan, place):
        on_progress("parts", number, plan.num_parts)
        began = time.monotonic()
        rows = stored.rows_of(plan.rows_of(number))
        facts = _facts(rows)
        origin = Origin(str(device), torch.__version__, worker_name(), time.monotonic() - began)
        write_part(place, plan, number, rows, facts, origin)
    on_progress("parts", plan.num_parts, plan.num_parts)


def _facts(rows: Rows) -> ShardFacts:
    """Takes the energies out of the rows, which are summed here."""
    energies = rows.pop("energy").double().sum(0)
    num_tokens = int(rows["num_tokens"].sum())
    kept, stored, total = energies.T.tolist()
    return ShardFacts(
        num_truncated=0,
        num_without_targets=0,
        kept_energy=kept,
        stored_energy=stored,
        total_energy=total,
        failed_ids=[],
        failed_reasons=[],
        num_without_gradients=0,
        ids_without_targets=[],
        num_tokens=num_tokens,
        num_tokens_read=num_tokens,
        num_positions=num_tokens,
    )
