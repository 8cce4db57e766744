"""A repair makes anew what is derived, sets aside what is not, says what is left to do, and can be undone."""

import io
import json
import os
import shutil
import sys

import pytest
from test_doctor import LONG_AGO, damaged, leave, look, paths_of
from tiny_workspace import SMALL, bytes_below, done, lorif, model_folder
from whole_workspace import QUESTION, index_of, whole

import lorif_core as lf


@pytest.fixture
def workspace(tmp_path):
    return shutil.copytree(whole(), tmp_path / "ws")


def repaired(workspace):
    """What a repair told."""
    run = lorif("doctor", workspace, "--repair", "--yes", "--json")
    assert run.code in (0, 2), run.err
    return run.json


MADE_AGAIN = [
    "datasets/*/changes.parquet",
    "indexes/*/plan.json",
    "indexes/*/manifest.json",
    "indexes/*/parts/00001.json",
    "indexes/*/subspace/*",
    "indexes/*/self_influence/*",
    "indexes/*/maps/*.safetensors",
]


@pytest.mark.parametrize("damage", ["cut", "deleted"])
@pytest.mark.parametrize("pattern", MADE_AGAIN)
def test_what_is_derived_is_made_again_with_the_same_bytes(pattern, damage, workspace):
    path = damaged(workspace, pattern, damage)
    broken = (workspace / path).read_bytes() if damage != "deleted" else None
    told = repaired(workspace)
    assert told["after"]["findings"] == []
    assert (told["repair"]["result"]["failed"], told["repair"]["result"]["left"]) == ([], [])
    assert comparable(workspace) == comparable(whole())
    if broken is not None:
        assert (workspace / told["repair"]["result"]["aside"] / path).read_bytes() == broken


def comparable(workspace):
    """Every file but those with the clock in them; of entries what equal builds have in common."""
    return {
        name: _without_run(content)
        for name, content in bytes_below(workspace).items()
        if not name.startswith((".repaired/", "catalog.duckdb", "journal.sqlite"))
    }


def _without_run(content):
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if not isinstance(value, dict):
        return content
    return {key: one for key, one in value.items() if key not in ("seal", "origin")}


def test_a_search_index_is_built_again(workspace):
    path = damaged(workspace, "datasets/*/search.sqlite", "cut")
    assert repaired(workspace)["after"]["findings"] == []
    dataset = path.split("/")[1]
    found = done("browse", workspace, "--dataset", dataset, "--search", "castle", "--json").json
    assert found == done("browse", whole(), "--dataset", dataset, "--search", "castle", "--json").json


def test_a_damaged_part_is_set_aside_and_the_same_command_makes_it_again(workspace):
    index_id = index_of(workspace, "lorif")
    before = comparable(workspace)
    path = damaged(workspace, f"indexes/{index_id}/parts/*.safetensors", "flipped")
    told = repaired(workspace)
    assert [one["artefact"] for one in told["after"]["findings"]] == [index_id]
    (left,) = told["repair"]["result"]["left"]
    assert "Run the same `lorif index` command again" in left
    dataset = lf.open_workspace(workspace).indexes.records()[0].dataset_id
    done("index", workspace, "--model", model_folder(), "--dataset", dataset, *SMALL)
    assert look(workspace).findings == []
    assert path in before
    assert comparable(workspace) == before


def test_maps_whose_statistics_are_gone_stay_as_they_are_and_that_is_said(workspace):
    path = damaged(workspace, "indexes/*/maps/*.safetensors", "cut")
    for statistics in workspace.glob("statistics/*"):
        statistics.unlink()
    before = bytes_below(workspace)
    told = repaired(workspace)
    (failed,) = told["repair"]["result"]["failed"]
    assert "statistics" in failed
    assert [one["path"] for one in told["after"]["findings"]] == [path]
    assert bytes_below(workspace) == before


def test_damaged_scores_are_set_aside_and_come_back_when_the_question_is_asked_again(workspace):
    query = lf.open_workspace(workspace).questions.records()[0]
    scores = workspace / "scores" / f"{query.fingerprint}.parquet"
    before = scores.read_bytes()
    damaged(workspace, f"scores/{scores.name}", "cut")
    told = repaired(workspace)
    assert [one["severity"] for one in told["after"]["findings"]] == ["missing"]
    assert "Ask the question again" in told["repair"]["result"]["left"][0]
    done("ask", workspace, *QUESTION, "--index", query.index_id)
    assert scores.read_bytes() == before
    assert look(workspace).findings == []


SET_ASIDE = [
    "rejects/texts.decided.jsonl",
    "indexes/*/coverage.json",
    "statistics/*",
    "maps/*",
    "states/*",
    "evaluations/brittleness/*",
    "evaluations/scores/*",
    "views/*",
]


def test_what_nobody_needs_is_set_aside_with_everything_that_killed_writers_left(workspace):
    paths = [damaged(workspace, pattern, "cut") for pattern in SET_ASIDE]
    paths += leave(workspace, LONG_AGO)
    before = bytes_below(workspace)
    told = repaired(workspace)
    assert told["after"]["findings"] == []
    aside = workspace / told["repair"]["result"]["aside"]
    assert all((aside / path).exists() and not (workspace / path).exists() for path in paths)
    for path in paths:  # undone by hand
        os.renames(aside / path, workspace / path)
    shutil.rmtree(workspace / ".repaired")
    assert bytes_below(workspace) == before


def test_of_an_index_that_cannot_be_built_on_and_of_scores_that_are_gone_it_is_said_what_a_person_can_do(workspace):
    index_id = index_of(workspace, "lorif")
    for name in ("plan.json", "manifest.json"):
        damaged(workspace, f"indexes/{index_id}/{name}", "cut")
    damaged(workspace, "scores/*", "deleted")
    run = lorif("doctor", workspace, "--repair", "--dry-run", "--json")
    plan = run.json["repair"]["plan"]
    assert plan["steps"] == []
    remedies = {one["path"].split("/")[0]: one["remedy"] for one in plan["others"]}
    assert remedies["indexes"] == (
        f"Restore indexes/{index_id} from a backup, or move it away and run the same `lorif index` command again."
    )
    assert remedies["scores"].startswith("Ask the question again")


NEVER_TOUCHED = [
    "workspace.json",
    "catalog.duckdb",
    "journal.sqlite",
    "datasets/*/examples.parquet",
    "uploads/*/*",
    "studio-password",
    "exports/versions/*",
    "exports/*/data.*",
]


@pytest.mark.parametrize("pattern", NEVER_TOUCHED)
def test_what_is_not_derived_is_never_touched(pattern, workspace):
    damaged(workspace, pattern, "cut")
    before = bytes_below(workspace)
    told = repaired(workspace)
    assert told["repair"]["plan"]["steps"] == []
    assert len(told["repair"]["plan"]["others"]) == 1
    assert bytes_below(workspace) == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(workspace):
    path = damaged(workspace, "maps/*", "cut")
    before = bytes_below(workspace)
    run = lorif("doctor", workspace, "--repair", "--dry-run")
    assert run.code == 2
    assert f"A repair would:\n  set aside {path}\n" in run.out
    assert bytes_below(workspace) == before


def test_in_a_pipe_a_repair_wants_to_be_agreed_to_beforehand(workspace, monkeypatch):
    damaged(workspace, "maps/*", "cut")
    before = bytes_below(workspace)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    run = lorif("doctor", workspace, "--repair")
    assert run.code == 2
    assert "then pass `--yes`" in run.err
    assert bytes_below(workspace) == before


class Terminal(io.StringIO):
    """A person at a keyboard."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "is_done"), [("y\n", True), ("\n", False), ("n\n", False), ("", False)])
def test_on_a_terminal_it_asks(typed, is_done, workspace, monkeypatch):
    path = damaged(workspace, "maps/*", "cut")
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    run = lorif("doctor", workspace, "--repair")
    assert "Do this? [y/N]" in run.err
    assert (workspace / path).exists() is not is_done
    assert run.code == (0 if is_done else 2)


@pytest.mark.parametrize("words", [("--repair",), ("--dry-run",), ("--yes",)])
def test_flags_that_say_nothing_by_themselves_are_refused(words, workspace):
    place = () if words == ("--repair",) else (workspace,)
    run = lorif("doctor", *place, *words)
    assert run.code == 2
    assert "--repair" in run.err


def test_a_repair_of_a_whole_workspace_does_nothing(workspace):
    before = bytes_below(workspace)
    run = done("doctor", workspace, "--repair", "--yes")
    assert "do nothing" in run.out
    assert bytes_below(workspace) == before


def test_what_repairs_took_away_is_no_finding_but_said(workspace):
    damaged(workspace, "maps/*", "cut")
    repaired(workspace)
    report = look(workspace)
    assert report.findings == []
    assert [one.path for one in report.notes if one.path == ".repaired"] == [".repaired"]
    assert paths_of(report.findings) == []
