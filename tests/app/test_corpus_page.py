"""Corpus without a browser: filters, paging, selection, bulk decisions, duplicates."""

import json

import polars as pl
import pytest
from app_pages import open_page, run_until, texts
from tiny_workspace import HOSTILE_ID, NUM_TEXTS, copy_of, imported, indexed, write_rows

import lorif_core as lf
from app.session import table_key
from lorif_core.views.atlas_figures import atlas_figure
from lorif_core.workspace.datasets.view import View


@pytest.fixture
def workspace(tmp_path):
    return copy_of(imported(), tmp_path)


def button(app, key):
    return next(one for one in app.button if one.key == key)


def rows_of_grid(app):
    """Rows of the table of texts, as they are sent to its renderer."""
    return grid_of(app)["rows"]


def grid_of(app):
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    return next(one for one in sent if one.get("mode") == "grid")


def listed(app):
    """Ids of a list that is a dataframe."""
    return next(frame.value for frame in app.dataframe if "text" in frame.value.columns)["id"].to_list()


def test_the_count_is_that_of_the_workspace_under_every_filter(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    opened = lf.open_workspace(workspace)
    app.text_input(key="q").set_value("river").run()
    app.text_input(key="where").set_value(f"train_id != {HOSTILE_ID}").run()
    count = opened.data.count(View(search="river", where=f"train_id != {HOSTILE_ID}"))
    assert 0 < count < NUM_TEXTS
    assert f"{count} of {NUM_TEXTS}" in texts(app)
    button(app, "corpus-reset").click().run()
    assert f"{NUM_TEXTS} of {NUM_TEXTS}" in texts(app)


@pytest.mark.parametrize("mode", ["words", "contains", "regex"])
def test_no_search_breaks_the_page(monkeypatch, workspace, mode):
    app = open_page(monkeypatch, workspace, "corpus")
    app.button_group(key="mode").set_value(mode)
    for search in ("foo-bar", '"', "NEAR(", "%"):
        app.text_input(key="q").set_value(search).run()
        wrong = [one for one in texts(app) if one.startswith("Something went wrong")]
        assert not app.exception
        assert not any("defect" in one for one in wrong)
        assert bool(wrong) == (mode == "regex" and search == "NEAR(")


def test_deciding_about_more_than_fifty_texts_needs_a_confirmation(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    button(app, "corpus-many").click().run()
    assert any(one.startswith(f"{NUM_TEXTS} texts are meant") for one in texts(app))
    assert button(app, "corpus-decide").disabled
    app.checkbox(key="corpus-sure").check().run()
    button(app, "corpus-decide").click().run()
    assert len(lf.open_workspace(workspace).decisions.states()) == NUM_TEXTS
    assert len(lf.open_workspace(workspace).decisions.history()) == 1


def test_a_bulk_exclusion_needs_a_reason(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    button(app, "corpus-many").click().run()
    app.button_group(key="corpus-action").set_value("exclude").run()
    app.checkbox(key="corpus-sure").check().run()
    assert button(app, "corpus-decide").disabled
    app.selectbox(key="corpus-reason").select("spam").run()
    assert not button(app, "corpus-decide").disabled


def test_the_last_page_holds_the_rest(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    first = [one["id"] for one in rows_of_grid(app)]
    button(app, "corpus-last").click().run()
    last = [one["id"] for one in rows_of_grid(app)]
    assert len(last) == NUM_TEXTS % 25
    assert not set(last) & set(first)
    assert button(app, "corpus-next").disabled


def test_the_table_shows_the_usual_columns_and_those_that_are_chosen(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus", sort="year", desc="true")
    heads = {one["name"]: one for one in grid_of(app)["columns"]}
    assert list(heads) == ["source", "year"]
    assert (heads["source"]["order"], heads["year"]["order"]) == (None, "descending")
    assert max(one["share"] for one in heads["year"]["bars"]) == 1
    years = [int(one["cells"][1]) for one in rows_of_grid(app)]
    assert years == sorted(years, reverse=True)
    app = open_page(monkeypatch, workspace, "corpus", cols="year")
    assert [one["name"] for one in grid_of(app)["columns"]] == ["year"]


@pytest.fixture
def with_index(tmp_path):
    return copy_of(indexed(), tmp_path)


def test_outliers_are_listed_by_self_influence_and_can_be_turned_round(monkeypatch, with_index):
    wanted = lf.open_workspace(with_index).indexes.outliers()["train_id"].to_list()
    app = open_page(monkeypatch, with_index, "corpus", tab="Outliers")
    assert not app.exception
    assert listed(app) == wanted[:25]
    app.toggle(key="smallest-first").set_value(True).run()
    assert listed(app) == wanted[::-1][:25]


def test_a_flag_among_the_outliers_names_the_selected_text(monkeypatch, with_index):
    wanted = lf.open_workspace(with_index).indexes.outliers()["train_id"].to_list()
    app = open_page(monkeypatch, with_index, "corpus", tab="Outliers")
    app.session_state[table_key("corpus-outliers-rows", wanted[:25])] = {
        "selection": {"rows": [2], "columns": [], "cells": []}
    }
    app.run()
    button(app, "corpus-flag").click().run()
    assert lf.open_workspace(with_index).decisions.events_of(wanted[2])[0].batch.kind == "flag"


def test_without_a_map_the_page_offers_to_compute_it(monkeypatch, with_index):
    app = open_page(monkeypatch, with_index, "corpus", tab="Map")
    assert not app.exception
    assert not button(app, "corpus-map-compute").disabled


def test_a_lasso_lists_exactly_the_texts_of_its_points(monkeypatch, with_index):
    opened = lf.open_workspace(with_index)
    atlas = opened.indexes.map()
    wanted = atlas.points["train_id"].to_list()[5:9]
    app = open_page(monkeypatch, with_index, "corpus", tab="Map", colour="data: source")
    assert not app.exception
    app.session_state["corpus-lasso-held"] = {"of": [atlas.index_id, 0], "ids": wanted}
    app.run()
    assert listed(app) == wanted


def test_texts_like_one_are_those_of_the_workspace_both_ways(monkeypatch, with_index):
    opened = lf.open_workspace(with_index)
    app = open_page(monkeypatch, with_index, "corpus", tab="Similar", like="t003")
    assert not button(app, "corpus-map-compute").disabled  # by meaning, before anything was computed
    opened.indexes.map()
    for label, by in (("By meaning", "meaning"), ("By gradient", "gradient")):
        app.button_group(key="by-what").set_value(label).run()
        run_until(app, lambda now: any("text" in frame.value.columns for frame in now.dataframe))
        wanted = opened.indexes.neighbours("t003", 100, by=by).texts["train_id"].to_list()
        assert listed(app) == wanted[:25]


def test_clusters_are_a_facet_that_narrows_the_list(monkeypatch, with_index):
    opened = lf.open_workspace(with_index)
    atlas = opened.indexes.map(num_clusters=4)
    app = open_page(monkeypatch, with_index, "corpus", cluster="2")
    wanted = atlas.points.filter(atlas.points["cluster"] == 2)["train_id"].to_list()
    assert f"{len(wanted):,} of {NUM_TEXTS}" in texts(app)
    assert [one["id"] for one in rows_of_grid(app)] == wanted[:25]
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    box = next(one for one in sent if one.get("mode") == "facets")["facets"][0]
    assert {one["label"]: one["count"] for one in box["choices"]} == {
        one.label: one.num_texts for one in atlas.clusters
    }
    assert [one["on"] for one in box["choices"]].count(True) == 1


def test_a_level_without_duplicates_offers_the_next_one_that_has_some(monkeypatch, tmp_path):
    rows = [{"id": f"x{n}", "text": f"{word} lies on the river of the old town"} for n, word in enumerate("abc")]
    opened = lf.create_workspace(tmp_path / "ws")
    opened.data.import_files(write_rows(tmp_path / "alike.jsonl", rows))
    app = open_page(monkeypatch, tmp_path / "ws", "corpus", tab="Duplicates", alike="90 % alike")
    run_until(app, lambda now: any(one.key == "corpus-show-looser" for one in now.button))
    (said,) = [one for one in texts(app) if one.startswith("No texts are 90 % alike.")]
    button(app, "corpus-show-looser").click().run()
    run_until(app, lambda now: any(one.startswith("1 group holds 3 texts") for one in texts(now)))
    assert "1 group is 70 % alike" in said


def test_a_map_and_outliers_without_an_index_say_the_next_step(monkeypatch, workspace):
    for tab in ("Map", "Outliers"):
        app = open_page(monkeypatch, workspace, "corpus", tab=tab)
        assert any("lorif index" in one.value for one in app.code)


def test_a_column_colours_and_shapes_its_most_frequent_values():
    points = pl.DataFrame(
        {"train_id": [f"t{n}" for n in range(30)], "x": [0.0] * 30, "y": [1.0] * 30, "cluster": [1] * 30}
    )
    values = pl.Series([f"v{n % 14:02d}" if n < 29 else None for n in range(30)])
    figure = atlas_figure(points, values, starts=["<b>a</b>\n$x$"] * 30, names={1: "<i>b</i>"})
    assert len(figure.data) == 12
    assert len({trace.marker.symbol for trace in figure.data}) == 12
    assert sorted(one for trace in figure.data for one in trace.customdata) == sorted(points["train_id"])
    shown = [one for trace in figure.data for one in trace.text] + [figure.layout.annotations[0].text]
    assert not any("<" in one for one in shown)


def test_scores_are_coloured_about_zero_and_the_far_ones_lie_on_top():
    points = pl.DataFrame({"train_id": list("abcd"), "x": [0.0] * 4, "y": [1.0] * 4, "cluster": [1] * 4})
    figure = atlas_figure(points, pl.Series([0.5, -3.0, 0.0, 1.0]), is_signed=True)
    (trace,) = figure.data
    assert list(trace.customdata) == ["c", "a", "d", "b"]
    assert trace.marker.cmin == -trace.marker.cmax
