"""An index in an object store: built, asked, looked at and copied as one in the workspace is."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import s3_server
from tiny_workspace import (
    SMALL,
    _without_origin,
    ask,
    copy_of,
    done,
    imported,
    index_folder,
    indexed,
    lasting_bytes_below,
    lorif,
    model_folder,
)

from lorif_core.errors import ConfigError
from lorif_core.store.manifest import MANIFEST
from lorif_core.store.open_place import open_place
from lorif_core.workspace.workspace import open_workspace

FAULTY = Path(__file__).with_name("faulty_cli.py")
KRONECKER = ("--method", "kronecker", "--budget", "600B", "--shard-examples", 16)
PEOPLES = ("coverage.json",)
"""What stays in the workspace's folder of an index: what people read, and locks."""


def lasting_bytes_at(storage, index_id):
    place = open_place(storage, index_id)
    return {name: _without_origin(name, place.read(name)) for name in place.listed()}


def wanted_bytes(workspace):
    return {name: one for name, one in lasting_bytes_below(index_folder(workspace)).items() if name not in PEOPLES}


def built(to, storage, settings=SMALL):
    workspace = copy_of(imported(), to)
    record = done("index", workspace, "--model", model_folder(), *settings, "--storage", storage, "--json").json
    return workspace, record["index_id"]


@pytest.fixture
def memory(tmp_path):
    """A location of this test's own."""
    return f"memory://{re.sub('[^a-z0-9]', '-', tmp_path.name)}/some/prefix"


def test_a_stored_index_has_the_bytes_of_one_in_the_workspace_and_none_of_them_lies_there(tmp_path, memory):
    workspace, index_id = built(tmp_path, memory)
    assert index_id == index_folder(indexed()).name
    assert lasting_bytes_at(memory, index_id) == wanted_bytes(indexed())
    assert {path.name for path in index_folder(workspace).iterdir()} <= {*PEOPLES, ".lock"}


def test_statistics_maps_and_ranks_lead_to_the_same_bytes(tmp_path, memory):
    whole = copy_of(imported(), tmp_path / "whole")
    done("index", whole, "--model", model_folder(), *KRONECKER)
    _, index_id = built(tmp_path, memory, KRONECKER)
    found = lasting_bytes_at(memory, index_id)
    assert any(name.startswith("maps/") for name in found)
    assert found == wanted_bytes(whole)


def test_scores_are_those_of_local_files_bit_for_bit(tmp_path, memory):
    workspace, _ = built(tmp_path, memory)
    one, other = ask(workspace), ask(indexed())
    for side in ("supports", "opposes"):
        assert one[side] == other[side]
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"prompt": "The river", "completion": " castle"}\n', encoding="utf-8")
    for where, name in ((workspace, "stored"), (indexed(), "local")):
        done("score", where, "--queries", queries, "--out", tmp_path / f"{name}.parquet")
    import polars as pl

    assert pl.read_parquet(tmp_path / "stored.parquet").equals(pl.read_parquet(tmp_path / "local.parquet"))


def test_lists_reports_and_status_are_as_of_a_local_index(tmp_path, memory, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # no storage is cut
    workspace, index_id = built(tmp_path, memory)
    (told,) = done("indexes", workspace, "--json").json["indexes"]
    assert told["storage"] == memory
    assert told["status"] == "complete"
    assert memory in done("indexes", workspace).out
    report, local = (done("indexes", one, index_id, "--json").json for one in (workspace, indexed()))
    assert report["explained_energy"] == local["explained_energy"]
    assert {one["kind"]: one["size_bytes"] for one in report["parts"] if one["kind"] != "manifest"} == {
        one["kind"]: one["size_bytes"] for one in local["parts"] if one["kind"] != "manifest"
    }
    assert done("status", workspace, "--json").json["indexes"][0]["index_id"] == index_id


def test_neighbours_map_and_outliers_read_a_stored_index(tmp_path, memory):
    workspace, index_id = built(tmp_path, memory)
    here, there = open_workspace(indexed()).indexes, open_workspace(workspace).indexes
    assert there.outliers(index_id).equals(here.outliers(index_id))
    assert there.neighbours("t003", 5).texts.equals(here.neighbours("t003", 5).texts)


def test_a_fast_search_of_a_store_that_is_read_whole_is_refused_and_an_exact_one_answers(tmp_path, memory):
    workspace, index_id = built(tmp_path, memory)
    refused = lorif("ask", workspace, "--prompt", "The river", "--completion", " castle", "--search", "fast")
    assert (refused.code, "would save nothing" in refused.err) == (2, True)
    with pytest.raises(ConfigError, match="would save nothing"):
        open_workspace(workspace).indexes.neighbours("t003", 5, index_id=index_id, search="fast")


def test_a_planned_index_is_made_by_slices_and_its_progress_is_seen(tmp_path, memory):
    workspace = copy_of(imported(), tmp_path)
    given = ("index", workspace, "--model", model_folder(), *SMALL, "--storage", memory)
    index_id = done(*given, "--plan-only", "--json").json["index_id"]
    done("index-part", workspace, index_id, "--slice", "2/2")
    (build,) = done("status", workspace, "--json").json["builds"]
    assert (build["num_finished"], build["num_parts"]) == (4, 8)
    done("index-part", workspace, index_id, "--slice", "1/2")
    assert lasting_bytes_at(memory, index_id) == wanted_bytes(indexed())


def test_doctor_reads_a_stored_index_and_names_what_is_damaged_missing_and_left_over(tmp_path, memory):
    workspace, index_id = built(tmp_path, memory)
    assert lorif("doctor", workspace).code == 0
    place = open_place(memory, index_id)
    tensors = [name for name in place.listed("parts") if name.endswith(".safetensors")]
    place.replace(tensors[0], place.read(tensors[0])[:-1] + b"x")
    place.delete(tensors[1])
    place.create("parts/00002-" + "0" * 32 + ".safetensors", b"")
    told = lorif("doctor", workspace, "--json")
    assert told.code == 2
    found = {(one["severity"], one["problem"]) for one in told.json["workspace"]["findings"]}
    assert any(severity == "broken" and tensors[0] in text for severity, text in found)
    assert any(severity == "missing" and tensors[1] in text for severity, text in found)
    assert any(severity == "leftover" and "00002-0000" in text for severity, text in found)
    assert len(found) == 3
    refused = lorif("ask", workspace, "--prompt", "The river", "--completion", " castle")
    assert refused.code == 2
    assert tensors[0] in refused.err
    for name in (tensors[0], "parts/00000.json", "parts/00001.json", MANIFEST):  # as the remedy says
        place.delete(name)
    done("index", workspace, "--model", model_folder(), *SMALL, "--storage", memory)
    assert lorif("doctor", workspace).code == 0
    assert lasting_bytes_at(memory, index_id) == wanted_bytes(indexed())


def test_a_damaged_or_missing_manifest_of_a_stored_index_is_named(tmp_path, memory):
    workspace, index_id = built(tmp_path, memory)
    place = open_place(memory, index_id)
    place.replace(MANIFEST, b"{")
    told = lorif("doctor", workspace, "--json")
    assert "not readable JSON" in told.json["workspace"]["findings"][0]["problem"]
    place.delete(MANIFEST)
    told = lorif("doctor", workspace, "--json")
    assert "not complete" in told.json["workspace"]["findings"][0]["problem"]
    done("index", workspace, "--model", model_folder(), *SMALL, "--storage", memory)
    assert lorif("doctor", workspace).code == 0


def test_the_same_command_without_a_storage_finds_the_index_where_it_lies_and_another_storage_is_refused(
    tmp_path, memory
):
    workspace, index_id = built(tmp_path, memory)
    again = done("index", workspace, "--model", model_folder(), *SMALL, "--json").json
    assert again["index_id"] == index_id
    assert not (index_folder(workspace) / "parts").exists()
    refused = lorif("index", workspace, "--model", model_folder(), *SMALL, "--storage", f"{memory}/other")
    assert refused.code == 2
    assert "--copy-to" in refused.err


def test_copies_go_to_a_store_and_back_and_the_index_is_read_where_the_last_one_lies(tmp_path, memory):
    workspace = copy_of(indexed(), tmp_path)
    index_id, before = index_folder(workspace).name, ask(workspace)
    copied = done("indexes", workspace, index_id, "--copy-to", memory, "--json").json
    assert copied["num_copied"] == copied["num_files"] - 1
    assert lasting_bytes_at(memory, index_id) == wanted_bytes(indexed())
    for name in ("parts", "subspace"):
        for path in (index_folder(workspace) / name).iterdir():
            path.unlink()
    after = ask(workspace)
    assert after["supports"] == before["supports"]
    done("indexes", workspace, index_id, "--copy-to", workspace / "indexes")
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))
    assert done("indexes", workspace, "--json").json["indexes"][0]["storage"] is None
    assert ask(workspace)["supports"] == before["supports"]
    assert lorif("doctor", workspace).code == 0


def test_a_copy_goes_on_where_it_stopped_and_compares_what_is_there(tmp_path, memory):
    workspace = copy_of(indexed(), tmp_path)
    index_id = index_folder(workspace).name
    place = open_place(memory, index_id)
    names = sorted(path.name for path in (index_folder(workspace) / "parts").glob("*.safetensors"))
    for name in names[:3]:
        place.create(f"parts/{name}", (index_folder(workspace) / "parts" / name).read_bytes())
    copied = done("indexes", workspace, index_id, "--copy-to", memory, "--json").json
    assert copied["num_copied"] == copied["num_files"] - 1 - 3


def test_a_copy_over_another_file_is_refused_and_the_index_stays_where_it_is(tmp_path, memory):
    workspace = copy_of(indexed(), tmp_path)
    index_id = index_folder(workspace).name
    place = open_place(memory, index_id)
    name = min(path.name for path in (index_folder(workspace) / "parts").glob("*.json"))
    place.create(f"parts/{name}", b"{}")
    refused = lorif("indexes", workspace, index_id, "--copy-to", memory)
    assert refused.code == 2
    assert "of another build" in refused.err
    assert done("indexes", workspace, "--json").json["indexes"][0]["storage"] is None
    assert not place.has(MANIFEST)


def test_a_damaged_index_is_not_copied(tmp_path, memory):
    workspace = copy_of(indexed(), tmp_path)
    path = min((index_folder(workspace) / "parts").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused = lorif("indexes", workspace, index_folder(workspace).name, "--copy-to", memory)
    assert refused.code == 2
    assert "is damaged" in refused.err


def test_a_copy_to_where_the_index_lies_and_one_of_no_index_are_refused(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    own = lorif("indexes", workspace, index_folder(workspace).name, "--copy-to", workspace / "indexes")
    assert (own.code, "already" in own.err) == (2, True)
    none = lorif("indexes", workspace, "--copy-to", tmp_path / "other")
    assert (none.code, "--copy-to PLACE" in none.err) == (2, True)


def test_without_the_package_a_storage_is_refused_in_a_sentence(tmp_path, monkeypatch):
    workspace = copy_of(imported(), tmp_path)
    monkeypatch.setitem(sys.modules, "obstore", None)
    refused = lorif("index", workspace, "--model", model_folder(), *SMALL, "--storage", "s3://bucket/without")
    assert refused.code == 2
    assert "pip install 'lorif-studio[storage]'" in refused.err


def test_a_storage_with_a_password_in_it_is_refused_and_kept_nowhere(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    refused = lorif("index", workspace, "--model", model_folder(), *SMALL, "--storage", "s3://me:hunter2@bucket/x")
    assert refused.code == 2
    assert "hunter2" not in refused.err + refused.out
    assert not any(b"hunter2" in path.read_bytes() for path in workspace.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def bucket():
    with s3_server("bucket"):
        yield "s3://bucket"


def in_another_process(seed, *arguments):
    return subprocess.Popen(
        [sys.executable, str(FAULTY), str(seed), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as the process whose bytes theirs are compared with
    )


@pytest.mark.storage
@pytest.mark.slow
@pytest.mark.parametrize("settings", [SMALL, KRONECKER], ids=["lorif", "kronecker"])
def test_processes_over_a_server_that_fails_end_as_one_process_on_a_disk(tmp_path, bucket, settings):
    whole = copy_of(imported(), tmp_path / "whole")
    done("index", whole, "--model", model_folder(), *settings)
    workspace, storage = copy_of(imported(), tmp_path), f"{bucket}/{settings[1]}"
    given = ("index", workspace, "--model", model_folder(), *settings, "--storage", storage)
    planning = in_another_process(1, *given, "--plan-only", "--json")
    _, err = planning.communicate(timeout=300)
    assert planning.returncode == 0, err
    index_id = index_folder(workspace).name
    tasks = [
        in_another_process(seed, "index-part", workspace, index_id, "--slice", one)
        for seed, one in ((2, "1/2"), (3, "2/2"), (4, "2/2"))
    ]
    faults = 0
    for task in tasks:
        _, err = task.communicate(timeout=300)
        assert task.returncode == 0, err
        faults += int(re.search(r"^faults (\d+)$", err, re.MULTILINE)[1])
    assert faults > 5
    found = lasting_bytes_at(storage, index_id)
    assert found == wanted_bytes(whole)
    assert sum(bool(re.fullmatch(r"parts/\d+\.json", name)) for name in found) == 8
    assert ask(workspace)["supports"] == ask(whole)["supports"]
    assert lorif("doctor", workspace).code == 0
    for path in workspace.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


@pytest.mark.storage
@pytest.mark.slow
def test_processes_that_are_killed_between_requests_leave_the_index_of_one_process(tmp_path, bucket):
    workspace, storage = copy_of(imported(), tmp_path), f"{bucket}/killed"
    given = ("index", workspace, "--model", model_folder(), *SMALL, "--storage", storage)
    for seed, dies_at in enumerate((6, 9, 23, 24, 40, 70)):
        task = in_another_process(f"{seed}:{dies_at}", *given)
        _, err = task.communicate(timeout=300)
        assert task.returncode == -signal.SIGKILL, err
    task = in_another_process(7, *given)
    _, err = task.communicate(timeout=300)
    assert task.returncode == 0, err
    assert lasting_bytes_at(storage, index_folder(workspace).name) == wanted_bytes(indexed())
    assert lorif("doctor", workspace).code == 0


@pytest.mark.storage
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("settings", [SMALL, KRONECKER], ids=["lorif", "kronecker"])
def test_workers_of_ray_build_into_a_bucket(tmp_path, bucket, settings, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = copy_of(imported(), tmp_path / "whole")
    done("index", whole, "--model", model_folder(), *settings)
    workspace, storage = copy_of(imported(), tmp_path), f"{bucket}/by-ray/{settings[1]}"
    done("index", workspace, "--model", model_folder(), *settings, "--storage", storage, "--workers", 2)
    assert lasting_bytes_at(storage, index_folder(workspace).name) == wanted_bytes(whole)
    monkeypatch.setenv("LORIF_STORE_CACHE_GB", "1")
    assert ask(workspace, "--on", "ray", "--workers", 2)["supports"] == ask(whole)["supports"]


def test_a_store_without_credentials_is_refused_in_a_sentence_that_names_them(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9/169.254.169.254")
    refused = lorif(
        "index", copy_of(imported(), tmp_path), "--model", model_folder(), *SMALL, "--storage", "s3://nobodys/x"
    )
    assert refused.code == 2
    assert "AWS_ACCESS_KEY_ID" in refused.err


@pytest.mark.storage
def test_a_bucket_that_is_not_there_is_named(tmp_path, bucket):
    workspace = copy_of(imported(), tmp_path)
    refused = lorif("index", workspace, "--model", model_folder(), *SMALL, "--storage", "s3://none/x")
    assert refused.code == 2
    assert "s3://none/x" in refused.err
    assert "make it first" in refused.err


def test_another_workspace_with_the_same_texts_finds_the_index_in_the_store(tmp_path, memory):
    _, index_id = built(tmp_path / "one", memory)
    before = open_place(memory, index_id).listed()
    second, again = built(tmp_path / "two", memory)
    assert again == index_id
    assert open_place(memory, index_id).listed() == before
    assert ask(second)["supports"] == ask(indexed())["supports"]
