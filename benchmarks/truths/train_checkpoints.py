"""Fine-tune the model of a truth once more and keep checkpoints of it, as a trainer keeps them.

    python -m benchmarks.truths.train_checkpoints FOLDER … [--count 6] [--out NAME]

FOLDER is a truth: base/, recipe.toml, train.jsonl. Into FOLDER/checkpoints go checkpoint-STEP/ folders, evenly over
the steps, the last one after the last step; each has the `trainer_state.json` that SOURCE and TracIn read.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.truths.make_truth import read_texts, save_model
from lorif_core.cli.process import prepare_process
from lorif_core.data.encoding import Encoder, pad_token
from lorif_core.errors import LorifError
from lorif_core.evaluation.recipe import Recipe, read_recipe
from lorif_core.evaluation.retraining import load_start, train
from lorif_core.files import write_json

CHECKPOINTS = "checkpoints"
USUAL_COUNT = 6
"""Two for each of three segments, as the paper has it."""


def train_checkpoints(folder: Path, out: Path, count: int) -> list[Path]:
    """Make the checkpoints that are missing; all of them, the first step first.

    Args:
        folder: Of the truth.
        out: Where they go; it is there when all are.
        count: How many.

    Raises:
        LorifError: The folder is no truth, or training fails.
    """
    if not out.exists():
        unfinished = out.with_name(f"{out.name}.unfinished")
        _train(folder, unfinished, count)
        unfinished.rename(out)
    return find_checkpoints(out)


def find_checkpoints(out: Path) -> list[Path]:
    """The checkpoints that are there, the first step first."""
    return sorted(out.glob("checkpoint-*"), key=lambda one: int(one.name.removeprefix("checkpoint-")))


def _train(folder: Path, out: Path, count: int) -> None:
    recipe = read_recipe(folder / "recipe.toml")
    start = load_start(recipe, device="cpu")
    model: Any = start.model
    encoder = Encoder(start.tokenizer, recipe.max_length, recipe.stride)
    texts = encoder.encode_all(read_texts(folder / "train.jsonl")).texts

    def keep(done: int, total: int) -> None:
        edges = [number * total // count for number in range(1, count + 1)]
        if done in edges:
            place = out / f"checkpoint-{done}"
            save_model(place, model, start.tokenizer)
            write_json(place / "trainer_state.json", _state(recipe, done, total))
            print(f"{folder.name}: {place.name} of {total} steps", flush=True)

    train(model, texts, recipe, seed=recipe.seed, pad_id=pad_token(start.tokenizer), on_step=keep)


def _state(recipe: Recipe, done: int, total: int) -> dict[str, Any]:
    """What a trainer writes beside a checkpoint, the learning rate of every step."""
    falls = recipe.schedule == "linear"
    rates = [recipe.learning_rate * (1 - step / total if falls else 1) for step in range(done)]
    history = [{"step": step + 1, "learning_rate": rate} for step, rate in enumerate(rates)]
    return {"global_step": done, "epoch": recipe.epochs * done / total, "log_history": history}


def main(words: list[str] | None = None) -> int:
    """Make checkpoints of some truths."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.truths.train_checkpoints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--count", type=int, default=USUAL_COUNT, help="checkpoints of each")
    parser.add_argument("--out", default=CHECKPOINTS, help="name of the folder in each truth that they go to")
    given = parser.parse_args(words)
    prepare_process()
    for folder in given.folders:
        try:
            train_checkpoints(folder, folder / given.out, given.count)
        except LorifError as error:
            print(f"benchmarks.truths.train_checkpoints: {folder}: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
