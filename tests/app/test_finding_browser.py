"""Finding texts in a real browser: filters, searches, links, the way back, groups."""

import json
from urllib.parse import quote

import duckdb
import pytest
from driving import (
    address,
    become,
    card_ids,
    choose,
    corpus_ids,
    deep_text,
    facet,
    number,
    parameters,
    ranks,
    rows_of,
    said,
    scores,
    table,
    wait_for_run,
    wait_until,
)
from studio_server import serving
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.views.text import visible
from lorif_core.workspace.folder.kept_scores import read_influences

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def texts(studio):
    """Rows of the imported texts, read from their file and by nothing of ours."""
    return [json.loads(line) for line in (studio.workspace.parent / "texts.jsonl").read_text("utf-8").splitlines()]


def holding(texts, words):
    """How many texts hold some characters in either column."""
    wanted = words.lower()
    return sum(wanted in row["prompt"].lower() or wanted in row["completion"].lower() for row in texts)


def counted(page):
    """``(shown, all)`` of the list of texts."""
    told = page.get_by_text(" of ", exact=False).filter(has_text="of 124").first
    shown, total = told.inner_text().split(" of ")
    return int(number(shown)), int(number(total))


def search(page, words):
    box = page.get_by_role("textbox", name="Search the texts")
    box.fill(words)
    box.press("Enter")


def test_filters_combine_and_the_count_is_that_of_sql(new_page, studio, texts):
    opened = lf.open_workspace(studio.workspace)
    flagged = [row["id"] for row in texts if row["source"] == "atlas"][:7]
    opened.flag(flagged, actor="tester")
    try:
        (data,) = studio.workspace.glob("datasets/*/examples.parquet")
        sql = duckdb.connect().sql(
            "select count(*) filter (source = 'atlas'), count(*) from read_parquet($file) where year >= 1910 "
            "and (prompt ilike '%river%' or completion ilike '%river%')",
            params={"file": str(data)},
        )
        expected, of_all_sources = sql.fetchone()
        page = new_page("/corpus?mode=contains")
        search(page, "river")
        condition = page.get_by_role("textbox", name="Condition")
        condition.fill("year >= 1910")
        condition.press("Enter")
        wait_until(lambda: counted(page) == (of_all_sources, len(texts)))  # the table below is of these
        facet(page, "source").get_by_role("button", name="atlas").click()
        wait_until(lambda: counted(page) == (expected, len(texts)))
        page.get_by_role("button", name="flagged", exact=True).click()
        wanted = [
            row
            for row in texts
            if row["id"] in flagged and row["year"] >= 1910 and "river" in (row["prompt"] + row["completion"]).lower()
        ]
        wait_until(lambda: counted(page) == (len(wanted), len(texts)))
        page.get_by_role("button", name="Reset all").click()
        wait_until(lambda: counted(page) == (len(texts), len(texts)))
        wait_until(lambda: not {"q", "where", "pick", "status"} & set(parameters(page)))
    finally:
        opened.restore(flagged, actor="tester")


@pytest.mark.parametrize("mode", ["words", "contains"])
def test_no_search_is_an_error_and_characters_are_found_literally(new_page, texts, mode):
    page = new_page(f"/corpus?mode={mode}")
    for words in ("foo-bar", '"', "NEAR(", "%", "_", "'; drop table", "$x^2$", ":red[a]"):
        search(page, words)
        page.wait_for_url(f"**q={quote(words, safe='')[:3]}**")
        wait_for_run(page)
        assert "Something went wrong" not in deep_text(page)
        if mode == "contains":
            expected = holding(texts, words)
            wait_until(lambda expected=expected: counted(page) == (expected, len(texts)))


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "a{9,1}", "(?P<n", "(((x{1,99}){1,99}){1,99}){1,99}"])
def test_a_bad_regular_expression_is_one_sentence_and_the_page_goes_on(new_page, texts, pattern):
    page = new_page("/corpus?mode=regex")
    search(page, pattern)
    page.get_by_text("Something went wrong:").first.wait_for()
    assert "a defect" not in deep_text(page)
    search(page, "river")
    wait_until(lambda: counted(page)[0] == holding(texts, "river"))


def test_a_corpus_link_opens_the_same_list_in_another_browser(new_page):
    first = new_page(f"/corpus?q=river&mode=contains&where={quote('year >= 1910')}&sort=year&desc=true")
    wait_for_run(first)
    wanted = corpus_ids(first)
    assert wanted
    second = new_page("/" + address(first).split("/", 3)[3])
    wait_until(lambda: corpus_ids(second) == wanted)


def test_an_answers_link_opens_query_filters_and_document_in_another_browser(new_page):
    first = new_page("/?query=1&tab=Opposes&find=the")
    wanted = (ranks(first), scores(first))
    train_id = card_ids(first)[2]
    first.get_by_role("button", name="Read").nth(2).click()
    first.get_by_role("dialog").wait_for()
    wait_until(lambda: parameters(first).get("open") == [train_id])
    second = new_page("/" + address(first).split("/", 3)[3])
    second.get_by_role("dialog").get_by_text("3 of ").wait_for()
    assert (ranks(second), scores(second)) == wanted
    assert second.get_by_role("dialog").locator(".head .mono").first.inner_text() == train_id


def test_back_returns_to_the_filters_before(new_page, texts):
    page = new_page("/corpus?mode=contains")
    search(page, "river")
    rivers = holding(texts, "river")
    wait_until(lambda: counted(page)[0] == rivers)
    search(page, "castle")
    castles = holding(texts, "castle")
    wait_until(lambda: counted(page)[0] == castles)
    page.go_back()
    wait_until(lambda: counted(page)[0] == rivers)
    box = page.get_by_role("textbox", name="Search the texts")
    wait_until(lambda: box.input_value() == "river")  # the browser draws it a moment after the count


def test_a_kept_view_opens_from_another_page_after_a_restart(open_studio, tmp_path):
    with serving(copy_of(imported(), tmp_path)) as studio:
        page = open_studio(studio, f"/corpus?q=river&mode=contains&where={quote('year >= 1910')}")
        wait_for_run(page)
        wanted = corpus_ids(page)
        page.get_by_role("button", name="Views").click()
        name = page.get_by_role("textbox", name="Name for what is on screen")
        name.fill("Rivers since 1910")
        name.press("Enter")
        page.get_by_role("button", name="Keep", exact=True).click()
        said(page, "The view is kept.")
        studio.kill()
        studio.start()
        again = open_studio(studio, "/history")
        again.get_by_role("button", name="Views").click()
        choose(again, "Open a view", "Rivers since 1910")
        again.get_by_role("heading", name="Corpus").wait_for()
        become(lambda: corpus_ids(again), wanted)
        found = parameters(again)
        assert (found["q"], found["mode"], found["where"]) == (["river"], ["contains"], ["year >= 1910"])
        assert again.get_by_role("textbox", name="Search the texts").input_value() == "river"


def test_the_sum_of_a_group_is_that_of_its_members(new_page, studio):
    workspace = lf.open_workspace(studio.workspace)
    query = workspace.files.catalog.query("1")
    influences = read_influences(workspace.files, query)
    page = new_page("/?query=1&tab=Groups")
    shown = {cells[0]: (int(cells[1]), number(cells[2])) for cells in rows_of(table(page, "groups"))}
    members = {}
    for source, influence in zip(workspace.files.examples(query.dataset_id).column("source"), influences, strict=True):
        members.setdefault(visible(source), []).append(float(influence))
    assert set(shown) == set(members)
    for source, found in members.items():
        assert shown[source] == (len(found), pytest.approx(sum(found), rel=2e-3))
