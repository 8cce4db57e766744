"""Every language of the table finds all of its words, and none of another."""

import pytest
from languages import LANGUAGES, MODES, score_all


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    return score_all(tmp_path_factory.mktemp("languages"))


def test_the_table_has_twenty_languages():
    assert len({one.name for one in LANGUAGES}) >= 20


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda one: one.name)
def test_all_that_a_language_must_find_is_found_and_nothing_else(scores, language):
    by_mode = scores[language.name]
    assert {mode: by_mode[mode].false_hits for mode in MODES} == {mode: [] for mode in MODES}
    assert {mode: all(by_mode[mode].found) for mode in MODES} == dict.fromkeys(MODES, True)
