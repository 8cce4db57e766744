"""A question: what is asked, of which index, how it is scored, and how long the lists shall be. One value."""

from dataclasses import dataclass, field

from lorif_core.config import GenerateConfig, ScoreConfig
from lorif_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question to an index. Made once by a front end, checked here, and passed on as it is."""

    prompt: str

    completion: str | None = None
    """What the model said, which is explained; None lets it say it now."""

    contrast: str | None = None
    """Completion B of "why A and not B"."""

    tokens: tuple[int, ...] | None = None
    """Restrict the objective to these tokens of the completion, counted from 0. None: all."""

    settings: ScoreConfig | None = None
    """Objective, normalisation, damping. None: the defaults, and the objective contrast where there is a second
    completion; ``scoring`` says which."""

    k: int = 10
    """Length of the supporting list."""

    num_opposing: int = 0
    """Length of the opposing list."""

    index_id: str | None = None
    """None: the newest complete index."""

    model: str | None = None
    """Where the model lies now, if it was moved."""

    generate: GenerateConfig = field(default_factory=GenerateConfig)
    """How the model completes the prompt when no completion is given."""

    actor: str | None = None
    """Who asks, for a kept question. None: LORIF_ACTOR, else the system's user."""

    keeps: bool = True
    """Whether the question is kept, so that it can be opened again without the model, and a question that was asked
    before is answered from what was kept."""

    def __post_init__(self) -> None:
        """Check bounds, and that a second completion and the objective contrast come together."""
        if self.k < 1 or self.num_opposing < 0:
            raise ConfigError(f"k must be at least 1 and opposing at least 0, got {self.k} and {self.num_opposing}.")
        if self.tokens is not None:
            object.__setattr__(self, "tokens", tuple(self.tokens))
        if (self.scoring.objective == "contrast") != (self.contrast is not None):
            raise ConfigError(
                "the objective contrast and a second completion go together, only one was given. Pass "
                "`--contrast COMPLETION`, or another objective."
            )

    @property
    def scoring(self) -> ScoreConfig:
        """The settings in force."""
        return self.settings or ScoreConfig(objective="loss" if self.contrast is None else "contrast")

    @property
    def said(self) -> str:
        """The completion that is explained.

        Raises:
            ConfigError: There is none yet.
        """
        if self.completion is None:
            raise ConfigError("a question needs the completion that it explains: give one, or let the model say it.")
        return self.completion

    @property
    def joins_without_space(self) -> bool:
        """Whether prompt and completion meet without white space, which is rarely meant."""
        return bool(self.prompt) and not self.prompt[-1].isspace() and self.said[:1].isalnum()
