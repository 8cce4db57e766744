"""The token renderer by itself, as the studio and notebooks share it."""

import json

import pytest

from lorif_core.views.hits import Hit, TokenPart
from lorif_core.views.score_scale import bar_scale
from lorif_core.views.tokens import card, renderer_source, strip, text

pytestmark = pytest.mark.browser
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> $x^2$ :red[a] **b** \u05e9\u05dc\u05d5\u05dd \U0001f600"
)
EIGHT = [TokenPart(f" w{place}", -float(place)) for place in range(8)]


@pytest.fixture
def drawn(chromium):
    """Draws a payload into an empty page; what the renderer emitted is in `window.emitted`."""
    page = chromium.new_page()
    page.set_default_timeout(300_000)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    script, style = renderer_source()

    def draw(payload):
        # A script in JSON could close the element that holds it.
        data = json.dumps(payload).replace("<", "\\u003c")
        page.set_content(
            f"<style>{style}</style><div id=host></div><script type=module>{script}\n"
            f"window.emitted = []; render(document.getElementById('host'), {data}, (name, value) => "
            "window.emitted.push(value)); window.ready = true;</script>"
        )
        page.wait_for_function("window.ready")
        return page

    yield draw
    page.close()


def chosen(page):
    return page.evaluate("window.emitted.at(-1)")


def token(page, place):
    return page.locator(f".token[data-position='{place}']")


def test_click_and_shift_click_choose_a_range(drawn):
    page = drawn(strip(EIGHT, []))
    token(page, 3).click()
    assert chosen(page) == [3]
    token(page, 6).click(modifiers=["Shift"])
    assert chosen(page) == [3, 4, 5, 6]
    assert page.locator("[aria-selected=true]").count() == 4


def test_a_range_may_be_drawn_backwards(drawn):
    page = drawn(strip(EIGHT, []))
    token(page, 6).click()
    token(page, 3).click(modifiers=["Shift"])
    assert chosen(page) == [3, 4, 5, 6]


def test_the_keyboard_chooses_the_same_range_and_escape_none(drawn):
    page = drawn(strip(EIGHT, []))
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert chosen(page) == [3]
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert chosen(page) == [3, 4, 5, 6]
    page.keyboard.press("Escape")
    assert chosen(page) == []


def test_space_chooses_the_token_that_has_the_focus(drawn):
    page = drawn(strip(EIGHT, []))
    token(page, 5).focus()
    page.keyboard.press("Space")
    assert chosen(page) == [5]


def test_exactly_one_token_is_a_tab_stop(drawn):
    page = drawn(strip(EIGHT, [2]))
    assert page.locator("[tabindex='0']").count() == 1
    assert page.get_by_role("listbox", name="Words of the completion").count() == 1


def test_what_was_chosen_before_is_shown(drawn):
    page = drawn(strip(EIGHT, [2, 4]))
    assert [one.get_attribute("data-position") for one in page.locator("[aria-selected=true]").all()] == ["2", "4"]


@pytest.mark.parametrize("content", [HOSTILE, HOSTILE + "x" * 1_000_000])
def test_a_text_shows_literally(drawn, content):
    page = drawn(text(content))
    assert page.locator(".text").evaluate("block => block.textContent") == content
    assert page.locator(".text script, .text img").count() == 0


def test_a_card_shows_hostile_ids_sources_and_texts_literally(drawn):
    hit = Hit(1, HOSTILE, -2.0, HOSTILE, {"source": HOSTILE}, (TokenPart(HOSTILE, -2.0),))
    page = drawn(card(hit, scale=bar_scale([hit]), standing=None, status="flagged", reason=HOSTILE))
    assert page.locator(".end").text_content() == HOSTILE
    assert page.locator("script, img").count() == 1  # the renderer's own script
    assert page.locator(".bar i.minus").count() == 1
    assert page.locator(".heat.minus").count() == 1


def test_alt_and_an_arrow_are_left_to_the_browser(drawn):
    page = drawn(strip(EIGHT, []))
    is_left = token(page, 3).evaluate(
        "one => one.dispatchEvent(new KeyboardEvent('keydown', "
        "{ key: 'ArrowLeft', altKey: true, bubbles: true, cancelable: true }))"
    )
    assert is_left
    assert page.locator("[tabindex='0']").get_attribute("data-position") == "0"
