"""Corpus without a browser: filters, paging, selection, bulk decisions, duplicates."""

import polars as pl
import pytest
from app_pages import open_page, texts
from tiny_workspace import HOSTILE_ID, NUM_TEXTS, copy_of, imported, indexed

import lorif_core as lf
from app.session import table_key
from lorif_core.views.atlas_figures import atlas_scatter
from lorif_core.workspace.datasets.view import View


@pytest.fixture
def workspace(tmp_path):
    return copy_of(imported(), tmp_path)


def button(app, key):
    return next(one for one in app.button if one.key == key)


def select(app, rows):
    app.session_state[table_key("corpus-rows", listed(app))] = {
        "selection": {"rows": rows, "columns": [], "cells": []}
    }
    return app.run()


def listed(app):
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


def test_flagging_selected_rows_names_exactly_their_ids(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    wanted = [listed(app)[row] for row in (1, 3)]
    select(app, [1, 3])
    button(app, "corpus-flag").click().run()
    states = lf.open_workspace(workspace).decisions.states()
    assert sorted(states.filter(states["status"] == "flagged")["train_id"]) == sorted(wanted)


def test_another_order_empties_the_selection(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    select(app, [0, 1])
    assert "2 selected" in texts(app)
    app.toggle(key="desc").set_value(True).run()
    assert "0 selected" in texts(app)
    assert button(app, "corpus-flag").disabled


def test_deciding_about_more_than_fifty_texts_needs_a_confirmation(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    next(one for one in app.toggle if one.label.startswith("Select all")).set_value(True).run()
    assert not any(one.key == "corpus-flag" for one in app.button)
    button(app, "corpus-many").click().run()
    assert any(one.startswith(f"{NUM_TEXTS} texts are meant") for one in texts(app))
    assert button(app, "corpus-decide").disabled
    app.checkbox(key="corpus-sure").check().run()
    button(app, "corpus-decide").click().run()
    assert len(lf.open_workspace(workspace).decisions.states()) == NUM_TEXTS
    assert len(lf.open_workspace(workspace).decisions.history()) == 1


def test_a_bulk_exclusion_needs_a_reason(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    next(one for one in app.toggle if one.label.startswith("Select all")).set_value(True).run()
    button(app, "corpus-many").click().run()
    app.button_group(key="corpus-action").set_value("exclude").run()
    app.checkbox(key="corpus-sure").check().run()
    assert button(app, "corpus-decide").disabled
    app.selectbox(key="corpus-reason").select("spam").run()
    assert not button(app, "corpus-decide").disabled


def test_the_last_page_holds_the_rest(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "corpus")
    first = listed(app)
    button(app, "corpus-last").click().run()
    assert len(listed(app)) == NUM_TEXTS % 25
    assert not set(listed(app)) & set(first)
    assert button(app, "corpus-next").disabled


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
    app = open_page(monkeypatch, with_index, "corpus", tab="Map", colour="source")
    assert not app.exception
    points = [{"customdata": [one], "point_index": place, "curve_number": 0} for place, one in enumerate(wanted)]
    app.session_state[table_key("corpus-map", [atlas.index_id, "0", "source"])] = {
        "selection": {"points": points, "point_indices": [], "box": [], "lasso": []}
    }
    app.run()
    assert listed(app) == wanted


def test_a_map_and_outliers_without_an_index_say_the_next_step(monkeypatch, workspace):
    for tab in ("Map", "Outliers"):
        app = open_page(monkeypatch, workspace, "corpus", tab=tab)
        assert any("lorif index" in one.value for one in app.code)


def test_a_column_colours_and_shapes_its_most_frequent_values():
    points = pl.DataFrame({"train_id": [f"t{n}" for n in range(30)], "x": [0.0] * 30, "y": [1.0] * 30})
    values = pl.Series([f"v{n % 12:02d}" if n < 29 else None for n in range(30)])
    figure = atlas_scatter(points, values)
    assert len(figure.data) == 9
    assert len({trace.marker.symbol for trace in figure.data}) == 9
    assert sorted(one for trace in figure.data for one in trace.customdata) == sorted(points["train_id"])
