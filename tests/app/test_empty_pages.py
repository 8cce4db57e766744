"""A workspace without anything: every page says what to do next, and doing it leads on."""

import shlex

import pytest
import streamlit as st
from app_pages import open_page, texts
from tiny_workspace import SMALL, ask, copy_of, done, imported, indexed, model_folder, texts_file

import lorif_core as lf
from app.shell import PAGES
from lorif_core.workspace.workspace import create_workspace


@pytest.fixture
def empty(tmp_path):
    return create_workspace(tmp_path / "ws").path


def next_steps(app):
    """Commands that a page offers."""
    return [block.value for block in app.code if block.value.startswith("lorif ")]


@pytest.mark.parametrize("page", [entry.module.rpartition(".")[2].removesuffix("_page") for entry in PAGES[1:]])
def test_an_empty_workspace_has_a_next_step_on_every_page(monkeypatch, empty, page):
    app = open_page(monkeypatch, empty, page)
    assert not app.exception
    assert not [one for one in texts(app) if one.startswith("Something went wrong")]
    assert next_steps(app)


def test_home_of_an_empty_workspace_leads_to_the_import(monkeypatch, empty):
    app = open_page(monkeypatch, empty, first="home")
    assert not app.exception
    labels = [link.proto.label for link in app.get("page_link")]
    assert labels[:2] == ["Import data", "Build an index"]


def follow(command, workspace):
    """Carry out a command that a page offers, its place-holders replaced by what a person has."""
    words = ["--model" if word == "--model" else word for word in shlex.split(command)[1:]]
    known = {"FILE": texts_file(), "FOLDER": model_folder(), "…": "The river of Arlen is"}
    options = {"index": SMALL, "ask": ("--json",)}.get(words[0], ())
    return done(*(known.get(word, word) for word in words if word != "--as-job"), *options)


def fresh(monkeypatch, workspace):
    """Home as a studio shows it that remembers nothing from before."""
    st.cache_data.clear()
    return open_page(monkeypatch, workspace)


def test_the_next_steps_lead_from_nothing_to_an_answer(monkeypatch, empty):
    for command in ("import", "index", "ask"):
        follow(
            next(one for one in next_steps(fresh(monkeypatch, empty)) if one.startswith(f"lorif {command}")), empty
        )
    assert [query.prompt for query in lf.open_workspace(empty).questions.records()] == ["The river of Arlen is"]
    assert not next_steps(fresh(monkeypatch, empty))


@pytest.mark.parametrize("page", ["review", "history"])
def test_the_next_step_without_decisions_is_one(monkeypatch, tmp_path, page):
    workspace = copy_of(imported(), tmp_path)
    (step,) = next_steps(open_page(monkeypatch, workspace, page))
    assert shlex.split(step)[:3] == ["lorif", "flag", str(workspace)]
    done("flag", workspace, lf.open_workspace(workspace).data.browse(limit=1).frame["train_id"].item())
    assert not next_steps(open_page(monkeypatch, workspace, page))


def test_without_questions_what_if_says_how_to_ask_one(monkeypatch, tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    (step,) = next_steps(open_page(monkeypatch, workspace, "what_if"))
    assert step.startswith("lorif ask")
    ask(workspace)
