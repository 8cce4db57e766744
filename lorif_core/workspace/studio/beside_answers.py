"""What the studio shows beside an answer: token log-probabilities, percentiles, other questions, code."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from lorif_core.views.hits import TokenPart
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.kept_questions import settings_of
from lorif_core.workspace.asking.question import Question, Spoken
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.workspace import Workspace


def completion_tokens(workspace: Workspace, question: Question) -> list[TokenPart]:
    """The tokens of a question's completion, each with its log-probability in nats as its part.

    Their places are what ``Question.tokens`` counts. A token that ends amid a character has no text, and the one that
    completes it shows the character; an end token shows its name. Loads the index's model if need be.

    Raises:
        LorifError: There is nothing to explain, or the index or its model cannot be opened.
    """
    import torch

    from lorif_core.capture.hooks import model_inputs
    from lorif_core.data.batches import pad_batch
    from lorif_core.data.token_text import token_texts
    from lorif_core.turns import turn_on
    from lorif_core.workspace.asking.encode_question import encode_question

    loaded = workspace.indexes.open(question.index_id, model=question.model).engine.loaded
    asked = encode_question(replace(question, tokens=None), loaded)
    sequence = asked.query.sequences[0]
    with turn_on(loaded.model), torch.no_grad():
        inputs = model_inputs(loaded.model, pad_batch([sequence], 0))
        logits = loaded.model(**inputs).logits[0]
    log_probs = torch.log_softmax(logits[:-1].float(), dim=-1)  # (T - 1, vocabulary)
    texts = token_texts(loaded.tokenizer, sequence.input_ids)
    return [
        TokenPart(texts[place], float(log_probs[place - 1, sequence.input_ids[place]]))
        for place, is_target in enumerate(sequence.is_target)
        if is_target
    ]


def sorted_scores(workspace: Workspace, query_id: str) -> NDArray[np.float32]:
    """Every example's score on a kept question, smallest first, (N,).

    Raises:
        ArtefactError: The scores are gone.
    """
    return np.sort(read_scores(workspace.files, workspace.files.catalog.query(query_id)))


def list_shares(scores: NDArray[np.float32], answer: Answer) -> float:
    """Share of the summed sizes of all scores that the answer's two lists hold."""
    total = float(np.abs(scores, dtype=np.float64).sum())
    return sum(abs(hit.score) for hit in answer.hits) / total if total else 0.0


@dataclass(frozen=True)
class Appearance:
    """A kept question that brought up a text."""

    query_id: str
    prompt: str
    completion: str
    side: str
    """supports or opposes."""

    rank: int
    score: float


def appearances(workspace: Workspace, train_id: str, dataset_id: str, besides: str | None = None) -> list[Appearance]:
    """Kept questions in whose lists an example is, highest rank first, then latest first.

    Args:
        workspace: Where they are kept.
        train_id: The example.
        dataset_id: Id of its data set: another one may hold another text under the same id. Questions to all
            versions of it count.
        besides: A question that is left out.
    """
    catalog = workspace.files.catalog
    corpus_of = {one.dataset_id: one.corpus_id for one in catalog.datasets()}
    queries = {
        query.query_id: query
        for query in catalog.queries()
        if corpus_of.get(query.dataset_id) == corpus_of[dataset_id]
    }
    found = [
        Appearance(
            hit.query_id,
            queries[hit.query_id].prompt,
            queries[hit.query_id].completion,
            hit.side,
            hit.rank,
            hit.score,
        )
        for hit in catalog.hits(train_id=train_id)
        if hit.query_id != besides and hit.query_id in queries
    ]
    return sorted(found, key=lambda one: (one.rank, -int(one.query_id)))


def answer_as_python(workspace: Workspace, answer: Answer) -> str:
    """Python code that asks the same question again."""
    question, lines = answer.question, []
    lines += [f"    {question.prompt!r},", f"    {question.completion!r},"]
    lines += [
        f"    {name}={'lf.' * isinstance(value, Spoken)}{value!r},"
        for name, value in (
            ("spoken", question.spoken),
            ("ends", question.ends),
            ("form", question.form),
            ("system", question.system),
            ("messages", list(question.messages)),
        )
        if value
    ]
    if question.contrast is not None:
        lines.append(f"    contrast={question.contrast!r},")
    if question.tokens is not None:
        lines.append(f"    tokens={list(question.tokens)!r},")
    if answer.query_id is not None:
        record = workspace.files.catalog.query(answer.query_id)
        lines.append(f"    k={record.k},")
        if record.num_opposing:
            lines.append(f"    num_opposing={record.num_opposing},")
        if question.search == "fast":
            lines.append("    search='fast',")
        settings = settings_of(record)
        if settings != replace(question, settings=None).scoring:
            told = {"objective": settings.objective, "normalisation": settings.normalisation}
            told |= {one.name: getattr(settings, one.name) for one in fields(settings)} if settings.refine else {}
            lines.append(f"    settings=lf.ScoreConfig({', '.join(f'{k}={v!r}' for k, v in told.items())}),")
    lines.append(f"    index_id={answer.index_id!r},")
    opening = f"ws = lf.open_workspace({str(workspace.path)!r})"
    return "\n".join(
        ["import lorif_core as lf", "", opening, "answer = ws.ask(", *lines, ")", "print(answer.to_polars())", ""]
    )
