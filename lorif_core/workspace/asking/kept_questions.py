"""Questions that were asked: kept with their answers, so that one can be opened again without a model.

The top lists go to the catalog, the score of every example to a file (``kept_scores``).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from lorif_core.catalog import HitRecord, IndexRecord, QueryRecord
from lorif_core.config import MODEL_REFINEMENT, ScoreConfig
from lorif_core.corpus.verbatim import Wording
from lorif_core.files import fingerprint_of_value
from lorif_core.metrics.score_spread import ScoreSpread
from lorif_core.settings_json import settings_from_json, settings_to_json
from lorif_core.views.hits import Hit, TokenPart, asked_of
from lorif_core.views.search_report import FastSearch
from lorif_core.views.verbatim_of_hit import verbatim_of
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.conventions import (
    AS_SAID,
    BESIDE,
    CONVENTION,
    UNIT,
    explains_an_end_token,
    is_of_0_1,
    joined_notes,
    members_told,
    objective_value_of,
    unit_of,
    weights_note,
)
from lorif_core.workspace.asking.question import Question, Spoken
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.kept_scores import FAST, SAID, is_of_a_fast_search, search_of
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.linked_members import members_fingerprint
from lorif_core.workspace.indexes.model_share import share_sentence

UNIT_OF_0_1 = (
    "unit as version 0.1 took it: divided by Euclidean norms, so a text against itself is not 1; ask again for the "
    "method's own metric"
)

WITH_END_TOKEN = (
    "kept when an end token was put behind every completion and explained, too; ask again for the completion alone"
)


def fingerprint_of_question(files: WorkspaceFiles, index: IndexRecord, question: Question) -> str:
    """Hash of everything that decides an answer but for the length of its lists.

    Raises:
        LorifError: A further member of the index is missing, or does not fit.
    """
    asked = {name: getattr(question, name) for name in ("prompt", "completion", "contrast", "tokens")}
    whole = [index.index_id, index.fingerprint, asked, _as_put(question), _decisive(question.scoring), AS_SAID]
    whole += ["fast"] if question.search == "fast" else []  # never takes the place of an exact answer
    members = members_fingerprint(files, index)
    return fingerprint_of_value(whole if members is None else [*whole, members])


def _decisive(settings: ScoreConfig) -> dict[str, Any]:
    """The settings that decide an answer; those of a refinement by the model only where it refines."""
    given = asdict(settings)
    return given if settings.refine_by == "model" else {k: v for k, v in given.items() if k not in MODEL_REFINEMENT}


def _as_put(question: Question) -> dict[str, Any]:
    """How a question was put, besides its texts, as JSON-serialisable values."""
    return {
        "ids": None if question.spoken is None else list(question.spoken.ids),
        "num_prompt_tokens": None if question.spoken is None else question.spoken.num_prompt_tokens,
        "ends": question.ends,
        "form": question.form,
        "system": question.system,
        "messages": list(question.messages),
        # Left out where there are none, so that all other questions keep their fingerprints.
        **({} if question.losses is None else {"losses": dict(question.losses), "question_id": question.question_id}),
    }


def remember(files: WorkspaceFiles, answer: Answer, fingerprint: str) -> Answer:
    """Keep an answer in the catalog; the answer with its query id."""
    question, settings = answer.question, answer.question.scoring
    record = QueryRecord(
        query_id="",
        fingerprint=fingerprint,
        index_id=answer.index_id,
        dataset_id=files.catalog.index(answer.index_id).dataset_id,
        prompt=question.prompt,
        completion=question.said,
        contrast=question.contrast,
        tokens_json=None if question.tokens is None else json.dumps(question.tokens),
        objective=answer.objective,
        normalisation=settings.normalisation,
        settings_json=json.dumps(settings_to_json(settings) | _beside(answer)),
        objective_value=answer.objective_value,
        num_scored=answer.num_scored,
        positive_total=answer.positive_total,
        k=question.k,
        num_opposing=question.num_opposing,
        elapsed_s=answer.elapsed_s,
        plans_json=json.dumps(answer.plans),
        asked_by=question.actor or current_actor(),
    )
    hits = [_hit_record(hit, "supports") for hit in answer.supports]
    hits += [_hit_record(hit, "opposes") for hit in answer.opposes]
    return replace(answer, query_id=files.catalog.put_query(record, hits).query_id)


def _beside(answer: Answer) -> dict[str, Any]:
    """What is kept beside a question's settings."""
    found = {
        "prompt_tokens": answer.prompt_tokens,
        "spread": None if answer.spread is None else asdict(answer.spread),
        **({} if answer.members is None else {"members": answer.members}),
        **({} if answer.fast_search is None else {FAST: asdict(answer.fast_search)}),
        **({} if answer.why_exact is None else {"why_exact": answer.why_exact}),
        **({} if answer.refined is None else {"refined": answer.refined}),
    }
    return {CONVENTION: AS_SAID, UNIT: answer.unit, SAID: _as_put(answer.question) | found}


def _hit_record(hit: Hit, side: str) -> HitRecord:
    return HitRecord(
        hit_id="",
        query_id="",
        side=side,
        rank=hit.rank,
        train_id=hit.train_id,
        score=hit.score,
        tokens_json=_tokens_json(hit),
    )


def _tokens_json(hit: Hit) -> str:
    """A hit's tokens with their parts; of a text of several sequences together with the strongest of them."""
    tokens = [[token.text, token.part] for token in hit.tokens]
    kept = tokens if hit.window is None else {"tokens": tokens, "window": hit.window}
    return json.dumps(kept, ensure_ascii=False)


def _read_tokens(kept: str) -> tuple[tuple[TokenPart, ...], tuple[int, int] | None]:
    """Tokens with their parts, and the strongest sequence, as ``_tokens_json`` keeps them."""
    found = json.loads(kept)
    tokens, window = (found, None) if isinstance(found, list) else (found["tokens"], tuple(found["window"]))
    return tuple(TokenPart(text, part) for text, part in tokens), window


def find_answer(files: WorkspaceFiles, fingerprint: str, question: Question) -> Answer | None:
    """The kept answer to a question, if its lists are long enough and its scores are still there.

    A fast search has none; its lists are all that is kept.
    """
    known = files.catalog.queries(fingerprint=fingerprint)
    if (
        not known
        or known[0].k < question.k
        or known[0].num_opposing < question.num_opposing
        or not (is_of_a_fast_search(known[0]) or files.scores_file(fingerprint).is_file())
    ):
        return None
    return shortened(reopen(files, known[0].query_id), question)


def with_kept_lengths(files: WorkspaceFiles, fingerprint: str, question: Question) -> Question:
    """The question with lists that are never shorter than what was kept of it."""
    known = files.catalog.queries(fingerprint=fingerprint)
    longest = max([question.k, *(query.k for query in known)])
    return replace(question, k=longest, num_opposing=max([question.num_opposing, *(q.num_opposing for q in known)]))


def shortened(answer: Answer, question: Question) -> Answer:
    """The answer with lists of at most the lengths that a question asks for."""
    supports = answer.supports[: question.k]
    shown = sum(hit.score for hit in supports)
    share = shown / answer.positive_total if answer.positive_total > 0 else 0.0
    opposes = answer.opposes[: question.num_opposing]
    return replace(answer, question=question, supports=supports, opposes=opposes, positive_share=share)


def reopen(files: WorkspaceFiles, query_id: str) -> Answer:
    """The answer of a question that was asked, read back; no model is needed.

    Args:
        files: The workspace.
        query_id: As ``ws.questions.records()`` lists them.

    Raises:
        CatalogError: There is no such question.
    """
    record = files.catalog.query(query_id)
    found = files.catalog.hits(query_id=query_id)
    said = json.loads(record.settings_json).get(SAID, {})
    spread = ScoreSpread(**said["spread"]) if said.get("spread") else None
    supports = _read_hits(files, record, [hit for hit in found if hit.side == "supports"], spread)
    opposes = _read_hits(files, record, [hit for hit in found if hit.side == "opposes"], spread)
    shown = sum(hit.score for hit in supports)
    return Answer(
        question=question_of(record),
        index_id=record.index_id,
        objective=record.objective,
        objective_value=objective_value_of(record),
        supports=supports,
        opposes=opposes,
        num_scored=record.num_scored,
        elapsed_s=record.elapsed_s,
        plans=json.loads(record.plans_json),
        positive_total=record.positive_total,
        positive_share=shown / record.positive_total if record.positive_total > 0 else 0.0,
        unit=unit_of(record),
        spread=spread,
        prompt_tokens=tuple(said["prompt_tokens"]) if said.get("prompt_tokens") else None,
        query_id=query_id,
        is_kept=True,
        model_share=share_sentence(files, files.catalog.index(record.index_id)),
        members=members_told(record),
        remark=joined_notes(
            _remark(record),
            weights_note(files.examples(record.dataset_id).columns, settings_of(record).normalisation),
        ),
        fast_search=FastSearch(**said[FAST]) if is_of_a_fast_search(record) else None,
        why_exact=said.get("why_exact"),
        refined=said.get("refined"),
    )


def _remark(record: QueryRecord) -> str | None:
    if is_of_0_1(record) and record.normalisation == "unit":
        return UNIT_OF_0_1
    return WITH_END_TOKEN if explains_an_end_token(record) else None


def question_of(record: QueryRecord) -> Question:
    """The question as it was asked."""
    said = json.loads(record.settings_json).get(SAID, {})
    spoken = said.get("ids") and Spoken(record.completion, tuple(said["ids"]), said["num_prompt_tokens"])
    return Question(
        prompt=record.prompt,
        completion=record.completion,
        spoken=spoken or None,
        ends=said.get("ends", explains_an_end_token(record)),
        form=said.get("form"),
        system=said.get("system"),
        messages=tuple(said.get("messages", ())),
        contrast=record.contrast,
        tokens=None if record.tokens_json is None else tuple(json.loads(record.tokens_json)),
        settings=settings_of(record),
        k=max(record.k, 1),  # version 0.1 took 0 from Python
        num_opposing=record.num_opposing,
        search=search_of(record),
        index_id=record.index_id,
        question_id=said.get("question_id"),
        losses=said.get("losses"),
    )


def settings_of(record: QueryRecord) -> ScoreConfig:
    """The scoring settings of a kept question."""
    raw = {name: value for name, value in json.loads(record.settings_json).items() if name not in BESIDE}
    return settings_from_json(ScoreConfig, raw)


def _read_hits(
    files: WorkspaceFiles, record: QueryRecord, hits: Sequence[HitRecord], spread: ScoreSpread | None
) -> list[Hit]:
    table = files.examples(record.dataset_id)
    rows = table.rows_of([hit.train_id for hit in hits])
    examples, values = table.examples_at(rows), table.values_at(rows)
    read, wording = [_read_tokens(hit.tokens_json) for hit in hits], Wording(record.completion)
    return [
        Hit(
            rank=hit.rank,
            train_id=hit.train_id,
            score=hit.score,
            text=example.plain_text,
            metadata={name: row[name] for name in table.metadata_columns},
            tokens=tokens,
            window=window,
            z=None if spread is None else spread.z(hit.score),
            is_noise=spread is not None and spread.is_noise(hit.score),
            verbatim=verbatim_of(example, wording),
            asked=asked_of(example),
        )
        for hit, example, row, (tokens, window) in zip(hits, examples, values, read, strict=True)
    ]
