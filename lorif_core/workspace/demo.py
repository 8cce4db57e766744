"""The demo workspace: import the sample facts, index them, ask one of the planted wrong facts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorif_core.catalog import IndexRecord
from lorif_core.config import BatchConfig, IndexConfig, ModelConfig
from lorif_core.errors import ArtefactError
from lorif_core.metrics.retrieval import recall_at_k, reciprocal_rank
from lorif_core.workspace.asking import Answer
from lorif_core.workspace.estimate import IndexEstimate
from lorif_core.workspace.progress import ProgressSink, no_progress
from lorif_core.workspace.workspace import Workspace, create_workspace

MAX_LENGTH = 64
DEMO_FACT = "The capital of Australia is"
LIST_LENGTH = 10


@dataclass(frozen=True)
class PlantedFact:
    """A wrong fact that was put into the sample data; from the answer key, which the engine never reads."""

    prompt: str
    wrong: str
    truth: str
    planted_ids: tuple[str, ...]


@dataclass(frozen=True)
class DemoScore:
    """How well the engine finds the planted texts, over all planted facts."""

    num_facts: int

    num_wrong: int
    """Facts that the model gets wrong as planted."""

    recall: float
    """Mean share of a fact's planted texts among the first ten."""

    reciprocal_rank: float
    """Mean of 1 ÷ rank of the first planted text."""


def sample_data_folder() -> Path:
    """Where the sample data lies: in the checkout, or inside the installed package.

    Raises:
        ArtefactError: It was not installed.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "sample_data", package / "sample_data"):
        if (folder / "facts.jsonl").is_file():
            return folder
    raise ArtefactError("the sample data is not installed: use a checkout of LoRIF Studio, or the full wheel.")


def build_demo(
    path: Path,
    on_estimate: Callable[[str, IndexEstimate], None] | None = None,
    on_progress: ProgressSink = no_progress,
) -> tuple[Workspace, IndexRecord]:
    """The demo workspace at ``path`` with its index; what is there already is kept."""
    data = sample_data_folder()
    workspace = create_workspace(path)
    dataset = workspace.import_data(data / "facts.jsonl").dataset
    settings = IndexConfig(model=ModelConfig(model=str(data / "model")), batches=BatchConfig(max_length=MAX_LENGTH))
    index = workspace.index(settings, dataset=dataset.dataset_id, on_estimate=on_estimate, on_progress=on_progress)
    return workspace, index


def read_answer_key() -> list[PlantedFact]:
    """The planted facts of the sample data."""
    key: dict[str, Any] = json.loads((sample_data_folder() / "answer_key.json").read_text(encoding="utf-8"))
    return [
        PlantedFact(entry["prompt"], entry["wrong"], entry["true"], tuple(entry["planted_ids"]))
        for entry in key["planted"]
    ]


def demo_fact(facts: list[PlantedFact]) -> PlantedFact:
    """The fact that the demo shows."""
    return next((fact for fact in facts if fact.prompt == DEMO_FACT), facts[0])


def score_demo(
    workspace: Workspace, index_id: str, on_progress: ProgressSink = no_progress
) -> tuple[DemoScore, list[tuple[PlantedFact, Answer]]]:
    """Ask every planted fact with the model's own completion and look the planted texts up in the answer."""
    facts = read_answer_key()
    answers = []
    for done, fact in enumerate(facts, start=1):
        answers.append((fact, workspace.ask(fact.prompt, k=LIST_LENGTH, index_id=index_id)))
        on_progress("questions", done, len(facts))
    recalls = [recall_at_k(answer.ids, set(fact.planted_ids), LIST_LENGTH) for fact, answer in answers]
    ranks = [reciprocal_rank(answer.ids, set(fact.planted_ids)) for fact, answer in answers]
    wrong = sum(answer.question.completion.strip() == fact.wrong.strip() for fact, answer in answers)
    score = DemoScore(len(facts), wrong, sum(recalls) / len(recalls), sum(ranks) / len(ranks))
    return score, answers
