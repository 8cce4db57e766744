"""f and rank where nobody says them: chosen by bytes, raised where memory is short, decided once, else refused."""

import json

import pytest
from tiny_workspace import copy_of, done, imported, lorif, model_folder

from lorif_core.store.plan import read_plan
from lorif_core.workspace.indexes import fit_to_memory
from lorif_core.workspace.indexes.free_memory import group_rooms

INDEX = ("--model", model_folder(), "--exclude", "lm_head", "--tokens-per-batch", 64, "--max-length", 32)


@pytest.fixture
def workspace(tmp_path):
    return copy_of(imported(), tmp_path)


def plans(workspace):
    return sorted((plan.f, plan.factor_rank) for plan in map(read_plan, sorted((workspace / "indexes").glob("ix-*"))))


def needs(workspace, monkeypatch):
    """Bytes that a build holds, by f."""
    found = {}
    original = fit_to_memory.needs_at

    def told(engine, f):
        found[f] = original(engine, f).least()
        return original(engine, f)

    with monkeypatch.context() as patched:
        patched.setattr(fit_to_memory, "needs_at", told)
        patched.setattr(fit_to_memory, "free_bytes", lambda device: 0)
        assert lorif("index", workspace, *INDEX, "--dry-run").code == 2
    return found


def build(workspace, *words):
    return done("index", workspace, *INDEX, *words, "--json").json


def test_a_small_model_has_f_1_and_two_terms_and_says_why(workspace):
    record = build(workspace)
    assert plans(workspace) == [(1, 2)]
    assert record["factor_rank"] == 2
    settings = json.loads(record["settings_json"])
    assert (settings["method"]["f"], settings["method"]["factor_rank"]) == (1, 2)
    assert settings["size_chosen"].startswith("f = 1 with rank 2")
    said = " ".join(done("indexes", workspace, record["index_id"]).out.split())
    assert "Chosen by itself: f = 1 with rank 2" in said


def test_what_was_chosen_is_the_index_that_the_same_settings_name(workspace):
    chosen = build(workspace)
    asked = done("index", workspace, *INDEX, "--f", 1, "--factor-rank", 2, "--json").json
    assert asked["index_id"] == chosen["index_id"]


def test_a_rank_that_is_asked_for_is_kept(workspace):
    build(workspace, "--factor-rank", 3)
    assert plans(workspace) == [(1, 3)]


@pytest.mark.parametrize("more", [("--codec", "bf16"), ("--head-columns", "5000"), ("--factor-rank", "16")], ids=str)
def test_more_bytes_that_are_asked_for_cost_no_direction(more, workspace):
    build(workspace, *more)
    ((f, _),) = plans(workspace)
    assert f == 1


def test_short_memory_doubles_f_once_and_for_all(workspace, monkeypatch):
    whole = needs(workspace, monkeypatch)
    monkeypatch.setattr(fit_to_memory, "free_bytes", lambda device: (whole[1] + whole[2]) // 2)
    run = done("index", workspace, *INDEX, "--json")
    first = run.json
    assert plans(workspace) == [(2, 2)]
    assert "so f was raised to 2" in json.loads(first["settings_json"])["size_chosen"]
    monkeypatch.setattr(fit_to_memory, "free_bytes", lambda device: 1 << 50)
    assert build(workspace)["index_id"] == first["index_id"]  # more memory begins no other
    monkeypatch.setattr(fit_to_memory, "free_bytes", lambda device: 1)
    assert build(workspace)["index_id"] == first["index_id"]  # nor does less
    assert plans(workspace) == [(2, 2)]


def test_an_index_that_was_begun_with_more_memory_is_resumed_with_less(workspace, monkeypatch):
    first = build(workspace)
    monkeypatch.setattr(fit_to_memory, "free_bytes", lambda device: 1)
    assert build(workspace)["index_id"] == first["index_id"]


def test_an_f_that_somebody_asked_for_does_not_stand_for_one_that_memory_chose(workspace):
    asked = done("index", workspace, *INDEX, "--f", 2, "--factor-rank", 2, "--json").json
    assert build(workspace)["index_id"] != asked["index_id"]
    assert plans(workspace) == [(1, 2), (2, 2)]


def test_an_f_that_does_not_fit_is_refused_with_the_one_that_does(workspace, monkeypatch):
    whole = needs(workspace, monkeypatch)
    monkeypatch.setattr(fit_to_memory, "free_bytes", lambda device: (whole[1] + whole[2]) // 2)
    run = lorif("index", workspace, *INDEX, "--f", 1)
    assert run.code == 2
    said = " ".join(run.err.split())
    assert "a build with f = 1 must fit into memory" in said
    assert said.endswith("Pass `--f 2`.")
    assert not (workspace / "statistics").exists()
    done("index", workspace, *INDEX, "--f", 2)


def test_where_no_f_fits_the_refusal_names_another_setting(workspace, monkeypatch):
    monkeypatch.setattr(fit_to_memory, "free_bytes", lambda device: 0)
    run = lorif("index", workspace, *INDEX)
    assert run.code == 2
    assert "Pass `--" in run.err
    assert not list((workspace / "indexes").glob("*"))


@pytest.mark.parametrize(
    ("named", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "1000", "memory.current": "400"}, [600]),
        ("0::/a/b\n", {"a/memory.max": "1000", "a/memory.current": "400", "a/b/memory.max": "max"}, [600]),
        (
            "4:memory:/a\n0::/\n",
            {
                "memory/a/memory.limit_in_bytes": "900",
                "memory/a/memory.usage_in_bytes": "800",
                "memory/a/memory.stat": "cache 5\ntotal_inactive_file 50\n",
            },
            [150],
        ),
        ("", {}, []),
    ],
    ids=["a container", "a group in a group", "version 1", "no limits"],
)
def test_a_control_groups_limit_is_room(tmp_path, named, files, expected):
    own = tmp_path / "own"
    own.write_text(named)
    for name, text in files.items():
        (tmp_path / "cg" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cg" / name).write_text(text)
    assert list(group_rooms(tmp_path / "cg", own)) == expected
