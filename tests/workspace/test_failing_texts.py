"""Texts whose gradients cannot be taken: found, named, stored as zero; many of them stop a build."""

import shutil

import pytest
import torch
from tiny_workspace import (
    SMALL,
    copy_of,
    done,
    imported,
    index_folder,
    indexed,
    lorif,
    model_folder,
    rows,
)

from lorif_core.errors import NumericalError
from lorif_core.passes import second_moments, text_gradients
from lorif_core.store.manifest import read_manifest
from lorif_core.store.parts import finished_parts
from lorif_core.store.reader import StoreReader
from lorif_core.store.statistics import read_num_tokens
from lorif_core.workspace.indexes.coverage import coverage_of
from lorif_core.workspace.workspace import open_workspace

ORIGINAL = text_gradients.capture_gradients
BUILD = ("--model", model_folder(), *SMALL)


@pytest.fixture
def fails_on(monkeypatch):
    """Make every batch fail that holds one of some texts, known by their tokens; the tiny model reads the others."""
    capture, encoded = text_gradients.capture_gradients, {}

    def fail(ids, how):
        encoder = open_workspace(indexed()).indexes.open().engine.encoder
        examples = {
            one.train_id: one for one in open_workspace(indexed()).files.examples(dataset_id()).iter_examples()
        }
        for train_id in ids:
            (text,) = encoder.encode_windows(examples[train_id])
            encoded[train_id] = text.input_ids

        def failing(model, maps, batch, *others):
            for row, mask in zip(batch.input_ids.tolist(), batch.attention_mask.tolist(), strict=True):
                if [token for token, is_real in zip(row, mask, strict=True) if is_real] in encoded.values():
                    how()
            return capture(model, maps, batch, *others)

        monkeypatch.setattr(text_gradients, "capture_gradients", failing)

    return fail


def dataset_id():
    (record,) = open_workspace(indexed()).files.catalog.datasets()
    return record.dataset_id


def raises(error):
    def how():
        raise error

    return how


ERRORS = [
    RuntimeError("CUDA error: an illegal memory access\nCompile with `TORCH_USE_CUDA_DSA`"),
    NumericalError("gradients must be finite."),
    torch.linalg.LinAlgError("linalg.svd: failed to converge"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
def test_a_failing_text_is_named_and_stored_as_zero_and_the_others_are_as_without_it(error, fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_on(["t037"], raises(error))
    done("index", workspace, *BUILD)
    reader, whole = StoreReader(index_folder(workspace)), StoreReader(index_folder(indexed()))
    entry = reader.manifest.shards[2]
    assert (entry.failed_ids, entry.num_without_gradients) == (["t037"], 1)
    first_line = str(error).splitlines()[0].rstrip(".")
    assert entry.failed_reasons == [f"its gradient cannot be taken: {first_line}"]
    assert (entry.num_without_targets, entry.ids_without_targets) == (0, [])
    norms, wanted = reader.shard(2).norms(), whole.shard(2).norms()
    assert norms[5] == 0
    torch.testing.assert_close(norms[[one for one in range(16) if one != 5]], wanted[[*range(5), *range(6, 16)]])
    assert reader.shard(2).num_tokens()[5] == 0
    others = [one for number, one in enumerate(reader.manifest.shards) if number != 2]
    assert others == [one for number, one in enumerate(whole.manifest.shards) if number != 2]


def test_what_a_failing_text_leaves_is_said_and_its_index_is_sound(fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_on(["t037"], raises(ERRORS[1]))
    said = done("index", workspace, *BUILD).out
    assert "1 text could not be read or differentiated: t037 (its gradient cannot be taken: gradients must" in said
    assert "Such texts never come up" in said
    assert list(coverage_of(read_manifest(index_folder(workspace))).unreadable) == ["t037"]
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def test_more_failing_texts_than_may_stop_the_build_with_a_sentence(fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_on(["t037", "t038"], raises(ERRORS[1]))
    refused = lorif("index", workspace, *BUILD)
    assert refused.code == 2
    assert "at most 0.1% of the texts, and at least one, may be without a gradient" in refused.err
    assert "one is 't037': its gradient cannot be taken: gradients must be finite. So model and" in refused.err
    assert sorted(finished_parts(index_folder(workspace))) == [0, 1]


def test_failing_texts_are_counted_over_all_parts_and_runs(fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_on(["t001", "t100"], raises(ERRORS[1]))
    for _ in range(2):
        refused = lorif("index", workspace, *BUILD)
        assert refused.code == 2
        assert "at least one, may be without a gradient" in refused.err
        assert sorted(finished_parts(index_folder(workspace))) == list(range(6))


def test_workers_that_find_too_many_at_one_time_are_found_out_when_the_index_is_finished(fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    index_id = done("index", workspace, *BUILD, "--plan-only", "--json").json["index_id"]
    parts = index_folder(workspace) / "parts"
    fails_on(["t000", "t001"], raises(ERRORS[1]))
    done("index-part", workspace, index_id, "--slice", "8/8")
    with pytest.MonkeyPatch.context() as patch:  # neither of two workers saw the other's
        patch.setattr("lorif_core.workspace.indexes.make_parts.num_left_to_fail", lambda folder: 2)
        done("index-part", workspace, index_id, "--slice", "1/8")
    for path in (index_folder(indexed()) / "parts").glob("0000[1-6]*"):
        shutil.copy(path, parts / path.name)
    refused = lorif("index-part", workspace, index_id, "--slice", "8/8")
    assert refused.code == 2
    assert "at least one, may be without a gradient" in refused.err
    assert not (index_folder(workspace) / "manifest.json").exists()


def test_a_model_that_no_text_suits_is_refused_soon(fails_on, monkeypatch, tmp_path):
    workspace, calls = copy_of(imported(), tmp_path), []

    def failing(*_):
        calls.append(1)
        raise NumericalError("gradients must be finite.")

    monkeypatch.setattr(text_gradients, "capture_gradients", failing)
    refused = lorif("index", workspace, *BUILD)
    assert refused.code == 2
    assert "So model and settings do not work on this data" in refused.err
    assert len(calls) < len(rows()) / 8


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), OSError(28, "full")])
def test_what_the_machine_refuses_is_no_fault_of_a_text(error, fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_on(["t037"], raises(error))
    refused = lorif("index", workspace, *BUILD, "--json")
    assert refused.code == 2
    assert "may be without a gradient" not in refused.err
    assert sorted(finished_parts(index_folder(workspace))) == [0, 1]


def test_a_defect_is_no_fault_of_a_text(fails_on, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_on(["t037"], raises(KeyError("a defect")))
    assert lorif("index", workspace, *BUILD, "--json").code == 1
    assert sorted(finished_parts(index_folder(workspace))) == [0, 1]


def test_texts_that_fail_only_together_stop_the_build(monkeypatch, tmp_path):
    workspace, capture = copy_of(imported(), tmp_path), text_gradients.capture_gradients

    def failing(model, maps, batch, *others):
        if len(batch.input_ids) > 9:
            raise RuntimeError("no kernel for so many rows")
        return capture(model, maps, batch, *others)

    monkeypatch.setattr(text_gradients, "capture_gradients", failing)
    refused = lorif("index", workspace, *BUILD)
    assert refused.code == 2
    assert "cannot be taken together (no kernel for so many rows)" in refused.err
    assert "--tokens-per-batch" in refused.err


KRONECKER = ("--model", model_folder(), "--method", "kronecker", "--shard-examples", 16)


def fails_in_statistics(monkeypatch, how, *words):
    """Make every batch of the statistics and of the parts fail, or be spoilt, that holds one of some texts."""
    capture = text_gradients.capture_gradients
    opened = open_workspace(indexed())
    encoder = opened.indexes.open().engine.encoder
    texts = {
        one.train_id: encoder.encode_windows(one)[0].input_ids
        for one in opened.files.examples(dataset_id()).iter_examples()
    }
    wanted = [texts[one] for one in words]

    def failing(model, maps, batch, objective, sink, **more):
        rows = zip(batch.input_ids.tolist(), batch.attention_mask.tolist(), strict=True)
        if any([token for token, is_real in zip(*row, strict=True) if is_real] in wanted for row in rows):
            how(sink)
        return capture(model, maps, batch, objective, sink, **more)

    monkeypatch.setattr(text_gradients, "capture_gradients", failing)
    monkeypatch.setattr(second_moments, "capture_gradients", failing)


def fail(sink):
    raise RuntimeError("no kernel for this length")


def test_a_failing_text_is_left_out_of_the_statistics_and_stored_as_zero(monkeypatch, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_in_statistics(monkeypatch, fail, "t037")
    done("index", workspace, *KRONECKER)
    manifest = read_manifest(index_folder(workspace))
    assert manifest.shards[2].failed_reasons == ["its gradient cannot be taken: no kernel for this length"]
    whole, without = num_tokens_of_statistics(tmp_path / "whole"), {}
    for path in workspace.glob("statistics/*"):
        without[path.name] = read_num_tokens(path)
    assert without.keys() == whole.keys()
    assert {whole[name] - without[name] for name in whole} == {num_read("t037")}


def num_tokens_of_statistics(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        workspace = copy_of(imported(), folder)
        patch.setattr(text_gradients, "capture_gradients", ORIGINAL)
        patch.setattr(second_moments, "capture_gradients", ORIGINAL)
        done("index", workspace, *KRONECKER, "--plan-only")
    return {path.name: read_num_tokens(path) for path in workspace.glob("statistics/*")}


def num_read(train_id):
    opened = open_workspace(indexed())
    encoder = opened.indexes.open().engine.encoder
    (example,) = (one for one in opened.files.examples(dataset_id()).iter_examples() if one.train_id == train_id)
    return len(encoder.encode_windows(example)[0].input_ids)


def test_statistics_of_which_too_many_texts_fail_are_refused_with_a_text(monkeypatch, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    fails_in_statistics(monkeypatch, fail, "t037", "t038")
    refused = lorif("index", workspace, *KRONECKER)
    assert refused.code == 2
    assert "one is 't037': its gradient cannot be taken: no kernel for this length. So model and" in refused.err
    assert list(workspace.glob("statistics/*")) == []
