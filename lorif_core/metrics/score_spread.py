"""How far a score stands out of all scores: what is kept of their spread, which ``spread`` takes. Loads no torch."""

from dataclasses import dataclass

FEWEST = 8
"""Scores below which nothing can be said."""

LEAST_Z = 1.0
"""Standard deviations from the mean of all scores within which nothing stands out; k of N texts with one score and
nothing elsewhere have √(N/k − 1)."""


@dataclass(frozen=True)
class ScoreSpread:
    """How all N scores of a question are spread."""

    num_scores: int
    mean: float
    deviation: float
    """Standard deviation of all scores."""

    noise_low: float
    noise_high: float
    """Scores between them stand out no more than the largest of meaningless ones would."""

    def z(self, score: float) -> float | None:
        """Standard deviations above the mean of all scores; None where all are equal or there are too few."""
        if self.num_scores < FEWEST or self.deviation <= 0:
            return None
        return (score - self.mean) / self.deviation

    def is_noise(self, score: float) -> bool:
        """Whether a score stands out no more than the largest of meaningless ones would, or hardly from the mean."""
        z = self.z(score)
        return z is not None and (abs(z) < LEAST_Z or self.noise_low <= score <= self.noise_high)
