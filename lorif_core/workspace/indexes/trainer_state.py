"""What a trainer wrote beside a checkpoint: `trainer_state.json`, as Hugging Face's Trainer writes it."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lorif_core.errors import DataError

TRAINER_STATE = "trainer_state.json"


class TrainerState(NamedTuple):
    """How far a training was, and at which rates."""

    place: str
    """Of the file."""

    step: int
    epoch: float | None
    """Passes over the texts, with the part of the last one; None: not written."""

    rates: list[tuple[int, float]]
    """(step, learning rate), as logged."""


def read_trainer_state(model: str, wanted_for: str, instead: str) -> TrainerState:
    """What the trainer wrote into the folder of a checkpoint.

    Args:
        model: The folder.
        wanted_for: Who needs it, the beginning of a sentence that goes on with the file's name.
        instead: What to do without it.

    Raises:
        DataError: It is not there, or not what a trainer writes.
    """
    path = Path(model) / TRAINER_STATE
    if not path.is_file():
        raise DataError(f"{wanted_for} `{TRAINER_STATE}`, and {model!r} has none. {instead}")
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        logged = [(int(one["step"]), float(one["learning_rate"])) for one in state["log_history"] if _has_rate(one)]
        epoch = state.get("epoch")
        return TrainerState(str(path), int(state["global_step"]), None if epoch is None else float(epoch), logged)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{str(path)!r} is not what a trainer writes: it needs `global_step` and `log_history`. {instead}"
        ) from error


def _has_rate(logged: dict[str, object]) -> bool:
    return "learning_rate" in logged


def summed_rates(rates: list[tuple[int, float]], first: int, last: int) -> float:
    """Learning rates of the steps from ``first`` to ``last``, summed.

    Between those that were logged they are linear; before the first and after the last they stay.
    """
    steps, logged = zip(*sorted(dict(rates).items()), strict=True)
    return float(np.interp(np.arange(first, last + 1), steps, logged).sum())
