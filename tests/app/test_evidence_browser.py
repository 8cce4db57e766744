"""Investigate in a real browser: a question is one gesture, and its evidence is what one sees first."""

import math
import re

import pytest
from driving import (
    ask_button,
    count_gestures,
    number,
    parameters,
    ranks,
    selected_tokens,
    settle,
    wait_for_run,
    wait_until,
)

import lorif_core as lf
from lorif_core.workspace.studio.beside_answers import sorted_scores

pytestmark = pytest.mark.browser


def write(page, label, words):
    """Type as a person does, key by key, into the box that has the focus or gets it by a click."""
    page.get_by_role("textbox", name=label, exact=True).click()
    page.keyboard.type(words)


def answered(page, studio):
    """The newest question, once the page has its answer."""
    wait_until(lambda: "query" in parameters(page))
    (query_id,) = parameters(page)["query"]
    return lf.open_workspace(studio.workspace).reopen(query_id).question


def on_screen(page, height):
    """How many hits are wholly above the fold."""
    boxes = [card.bounding_box() for card in page.locator("[class*='st-key-card-hit-']").all()]
    return sum(box is not None and box["y"] >= 0 and box["y"] + box["height"] <= height for box in boxes)


def test_ctrl_enter_behind_the_last_key_asks(new_page, studio):
    page = new_page("/investigate")
    write(page, "Prompt", "The tower of Hollin is")
    page.keyboard.press("Tab")
    page.keyboard.type(" garden Ivern.")
    page.keyboard.press("Control+Enter")
    asked = answered(page, studio)
    assert (asked.prompt, asked.said) == ("The tower of Hollin is", " garden Ivern.")
    assert ranks(page)[0] == "#1"


def test_one_click_out_of_the_box_asks(new_page, studio):
    page = new_page("/investigate")
    write(page, "Prompt", "The bridge of Ivern is")
    write(page, "Completion", " castle Hollin.")
    ask_button(page).click()  # once
    asked = answered(page, studio)
    assert (asked.prompt, asked.said) == ("The bridge of Ivern is", " castle Hollin.")


@pytest.mark.parametrize(("by_key", "wanted"), [(True, (0, 1)), (False, (1, 0))])
def test_a_question_that_stands_in_the_boxes_is_asked_by_one_gesture(new_page, studio, by_key, wanted):
    page, said = new_page("/investigate"), f" bridge {'Corve' if by_key else 'Glenby'}."
    page.get_by_role("textbox", name="Prompt", exact=True).fill("The market of Jarrow is")
    page.get_by_role("textbox", name="Completion", exact=True).fill(said)
    gestures = count_gestures(page)
    if by_key:
        page.keyboard.press("Control+Enter")
    else:
        ask_button(page).click()
    assert answered(page, studio).said == said
    assert ranks(page)[0] == "#1"
    assert gestures() == wanted


def test_tab_from_box_to_box_keeps_what_is_typed_and_so_do_other_clicks(new_page):
    page = new_page("/?query=1")
    settle(page)
    typed = {"Prompt": "One", "Completion": " two three four five six"}

    def is_there():
        boxes = {label: page.get_by_role("textbox", name=label, exact=True) for label in typed}
        return {label: box.input_value() for label, box in boxes.items()} == typed

    for label, words in typed.items():
        box = page.get_by_role("textbox", name=label, exact=True)
        box.focus()
        box.fill("")
        page.keyboard.type(words, delay=30)
        page.keyboard.press("Tab")
    assert is_there()
    page.get_by_text("Opposes", exact=True).click()
    wait_until(lambda: parameters(page).get("tab") == ["Opposes"])
    wait_for_run(page)
    assert is_there()
    page.get_by_role("link", name="History").click()
    page.get_by_role("heading", name="History").wait_for()
    page.get_by_role("link", name="Investigate").click()
    page.get_by_role("textbox", name="Prompt", exact=True).wait_for()
    wait_until(is_there)


def test_a_question_that_is_empty_is_asked_for_in_a_sentence(new_page):
    page = new_page("/investigate")
    ask_button(page).click()
    page.get_by_text("Type a prompt first").wait_for()


def test_words_are_chosen_by_a_click_and_tokens_by_the_switch(new_page, studio):
    page = new_page("/investigate")
    write(page, "Prompt", "The castle of Jarrow is")
    write(page, "Completion", " gardenbrook Ivern.")  # a word that the tiny model never saw
    page.keyboard.press("Control+Enter")
    answered(page, studio)
    settle(page)
    words = page.get_by_role("listbox", name="Words of the completion").get_by_role("option")
    words.first.wait_for()
    assert words.locator("b").all_text_contents() == ["gardenbrook", "Ivern", "."]
    words.first.click()
    page.get_by_role("button", name="Explain these").wait_for()
    page.get_by_role("switch", name="Tokens").check()
    tokens = page.get_by_role("listbox", name="Tokens of the completion").get_by_role("option")
    assert tokens.count() > 3
    chosen = selected_tokens(page)
    assert len(chosen) > 1
    said = "".join(tokens.nth(place).locator("b").text_content() for place in chosen)
    assert said.replace("·", "") == "gardenbrook"
    page.get_by_role("switch", name="Tokens").uncheck()
    wait_until(lambda: selected_tokens(page) == [0])
    page.get_by_role("button", name="Explain these").click()
    page.get_by_text("explains tokens").wait_for()
    assert list(answered(page, studio).tokens) == chosen


@pytest.mark.parametrize(("width", "height", "fewest"), [(1440, 900, 6), (1024, 768, 3)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hits_are_above_the_fold(new_page, width, height, fewest, scheme):
    page = new_page("/?query=1", viewport={"width": width, "height": height}, color_scheme=scheme)
    settle(page)
    wait_until(lambda: on_screen(page, height) >= fewest)


def test_prompt_and_completion_are_apart_and_the_heat_is_on_what_is_taught(new_page, studio):
    hits = lf.open_workspace(studio.workspace).reopen("1").supports
    page = new_page("/?query=1")
    settle(page)
    colours = "e => [getComputedStyle(e).color, e.textContent]"
    assert len(hits) >= 3
    for hit in hits[:3]:
        text = page.locator(f"[class*='st-key-card-hit-{hit.train_id}'] .text")
        prompts = [piece.evaluate(colours) for piece in text.locator(".prompt").all()]
        others = [piece.evaluate(colours) for piece in text.locator("span:not(.prompt):not(.taught)").all()]
        (begin, end), *_ = hit.asked
        assert "".join(said for _, said in prompts) == hit.text[begin:end]
        assert "".join(said for _, said in others) == hit.text[end:]
        assert not {colour for colour, _ in prompts} & {colour for colour, _ in others}
        assert text.locator(".taught").count() == 1
        mark = text.locator(".taught").evaluate("e => getComputedStyle(e, '::before').content")
        assert "▸" in mark
        strongest = max(
            text.locator(".heat").all(), key=lambda one: one.evaluate("e => +e.style.getPropertyValue('--size')")
        )
        assert strongest.evaluate("e => e.style.getPropertyValue('--size')") == "1.000"
        assert "prompt" not in strongest.get_attribute("class")


def test_bars_are_on_a_log_scale_and_the_line_of_the_noise_says_its_criterion(new_page, studio):
    answer = lf.open_workspace(studio.workspace).reopen("2")
    page = new_page("/?query=2")
    settle(page)
    largest = max(abs(hit.z) for hit in answer.hits)
    sizes = page.locator("[class*='st-key-card-hit-'] .bar i").evaluate_all(
        "bars => bars.map((bar) => +bar.style.getPropertyValue('--size'))"
    )
    expected = [math.log1p(abs(hit.z)) / math.log1p(largest) for hit in answer.supports]
    assert sizes == pytest.approx(expected, abs=1e-3)
    first = next(hit for hit in answer.supports if hit.is_noise)
    rows = page.locator(".st-key-hits").locator(".rank, .noise-line").all_text_contents()
    assert rows.index("Below this line: noise") == rows.index(f"#{first.rank}") - 1
    criterion = page.locator(".noise-line span").first.get_attribute("title")
    assert f"{answer.spread.num_scores:,} scores" in criterion
    assert f"{answer.spread.noise_high:+.3g}".replace("-", "−") in criterion


def test_percentiles_count_from_their_own_end(new_page, studio):
    workspace = lf.open_workspace(studio.workspace)
    scores = sorted_scores(workspace, "2").tolist()
    for tab, word in (("Supports", "top"), ("Opposes", "bottom")):
        page = new_page(f"/?query=2&tab={tab}")
        settle(page)
        told = page.locator("[class*='st-key-card-hit-'] .standing").all_text_contents()
        found = [re.fullmatch(rf"{word} ([\d.]+) %", one) for one in told]
        shares = [float(one.group(1)) for one in found]
        hits = workspace.reopen("2").supports if word == "top" else workspace.reopen("2").opposes
        counted = [
            sum(one >= hit.score if word == "top" else one <= hit.score for one in scores) / len(scores)
            for hit in hits
        ]
        assert shares == pytest.approx([100 * one for one in counted], rel=0.06)
        assert shares[0] == min(shares)


def test_what_few_need_is_behind_details_and_kept_is_no_badge(new_page):
    page = new_page("/?query=1")
    settle(page)
    assert page.locator(".chip.kept").count() == 0
    assert page.get_by_text("question 1 · index").count() == 0
    assert page.locator(".js-plotly-plot").count() == 0
    page.get_by_role("button", name="Details", exact=True).click()
    page.get_by_text("question 1 · index").wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    assert number(page.locator("[class*='st-key-card-hit-'] .score").first.inner_text()) > 0
