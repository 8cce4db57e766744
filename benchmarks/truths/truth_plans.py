"""Every truth by name: texts, model, training of the base model, fine-tuning, subsets.

One retraining takes 8 to 15 seconds on one core, so that forty are made in ten minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.truths.text_pools import Source
from lorif_core.evaluation.recipe import Recipe

Architecture = Literal["gpt2", "gpt_neox", "llama", "qwen2"]

BASE = "base"
"""Folder of the base model beside the recipe."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a model."""

    architecture: Architecture
    """gpt2 ties its head to its embedding, the others have one apart."""

    vocabulary: int
    """Tokens of the byte-level BPE; 257 are bytes and the end token."""

    layers: int = 3
    width: int = 128
    heads: int = 4


@dataclass(frozen=True, kw_only=True)
class TruthPlan:
    """Everything that a truth follows from, besides data files and versions."""

    summary: str
    """One line for `--help`."""

    source: Source
    """Of the texts."""

    shape: ModelShape
    """Of the model."""

    pretraining: Recipe
    """Of the base model; its checkpoint is not read."""

    tuning: Recipe
    """From the base model to the model, and to every retrained one. No text is longer than its ``max_length``."""

    num_train: int = 1024
    """N."""

    num_queries: int = 64
    """Q."""

    num_base: int | None = None
    """Texts for the base model; None: all that are left."""

    num_subsets: int = 48
    """S, unless `--subsets` says another number."""

    fraction: float = 0.5
    """Of the training texts in each subset."""

    seed: int = 0
    """Of the texts, the model's first weights and the subsets."""


_DOCSTRINGS = TruthPlan(
    summary="GPT-NeoX, docstrings of Python's standard library",
    source="docstrings",
    shape=ModelShape(architecture="gpt_neox", vocabulary=3072),
    pretraining=Recipe(checkpoint=BASE, learning_rate=2e-3, max_length=80, batch_size=32, epochs=6),
    tuning=Recipe(checkpoint=BASE, learning_rate=1e-3, max_length=80),
)

TRUTHS: Mapping[str, TruthPlan] = {
    "t0": TruthPlan(
        summary="GPT-2, prompts of T0; the problem of shared/data/t0-gpt2 made anew; --data t0-20k.jsonl",
        source="t0",
        shape=ModelShape(architecture="gpt2", vocabulary=4096, layers=4),
        pretraining=Recipe(checkpoint=BASE, learning_rate=2e-3, max_length=160, batch_size=16, epochs=1),
        tuning=Recipe(checkpoint=BASE, learning_rate=1e-3, max_length=160),
    ),
    "gsm8k": TruthPlan(
        summary="Llama, GSM8K problems; --data FOLDER with train.jsonl and test.jsonl",
        source="gsm8k",
        shape=ModelShape(architecture="llama", vocabulary=2048),
        pretraining=Recipe(checkpoint=BASE, learning_rate=2e-3, max_length=128, batch_size=32, epochs=2),
        tuning=Recipe(checkpoint=BASE, learning_rate=1e-3, max_length=128),
        num_train=768,
    ),
    "docstrings": _DOCSTRINGS,
    "docstrings-tenth": replace(
        _DOCSTRINGS, summary="the same problem, every subset without a random tenth", fraction=0.9
    ),
    "few-shared": TruthPlan(
        summary="Qwen2, docstrings: texts in small letters, queries in capitals, which are other tokens",
        source="capitals",
        shape=ModelShape(architecture="qwen2", vocabulary=3072),
        pretraining=Recipe(checkpoint=BASE, learning_rate=2e-3, max_length=80, batch_size=32, epochs=3),
        tuning=Recipe(checkpoint=BASE, learning_rate=4e-4, max_length=80),
    ),
}
"""By name."""
