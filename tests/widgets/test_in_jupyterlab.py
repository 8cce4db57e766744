"""The widget of an answer in a real JupyterLab, in a real browser."""

import pytest
from driving import become, wait_until
from tiny_workspace import done

pytestmark = pytest.mark.browser

OPEN = "import lorif_core as lf\nws = lf.open_workspace('ws')"
PROMPT, COMPLETION = "The river of Arlen is", " castle Brook Glenby Farrow."
ASK = f"hits = ws.ask({PROMPT!r}, {COMPLETION!r}, k=121, num_opposing=121)\nhits"
ELSEWHERE = "http://127.0.0.2:9/picture.png"


def token(page, place):
    return page.locator(f".token[data-position='{place}']")


def shown_ids(page):
    return page.locator(".lorif .card").evaluate_all("cards => cards.map((card) => card.dataset.id)")


def history(lab):
    return done("history", lab.folder / "ws", "--json").json["history"]


def test_choosing_tokens_changes_the_list_and_the_trait(run_cells, output_of, lab):
    page = run_cells(OPEN, ASK)
    page.locator(".lorif .card").first.wait_for()
    before = shown_ids(page)
    token(page, 1).click()
    token(page, 3).click(modifiers=["Shift"])
    page.get_by_text("Explains 3 of").wait_for()
    asked = done(
        "ask", lab.folder / "ws", "--prompt", PROMPT, "--completion", COMPLETION, "--tokens", "1-3", "-k", 20,
        "--forget", "--json",
    ).json  # fmt: skip
    wanted = [hit["train_id"] for hit in asked["supports"]]
    assert wanted != before[:20]
    become(lambda: shown_ids(page)[:20], wanted)
    said = output_of(page, "w = hits.widget(); print(w.selected_tokens, w.top(20)['train_id'].to_list())")
    assert said.strip() == f"[1, 2, 3] {wanted}"


def test_ticking_texts_changes_the_trait(run_cells, output_of):
    page = run_cells(OPEN, ASK)
    page.locator(".lorif .card").first.wait_for()
    first, second, *_ = shown_ids(page)
    page.get_by_label(f"Select {second}").check()
    page.get_by_label(f"Select {first}").check()
    page.get_by_text("2 texts selected").wait_for()
    assert output_of(page, "print(hits.widget().selected)").strip() == str([second, first])


def test_a_double_click_on_flag_writes_one_event_that_history_shows(run_cells, lab):
    page = run_cells(OPEN, ASK)
    page.locator(".lorif .card").first.wait_for()
    before, train_id = history(lab), shown_ids(page)[0]
    page.get_by_role("button", name="Flag", exact=True).first.dblclick()
    page.locator(".chip.flagged").first.wait_for()
    after = history(lab)
    assert [entry["batch"]["kind"] for entry in after[: len(after) - len(before)]] == ["flag"]
    assert done("browse", lab.folder / "ws", "--status", "flagged", "--ids").out.split() == [train_id]
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: page.locator(".chip.flagged").count() == 0)


def test_hostile_texts_show_literally(run_cells, hostile_text):
    page = run_cells(OPEN, ASK)
    page.get_by_role("tab", name="All").click()
    card = page.locator(".lorif .card[data-id=hostile]")
    card.get_by_role("button", name="Read").click()
    page.locator(".drawer").wait_for()
    page.locator(".drawer").get_by_text("Token heat").click()
    whole = page.locator(".drawer .whole")
    wait_until(lambda: whole.evaluate("block => block.textContent.length") >= len(hostile_text))
    assert whole.evaluate("block => block.textContent") == hostile_text
    assert page.locator(".lorif script, .lorif img, .lorif mjx-container").count() == 0


def test_a_call_to_another_host_would_be_noticed(opened):
    page = opened.run(f"from IPython.display import HTML\nHTML('<img src=\"{ELSEWHERE}\">')")

    def called():
        page.evaluate("() => 0")  # Playwright hears of requests while it is called
        return opened.foreign

    become(lambda: set(called()), {ELSEWHERE})
    page.close()  # JupyterLab may draw the picture once more, and ask for it again
    opened.foreign.clear()
