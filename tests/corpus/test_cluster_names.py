"""Names of groups of texts against a count that is written out by hand."""

import math

import pytest

from lorif_core.corpus.cluster_names import cluster_names, count_words

TEXTS = [
    (0, "The cat sat. The cat cat cat!"),
    (0, "the CAT ran 7 7"),
    (0, "the dog and a cat"),
    (1, "the stock market fell"),
    (1, "the stock rose 7"),
]


def test_words_are_counted_once_a_text_and_weighed_by_how_few_groups_have_them():
    counts, sizes = count_words(TEXTS, 2)
    assert sizes == [3, 2]
    assert (counts[0]["cat"], counts[0]["the"], counts[0]["dog"], counts[1]["stock"]) == (3, 3, 1, 2)
    # A = 2.5 texts a group. cat: 3/3 · log(1 + 2.5/3); the: 1 · log(1 + 2.5/5), so the is behind. In one text
    # only, or a number: dog, sat, ran, a, and, 7.
    assert math.log(1 + 2.5 / 3) > math.log(1 + 2.5 / 5)
    assert cluster_names(counts, sizes) == ["cat, the", "stock, the"]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([(0, "one"), (1, "!!!"), (2, "")], ["one", "group 2", "group 3"]),
        ([(0, "same words"), (1, "same words")], ["same, words", "same, words (2)"]),
        ([(0, "7 8"), (0, "7 9")], ["7, 8, 9"]),
    ],
)
def test_groups_of_few_words_have_names_and_no_two_alike(texts, names):
    assert cluster_names(*count_words(texts, len({group for group, _ in texts}))) == names
