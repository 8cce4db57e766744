"""Questions that were asked: kept with their answers, so that one can be opened again without a model.

The top lists go to the catalog, the score of every example to a file (``kept_scores``).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from lorif_core.catalog import HitRecord, IndexRecord, QueryRecord
from lorif_core.config import ScoreConfig
from lorif_core.files import fingerprint_of_value
from lorif_core.views.hits import Hit, TokenPart
from lorif_core.workspace.actor import current_actor
from lorif_core.workspace.answers import Answer
from lorif_core.workspace.files import WorkspaceFiles
from lorif_core.workspace.questions import Question


def fingerprint_of_question(index: IndexRecord, question: Question, settings: ScoreConfig) -> str:
    """Hash of everything that decides an answer but for the length of its lists."""
    return fingerprint_of_value([index.index_id, index.fingerprint, asdict(question), asdict(settings)])


def remember(
    files: WorkspaceFiles,
    answer: Answer,
    fingerprint: str,
    settings: ScoreConfig,
    k: int,
    opposing: int,
    actor: str | None = None,
) -> Answer:
    """Keep an answer in the catalog, as asked by the actor or whoever runs this; the answer with its query id."""
    question = answer.question
    record = QueryRecord(
        query_id="",
        fingerprint=fingerprint,
        index_id=answer.index_id,
        dataset_id=files.catalog.index(answer.index_id).dataset_id,
        prompt=question.prompt,
        completion=question.completion,
        contrast=question.contrast,
        tokens_json=None if question.tokens is None else json.dumps(question.tokens),
        objective=answer.objective,
        normalisation=settings.normalisation,
        settings_json=json.dumps(asdict(settings)),
        objective_value=answer.objective_value,
        num_scored=answer.num_scored,
        positive_total=answer.positive_total,
        k=k,
        num_opposing=opposing,
        elapsed_s=answer.elapsed_s,
        plans_json=json.dumps(answer.plans),
        asked_by=actor or current_actor(),
    )
    hits = [_hit_record(hit, "supports") for hit in answer.supports]
    hits += [_hit_record(hit, "opposes") for hit in answer.opposes]
    return replace(answer, query_id=files.catalog.put_query(record, hits).query_id)


def _hit_record(hit: Hit, side: str) -> HitRecord:
    return HitRecord(
        hit_id="",
        query_id="",
        side=side,
        rank=hit.rank,
        train_id=hit.train_id,
        score=hit.score,
        tokens_json=json.dumps([[token.text, token.part] for token in hit.tokens], ensure_ascii=False),
    )


def find_answer(files: WorkspaceFiles, fingerprint: str, k: int, opposing: int) -> Answer | None:
    """The kept answer to a question, if its lists are long enough and its scores are still there."""
    known = files.catalog.queries(fingerprint=fingerprint)
    if (
        not known
        or known[0].k < k
        or known[0].num_opposing < opposing
        or not files.scores_file(fingerprint).is_file()
    ):
        return None
    return reopen(files, known[0].query_id, k=k, num_opposing=opposing)


def lengths_to_keep(files: WorkspaceFiles, fingerprint: str, k: int, num_opposing: int) -> tuple[int, int]:
    """Lengths of both lists of a question that is asked anew: never shorter than what was kept of it."""
    known = files.catalog.queries(fingerprint=fingerprint)
    return max([k, *(query.k for query in known)]), max([num_opposing, *(query.num_opposing for query in known)])


def shortened(answer: Answer, k: int, num_opposing: int) -> Answer:
    """The answer with lists of at most these lengths."""
    supports = answer.supports[:k]
    shown = sum(hit.score for hit in supports)
    share = shown / answer.positive_total if answer.positive_total > 0 else 0.0
    return replace(answer, supports=supports, opposes=answer.opposes[:num_opposing], positive_share=share)


def reopen(files: WorkspaceFiles, query_id: str, *, k: int | None = None, num_opposing: int | None = None) -> Answer:
    """The answer of a question that was asked, read back; no model is needed.

    Args:
        files: The workspace.
        query_id: As ``ws.queries()`` lists them.
        k: Shorten the supporting list.
        num_opposing: Shorten the opposing list.

    Raises:
        CatalogError: There is no such question.
    """
    record = files.catalog.query(query_id)
    found = files.catalog.hits(query_id=query_id)
    supports = _read_hits(files, record, [hit for hit in found if hit.side == "supports"][:k])
    opposes = _read_hits(files, record, [hit for hit in found if hit.side == "opposes"][:num_opposing])
    shown = sum(hit.score for hit in supports)
    return Answer(
        question=question_of(record),
        index_id=record.index_id,
        objective=record.objective,
        objective_value=record.objective_value,
        supports=supports,
        opposes=opposes,
        num_scored=record.num_scored,
        elapsed_s=record.elapsed_s,
        plans=json.loads(record.plans_json),
        positive_total=record.positive_total,
        positive_share=shown / record.positive_total if record.positive_total > 0 else 0.0,
        query_id=query_id,
        is_kept=True,
    )


def question_of(record: QueryRecord) -> Question:
    """The question as it was asked."""
    tokens = None if record.tokens_json is None else tuple(json.loads(record.tokens_json))
    return Question(record.prompt, record.completion, record.contrast, tokens)


def settings_of(record: QueryRecord) -> ScoreConfig:
    """The scoring settings of a kept question."""
    return ScoreConfig(**json.loads(record.settings_json))


def _read_hits(files: WorkspaceFiles, record: QueryRecord, hits: Sequence[HitRecord]) -> list[Hit]:
    table = files.examples(record.dataset_id)
    rows = table.rows_of([hit.train_id for hit in hits])
    examples, values = table.examples_at(rows), table.values_at(rows)
    return [
        Hit(
            rank=hit.rank,
            train_id=hit.train_id,
            score=hit.score,
            text=example.plain_text,
            metadata={name: row[name] for name in table.metadata_columns},
            tokens=tuple(TokenPart(text, part) for text, part in json.loads(hit.tokens_json)),
        )
        for hit, example, row in zip(hits, examples, values, strict=True)
    ]
