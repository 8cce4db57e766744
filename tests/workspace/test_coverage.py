"""What of the data an index rests on: rows that cannot be read, rows with nothing to predict, long texts."""

import json
import shutil

import pytest
from tiny_workspace import ask, done, lorif, model_folder, write_rows

import lorif_core as lf

TEMPLATE = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
SHORT = ("--method", "graddot", "--max-length", 24, "--tokens-per-batch", 48)


def failed(*arguments):
    run = lorif(*arguments)
    assert (run.code, run.out, "Traceback" in run.err) == (2, "", False)
    return run.err


def chat(name, question="the river of Arlen", **first):
    system = [{"role": "system", "content": "be kind"}] if first else []
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "castle Brook"}]
    return {"id": name, "messages": [*system, *turns]}


@pytest.fixture
def chat_model(tmp_path):
    folder = shutil.copytree(model_folder(), tmp_path / "model")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def imported(tmp_path, rows):
    done("import", tmp_path / "ws", write_rows(tmp_path / "rows.jsonl", rows))
    return tmp_path / "ws"


def test_a_row_that_the_template_refuses_and_one_without_targets_are_listed(tmp_path, chat_model):
    rows = [chat("a"), chat("refused", system=True), chat("b"), chat("long", "river " * 40)]
    workspace = imported(tmp_path, rows)
    found = done("index", workspace, "--model", chat_model, *SHORT)
    assert "1 text could not be read: refused (the chat template refuses it: System role not supported)." in found.out
    assert "1 text has no token to predict within 24: long." in found.out
    assert "1 text is cut at 24 tokens, so the index covers" in found.out
    coverage = done("index", workspace, "--model", chat_model, *SHORT, "--json").json["coverage"]
    assert coverage["unreadable"] == {"refused": "the chat template refuses it: System role not supported"}
    assert (coverage["without_targets"], coverage["num_cut"], coverage["stride"]) == (["long"], 1, None)
    assert 0 < coverage["share"] < 1
    (listed,) = done("indexes", workspace, "--json").json["indexes"]
    assert listed["coverage"] == coverage
    report = done("indexes", workspace, listed["index_id"])
    assert "refused" in report.out
    assert "no token to predict" in report.out
    index = lf.open_workspace(workspace).indexes.open()
    norms = [float(norm) for shard in index.reader.iter_shards() for norm in shard.tensor("norms")]
    assert [norm > 0 for norm in norms] == [True, False, True, False]
    assert {hit["train_id"] for hit in ask(workspace)["supports"]} <= {"a", "b"}


def test_with_windows_for_all_the_long_chat_is_read_whole(tmp_path, chat_model):
    workspace = imported(tmp_path, [chat("a"), chat("long", "river " * 40)])
    coverage = done("index", workspace, "--model", chat_model, *SHORT, "--windows", "all", "--json").json["coverage"]
    assert (coverage["without_targets"], coverage["stride"]) == ([], 18)


def test_data_of_which_nothing_can_be_read_is_one_sentence(tmp_path, chat_model):
    workspace = imported(tmp_path, [chat("s", system=True), chat("t", system=True)])
    for options in ((), ("--json",)):
        said = failed("index", workspace, "--model", chat_model, *SHORT, *options)
        assert "can learn from none of the data's texts, 2 in all; the first, 's': the chat template refuses" in said


def documents():
    words = "The river of Arlen is castle Brook harbour garden tower "
    return [{"id": f"d{n}", "text": words * n} for n in (1, 4, 9)]


def test_long_texts_are_read_in_windows_whatever_the_batches(tmp_path):
    workspace = imported(tmp_path, documents())
    found = {}
    for tokens in (24, 5000):
        shutil.rmtree(workspace / "indexes", ignore_errors=True)
        result = done("index", workspace, "--model", model_folder(), *SHORT[:-1], tokens, "--json").json
        assert (result["coverage"]["share"], result["coverage"]["stride"]) == (1.0, 18)
        found[tokens] = {hit["train_id"]: hit for side in ("supports", "opposes") for hit in ask(workspace)[side]}
    assert found[24].keys() == found[5000].keys() == {"d1", "d4", "d9"}
    for name, hit in found[24].items():
        assert hit["score"] == pytest.approx(found[5000][name]["score"], rel=1e-2)
        text = next(row["text"] for row in documents() if row["id"] == name)
        assert "".join(token["text"] for token in hit["tokens"]) == text
    assert found[24]["d1"]["window"] is None
    first, stop = found[24]["d9"]["window"]
    assert 0 < stop - first <= 24


def test_the_window_that_matters_is_shown_and_kept_with_the_question(tmp_path):
    workspace = imported(tmp_path, documents())
    done("index", workspace, "--model", model_folder(), *SHORT)
    asked = ("The river of Arlen is", " castle Brook.")
    answer = lf.open_workspace(workspace).ask(*asked)
    windows = {hit.train_id: hit.window for hit in answer.hits}
    assert windows["d1"] is None
    assert windows["d9"] is not None
    reopened = lf.open_workspace(workspace).ask(*asked)
    assert reopened.query_id == answer.query_id
    assert {hit.train_id: hit.window for hit in reopened.hits} == windows
    assert [hit.tokens for hit in reopened.hits] == [hit.tokens for hit in answer.hits]
    first, behind = windows["d9"]
    shown = done("ask", workspace, "--prompt", asked[0], "--completion", asked[1]).out
    assert f"most of it from tokens {first}–{behind - 1}" in " ".join(shown.replace("│", " ").split())  # however wide


def test_windows_name_another_index_and_without_them_texts_are_cut(tmp_path):
    workspace = imported(tmp_path, documents())
    whole = done("index", workspace, "--model", model_folder(), *SHORT, "--json").json
    other = done("index", workspace, "--model", model_folder(), *SHORT, "--stride", 12, "--json").json
    cut = done("index", workspace, "--model", model_folder(), *SHORT, "--windows", "off", "--json").json
    assert len({one["index_id"] for one in (whole, other, cut)}) == 3
    assert (cut["coverage"]["num_cut"], cut["coverage"]["stride"], whole["coverage"]["num_cut"]) == (2, None, 0)
    said = failed("index", workspace, "--model", model_folder(), *SHORT, "--stride", 24)
    assert "stride must be at least 1 and below max_length = 24, got 24" in said
    said = failed("index", workspace, "--model", model_folder(), *SHORT, "--windows", "some")
    assert "windows" in said


def test_an_index_is_opened_as_it_was_built(tmp_path):
    workspace = imported(tmp_path, documents())
    done("index", workspace, "--model", model_folder(), *SHORT, "--windows", "off")
    index = lf.open_workspace(workspace).indexes.open()
    assert index.engine.stride is None
    assert json.loads(lf.open_workspace(workspace).indexes.records()[0].settings_json)["batches"]["windows"] == "off"
