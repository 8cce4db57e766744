"""How models that differ a little are made of one: settings, read without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorif_core.config import check_choice, require
from lorif_core.evaluation.recipe import Schedule, Tuning

Kind = Literal["noise", "subsets"]


@dataclass(frozen=True, kw_only=True)
class PerturbConfig:
    """How many models, and what makes them differ."""

    count: int = 16
    """Models to make. A covariance over K of them is known to about 1/√(K - 1): 16 are few, 64 are good."""

    kind: Kind = "noise"
    """noise: fine-tune the model a little, against random signs on the texts' gradients (Daunce); subsets: train
    again by `--recipe` on random halves of the texts."""

    learning_rate: float = 1e-4
    """Of AdamW. Too small, and rounding outweighs what the models differ by; too large, and they are no longer near
    the model."""

    epochs: int = 1
    """Passes over the texts."""

    batch_size: int = 16
    """Texts per step."""

    schedule: Schedule = "linear"
    """linear: the learning rate falls to 0 after the last step; constant: it stays."""

    noise: float = 1.0
    """Size of the random signs, ρ: of the pull on each text's loss, ± ρ times its gradient."""

    max_length: int = 512
    """Longest sequence in tokens; longer texts are cut, as an index does by itself."""

    tuning: Tuning = "full"
    """full: all weights; lora: a low-rank adapter on every linear module, so that a model takes little disk (needs
    the extra `peft`)."""

    lora_rank: int = 16
    """Rank of the adapter."""

    lora_alpha: float = 32.0
    """Scale of the adapter times its rank."""

    recipe: Path | None = None
    """The TOML recipe by which the model was trained, as for `lorif evaluate retrain`; with `--kind subsets`."""

    fraction: float = 0.5
    """Of the texts in each subset."""

    seed: int = 0
    """Of signs, subsets and the order of the batches; every model has its own, whatever their number."""

    def __post_init__(self) -> None:
        """Check ranges, and that what belongs together comes together."""
        check_choice("kind", self.kind, Kind)
        check_choice("schedule", self.schedule, Schedule)
        check_choice("tuning", self.tuning, Tuning)
        require(self.count >= 2, f"count must be at least 2, got {self.count}: a covariance needs two models.")
        for name in ("learning_rate", "noise", "lora_alpha"):
            value = getattr(self, name)
            require(value > 0, f"{name} must be above 0, got {value}.")
        for name in ("epochs", "batch_size", "max_length", "lora_rank"):
            value = getattr(self, name)
            require(value >= 1, f"{name} must be at least 1, got {value}.")
        require(0 < self.fraction < 1, f"fraction must be above 0 and below 1, got {self.fraction}.")
        require(
            (self.kind == "subsets") == (self.recipe is not None),
            "subsets are trained by the recipe that made the model, so `--kind subsets` and `--recipe FILE` go "
            "together; only one was given.",
        )
