"""Ask which training texts made the model say something."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.config import Objective
from lorif_core.corpus.verbatim import Wording
from lorif_core.data.examples import Example
from lorif_core.linalg.scores import Plan
from lorif_core.metrics.score_spread import ScoreSpread
from lorif_core.passes.cascade import search_by_cascade
from lorif_core.passes.cascade_plan import Summand
from lorif_core.passes.ranking import Lengths, OnScores
from lorif_core.passes.scoring import ScoringPlan, score_per_product, scores_per_product
from lorif_core.passes.target_parts import join_sequences, split_over_train_targets
from lorif_core.views.hits import Hit, TokenPart, asked_of
from lorif_core.views.search_report import FastSearch, MissingParts
from lorif_core.views.verbatim_of_hit import verbatim_of
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.conventions import joined_notes, weights_note
from lorif_core.workspace.asking.encode_for import encode_for
from lorif_core.workspace.asking.member_plans import capture_members, plan_members
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.asking.readable_tokens import readable_tokens
from lorif_core.workspace.asking.scanner import OWN, Scanner
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.usual_search import told

EXAMPLES_PER_SPLIT = 4


def answer_question(
    index: OpenIndex,
    question: Question,
    *,
    scanner: Scanner = OWN,
    on_scores: OnScores | None = None,
    on_progress: ProgressSink = no_progress,
) -> Answer:
    """Rank the training texts that made the model say the completion.

    Args:
        index: What to ask.
        question: With its completion; its search is fast only where it says so.
        scanner: Who scans the index.
        on_scores: Receives the scores of every shard in store order and what they are without any normalisation,
            both (1, n); nothing of a fast search. None where nobody wants them.
        on_progress: Receives ("gradient", 0 then 1, 1), ("refine", steps done, all) where the model refines the
            question, ("scores", examples done, all), then ("texts", texts of the lists, all).

    Raises:
        ConfigError: The settings do not fit the index or the question.
    """
    started = time.perf_counter()
    settings = question.scoring
    asked = encode_for(index, question)
    with index.held():  # nobody else's turn between the scores and the parts of their tokens
        on_progress("gradient", 0, 1)
        captured = capture_members(index, [asked.query], settings)
        on_progress("gradient", 1, 1)
        plans = plan_members(index, captured, settings, on_progress)
        if question.search == "fast":
            found = _found_fast(plans, question, on_progress)
        else:
            found = _found(plans, question, scanner, on_scores, on_progress)
        elapsed = time.perf_counter() - started
        supports, opposes = _lists(index, plans, found, Wording(question.completion or ""), on_progress)
    shown, positive_total, spread = sum(hit.score for hit in supports), found.positive_total, found.spread
    taken: list[Plan] = [name for plan in plans for name in plan.plans.values()]
    return Answer(
        question=question,
        index_id=index.index_id,
        objective=settings.objective,
        objective_value=shown_objective(settings.objective, float(captured[0].gradients.objectives[0])),
        supports=_placed(supports, spread),
        opposes=_placed(opposes, spread),
        spread=spread,
        prompt_tokens=asked.prompt_tokens,
        num_scored=index.reader.manifest.num_examples - (0 if found.missing is None else found.missing.num_missing),
        elapsed_s=elapsed,
        plans={name: taken.count(name) for name in set(taken)},
        positive_total=positive_total,
        positive_share=shown / positive_total if positive_total > 0 else 0.0,
        unit=index.fitted.method.unit,
        model_share=index.model_share,
        members=None if index.members is None else index.members.sentence,
        remark=joined_notes(index.memory_note, weights_note(index.examples.columns, settings.normalisation)),
        refined=None if plans[0].refinement is None else plans[0].refinement.sentence,
        fast_search=found.fast,
        missing=found.missing,
    )


class _Found(NamedTuple):
    """The ends of the ranking, and what is known of all scores."""

    supports: list[tuple[int, float]]
    """Positions and scores, the largest first."""

    opposes: list[tuple[int, float]]
    """The same of the negated scores."""

    positive_total: float
    spread: ScoreSpread
    fast: FastSearch | None = None
    missing: MissingParts | None = None


def _found(
    plans: Sequence[ScoringPlan],
    question: Question,
    scanner: Scanner,
    on_scores: OnScores | None,
    on_progress: ProgressSink,
) -> _Found:
    """By the scores of all texts."""
    num_scored, total = 0, plans[0].reader.manifest.num_examples

    def take(num_further: int) -> None:
        nonlocal num_scored
        num_scored += num_further
        on_progress("scores", num_scored, total)

    lengths = Lengths(question.k, question.num_opposing)
    ranking, missing = scanner.rank(plans, lengths, on_texts=take, on_scores=on_scores)
    return _Found(
        _of_sign(*ranking.supports.of_query(0)),
        _of_sign(*ranking.opposes.of_query(0)),
        ranking.positive_total[0].item(),
        ranking.spreads[0].spread(has_two_sides=question.scoring.objective == "contrast"),
        missing=missing,
    )


def _found_fast(plans: Sequence[ScoringPlan], question: Question, on_progress: ProgressSink) -> _Found:
    """By a cascade; there are no scores of all texts to hand on."""
    num_read, total = 0, plans[0].reader.manifest.num_examples

    def take(num_further: int) -> None:
        nonlocal num_read
        num_read += num_further
        on_progress("scores", num_read, total)

    per_product = scores_per_product(*plans)
    found = search_by_cascade(
        [Summand(plan.reader, plan.queries, per_product) for plan in plans],
        question.k,
        question.num_opposing,
        on_progress=take,
    )
    return _Found(
        _of_sign(found.positions, found.scores),
        _of_sign(found.opposing, -found.opposing_scores),
        found.positive_total,
        found.spread(has_two_sides=question.scoring.objective == "contrast"),
        told(found.report, max(question.k, question.num_opposing)),
    )


def _placed(hits: list[Hit], spread: ScoreSpread) -> list[Hit]:
    return [replace(hit, z=spread.z(hit.score), is_noise=spread.is_noise(hit.score)) for hit in hits]


def shown_objective(objective: Objective, differentiated: float) -> float:
    """What people read of an objective, from what is differentiated, in nats.

    A loss is shown as it is. Margin and contrast are differentiated with the sign of a loss, so that a positive score
    supports the completion, and shown as they are defined: log p − log(1 − p), and log p(A) − log p(B).
    """
    return differentiated if objective == "loss" else -differentiated


def _lists(
    index: OpenIndex, plans: Sequence[ScoringPlan], found: _Found, wording: Wording, on_progress: ProgressSink
) -> tuple[list[Hit], list[Hit]]:
    """Hits of both lists; parts of all their tokens are taken at once, as members' models may be loaded for it."""
    supports, opposes = found.supports, found.opposes
    positions = [position for position, _ in (*supports, *opposes)]
    examples = index.examples.examples_at(positions)
    groups = [*_groups(0, len(supports)), *_groups(len(supports), len(positions))]
    parts = _token_parts(index, plans, positions, examples, groups, on_progress)
    metadata = index.examples.values_at(positions)
    names = index.examples.metadata_columns
    scores = [*(score for _, score in supports), *(-negated for _, negated in opposes)]
    hits = [
        Hit(
            rank=place + 1 if place < len(supports) else place + 1 - len(supports),
            train_id=example.train_id,
            score=score,
            text=example.plain_text,
            metadata={name: row[name] for name in names},
            tokens=tokens,
            window=window,
            verbatim=verbatim_of(example, wording),
            asked=asked_of(example),
        )
        for place, (example, row, score, (tokens, window)) in enumerate(
            zip(examples, metadata, scores, parts, strict=True)
        )
    ]
    return hits[: len(supports)], hits[len(supports) :]


def _of_sign(rows: Tensor, scores: Tensor) -> list[tuple[int, float]]:
    """Positions and scores of one list; examples whose score has the other sign do not belong to it."""
    return list(zip(rows[scores > 0].tolist(), scores[scores > 0].tolist(), strict=True))


def _groups(start: int, stop: int) -> list[slice]:
    """Texts that are split together; of one list, so that its parts are the same however long the other one is."""
    return [slice(first, min(first + EXAMPLES_PER_SPLIT, stop)) for first in range(start, stop, EXAMPLES_PER_SPLIT)]


def _token_parts(
    index: OpenIndex,
    plans: Sequence[ScoringPlan],
    positions: Sequence[int],
    examples: Sequence[Example],
    groups: Sequence[slice],
    on_progress: ProgressSink,
) -> list[tuple[tuple[TokenPart, ...], tuple[int, int] | None]]:
    """Each example's tokens with their parts of its score, and its strongest window; none of an index of losses,
    whose scores are no sums over tokens."""
    if index.losses is not None:
        return [((), None)] * len(positions)
    texts = index.engine.encoder.encode_all(examples).texts
    remaining = list(plans)
    done = 0

    def split(member: OpenIndex) -> list[list[Tensor]]:
        nonlocal done
        matrices = {name: matrix[0] for name, matrix in remaining.pop(0).matrices.items()}
        found: list[list[Tensor]] = []
        with member.engine.gradients() as source:
            for group in groups:
                on_progress("texts", done, len(texts) * len(plans))
                found += split_over_train_targets(source, texts[group], matrices)
                done += group.stop - group.start
        return found

    of_members = index.over_members(split)
    tokenizer, parts = index.engine.loaded.tokenizer, []
    for place, splits in enumerate(zip(*of_members, strict=True)):
        factor = score_per_product(positions[place], *plans)
        summed = [torch.stack(sequence).sum(0) * factor for sequence in zip(*splits, strict=True)]
        whole = join_sequences(texts[place], summed)
        readable = readable_tokens(tokenizer, whole.input_ids, whole.parts, examples[place].written_text)
        parts.append((readable, whole.strongest))
    return parts
