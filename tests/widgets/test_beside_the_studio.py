"""A notebook and the studio over one workspace, both in a real browser: one list, one set of decisions."""

import json

import pytest
from driving import card_ids, cards, opening
from jupyter_lab import notebooks
from tiny_workspace import done

from lorif_core.views.tokens import signed

pytestmark = pytest.mark.browser

OPEN = "import json\nimport lorif_core as lf\nws = lf.open_workspace('ws')"
PROMPT, COMPLETION = "The bridge of Corve is", " castle Brook Glenby Farrow."
ASK = f"hits = ws.ask({PROMPT!r}, {COMPLETION!r}, k=20)\nhits"


@pytest.fixture(scope="module")
def notebook(lab, chromium):
    """The page of a notebook that has asked."""
    with notebooks(lab, chromium, "beside") as opened:
        page = opened.run(OPEN, ASK)
        page.locator(".lorif .card").nth(19).wait_for()
        yield page


@pytest.fixture(scope="module")
def top(notebook, output_of):
    """Id of the question and ``hits.top(20)`` as the kernel has them: (query id, ids, scores)."""
    said = output_of(notebook, "print(json.dumps([hits.query_id, hits.top(20).select('train_id', 'score').rows()]))")
    query_id, rows = json.loads(said)
    return query_id, [train_id for train_id, _ in rows], [score for _, score in rows]


@pytest.fixture(scope="module")
def studio_page(studio, chromium, top):
    """The studio's page of the same question."""
    with opening(chromium, "beside-the-studio") as (open_path, _):
        page = open_path(studio, f"/?query={top[0]}")
        assert len(card_ids(page)) == 20
        yield page


def card_in_notebook(page, train_id):
    return page.locator(f".lorif .card[data-id='{train_id}']")


def card_in_studio(page, place):
    return page.locator("[class*='st-key-card-hit-']").nth(place)


def test_the_notebook_the_studio_and_the_command_line_list_the_same(lab, top, studio_page):
    _, ids, scores = top
    asked = done(
        "ask", lab.folder / "ws", "--prompt", PROMPT, "--completion", COMPLETION, "-k", 20, "--forget", "--json"
    ).json  # fmt: skip
    assert [hit["train_id"] for hit in asked["supports"]] == ids
    assert [hit["score"] for hit in asked["supports"]] == scores
    assert card_ids(studio_page) == ids
    assert cards(studio_page, ".score").all_inner_texts() == [signed(score) for score in scores]


def test_a_decision_in_the_notebook_shows_in_the_studio_and_so_does_its_undo(notebook, top, studio_page):
    card_in_notebook(notebook, top[1][3]).get_by_role("button", name="Flag").click()
    shown = card_in_studio(studio_page, 3).locator(".chip.flagged")
    shown.wait_for()
    notebook.get_by_role("button", name="Undo").click()
    shown.wait_for(state="detached")


def test_a_decision_in_the_studio_shows_in_the_notebook_and_so_does_its_undo(notebook, top, studio_page):
    card_in_studio(studio_page, 5).get_by_role("button", name="Flag").click()
    shown = card_in_notebook(notebook, top[1][5]).locator(".chip.flagged")
    shown.wait_for()
    studio_page.get_by_role("button", name="Undo", exact=True).first.click()
    shown.wait_for(state="detached")
