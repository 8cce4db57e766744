"""Settings of an index's further members, and of the training whose checkpoints they are; imports no torch."""

from dataclasses import dataclass
from typing import Literal

from lorif_core.config import check_choice, require

MemberWeights = Literal["average", "tracin", "final-minus-base"]
TrainedBy = Literal["adamw", "sgd"]


@dataclass(frozen=True, kw_only=True)
class MembersConfig:
    """Further models whose scores are added to the model's own: each has an index of its own over the same texts."""

    base: str | None = None
    """The model before it was trained."""

    checkpoints: tuple[str, ...] = ()
    """Folders of checkpoints of the training, or patterns such as `'ckpt-*/'`."""

    member_weights: MemberWeights | None = None
    """average: 1 / number of members each; tracin: learning rates of the checkpoints' `trainer_state.json`, divided
    by their sum; final-minus-base: 1 and -1. Unset: as it was, else average."""

    alone: bool = False
    """Answer without the further members that the index has; their own indexes stay."""

    segments: int | None = None
    """--method source: stretches of the training, each with as many of the checkpoints as the others, whose curvature
    and gradients are averaged. Unset: as it was, else 3, or one per checkpoint where there are fewer."""

    steps: tuple[int, ...] = ()
    """--method source: the step of every checkpoint, the model itself last. Unset: those of their
    `trainer_state.json`."""

    learning_rates: tuple[float, ...] = ()
    """--method source: mean learning rate up to every checkpoint since the one before, the model itself last. Unset:
    those that `trainer_state.json` logged."""

    trained_by: TrainedBy | None = None
    """--method source: adamw (a module's rates are divided by the size of its gradient of a batch) or sgd (rates as
    they are). Unset: as it was, else adamw."""

    texts_per_step: float | None = None
    """--method source, adamw: texts of a batch. Unset: texts times epochs over steps of `trainer_state.json`."""

    def __post_init__(self) -> None:
        """Check the weights, and that nobody wants both."""
        if self.member_weights is not None:
            check_choice("member_weights", self.member_weights, MemberWeights)
        require(
            not (self.alone and (self.base is not None or self.checkpoints or self.member_weights)),
            "alone takes an index's further members away, so it goes with none of base, checkpoints and "
            "member_weights.",
        )
        self._check_training()

    def _check_training(self) -> None:
        if self.trained_by is not None:
            check_choice("trained_by", self.trained_by, TrainedBy)
        require(self.segments is None or self.segments >= 1, f"segments must be at least 1, got {self.segments}.")
        require(
            self.texts_per_step is None or 0 < self.texts_per_step < float("inf"),
            f"texts_per_step must be above 0, got {self.texts_per_step}.",
        )
        require(
            len(self.steps) == len(self.learning_rates),
            f"steps and learning_rates go together, one of each per checkpoint, got {len(self.steps)} and "
            f"{len(self.learning_rates)}. Name both, or neither where every checkpoint has a `trainer_state.json`.",
        )
        require(
            list(self.steps) == sorted(set(self.steps)) and all(step >= 1 for step in self.steps),
            f"steps must rise from checkpoint to checkpoint, from 1 on, got {list(self.steps)}.",
        )
        require(
            all(0 < rate < float("inf") for rate in self.learning_rates),
            f"learning_rates must be above 0, got {list(self.learning_rates)}: a stretch without one taught nothing.",
        )

    @property
    def about_training(self) -> str | None:
        """The first setting that says how the model was trained, by its name; None: it says nothing of it."""
        names = ("segments", "steps", "learning_rates", "trained_by", "texts_per_step")
        return next((name for name in names if getattr(self, name) not in (None, ())), None)

    @property
    def names_any(self) -> bool:
        """Whether it names a model."""
        return self.base is not None or bool(self.checkpoints)
