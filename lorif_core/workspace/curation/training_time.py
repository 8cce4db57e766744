"""How long a verification will take, from what was measured: texts times epochs, at the rate of the last one."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from lorif_core.catalog import EvaluationRecord
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.workspace.folder.index_losses import knows_only_losses
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

TRAININGS = 2


@dataclass(frozen=True)
class TrainingTime:
    """An estimate, and what it rests on."""

    num_texts: int
    """Of the data set; the second training leaves some out."""

    epochs: int
    num_steps: int
    """Of both trainings."""

    texts_per_s: float
    """As it was measured; a text counts once per epoch and training."""

    measured: str
    """By what."""

    @property
    def seconds(self) -> float:
        """Of both trainings."""
        return TRAININGS * self.epochs * self.num_texts / self.texts_per_s

    @property
    def _rate_text(self) -> str:
        """With two digits at least: a large model takes seconds for a text."""
        return f"{self.texts_per_s:,.0f}" if self.texts_per_s >= 10 else f"{self.texts_per_s:.2g}"

    @property
    def sentence(self) -> str:
        """What is done, and the rate that is taken for it."""
        return (
            f"{TRAININGS} trainings of {self.num_texts:,} texts, {self.num_steps:,} steps in all, at "
            f"{self._rate_text} texts a second: {self.measured}."
        )


def training_time(files: WorkspaceFiles, dataset_id: str, recipe: str | Path) -> TrainingTime | None:
    """How long it takes to train twice; None where no rate was measured of the data set.

    The rate is that of the latest verification of these texts by the same recipe, else of any recipe; else that at
    which an index of them was built, which takes one gradient per text as a training does; one of losses takes none.

    Args:
        files: The workspace.
        dataset_id: Of the texts.
        recipe: TOML file.

    Raises:
        ConfigError: The recipe cannot be used.
    """
    plan, num_texts = read_recipe(Path(recipe)), files.catalog.dataset(dataset_id).num_examples
    rate, measured = _rate(files, dataset_id, str(recipe))
    if rate is None:
        return None
    steps = TRAININGS * plan.epochs * math.ceil(num_texts / plan.batch_size)
    return TrainingTime(num_texts, plan.epochs, steps, rate, measured)


def _rate(files: WorkspaceFiles, dataset_id: str, recipe: str) -> tuple[float | None, str]:
    told = [one for one in files.catalog.evaluations() if one.dataset_id == dataset_id and one.kind == "verify"]
    rated = [(one, rate) for one in told if (rate := _rate_of(one)) is not None]
    same = [pair for pair in rated if json.loads(pair[0].settings_json)["recipe"] == recipe]
    if same or rated:
        record, rate = (same or rated)[-1]
        return rate, f"as the verification of {record.created_at:%Y-%m-%d %H:%M} UTC"
    built = [one for one in files.catalog.indexes(dataset_id) if one.build_seconds and not knows_only_losses(one)]
    if not built:
        return None, ""
    index = built[-1]
    assert index.build_seconds is not None
    return index.num_examples / index.build_seconds, f"as index {index.index_id} was built, no training was timed yet"


def _rate_of(record: EvaluationRecord) -> float | None:
    """Texts per second of a verification; None in one of before they were counted."""
    settings, elapsed_s = json.loads(record.settings_json), json.loads(record.result_json)["elapsed_s"]
    if "num_texts" not in settings or elapsed_s <= 0:
        return None
    return TRAININGS * settings["epochs"] * settings["num_texts"] / elapsed_s
