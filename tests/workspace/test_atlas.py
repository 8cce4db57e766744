"""The map and the outliers of an index: the same whenever they are computed, by id, refused when they are stale."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from tiny_workspace import NUM_TEXTS, copy_of, done, indexed

import lorif_core as lf
from lorif_core.errors import ArtefactError, DamagedArtefact, FingerprintMismatch
from lorif_core.journal.jobs import Job
from lorif_core.passes.fitting import preconditioner_of
from lorif_core.workspace.indexes.atlas import EXPLAINED, has_atlas, read_atlas
from lorif_core.workspace.jobs.requests import MapRequest
from lorif_core.workspace.jobs.submit import open_jobs, submit
from lorif_core.workspace.jobs.worker import run_worker


@pytest.fixture
def workspace(tmp_path):
    return lf.open_workspace(copy_of(indexed(), tmp_path))


def test_a_map_has_a_point_per_text_and_is_the_same_every_time(workspace, tmp_path):
    first = workspace.indexes.map()
    assert (
        first.points["train_id"].to_list()
        == workspace.files.examples(workspace.data.records()[0].dataset_id).column("train_id").to_list()
    )
    assert first.points.select("x", "y").null_count().row(0) == (0, 0)
    workspace.files.map_file(first.index_id).unlink()
    assert workspace.indexes.map().points.equals(first.points)


def test_a_kept_map_is_read_back_without_a_pass_over_the_index(workspace):
    first = workspace.indexes.map()
    told = []
    again = workspace.indexes.map(on_progress=lambda *progress: told.append(progress))
    assert told == []
    assert again.points.equals(first.points)
    assert 0 < sum(first.explained) <= 1


def test_another_seed_is_another_map(workspace):
    assert not workspace.indexes.map().points.equals(workspace.indexes.map(seed=1).points)


def test_progress_counts_both_passes(workspace):
    told = []
    workspace.indexes.map(on_progress=lambda *progress: told.append(progress))
    assert told == [("map", done, 16) for done in range(1, 17)]


def test_a_map_of_an_index_that_was_built_anew_is_refused(workspace):
    index = workspace.indexes.records()[0]
    workspace.indexes.map()
    workspace.files.catalog.put_index(replace(index, fingerprint="another"))
    assert not has_atlas(workspace.files, index.index_id)
    with pytest.raises(FingerprintMismatch, match="compute it again"):
        read_atlas(workspace.files, index.index_id)


def test_an_index_without_a_map_names_the_command(workspace):
    with pytest.raises(ArtefactError, match="lorif map"):
        read_atlas(workspace.files, None)


def test_a_worker_computes_the_map(workspace):
    job: Job = submit(workspace.files, MapRequest(workspace.files.choose_index(None).index_id), "ann", again=True)
    run_worker(workspace.path, device="cpu", once=True, on_event=lambda line: None)
    ended = open_jobs(workspace.files).job(job.job_id)
    assert (ended.status, ended.result["num_points"]) == ("done", NUM_TEXTS)
    assert has_atlas(workspace.files, workspace.indexes.records()[0].index_id)


def test_outliers_are_ordered_by_the_score_of_each_text_on_itself(workspace):
    found = workspace.indexes.outliers()
    index = workspace.indexes.open()
    reader, ids = index.reader, index.examples.column("train_id").to_list()
    own = torch.zeros(NUM_TEXTS, dtype=torch.float64)
    for module in reader.modules:
        matrix = torch.cat([shard.block(module).dense().flatten(1) for shard in reader.iter_shards()])
        preconditioner = preconditioner_of(reader.subspace(module), index.fitted.curvature)
        own += (matrix * preconditioner.apply(matrix)).sum(1).double()
    wanted = {train_id: float(value) for train_id, value in zip(ids, own, strict=True)}
    assert found["self_influence"].is_sorted(descending=True)
    assert found["rank"].to_list() == list(range(1, NUM_TEXTS + 1))
    assert dict(found.select("train_id", "self_influence").iter_rows()) == pytest.approx(wanted, rel=1e-3)


def test_the_commands_print_what_python_returns(workspace, tmp_path):
    out = tmp_path / "points.parquet"
    printed = done("map", workspace.path, "--out", out, "--json").json
    assert printed == workspace.indexes.map().to_dict()
    assert out.is_file()
    assert "plane" in done("map", workspace.path).out
    assert (
        done("outliers", workspace.path, "-k", "3", "--json").json["outliers"]
        == workspace.indexes.outliers().head(3).to_dicts()
    )
    last = done("outliers", workspace.path, "-k", "1", "--smallest", "--json").json["outliers"]
    assert last == workspace.indexes.outliers().tail(1).to_dicts()


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def flip(path):
    content = bytearray(path.read_bytes())
    content[8:200] = bytes(192)
    path.write_bytes(content)


def without_facts(path):
    table = pq.read_table(path)
    facts = {name: value for name, value in table.schema.metadata.items() if name not in (EXPLAINED, b"seal")}
    pq.write_table(table.replace_schema_metadata(facts), path)


def shorter(path):
    table = pq.read_table(path).slice(1)
    facts = {name: value for name, value in table.schema.metadata.items() if name != b"seal"}
    pq.write_table(table.replace_schema_metadata(facts), path)


@pytest.mark.parametrize("damage", [cut, flip, without_facts, shorter, lambda path: path.write_bytes(b"")])
def test_a_damaged_map_is_a_sentence_and_computed_anew(workspace, damage):
    first = workspace.indexes.map()
    path = workspace.files.map_file(first.index_id)
    damage(path)
    with pytest.raises(
        DamagedArtefact, match=r"'.*' is (damaged: d|not what was written: .* D)elete it and compute it again"
    ):
        read_atlas(workspace.files, first.index_id)
    assert workspace.indexes.map().points.equals(first.points)
