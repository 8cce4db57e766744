"""The half-whitening maps of an index: by this process, or its layers divided among workers.

A worker sums the moments of some layers over the whole sample, takes their roots and writes their maps. The moments
of a module do not depend on which others are summed beside them, so nothing but time depends on the workers.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from lorif_core.errors import ArtefactError, LorifError, ResourceError
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.models.load import load_model
from lorif_core.passes.layer_groups import families, layer_groups, moments_bytes
from lorif_core.ray_pool import RayPool, Refusal, ray_pool
from lorif_core.shapes import ModuleShape
from lorif_core.store.cores import num_cores
from lorif_core.store.statistics import modules_with_maps, read_maps, write_maps
from lorif_core.workers_config import WorkersConfig
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.indexes.engine import build_engine
from lorif_core.workspace.indexes.hand_out_parts import MOST_DEATHS, WAIT_S, Made
from lorif_core.workspace.indexes.index_job import IndexJob, plan_index
from lorif_core.workspace.indexes.take_statistics import iter_maps


def half_whitening_maps(
    job: IndexJob, sample: StatisticsSample, workers: WorkersConfig, on_progress: ProgressSink
) -> dict[str, ModuleMaps]:
    """The maps of every module; each is written when it is made, and those of an interrupted run are read.

    Args:
        job: The index; nothing of it but maps need be there.
        sample: Of the texts, for the statistics.
        workers: Who takes them.
        on_progress: Receives ("statistics", …) and ("roots", …), see ``iter_maps``; from workers ("statistics",
            modules whose maps are there, all).

    Raises:
        NumericalError: A module's statistics are not finite, or zero.
        ResourceError: Workers die of it.
    """
    if workers.workers is not None and _missing(job):
        _make_with(job, sample, workers, on_progress)
    found = read_maps(job.place, [module.name for module in job.engine.modules])
    return found | _make(job, sample, _missing(job), on_progress)


def _missing(job: IndexJob) -> list[ModuleShape]:
    """Modules whose families lack a map."""
    found = modules_with_maps(job.place, [module.name for module in job.engine.modules])
    lacking = (one for one in families(job.engine.modules) if not all(module.name in found for module in one))
    return [module for family in lacking for module in family]


def _make(
    job: IndexJob, sample: StatisticsSample, modules: Sequence[ModuleShape], on_progress: ProgressSink
) -> dict[str, ModuleMaps]:
    made: dict[str, ModuleMaps] = {}
    engine = replace(job.engine, modules=list(modules))
    for name, maps in iter_maps(job.files, job.dataset, engine, sample, on_progress):
        write_maps(job.place, {name: maps})
        made[name] = maps
    return made


class Layers(NamedTuple):
    """What a worker is told once."""

    workspace: Path
    dataset_id: str
    settings: IndexConfig
    index_id: str
    sample: StatisticsSample


class LayersWorker:
    """Makes maps of some modules at a time, in a process of its own; loads the model once."""

    def __init__(self, told: Layers, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._told = told
        self._job: IndexJob | None = None

    def make(self, names: Sequence[str]) -> Made:
        """Make the maps of modules."""
        try:
            job = self._job = self._job or self._planned()
            chosen = [module for module in job.engine.modules if module.name in names]
            _make(job, self._told.sample, chosen, no_progress)
        except LorifError as error:
            return Made(refusal=Refusal.of(error))
        return Made()

    def _planned(self) -> IndexJob:
        told, files = self._told, open_files(self._told.workspace)
        settings = replace(told.settings, model=replace(told.settings.model, device="auto"))
        engine = build_engine(load_model(settings.model), settings)
        job = plan_index(files, files.catalog.dataset(told.dataset_id), settings, engine)
        if job.index_id != told.index_id:
            raise ArtefactError(
                f"a worker plans index {job.index_id!r} from the settings of {told.index_id!r}: install the same "
                "version of LoRIF Studio on every machine, and give `--f` and `--precision`."
            )
        return job


def _make_with(job: IndexJob, sample: StatisticsSample, workers: WorkersConfig, on_progress: ProgressSink) -> None:
    # Decided here: a worker that is timed beside others could choose another precision.
    decided = replace(job.settings.model, precision=job.engine.precision or "float32")
    settings = replace(job.settings, model=decided)
    told = Layers(job.files.root.resolve(), job.dataset.dataset_id, settings, job.index_id, sample)
    uses_gpus = job.settings.model.device != "cpu"
    make = partial(LayersWorker, told)
    with ray_pool(workers, make, num_cores=num_cores(), uses_gpus=uses_gpus) as pool:
        _hand_out(pool, _groups(_missing(job), pool.num_workers), on_progress)


def _groups(modules: Sequence[ModuleShape], count: int) -> list[tuple[str, ...]]:
    """Consecutive modules in no more groups than there are workers, each of about as many moments."""
    largest = max(map(moments_bytes, families(modules)))
    return [
        tuple(module.name for module in group)
        for group in layer_groups(modules, moments_bytes(modules) // count + largest)
    ]


def _hand_out(pool: RayPool, groups: Sequence[tuple[str, ...]], on_progress: ProgressSink) -> None:
    waiting, idle, left, deaths = deque(groups), list(range(pool.num_workers)), len(groups), 0
    total = sum(map(len, groups))
    done = 0
    while left:
        while idle and waiting:
            pool.call(idle.pop(0), "make", waiting.popleft())
        on_progress("statistics", done, total)
        for ended in pool.wait(WAIT_S):
            idle.append(ended.worker)
            (names,) = ended.arguments
            if ended.lost is None:
                made: Made = ended.result
                if made.refusal is not None:
                    made.refusal.raise_here()
                left, done = left - 1, done + len(names)
                continue
            waiting.append(names)
            deaths += 1
            if deaths >= MOST_DEATHS:
                raise ResourceError(
                    f"workers die when they take statistics ({ended.lost}): most likely their memory does not "
                    "suffice. Use fewer `--workers` or a smaller `--tokens-per-batch`; what is finished is kept."
                )
    on_progress("statistics", total, total)
