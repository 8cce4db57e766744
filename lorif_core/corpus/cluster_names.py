"""Names of groups of texts: the words that are frequent in one and rare in the others.

A word's weight in a group is c-TF-IDF over texts instead of tokens, so that one long text does not name its group:

    (texts of the group with the word / texts of the group)  ·  log(1 + A / texts of all groups with the word)

with A the mean number of texts of a group. Words are those of searches (``normalising``). Numbers, single letters
and words in one text of a group only are left out where there are others.
Source: Grootendorst, BERTopic (arXiv:2203.05794), which counts every occurrence.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from lorif_core.corpus.normalising import words_of

NUM_WORDS = 3
"""Words of a name."""


def count_words(texts: Iterable[tuple[int, str]], num_groups: int) -> tuple[list[Counter[str]], list[int]]:
    """In how many texts of every group each word is, and how many texts every group has.

    Args:
        texts: Place of its group and text, for each.
        num_groups: Groups, places from 0.
    """
    counts, sizes = [Counter[str]() for _ in range(num_groups)], [0] * num_groups
    for group, text in texts:
        counts[group].update(set(words_of(text)))
        sizes[group] += 1
    return counts, sizes


def cluster_names(counts: Sequence[Counter[str]], sizes: Sequence[int]) -> list[str]:
    """A name per group, no two alike; ``group 3`` for one without words.

    Args:
        counts: From ``count_words``.
        sizes: Texts of every group.
    """
    everywhere = Counter[str]()
    for one in counts:
        everywhere.update(one)
    mean_size = sum(sizes) / max(1, len(sizes))
    names = list[str]()
    for place, (one, size) in enumerate(zip(counts, sizes, strict=True)):
        name = ", ".join(_heaviest(one, size, everywhere, mean_size)) or f"group {place + 1}"
        names.append(name if name not in names else f"{name} ({place + 1})")
    return names


def _heaviest(words: Counter[str], size: int, everywhere: Counter[str], mean_size: float) -> list[str]:
    told = [word for word, count in words.items() if count > 1 and len(word) > 1 and not word.isdigit()]
    chosen = told or list(words)

    def weight(word: str) -> float:
        return words[word] / size * math.log(1 + mean_size / everywhere[word])

    return sorted(chosen, key=lambda word: (-weight(word), word))[:NUM_WORDS]
