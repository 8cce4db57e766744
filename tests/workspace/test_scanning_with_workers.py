"""The driver of a question by many workers: who dies, cannot read or comes late changes no number of an answer.

Workers are real; their processes are played, so that a test decides what happens and in which order.
"""

import json
import random
import re
import shutil

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workspace import (
    NUM_TEXTS,
    SMALL,
    copy_of,
    done,
    imported,
    indexed,
    lorif,
    model_folder,
    rows,
    tensors_of_part,
    write_rows,
)

import lorif_core as lf
from lorif_core.errors import ArtefactError, ConfigError, NumericalError, ResourceError
from lorif_core.passes import scoring
from lorif_core.ray_pool import Ended, RayPool, Refusal
from lorif_core.workers_config import ScanConfig
from lorif_core.workspace.asking import scan_with_workers
from lorif_core.workspace.asking.part_holders import holder_of
from lorif_core.workspace.asking.questions import Questions
from lorif_core.workspace.asking.scan_with_workers import MOST_DEATHS, WorkersScanner
from lorif_core.workspace.asking.scan_worker import ScanWorker

NUM_PARTS = 8
LISTS = {"k": NUM_TEXTS, "num_opposing": NUM_TEXTS, "keeps": False}


class PlayedPool(RayPool):
    """Workers whose calls end in a drawn order; ``fate`` may say that one's process dies instead."""

    def __init__(self, workspace, num_workers=3, seed=0, fate=lambda worker, method, arguments: None):
        self.workspace, self.count, self.fate = workspace, num_workers, fate
        self.draw = random.Random(seed)
        self.workers, self.waiting, self.calls = {}, [], []

    @property
    def num_workers(self):
        return self.count

    def share(self, value):
        return value

    def call(self, worker, method, *arguments):
        assert worker not in [one[0] for one in self.waiting], "a worker does one call at a time"
        self.calls.append((worker, method, arguments))
        self.waiting.append((worker, method, arguments))

    def wait(self, timeout_s):
        if not self.waiting:
            return []
        worker, method, arguments = self.waiting.pop(self.draw.randrange(len(self.waiting)))
        if lost := self.fate(worker, method, arguments):
            self.workers.pop(worker, None)
            return [Ended(worker, method, arguments, None, lost)]
        held = self.workers.setdefault(worker, ScanWorker(self.workspace, 1))
        return [Ended(worker, method, arguments, getattr(held, method)(*arguments), None)]

    def scanned_by(self, worker):
        return [number for who, method, rest in self.calls if (who, method) == (worker, "scan") for number in rest[1]]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(scan_with_workers, "WAIT_S", 0)


@pytest.fixture(scope="module")
def workspace():
    return lf.open_workspace(indexed())


def with_pool(workspace, pool, *, partial=False):
    return Questions(workspace.indexes, workspace, WorkersScanner(pool, allows_partial=partial))


def asked(questions, **more):
    given = LISTS | more
    return questions.ask(lf.Question(prompt="The river of Arlen is", completion=" castle Brook.", **given))


def said(answer):
    return {name: value for name, value in answer.to_dict().items() if name != "elapsed_s"}


@pytest.mark.parametrize(("num_workers", "seed"), [(1, 0), (2, 1), (2, 2), (5, 3), (9, 4)])
def test_an_answer_is_that_of_one_process_whoever_ends_first(workspace, seed, num_workers):
    pool = PlayedPool(workspace.path, num_workers, seed)
    assert said(asked(with_pool(workspace, pool))) == said(asked(workspace.questions))
    scanned = [number for worker in range(num_workers) for number in pool.scanned_by(worker)]
    assert sorted(scanned) == list(range(NUM_PARTS))


@pytest.mark.parametrize(
    ("normalisation", "more"),
    [("none", {"query_rank": 1}), ("unit", {}), ("relatif", {"subspace_rank": 3}), ("tempered", {})],
)
def test_every_way_to_score_gives_the_numbers_of_one_process(workspace, normalisation, more):
    settings = lf.ScoreConfig(normalisation=normalisation, **more)
    found = asked(with_pool(workspace, PlayedPool(workspace.path)), settings=settings)
    assert said(found) == said(asked(workspace.questions, settings=settings))


def test_whole_gradients_are_scanned_as_well(tmp_path):
    folder = tmp_path / "ws"
    done("import", folder, write_rows(tmp_path / "texts.jsonl", rows()[:40]))
    done("index", folder, "--model", model_folder(), "--method", "logra", "--shard-examples", 16)
    workspace = lf.open_workspace(folder)
    found = asked(with_pool(workspace, PlayedPool(folder)))
    assert said(found) == said(asked(workspace.questions))


def test_texts_that_tie_stand_in_the_order_of_the_data(tmp_path):
    folder = tmp_path / "ws"
    copies = [row | {"id": f"{row['id']}-{number}"} for number in range(20) for row in rows()[:3]]
    done("import", folder, write_rows(tmp_path / "texts.jsonl", copies))
    done("index", folder, "--model", model_folder(), "--method", "graddot", "--shard-examples", 7)
    workspace = lf.open_workspace(folder)
    found = asked(with_pool(workspace, PlayedPool(folder, seed=5)), k=25)
    assert len({hit.score for hit in found.supports}) < len(found.supports)
    assert [hit.train_id for hit in found.supports] == [
        hit.train_id for hit in asked(workspace.questions, k=25).supports
    ]


def test_what_is_kept_is_the_same_and_answers_again(tmp_path):
    folders = [copy_of(indexed(), tmp_path / name) for name in ("one", "many")]
    one, many = (lf.open_workspace(folder) for folder in folders)
    asked(one.questions, keeps=True)
    first = asked(with_pool(many, PlayedPool(many.path)), keeps=True)
    scores = [[pl.read_parquet(path) for path in folder.glob("scores/*.parquet")] for folder in folders]
    assert scores[0][0].equals(scores[1][0])
    assert asked(many.questions, keeps=True).query_id == first.query_id


@pytest.mark.parametrize("num_died", [1, 2])
def test_a_worker_that_dies_in_the_middle_loses_its_parts_to_the_others(workspace, num_died):
    died = []

    def fate(worker, method, arguments):
        if method == "scan" and worker < num_died and worker not in died:
            died.append(worker)
            return "killed"
        return "still away" if method == "ready" and worker in died else None

    pool = PlayedPool(workspace.path, fate=fate)
    assert said(asked(with_pool(workspace, pool))) == said(asked(workspace.questions))
    assert len(died) == num_died


def test_a_worker_that_is_back_scans_the_next_question(workspace):
    died = []

    def fate(worker, method, arguments):
        if method == "scan" and not died:
            died.append(worker)
            return "killed"
        return None

    pool = PlayedPool(workspace.path, 2, fate=fate)
    questions = with_pool(workspace, pool)
    asked(questions)
    before = len(pool.calls)
    wanted = said(asked(workspace.questions))
    assert said(asked(questions)) == wanted
    assert died[0] in [worker for worker, method, _ in pool.calls[before:] if method == "scan"]


def test_a_process_that_was_replaced_is_told_again_what_is_looked_for(workspace):
    pool = PlayedPool(workspace.path, 2)
    questions = with_pool(workspace, pool)
    replaced = []

    def fate(
        worker, method, arguments
    ):  # as one that was told to leave: its call ends, and a fresh one takes its place
        if method == "scan" and not replaced:
            replaced.append(worker)
            pool.workers[worker] = ScanWorker(workspace.path, 1)

    pool.fate = fate
    assert said(asked(questions)) == said(asked(workspace.questions))
    assert [method for worker, method, _ in pool.calls if worker == replaced[0]].count("begin") == 2


def test_a_part_is_scanned_by_its_holder_from_one_question_to_the_next(workspace):
    pool = PlayedPool(workspace.path, 3, fate=lambda worker, *_: None)
    pool.draw.randrange = lambda count: 0  # the calls end in the order in which they were made
    questions = with_pool(workspace, pool)
    asked(questions)
    first, pool.calls = [sorted(pool.scanned_by(worker)) for worker in range(3)], []
    asked(questions)
    assert [sorted(pool.scanned_by(worker)) for worker in range(3)] == first


@given(num_workers=st.integers(2, 9), seed=st.integers(0, 999), left=st.integers(0, 8))
def test_a_worker_that_leaves_moves_its_own_parts_and_no_others(num_workers, seed, left):
    workers = set(range(num_workers))
    before = [holder_of(f"ix-{seed}", number, workers) for number in range(60)]
    rest = workers - {left % num_workers}
    after = [holder_of(f"ix-{seed}", number, rest) for number in range(60)]
    kept = [old for old in before if old in rest]
    assert [new for old, new in zip(before, after, strict=True) if old in rest] == kept


def test_parts_are_shared_out_evenly():
    held = [holder_of("ix-1", number, range(4)) for number in range(4000)]
    assert all(800 < held.count(worker) < 1200 for worker in range(4))


@pytest.fixture
def damaged(tmp_path):
    """A workspace with a part whose bytes are others."""
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    path = tensors_of_part(workspace.path, 3)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return workspace


def test_a_part_that_nobody_can_read_is_tried_by_all_and_refused(damaged):
    pool = PlayedPool(damaged.path)
    with pytest.raises(
        ArtefactError, match=r"part 3 of index .* could not be read by any worker: .* is damaged.*`--partial`"
    ):
        asked(with_pool(damaged, pool))
    assert {worker for worker in range(3) if 3 in pool.scanned_by(worker)} == {0, 1, 2}


def test_a_partial_answer_says_how_many_texts_are_missing_and_is_not_kept(damaged):
    questions = with_pool(damaged, PlayedPool(damaged.path), partial=True)
    found, whole = asked(questions, keeps=True), asked(lf.open_workspace(indexed()).questions)
    away = {f"t{number:03d}" for number in range(48, 64)}
    scores = {hit.train_id: hit.score for hit in whole.hits}
    assert {hit.train_id: hit.score for hit in found.hits} == {
        name: score for name, score in scores.items() if name not in away
    }
    assert (found.num_scored, found.query_id) == (NUM_TEXTS - 16, None)
    told = "not all texts: 1 of 8 parts could not be read, so 16 of 121 texts are missing; part 3: "
    assert found.remarks()[0].startswith(told)
    assert found.remarks()[0].endswith("; this answer is not kept")
    assert json.loads(json.dumps(found.to_dict()))["missing"]["parts"] == {"3": 16}
    assert told in " ".join(found.facts())
    assert damaged.questions.records() == []
    assert list(damaged.path.glob("scores/*")) == []


@pytest.mark.parametrize(
    "error", [ArtefactError("the disk is away."), ResourceError("the store does not answer."), OSError(5, "bad")]
)
def test_a_part_that_one_worker_cannot_read_is_scanned_by_another(workspace, error):
    class Blind(ScanWorker):
        def _plan(self, sent):
            raise error

    pool = PlayedPool(workspace.path)
    pool.workers[1] = Blind(workspace.path, 1)
    assert said(asked(with_pool(workspace, pool))) == said(asked(workspace.questions))


def test_an_index_in_an_object_store_is_scanned_as_well(tmp_path):
    folder, store = copy_of(imported(), tmp_path), f"memory://{tmp_path.name.replace('_', '-')}/prefix"
    done("index", folder, "--model", model_folder(), *SMALL, "--storage", store)
    workspace = lf.open_workspace(folder)
    assert said(asked(with_pool(workspace, PlayedPool(folder)))) == said(asked(workspace.questions))


def test_another_index_in_the_place_of_the_one_that_is_asked_is_not_scanned(workspace, tmp_path):
    other = copy_of(indexed(), tmp_path)
    folder = next((other / "indexes").iterdir())
    manifest = json.loads((folder / "manifest.json").read_text())
    shutil.rmtree(folder)
    done(
        "index",
        other,
        "--model",
        model_folder(),
        "--method",
        "lorif",
        "--shard-examples",
        16,
        "--subspace-rank",
        8,
        "--seed",
        9,
    )
    (built,) = (other / "indexes").iterdir()
    built.rename(folder)
    assert manifest["index_id"] if "index_id" in manifest else True
    with pytest.raises(ArtefactError, match="is another one in the folder"):
        asked(with_pool(workspace, PlayedPool(other)))


def test_a_part_that_takes_its_workers_with_it_is_one_that_cannot_be_read(workspace, monkeypatch):
    monkeypatch.setattr(scan_with_workers, "CALLS_PER_WORKER", 1)  # others are in the same call, and are not blamed

    def fate(worker, method, arguments):
        return "out of memory" if method == "scan" and 5 in arguments[1] else None

    pool = PlayedPool(workspace.path, fate=fate)
    with pytest.raises(ArtefactError, match=r"part 5 .* workers die when they scan it \(out of memory\)"):
        asked(with_pool(workspace, pool))
    assert [number for worker in range(3) for number in pool.scanned_by(worker)].count(5) == MOST_DEATHS
    found = asked(with_pool(workspace, PlayedPool(workspace.path, fate=fate), partial=True))
    assert found.missing is not None
    assert found.missing.parts == {5: 16}


def test_workers_that_never_stay_alive_are_said_to(workspace):
    with pytest.raises(ResourceError, match=r"no worker stays alive \(gone\)"):
        asked(with_pool(workspace, PlayedPool(workspace.path, fate=lambda *_: "gone")))


def test_scores_that_are_not_finite_stop_the_question_and_are_no_missing_part(workspace):
    class Wrong(ScanWorker):
        def scan(self, scan_id, numbers):
            return [Refusal("NumericalError", "3 of 4 scores are not finite")]

    pool = PlayedPool(workspace.path, 1)
    pool.workers[0] = Wrong(workspace.path, 1)
    with pytest.raises(NumericalError, match="3 of 4 scores"):
        asked(with_pool(workspace, pool, partial=True))


def test_a_question_that_was_stopped_leaves_the_workers_to_the_next_one(workspace):
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    pool = PlayedPool(workspace.path)
    questions = with_pool(workspace, pool)
    with pytest.raises(Stop):
        questions.ask(lf.Question(prompt="The river of Arlen is", completion=" castle.", **LISTS), stop)
    assert said(asked(questions)) == said(asked(workspace.questions))


def queries_file(folder):
    found = [
        {"query_id": f"q{n}", "prompt": row["prompt"], "completion": row["completion"]}
        for n, row in enumerate(rows()[:5])
    ]
    return write_rows(folder / "queries.jsonl", found)


@pytest.mark.parametrize(("result_bytes", "scores_at_once"), [(1, 1 << 23), (1 << 24, 5 * 7)])
def test_scores_and_values_of_a_file_are_those_of_one_process(
    workspace, tmp_path, monkeypatch, result_bytes, scores_at_once
):
    monkeypatch.setattr(scan_with_workers, "RESULT_BYTES", result_bytes)
    monkeypatch.setattr(scan_with_workers, "WAITING_BYTES", result_bytes)
    monkeypatch.setattr(scoring, "SCORES_AT_ONCE", scores_at_once)
    queries, many = queries_file(tmp_path), with_pool(workspace, PlayedPool(workspace.path, seed=3))
    for questions, name in ((workspace.questions, "one"), (many, "many")):
        questions.score(queries, tmp_path / name)
    assert pl.read_parquet(tmp_path / "one").equals(pl.read_parquet(tmp_path / "many"))
    one, two = (questions.value(queries) for questions in (workspace.questions, many))
    assert one.examples.equals(two.examples)
    assert one.groups.equals(two.groups)


def test_partial_scores_and_values_have_no_rows_for_what_is_missing(damaged, tmp_path):
    queries, questions = queries_file(tmp_path), with_pool(damaged, PlayedPool(damaged.path), partial=True)
    found = questions.score(queries, tmp_path / "scores")
    whole = lf.open_workspace(indexed()).questions
    whole.score(queries, tmp_path / "whole")
    away = [f"t{number:03d}" for number in range(48, 64)]
    kept = pl.read_parquet(tmp_path / "whole").filter(~pl.col("example_id").is_in(away))
    assert pl.read_parquet(tmp_path / "scores").equals(kept)
    assert (found.num_scores, found.missing.parts) == (5 * (NUM_TEXTS - 16), {3: 16})
    valued = questions.value(queries)
    assert valued.examples.equals(whole.value(queries).examples.filter(~pl.col("train_id").is_in(away)))
    assert valued.groups["num_examples"].sum() == NUM_TEXTS - 16
    assert valued.to_dict()["missing"]["parts"] == {3: 16}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"search": "fast"}, "a fast search is not possible with workers"),
        ({"settings": lf.ScoreConfig(refine=1)}, "refine=1 reads every stored text in this process"),
    ],
    ids=str,
)
def test_what_workers_do_not_do_is_refused(workspace, given, message):
    with pytest.raises(ConfigError, match=message):
        asked(with_pool(workspace, PlayedPool(workspace.path)), **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 0}, "at least one worker"),
        ({"on": "slurm"}, "workers run on `ray` or `ray:ADDRESS`, got 'slurm'"),
        ({"on": "ray:"}, "needs an address behind it"),
        ({"partial": True}, "--partial is for workers, and one process reads all parts or none"),
    ],
    ids=str,
)
def test_settings_of_workers_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        ScanConfig(**given)


def test_the_command_line_refuses_a_partial_answer_of_one_process():
    refused = lorif("ask", indexed(), "--prompt", "a", "--completion", " b", "--partial")
    assert refused.code == 2
    assert "pass `--on ray` as well, or leave it out" in refused.err
