"""Asking in a real browser while other things happen: once, from cache, cancelled, reloaded, from two tabs."""

import pytest
from driving import (
    address,
    ask_button,
    card_ids,
    choose,
    parameters,
    ranks,
    selected_tokens,
    settle,
    sort_corpus,
    token,
    wait_for_run,
    wait_until,
)

import lorif_core as lf
from lorif_core.workspace.folder.index_names import named_indexes

pytestmark = pytest.mark.browser

LONG = 480
"""Tokens: the slow model takes seconds to say so many."""


@pytest.fixture
def opened(studio):
    return lf.open_workspace(studio.workspace)


def fill(page, prompt, completion):
    page.get_by_role("textbox", name="Prompt").fill(prompt)
    page.get_by_role("textbox", name="Completion").fill(completion)


def run(page):
    """Click Ask, once: nothing that comes in meanwhile takes the click."""
    before = address(page)
    ask_button(page).click()
    page.wait_for_function("(before) => location.href !== before", arg=before)


def ask_slowly(page, opened, prompt):
    """Ask the slow model to complete the prompt at length; returns while it writes."""
    slow = opened.indexes.records()[0].index_id
    choose(page, "Index", named(opened, slow))
    wait_for_run(page)
    page.get_by_text("Options", exact=True).click()
    length = page.get_by_label("Longest generation, in tokens", exact=True)
    length.fill(str(LONG))
    length.press("Enter")
    fill(page, prompt, "")
    run(page)
    page.get_by_role("button", name="Cancel", exact=True).wait_for()


def named(opened, index_id):
    """How the studio calls an index."""
    return named_indexes(opened.files.root, opened.files.catalog)[index_id].name


def asked(opened, prompt):
    return [query for query in opened.questions.records() if query.prompt == prompt]


def test_other_tokens_change_the_ranking_or_the_page_says_same(new_page, opened):
    page = new_page("/?query=1")
    before = card_ids(page)
    token(page, 0).click()
    wait_until(lambda: selected_tokens(page) == [0])
    page.get_by_text("1 of").wait_for()
    run(page)
    page.get_by_text("explains tokens 0").wait_for()
    after = card_ids(page)
    assert (after != before) != page.get_by_text("same ranking as the question before").is_visible()


def test_the_same_question_again_comes_from_the_cache(new_page, opened):
    page, before = new_page("/?query=2&tab=Supports&find=nothing"), asked(opened, "The river of Arlen is")
    page.get_by_text("0 of").first.wait_for()
    fill(page, "The river of Arlen is", " castle Brook Glenby Farrow Corve.")
    run(page)
    page.get_by_text("read from cache").wait_for()
    wait_until(lambda: parameters(page)["query"] == ["1"])
    assert asked(opened, "The river of Arlen is") == before


def test_clicks_during_a_run_do_not_stop_it_and_it_ends_once(new_page, opened):
    page = new_page("/?query=1")
    prompt = "The forest of Dunmar is"
    ask_slowly(page, opened, prompt)
    page.get_by_role("link", name="Corpus").click()
    sort_corpus(page, "year")
    page.get_by_role("link", name="History").click()
    page.get_by_role("link", name="Investigate").click()
    wait_until(lambda: asked(opened, prompt))
    wait_for_run(page)
    assert len(asked(opened, prompt)) == 1


def test_a_reload_during_a_run_shows_the_same_run_and_then_its_answer(new_page, opened):
    page = new_page()
    prompt = "The garden of Ivern is"
    ask_slowly(page, opened, prompt)
    assert "asking" in parameters(page)
    page.reload()
    page.get_by_text("You can go on clicking").wait_for()
    page.get_by_role("progressbar").first.wait_for()
    wait_until(lambda: "query" in parameters(page))
    (query,) = asked(opened, prompt)
    assert parameters(page)["query"] == [query.query_id]
    assert ranks(page)[0] == "#1"


def test_cancel_ends_a_run_and_shows_no_part_of_it(new_page, opened):
    page = new_page("/?query=1")
    ask_slowly(page, opened, "The market of Hollin is")
    page.get_by_role("button", name="Cancel").click()
    settle(page)
    assert parameters(page)["query"] == ["1"]
    assert "asking" not in parameters(page)
    fill(page, "The market of Hollin is", " castle Brook.")  # the model is free again: it is asked at once
    run(page)
    wait_until(lambda: parameters(page).get("query") != ["1"])
    assert [query.completion for query in asked(opened, "The market of Hollin is")] == [" castle Brook."]


def test_two_tabs_ask_at_once_and_both_are_answered(new_page, opened):
    first, second = new_page(), new_page()
    for page, prompt in ((first, "The tower of Eskdale is"), (second, "The bridge of Jarrow is")):
        fill(page, prompt, " garden Brook.")
    for page in (first, second):
        run(page)
    for page, prompt in ((first, "The tower of Eskdale is"), (second, "The bridge of Jarrow is")):
        wait_until(lambda page=page: "query" in parameters(page))
        (query,) = asked(opened, prompt)
        assert parameters(page)["query"] == [query.query_id]
        assert ranks(page)[0] == "#1"


def test_heat_is_told_by_sign_and_line_as_well_as_by_colour(new_page):
    page = new_page("/?query=1")
    settle(page)
    legend = page.locator(".legend").first.inner_text()
    assert "+ solid line" in legend
    assert "− dashed line" in legend
    page.add_style_tag(content="html { filter: grayscale(1); }")
    lines = page.evaluate(
        """() => {
             const found = {};
             const read = (node) => {
               if (node.classList?.contains("heat"))
                 (found[node.classList.contains("plus") ? "plus" : "minus"] ??= new Set()).add(
                   getComputedStyle(node).borderBottomStyle + (node.title.slice(0, 7) || "legend"));
               if (node.shadowRoot) read(node.shadowRoot);
               node.childNodes.forEach(read);
             };
             read(document.body);
             return Object.fromEntries(Object.entries(found).map(([sign, seen]) => [sign, [...seen].sort()]));
           }"""
    )
    assert set(lines["plus"]) <= {"solidsupport", "solidlegend"}
    assert set(lines["minus"]) <= {"dashedopposes", "dashedlegend"}


def test_two_methods_on_one_question_are_two_clicks(new_page, opened):
    mine = opened.questions.records()[0]
    (other,) = [one.index_id for one in opened.indexes.records() if one.index_id != mine.index_id]
    page = new_page(f"/?query={mine.query_id}")
    wait_for_run(page)
    page.get_by_role("button", name="Compare with", exact=True).click()
    page.get_by_role("button", name=named(opened, other), exact=True).click()
    page.get_by_text("They differ in: index", exact=False).wait_for()
    assert "/compare" in address(page)
    (a,), (b,) = parameters(page)["a"], parameters(page)["b"]
    assert a == mine.query_id
    asked = next(one for one in opened.questions.records() if one.query_id == b)
    assert (asked.index_id, asked.prompt, asked.completion) == (other, mine.prompt, mine.completion)
