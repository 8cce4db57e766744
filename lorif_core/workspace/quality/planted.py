"""How well an index finds texts that were planted to teach a wrong fact."""

from dataclasses import dataclass
from pathlib import Path

from lorif_core.errors import DataError
from lorif_core.files import read_json
from lorif_core.metrics.retrieval import recall_at_k, reciprocal_rank
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.workspace import Workspace


@dataclass(frozen=True)
class PlantedFact:
    """A wrong fact that was put into the data; from the answer key, which the engine never reads."""

    prompt: str
    wrong: str
    truth: str
    planted_ids: tuple[str, ...]


@dataclass(frozen=True)
class PlantedScore:
    """How well the engine finds the planted texts, over all planted facts."""

    num_facts: int

    num_wrong: int
    """Facts that the model gets wrong as planted."""

    recall: float
    """Mean share of a fact's planted texts among the first k."""

    reciprocal_rank: float
    """Mean of 1 ÷ rank of the first planted text."""


def read_answer_key(path: Path) -> list[PlantedFact]:
    """Planted facts of a JSON file {"planted": [{"prompt", "wrong", "true", "planted_ids"}, …]}.

    Raises:
        DataError: It holds none, or one without its fields.
    """
    facts = read_json(path).get("planted", [])
    try:
        known = [
            PlantedFact(fact["prompt"], fact["wrong"], fact.get("true", ""), tuple(fact["planted_ids"]))
            for fact in facts
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"every planted fact of {str(path)!r} needs prompt, wrong and planted_ids: {error}."
        ) from error
    if not known:
        raise DataError(f"{str(path)!r} must list at least one fact under `planted`, got none.")
    return known


def score_planted(
    workspace: Workspace,
    facts: list[PlantedFact],
    *,
    index_id: str | None = None,
    k: int = 10,
    on_progress: ProgressSink = no_progress,
) -> tuple[PlantedScore, list[tuple[PlantedFact, Answer]]]:
    """Ask every planted fact with the model's own completion and look the planted texts up in the answer."""
    answers = []
    for done, fact in enumerate(facts, start=1):
        answers.append((fact, workspace.ask(fact.prompt, k=k, search="exact", index_id=index_id, keeps=False)))
        on_progress("questions", done, len(facts))
    recalls = [recall_at_k(answer.ids, set(fact.planted_ids), k) for fact, answer in answers]
    ranks = [reciprocal_rank(answer.ids, set(fact.planted_ids)) for fact, answer in answers]
    wrong = sum(answer.question.completion.strip() == fact.wrong.strip() for fact, answer in answers)
    score = PlantedScore(len(facts), wrong, sum(recalls) / len(recalls), sum(ranks) / len(ranks))
    return score, answers
