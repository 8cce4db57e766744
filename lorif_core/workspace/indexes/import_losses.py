"""Make an index of a table of losses: no model is loaded, now or when it is asked."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from lorif_core.catalog import DatasetRecord, IndexRecord, ModelRecord
from lorif_core.config import Codec, ModelConfig
from lorif_core.data.loss_table import LossTable, read_loss_table
from lorif_core.errors import ConfigError, DataError
from lorif_core.files import fingerprint_of_value, start_hash
from lorif_core.methods.method_settings import DaunceConfig, IndexConfig
from lorif_core.methods.registry import REFERENCES
from lorif_core.store.manifest import is_begun
from lorif_core.store.parts import ShardFacts
from lorif_core.store.plan import Parents, read_plan
from lorif_core.workspace.folder.index_losses import IndexLosses, KeptQuestion, LossModel
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.loss_index import LossJob, LossRun, loss_plan, write_loss_index

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_NAMED = 3
HASHED_ROWS = 1 << 16


@dataclass(frozen=True)
class ImportedLosses:
    """What an import of losses made."""

    record: IndexRecord
    num_models: int
    num_left_out: int
    """Texts that lacked a loss."""

    question_ids: tuple[str, ...]
    """Ids of the table that are no texts of the data set."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self)


def import_losses(
    files: WorkspaceFiles,
    dataset: DatasetRecord,
    path: Path,
    name: str,
    *,
    codec: Codec,
    leaves_out: bool,
    on_progress: ProgressSink,
) -> ImportedLosses:
    """Read a table of losses and make an index of it, which takes the given name as its id.

    Nothing is written before the whole table was read and is in order.

    Args:
        files: The workspace.
        dataset: Whose texts the table is about.
        path: See ``data.loss_table``.
        name: Of the index. The same name with the same losses of the texts replaces the questions.
        codec: How a stored loss is encoded.
        leaves_out: Whether texts that lack a loss are stored as zero; else they are refused.
        on_progress: Receives ("losses", texts written, all).

    Raises:
        RoleError: The person is a viewer.
        ConfigError: The name cannot be an index's, or is another one's.
        DataError: The table is not in order; names the first row that is not.
    """
    require_curator(files, "import losses")
    _check_name(name)
    examples = files.examples(dataset.dataset_id)
    with TemporaryDirectory(prefix="lorif-losses-") as scratch:
        table = read_loss_table(path, examples, Path(scratch))
        num_left_out = int(table.lacking.sum())
        if num_left_out and not leaves_out:
            raise DataError(_lacking_sentence(table, examples.examples_at(_first_lacking(table))[0].train_id))
        job = _job(files, dataset, table, name, codec)
        _refuse_other(job)
        kept = IndexLosses(
            tuple(LossModel(one, None, None) for one in table.models),
            None,
            tuple(KeptQuestion(*one) for one in table.questions),
            num_left_out,
        )
        record = write_loss_index(job, kept, lambda rows: _run_of(job, table, rows), on_progress)
    ids = tuple(one.question_id for one in table.questions)
    return ImportedLosses(record, len(table.models), num_left_out, ids)


def _job(files: WorkspaceFiles, dataset: DatasetRecord, table: LossTable, name: str, codec: Codec) -> LossJob:
    method = DaunceConfig(models=table.models, codec=codec)
    parents = Parents(dataset.fingerprint, fingerprint_of_table(table), "")
    told = f"imported losses of {len(table.models)} models"
    model = ModelRecord(
        model_id=f"lm-{parents.model[:12]}",
        name=told,
        fingerprint=parents.model,
        tokenizer_fingerprint="",
        architecture="losses",
        num_parameters=0,
    )
    settings = IndexConfig(model=ModelConfig(model=told), method=method)
    return LossJob(
        files, dataset, settings, name, model, loss_plan(dataset.num_examples, table.models, codec, parents)
    )


def fingerprint_of_table(table: LossTable) -> str:
    """Of the texts' losses, row by row; the questions decide no stored number."""
    digest = start_hash()
    for start in range(0, len(table.values), HASHED_ROWS):
        digest.update(np.ascontiguousarray(table.values[start : start + HASHED_ROWS]).data)
    return fingerprint_of_value([list(table.models), digest.hexdigest()])


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name in REFERENCES:
        raise ConfigError(
            f"the name of an index has letters, digits, dots, dashes and underscores, at most 64, and is none of "
            f"{', '.join(REFERENCES)}; got {name!r}. Choose another `--name`."
        )


def _refuse_other(job: LossJob) -> None:
    """Refuse a name that stands for other numbers already."""
    if not is_begun(job.place) and not any(one.index_id == job.index_id for one in job.files.catalog.indexes()):
        return
    if not is_begun(job.place) or read_plan(job.place) != job.plan:
        raise ConfigError(
            f"an index keeps its losses, and {job.index_id!r} is there already with others: only questions can be "
            "replaced. Choose another `--name`."
        )


def _first_lacking(table: LossTable) -> list[int]:
    return [int(table.lacking.argmax())]


def _lacking_sentence(table: LossTable, train_id: str) -> str:
    (row,) = _first_lacking(table)
    model = table.models[int(np.isnan(table.values[row]).argmax())]
    count, whole = int(table.lacking.sum()), len(table.values)
    lack = "text lacks" if count == 1 else "texts lack"
    return (
        f"every text needs a loss under each of the {len(table.models)} models, and {count:,} of {whole:,} {lack} "
        f"one, such as {train_id!r} under {model!r}. Add what is missing, or pass `--leave-out`: such texts never "
        "come up then, and answers say how many they are."
    )


def _run_of(job: LossJob, table: LossTable, rows: range) -> LossRun:
    """Texts that lack a loss have none at all."""
    values = torch.from_numpy(np.array(table.values[rows.start : rows.stop]))
    lacking = values.isnan().any(1)
    values[lacking] = 0.0
    ids = [one.train_id for one in job.files.examples(job.dataset.dataset_id).iter_examples(rows.start, rows.stop)]
    failed = {ids[row]: "the table lacks a loss of it" for row in lacking.nonzero().flatten().tolist()}
    facts = ShardFacts(num_truncated=0, num_without_targets=0, kept_energy=[], total_energy=[])
    return LossRun(values, torch.zeros(len(rows), dtype=torch.int32), failed, facts)
