"""How a model was fine-tuned, read from a TOML file, so that it can be fine-tuned again on other texts.

checkpoint = "base"        # folder, relative to this file, or a hub name
learning_rate = 1e-3
max_length = 160
batch_size = 16            # and so on: every field of ``Recipe`` is a key
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from lorif_core.errors import ConfigError
from lorif_core.plain_files import refuse_special
from lorif_core.system_failures import what_failed

Optimiser = Literal["adamw"]
Schedule = Literal["linear", "constant"]
Tuning = Literal["full", "lora"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a fine-tuning besides its texts. Dropout is always off."""

    checkpoint: str
    """Folder or hub name of the model that fine-tuning starts from."""

    learning_rate: float
    """Of the first step, > 0."""

    max_length: int
    """Longest sequence in tokens; longer examples are cut."""

    stride: int | None = None
    """Tokens from one window of a long text to the next, below ``max_length``; unset: long texts are cut."""

    optimiser: Optimiser = "adamw"
    """adamw: betas 0.9 and 0.999, epsilon 1e-8."""

    schedule: Schedule = "linear"
    """linear: the learning rate falls to 0 after the last step; constant: it stays."""

    weight_decay: float = 0.0
    """Of AdamW, decoupled, ≥ 0."""

    batch_size: int = 16
    """Examples per step; the last batch of an epoch may be smaller."""

    epochs: int = 3
    """Passes over the texts."""

    clip_norm: float = 1.0
    """Longest gradient, as the norm over all trained parameters."""

    seed: int = 0
    """Of the order of the batches and of new LoRA weights."""

    tuning: Tuning = "full"
    """full: all weights; lora: a low-rank adapter on every linear module (needs the extra `peft`)."""

    lora_rank: int | None = None
    """Rank of the adapter; only with tuning = "lora"."""

    lora_alpha: float | None = None
    """Scale of the adapter times its rank; only with tuning = "lora"."""

    def __post_init__(self) -> None:
        """Check every value by itself, and that the LoRA settings come with LoRA."""
        _check_each(vars(self))
        if self.stride is not None and self.stride >= self.max_length:
            raise ConfigError(
                f"stride must be below max_length = {self.max_length}, got {self.stride}: a window needs a token of "
                "context. Correct it in the recipe."
            )
        wants_lora = self.tuning == "lora"
        for name in ("lora_rank", "lora_alpha"):
            if (getattr(self, name) is not None) != wants_lora:
                raise ConfigError(
                    f'{name} belongs to tuning = "lora", the recipe says {self.tuning!r}. '
                    + ("Give it a value." if wants_lora else "Remove it, or change tuning.")
                )


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "checkpoint": ("a folder or a hub name", lambda value: isinstance(value, str) and bool(value)),
    "learning_rate": ("a number > 0", lambda value: _is_number(value) and value > 0),
    "max_length": ("a whole number of at least 2 tokens", lambda value: _is_whole(value, 2)),
    "stride": ("a whole number of at least 1 token", lambda value: _is_whole(value, 1)),
    "optimiser": ("'adamw'", lambda value: value == "adamw"),
    "schedule": ("'linear' or 'constant'", lambda value: value in ("linear", "constant")),
    "weight_decay": ("a number ≥ 0", lambda value: _is_number(value) and value >= 0),
    "batch_size": ("a whole number of at least 1", lambda value: _is_whole(value, 1)),
    "epochs": ("a whole number of at least 1", lambda value: _is_whole(value, 1)),
    "clip_norm": ("a number > 0", lambda value: _is_number(value) and value > 0),
    "seed": ("a whole number of at least 0", lambda value: _is_whole(value, 0)),
    "tuning": ("'full' or 'lora'", lambda value: value in ("full", "lora")),
    "lora_rank": ("a whole number of at least 1", lambda value: _is_whole(value, 1)),
    "lora_alpha": ("a number > 0", lambda value: _is_number(value) and value > 0),
}


def _check_each(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        rule, holds = _RULES[name]
        if value is not None and not holds(value):
            raise ConfigError(f"{name} must be {rule}, got {value!r}. Correct it in the recipe.")


def read_recipe(path: Path) -> Recipe:
    """The recipe of a TOML file; a relative checkpoint folder is looked for beside the file.

    Raises:
        ConfigError: The file is missing or no TOML, a key is unknown or missing, or a value is wrong.
    """
    refuse_special(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the recipe {str(path)!r} cannot be read {what_failed(error)}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"the recipe {str(path)!r} is not TOML ({error}): write one `key = value` a line."
        ) from error
    recipe = recipe_from_dict(values)
    return Recipe(**{**values, "checkpoint": _find_checkpoint(recipe.checkpoint, path.parent)})


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its fields.

    Raises:
        ConfigError: A key is unknown or missing, or a value is wrong.
    """
    known = {field.name: field for field in fields(Recipe)}
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ConfigError(
            f"a recipe has the keys {', '.join(known)}; it got {', '.join(map(repr, unknown))}. Rename or remove it."
        )
    missing = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if missing:
        raise ConfigError(f"a recipe must say {', '.join(missing)}: add `{missing[0]} = …`.")
    _check_each(values)  # before they are taken for what the fields of a recipe are declared to be
    return Recipe(**values)


def _find_checkpoint(name: str, folder: Path) -> str:
    """Absolute path of a checkpoint folder, or the hub name as it is."""
    beside = folder / Path(name).expanduser()  # an absolute path stays what it is
    if beside.is_dir():
        return str(beside.resolve())
    if name.startswith((".", "/", "~")):
        raise ConfigError(
            f"checkpoint must be a folder or a hub name, but there is no folder {str(beside)!r}. A relative path "
            "starts at the recipe's folder."
        )
    return name
