"""Settings of what a model is let say."""

from dataclasses import dataclass

from lorif_core.config import require


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How the model completes a prompt."""

    max_new_tokens: int = 32
    """Longest generated completion in tokens."""

    temperature: float = 0.0
    """0 takes the likeliest token each time (greedy); above 0 samples."""

    sampling_seed: int = 0
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require(
            self.max_new_tokens >= 1 and self.temperature >= 0,
            f"max_new_tokens must be at least 1 and temperature at least 0, got {self.max_new_tokens} and "
            f"{self.temperature}.",
        )
