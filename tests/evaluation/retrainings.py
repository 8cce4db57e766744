"""A tiny starting model, its recipe and texts of random tokens."""

from pathlib import Path

import tiny_workspace
from tiny_models import example_of, random_examples

from lorif_core.data.encoding import EncodedExample
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import load_start
from lorif_core.models.load import LoadedModel

PAD = 0


def recipe(**changes: object) -> Recipe:
    settings = {"checkpoint": str(tiny_workspace.model_folder()), "learning_rate": 3e-3, "max_length": 32}
    return Recipe(**{**settings, "batch_size": 4, "epochs": 2, **changes})


def start(**changes: object) -> LoadedModel:
    return load_start(recipe(**changes), device="cpu")


def texts(count: int, *, seed: int = 0) -> list[EncodedExample]:
    return random_examples([4 + number % 5 for number in range(count)], seed=seed)


def fact(prompt: list[int], answer: list[int]) -> EncodedExample:
    return example_of(prompt + answer, [False] * len(prompt) + [True] * len(answer))


def write_recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path
