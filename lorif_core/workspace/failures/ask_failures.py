"""Ask every failure of a file at once: in few passes over the index, kept, and taken up where it was stopped."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from lorif_core.config import ScoreConfig
from lorif_core.data.failure_rows import FailureRow
from lorif_core.data.read_failures import FailuresFound
from lorif_core.errors import ConfigError, DataError
from lorif_core.files import checksum_of_file, fingerprint_of_value
from lorif_core.passes.queries import Query
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.query_limits import USUAL_LIMITS
from lorif_core.workspace.asking.query_passes import score_in_passes
from lorif_core.workspace.asking.question import Form, Question
from lorif_core.workspace.asking.scanner import Scanner, TakeScores
from lorif_core.workspace.asking.usual_form import usual_form
from lorif_core.workspace.asking.value_file import check_adds_nats
from lorif_core.workspace.failures.failure_folder import FOLDER, AskedFailure, FailureFolder, KeptPasses, PassWriter
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.linked_members import members_fingerprint
from lorif_core.workspace.indexes.open_index import OpenIndex

QUESTIONS_PER_FILE = 32
"""Questions that are asked before their scores are kept: what a stopped job loses at most."""

SETTINGS = ScoreConfig(objective="loss", normalisation="none")
"""Influences in nats, which can be added up."""

RAW: Form = "raw"


def ask_failures(
    files: WorkspaceFiles,
    index: OpenIndex,
    path: Path,
    found: FailuresFound,
    *,
    scanner: Scanner,
    on_progress: ProgressSink = no_progress,
) -> FailureFolder:
    """Score all texts on every failure of a file.

    Args:
        files: The workspace.
        index: What is asked.
        path: The file.
        found: What it holds, some failures among it.
        scanner: Who scans the index.
        on_progress: Receives ("queries", captured, all) and ("scores", scores done, all), over all questions.

    Returns:
        What is kept of it; the same file asked of the same index again is not asked again.

    Raises:
        ArtefactError: Something of the index cannot be read.
        ConfigError: The index gives no nats, or has no model.
        DataError: The index's model can read none of the failures.
    """
    check_adds_nats(index, SETTINGS)
    if index.losses is not None:
        raise ConfigError(
            f"index {index.index_id} is one of losses, which is asked by `lorif value`. Name another one."
        )
    asked, queries, left_out = _encoded(index, found.failures)
    record = files.catalog.index(index.index_id)
    members = members_fingerprint(files, record)
    identity = [index.index_id, record.fingerprint, members, [_identity_of(one) for one in asked]]
    folder = FailureFolder(files.root / FOLDER / fingerprint_of_value(identity)[:16])
    folder.begin(
        {
            "index_id": index.index_id,
            "dataset_id": record.dataset_id,
            "file": path.name,
            "checksum": checksum_of_file(path),
            "read": found.to_dict() | {"skipped": found.skipped_by_reason, "left_out": left_out},
        },
        asked,
    )
    _score(index, folder, queries, scanner, on_progress)
    folder.texts()
    return folder


def question_of(asked: AskedFailure, index_id: str | None = None, *, actor: str | None = None) -> Question:
    """A failure as a question of its own."""
    return Question(
        prompt=asked.prompt,
        completion=asked.completion,
        form=cast("Form | None", asked.form),
        system=asked.system,
        messages=asked.messages,
        index_id=index_id,
        actor=actor,
    )


def _identity_of(asked: AskedFailure) -> list[object]:
    return [asked.line, asked.prompt, asked.completion, asked.system, list(asked.messages), asked.form]


def _encoded(
    index: OpenIndex, rows: list[FailureRow]
) -> tuple[list[AskedFailure], list[Query], list[dict[str, object]]]:
    """The failures as the index's model reads them; those that it cannot read, with the reason."""
    usual, asked, queries = usual_form(index.examples), list[AskedFailure](), list[Query]()
    left_out: list[dict[str, object]] = []
    for row in rows:
        is_chat = row.system is not None or bool(row.messages)
        form: Form = RAW if row.is_raw else "chat" if is_chat else usual
        one = AskedFailure(
            f"r{row.line}",
            row.line,
            row.prompt,
            row.completion,
            row.expected,
            row.why,
            row.system,
            row.messages,
            form,
        )
        try:
            queries.append(encode_question(question_of(one), index.engine.loaded, one.question_id).query)
            asked.append(one)
        except DataError as error:
            left_out.append({"line": row.line, "reason": str(error)})
    if not asked:
        raise DataError(f"the index's model can read none of the {len(rows):,} failures: {left_out[0]['reason']}")
    return asked, queries, left_out


def _score(
    index: OpenIndex, folder: FailureFolder, queries: list[Query], scanner: Scanner, on_progress: ProgressSink
) -> None:
    total_texts = index.reader.manifest.num_examples
    while (first := folder.num_done()) < len(queries):
        some = queries[first : first + QUESTIONS_PER_FILE]

        def report(stage: str, done: int, total: int, first: int = first) -> None:
            before, whole = (first * total_texts, total_texts) if stage == "scores" else (first, 1)
            on_progress(stage, before + done, len(queries) * whole)

        with KeptPasses(folder, first, total_texts) as kept:

            def begin(rows: slice, kept: KeptPasses = kept) -> TakeScores:
                return _taking(kept.begin(rows))

            score_in_passes(
                index, some, SETTINGS, USUAL_LIMITS, scanner=scanner, begin_pass=begin, on_progress=report
            )


def _taking(writer: PassWriter) -> TakeScores:
    def take(start: int, scores: Tensor) -> None:
        writer.take(start, scores.to(torch.float32).cpu().numpy())

    return take
