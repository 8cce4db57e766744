"""Deciding in a real browser: what is selected is what is written, nothing is lost, everything can be undone."""

from urllib.parse import urljoin

import polars as pl
import pytest
from driving import (
    address,
    card_ids,
    click_cell,
    corpus_ids,
    corpus_rows,
    deep_text,
    described,
    rows_of,
    said,
    sort_corpus,
    table,
    wait_for_run,
    wait_until,
)
from studio_server import PASSWORD, give_passwords, serving
from tiny_workspace import copy_of, imported, indexed, write_rows

import lorif_core as lf
from lorif_core.views.text import counted
from lorif_core.workspace.datasets.view import View

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(studio):
    """The workspace of the shared studio."""
    return lf.open_workspace(studio.workspace)


def statuses(workspace):
    """Train id → status of every text that is not kept."""
    return dict(
        workspace.decisions.states().filter(pl.col("status") != "kept").select("train_id", "status").iter_rows()
    )


def select_rows(page, rows):
    for row in rows:
        corpus_rows(page).nth(row).get_by_role("checkbox").click()
    page.get_by_text(f"{counted(len(rows), 'text')} selected", exact=True).wait_for()


def test_rows_selected_before_another_order_are_not_flagged_in_their_place(new_page, opened):
    page = new_page("/corpus")
    before = corpus_ids(page)
    select_rows(page, [0, 2])
    sort_corpus(page, "year")
    wait_until(lambda: corpus_ids(page) != before)
    page.get_by_text("2 texts selected", exact=True).wait_for(state="hidden")
    page.keyboard.press("f")  # nothing is selected: about the text under the cursor, which was clicked last
    said(page, "Flagged 1 text.")
    assert list(statuses(opened)) == before[2:3]


def test_rows_of_a_sorted_table_are_flagged_by_what_they_show(new_page, opened):
    page = new_page("/corpus")
    wanted = opened.data.browse(View(sort=("-data.year",)), limit=3).frame["train_id"].to_list()
    sort_corpus(page, "year")
    wait_until(lambda: corpus_ids(page)[:3] != wanted)
    sort_corpus(page, "year")
    wait_until(lambda: corpus_ids(page)[:3] == wanted)
    select_rows(page, [1])
    page.keyboard.press("f")
    said(page, "Flagged 1 text.")
    assert statuses(opened) == {wanted[1]: "flagged"}


def test_undo_and_redo_of_a_single_decision(new_page, opened):
    page = new_page("/?query=1")
    first = card_ids(page)[0]
    page.get_by_role("button", name="Flag", exact=True).first.click()
    wait_until(lambda: statuses(opened) == {first: "flagged"})
    page.locator(".chip.flagged").first.wait_for()
    page.get_by_role("button", name="Undo", exact=True).click()
    wait_until(lambda: statuses(opened) == {})
    wait_until(lambda: page.locator(".chip.flagged").count() == 0)
    page.get_by_role("button", name="Redo", exact=True).click()
    wait_until(lambda: statuses(opened) == {first: "flagged"})
    page.locator(".chip.flagged").first.wait_for()


def test_undo_and_redo_of_a_group(new_page, opened):
    page = new_page("/?query=2&tab=Groups")
    frame = table(page, "groups")
    (name, count, *_) = rows_of(frame)[0]
    click_cell(page, frame, row=0)
    flag = page.get_by_role("button", name="Flag", exact=True)
    wait_until(flag.is_enabled)
    flag.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"Yes, flag all {count}").click()  # more than 50
    wait_for_run(page)
    dialog.get_by_role("button", name="Flag", exact=True).click()
    wait_until(lambda: len(statuses(opened)) == int(count))
    sources = opened.data.browse(View(where=f"source = {name}"), limit=200).frame["train_id"].to_list()
    assert set(statuses(opened)) <= set(sources)
    page.get_by_role("button", name="Undo", exact=True).click()
    wait_until(lambda: statuses(opened) == {})
    page.get_by_role("button", name="Redo", exact=True).click()
    wait_until(lambda: len(statuses(opened)) == int(count))


def test_undo_and_redo_of_five_hundred(open_studio, tmp_path):
    file = write_rows(
        tmp_path / "many.jsonl", [{"id": f"m{place:03d}", "text": f"text {place}"} for place in range(500)]
    )
    workspace = lf.create_workspace(tmp_path / "ws")
    workspace.data.import_files(file)
    with serving(workspace.path) as studio:
        page = open_studio(studio, "/corpus")
        page.get_by_role("button", name="Decide about all 500…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("500 texts are meant").wait_for()
        decide = dialog.get_by_role("button", name="Decide", exact=True)
        wait_until(lambda: "m004:  text 4" in deep_text(page))
        assert decide.is_disabled()
        dialog.get_by_text("exclude", exact=True).click()
        dialog.get_by_text("Yes, exclude all 500").click()
        wait_for_run(page)
        assert decide.is_disabled()
        dialog.get_by_role("combobox", name="Reason").click()
        page.get_by_role("option", name="spam").click()
        wait_until(decide.is_enabled)
        decide.click()
        wait_until(lambda: len(statuses(workspace)) == 500)
        page.get_by_role("button", name="Undo", exact=True).click()
        wait_until(lambda: statuses(workspace) == {})
        page.get_by_role("button", name="Redo", exact=True).click()
        wait_until(lambda: set(statuses(workspace).values()) == {"excluded"})


def test_the_letter_f_flags_the_open_text_and_in_a_comment_it_is_a_letter(new_page, opened):
    first = opened.reopen("1").ids[0]
    page = new_page(f"/?query=1&open={first}")
    page.get_by_text("Other questions that bring it up").wait_for()
    page.keyboard.press("f")
    wait_until(lambda: statuses(opened) == {first: "flagged"})
    page.goto(urljoin(address(page), "/review?from=Flagged"))
    page.get_by_role("button", name="Comment…").click()
    comment = page.get_by_role("textbox", name="Comment on this text")
    comment.click()
    revision = opened.journal.revision()
    page.keyboard.type("fff xxx kkk")
    assert comment.input_value() == "fff xxx kkk"
    page.keyboard.press("Control+z")
    wait_until(lambda: comment.input_value() != "fff xxx kkk")
    wait_for_run(page)
    assert opened.journal.revision() == revision
    assert statuses(opened) == {first: "flagged"}


def test_a_decision_that_was_said_to_be_saved_outlives_kill_9(open_studio, tmp_path):
    with serving(copy_of(indexed(), tmp_path)) as studio:
        workspace = lf.open_workspace(studio.workspace)
        workspace.ask("The river of Arlen is", " castle Brook.", k=10)
        page = open_studio(studio, "/?query=1")
        first = card_ids(page)[0]
        page.get_by_role("button", name="Flag", exact=True).first.click()
        said(page, "Flagged 1 text.")
        studio.kill()
        assert statuses(workspace) == {first: "flagged"}
        studio.start()
        history = open_studio(studio, "/history")  # the first page that a new server shows
        history.get_by_text("1 act", exact=True).wait_for()
        assert not history.get_by_text("Page not found").count()
        again = open_studio(studio, "/?query=1")
        assert card_ids(again)[0] == first
        again.locator(".chip.flagged").first.wait_for()


def sign_in(page, name):
    page.get_by_role("textbox", name="Your name").fill(name)
    page.get_by_role("textbox", name="Your password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text(f"You are {name}").wait_for()
    page.get_by_role("heading", name="Corpus").wait_for()  # where the link led


def test_two_people_who_disagree_are_both_kept_and_shown(open_studio, tmp_path):
    folder = copy_of(imported(), tmp_path)
    give_passwords(lf.open_workspace(folder).journal, anna="admin", bert="curator")
    with serving(folder, auth="password") as studio:
        anna, bert = (open_studio(studio, "/corpus", waits=False) for _ in range(2))
        sign_in(anna, "anna")
        sign_in(bert, "bert")
        train_id = corpus_ids(anna)[0]
        for page, button in ((anna, "Flag"), (bert, "Exclude…")):
            select_rows(page, [0])
            page.get_by_role("button", name=button, exact=True).click()
        dialog = bert.get_by_role("dialog")
        dialog.get_by_role("button", name="spam").click()
        said(bert, "Excluded 1 text as spam.")
        events = lf.open_workspace(studio.workspace).decisions.events_of(train_id)
        assert {(event.batch.actor, event.batch.kind) for event in events} == {("anna", "flag"), ("bert", "exclude")}
        anna.get_by_role("link", name="History").click()
        anna.get_by_text("Disagreements", exact=True).click()
        shown = [cells[:4] for cells in rows_of(table(anna, "history-conflicts"))]
        assert sorted(cells[:3] for cells in shown) == [[train_id, "anna", "flagged"], [train_id, "bert", "excluded"]]


def test_the_history_says_who_when_what_and_why_and_a_revert_is_a_new_act(new_page, opened):
    first = opened.reopen("1").ids[0]
    opened.exclude([first], reason="spam", text="sells things", query="1", actor="anna")
    page = new_page(f"/history?text={first}")
    cells = rows_of(table(page, "history-acts"))[0]
    assert {"anna", "exclude", "spam", "sells things", "#1"} <= set(cells)
    (event, *_) = opened.decisions.events_of(first)
    assert f"{event.batch.at:%Y-%m-%d %H:%M:%S}" in cells
    life = rows_of(described(page, "Time line of one text"))[0]
    assert {"kept", "excluded"} <= set(life)
    revision = opened.journal.revision()
    click_cell(page, table(page, "history-acts"), row=0)
    page.get_by_role("button", name="Revert", exact=True).click()
    said(page, "Undone: excluded 1 text as spam.")
    assert opened.journal.revision() == revision + 1
    assert statuses(opened) == {}
    assert {event.batch.kind for event in opened.decisions.events_of(first)} >= {"exclude", "undo"}
