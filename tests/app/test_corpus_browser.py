"""Seeing a corpus in a real browser: columns, marks, counts, texts like one, the map with its lasso."""

import polars as pl
import pytest
from driving import corpus_ids, corpus_rows, deep_text, facet, number, parameters, rows_of, said, table, wait_until
from studio_server import serving
from tiny_workspace import NUM_TEXTS, copy_of, indexed

import lorif_core as lf
from lorif_core.workspace.datasets.view import View

pytestmark = pytest.mark.browser

HEIGHT = 600
"""Of the map, in pixels."""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A studio over a workspace with an index, a kept question and a map."""
    folder = copy_of(indexed(), tmp_path_factory.mktemp("mapped"))
    opened = lf.open_workspace(folder)
    opened.ask("The river of Arlen is", " castle Brook.", k=10, num_opposing=10)
    opened.indexes.map(num_clusters=4)
    with serving(folder) as studio:
        yield studio


def test_columns_are_chosen_and_a_heading_sorts_all_texts(open_studio, mapped):
    opened = lf.open_workspace(mapped.workspace)
    page = open_studio(mapped, "/corpus?cols=year")
    corpus_rows(page).first.wait_for()
    heads = page.locator(".corpus th .sort span:first-child")
    assert heads.all_inner_texts() == ["year"]
    bars = page.locator(".corpus th .bars i")
    assert bars.count() > 1
    assert bars.evaluate_all("(found) => Math.max(...found.map((one) => one.clientHeight))") > 10
    wanted = {
        name: opened.data.browse(View(sort=(f"{sign}data.year",)), limit=25).frame["train_id"].to_list()
        for name, sign in (("ascending", ""), ("descending", "-"))
    }
    for name in ("ascending", "descending"):
        heads.first.click()
        page.locator(f".corpus th[aria-sort={name}]").wait_for()
        wait_until(lambda name=name: corpus_ids(page) == wanted[name])
    assert (parameters(page)["cols"], parameters(page)["sort"]) == (["year"], ["year"])
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("button", name="source", exact=True).last.click()
    wait_until(lambda: heads.all_inner_texts() == ["year", "source"])
    again = open_studio(mapped, "/corpus?" + page.url.split("?", 1)[1])
    wait_until(lambda: corpus_ids(again) == wanted["descending"])


def test_what_a_search_found_is_marked_and_facets_keep_their_counts_at_1024(open_studio, mapped):
    opened = lf.open_workspace(mapped.workspace)
    page = open_studio(mapped, "/corpus?q=river&mode=contains", viewport={"width": 1024, "height": 900})
    corpus_rows(page).first.wait_for()
    found = opened.data.browse(View(search="river", mode="contains"), limit=200).frame
    wait_until(lambda: page.locator(".corpus tbody mark").count() >= min(25, len(found)))
    marks = page.locator(".corpus tbody mark").all_inner_texts()
    assert {one.lower() for one in marks} == {"river"}
    counts = dict(found["source"].value_counts().iter_rows())
    for name, count in counts.items():
        shown = facet(page, "source").get_by_role("button").filter(has_text=name).locator(".count")
        assert number(shown.inner_text()) == count
        box, frame = shown.bounding_box(), facet(page, "source").bounding_box()
        assert box["width"] > 4
        assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
    clusters = facet(page, "cluster").locator(".count").all_inner_texts()
    assert sum(map(number, clusters)) == len(found)
    corpus_rows(page).first.locator(".said").click()
    page.get_by_role("dialog").locator(".found").first.wait_for()
    assert page.get_by_role("dialog").locator(".found").first.inner_text().lower() == "river"


def test_texts_like_one_are_found_both_ways(open_studio, mapped):
    opened = lf.open_workspace(mapped.workspace)
    page = open_studio(mapped, "/corpus")
    first = corpus_ids(page)[0]
    corpus_rows(page).first.locator(".said").click()
    page.get_by_role("dialog").get_by_text("Find like this").click()
    for label, by in (("By meaning", "meaning"), ("By gradient", "gradient")):
        page.get_by_role("radio", name=label).or_(page.get_by_role("button", name=label)).first.click()
        wanted = opened.indexes.neighbours(first, 5, by=by).texts["train_id"].to_list()
        wait_until(
            lambda wanted=wanted: (
                [one for cells in rows_of(table(page, "corpus-similar-rows")) for one in cells if one in wanted][:5]
                == wanted
            )
        )


def screen_places(points, width):
    """Where the map shows every text at first: from its file, by nothing of ours."""
    low = {axis: points[axis].min() for axis in "xy"}
    high = {axis: points[axis].max() for axis in "xy"}
    span = max(high[axis] - low[axis] for axis in "xy")
    scale = min(width / 1.12, HEIGHT / 1.04)
    return {
        train_id: (
            width / 2 + (x - (low["x"] + high["x"]) / 2) / span * scale,
            HEIGHT / 2 - (y - (low["y"] + high["y"]) / 2) / span * scale,
        )
        for train_id, x, y, _ in points.iter_rows()
    }


def test_the_map_is_coloured_four_ways_and_a_lasso_leads_to_a_decision_about_its_texts(open_studio, mapped):
    opened = lf.open_workspace(mapped.workspace)
    atlas = opened.indexes.map(num_clusters=4)
    for colour in ("status", "data%3A%20source", "score%20of%20a%20question", "cluster"):
        page = open_studio(mapped, f"/corpus?tab=Map&colour={colour}")
        page.locator(".map .stage canvas").first.wait_for()
        legend = page.locator(".map .legend")
        if colour.startswith("score"):
            assert legend.locator(".scale i").count() == 1
        else:
            assert sum(number(one) for one in legend.locator("small").all_inner_texts()) == NUM_TEXTS
    names = page.locator(".map .name").all_inner_texts()
    assert sorted(names) == sorted(one.name for one in atlas.clusters)
    assert "cluster" not in deep_text(page).split("Colour by")[0]
    stage = page.locator(".map .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    places = screen_places(atlas.points, box["width"] - 2)
    xs = sorted(x for x, _ in places.values())
    # The widest gap near the middle, so that no point lies on the line.
    gap = max(range(NUM_TEXTS // 3, 2 * NUM_TEXTS // 3), key=lambda at: xs[at + 1] - xs[at])
    edge = (xs[gap] + xs[gap + 1]) / 2
    wanted = {train_id for train_id, (x, _) in places.items() if x < edge}
    corners = [(2, 2), (edge, 2), (edge, HEIGHT - 3), (2, HEIGHT - 3)]
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + 1 + x, box["y"] + 1 + y, steps=3)
    page.mouse.up()
    page.get_by_text(f"In the lasso: {len(wanted)} texts.").wait_for()
    page.get_by_text(f"Select all {len(wanted)}").click()
    try:
        if len(wanted) > 50:
            page.get_by_role("button", name=f"Decide about {len(wanted)} texts").click()
            page.get_by_text(f"Yes, flag all {len(wanted)}").click()
            page.get_by_role("button", name="Decide", exact=True).click()
        else:
            page.get_by_role("button", name="Flag", exact=True).first.click()
        said(page, f"Flagged {len(wanted)} texts.")
        states = opened.decisions.states().filter(pl.col("status") == "flagged")
        assert set(states["train_id"]) == wanted
    finally:
        opened.restore(sorted(wanted), actor="tester")
