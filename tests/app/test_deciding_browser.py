"""Deciding fast in a real browser: clicks and keys are counted, the same keys do the same everywhere."""

import polars as pl
import pytest
from driving import (
    become,
    card_ids,
    click_cell,
    deep_text,
    rows_of,
    said,
    settle,
    table,
    wait_for_run,
    wait_until,
)

import lorif_core as lf

pytestmark = pytest.mark.browser

KEYS = {"J", "K", "Space", "Enter", "A", "F", "X", "E", "N", "U", "S", "T", "M", "Esc", "?"}


class Counted:
    """A person's hands on a page: every click and every key is counted."""

    def __init__(self, page) -> None:
        self.page = page
        self.num_clicks = self.num_keys = 0

    def click(self, target) -> None:
        self.num_clicks += 1
        target.click()

    def press(self, *keys) -> None:
        for key in keys:
            self.num_keys += 1
            self.page.keyboard.press(key)


@pytest.fixture
def opened(studio):
    """The workspace of the shared studio."""
    return lf.open_workspace(studio.workspace)


def statuses(workspace):
    """Train id → status of every text that is not kept."""
    return dict(
        workspace.decisions.states().filter(pl.col("status") != "kept").select("train_id", "status").iter_rows()
    )


def tick(page, train_id):
    return page.get_by_role("checkbox", name=f"Select {train_id}", exact=True)


def cursor(page):
    """Name of the box of the row that carries the cursor."""
    return page.locator("[data-lorif-cursor] [role=checkbox]").first.get_attribute("aria-label")


def test_three_texts_are_excluded_with_five_clicks(new_page, opened):
    page = new_page("/?query=1")
    first = card_ids(page)[:3]
    hands = Counted(page)
    for train_id in first:
        hands.click(tick(page, train_id))
    page.get_by_text("3 texts selected").wait_for()
    hands.click(page.get_by_role("toolbar").get_by_role("button", name="Exclude…"))
    dialog = page.get_by_role("dialog")
    hands.click(dialog.get_by_role("button", name="spam"))
    become(lambda: statuses(opened), dict.fromkeys(first, "excluded"))
    said(page, "Excluded 3 texts as spam.")
    assert hands.num_clicks <= 5
    assert len(opened.decisions.history(kind="exclude", limit=1)[0].batch.reason) > 0


def test_three_texts_are_excluded_with_six_keys_and_the_reason_is_asked_for_once(new_page, opened):
    page = new_page("/?query=1")
    first = card_ids(page)[:3]
    hands = Counted(page)
    hands.press("j", "x")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="misinformation").wait_for()
    wait_for_run(page)
    hands.press("1")
    said(page, "Excluded 1 text as ")
    dialog.wait_for(state="hidden")
    wait_for_run(page)
    hands.press("x", "x")  # the cursor goes on by itself, and no dialog is needed: two fast keys are two decisions
    become(lambda: statuses(opened), dict.fromkeys(first, "excluded"))
    assert hands.num_keys <= 6
    assert hands.num_clicks == 0
    (state,) = opened.decisions.states().filter(pl.col("train_id") == first[2])["reason"]
    assert state == opened.decisions.states().filter(pl.col("train_id") == first[0])["reason"].item()
    page.get_by_text("excluded · ").nth(2).wait_for()


def test_the_cursor_is_seen_and_what_is_ticked_is_decided_by_id(new_page, opened):
    page = new_page("/?query=1")
    ids = card_ids(page)
    page.keyboard.press("j")
    become(lambda: cursor(page), f"Select {ids[0]}")
    page.keyboard.press("j")
    page.keyboard.press("Space")
    page.keyboard.press("j")
    page.keyboard.press("Space")
    page.keyboard.press("k")
    become(lambda: cursor(page), f"Select {ids[1]}")
    page.get_by_text("2 texts selected").wait_for()
    page.keyboard.press("f")
    become(lambda: statuses(opened), {ids[1]: "flagged", ids[2]: "flagged"})
    assert opened.decisions.history(limit=1)[0].batch.num_events == 2


def test_another_order_empties_the_ticks(new_page, opened):
    page = new_page("/?query=1")
    ids = card_ids(page)
    tick(page, ids[0]).click()
    page.get_by_text("1 text selected").wait_for()
    page.get_by_text("Opposes", exact=True).click()
    page.get_by_text("1 text selected").wait_for(state="hidden")
    page.get_by_text("Supports", exact=True).click()
    settle(page)
    assert page.get_by_role("checkbox", checked=True, name="Select ").count() == 0
    assert statuses(opened) == {}


def test_undo_in_the_toast_says_what_it_takes_back_and_does_it(new_page, opened):
    page = new_page("/?query=1")
    first, second = card_ids(page)[:2]
    page.keyboard.press("f")
    said(page, "Flagged 1 text.")
    opened.flag([second], actor="tester")  # a later act, which this Undo does not mean
    page.get_by_role("button", name="Undo: Flagged 1 text.", exact=True).click()
    said(page, "Undone: flagged 1 text.")
    become(lambda: statuses(opened), {second: "flagged"})
    page.keyboard.press("u")
    become(lambda: statuses(opened), {})
    assert {event.batch.kind for event in opened.decisions.events_of(first)} >= {"flag", "undo"}


@pytest.mark.parametrize("path", ["/?query=1", "/corpus", "/review", "/history"])
def test_the_same_keys_are_listed_everywhere(new_page, path):
    page = new_page(path)
    wait_for_run(page)
    page.locator(".lorif-root.foot").wait_for(state="attached")
    page.keyboard.press("?")
    shown = page.get_by_role("dialog", name="Keys")
    shown.wait_for()
    letters = set(shown.locator("kbd").all_inner_texts())
    assert letters >= KEYS
    page.keyboard.press("?")
    shown.wait_for(state="hidden")


def test_no_key_is_heard_in_a_box(new_page, opened):
    page = new_page("/?query=1")
    settle(page)
    revision = opened.journal.revision()
    box = page.get_by_role("textbox", name="Prompt")
    box.click()
    page.keyboard.type("jxfaenu?1")
    assert box.input_value().count("jxfaenu?1") == 1
    wait_for_run(page)
    assert page.get_by_role("dialog").count() == 0
    assert page.locator("[data-lorif-cursor]").count() == 0
    assert opened.journal.revision() == revision


def test_the_top_of_an_answer_is_excluded_after_its_texts_were_seen(new_page, opened):
    page = new_page("/?query=1")
    ids = card_ids(page)
    page.get_by_role("button", name="Exclude the top…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("3 texts:").wait_for()
    wait_until(lambda: all(one.text in deep_text(page) for one in opened.data.texts(ids[:3])))
    count = dialog.get_by_role("spinbutton", name="How many of the top")
    count.fill("2")
    count.press("Enter")
    dialog.get_by_text("2 texts:").wait_for()
    wait_for_run(page)
    dialog.get_by_role("button", name="outdated").click()
    become(lambda: statuses(opened), dict.fromkeys(ids[:2], "excluded"))
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Exclude the top…").click()
    dialog.get_by_role("button", name="test-leak").wait_for()
    wait_for_run(page)
    offered = dialog.get_by_role("button").all_inner_texts()
    assert "outdated" in next(one for one in offered if "1" in one)  # the last reason is the first


def test_in_the_rows_of_the_corpus_keys_are_about_the_one_under_the_cursor(new_page, opened):
    page = new_page("/corpus")
    page.get_by_role("checkbox", name="Select ").nth(1).wait_for()
    wait_for_run(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    train_id = cursor(page).removeprefix("Select ")
    assert train_id == opened.data.browse(limit=2).frame["train_id"][1]
    page.keyboard.press("f")
    become(lambda: statuses(opened), {train_id: "flagged"})


def test_in_a_table_that_is_a_canvas_keys_are_about_the_row_that_shows_the_id(new_page, opened):
    page = new_page("/?query=1&view=Table")
    frame = table(page, "hits-")
    shown = [opened_id for cells in rows_of(frame) for opened_id in cells if opened_id in opened.reopen("1").ids]
    click_cell(page, frame, row=-1, x=60)  # the browser sorts by the first column, the id, and Python does not know
    wait_until(lambda: [one for cells in rows_of(frame) for one in cells if one in shown] == sorted(shown))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("f")
    become(lambda: statuses(opened), {sorted(shown)[1]: "flagged"})


def test_review_says_why_a_text_is_there_and_near_ones_are_decided_with_it(new_page, opened):
    ids = opened.reopen("1").ids
    opened.restore([ids[1]], actor="tester")
    page = new_page("/review?from=A+question%27s+list&query=1")
    page.get_by_text("It is here because it ranks among the top 10 of question 1.").wait_for()
    page.get_by_text("decided already (").wait_for()
    page.get_by_text("Include decided texts").click()
    page.get_by_text("Rank 1 of the texts that support it").wait_for()
    wait_until(lambda: "The river of Arlen is" in deep_text(page))
    page.get_by_text("Other questions that it ranks for").wait_for()
    wait_for_run(page)  # until then the former row stands beside the new one
    page.locator("[class*='st-key-row-near-0'] label").click()
    page.get_by_text("The next decision is about 2 texts").wait_for()
    wait_for_run(page)
    page.keyboard.press("f")
    wait_until(lambda: len(statuses(opened)) == 2)
    assert ids[0] in statuses(opened)
    assert opened.decisions.history(limit=1)[0].batch.num_events == 2
    page.get_by_text("Rank 1 of the texts that support it").wait_for(state="hidden")
    page.keyboard.press("u")
    become(lambda: statuses(opened), {})
    page.get_by_text("Rank 1 of the texts that support it").wait_for()


def test_ten_texts_are_reviewed_with_a_key_each(new_page, opened):
    ids = opened.data.browse(limit=10).frame["train_id"].to_list()
    opened.flag(ids, actor="tester")
    page = new_page("/review")
    page.get_by_text("0 of 10 done").wait_for()
    hands = Counted(page)
    wait_for_run(page)
    for num_done, key in enumerate("5xaxaxaxaxf"):
        hands.press(key)
        if num_done:
            page.get_by_text(
                f"{num_done} of 10 done" if num_done < 10 else "All 10 texts of this queue are done."
            ).wait_for()
        wait_for_run(page)
    assert hands.num_keys <= 11
    assert sorted(statuses(opened).values()) == ["excluded"] * 5 + ["flagged"]
