"""Investigate in a real browser."""

import time

import pytest
from driving import (
    address,
    ask_button,
    parameters,
    ranks,
    scores,
    selected_tokens,
    show_tokens,
    token,
    wait_for_run,
    wait_until,
)
from tiny_workspace import HOSTILE_ID

import lorif_core as lf

pytestmark = pytest.mark.browser


def choose_four_tokens(page):
    show_tokens(page)
    token(page, 2).click()
    wait_until(lambda: selected_tokens(page) == [2])
    token(page, 5).click(modifiers=["Shift"])


def test_a_typed_question_shows_a_ranked_list_with_falling_scores(new_page):
    page = new_page()
    page.get_by_role("textbox", name="Prompt").fill("The castle of Corve is")
    page.get_by_role("textbox", name="Completion").fill(" garden Farrow.")
    ask_button(page).click()
    assert ranks(page)[:3] == ["#1", "#2", "#3"]
    found = scores(page)
    assert found == sorted(found, reverse=True)
    assert min(found) > 0
    assert "query" in parameters(page)


def test_click_and_shift_click_choose_a_range_of_tokens(new_page):
    page = new_page("/?query=1")
    choose_four_tokens(page)
    wait_until(lambda: selected_tokens(page) == [2, 3, 4, 5])
    page.get_by_text("4 of").wait_for()


def test_the_keyboard_chooses_the_same_range(new_page):
    page = new_page("/?query=1")
    show_tokens(page)
    token(page, 2).focus()
    page.keyboard.press("Space")
    wait_until(lambda: selected_tokens(page) == [2])
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    wait_until(lambda: selected_tokens(page) == [2, 3, 4, 5])
    page.keyboard.press("Escape")
    wait_until(lambda: selected_tokens(page) == [])


def test_the_header_names_the_tokens_that_were_explained(new_page):
    page = new_page("/?query=1")
    choose_four_tokens(page)
    page.get_by_text("4 of").wait_for()
    ask_button(page).click()
    page.get_by_text("explains tokens 2–5").wait_for()


def test_opposes_holds_only_negative_scores_most_negative_first(new_page):
    page = new_page("/?query=1&tab=Opposes")
    found = scores(page)
    assert max(found) < 0
    assert found == sorted(found)


def test_a_hostile_text_shows_literally(new_page):
    page = new_page(f"/?query=2&tab=All&open={HOSTILE_ID}&find=bold")
    page.get_by_text("Other questions that bring it up").wait_for()
    heated = page.get_by_role("dialog").locator(".text .heat")  # in shadow roots, which inner_text leaves out
    heated.first.wait_for()
    shown = "".join(page.get_by_role("dialog").locator(".text").all_text_contents())
    assert "[bold]x[/bold] [link=file:///etc/passwd]y[/link]" in shown
    assert "␛" in shown


def test_a_double_click_on_flag_makes_one_event(new_page, studio):
    page = new_page("/?query=1")
    ranks(page)
    before = lf.open_workspace(studio.workspace).journal.revision()
    page.get_by_role("button", name="Flag", exact=True).first.dblclick()
    page.locator(".chip.flagged").first.wait_for()
    time.sleep(1.5)  # for a second event, if one were to come
    wait_for_run(page)
    assert lf.open_workspace(studio.workspace).journal.revision() == before + 1
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: page.locator(".chip.flagged").count() == 0)


def test_a_flag_made_elsewhere_shows_without_a_reload(new_page, studio):
    page = new_page("/?query=1")
    ranks(page)
    elsewhere = lf.open_workspace(studio.workspace)
    first = elsewhere.reopen("1").ids[0]
    elsewhere.flag([first], actor="tester")
    page.locator(".chip.flagged").first.wait_for()
    elsewhere.restore([first], actor="tester")


def test_an_exclusion_asks_for_a_reason(new_page, studio):
    page = new_page("/?query=1")
    ranks(page)
    page.get_by_role("button", name="Exclude…").nth(1).click()
    dialog = page.get_by_role("dialog")
    before = lf.open_workspace(studio.workspace).journal.revision()
    assert dialog.get_by_role("button", name="Exclude", exact=True).count() == 0  # nothing excludes without a reason
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="hidden")
    assert lf.open_workspace(studio.workspace).journal.revision() == before
    page.get_by_role("button", name="Exclude…").nth(1).click()
    dialog.get_by_role("button", name="spam").click()
    page.get_by_text("excluded · spam").wait_for()


def test_the_address_opens_the_same_answer_in_another_browser(new_page):
    first = new_page("/?query=1&tab=Opposes&find=river")
    wanted = (ranks(first), scores(first))
    second = new_page("/" + address(first).split("/", 3)[3])
    assert (ranks(second), scores(second)) == wanted
    assert second.get_by_role("textbox", name="Prompt").input_value() == "The river of Arlen is"
