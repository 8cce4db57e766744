"""`lorif value`: sums of what `lorif score` writes, shares by brute force, and refusals."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_workspace import bytes_below, done, imported, indexed, lorif, root, rows, write_rows

import lorif_core as lf
from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.workspace.asking import query_passes
from lorif_core.workspace.asking.query_limits import QueryFile, QueryLimits
from lorif_core.workspace.asking.value_file import _column_groups

IDS = [row["id"] for row in rows()]
SOURCES = [row["source"] for row in rows()]
NUM_QUERIES = 5
FLOAT32 = 1e-5
"""Relative to the largest value."""


@cache
def queries_file(count: int = NUM_QUERIES) -> Path:
    return write_rows(root() / f"value-queries-{count}.jsonl", rows()[:count])


@cache
def opened() -> lf.Workspace:
    """Only read from."""
    return lf.open_workspace(indexed())


@cache
def valued():
    return opened().value(queries_file())


@cache
def scores() -> np.ndarray:
    """What `lorif score` writes, (Q, N)."""
    out = root() / "value-scores.parquet"
    opened().questions.score(queries_file(), out)
    found = pl.read_parquet(out).cast({"query_id": pl.String}).pivot("query_id", index="example_id")
    assert found["example_id"].to_list() == IDS
    return found.select(IDS[:NUM_QUERIES]).to_numpy().T.astype(float)


def by_group(found) -> dict[str, dict]:
    return {row["group"]: row for row in found.groups.to_dicts()}


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32 * np.abs(expected).max())


def test_the_value_of_an_example_is_its_score_summed_over_the_queries():
    assert valued().examples["train_id"].to_list() == IDS
    assert valued().examples["group"].to_list() == SOURCES
    close(valued().examples["value"].to_numpy(), scores().sum(0))
    assert (valued().num_queries, valued().by) == (NUM_QUERIES, "source")


def test_a_group_holds_the_sum_of_its_members_and_its_part_of_all_that_is_positive():
    positive = np.maximum(scores(), 0)
    assert set(by_group(valued())) == set(SOURCES)
    for group, row in by_group(valued()).items():
        members = np.array(SOURCES) == group
        assert row["num_examples"] == members.sum()
        assert row["value"] == pytest.approx(scores()[:, members].sum(), abs=1e-4 * np.abs(scores()).sum())
        assert row["share"] == pytest.approx(positive[:, members].sum() / positive.sum(), abs=1e-5)


def test_shares_add_up_to_one_stand_in_order_and_lie_in_their_intervals():
    groups = valued().groups
    assert groups["share"].sum() == pytest.approx(1)
    assert groups["share"].to_list() == sorted(groups["share"], reverse=True)
    assert ((groups["share_low"] <= groups["share"]) & (groups["share"] <= groups["share_high"])).all()
    assert (groups["share_low"] < groups["share_high"]).all()


def test_intervals_shrink_with_more_queries():
    few, many = (by_group(opened().value(queries_file(count))) for count in (NUM_QUERIES, 60))
    for group in ("atlas", "almanac"):
        widths = [found[group]["share_high"] - found[group]["share_low"] for found in (few, many)]
        assert widths[1] < 0.7 * widths[0]


@pytest.mark.parametrize(("captured_at_once", "memory_mb", "num_passes"), [(1, 1e-6, NUM_QUERIES), (2, 1000, 1)])
def test_the_number_of_queries_per_pass_changes_nothing(captured_at_once, memory_mb, num_passes, monkeypatch):
    expected, seen = valued(), []
    reader = opened().indexes.open().reader
    monkeypatch.setattr(
        query_passes, "CAPTURED_NUMBERS", captured_at_once * sum(module.dim for module in reader.modules)
    )
    asked = QueryFile(queries_file(), limits=QueryLimits(query_memory_mb=memory_mb))
    found = opened().questions.value(asked, on_progress=lambda *step: seen.append(step))
    assert found.passes.num_passes == num_passes
    told = {stage: [(done, total) for one, done, total in seen if one == stage] for stage, _, _ in seen}
    captured = [*range(captured_at_once, NUM_QUERIES, captured_at_once), NUM_QUERIES]
    assert told["queries"] == [(done, NUM_QUERIES) for done in captured]
    assert told["scores"][-1] == (NUM_QUERIES * reader.manifest.num_examples,) * 2
    assert len(told["scores"]) == num_passes * len(reader.manifest.shards)
    close(found.examples["value"].to_numpy(), expected.examples["value"].to_numpy())
    for column in ("share", "share_low", "share_high"):
        close(found.groups[column].to_numpy(), expected.groups[column].to_numpy())


def test_the_settings_are_those_of_score(tmp_path):
    settings = ScoreConfig(subspace_rank=0, damping_ratio=3.0)
    opened().questions.score(queries_file(), tmp_path / "scores.parquet", settings=settings)
    scored = pl.read_parquet(tmp_path / "scores.parquet").group_by("example_id", maintain_order=True)
    expected = scored.agg(pl.col("score").cast(pl.Float64).sum())["score"].to_numpy()
    found = opened().questions.value(queries_file(), settings=settings).examples["value"].to_numpy()
    close(found, expected)
    assert not np.allclose(found, valued().examples["value"])


def test_a_contrast_is_refused():
    with pytest.raises(ConfigError, match="compares two completions"):
        opened().questions.value(queries_file(), settings=ScoreConfig(objective="contrast"))


def test_numbers_can_name_groups():
    found = opened().value(queries_file(), by="year")
    assert found.by == "year"
    assert found.examples["group"].to_list() == [str(row["year"]) for row in rows()]
    assert found.groups["share"].sum() == pytest.approx(1)


def test_given_groups_stand_in_for_the_column():
    ids = [IDS[9], IDS[4], IDS[2], IDS[9], "unknown"]  # an id that comes twice stays where it was first
    frame = pl.DataFrame({"group": ["b", "a", "b", "a", "a"], "train_id": ids, "more": [1, 2, 3, 4, 5]})
    found = opened().questions.value(queries_file(), groups=frame)
    expected = ["(none)"] * len(IDS)
    expected[9], expected[4], expected[2] = "b", "a", "b"
    assert found.examples["group"].to_list() == expected
    assert found.by == "group"
    close(found.examples["value"].to_numpy(), valued().examples["value"].to_numpy())
    assert {name: row["num_examples"] for name, row in by_group(found).items()} == {"a": 1, "b": 2, "(none)": 118}
    assert by_group(found)["b"]["value"] == pytest.approx(scores()[:, [9, 2]].sum(), abs=1e-4)


def test_numeric_ids_and_groups_of_a_parquet_file_are_read_as_text(tmp_path):
    """The ids of the data are strings."""
    path = tmp_path / "groups.parquet"
    pl.DataFrame({"train_id": [1, 2], "group": [7, 8]}).write_parquet(path)
    done("value", indexed(), "--queries", queries_file(), "--groups", path, "--json")


def test_examples_without_a_source_form_a_group(tmp_path):
    workspace = tmp_path / "ws"
    texts = [row | {"source": None if row["id"] == "t001" else row["source"]} for row in rows()[:6]]
    done("import", workspace, write_rows(tmp_path / "texts.jsonl", texts))
    dataset = lf.open_workspace(workspace).files.examples(lf.open_workspace(workspace).data.records()[0].dataset_id)
    assert dataset.column("source").null_count() == 1
    index = lf.open_workspace(indexed()).indexes.open()
    grouping = _column_groups(replace(index, examples=dataset), "source")
    assert [grouping.names[code] for code in grouping.code_of.tolist()].count("(none)") == 1


def test_both_ends_are_sorted_and_ties_go_by_id():
    top, bottom = valued().top(7), valued().bottom(7)
    ordered = sorted(zip(valued().examples["value"], IDS, strict=True), key=lambda pair: (-pair[0], pair[1]))
    assert top["train_id"].to_list() == [train_id for _, train_id in ordered[:7]]
    assert bottom["value"].to_list() == sorted(valued().examples["value"])[:7]
    tied = valued().examples.with_columns(value=pl.lit(1.0)).reverse()
    flat = replace(valued(), examples=tied)
    assert flat.top(3)["train_id"].to_list() == flat.bottom(3)["train_id"].to_list() == sorted(IDS)[:3]


def refused(*words: object, workspace: Path | None = None) -> str:
    """The sentence of a command that must fail and leave everything as it was."""
    workspace = workspace or indexed()
    before = bytes_below(workspace)
    run = lorif("value", workspace, *words)
    assert run.code == 2, (run.out, run.err)
    assert run.out == ""
    assert run.err.count("\n") == 1, run.err
    assert bytes_below(workspace) == before
    return run.err


def test_a_column_that_does_not_exist_is_refused_with_those_that_do():
    sentence = refused("--queries", queries_file(), "--by", "publisher")
    assert "'publisher'" in sentence
    assert "source, year" in sentence


def test_groups_that_cannot_be_used_are_refused(tmp_path):
    missing, wrong, damaged = tmp_path / "none.csv", tmp_path / "wrong.csv", tmp_path / "damaged.parquet"
    wrong.write_text("id,cluster\nt001,1\n", encoding="utf-8")
    damaged.write_bytes(b"PAR1 no more")
    options = ("--queries", queries_file(), "--groups")
    assert "none.csv" in refused(*options, missing)
    assert "has id, cluster" in refused(*options, wrong)
    assert "damaged.parquet" in refused(*options, damaged)


def test_queries_that_cannot_be_used_are_refused(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    refused("--queries", empty)
    refused("--queries", tmp_path / "none.jsonl")
    assert "at least 1" in refused("--queries", queries_file(), "--k", 0)


def test_a_workspace_without_an_index_is_refused():
    refused("--queries", queries_file(), workspace=imported())


def test_the_command_writes_shows_and_refuses_to_overwrite(tmp_path):
    out, words = tmp_path / "value.parquet", ("value", indexed(), "--queries", queries_file())
    run = done(*words, "--out", out, "--k", 3)
    for group, row in by_group(valued()).items():
        if group in ("atlas", "almanac"):
            (line,) = [line for line in run.out.splitlines() if line.replace("│", " ").split()[:1] == [group]]
            assert f"{row['share']:.1%}" in line
            assert str(row["num_examples"]) in line
    for train_id in [*valued().top(3)["train_id"], *valued().bottom(3)["train_id"]]:
        assert train_id in run.out
    assert "nats, summed over the queries" in " ".join((run.out + run.err).split())
    assert not set("\x1b\x07\x9b\u202e") & set(run.out)  # the source of the last text
    assert [path.name for path in tmp_path.iterdir()] == ["value.parquet"]
    written = pl.read_parquet(out)
    assert written.columns == ["train_id", "value", "group"]
    assert written["train_id"].to_list() == IDS
    close(written["value"].to_numpy(), valued().examples["value"].to_numpy())

    out.write_bytes(b"mine")
    assert "--force" in refused("--queries", queries_file(), "--out", out)
    assert out.read_bytes() == b"mine"
    done(*words, "--out", out, "--force", "--json")
    assert pl.read_parquet(out).equals(written)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    out = tmp_path / "value.parquet"
    out.write_bytes(b"old")

    def half(self, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", half)
    with pytest.raises(lf.LorifError, match="full"):
        valued().write(out)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_does_not_exist_is_refused_before_anything_is_computed(tmp_path):
    assert "does not exist" in refused("--queries", queries_file(), "--out", tmp_path / "no" / "value.parquet")


def test_the_json_holds_groups_and_both_ends():
    found = done("value", indexed(), "--queries", queries_file(), "--k", 2, "--json").json
    expected = valued().to_dict(2)
    assert found.keys() == expected.keys()
    assert {key: found[key] for key in found if key != "elapsed_s"} == {
        key: expected[key] for key in expected if key != "elapsed_s"
    }
    assert (len(found["top"]), len(found["bottom"])) == (2, 2)
