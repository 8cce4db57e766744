"""The map and the outliers of an index: the same whenever they are computed, by id, refused when they are stale."""

from dataclasses import replace

import polars as pl
import pyarrow.parquet as pq
import pytest
import torch
from tiny_workspace import NUM_TEXTS, copy_of, done, indexed

import lorif_core as lf
from lorif_core.errors import ArtefactError, CatalogError, ConfigError, DamagedArtefact, FingerprintMismatch
from lorif_core.journal.jobs import Job
from lorif_core.passes.fitting import preconditioner_of
from lorif_core.workspace.datasets.view import View
from lorif_core.workspace.folder.kept_map import CLUSTERS, has_atlas, read_atlas
from lorif_core.workspace.indexes import text_states
from lorif_core.workspace.indexes.text_states import has_states, read_states
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


def test_another_seed_is_another_map(workspace):
    assert not workspace.indexes.map().points.equals(workspace.indexes.map(seed=1).points)


def test_progress_counts_texts_and_then_steps(workspace):
    told = []
    workspace.indexes.map(on_progress=lambda *progress: told.append(progress))
    states = [one for one in told if one[0] == "states"]
    assert (states[0], states[-1]) == (("states", 0, NUM_TEXTS), ("states", NUM_TEXTS, NUM_TEXTS))
    assert [done for _, done, _ in states] == sorted(done for _, done, _ in states)
    assert told[-1] == ("map", 600, 600)


def test_states_that_were_begun_go_on_with_the_missing_part(workspace, monkeypatch):
    monkeypatch.setattr(text_states, "PART_TEXTS", 50)
    first = workspace.indexes.map()
    kept = sorted(workspace.files.states_of_texts(first.index_id).iterdir())
    whole, times = [path.read_bytes() for path in kept], [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == -(-NUM_TEXTS // 50)
    kept[1].unlink()
    workspace.files.map_file(first.index_id).unlink()
    assert not has_states(workspace.files, first.index_id)
    with pytest.raises(ArtefactError, match="1 parts of states missing"):
        read_states(workspace.files, workspace.files.choose_index(None))
    told = []
    again = workspace.indexes.map(on_progress=lambda *progress: told.append(progress))
    assert told[0] == ("states", NUM_TEXTS - 50, NUM_TEXTS)
    assert [path.read_bytes() for path in kept] == whole
    assert kept[0].stat().st_mtime_ns == times[0]
    assert again.points.equals(first.points)


def test_neighbours_by_meaning_are_those_of_every_pair_compared(workspace):
    index_id = workspace.indexes.map().index_id
    parts = sorted(workspace.files.states_of_texts(index_id).iterdir())
    rows = [row for path in parts for row in pl.read_parquet(path)["state"].to_list()]
    states = torch.tensor(rows, dtype=torch.float64)
    standard = (states - states.mean(0)) / states.std(0, unbiased=False)
    ids = workspace.files.examples(workspace.data.records()[0].dataset_id).column("train_id").to_list()
    for place in (0, 17, NUM_TEXTS - 1):
        cosines = torch.nn.functional.cosine_similarity(standard[place], standard)
        wanted = sorted((one for one in range(NUM_TEXTS) if one != place), key=lambda one: -float(cosines[one]))
        found = workspace.indexes.neighbours(ids[place], 8, by="meaning")
        assert found.texts["cosine"].to_list() == pytest.approx([float(cosines[one]) for one in wanted[:8]], abs=1e-5)
        assert found.texts["train_id"].to_list() == [ids[one] for one in wanted[:8]]
        assert found.by == "meaning"


def test_neighbours_by_meaning_name_the_command_that_computes_the_states(workspace):
    with pytest.raises(ArtefactError, match="no states of its texts yet: compute them with `lorif map"):
        workspace.indexes.neighbours("t000", by="meaning")
    with pytest.raises(ConfigError, match="leave `--search` out"):
        workspace.indexes.neighbours("t000", by="meaning", search="exact")


def test_a_view_of_clusters_shows_exactly_their_texts_and_every_cluster_keeps_its_count(workspace):
    atlas = workspace.indexes.map(num_clusters=5)
    assert len(atlas.clusters) == 5
    assert sum(one.num_texts for one in atlas.clusters) == NUM_TEXTS
    of = dict(atlas.points.select("train_id", "cluster").iter_rows())
    wanted = [train_id for train_id, number in of.items() if number in (2, 4)]
    assert workspace.data.matching_ids(View(clusters=(2, 4))) == wanted
    river = View(search="river", mode="contains", clusters=(2,))
    found = workspace.data.matching_ids(replace(river, clusters=()))
    assert workspace.data.matching_ids(river) == [one for one in found if of[one] == 2]
    assert workspace.data.count(river) == sum(of[one] == 2 for one in found)
    counts = {one.number: count for one, count in workspace.data.clusters(river)}
    assert counts == {number: sum(of[one] == number for one in found) for number in range(1, 6)}
    assert done("browse", workspace.path, "--cluster", "2", "4", "--ids").out.split() == wanted
    with pytest.raises(CatalogError, match="clusters 1 to 5, got 9"):
        workspace.data.count(View(clusters=(9,)))


def test_another_number_of_clusters_computes_the_map_again_but_no_state(workspace):
    workspace.indexes.map()
    told = []
    found = workspace.indexes.map(num_clusters=3, on_progress=lambda *progress: told.append(progress))
    assert len(found.clusters) == 3
    assert {stage for stage, *_ in told} == {"map"}
    with pytest.raises(ConfigError, match="1 to 1,000 clusters, got 0"):
        workspace.indexes.map(num_clusters=0)


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
    assert f"all of {NUM_TEXTS} texts" in done("map", workspace.path).out
    near = done("neighbours", workspace.path, "t000", "--by", "meaning", "-k", "3", "--json").json
    assert near == workspace.indexes.neighbours("t000", 3, by="meaning").to_dict()
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
    facts = {name: value for name, value in table.schema.metadata.items() if name not in (CLUSTERS, b"seal")}
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
