import random
import re
import unicodedata
from functools import cache
from itertools import combinations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.corpus.duplicates import SCHEMA, choose_bands, exact_groups, near_groups, normalised, shingles
from lorif_core.errors import ConfigError

WORDS = [f"w{number}" for number in range(400)]


def batches_of(texts, size=7):
    """Batches with ids ``t0``, ``t1``, … in the order of the texts."""
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        yield [f"t{start + at}" for at in range(len(part))], part


def near(texts, *, size=7, **settings):
    return near_groups(lambda: batches_of(texts, size), **settings)


def slow_words(text):
    """The words of a text, by a pattern over its normalised form."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    trimmed = [re.sub(r"^[^\w$+<=>^`|~]+|[^\w$+<=>^`|~]+$", "", word) for word in folded.split()]
    return [word for word in trimmed if word]


@cache
def slow_pieces(text):
    words = slow_words(text)
    return set(zip(words, words[1:], words[2:], strict=False)) if len(words) >= 3 else set(words)


def slow_similarity(one, other):
    """Jaccard similarity of the sets of 3-shingles, or of words."""
    left, right = slow_pieces(one), slow_pieces(other)
    return len(left & right) / len(left | right) if left | right else 1.0


def slow_groups(texts, threshold):
    """Connected components over all pairs: sorted lists of positions, the largest first."""
    component = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if slow_similarity(texts[one], texts[other]) >= threshold and component[one] != component[other]:
            old, new = sorted((component[one], component[other]), reverse=True)
            component = [new if root == old else root for root in component]
    groups = [[at for at, root in enumerate(component) if root == first] for first in sorted(set(component))]
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group[0]))


def members(frame):
    """Positions by group, in the frame's order."""
    assert frame.schema == SCHEMA
    parts = frame.partition_by("group", maintain_order=True)
    assert [part["group"].unique().to_list() for part in parts] == [[at] for at in range(1, len(parts) + 1)]
    return [[int(train_id[1:]) for train_id in part["train_id"]] for part in parts]


def corpus(seed, num_texts=120):
    """Random texts, of which half are edits of an earlier one: words changed, dropped, reordered or capitals."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 40))) for _ in range(num_texts // 2)]
    while len(texts) < num_texts:
        words = draw.choice(texts).split()
        edit = draw.randrange(4)
        if edit == 0:
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        elif edit == 1:
            words = words[draw.randint(0, 2) :] or words
        elif edit == 2:
            words = [word.upper() for word in words] + ["!"]
        else:
            words = [*words[:-4], *draw.sample(words[-4:], len(words[-4:]))]
        texts.append("  ".join(words))
    draw.shuffle(texts)
    return texts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.6, 0.8, 1.0])
def test_near_groups_are_those_of_all_pairs(seed, threshold):
    texts = corpus(seed)
    frame = near(texts, threshold=threshold, seed=seed)
    assert slow_groups(texts, threshold)
    assert members(frame) == slow_groups(texts, threshold)


def test_kind_and_similarity_are_those_to_the_first_member():
    texts = corpus(7)
    parts = near(texts, threshold=0.6).partition_by("group")
    assert {kind for part in parts for kind in part["kind"][1:]} == {"exact", "near"}
    for part in parts:
        positions = [int(train_id[1:]) for train_id in part["train_id"]]
        first = texts[positions[0]]
        assert part["similarity"].to_list() == [slow_similarity(first, texts[at]) for at in positions]
        is_same = [normalised(first) == normalised(texts[at]) for at in positions]
        assert part["kind"].to_list() == ["exact" if same else "near" for same in is_same]


def test_groups_do_not_depend_on_the_batches():
    texts = corpus(8)
    whole = near(texts, size=len(texts))
    assert near(texts, size=1).equals(whole)
    assert exact_groups(batches_of(texts, 1)).equals(exact_groups(batches_of(texts, 50)))


def test_the_same_seed_gives_the_same_groups():
    texts = corpus(9)
    assert near(texts, threshold=0.3, num_perm=32, seed=3).equals(near(texts, threshold=0.3, num_perm=32, seed=3))


def test_a_chain_is_one_group_though_its_ends_differ():
    words = WORDS[:40]
    chain = [" ".join(words[start : start + 30]) for start in range(0, 10, 2)]
    frame = near(chain, threshold=0.8)
    assert members(frame) == [[0, 1, 2, 3, 4]]
    assert frame["similarity"].to_list() == [1.0, 26 / 30, 24 / 32, 22 / 34, 20 / 36]  # 28 shingles, 2 lost a step


def test_a_pair_at_the_threshold_is_linked_and_one_below_it_is_not():
    base = " ".join(WORDS[:10])  # 8 shingles
    assert members(near([base, " ".join(WORDS[:12])], threshold=0.8)) == [[0, 1]]  # 8 of 10
    assert near([base, " ".join(WORDS[:13])], threshold=0.8).is_empty()  # 8 of 11


def test_texts_that_meet_in_every_band_are_still_compared():
    template = "the quick brown fox jumps over the lazy dog and runs far away from here"
    texts = [f"{template} {one} {other}" for one, other in zip(WORDS[::2], WORDS[1::2], strict=True)]
    assert 0.7 < slow_similarity(texts[0], texts[1]) < 0.8
    assert near(texts, threshold=0.8).is_empty()
    assert members(near(texts, threshold=0.7)) == [list(range(len(texts)))]


def test_a_pair_is_found_though_it_always_meets_an_earlier_text_that_is_no_duplicate():
    texts = []
    for at in range(30):
        words = [f"{word}-{at}" for word in WORDS[:60]]
        texts += [" ".join(words[13:]), " ".join(words), " ".join(words[:-1])]  # 45 of 58 shingles, all, 57 of 58
    frame = near(texts, threshold=0.8, num_perm=3)  # three bands of one value: all three texts meet in most
    assert members(frame) == [[at, at + 1] for at in range(1, 90, 3)]


def test_most_pairs_at_the_threshold_are_found_whatever_the_seed():
    base = [" ".join(f"{word}-{at}" for word in WORDS[:12]) for at in range(150)]
    texts = [*base, *(" ".join(text.split()[:10]) for text in base)]  # 8 of 10 shingles each
    found = [near(texts, seed=seed, size=100)["group"].n_unique() for seed in range(3)]
    assert min(found) >= 0.97 * len(base)  # choose_bands promises 0.99 on average


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("num_perm", [64, 128, 256])
def test_bands_miss_at_most_one_pair_in_a_hundred_and_no_longer_ones_do(threshold, num_perm):
    count, rows = choose_bands(threshold, num_perm)
    assert count * rows <= num_perm
    assert (1 - threshold**rows) ** count <= 0.01
    longer = rows + 1
    assert longer > num_perm or (1 - threshold**longer) ** (num_perm // longer) > 0.01


@given(
    st.lists(st.sampled_from(["Hello World", " hello\tworld!", "“HELLO  world”", "hello, world", "ﬁn", "FIN", ""]))
)
def test_exact_groups_are_those_of_a_dictionary(texts):
    by_form = {}
    for at, text in enumerate(texts):
        by_form.setdefault(normalised(text), []).append(at)
    expected = sorted((group for group in by_form.values() if len(group) > 1), key=lambda group: (-len(group), group))
    frame = exact_groups(batches_of(texts, 3))
    assert members(frame) == expected
    assert set(frame["kind"]) <= {"exact"}
    assert set(frame["similarity"]) <= {1.0}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Hello World", "hello world"),
        ("  hello\n\tworld!? ", "hello world"),
        ("«Straße»", "strasse"),
        ("ﬁne…", "fine"),
        ("Ａ　ｂ", "a b"),
        ("don't", "don't"),
        ("- a, b -", "a, b"),
        ("...", ""),
        ("", ""),
        ("$5", "$5"),
        ("e\u0301", "é"),
        ("\u0390", "\u0390"),  # case folding takes this letter apart
    ],
)
def test_the_normalised_form_of_a_text(text, form):
    assert normalised(text) == form


@given(st.text(max_size=20))
def test_normalising_twice_is_normalising_once(text):
    assert normalised(normalised(text)) == normalised(text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One two, three - FOUR.", {"one two three", "two three four"}),
        ("one two", {"one", "two"}),
        ("one two three", {"one two three"}),
        ("a a a a", {"a a a"}),
        ("?!", set()),
    ],
)
def test_the_shingles_of_a_text(text, pieces):
    assert shingles(text) == pieces


@pytest.mark.parametrize("texts", [[], ["only one"], ["", ""], ["", "a", "!"], ["\ud800 x y z", "\ud800 x y z."]])
def test_few_or_empty_texts_are_grouped_as_any_other(texts):
    assert members(near(texts)) == slow_groups(texts, 0.8)
    assert members(exact_groups(batches_of(texts))) == slow_groups(texts, 1.0)


def test_an_empty_batch_between_others_changes_nothing():
    batches = [(["t0"], ["same text here"]), ([], []), (["t1"], ["Same text here."])]
    assert members(near_groups(lambda: batches)) == [[0, 1]]
    assert members(exact_groups(iter(batches))) == [[0, 1]]


def test_equal_sized_groups_stand_in_the_order_of_their_first_members():
    texts = ["b b b", "a a a", "c c c", "a a a", "b b b", "c c c", "c c c"]
    assert members(near(texts)) == members(exact_groups(batches_of(texts))) == [[2, 5, 6], [0, 4], [1, 3]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0}, r"in \(0, 1\], got 0\.0"),
        ({"threshold": 1.5}, r"got 1\.5"),
        ({"threshold": float("nan")}, r"got nan"),
        (
            {"threshold": 0.01, "num_perm": 16},
            r"16 signature values miss more than 1% of pairs with similarity 0\.01",
        ),
        ({"num_perm": 0}, r"0 signature values"),
        ({"seed": -1}, r"got -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        near(["a"], **settings)


def test_many_copies_are_one_group():
    frame = near(["the very same text"] * 20_000, size=20_000)
    assert frame.select(pl.len(), pl.col("group").max()).row(0) == (20_000, 1)
