"""Builds that find parts made by others, or by the version before, and the length at which texts are really cut."""

import json
import os
import shutil
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_workspace import (
    HOSTILE,
    SMALL,
    ask,
    bytes_below,
    copy_of,
    done,
    imported,
    index_folder,
    indexed,
    lasting_bytes_below,
    lorif,
    manifest_of,
    model_folder,
    num_parts,
    rows,
    tensors_of_part,
    write_model,
)
from transformers import AutoTokenizer

import lorif_core as lf
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.files import checksum_of_file, fingerprint_of_value
from lorif_core.methods.method_settings import IndexConfig, LorifConfig
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import COUNTED
from lorif_core.store.parts import finished_parts
from lorif_core.store.plan import Parents, Plan
from lorif_core.workspace.indexes.index_job import index_id_of
from lorif_core.workspace.workspace import open_workspace

SETTINGS = IndexConfig(
    model=ModelConfig(model=str(model_folder())),
    method=LorifConfig(subspace_rank=8),
    batches=BatchConfig(shard_examples=16),
)
"""Those of ``indexed``: eight parts."""


def forget(folder, *numbers):
    """Take an index back to where only some of its parts were finished."""
    (folder / "manifest.json").unlink()
    for name in ("subspace", "self_influence"):
        shutil.rmtree(folder / name)
    for number in numbers:
        for path in folder.glob(f"parts/{number:05d}*"):
            path.unlink()


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("parts/*")}


def test_only_missing_parts_are_made_wherever_they_are_and_the_bytes_are_the_same(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    forget(index_folder(workspace), 0, 3, 7)
    before = times(index_folder(workspace))
    assert len(before) == 2 * 5
    assert manifest_of(workspace)["status"] == "building"
    done("index", workspace, "--model", model_folder(), *SMALL)
    assert before.items() <= times(index_folder(workspace)).items()
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def test_a_part_that_another_worker_finishes_meanwhile_is_not_made_again(tmp_path):
    workspace, whole = copy_of(imported(), tmp_path), index_folder(indexed())
    folder, steps = workspace / "indexes" / whole.name, []

    def on_progress(stage, number, total):
        if stage == "gradients":
            steps.append(number)
            (folder / "parts").mkdir(exist_ok=True)
            for path in sorted(whole.glob("parts/00005*")):  # tensors first
                shutil.copy(path, folder / "parts" / path.name)

    open_workspace(workspace).indexes.build(SETTINGS, on_progress=on_progress)
    assert steps[-1] == len(rows()) - 16
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(whole)


def test_an_entry_says_where_and_by_whom_its_part_was_made(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    open_workspace(workspace).indexes.build(SETTINGS)
    origins = [entry.origin for entry in finished_parts(index_folder(workspace)).values()]
    assert {(origin.device, origin.torch_version) for origin in origins} == {("cpu", torch.__version__)}
    assert all(origin.worker.endswith(f":{os.getpid()}") and origin.seconds > 0 for origin in origins)


def test_an_unfinished_index_is_reported_with_what_is_there(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    forget(index_folder(workspace), 0, 3)
    report = lf.open_workspace(workspace).indexes.report()
    assert (report.status, report.num_stored) == ("building", len(rows()) - 2 * 16)
    paths = [path for path in index_folder(workspace).rglob("*") if path.is_file() and path.name != ".lock"]
    assert report.index_bytes == sum(path.stat().st_size for path in paths)


def test_the_catalog_counts_every_byte_of_the_folder(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    record = open_workspace(workspace).indexes.build(SETTINGS)
    assert record.total_bytes == sum(len(content) for content in bytes_below(index_folder(workspace)).values())


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 2}', '{"format": 9}'])
def test_the_doctor_names_an_unusable_plan_of_an_unfinished_index(damage, tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    forget(index_folder(workspace), 3)
    (index_folder(workspace) / "plan.json").write_text(damage, encoding="utf-8")
    report = lorif("doctor", workspace, "--json")
    assert report.code == 2
    (finding,) = report.json["workspace"]["findings"]
    assert "plan.json'" in finding["problem"]


# Format 1: what the code before wrote, literally.


def as_format_1(workspace, num_shards):
    """Turn the only index into one of format 1, with so many of its shards; complete if these are all."""
    folder, manifest = index_folder(workspace), manifest_of(workspace)
    shards = manifest["shards"][:num_shards]
    (folder / "shards").mkdir()
    for number, shard in enumerate(shards):
        name = f"shards/{number:05d}.safetensors"
        (folder / shard["file"]).rename(folder / name)
        shard["file"] = name
        for name in ("failed_ids", *COUNTED):
            shard.pop(name)
    shutil.rmtree(folder / "parts")
    (folder / "plan.json").unlink()
    manifest.pop("members")
    manifest.pop("stride")
    manifest["shards"] = shards
    if manifest["maps"] is not None:
        path = folder / "maps.safetensors"
        save_file({key: value for file in folder.glob("maps/*") for key, value in load_file(file).items()}, path)
        shutil.rmtree(folder / "maps")
        manifest["maps"] = {
            "file": path.name, "size_bytes": path.stat().st_size, "checksum": checksum_of_file(path)
        }  # fmt: skip
    if sum(shard["num_examples"] for shard in shards) < manifest["num_examples"]:
        for name in ("subspace", "self_influence"):
            shutil.rmtree(folder / name, ignore_errors=True)
        manifest |= {
            "subspace_rank": None, "subspaces": [], "self_influences": [], "curvature": None, "damping": {},
            "status": "building",
        }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"format": 1, **manifest}, indent=1), encoding="utf-8")
    catalog = open_workspace(workspace).files.catalog
    (record,) = catalog.indexes()
    status = "complete" if manifest["status"] == "complete" else "failed"
    catalog.set_index_status(record.index_id, status, fingerprint=fingerprint_of_value(manifest))


KRONECKER = ("--method", "kronecker", "--shard-examples", 16)


@pytest.fixture(scope="module")
def whitened(tmp_path_factory):
    workspace = copy_of(imported(), tmp_path_factory.mktemp("whitened"))
    done("index", workspace, "--model", model_folder(), *KRONECKER)
    return workspace


@pytest.fixture(params=["lorif", "kronecker"])
def built(request, whitened):
    """A complete index of format 2, and the settings that it was built with."""
    return (indexed(), SMALL) if request.param == "lorif" else (whitened, KRONECKER)


def hits(workspace):
    answer = ask(workspace, "-k", 121)
    return {hit["train_id"]: hit["score"] for hit in answer["supports"] + answer["opposes"]}


def test_a_complete_index_of_format_1_answers_as_before(built, tmp_path):
    workspace = copy_of(built[0], tmp_path)
    as_format_1(workspace, 8)
    assert hits(workspace) == hits(built[0])
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def test_a_complete_index_of_format_1_is_left_alone_by_the_same_command(built, tmp_path):
    workspace = copy_of(built[0], tmp_path)
    as_format_1(workspace, 8)
    before, records = bytes_below(index_folder(workspace)), open_workspace(workspace).indexes.records()
    done("index", workspace, "--model", model_folder(), *built[1])
    assert bytes_below(index_folder(workspace)) == before
    assert open_workspace(workspace).indexes.records() == records


@pytest.mark.parametrize("num_shards", [0, 3])
def test_an_unfinished_build_of_format_1_goes_on_to_the_same_scores(num_shards, built, tmp_path):
    workspace = copy_of(built[0], tmp_path)
    as_format_1(workspace, num_shards)
    done("index", workspace, "--model", model_folder(), *built[1])
    assert hits(workspace) == hits(built[0])
    folder = index_folder(workspace)
    assert len(list(folder.glob("shards/*"))) == num_shards
    assert len(list(folder.glob("parts/*.safetensors"))) == 8 - num_shards
    assert num_parts(workspace) == 8
    assert tensors_of_part(workspace, 7).read_bytes() == tensors_of_part(built[0], 7).read_bytes()
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def test_a_complete_index_of_format_1_is_fitted_anew_with_its_gradients(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    as_format_1(workspace, 8)
    done("index", workspace, "--model", model_folder(), *SMALL, "--damping-ratio", 2)
    assert len(list(index_folder(workspace).glob("shards/*"))) == 8
    done("index", workspace, "--model", model_folder(), *SMALL)
    assert hits(workspace) == hits(indexed())


# Names of indexes.

PLAN = Plan(
    layout="factors",
    codec="sign",
    factor_rank=2,
    f=4,
    seed=7,
    max_length=512,
    parents=Parents("data", "model", "tokenizer"),
    modules=[ModuleShape("a.up", 6, 8, 3, 4)],
    maps_digest="digest",
    num_examples=5,
    shard_examples=2,
)
IDENTITY = {
    "layout": "factors",
    "codec": "sign",
    "factor_rank": 2,
    "f": 4,
    "seed": 7,
    "max_length": 512,
    "parents": {"dataset": "data", "model": "model", "tokenizer": "tokenizer"},
    "modules": [{"name": "a.up", "in_features": 6, "out_features": 8, "d_in": 3, "d_out": 4}],
    "maps_digest": "digest",
    "num_examples": 5,
}
"""What the name of an index was a hash of before format 2."""


@pytest.mark.parametrize(
    "more", [{}, {"whitening": {"alpha": 0.003, "stats_examples": 9}}, {"budget_bytes": 500}, {"stride": 9}], ids=str
)
def test_an_index_has_the_name_that_it_had_before_format_2(more):
    wanted = f"ix-{fingerprint_of_value(IDENTITY | more)[:12]}"
    assert index_id_of(replace(PLAN, **more)) == wanted
    assert index_id_of(replace(PLAN, **more, shard_examples=3, ranks={"a.up": 1})) == wanted


def test_an_index_over_other_members_has_another_name():
    assert index_id_of(replace(PLAN, members=("first", "second"))) != index_id_of(PLAN)


@pytest.mark.parametrize(
    "more",
    [{"precision": "bfloat16"}, {"captured": PLAN.modules}, {"objective": "margin"}, {"logged": {"run": "run7"}}],
    ids=lambda more: next(iter(more)),
)
def test_an_index_that_is_not_as_all_were_has_another_name(more):
    assert index_id_of(replace(PLAN, **more)) != index_id_of(PLAN)


def test_everything_in_a_plan_but_what_the_build_decides_is_in_the_name():
    left_out = {"shard_examples", "maps", "ranks", "members", "whitening", "budget_bytes", "stride"}
    left_out |= {
        "precision",
        "scales",
        "captured",
        "objective",
        "logged",
    }  # said only where they differ from what was before there was a choice
    assert asdict(PLAN).keys() - left_out == IDENTITY.keys()


# Texts are cut at what the model reads.

POSITIONS = 6


@pytest.fixture(scope="module")
def short_model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("short") / "model", num_positions=POSITIONS)


def built_with(max_length, short_model, folder):
    workspace = copy_of(imported(), folder)
    done("index", workspace, "--model", short_model, *KRONECKER, "--max-length", max_length)
    return workspace


@pytest.fixture(scope="module")
def cut(short_model, tmp_path_factory):
    """Indexes whose settings say all that the model reads, and 512 tokens."""
    lengths = (POSITIONS, 512)
    return {length: built_with(length, short_model, tmp_path_factory.mktemp("cut")) for length in lengths}


def num_read_tokens(short_model):
    tokenizer = AutoTokenizer.from_pretrained(short_model)
    texts = [(row["prompt"], row["completion"]) for row in rows()]
    lengths = [len(tokenizer(prompt)["input_ids"] + tokenizer(rest)["input_ids"]) + 1 for prompt, rest in texts]
    assert HOSTILE["prompt"] == texts[-1][0]
    assert sum(lengths) > 1.5 * sum(min(length, POSITIONS) for length in lengths)  # otherwise it would hardly show
    return sum(min(length, POSITIONS) for length in lengths)


def test_settings_that_differ_only_beyond_what_the_model_reads_name_one_index_and_the_same_statistics(cut):
    ids = {index_folder(workspace).name for workspace in cut.values()}
    first, *others = [{path.name for path in (workspace / "statistics").iterdir()} for workspace in cut.values()]
    assert (len(ids), others) == (1, [first])
    assert [manifest_of(workspace)["max_length"] for workspace in cut.values()] == [POSITIONS] * 2


def test_a_length_beyond_what_the_model_reads_changes_no_score(cut):
    assert hits(cut[512]) == hits(cut[POSITIONS])


def test_nats_are_divided_by_the_tokens_that_were_read(cut, short_model):
    assert len(cut) == 2
    for workspace in cut.values():
        assert open_workspace(workspace).indexes.open().reader.num_train_tokens == num_read_tokens(short_model)


def test_the_same_command_with_a_longer_length_finds_the_index(cut, short_model, tmp_path):
    workspace = copy_of(cut[POSITIONS], tmp_path)
    before = bytes_below(index_folder(workspace))
    done("index", workspace, "--model", short_model, *KRONECKER, "--max-length", 300)
    assert bytes_below(index_folder(workspace)) == before


def test_an_index_of_format_1_that_says_more_than_was_read_is_divided_by_what_was_read(cut, tmp_path):
    workspace = copy_of(cut[512], tmp_path)
    as_format_1(workspace, 8)
    path = index_folder(workspace) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"max_length": 512}), encoding="utf-8")
    assert hits(workspace) == hits(cut[POSITIONS])


def test_a_shorter_length_than_the_model_reads_is_another_index(cut, short_model, tmp_path):
    shorter = built_with(POSITIONS - 1, short_model, tmp_path)
    assert index_folder(shorter).name != index_folder(cut[512]).name
