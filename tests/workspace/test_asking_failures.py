"""Files of failures asked at once: against `lorif score`, sums by loops, stopped and resumed, by every front end."""

from functools import cache
from math import fsum
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_workspace import bytes_below, copy_of, done, imported, indexed, lorif, root, rows, write_rows

import lorif_core as lf
from lorif_core.data.failure_rows import FailureReading
from lorif_core.errors import ArtefactError, ConfigError, DataError, RoleError
from lorif_core.workspace.failures import ask_failures as module
from lorif_core.workspace.folder.progress import Cancelled

IDS = [row["id"] for row in rows()]
SOURCES = [row["source"] for row in rows()]
K = 5


def failing_rows() -> list[dict]:
    """Seven rows: five failures, one that passed, one without a completion."""
    found = [
        {"prompt": row["prompt"], "completion": row["completion"], "passed": place == 3}
        for place, row in enumerate(rows()[:7])
    ]
    del found[5]["completion"]
    return found


@cache
def file() -> Path:
    return write_rows(root() / "failing.jsonl", failing_rows())


@cache
def workspace() -> Path:
    folder = root() / "failures"
    folder.mkdir()
    return copy_of(indexed(), folder)


@cache
def opened() -> lf.Workspace:
    return lf.open_workspace(workspace())


@cache
def run():
    return opened().failures.ask(file())


@cache
def scores() -> np.ndarray:
    """What `lorif score` says without any normalisation, (Q, N); another pass, another writer."""
    asked = [{"id": f"r{place + 1}", **row} for place, row in enumerate(failing_rows()) if place not in (3, 5)]
    out = root() / "failing-scores.parquet"
    queries = write_rows(root() / "failing-queries.jsonl", asked)
    opened().questions.score(queries, out, settings=lf.ScoreConfig(normalisation="none"))
    found = pl.read_parquet(out).cast({"query_id": pl.String}).pivot("query_id", index="example_id")
    assert found["example_id"].to_list() == IDS
    return found.select([one["id"] for one in asked]).to_numpy().T.astype(float)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def best(row, k=K):
    """Places of the k largest positive scores."""
    return [place for place in sorted(range(len(row)), key=lambda one: (-row[one], one))[:k] if row[place] > 0]


def test_every_score_is_that_of_the_question_alone():
    assert [one.question_id for one in run().questions] == ["r1", "r2", "r3", "r5", "r7"]
    found = np.stack(list(run().folder.iter_scores()))
    np.testing.assert_allclose(found, scores(), rtol=2e-4, atol=1e-4 * np.abs(scores()).max())
    assert run().said["read"]["num_passed"] == 1
    assert run().said["read"]["skipped"] == {"completion is missing or no text": 1}


def test_groups_are_the_sums_over_all_their_texts():
    found, kept = run().groups("source", K), np.stack(list(run().folder.iter_scores())).astype(float)
    total = fsum(one for one in kept.ravel() if one > 0)
    assert set(found.frame["group"]) == set(SOURCES)
    for row in found.frame.iter_rows(named=True):
        members = [place for place, source in enumerate(SOURCES) if source == row["group"]]
        assert row["num_texts"] == len(members)
        assert row["value"] == pytest.approx(fsum(kept[q, n] for q in range(5) for n in members), rel=1e-9)
        positive = fsum(max(kept[q, n], 0) for q in range(5) for n in members)
        assert row["share"] == pytest.approx(positive / total, rel=1e-9)
        among = [[place for place in best(one) if place in members] for one in kept]
        assert row["num_top"] == sum(map(len, among))
        assert row["num_questions"] == sum(map(bool, among))
        places = sum(len(best(one)) for one in kept)
        assert row["fold"] == pytest.approx(row["num_top"] / (places * len(members) / len(SOURCES)))
        assert row["share_low"] <= row["share"] <= row["share_high"]
        assert row["value_low"] <= row["value"] <= row["value_high"]
    assert found.frame["value"].to_list() == sorted(found.frame["value"], reverse=True)
    assert found.frame["share"].sum() == pytest.approx(1)
    assert found.share_of(found.frame["group"].to_list()) == pytest.approx(1)


def test_texts_and_in_how_many_questions_they_are_on_top_and_on_both_sides():
    kept = np.stack(list(run().folder.iter_scores())).astype(float)
    tops, bottoms = [best(one) for one in kept], [best(-one) for one in kept]
    found = {row["train_id"]: row for row in run().texts(K, most=1000).iter_rows(named=True)}
    assert set(found) == {IDS[place] for top in tops for place in top}
    total = fsum(one for one in kept.ravel() if one > 0)
    for train_id, row in found.items():
        place = IDS.index(train_id)
        assert row["num_top"] == sum(place in top for top in tops)
        assert row["num_bottom"] == sum(place in bottom for bottom in bottoms)
        assert row["value"] == pytest.approx(fsum(kept[:, place]), rel=1e-9)
        assert row["share"] == pytest.approx(fsum(max(one, 0) for one in kept[:, place]) / total, rel=1e-9)
    order = run().texts(K)["value"].to_list()
    assert order == sorted(order, reverse=True)
    both = {IDS[n] for n in range(len(IDS)) if any(n in top for top in tops) and any(n in one for one in bottoms)}
    assert set(run().mixed(K, most=1000)["train_id"]) == both


def test_parts_of_a_group_and_the_answer_of_one_failure():
    kept = np.stack(list(run().folder.iter_scores())).astype(float)
    groups = run().groups("source", K)
    members = [one for one, source in zip(IDS, SOURCES, strict=True) if source == "atlas"]
    assert run().ids_of(groups, ["atlas"]) == members
    top = run().ids_of(groups, ["atlas"], "top")
    assert set(top) == {IDS[place] for one in kept for place in best(one)} & set(members)
    sample = run().ids_of(groups, ["atlas"], "sample", count=7)
    assert len(sample) == 7
    assert set(sample) < set(members)
    assert sample == run().ids_of(groups, ["atlas"], "sample", count=7)
    answer = run().answer("r5", K)
    assert answer["train_id"].to_list() == [IDS[place] for place in best(kept[3])]
    with pytest.raises(DataError, match="no failure 'r9'"):
        run().answer("r9")
    with pytest.raises(DataError, match="no group 'nothing'"):
        run().ids_of(groups, ["nothing"])


def test_without_texts_is_minus_their_influence():
    kept = np.stack(list(run().folder.iter_scores())).astype(float)
    removed = [IDS[place] for place in best(kept[0])]
    found = run().without(removed)
    places = [IDS.index(one) for one in removed]
    changes = {f"r{line}": -fsum(kept[q, places]) for q, line in enumerate((1, 2, 3, 5, 7))}
    assert dict(found.frame.select("question_id", "change").iter_rows()) == pytest.approx(changes, rel=1e-6)
    gone = fsum(max(kept[q, n], 0) for q in range(5) for n in places)
    assert found.share == pytest.approx(gone / fsum(one for one in kept.ravel() if one > 0), rel=1e-6)
    assert found.num_weaker == sum(one < 0 for one in changes.values())
    twice = run().without([*removed, *removed])
    assert (twice.train_ids, twice.share) == (removed, found.share)
    assert twice.frame.equals(found.frame)
    with pytest.raises(DataError, match="at least one text"):
        run().without([])


def test_a_stopped_run_goes_on_and_has_the_bytes_of_one_that_was_never_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "QUESTIONS_PER_FILE", 2)
    whole, stopped = (lf.open_workspace(copy_of(indexed(), made(tmp_path / name))) for name in ("a", "b"))
    expected = whole.failures.ask(file())
    asked = []

    def stop(stage: str, done: int, total: int) -> None:
        asked.append((stage, done, total))
        if stage == "queries" and done > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        stopped.failures.ask(file(), on_progress=stop)
    with pytest.raises(ArtefactError, match="2 of the 5 failures"):
        stopped.failures.open(expected.run_id)
    assert stopped.failures.records() == []
    resumed = list[tuple[str, int, int]]()
    found = stopped.failures.ask(file(), on_progress=lambda *one: resumed.append(one))
    assert min(done for stage, done, _ in resumed if stage == "queries") > 2
    assert {total for stage, _, total in resumed if stage == "scores"} == {5 * len(IDS)}
    assert bytes_below(found.folder.path) == bytes_below(expected.folder.path)
    again = list[tuple[str, int, int]]()
    assert stopped.failures.ask(file(), on_progress=lambda *one: again.append(one)).run_id == expected.run_id
    assert again == []


def test_what_was_taken_away_is_asked_again_and_hides_no_other_run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "QUESTIONS_PER_FILE", 2)
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    found = workspace.failures.ask(file())
    expected = bytes_below(found.folder.path)
    other = workspace.failures.ask(write_rows(tmp_path / "one.jsonl", failing_rows()[:1]))
    assert [one.run_id for one in workspace.failures.records()] == [other.run_id, found.run_id]
    (found.folder.path / "scores-00000-00002.parquet").unlink()  # as `lorif doctor --repair` leaves a damaged one
    with pytest.raises(ArtefactError, match="0 of the 5 failures"):
        workspace.failures.open(found.run_id)
    assert [one.run_id for one in workspace.failures.records()] == [other.run_id]
    workspace.failures.ask(file())
    assert bytes_below(found.folder.path) == expected
    assert [one.run_id for one in workspace.failures.records()] == [found.run_id, other.run_id]
    (other.folder.path / "run.json").write_text("{}", encoding="utf-8")
    assert [one.run_id for one in workspace.failures.records()] == [found.run_id]


def test_the_same_failures_of_another_file_are_told_of_the_new_one(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    before = workspace.failures.ask(file())
    told = [{**row, "expected": "right", "passed": bool(row["passed"])} for row in failing_rows()]
    told.append({"prompt": "a", "completion": " b", "passed": True})
    asked = list[tuple[str, int, int]]()
    after = workspace.failures.ask(
        write_rows(tmp_path / "newer.jsonl", told), on_progress=lambda *one: asked.append(one)
    )
    assert (after.run_id, asked) == (before.run_id, [])
    assert (before.questions[0].expected, after.questions[0].expected) == (None, "right")
    assert after.counts == "5 failures of newer.jsonl, 2 passed, 1 could not be asked"


def test_one_failure_alone_has_no_interval_over_failures(tmp_path):
    one = write_rows(tmp_path / "one.jsonl", failing_rows()[:1])
    folder = copy_of(indexed(), tmp_path)
    found = lf.open_workspace(folder).failures.ask(one)
    frame = found.groups("source").frame
    for name in ("value_low", "value_high", "share_low", "share_high"):
        assert frame[name].null_count() == len(frame), name
    assert frame["share"].sum() == pytest.approx(1)
    assert "(—)" in found.to_html()
    assert "(—)" in done("failures", folder, found.run_id).out
    assert "1 failure, 0 passed." in done("failures", folder, one, "--preview").out
    assert found.without(found.texts()["train_id"].to_list()).sentence.startswith("1 of 1 failure would")
    assert set(found.figure().data[0].error_x.array) == {None}


def test_a_top_of_no_text_is_refused():
    for look in (run().texts, run().mixed, lambda k: run().groups("source", k), lambda k: run().answer("r1", k)):
        with pytest.raises(ConfigError, match="k must be at least 1, got 0"):
            look(0)


def test_a_damaged_file_is_named_and_doctor_finds_it(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    found = workspace.failures.ask(file())
    assert workspace.check().findings == []
    (path,) = found.folder.path.glob("scores-*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match="ask the file again"):
        lf.open_workspace(workspace.path).failures.open(found.run_id).folder.scores(0)
    (finding,) = workspace.check().findings
    assert "scores-" in finding.path


def test_the_command_line_says_the_same(tmp_path):
    run()
    told = done("failures", workspace(), file(), "--k", K, "--json").json
    assert told["run_id"] == run().run_id
    assert told["groups"] == run().groups("source", K).frame.to_dicts()
    assert told["texts"] == run().texts(K).to_dicts()
    by_id = done("failures", workspace(), run().run_id, "--by", "year")
    assert "5 failures of failing.jsonl, 1 passed, 1 could not be asked" in by_id.out
    preview = done("failures", workspace(), file(), "--preview")
    assert "5 failures, 1 passed." in preview.out
    assert "skipped, line 6: completion is missing or no text" in preview.out
    out = tmp_path / "texts.parquet"
    done("failures", workspace(), file(), "--out", out)
    assert pl.read_parquet(out)["train_id"].to_list() == IDS
    assert lorif("failures", workspace(), file(), "--out", out).code == 2
    nothing = write_rows(tmp_path / "right.jsonl", [{"prompt": "a", "completion": " b", "passed": True}])
    refused = lorif("failures", workspace(), nothing)
    assert refused.code == 2
    assert "counts as a failure" in refused.err
    assert lorif("failures", workspace(), tmp_path / "missing.jsonl").code == 2


def test_what_cannot_be_asked_is_refused_before_a_model_is_loaded(tmp_path):
    columns = write_rows(tmp_path / "columns.jsonl", [{"a": "x", "b": "y"}])
    right = write_rows(tmp_path / "right.jsonl", [{"prompt": "a", "completion": " b", "passed": True}])
    for given, said in (
        ((tmp_path / "none.jsonl",), "is no file"),
        ((columns,), "Choose both, as `prompt` and `completion`"),
        ((right,), "counts as a failure"),
        ((file(), "--by", "nothing"), "texts are grouped by a metadata column"),
        ((file(), "--by", "clusters"), "compute one with `lorif map"),
        ((file(), "--out", tmp_path / "none" / "t.parquet"), "does not exist"),
    ):
        run = lorif("failures", workspace(), *given, "--model", tmp_path / "moved away")
        assert (run.code, said in run.err) == (2, True), run.err


def test_a_viewer_asks_no_file_of_failures(tmp_path, monkeypatch):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    workspace.journal.set_role("anna", "admin", by="anna")
    workspace.journal.set_role("vera", "viewer", by="anna")
    monkeypatch.setenv("LORIF_ACTOR", "vera")
    with pytest.raises(RoleError):
        workspace.failures.ask(file(), FailureReading())


def test_notebooks_show_tables_and_escape_every_text():
    shown = run().to_html()
    assert "5 failures of failing.jsonl" in shown
    assert "<script" not in shown
    assert "text withheld" in run().to_html(redact=True)
    assert len(run().figure().data) == 1
    assert np.asarray(run().heat_map().data[0].z).shape == (5, len(set(SOURCES)))
    np.testing.assert_allclose(np.abs(np.asarray(run().heat_map().data[0].z)).sum(1), 1)
    assert run().to_polars()["line"].to_list() == [1, 2, 3, 5, 7]


def test_an_imported_data_set_alone_has_no_failures(tmp_path):
    workspace = lf.open_workspace(copy_of(imported(), tmp_path))
    assert workspace.failures.records() == []
    with pytest.raises(ArtefactError, match="no run of failures"):
        workspace.failures.open("abc")
