"""Several threads on one workspace get the numbers that each would get alone."""

from concurrent.futures import ThreadPoolExecutor, wait

import polars as pl
import pytest
from tiny_workspace import copy_of, indexed, model_folder, rows, write_rows

import lorif_core as lf
from lorif_core.turns import turn_on
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.studio.beside_answers import completion_tokens

NUM_THREADS = 4
TIMES = 6
"""How often each thread does the same; without turns on the model the first few calls are wrong already."""

PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."
SAMPLED = lf.GenerateConfig(max_new_tokens=6, temperature=1.0, sampling_seed=3)
RECIPE = 'checkpoint = "{checkpoint}"\nlearning_rate = 0.05\nepochs = 1\nbatch_size = 4\nmax_length = 64\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A workspace with an index and one kept question, a file of queries and a recipe beside it."""
    place = tmp_path_factory.mktemp("threads")
    workspace = copy_of(indexed(), place)
    lf.open_workspace(workspace).ask(PROMPT, COMPLETION, k=5)
    write_rows(place / "queries.jsonl", rows()[:3])
    (place / "recipe.toml").write_text(RECIPE.format(checkpoint=model_folder()), encoding="utf-8")
    return workspace


def figures(answer):
    """Everything an answer says but how long it took and under which number it is kept."""
    return {name: value for name, value in answer.to_dict().items() if name not in ("elapsed_s", "query_id")}


def broken_down(ws, name):
    return ws.questions.breakdown("1", "t003").parts


def asked(ws, name):
    return figures(ws.ask(PROMPT, " tower.", k=4, num_opposing=2, keeps=False))


def said(ws, name):
    return ws.ask(PROMPT, k=1, generate=SAMPLED, keeps=False).question.completion


def said_greedily(ws, name):
    return ws.ask(PROMPT, k=1, generate=lf.GenerateConfig(max_new_tokens=4), keeps=False).question.completion


def scored(ws, name):
    out = ws.path.parent / f"{name}.parquet"
    ws.questions.score(ws.path.parent / "queries.jsonl", out, overwrites=True)
    return pl.read_parquet(out)["score"].to_list()


def valued(ws, name):
    return ws.value(ws.path.parent / "queries.jsonl").examples["value"].to_list()


def tokens(ws, name):
    return completion_tokens(ws, lf.Question(prompt=PROMPT, completion=COMPLETION))


def compared(ws, name):
    (row,) = lf.evaluate(ws).fidelity(ws.path.parent / "queries.jsonl", reference="repsim")
    return row.spearman, row.overlap


def patched(ws, name):
    place = ws.path.parent
    found = lf.evaluate(ws).tail_patch(place / "recipe.toml", place / "queries.jsonl", k=3)
    return [one.per_query.tolist() for one in found]


USES = (broken_down, asked, said, said_greedily, scored, valued, tokens, compared, patched)


def in_threads(ws, uses, times=TIMES):
    """What the uses give when each thread begins with another one: (use, result) for every call."""

    def work(number):
        order = [uses[(place + number) % len(uses)] for place in range(len(uses))]
        return [(use, use(ws, f"{number}-{turn}")) for turn in range(times) for use in order]

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return [one for part in pool.map(work, range(NUM_THREADS)) for one in part]


@pytest.mark.parametrize("use", USES)
def test_threads_that_do_the_same_get_the_numbers_of_one(use, folder, hasty_threads):
    ws = lf.open_workspace(folder)
    wanted = use(ws, "alone")
    assert [result for _, result in in_threads(ws, [use])] == [wanted] * (NUM_THREADS * TIMES)


def test_threads_that_do_different_things_get_the_numbers_of_one(folder, hasty_threads):
    ws = lf.open_workspace(folder)
    wanted = {use: use(ws, "alone") for use in USES}
    found = in_threads(ws, USES, times=2)
    assert len(found) == 2 * NUM_THREADS * len(USES)
    assert [use.__name__ for use, result in found if result != wanted[use]] == []


def test_log_probabilities_wait_for_whoever_has_the_model(folder):
    ws = lf.open_workspace(folder)
    wanted = tokens(ws, "alone")
    with ThreadPoolExecutor(1) as pool:
        with turn_on(ws.indexes.open().engine.loaded.model):
            asking = pool.submit(tokens, ws, "waiting")
            done, _ = wait([asking], timeout=0.5)
            assert not done
        assert asking.result() == wanted


def test_a_question_that_several_threads_ask_at_once_is_kept_whole(folder, hasty_threads):
    ws = lf.open_workspace(folder)
    for prompt in ("The tower of Corve is", "The garden of Ivern is", "The market of Hollin is"):
        wanted = figures(ws.ask(prompt, COMPLETION, k=3, keeps=False))
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            found = list(pool.map(lambda _, prompt=prompt: ws.ask(prompt, COMPLETION, k=3), range(NUM_THREADS)))
        assert [figures(answer) | {"is_kept": False} for answer in found] == [wanted] * NUM_THREADS
        (query_id,) = {answer.query_id for answer in found}
        scores = read_scores(ws.files, ws.files.catalog.query(query_id))
        assert sorted(scores.tolist())[-3:] == [hit["score"] for hit in wanted["supports"][::-1]]


def test_progress_may_ask_the_same_model(folder):
    ws = lf.open_workspace(folder)
    wanted, inner = asked(ws, "alone"), []

    def ask_too(stage, done, total):
        if not inner:
            inner.append(None)  # once, not for ever
            inner[0] = broken_down(ws, "inner"), said(ws, "inner"), asked(ws, "inner")

    answer = ws.ask(PROMPT, " tower.", k=4, num_opposing=2, keeps=False, on_progress=ask_too)
    assert figures(answer) == wanted
    assert inner == [(broken_down(ws, "alone"), said(ws, "alone"), wanted)]


def test_progress_of_generation_may_ask_the_same_model(folder):
    ws = lf.open_workspace(folder)
    wanted, inner = said(ws, "alone"), []

    def ask_too(stage, done, total):
        if stage == "generate":
            inner.append(asked(ws, "inner"))

    found = ws.ask(PROMPT, k=1, generate=SAMPLED, keeps=False, on_progress=ask_too)
    assert found.question.completion == wanted
    assert inner
    assert inner == [asked(ws, "alone")] * len(inner)


def test_progress_of_tail_patch_finds_the_weights_of_the_model(folder):
    ws, inner = lf.open_workspace(folder), []
    wanted = asked(ws, "alone")

    def ask_too(stage, done, total):
        if stage == "tail-patch":
            inner.append(asked(ws, "inner"))

    place = folder.parent
    lf.evaluate(ws).tail_patch(place / "recipe.toml", place / "queries.jsonl", k=3, on_progress=ask_too)
    assert inner
    assert inner == [wanted] * len(inner)
