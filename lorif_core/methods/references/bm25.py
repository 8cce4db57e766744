"""BM25: words in common, as search engines weigh them; knows no model."""

import importlib.util
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lorif_core.errors import ConfigError
from lorif_core.shapes import Float


class Bm25:
    """Compares words."""

    label: ClassVar[str] = "bm25"

    def score_texts(self, queries: Sequence[str], texts: Sequence[str]) -> Float[Tensor, "Q n"]:
        """BM25 of each query's words in every text."""
        return lexical_scores(queries, texts)


def is_installed() -> bool:
    """Whether its package is there."""
    return importlib.util.find_spec("bm25s") is not None


def lexical_scores(queries: Sequence[str], corpus: Sequence[str]) -> Float[Tensor, "Q n"]:
    """BM25 of each query's words in every text.

    Raises:
        ConfigError: The extra `bm25` is not installed.
    """
    try:
        import bm25s  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ConfigError("bm25 needs the package bm25s. Run `pip install 'lorif-studio[bm25]'`.") from error
    index: Any = bm25s.BM25()
    index.index([_words(text) for text in corpus], show_progress=False)
    return torch.stack([torch.as_tensor(index.get_scores(_words(text))).float() for text in queries])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
