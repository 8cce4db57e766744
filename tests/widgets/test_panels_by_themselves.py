"""The panels of the widgets by themselves, in an empty page with a kernel that is played."""

import pytest

from lorif_core.views.hits import TokenPart
from lorif_core.views.tokens import strip
from lorif_core.widgets.panel import source, style

pytestmark = pytest.mark.browser

STATE = {"statuses": {}, "progress": {}, "said": {"text": "", "failed": False, "token": "t"}, "selected": []}
STATE |= {"selected_tokens": [], "is_redacted": False, "reader": {}}
TEXT = {"id": "a", "source": None, "card": None, "plain": [{"t": "a text"}], "heated": None, "metadata": []}
TEXT |= {"events": [], "others": []}
REVIEW = {"mode": "review", "title": "Flagged texts", "total": 3, "num_done": 0, "place": 1, "reasons": ["spam"]}
REVIEW |= {"guidelines": None, "answered": ""}
VIEW = {"search": "", "mode": "words", "where": "", "status": "", "sort": "", "picks": [], "clusters": []}
CORPUS = {"mode": "corpus", "cards": [], "total": 0, "offset": 0, "limit": 10, "view": VIEW, "columns": []}
CORPUS |= {"facets": [], "reasons": []}

SHOW = """
(state) => {
  const heard = {};
  window.sent = [];
  window.model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; for (const one of heard["change:" + name] ?? []) one(); },
    save_changes: () => {},
    send: (message) => window.sent.push(message.value),
    on: (name, act) => { (heard[name] ??= []).push(act); },
    off: () => {},
  };
  window.panel.render({ model: window.model, el: document.body });
}
"""


@pytest.fixture
def show(chromium):
    """Draws a panel with a state of its widget; what the kernel was sent is in ``window.sent``."""
    page = chromium.new_page()
    page.set_default_timeout(300_000)

    def draw(name, **state):
        page.set_content(f"<style>{style()}</style><body></body>")
        said = source(name).replace("export default", "window.panel =", 1)
        page.add_script_tag(content=said, type="module")
        page.wait_for_function("window.panel")
        page.evaluate(SHOW, STATE | state)
        return page

    yield draw
    page.close()


def sent(page):
    """What the kernel was sent, oldest first."""
    return page.evaluate("window.sent")


def text(train_id):
    """A text to read."""
    return TEXT | {"key": train_id, "id": train_id}


def answer(page, train_id, **more):
    """Let the kernel answer the latest key: another text is open."""
    done = REVIEW | {"answered": sent(page)[-1]["token"]} | more
    page.evaluate("([name, value]) => window.model.set(name, value)", ["reader", text(train_id)])
    page.evaluate("([name, value]) => window.model.set(name, value)", ["data", done])


def test_a_key_names_the_text_on_screen_also_after_a_step(show):
    page = show("review", reader=text("a"), data=REVIEW)
    page.locator(".panel").focus()
    page.keyboard.press("j")
    answer(page, "b")
    page.get_by_text("b", exact=True).wait_for()
    page.keyboard.press("f")
    assert [(one["act"], one["id"]) for one in sent(page)] == [("next", "a"), ("flag", "b")]


def test_letters_with_shift_are_not_heard(show):
    page = show("review", reader=text("a"), data=REVIEW)
    page.locator(".panel").focus()
    page.keyboard.press("Shift+F")
    assert sent(page) == []
    page.keyboard.press("f")
    assert [one["act"] for one in sent(page)] == ["flag"]


def test_what_was_withheld_is_not_said_to_be_missing(show):
    page = show("review", reader=text("a") | {"withheld": "Everybody decides alone."}, data=REVIEW)
    page.get_by_text("Everybody decides alone.").wait_for()
    assert page.get_by_text("Nobody has decided").count() == 0


def test_enter_that_chooses_a_character_does_not_search_and_what_was_typed_in_both_boxes_does(show):
    page = show("corpus", data=CORPUS)
    page.get_by_role("textbox", name="Search the texts").fill("river")
    where = page.get_by_role("textbox", name="Condition, such as year > 2000")
    where.fill("year = 1")
    where.evaluate("box => box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true }))")
    assert sent(page) == []
    where.press("Enter")
    assert [(one["search"], one["where"]) for one in sent(page)] == [("river", "year = 1")]


def test_words_are_chosen_and_tokens_by_the_switch(show):
    tokens = [TokenPart(" Syd", -1.0), TokenPart("ney", -1.0), TokenPart(".", -1.0)]
    question = {"prompt": "The capital is", "completion": " Sydney.", "contrast": None}
    data = {"mode": "answer", "question": question, "supports": [], "opposes": [], "facts": [], "sign": ""}
    data |= {"bins": None, "reasons": [], "strip": strip(tokens, []), "can_load": False}
    page = show("answer", data=data)
    page.get_by_role("option").filter(has_text="Sydney").click()
    page.get_by_text("Explains 2 of 3 tokens.").wait_for()
    assert page.evaluate("window.model.get('selected_tokens')") == [0, 1]
    page.get_by_role("switch", name="Tokens").click()
    assert page.get_by_role("option").count() == 3
