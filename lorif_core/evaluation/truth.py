"""Ground truth by retraining: which texts a model saw, and the loss of every query after that.

Every subset starts from the same weights and writes one small file when it is done, so a run
that was stopped, killed or cut off goes on where it was and ends with the same numbers. The
folder names what it was made for; another recipe, other texts or other subsets are refused.

    plan.json           recipe, device and the fingerprint of all inputs
    texts.json          token ids and targets of train examples and queries
    masks.npz           the subsets
    subset-0007.npz     losses of the queries after training on subset 7
"""

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.errors import ConfigError, DataError, FingerprintMismatch, LorifError
from lorif_core.evaluation.recipe import recipe_from_dict
from lorif_core.evaluation.retraining import (
    OnProgress,
    RetrainingStopped,
    ShouldStop,
    load_start,
    restored,
    seed_of,
)
from lorif_core.evaluation.stop_at import StopAt
from lorif_core.evaluation.trial import Trial
from lorif_core.files import BLANK_SEAL, check_file, fingerprint_of_value, read_json, replace_sealed, write_json
from lorif_core.plain_files import refuse_large_archive
from lorif_core.shapes import Bool, Float
from lorif_core.system_failures import refuse_if_of_the_machine

STAGE = "retraining"
POLL_S = 0.2
EXPECTED_FAILURE = 2  # exit code of a worker that printed one sentence


@dataclass(frozen=True)
class GroundTruth:
    """What was really measured by retraining."""

    masks: Bool[Tensor, "S N"]
    """Which train examples each subset holds, in the order of the data set."""

    losses: Float[Tensor, "S Q"]
    """Summed cross-entropy in nats of each query after training on each subset."""

    planned: int | None = None
    """Subsets that were to be trained on, where retraining ended before; None: these."""

    @property
    def planned_subsets(self) -> int:
        """S, or how many there are to be."""
        return len(self.masks) if self.planned is None else self.planned

    def save(self, path: Path) -> None:
        """Write ``masks``, ``losses`` and ``planned_subsets`` into an .npz file, atomically."""
        planned = torch.tensor(self.planned_subsets)
        _write_npz(path, masks=self.masks, losses=self.losses, planned_subsets=planned)


def load_truth(path: Path) -> GroundTruth:
    """A ground truth from an .npz file with ``masks`` (S, N) bool and ``losses`` (S, Q), in nats.

    One of part of the subsets says in ``planned_subsets`` how many there were to be.

    Raises:
        DataError: The file is missing or damaged, an array is missing, of another type or shape, or not finite.
    """
    arrays = _read_npz(path, ("masks", "losses"), optional=("planned_subsets",))
    masks, losses = arrays["masks"], arrays["losses"]
    if masks.dtype != np.bool_ or masks.ndim != 2:
        raise DataError(
            f"masks in {str(path)!r} must be true or false of shape (subsets, train examples), got {masks.dtype} "
            f"{masks.shape}. Write it again."
        )
    if losses.dtype not in (np.float32, np.float64) or losses.ndim != 2 or len(losses) != len(masks):
        raise DataError(
            f"losses in {str(path)!r} must be float32 or float64 of shape ({len(masks)} subsets, queries), got "
            f"{losses.dtype} {losses.shape}. Write it again."
        )
    if losses.size == 0 or masks.size == 0:
        raise DataError(f"{str(path)!r} must hold a subset, a train example and a query, got none. Write it again.")
    if not np.isfinite(losses).all():
        raise DataError(f"losses in {str(path)!r} must be finite, {(~np.isfinite(losses)).sum()} are not: retrain.")
    planned = arrays.get("planned_subsets", np.array(len(masks)))
    if planned.shape != () or not np.issubdtype(planned.dtype, np.integer) or planned < len(masks):
        raise DataError(f"planned_subsets in {str(path)!r} must be a number from {len(masks)} on, got {planned}.")
    return GroundTruth(torch.from_numpy(masks), torch.from_numpy(losses.astype(np.float64)), int(planned))


def build_truth(
    trial: Trial,
    masks: Bool[Tensor, "S N"],
    folder: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    stop_at: StopAt | None = None,
) -> GroundTruth:
    """Train the starting model on every subset and record each query's loss; finished subsets are not repeated.

    With several workers, each is a process with one torch thread that loads the checkpoint itself,
    which takes some seconds but keeps a CPU's cores busier than threads do on a small model. Results
    with different numbers of threads agree to rounding, carried through the training.

    Args:
        trial: What is trained and asked; the weights of its start are put back at the end.
        masks: The subsets.
        folder: Where finished subsets are kept; made if it is missing.
        device: Where the workers train; the trial's start stays where it is.
        workers: Processes; 1 trains in this one.
        on_progress: Called with ("retraining", subsets done, S).
        should_stop: Asked before every step.
        stop_at: When to take what is finished for the truth; a subset in the middle of its training is given up.

    Raises:
        ConfigError: ``workers`` is below 1.
        DataError: The masks do not fit the examples, or there is no query.
        FingerprintMismatch: The folder holds the work of other inputs.
        NumericalError: A training diverged.
        RetrainingStopped: ``should_stop`` said so, or nothing was finished by ``stop_at``; the finished subsets stay
            in ``folder``.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}.")
    if masks.ndim != 2 or masks.dtype != torch.bool or masks.shape[1] != len(trial.examples) or not len(masks):
        raise DataError(
            f"masks must be true or false of shape (subsets, {len(trial.examples)} train examples), got "
            f"{masks.dtype} {tuple(masks.shape)}."
        )
    if not trial.queries:
        raise DataError("ground truth needs at least one query, got none.")
    report = on_progress or (lambda stage, done, total: None)
    _prepare_folder(folder, trial, masks, device)
    is_due = _due(folder, stop_at)
    missing = [] if is_due() else _missing_subsets(folder, len(masks))
    report(STAGE, len(list(_finished(folder))), len(masks))
    try:
        ends = _either(is_due, should_stop)
        if missing and workers == 1:
            _train_subsets(trial, masks, folder, missing, report, ends)
        elif missing:
            _run_workers(folder, len(masks), min(workers, len(missing)), report, ends)
    except RetrainingStopped:
        if not is_due():
            raise
    return _truth_so_far(folder, masks, len(trial.queries))


def _due(folder: Path, stop_at: StopAt | None) -> ShouldStop:
    """Whether it is time to take what is finished."""
    if stop_at is None:
        return lambda: False
    if stop_at.seconds is None:
        return lambda: len(list(_finished(folder))) >= (stop_at.subsets or 0)
    end = time.monotonic() + stop_at.seconds
    return lambda: time.monotonic() >= end


def _either(one: ShouldStop, other: ShouldStop | None) -> ShouldStop:
    return lambda: one() or (other is not None and other())


def _truth_so_far(folder: Path, masks: Tensor, num_queries: int) -> GroundTruth:
    """Of the finished subsets."""
    missing = set(_missing_subsets(folder, len(masks)))
    finished = [subset for subset in range(len(masks)) if subset not in missing]
    if not finished:
        raise RetrainingStopped(
            f"none of {len(masks)} subsets was finished, and a ground truth needs one: stop later. What was begun is "
            "trained again then."
        )
    losses = [_read_losses(folder, subset, num_queries) for subset in finished]
    return GroundTruth(masks[finished], torch.stack(losses), len(masks))


def work(folder: Path, worker: int, workers: int) -> None:
    """Train every ``workers``-th missing subset of a prepared folder, starting with number ``worker``."""
    torch.set_num_threads(1)
    plan = read_json(folder / "plan.json", "recipe", "device")
    recipe = recipe_from_dict(plan["recipe"])
    texts = read_json(folder / "texts.json", "examples", "queries")
    examples, queries = _decode_texts(texts["examples"]), [EncodedExample(**query) for query in texts["queries"]]
    masks = torch.from_numpy(_read_npz(folder / "masks.npz", ("masks",))["masks"])
    trial = Trial(load_start(recipe, device=plan["device"]), examples, queries, recipe)
    mine = [subset for subset in range(worker, len(masks), workers) if not _subset_file(folder, subset).exists()]
    _train_subsets(trial, masks, folder, mine, lambda *_: None, None)


def _train_subsets(
    trial: Trial,
    masks: Tensor,
    folder: Path,
    missing: Sequence[int],
    report: OnProgress,
    should_stop: ShouldStop | None,
) -> None:
    with restored(trial.start.model) as restore:
        for done, subset in enumerate(missing, start=len(masks) - len(missing) + 1):
            restore()
            rows = masks[subset].nonzero().squeeze(1).tolist()
            trial.train_on(rows, seed=seed_of(trial.recipe.seed, subset), should_stop=should_stop)
            _write_npz(_subset_file(folder, subset), losses=trial.losses())
            report(STAGE, done, len(masks))


def _run_workers(
    folder: Path, num_subsets: int, workers: int, report: OnProgress, should_stop: ShouldStop | None
) -> None:
    # Not multiprocessing: it would import this process's main script again, such as a Streamlit page.
    with _running(folder, workers) as processes:
        done = -1
        while any(process.poll() is None for process in processes):
            if should_stop is not None and should_stop():
                raise RetrainingStopped(f"retraining was stopped after {max(done, 0)} of {num_subsets} subsets.")
            _raise_failures(folder, processes)
            now = num_subsets - len(_missing_subsets(folder, num_subsets))
            if now != done:
                done = now
                report(STAGE, done, num_subsets)
            time.sleep(POLL_S)
        _raise_failures(folder, processes)
    report(STAGE, num_subsets, num_subsets)


@contextmanager
def _running(folder: Path, workers: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes that end with the block, whatever happens in it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for worker in range(workers):
            command = [
                sys.executable,
                "-m",
                "lorif_core.evaluation.retrain_process",
                str(folder),
                str(worker),
                str(workers),
            ]
            with _log_file(folder, worker).open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _raise_failures(folder: Path, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker, process in enumerate(processes):
        if process.poll():
            said = _log_file(folder, worker).read_text(encoding="utf-8", errors="replace").strip()
            if process.returncode == EXPECTED_FAILURE:
                raise LorifError(said.splitlines()[-1])
            raise RuntimeError(f"retraining worker {worker} ended with code {process.returncode}:\n{said}")


def _log_file(folder: Path, worker: int) -> Path:
    return folder / f"worker-{worker}.log"


def _prepare_folder(folder: Path, trial: Trial, masks: Tensor, device: str) -> None:
    """Write the plan into an empty folder, or check that the one that is there is the same."""
    texts = {"examples": _encode_texts(trial.examples), "queries": _encode_texts(trial.queries)}
    settings = asdict(trial.recipe)
    # A path may move, and a recipe without windows is what it was before there were any.
    decisive = {n: v for n, v in settings.items() if n != "checkpoint" and (n, v) != ("stride", None)}
    fingerprint = fingerprint_of_value(
        [trial.start.fingerprint, decisive, texts, [row.nonzero().squeeze(1).tolist() for row in masks]]
    )
    plan_file = folder / "plan.json"
    if plan_file.exists() and read_json(plan_file).get("fingerprint") != fingerprint:
        raise FingerprintMismatch(
            f"{str(folder)!r} holds retraining runs of another recipe, checkpoint, texts or subsets: go on with "
            "those that it was made for, or choose an empty folder."
        )
    if not plan_file.exists() and any(_finished(folder)):
        raise FingerprintMismatch(
            f"{str(folder)!r} holds retraining runs without their plan: choose an empty folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "texts.json", texts)
    _write_npz(folder / "masks.npz", masks=masks)
    write_json(plan_file, {"fingerprint": fingerprint, "recipe": settings, "device": device})


def _finished(folder: Path) -> Iterable[Path]:
    return folder.glob("subset-*.npz")


def _missing_subsets(folder: Path, num_subsets: int) -> list[int]:
    return [subset for subset in range(num_subsets) if not _subset_file(folder, subset).exists()]


def _subset_file(folder: Path, subset: int) -> Path:
    return folder / f"subset-{subset:04d}.npz"


def _read_losses(folder: Path, subset: int, num_queries: int) -> Tensor:
    path = _subset_file(folder, subset)
    losses = _read_npz(path, ("losses",))["losses"]
    if losses.shape != (num_queries,) or losses.dtype != np.float64 or not np.isfinite(losses).all():
        raise DataError(f"{str(path)!r} must hold {num_queries} finite losses: delete it and run again.")
    return torch.from_numpy(losses)


def _encode_texts(texts: Sequence[EncodedText]) -> list[Any]:
    """Of a text of one sequence an object, of one of several a list of them; without what is as by default."""
    defaults = EncodedExample._field_defaults
    rows = [
        [
            {n: v for n, v in one._asdict().items() if n not in defaults or v != defaults[n]}
            for one in sequences_of(text)
        ]
        for text in texts
    ]
    return [sequences[0] if len(sequences) == 1 else sequences for sequences in rows]


def _decode_texts(values: Sequence[Any]) -> list[EncodedText]:
    return [
        EncodedExample(**value) if isinstance(value, dict) else tuple(EncodedExample(**one) for one in value)
        for value in values
    ]


def _write_npz(path: Path, **arrays: Tensor) -> None:
    values: dict[str, Any] = {name: array.numpy() for name, array in arrays.items()}
    with replace_sealed(path) as partial:
        with partial.open("wb") as handle:  # by handle: savez would add a suffix
            np.savez_compressed(handle, **values)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.comment = BLANK_SEAL.encode()


def _read_npz(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    try:
        refuse_large_archive(path)
        check_file(path, remedy="Delete it and run the same command again; what is missing is made again.")
        with np.load(path, allow_pickle=False) as arrays:
            absent = [name for name in names if name not in arrays]
            if not absent:
                return {name: arrays[name] for name in (*names, *optional) if name in arrays}
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        refuse_if_of_the_machine(error, path)
        raise DataError(
            f"{str(path)!r} cannot be read as an .npz file ({type(error).__name__}): check the path, or write "
            "it again."
        ) from error
    raise DataError(f"{str(path)!r} must hold the arrays {', '.join(names)}, {', '.join(absent)} is not there.")
