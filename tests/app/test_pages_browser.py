"""What holds of every page: it fetches nothing from elsewhere, shows texts as they are, keeps controls apart."""

from urllib.parse import quote

import pytest
from axe import grave_findings
from driving import become, deep_text, opening, wait_for_run, wait_until
from studio_server import EMOJI, LONG_LINE, MARKUP, RIGHT_TO_LEFT

pytestmark = pytest.mark.browser

HOSTILE = quote("train_id in (markup, letters, long)")
VIEWS = {
    "home": "/",
    "investigate": "/investigate",
    "answer": "/?query=3",
    "answer as a table": "/?query=2&tab=All&view=Table&find=script",
    "groups": "/?query=3&tab=Groups",
    "failures": "/failures",
    "reader": "/?query=2&tab=All&find=script&open=markup",
    "corpus": f"/corpus?where={HOSTILE}",
    "duplicates": "/corpus?tab=Duplicates",
    "similar": "/corpus?tab=Similar",
    "map": "/corpus?tab=Map",
    "review": f"/review?from=A+condition&where={HOSTILE}&open=markup",
    "compare": "/compare?a=3&b=1",
    "what-if": f"/what-if?remove=A+condition&where={HOSTILE}",
    "export": "/export",
    "history": "/history?text=markup",
    "disagreements": "/history?tab=Disagreements",
    "indexes": "/indexes",
    "import": "/indexes?tab=Import",
    "build": "/indexes?tab=Build",
    "team": "/team",
    "rounds": "/team?tab=Rounds",
    "comments": "/team?tab=Comments",
    "jobs": "/jobs",
}
SCHEMES = ("light", "dark")
WIDTHS = (1024, 1440, 1920)
MAX_STOPS = 250

READING = {
    "answer",
    "answer as a table",
    "groups",
    "reader",
    "corpus",
    "review",
    "what-if",
    "history",
    "disagreements",
}
"""Views that show texts or what people wrote, with the hostile ones among them."""

MADE_OF_TEXT = (
    ".katex, [class*=stMarkdownColored], img[src*='example.org'], a[href*='example.org'], body script:not([src])"
)
"""What Markdown, KaTeX or a browser would make of the hostile texts."""

OVERLAPS = """
() => {
  const CONTROLS = "button, input, textarea, [role=combobox], [role=option], [role=tab], [role=switch], " +
    "[data-testid=stDataFrame], [data-testid=stPlotlyChart]";
  const found = [];
  const within = (box, edge) => {  // what of a box is seen inside another one
    const left = Math.max(box.left, edge.left), right = Math.min(box.right, edge.right);
    const top = Math.max(box.top, edge.top), bottom = Math.min(box.bottom, edge.bottom);
    return { left, right, top, bottom, width: right - left, height: bottom - top };
  };
  const walk = (node, seen) => {
    // A toolbar lies over its table on purpose, while hovering; what is folded away has no size that matters.
    if (node.dataset?.testid === "stElementToolbar" || (node.tagName === "DETAILS" && !node.open)) return;
    if (node.matches?.(CONTROLS)) {
      const box = seen ? within(node.getBoundingClientRect(), seen) : node.getBoundingClientRect();
      if (box.width > 1 && box.height > 1 && getComputedStyle(node).visibility !== "hidden") found.push([node, box]);
    }
    if (["stDataFrame", "stPlotlyChart"].includes(node.dataset?.testid)) return;
    if (node instanceof Element && node !== frame && ["auto", "scroll"].includes(getComputedStyle(node).overflowY)) {
      const box = node.getBoundingClientRect();
      seen = seen ? within(box, seen) : box;
    }
    for (const child of [...(node.shadowRoot?.children ?? []), ...(node.children ?? [])]) walk(child, seen);
  };
  const frame = document.querySelector("[role=dialog]") ?? document.querySelector("[data-testid=stMain]");
  walk(frame);
  const edge = frame.getBoundingClientRect();
  const name = (node) => [node.tagName, node.ariaLabel, node.textContent.slice(0, 40)].join(" ");
  const clashes = found.filter(([, box]) => box.right > edge.right + 1 || box.left < edge.left - 1)
    .map(([node]) => `outside: ${name(node)}`);
  found.forEach(([a, p], place) => found.slice(place + 1).forEach(([b, q]) => {
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 2 && high > 2 && !a.contains(b) && !b.contains(a)) clashes.push(`${name(a)} / ${name(b)}`);
  }));
  return clashes;
}
"""


@pytest.fixture(scope="module", params=VIEWS)
def view(request, chromium, studio):
    """A view of the studio in a browser of its own, with its name and the addresses that it called."""
    with opening(chromium, request.param) as (open_path, requests):
        page = open_path(studio, VIEWS[request.param])
        wait_for_run(page)
        yield request.param, page, requests, studio


def test_a_view_calls_no_other_host(view):
    _, page, requests, studio = view
    wait_for_run(page)
    assert requests
    assert [
        url
        for url in requests
        if not url.startswith((studio.url, studio.url.replace("http", "ws"), "data:", "blob:"))
    ] == []


def test_hostile_texts_are_literal(view):
    name, page, _, _ = view
    if name in READING:
        wait_until(lambda: MARKUP[:40] in deep_text(page))
    if name == "corpus":
        wait_until(lambda: all(part in deep_text(page) for part in (RIGHT_TO_LEFT, EMOJI, LONG_LINE[:200])))
    made = page.locator(MADE_OF_TEXT).evaluate_all("(found) => found.map((one) => one.outerHTML.slice(0, 200))")
    assert made == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_view_has_no_grave_accessibility_finding(view, scheme, width):
    _, page, _, _ = view
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1000})
    wait_for_run(page)
    become(lambda: grave_findings(page), [], 20)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_control_lies_on_another(view, width):
    _, page, _, _ = view
    page.set_viewport_size({"width": width, "height": 1000})
    become(lambda: page.evaluate(OVERLAPS), [], 20)


STEP = """
async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));  // styles follow the focus
  const look = (node) => {
    const seen = [];
    for (let place = 0; node && place < 5; place++, node = node.parentElement) {
      const style = getComputedStyle(node);
      seen.push(style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor, style.backgroundColor);
    }
    return seen.join();
  };
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  node = node.closest("canvas") ?? node;  // the cells of a table lie in its canvas
  const walk = (window.walk ??= { reached: [], unseen: [], last: null, look: "" });
  // A table draws the focus inside its canvas.
  if (walk.last?.isConnected && walk.last.tagName !== "CANVAS" && look(walk.last) === walk.look)
    walk.unseen.push(walk.last.outerHTML.slice(0, 160));
  const isNew = node !== document.body && !walk.reached.includes(node);
  const isNowhere = node === document.body;  // between a code block and the next table, and at the end
  const step = isNew ? "on" : node === walk.stop ? "same" : isNowhere ? "nowhere" : "over";
  walk.stop = node;
  if (isNew) { walk.reached.push(node); walk.last = node; walk.look = look(node); } else walk.last = null;
  return step;
}
"""
"""One step of a walk with Tab: to something new, on the same (from cell to cell of a table), nowhere, or over;
notes what did not look focused."""

LEFT_OUT = """
() => {
  const frame = document.querySelector("[role=dialog]") ?? document.querySelector("[data-testid=stMain]");
  const isShown = (node) => node.checkVisibility({ visibilityProperty: true }) && node.clientWidth > 1;
  const isOut = (node) => node.disabled || node.ariaDisabled === "true" ||
    node.closest("details:not([open]), [data-testid=stElementToolbar], [inert]");
  // One stop for a group in which arrows move, or for a box with its arrow.
  const widget = (node) => node.closest("[role=radiogroup], [role=group], [data-testid=stNumberInput]") ??
     node.closest("[data-testid^=st]");
  return [...frame.querySelectorAll("button, input, textarea, [role=combobox], a[href]")]
    .filter((node) => isShown(node) && !isOut(node))
    .filter((node) => !window.walk.reached.some((other) => widget(node)?.contains(other)))
    .map((node) => node.outerHTML.slice(0, 160));
}
"""


def test_every_control_is_reached_by_tab_and_shows_it(view):
    _, page, _, _ = view
    wait_for_run(page)
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    page.evaluate("() => { window.walk = undefined; document.activeElement?.blur(); }")
    for _ in range(MAX_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate(STEP) == "over":
            break
    assert page.evaluate(LEFT_OUT) == []
    assert page.evaluate("() => window.walk.unseen") == []
