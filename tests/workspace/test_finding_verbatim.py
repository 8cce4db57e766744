"""Texts of a whole data set that hold what was said word for word, against reading every one of them."""

import json
import random

import pytest
from tiny_workspace import copy_of, done, indexed, lorif

import lorif_core as lf
from lorif_core.corpus.normalising import words_of
from lorif_core.corpus.verbatim import Wording
from lorif_core.corpus.verbatim_search import longest_possible
from lorif_core.errors import ConfigError, DataError
from lorif_core.workspace.datasets import find_verbatim as finding
from lorif_core.workspace.datasets.view import build_search

WORDS = ["harbour", "the", "naïve", "Crossing", "世"]


def some_text(generator, length):
    return " ".join(generator.choice(WORDS) for _ in range(length))


def longest_run(text, said):
    """Words of the longest stretch of both that counts by the rule of decision 0064."""
    theirs, ours = words_of(text), words_of(said)
    best = 0
    for a in range(len(ours)):
        for b in range(a + 1, len(ours) + 1):
            part = ours[a:b]
            if not any(theirs[at : at + len(part)] == part for at in range(len(theirs))):
                continue
            is_spaceless = [word == "世" for word in part]
            size = sum(2 if one else len(word) + 1 for word, one in zip(part, is_spaceless, strict=True)) - 1
            number = sum(0.5 if one else 1 for one in is_spaceless)
            is_long = (number >= 5 and size >= 24) or size >= 40 or part == ours
            if is_long and not set(part) <= {"the", "of"}:
                best = max(best, b - a)
    return best


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A data set of prompts and completions, and its texts by id."""
    folder, generator = tmp_path_factory.mktemp("written"), random.Random(3)
    rows = [
        {"id": f"r{number}", "prompt": some_text(generator, 9) + "? ", "completion": some_text(generator, 25)}
        for number in range(150)
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    workspace = lf.create_workspace(folder / "ws")
    workspace.data.import_files(folder / "data.jsonl")
    return workspace, {row["id"]: (row["prompt"], row["completion"]) for row in rows}


@pytest.mark.parametrize("seed", range(6))
def test_the_list_is_that_of_reading_every_text(written, seed):
    workspace, texts = written
    said = some_text(random.Random(seed), 12)
    expected = {one: max(longest_run(part, said) for part in parts) for one, parts in texts.items()}
    found = workspace.data.verbatim(said, 200)
    assert {one.train_id: one.verbatim.longest for one in found.texts} == {one: n for one, n in expected.items() if n}
    assert [one.verbatim.longest for one in found.texts] == sorted(filter(None, expected.values()), reverse=True)
    assert (found.num_texts, found.num_holding, found.unread_words) == (150, len(found.texts), 0)
    for one in found.texts:
        for span in one.verbatim.spans:
            shown = words_of(one.text[span.start : span.stop])
            assert shown == words_of(said[span.said_start : span.said_stop])
            assert len(shown) == span.words


@pytest.mark.parametrize("seed", range(6))
def test_the_index_bounds_the_span_of_every_text_and_misses_none(written, seed):
    workspace, texts = written
    said = some_text(random.Random(seed), 14)
    index = build_search(workspace.files, workspace.files.choose_dataset(None).dataset_id)
    bounds = longest_possible(index, Wording(said), len(texts)).tolist()
    longest = [max(longest_run(part, said) for part in parts) for parts in texts.values()]
    assert [bound > 0 for bound in bounds] == [words > 0 for words in longest]
    assert all(words <= bound for words, bound in zip(longest, bounds, strict=True))


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("seed", range(4))
def test_a_short_list_is_the_beginning_of_the_long_one_however_few_texts_are_read_at_once(
    written, k, seed, monkeypatch
):
    workspace, _ = written
    said = some_text(random.Random(seed), 14)
    whole = [one.verbatim.longest for one in workspace.data.verbatim(said, 200).texts]
    monkeypatch.setattr(finding, "READ_AT_ONCE", 2)
    found = workspace.data.verbatim(said, k)
    assert [one.verbatim.longest for one in found.texts] == whole[:k]
    assert (found.num_holding, found.unread_words) == (len(whole), 0)


def test_what_was_not_read_is_said(written, monkeypatch):
    monkeypatch.setattr(finding, "MOST_READ", 5)
    monkeypatch.setattr(finding, "READ_AT_ONCE", 5)
    workspace, _ = written
    found = workspace.data.verbatim(some_text(random.Random(1), 14), 5)
    assert found.unread_words >= found.texts[-1].verbatim.longest
    assert "not all of them were read" in found.facts()[-1]
    assert f"the {len(found.texts)} with the longest are listed" in " ".join(found.facts())


def test_chats_say_which_turn_and_no_span_goes_over_from_one_to_the_next(tmp_path):
    said = "the old lighthouse keeper counted seven ships"
    chat = [{"role": "user", "content": f"Is it true that {said}?"}, {"role": "assistant", "content": "It is."}]
    parted = [{"role": "user", "content": "the old lighthouse keeper"}, {"role": "assistant", "content": "Seven."}]
    crossing = [{"role": "user", "content": "the old lighthouse"}, {"role": "assistant", "content": "keeper counted"}]
    rows = [{"id": name, "messages": one} for name, one in (("a", chat), ("b", parted), ("c", crossing))]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    workspace = lf.create_workspace(tmp_path / "ws")
    workspace.data.import_files(tmp_path / "chats.jsonl")
    found = workspace.data.verbatim(said)
    assert [(one.train_id, one.verbatim.spans[0].part) for one in found.texts] == [("a", "turn 1 (user)")]
    assert found.num_holding == 1
    # The index sees a run over both turns, and the words between them.
    assert workspace.data.verbatim("lighthouse\nassistant: keeper counted").num_holding == 0


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    copy = copy_of(indexed(), tmp_path_factory.mktemp("verbatim"))
    workspace = lf.open_workspace(copy)
    answer = workspace.ask("The harbour of Glenby is", " river Corve.", k=80)
    return copy, answer


def test_an_answer_shows_its_spans_beside_its_scores_also_when_it_is_opened_again(asked):
    copy, answer = asked
    again = lf.open_workspace(copy).reopen(answer.query_id)
    assert [one.verbatim for one in again.hits] == [one.verbatim for one in answer.hits]
    for hit in answer.hits:
        holds = " river corve " in f" {' '.join(words_of(hit.text))} "
        assert bool(hit.verbatim.spans) == holds
    shown = done("reopen", copy, answer.query_id, "--json").json
    assert shown["supports"][0]["verbatim"]["num_spans"] == answer.supports[0].verbatim.num_spans
    assert any(hit.verbatim.spans for hit in answer.hits)
    assert "[verbatim: the whole" in done("reopen", copy, answer.query_id).out


def test_the_command_lists_what_python_lists_with_the_status_of_decided_texts(asked):
    copy, answer = asked
    workspace = lf.open_workspace(copy)
    first = next(one.train_id for one in answer.verbatim().texts)
    workspace.exclude([first], reason="spam")
    found = answer.verbatim()
    shown = done("verbatim", copy, "--query", answer.query_id, "--json").json
    assert [one["train_id"] for one in shown["texts"]] == [one.train_id for one in found.texts]
    assert (shown["texts"][0]["status"], shown["texts"][0]["reason"]) == ("excluded", "spam")
    assert shown["facts"][1:] == found.facts()[1:]
    assert f"{found.num_holding} texts hold a span of it" in " ".join(
        done("verbatim", copy, "River  CORVE").out.split()
    )
    frame = found.to_polars()
    assert frame.columns == ["rank", "train_id", "words", "part", "start", "stop", "span", "status"]
    assert set(frame["span"].str.to_lowercase()) == {"river corve"}
    assert "excluded" in found.to_html()
    assert "withheld" in found.to_html(redact=True)


def test_nothing_found_is_said_plainly(asked):
    copy, _ = asked
    assert "no text holds a span of it that counts" in done("verbatim", copy, "zebra xylophone").out
    assert "only words that stand in any text" in " ".join(done("verbatim", copy, "this is the").out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of the two"),
        (["x", "--query", "1"], "one of the two"),
        (["..."], "needs a letter or a digit"),
        (["x", "-k", "0"], "k must be between 1 and 1,000"),
        (["x", "--dataset", "none"], "none"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_in_a_sentence(asked, arguments, said):
    run = lorif("verbatim", asked[0], *arguments)
    assert run.code == 2
    assert said in run.err


def test_token_ids_without_a_text_are_refused(tmp_path):
    (tmp_path / "ids.jsonl").write_text('{"input_ids": [1, 2, 3]}\n{"input_ids": [4, 5]}\n')
    workspace = lf.create_workspace(tmp_path / "ws")
    workspace.data.import_files(tmp_path / "ids.jsonl")
    with pytest.raises(DataError, match="token ids without a text"):
        workspace.data.verbatim("anything")
    with pytest.raises(ConfigError, match="letter or a digit"):
        workspace.data.verbatim("")
