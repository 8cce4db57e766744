"""Make models that differ a little from one model and a data set: by noise, or by the texts that they saw.

Every model is a folder, under its final name only when it is whole, so a run that is stopped goes on with the models
that are missing.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.capture.hooks import num_ids
from lorif_core.config import ModelConfig
from lorif_core.data.encoding import Encoder, pad_token
from lorif_core.data.sequences import EncodedText
from lorif_core.errors import ConfigError
from lorif_core.evaluation.perturbation import PerturbConfig
from lorif_core.evaluation.perturbing import perturb
from lorif_core.evaluation.recipe import Recipe, read_recipe
from lorif_core.evaluation.retraining import draw_subsets, load_start, restored, seed_of, train
from lorif_core.files import read_json, write_json
from lorif_core.models.load import LoadedModel
from lorif_core.models.model_folder import TOKENIZER_FILES, find_model_folder, matching
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.workspace import Workspace

MADE_BY = "made-by.json"
"""In every folder: the model, the settings and the number that it was made by."""


class MadeModels(NamedTuple):
    """Models that are there now."""

    folders: tuple[Path, ...]
    num_new: int
    """Made by this run."""


class _Making(NamedTuple):
    """What every model is made of."""

    start: LoadedModel
    texts: list[EncodedText]
    recipe: Recipe
    settings: PerturbConfig
    pad_id: int


def make_models(
    workspace: Workspace,
    model: ModelConfig,
    settings: PerturbConfig,
    out: str | Path,
    *,
    dataset: str | None = None,
    on_progress: ProgressSink,
) -> MadeModels:
    """Make models that differ a little, for an index of their losses.

    Args:
        workspace: Holds the texts.
        model: What is perturbed. Of subsets: whose recipe is followed; not read itself.
        settings: How many, and what makes them differ.
        out: Folder of the models.
        dataset: Name or id; may be left out when there is only one.
        on_progress: Receives ("models", steps done, all) of the models that are missing.

    Raises:
        ConfigError: The folder holds models that were made otherwise.
        LorifError: Model, data or recipe cannot be used.
    """
    record = workspace.files.choose_dataset(dataset)
    recipe = _recipe(model, settings)
    identity = {"dataset": record.fingerprint, "recipe": asdict(recipe), **_identity(settings)}
    folders = [Path(out) / f"{settings.kind}-{number:03d}" for number in range(settings.count)]
    missing = [number for number, folder in enumerate(folders) if not _is_made(folder, identity, number)]
    if missing:
        start = load_start(recipe, device=model.device)
        if settings.kind == "noise" and start.adapter is not None:
            raise ConfigError(
                f"a model that is perturbed has weights of its own, {model.model!r} is an adapter. Merge it into its "
                "base with `merge_and_unload().save_pretrained(...)`, and name the merged folder."
            )
        examples = list(workspace.files.examples(record.dataset_id).iter_examples())
        encoder = Encoder(start.tokenizer, recipe.max_length, recipe.stride)
        making = _Making(
            start,
            list(encoder.encode_all(examples).texts),
            recipe,
            settings,
            pad_token(start.tokenizer, num_ids(start.model)),
        )
        tokenizer = matching(find_model_folder(ModelConfig(model=recipe.checkpoint)), TOKENIZER_FILES)
        with restored(start.model) as restore:
            for done, number in enumerate(missing):
                restore()
                _make(making, number, _counted(on_progress, done, len(missing)))
                _save(start, tokenizer, folders[number], identity | {"number": number})
    return MadeModels(tuple(folders), len(missing))


def _recipe(model: ModelConfig, settings: PerturbConfig) -> Recipe:
    if settings.recipe is not None:
        return read_recipe(settings.recipe)
    has_adapter = settings.tuning == "lora"
    folder = Path(model.model)
    return Recipe(
        checkpoint=str(folder.resolve()) if folder.is_dir() else model.model,
        learning_rate=settings.learning_rate,
        max_length=settings.max_length,
        schedule=settings.schedule,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        seed=settings.seed,
        tuning=settings.tuning,
        lora_rank=settings.lora_rank if has_adapter else None,
        lora_alpha=settings.lora_alpha if has_adapter else None,
    )


def _identity(settings: PerturbConfig) -> dict[str, Any]:
    """What of the settings decides a model, beside the recipe: not how many there are."""
    names = ("kind", "seed", "noise") if settings.kind == "noise" else ("kind", "seed", "fraction")
    return {name: getattr(settings, name) for name in names}


def _is_made(folder: Path, identity: dict[str, Any], number: int) -> bool:
    if not folder.exists():
        return False
    known = read_json(folder / MADE_BY) if (folder / MADE_BY).is_file() else {}
    if known != identity | {"number": number}:
        raise ConfigError(
            f"{str(folder)!r} holds a model that was made by other settings, of other texts, or by somebody else. "
            "Choose another `--out`, or delete it."
        )
    return True


def _make(making: _Making, number: int, on_step: Callable[[int, int], None]) -> None:
    settings, model = making.settings, making.start.model
    seed = seed_of(settings.kind, settings.seed, number)
    if settings.kind == "noise":
        perturb(
            model,
            making.texts,
            making.recipe,
            noise=settings.noise,
            seed=seed,
            pad_id=making.pad_id,
            on_step=on_step,
        )
        return
    (kept,) = draw_subsets(len(making.texts), num_subsets=1, fraction=settings.fraction, seed=seed)
    texts = [making.texts[row] for row in kept.nonzero().flatten().tolist()]
    train(model, texts, making.recipe, seed=making.recipe.seed, pad_id=making.pad_id, on_step=on_step)


def _counted(on_progress: ProgressSink, done: int, count: int) -> Callable[[int, int], None]:
    """Steps of one of several models as steps of all."""
    return lambda step, steps: on_progress("models", done * steps + step, count * steps)


def _save(start: LoadedModel, tokenizer: list[Path], folder: Path, made_by: dict[str, Any]) -> None:
    """Under its name only when it is whole; the tokenizer's files as they are, so that their fingerprint stays."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    untyped: Any = start.model
    untyped.save_pretrained(unfinished, safe_serialization=True)
    if not hasattr(untyped, "disable_adapter"):  # an adapter's is its base's
        for path in tokenizer:
            shutil.copyfile(path, unfinished / path.name)
    write_json(unfinished / MADE_BY, made_by)
    unfinished.rename(folder)
