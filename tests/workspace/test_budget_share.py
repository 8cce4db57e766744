"""What is said of a budget: what it bought, and what is left where nothing more is for sale."""

from dataclasses import replace

import pytest
from tiny_workspace import copy_of, done, imported, model_folder

import lorif_core as lf
from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.registry import method_settings
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes.budget_share import costs_of_terms, share_of_budget


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Of a budget that buys something, and of one that is larger than anything there is to buy."""
    workspace = copy_of(imported(), tmp_path_factory.mktemp("budget"))
    said = [done("index", workspace, "--model", model_folder(), "--budget", size) for size in ("400B", "1MB")]
    opened = lf.open_workspace(workspace)
    return opened, [" ".join(run.out.split()) for run in said]


def by_budget(opened):
    records = opened.files.catalog.indexes()
    manifests = [opened.files.open_index(record.index_id).manifest for record in records]
    return {manifest.budget_bytes: manifest for manifest in manifests}


def test_what_is_bought_is_within_the_budget_and_said(built):
    opened, (said, _) = built
    share = share_of_budget(by_budget(opened)[400])
    assert share is not None
    assert share.num_columns > 0
    assert 0 <= share.unused_bytes < 100
    assert not share.is_capped
    assert f"The budget of 400 bytes bought {share.num_terms} rank-one terms" in said
    assert f"and {share.num_columns} columns of the output head in sign codes at f = {share.f}" in said
    assert "are left:" not in said


def test_a_budget_that_is_larger_than_all_there_is_says_what_is_left(built):
    opened, (_, said) = built
    share = share_of_budget(by_budget(opened)[1_000_000])
    assert share is not None
    assert share.is_capped
    assert f"{share.unused_bytes:,} bytes of it are left: no module takes more than 16 terms" in said


@pytest.mark.parametrize("budget", [400, 1_000_000])
def test_bytes_of_the_shards_are_what_was_bought(built, budget):
    manifest = by_budget(built[0])[budget]
    share = share_of_budget(manifest)
    assert share is not None
    promised = budget - share.unused_bytes - 4  # self-influences are files of their own
    counted = manifest.shard_bytes / manifest.num_examples
    assert promised <= counted <= promised + 12_000 / manifest.num_examples  # headers


def test_without_a_budget_there_is_none(built):
    opened, _ = built
    assert share_of_budget(replace(by_budget(opened)[400], budget_bytes=None)) is None


def test_a_dry_run_says_what_can_be_bought(built):
    opened, _ = built
    run = done("index", opened.path, "--model", model_folder(), "--budget", "500B", "--dry-run")
    assert "a column of the output head" in " ".join(run.err.replace("│", " ").split())


def test_costs_by_hand():
    modules = [
        ModuleShape("a", 8, 16, 8, 16),
        ModuleShape("b", 64, 8, 64, 8),
        ModuleShape("h", 64, 9, 64, 9, "columns"),
    ]
    said = costs_of_terms(modules, column_codec("sign"))
    assert said.startswith("a term of a module costs 7 to 13 bytes, a column of the output head 12; ")


def test_the_head_can_be_left_out_of_a_budget():
    assert method_settings("kronecker", budget="1KB", head_columns=0).head_columns == 0
