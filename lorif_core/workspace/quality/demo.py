"""The demo workspace: import the sample facts, index them, ask one of the planted wrong facts."""

from collections.abc import Callable
from pathlib import Path

from lorif_core.catalog import IndexRecord
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.errors import ArtefactError
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.estimate import IndexEstimate
from lorif_core.workspace.quality.planted import PlantedFact
from lorif_core.workspace.workspace import Workspace, create_workspace

MAX_LENGTH = 64
DEMO_FACT = "The capital of Australia is"


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


def demo_key() -> Path:
    """The answer key of the sample data."""
    return sample_data_folder() / "answer_key.json"


def demo_fact(facts: list[PlantedFact]) -> PlantedFact:
    """The fact that the demo shows."""
    return next((fact for fact in facts if fact.prompt == DEMO_FACT), facts[0])
