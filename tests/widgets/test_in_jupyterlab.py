"""The widgets in a real JupyterLab, in a real browser."""

import time

import pytest
from conftest import HOSTILE_TEXT
from tiny_workspace import done

pytestmark = pytest.mark.browser

OPEN = "import lorif_core as lf\nws = lf.open_workspace('ws')"
PROMPT, COMPLETION = "The river of Arlen is", " castle Brook Glenby Farrow."
ASK = f"hits = ws.ask({PROMPT!r}, {COMPLETION!r}, k=121, num_opposing=121)\nhits"


def wait_until(claim, seconds=90):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.2)


def token(page, place):
    return page.locator(f".token[data-position='{place}']")


def shown_ids(page):
    return page.locator(".lorif .card").evaluate_all("cards => cards.map((card) => card.dataset.id)")


def test_choosing_tokens_changes_the_list_and_the_trait(run_cells, output_of, lab):
    page = run_cells(OPEN, ASK)
    page.locator(".lorif .card").first.wait_for()
    token(page, 1).wait_for()
    before = shown_ids(page)
    token(page, 1).click()
    token(page, 3).click(modifiers=["Shift"])
    page.get_by_text("Explains 3 of").wait_for()
    wait_until(lambda: shown_ids(page) not in ([], before))
    said = output_of(page, "w = hits.widget(); w.wait(); print(w.selected_tokens, w.top(20)['train_id'].to_list())")
    asked = done(
        "ask", lab.workspace, "--prompt", PROMPT, "--completion", COMPLETION, "--tokens", "1-3", "-k", 20, "--json"
    ).json  # fmt: skip
    assert said.strip() == f"[1, 2, 3] {[hit['train_id'] for hit in asked['supports']]}"
    assert shown_ids(page)[:20] == [hit["train_id"] for hit in asked["supports"]]


def test_a_click_on_flag_writes_one_event_that_history_shows(run_cells, lab):
    page = run_cells(OPEN, ASK)
    page.locator(".lorif .card").first.wait_for()
    train_id = shown_ids(page)[0]
    page.get_by_role("button", name="Flag", exact=True).first.dblclick()
    page.locator(".chip.flagged").first.wait_for()
    history = done("history", lab.workspace, "--json").json["history"]
    assert [entry["batch"]["kind"] for entry in history] == ["flag"]
    assert done("browse", lab.workspace, "--status", "flagged", "--ids").out.split() == [train_id]
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: page.locator(".chip.flagged").count() == 0)


def test_hostile_texts_show_literally(run_cells):
    page = run_cells(OPEN, ASK)
    page.get_by_role("tab", name="All").click()
    card = page.locator(".lorif .card[data-id=hostile]")
    card.get_by_role("button", name="Read").click()
    page.locator(".drawer").wait_for()
    page.locator(".drawer").get_by_text("Token heat").click()
    whole = page.locator(".drawer .whole")
    wait_until(lambda: whole.evaluate("block => block.textContent.length") >= len(HOSTILE_TEXT))
    assert whole.evaluate("block => block.textContent") == HOSTILE_TEXT
    assert page.locator(".lorif script, .lorif img, .lorif mjx-container").count() == 0
