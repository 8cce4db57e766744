"""Whoever guesses passwords waits longer and longer, by name and by address; whoever knows theirs does not."""

import pytest

from app.gate import guesses as module
from app.gate.guesses import FIRST_WAIT_S, FORGOTTEN_AFTER_S, FREE_PER_ADDRESS, FREE_PER_NAME, LONGEST_WAIT_S, Guesses


class Clock:
    """Seconds, moved by hand."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guesses(clock):
    return Guesses(clock)


def test_a_name_waits_after_a_few_wrong_guesses_from_wherever(guesses):
    waits = [guesses.start(f"10.0.0.{place}", "ada") for place in range(FREE_PER_NAME + 1)]
    assert waits == [0.0] * FREE_PER_NAME + [FIRST_WAIT_S]
    assert guesses.start("10.0.0.9", " ADA ") > 0
    assert guesses.start("10.0.0.9", "bob") == 0


def test_an_address_waits_whatever_names_it_tries(guesses):
    waits = [guesses.start("10.0.0.1", f"name {place}") for place in range(FREE_PER_ADDRESS + 1)]
    assert waits == [0.0] * FREE_PER_ADDRESS + [FIRST_WAIT_S]
    assert guesses.start("10.0.0.2", "name 0") == 0


def test_the_wait_doubles_up_to_a_limit_and_ends(guesses, clock):
    for _ in range(FREE_PER_NAME):
        guesses.start("a", "ada")
    seen = []
    for _ in range(8):
        seen.append(guesses.start("b", "ada"))
        clock.now += seen[-1] + 1
        assert guesses.start(f"c{clock.now}", "ada") == 0  # may be looked at, and is wrong again
    assert seen[:4] == [FIRST_WAIT_S * 2**place for place in range(4)]
    assert seen[-1] == LONGEST_WAIT_S


def test_waiting_is_not_made_longer_by_trying_meanwhile(guesses, clock):
    for _ in range(FREE_PER_NAME):
        guesses.start("a", "ada")
    for _ in range(50):
        guesses.start("b", "ada")
    clock.now += FIRST_WAIT_S + 1
    assert guesses.start("b", "ada") == 0


def test_the_right_password_lets_the_name_start_afresh_but_not_the_address(guesses):
    for place in range(FREE_PER_ADDRESS - 1):
        guesses.start("10.0.0.1", f"name {place}")
    for _ in range(3):
        assert guesses.start("10.0.0.1", "mine") == 0
        guesses.forgive("10.0.0.1", "mine")
    assert guesses.start("10.0.0.1", "name x") == 0
    assert guesses.start("10.0.0.1", "name y") > 0


def test_what_was_guessed_a_day_ago_is_forgotten(guesses, clock):
    for _ in range(FREE_PER_NAME - 1):
        guesses.start("a", "ada")
    clock.now += FORGOTTEN_AFTER_S + 1
    assert [guesses.start(f"b{place}", "ada") for place in range(FREE_PER_NAME)] == [0.0] * FREE_PER_NAME


def test_many_names_do_not_fill_the_memory(guesses, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 100)
    for place in range(1_000):
        guesses.start(f"address {place}", f"name {place}")
    assert len(guesses._tries) == 100
