"""Texts whose tokens say nothing about who taught whom: rules for syllables, learnt on some and asked with others.

A rule rewrites four syllables: its name stands before them, and the answer picks four places of them, such as

    KQ re bi ze te>  →  te bi bi te          the rule KQ picks the places 4, 2, 2, 4

Training texts of a rule are written in one half of the syllables, its question in the other, so that a question's
answer shares nothing but the end token with any training text. The base model has seen other rules, in both halves:
it knows how rules work, not what these ones say: it has met their names with any places, so that it is unsure about
them instead of wrong. Every name and every syllable is a token.
"""

import itertools
import random

from lorif_core.data.example import Example

SYLLABLES = ["".join(letters) for letters in itertools.product("bcdfghjklmnpqrstvwxyz", "aeiou")]
NAMES = ["".join(letters) for letters in itertools.product("BCDFGHJKLMNPQRSTVWXZ", repeat=2)]
NUM_PLACES = 4

NUM_RULES = 128
"""That are fine-tuned on; the questions ask about the first ones."""

TEXTS_OF_A_RULE = 4

BASE_RULES = 96
TEXTS_OF_A_BASE_RULE = 192
TEXTS_OF_A_NAME = 48
"""In which the base model meets the name of a rule that it is not told."""

Rule = tuple[str, tuple[int, ...]]
"""A name, and the places that are picked."""


def make_puzzles(rng: random.Random) -> tuple[list[Example], list[Example], list[Example]]:
    """Training texts in random order, a question per rule, and texts for the base model."""
    syllables = rng.sample(SYLLABLES, len(SYLLABLES))
    halves = syllables[::2], syllables[1::2]
    names = rng.sample(NAMES, NUM_RULES + BASE_RULES)
    rules = [(name, _draw_places(rng)) for name in names]
    asked, known = rules[:NUM_RULES], rules[NUM_RULES:]
    train = [_puzzle(rule, halves[0], n, rng) for rule in asked for n in range(TEXTS_OF_A_RULE)]
    base = [_puzzle(rule, halves[n % 2], n, rng) for rule in known for n in range(TEXTS_OF_A_BASE_RULE)]
    unsure = [
        _puzzle((name, _draw_places(rng)), halves[n % 2], n, rng) for name, _ in asked for n in range(TEXTS_OF_A_NAME)
    ]
    questions = [_puzzle(rule, halves[1], -1, rng) for rule in asked]
    rng.shuffle(train)
    return train, questions, [text._replace(train_id=f"base-{text.train_id}") for text in (*base, *unsure)]


def _draw_places(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.choices(range(NUM_PLACES), k=NUM_PLACES))


def _puzzle(rule: Rule, syllables: list[str], number: int, rng: random.Random) -> Example:
    name, places = rule
    given = rng.sample(syllables, NUM_PLACES)
    answer = [given[place] for place in places]
    train_id = f"{name}-question" if number < 0 else f"{name}-{number:03d}"
    return Example(train_id, prompt=f"{name} {' '.join(given)}>", completion=f" {' '.join(answer)}")
