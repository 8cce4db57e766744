"""A team in the studio: guidelines beside Review, threads of comments, shares with overlap, agreement."""

import pytest
from driving import described, rows_of, said, wait_for_run, wait_until
from studio_server import serving
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.workspace.curation.choice import Choice

pytestmark = pytest.mark.browser

PAGE = (
    "# Keep facts\n\n- **with** a source\n\n<b id='own'>bold</b> "
    "![cat](http://example.org/cat.png) [here](http://example.org/)"
)
SAID = "looks <b>odd</b> $x$"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio whose tester is the admin, over ten flagged texts of which Ann and Ben have a share."""
    folder = copy_of(imported(), tmp_path_factory.mktemp("team"))
    opened = lf.open_workspace(folder)
    for name, role in (("tester", "admin"), ("ann", "curator"), ("ben", "curator")):
        opened.journal.set_role(name, role, by="tester")
    opened.flag(opened.data.browse(limit=10).frame["train_id"].to_list(), reason="spam", actor="tester")
    with serving(folder) as running:
        yield running


def test_guidelines_by_an_admin_stand_beside_review_without_html(open_studio, studio):
    page = open_studio(studio, "/team?tab=Guidelines")
    box = page.get_by_role("textbox", name="Guidelines in Markdown")
    box.fill(PAGE)
    page.get_by_role("button", name="Save the guidelines").click()
    said(page, "Guidelines saved.")
    page.get_by_role("link", name="Review", exact=True).click()
    shown = page.locator(".studio-guidelines")
    shown.get_by_role("heading", name="Keep facts").wait_for()
    assert shown.locator("strong").inner_text() == "with"
    assert shown.locator("img, a, b, [id]").count() == 0
    assert "<b id='own'>bold</b> [image: cat] here (http://example.org/)" in shown.inner_text()


def test_comments_on_a_text_are_a_thread_with_who_and_when(open_studio, studio):
    team = lf.open_workspace(studio.workspace).team
    train_id = team.decisions.states()["train_id"][0]
    first = team.comment(train_id, SAID, actor="ann")
    page = open_studio(studio, f"/review?open={train_id}")
    thread = page.locator(".st-key-review-comments")
    thread.get_by_text(SAID, exact=True).wait_for()
    assert f"ann · {first.at:%Y-%m-%d %H:%M} UTC" in thread.inner_text()
    thread.get_by_role("textbox").fill("I agree")
    thread.get_by_role("button", name="Comment").click()
    wait_until(lambda: len(team.comments(train_id)) == 2)
    assert [(one.by, one.text) for one in team.comments(train_id)] == [("ann", SAID), ("tester", "I agree")]
    thread.get_by_text("tester · ").wait_for()
    page.get_by_role("button", name="Delete").click()
    wait_until(lambda: len(team.comments(train_id)) == 1)


def test_a_queue_is_shared_out_with_overlap_and_progress_and_agreement_follow(open_studio, studio):
    opened = lf.open_workspace(studio.workspace)
    page = open_studio(studio, "/team?tab=Rounds")
    page.get_by_text("10 texts, 2 of them for two people: 4 for each of 3.").wait_for()
    page.get_by_role("button", name="Share it out").click()
    said(page, "Shared out.")
    (found,) = opened.team.rounds()
    assert {name: len(ids) for name, ids in found.shares.items()} == {"ann": 4, "ben": 4, "tester": 4}
    for number, (name, ids) in enumerate(found.shares.items()):
        opened.exclude(ids, reason="spam", actor=name) if number else opened.restore(ids, actor=name)
    results = opened.team.results(found.name)
    page.reload()
    shares = rows_of(described(page, "How far each person is with their share"))
    assert [cells[0] for cells in shares] == list(found.shares)
    pairs = rows_of(described(page, "Agreement of each two people"))
    assert [cells[0] for cells in pairs] == [f"{one.one} and {one.other}" for one in results.pairs]
    assert [cells[2] for cells in pairs] == [f"{one.percent:.0f} %" for one in results.pairs]
    page.get_by_text("Progress", exact=True).first.click()
    wait_for_run(page)
    people = {cells[0]: cells[1] for cells in rows_of(described(page, "Texts decided by each person"))}
    assert people == {"tester": "14", "ann": "4", "ben": "4"}


def test_ones_share_is_a_queue_of_review(open_studio, studio):
    opened = lf.open_workspace(studio.workspace)
    opened.team.share_out("another", Choice("excluded"), ["tester", "ann"], actor="tester")
    left = opened.team.share_left("tester")
    page = open_studio(studio, "/team?tab=Rounds")
    page.get_by_role("link", name="Review your share").click()
    page.get_by_text(f"0 of {len(left)} done").first.wait_for()
    assert left
