"""Retraining as the judge: ground truth for rankings, and what happens without the texts they name."""
