"""The table, the map and the keys of the studio by themselves, in an empty page."""

from importlib.resources import files

import pytest

pytestmark = pytest.mark.browser

DESK = {"mode": "desk", "tab": "here", "of": {"dataset": "d", "query": None}, "frame": None, "selected": []}
DESK |= {"rowHeight": 35, "header": 35, "isQuiet": False, "reason": None, "keys": [["F", "Flag"]], "toast": None}
COLUMN = {"name": "year", "label": "year", "order": None, "isNumber": True, "bars": []}
GRID = {"mode": "grid", "label": "Texts", "dataset": "d", "isUsual": True, "columns": [COLUMN]}
MAP = {"label": "Map", "ids": ["a", "b", "c"], "x": [0.2, 0.5, 0.8], "y": [0.2, 0.5, 0.8], "share": None, "told": []}
MAP |= {"ends": ["", ""], "starts": ["A", "B", "C"], "shown": [], "names": [], "size": 9, "forgotten": 0}
MAP |= {"groups": [{"name": "g", "count": 2, "colour": "#ff0000"}, {"name": "h", "count": 1, "colour": "#0000ff"}]}

DRAW = """
([name, data]) => {
  let host = document.getElementById(name);
  if (!host) {
    host = document.body.appendChild(document.createElement("div"));
    host.id = name;
    host.attachShadow({ mode: "open" });
  }
  const told = (event, value) => { window.told = [event, value]; };
  window[name]({ parentElement: host.shadowRoot, data, setStateValue: told, setTriggerValue: told });
}
"""

TABLE = """
<div class="st-key-hits-1"><div data-testid="stDataFrame"><table>
  <tr role="row" aria-rowindex="1"><th role="columnheader" aria-colindex="1">rank</th>
    <th role="columnheader" aria-colindex="2">↑ id</th></tr>
  <tr role="row" aria-rowindex="2"><td role="gridcell" aria-colindex="1">1</td>
    <td role="gridcell" aria-colindex="2">2</td></tr>
  <tr role="row" aria-rowindex="3"><td role="gridcell" aria-colindex="1">2</td>
    <td role="gridcell" aria-colindex="2">1</td></tr>
</table></div></div>
"""

COLOUR = """
() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const canvas = document.getElementById("corpus_map_view").shadowRoot.querySelector("canvas");
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const pen = copy.getContext("2d");
  pen.drawImage(canvas, 0, 0);
  const [red, , blue] = pen.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;
  done(red > blue ? "red" : blue > red ? "blue" : "none");
})))
"""
"""Of the point in the middle of the map."""


@pytest.fixture
def page(chromium):
    """An empty page that knows the three renderers."""
    made = chromium.new_page()
    made.set_default_timeout(300_000)
    made.set_content("<body></body>")
    for name in ("corpus_grid", "corpus_map_view", "decision_keys"):
        made.add_style_tag(content=files("app.components").joinpath(f"{name}.css").read_text(encoding="utf-8"))
        source = files("app.components").joinpath(f"{name}.js").read_text(encoding="utf-8")
        said = source.replace("export default", f"window.{name} =", 1)
        made.add_script_tag(content=f"{said}\nwindow.{name}IsThere = true;", type="module")
        made.wait_for_function(f"window.{name}IsThere")
    yield made
    made.close()


def rows(*ids):
    """Rows of the table."""
    more = {"status": "kept", "reason": "", "cells": ["1"]}
    return [{"id": one, "shown": one, "parts": [{"t": one}]} | more for one in ids]


def draw_desk(page, *ids, **more):
    """The keys, about these texts."""
    shown = [[one, "kept", one] for one in ids]
    page.evaluate(DRAW, ["decision_keys", DESK | {"rows": shown} | more])


def last_act(page):
    """What the keys asked for last."""
    event, acts = page.evaluate("window.told")
    assert event == "acts"
    return acts[-1]


def test_the_focus_stays_on_the_heading_that_was_clicked(page):
    draw_desk(page, "a", "b")
    wide = [COLUMN | {"name": f"column {place}", "label": f"column {place}"} for place in range(40)]
    told = [row | {"cells": ["1"] * 40} for row in rows("a", "b")]
    page.evaluate(DRAW, ["corpus_grid", GRID | {"columns": wide, "rows": told}])
    page.get_by_role("button", name="column 39").focus()
    page.evaluate(
        DRAW, ["corpus_grid", GRID | {"columns": [*wide[:39], wide[39] | {"order": "ascending"}], "rows": told}]
    )
    focused = page.evaluate("document.getElementById('corpus_grid').shadowRoot.activeElement?.textContent")
    assert focused.startswith("column 39")


def test_the_focus_stays_on_the_box_of_a_row_that_is_drawn_anew(page):
    draw_desk(page, "a", "b")
    page.evaluate(DRAW, ["corpus_grid", GRID | {"rows": rows("a", "b")}])
    page.get_by_role("checkbox", name="Select b").focus()
    page.evaluate(DRAW, ["corpus_grid", GRID | {"rows": [one | {"status": "flagged"} for one in rows("a", "b")]}])
    page.keyboard.press("f")
    assert last_act(page)["ids"] == ["b"]
    focused = page.evaluate("document.getElementById('corpus_grid').shadowRoot.activeElement?.ariaLabel")
    assert focused == "Select b"


def test_a_button_of_the_bar_keeps_the_focus_while_the_page_is_drawn_again(page):
    draw_desk(page, "a", "b")
    page.evaluate(DRAW, ["corpus_grid", GRID | {"rows": rows("a", "b")}])
    page.get_by_role("checkbox", name="Select a").dispatch_event("click")
    page.get_by_role("toolbar").get_by_role("button", name="Flag").focus()
    draw_desk(page, "a", "b")
    page.keyboard.press("Enter")
    assert last_act(page) | {"n": 0} == {"n": 0, "tab": "here", "act": "flag", "ids": ["a"], **DESK["of"]}


def test_a_new_session_is_not_sent_what_an_earlier_one_was_told(page):
    draw_desk(page, "a")
    page.evaluate(DRAW, ["corpus_grid", GRID | {"rows": rows("a")}])
    page.keyboard.press("f")
    draw_desk(page, "a", tab="later")
    page.keyboard.press("x")
    _, acts = page.evaluate("window.told")
    assert [(one["tab"], one["act"]) for one in acts] == [("later", "exclude")]


def test_a_rank_that_looks_like_another_texts_id_is_not_taken_for_it(page):
    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", TABLE)
    draw_desk(page, "1", "2", frame="st-key-hits")
    page.keyboard.press("j")
    page.keyboard.press("f")
    assert last_act(page)["ids"] == ["2"]


def test_no_letter_reaches_the_page_behind_the_list_of_keys_or_from_a_key_held_down(page):
    draw_desk(page, isQuiet=True)
    page.evaluate("window.heard = []; document.addEventListener('keydown', (event) => window.heard.push(event.key))")
    page.keyboard.press("?")
    page.keyboard.press("x")
    page.keyboard.press("?")
    page.keyboard.down("a")
    page.keyboard.down("a")
    page.keyboard.up("a")
    assert [one for one in page.evaluate("window.heard") if one in "xa"] == ["a"]


def draw_map(page, **more):
    """Three points, the second of them in the middle."""
    page.evaluate(DRAW, ["corpus_map_view", MAP | {"group": [0, 0, 1]} | more])


def test_another_colour_of_a_point_is_drawn_also_where_all_counts_are_the_same(page):
    page.set_viewport_size({"width": 800, "height": 700})
    draw_map(page)
    assert page.evaluate(COLOUR) == "red"
    draw_map(page, group=[0, 1, 0])
    assert page.evaluate(COLOUR) == "blue"


WITH_WEBGL = """
() => {
  window.calls = {};
  const gl = new Proxy({}, { get: (_, name) => name === name.toUpperCase() ? name : (...given) => {
    window.calls[name] = (window.calls[name] ?? 0) + 1;
    return {};
  } });
  const real = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    return kind === "webgl" ? gl : real.call(this, kind, ...more);
  };
}
"""
"""Tests may run where no graphics card is: what the map asks of one is counted."""


def test_the_map_is_drawn_again_when_a_lost_graphics_context_comes_back(page):
    page.evaluate(WITH_WEBGL)
    draw_map(page)
    page.wait_for_function("window.calls.drawArrays")
    before = page.evaluate("window.calls")
    is_kept = page.evaluate(
        """() => {
             const canvas = document.getElementById("corpus_map_view").shadowRoot.querySelector("canvas");
             const isKept = !canvas.dispatchEvent(new Event("webglcontextlost", { cancelable: true }));
             canvas.dispatchEvent(new Event("webglcontextrestored"));
             return isKept;
           }"""
    )
    after = page.evaluate("window.calls")
    assert is_kept
    assert after["linkProgram"] == before["linkProgram"] + 1
    assert after["drawArrays"] > before["drawArrays"]
