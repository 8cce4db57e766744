"""Comparing, reviewing and browsing in a notebook: three widgets of one page in a real browser."""

import pytest
from driving import become, wait_until
from jupyter_lab import notebooks
from tiny_workspace import done

import lorif_core as lf

pytestmark = pytest.mark.browser

OPEN = "import lorif_core as lf\nws = lf.open_workspace('ws')"
COMPARE = (
    "one = ws.ask('The river of Arlen is', ' castle Brook.', k=10)\n"
    "other = ws.ask('The river of Arlen is', ' garden.', k=10)\n"
    "ws.compare(one, other, k=10)"
)
REVIEW = "queue = ws.review(where='year > 1899 and year < 1906')\nqueue"
CORPUS = "ws.corpus()"


@pytest.fixture(scope="module")
def page(lab, chromium):
    """A notebook that shows all three."""
    with notebooks(lab, chromium, "panels") as opened:
        page = opened.run(OPEN, COMPARE, REVIEW, CORPUS, viewport=(1400, 2000))
        panel(page, 3).locator(".card").first.wait_for()
        yield page


@pytest.fixture
def ws(lab):
    """The workspace that the notebook has open."""
    return lf.open_workspace(lab.folder / "ws")


def panel(page, cell):
    return page.locator(".jp-Notebook .jp-CodeCell").nth(cell).locator(".lorif")


def ids_in(box):
    return box.locator(".card").evaluate_all("cards => cards.map((card) => card.dataset.id)")


def num_cells(page):
    return page.locator(".jp-Notebook .jp-Cell").count()


def test_a_comparison_tells_shared_texts_from_those_of_one_question(page, ws):
    box = panel(page, 1)
    one = ws.ask("The river of Arlen is", " castle Brook.", k=10)
    other = ws.ask("The river of Arlen is", " garden.", k=10)
    found = ws.compare(one, other, k=10)
    box.get_by_role("tab", name="Shared").click()
    become(lambda: set(ids_in(box)), set(found.shared))
    box.get_by_role("tab", name="Only B").click()
    become(lambda: set(ids_in(box)), set(found.only_b))
    assert found.shared
    assert found.only_b


def test_the_keys_of_the_review_decide_in_order_and_leave_the_cells_alone(page, ws):
    box, cells = panel(page, 2), num_cells(page)
    box.get_by_text("0 of 6 done").wait_for()
    box.click(position={"x": 5, "y": 5})
    first_reason = next(reason.name for reason in ws.journal.reasons())
    for key, done_so_far in (("f", 1), ("s", 2), ("1", 2), ("x", 3), ("a", 4), ("u", 3)):
        page.keyboard.press(key)
        box.get_by_text(f"{done_so_far} of 6 done").wait_for()
    states = {row["train_id"]: (row["status"], row["reason"]) for row in ws.decisions.states().to_dicts()}
    assert states["t000"][0] == "flagged"
    assert states["t002"] == ("excluded", first_reason)
    assert "t001" not in states
    assert num_cells(page) == cells
    for left in (2, 1, 0):
        page.keyboard.press("u")
        box.get_by_text(f"{left} of 6 done").wait_for()
    assert set(ws.decisions.states()["status"]) <= {"kept"}


def test_two_fast_keys_are_two_decisions(page, ws):
    box, before = panel(page, 2), ws.journal.revision()
    box.get_by_text("0 of 6 done").wait_for()
    box.click(position={"x": 5, "y": 5})
    page.keyboard.type("ffa")  # faster than any answer
    box.get_by_text("3 of 6 done").wait_for()
    kinds = [(entry.batch.kind, entry.batch.num_events) for entry in ws.decisions.history(limit=3)]
    assert (kinds, ws.journal.revision()) == ([("restore", 1), ("flag", 1), ("flag", 1)], before + 3)
    statuses = dict(ws.decisions.states().select("train_id", "status").iter_rows())
    assert (statuses["t000"], statuses["t001"], statuses["t002"]) == ("flagged", "flagged", "kept")
    page.keyboard.type("uuu")
    box.get_by_text("0 of 6 done").wait_for()
    assert ws.journal.revision() == before + 6
    box.get_by_role("button", name="Flag F").dblclick()  # the second half of a double click is no decision
    box.get_by_text("1 of 6 done").wait_for()
    page.keyboard.type("u")
    box.get_by_text("0 of 6 done").wait_for()
    assert ws.journal.revision() == before + 8


def test_fast_keys_decide_about_the_text_that_they_were_meant_for(page, ws):
    box, before = panel(page, 3), ws.journal.revision()
    first, second, *_ = ids_in(box)
    wait_until(lambda: box.locator(".chip.flagged").count() == 0)  # it has heard what the review took back
    box.click(position={"x": 5, "y": 5})
    page.keyboard.type("jfjf")
    wait_until(lambda: ws.journal.revision() == before + 2)
    statuses = dict(ws.decisions.states().select("train_id", "status").iter_rows())
    assert (statuses[first], statuses[second]) == ("flagged", "flagged")
    page.keyboard.type("uu")
    wait_until(lambda: ws.journal.revision() == before + 4)
    page.keyboard.press("Escape")
    wait_until(lambda: box.locator(".drawer").count() == 0)


def test_a_note_in_the_review_takes_letters_as_letters(page, ws):
    box = panel(page, 2)
    before = ws.journal.revision()
    box.get_by_role("button", name="Comment M").click()
    box.get_by_role("textbox", name="Comment").press_sequentially("fx k u")
    assert ws.journal.revision() == before
    box.get_by_role("button", name="Save comment").click()
    wait_until(lambda: ws.journal.revision() == before + 1)
    assert ws.decisions.history(limit=1)[0].batch.text == "fx k u"


def test_the_corpus_is_searched_narrowed_and_paged(page, lab):
    box = panel(page, 3)
    workspace = lab.folder / "ws"
    box.get_by_role("textbox", name="Search the texts").fill("Arlen")
    page.keyboard.press("Enter")
    found = done("browse", workspace, "--search", "Arlen", "--ids").out.split()
    box.get_by_text(f"of {len(found)} texts").wait_for()
    box.get_by_role("button", name="almanac").click()
    narrowed = done("browse", workspace, "--search", "Arlen", "--where", "source = almanac", "--ids").out.split()
    box.get_by_text(f"of {len(narrowed)} texts").wait_for()
    become(lambda: ids_in(box), narrowed[:10])
    box.locator("[data-key=next]").click()
    become(lambda: ids_in(box), narrowed[10:20])
    assert 10 < len(narrowed) < len(found)
