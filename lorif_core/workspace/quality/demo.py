"""The demo workspace: import the sample facts, index them, ask one of the planted wrong facts."""

from collections.abc import Callable
from pathlib import Path

from lorif_core.catalog import IndexRecord
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.errors import ArtefactError
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.estimate import IndexEstimate
from lorif_core.workspace.quality.planted import PlantedFact
from lorif_core.workspace.workspace import Workspace, create_workspace

MAX_LENGTH = 64
DEMO_FACT = "The capital of Australia is"
DEMO_QUESTIONS = (DEMO_FACT, "The largest planet of the Solar System is", "The author of Frankenstein is")
"""What the demo has asked, for a newcomer to click: the last one is asked last, and shown first."""

DEMO_INDEX = "Everyday facts"
K = 20
"""Texts per list of these questions."""


def sample_data_folder() -> Path:
    """Where the sample data lies: in the checkout, or inside the installed package.

    Raises:
        ArtefactError: It was not installed.
    """
    package = Path(__file__).resolve().parents[2]
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
    dataset = workspace.data.import_files(data / "facts.jsonl").dataset
    settings = IndexConfig(model=ModelConfig(model=str(data / "model")), batches=BatchConfig(max_length=MAX_LENGTH))
    index = workspace.indexes.build(
        settings, dataset=dataset.dataset_id, on_estimate=on_estimate, on_progress=on_progress
    )
    return workspace, index


def ask_demo_questions(workspace: Workspace, index_id: str) -> list[Answer]:
    """Ask what a newcomer finds in the studio, and keep the answers; the first is about the demo's fact.

    What was asked before is not computed again. The index gets a name if nobody gave it one.
    """
    if not workspace.indexes.named()[index_id].is_given:
        workspace.indexes.rename(index_id, DEMO_INDEX, description="A small model, trained on these texts.")
    return [workspace.ask(prompt, k=K, num_opposing=K, index_id=index_id) for prompt in reversed(DEMO_QUESTIONS)][
        ::-1
    ]


def demo_key() -> Path:
    """The answer key of the sample data."""
    return sample_data_folder() / "answer_key.json"


def demo_fact(facts: list[PlantedFact]) -> PlantedFact:
    """The fact that the demo shows."""
    return next((fact for fact in facts if fact.prompt == DEMO_FACT), facts[0])
