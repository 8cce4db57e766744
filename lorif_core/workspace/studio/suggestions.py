"""What the studio's forms begin with."""

import json
from pathlib import Path

from lorif_core.errors import LorifError
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.workspace import Workspace


def suggested_model(workspace: Workspace, dataset_id: str) -> str:
    """The model of the newest index of a data set, which the next one is likely to be of; else an empty text.

    The model of other data was trained on other texts.
    """
    indexes = [one for one in workspace.indexes.records() if one.dataset_id == dataset_id]
    return read_index_settings(indexes[-1].settings_json).model.model if indexes else ""


def suggested_recipe(workspace: Workspace) -> str:
    """The recipe of the latest verification; the sample model's if the newest index is of it; else an empty text."""
    from lorif_core.workspace.quality.demo import sample_data_folder

    for record in reversed(workspace.files.catalog.evaluations()):
        if record.kind == "verify" and Path(used := json.loads(record.settings_json)["recipe"]).is_file():
            return used
    try:
        folder = sample_data_folder()
        settings = read_index_settings(workspace.indexes.records()[-1].settings_json)
    except (LorifError, IndexError):
        return ""
    return str(folder / "recipe.toml") if settings.model.model == str(folder / "model") else ""
