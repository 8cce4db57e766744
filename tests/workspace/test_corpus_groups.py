"""Groups over a whole data set on one kept question: every text counts, against sums by loops and exact chance."""

from functools import cache
from math import comb, fsum
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from tiny_workspace import copy_of, done, indexed, lorif, root, rows

import lorif_core as lf
from lorif_core.errors import ArtefactError, DataError
from lorif_core.workspace.datasets.view import View
from lorif_core.workspace.failures import text_groups

IDS = [row["id"] for row in rows()]
YEARS = [row["year"] for row in rows()]
SOURCES = [row["source"] for row in rows()]


@cache
def opened() -> lf.Workspace:
    folder = root() / "corpus-groups"
    folder.mkdir()
    workspace = lf.open_workspace(copy_of(indexed(), folder))
    workspace.ask("The river of Arlen is", " castle Brook.", k=5)
    workspace.ask("The river of Arlen is", " castle Brook.", k=5, settings=lf.ScoreConfig(normalisation="none"))
    return workspace


def kept_file(query_id: str) -> Path:
    return opened().files.scores_file(opened().files.catalog.query(query_id).fingerprint)


def kept(query_id: str, column: str) -> list[float]:
    return [float(one) for one in pq.read_table(kept_file(query_id))[column].to_pylist()]


@pytest.mark.parametrize(("query_id", "column"), [("1", "influence"), ("2", "score")])
def test_the_sum_of_a_group_is_that_of_the_kept_scores_of_all_its_texts(query_id, column):
    influences, ranked = kept(query_id, column), kept(query_id, "score")
    found = opened().failures.groups(query_id, "source", k=20)
    top = sorted(range(len(IDS)), key=lambda place: (-ranked[place], place))[:20]
    assert set(found.frame["group"]) == set(SOURCES)
    for row in found.frame.iter_rows(named=True):
        members = [place for place, source in enumerate(SOURCES) if source == row["group"]]
        assert row["num_texts"] == len(members)
        assert row["sum"] == pytest.approx(fsum(influences[place] for place in members), rel=1e-9)
        assert row["num_top"] == len(set(members) & set(top))
        draws = comb(len(IDS), 20)
        more = sum(
            comb(len(members), count) * comb(len(IDS) - len(members), 20 - count)
            for count in range(row["num_top"], min(20, len(members)) + 1)
        )
        assert row["p_more"] == pytest.approx(more / draws, rel=1e-9)
        assert row["expected"] == pytest.approx(20 * len(members) / len(IDS))
        assert row["chance_low"] <= row["expected"] <= row["chance_high"]
    assert found.unit == "nats"
    assert fsum(found.frame["sum"]) == pytest.approx(fsum(influences), rel=1e-9)
    assert [bool(found.notes)] == [query_id == "1"]


def test_any_column_duplicates_and_groups_of_ones_own():
    years = opened().failures.groups("1", "year")
    assert set(years.frame["group"]) == {str(one) for one in YEARS}
    assert years.frame["num_texts"].sum() == len(IDS)
    row = years.frame.row(0, named=True)
    assert opened().data.matching_ids(View(where=row["condition"])) == years.ids_of([row["group"]])
    near = opened().failures.groups("1", "near-duplicates")
    groups = opened().data.duplicates()
    assert near.frame.filter(pl.col("group") != "(no duplicate)")["num_texts"].sum() == len(groups)
    mine = pl.DataFrame({"train_id": IDS[:10], "group": ["a", "b"] * 5})
    own = opened().failures.groups("1", given=mine)
    assert dict(own.frame.select("group", "num_texts").iter_rows()) == {"a": 5, "b": 5, "(none)": len(IDS) - 10}
    assert own.ids_of(["a"]) == IDS[:10:2]
    odd = opened().failures.groups("1", given=pl.DataFrame({"train_id": IDS[:2], "group": ["(none)", "a"]}))
    assert dict(odd.frame.select("group", "num_texts").iter_rows()) == {"(none)": 1, "a": 1, "((none))": len(IDS) - 2}
    assert odd.ids_of(["(none)"]) == IDS[:1]
    with pytest.raises(DataError, match="none of their ids is one of them, such as 'x'"):
        opened().failures.groups("1", given=pl.DataFrame({"train_id": ["x"], "group": ["a"]}))
    with pytest.raises(DataError, match="choose one of source, year"):
        opened().failures.groups("1", "prompt")


def test_clusters_are_those_of_the_map(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    workspace.ask("The river of Arlen is", " castle Brook.", k=5)
    assert "clusters" not in workspace.failures.ways_to_group(workspace.data.records()[0].dataset_id)
    atlas = workspace.indexes.map()
    assert "clusters" in workspace.failures.ways_to_group(workspace.data.records()[0].dataset_id)
    found = workspace.failures.groups("1", "clusters")
    named = {one.number: one.label for one in atlas.clusters}
    for number, label in named.items():
        members = atlas.points.filter(pl.col("cluster") == number)["train_id"].to_list()
        assert found.ids_of([label]) == members
    assert found.frame["num_texts"].sum() == len(IDS)


def test_a_column_of_ids_is_refused(monkeypatch):
    monkeypatch.setattr(text_groups, "MOST_GROUPS", 5)
    with pytest.raises(DataError, match="groups are at most 5"):
        opened().failures.groups("1", "year")


def test_parts_of_a_group():
    found = opened().failures.groups("1", "source", k=9)
    ranked = kept("1", "score")
    top = [IDS[place] for place in sorted(range(len(IDS)), key=lambda place: (-ranked[place], place))[:9]]
    assert found.ids_of(["atlas", "almanac"], "top") == [one for one in top if one != "hostile"]
    assert len(found.ids_of(["atlas"], "sample", count=4)) == 4


def test_the_question_of_a_fast_search_has_no_sums(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    answer = workspace.ask("The river of Arlen is", " castle Brook.", k=5, search="fast")
    assert answer.fast_search is not None
    with pytest.raises(ArtefactError, match="fast search"):
        workspace.failures.groups(answer.query_id)


def test_the_command_line_and_the_notebook_say_the_same(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # so that no heading is broken over lines
    found = opened().failures.groups("1", "source", k=10)
    told = done("groups", opened().path, "1", "--k", 10, "--json").json
    assert told["groups"] == found.to_dict()["groups"]
    shown = done("groups", opened().path, "1")
    assert "against chance" in shown.out
    assert "Sums over all 121 texts" in shown.out
    assert lorif("groups", opened().path, "1", "--by", "nothing").code == 2
    assert lorif("groups", opened().path, "99").code == 2
    assert "<script" not in found.to_html()
    assert "Sums over all 121 texts" in found.to_html()
    assert len(found.figure().data[0].x) == len(found.frame)
