"""Files of failures: rows, sample logs of lm-evaluation-harness and Inspect; what counts, what is skipped and why."""

import json
import zipfile

import pytest

from lorif_core.data.failure_rows import FailureReading, as_score
from lorif_core.data.read_failures import read_failures
from lorif_core.errors import DataError


def lines(path, *values):
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in values))
    return path


def generated(number, said, score, *, wrapped=True, filter_name="none"):
    """A sample of a task that lets the model generate, as 0.4.3 and later (wrapped) or earlier log it."""
    arguments = [[f"Q: {number}?\nA:", {"until": ["\n"]}]]
    if wrapped:
        arguments = {"gen_args_0": {"arg_0": arguments[0][0], "arg_1": arguments[0][1]}}
    return {
        "doc_id": number,
        "doc": {"question": f"{number}?"},
        "target": f"right {number}",
        "arguments": arguments,
        "resps": [[said]],
        "filtered_resps": [said.strip()],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "exact_match": score,
    }


def choice(number, sizes, choices, **scores):
    return {
        "doc_id": number,
        "doc": {},
        "target": 0,
        "arguments": {
            f"gen_args_{place}": {"arg_0": "The sky is", "arg_1": said} for place, said in enumerate(choices)
        },
        "resps": [[[str(size), "False"]] for size in sizes],
        "filtered_resps": [[str(size), "False"] for size in sizes],
        **scores,
    }


def shown(found):
    return [(row.line, row.prompt, row.completion, row.is_failure) for row in found.found.rows]


def skipped(found):
    return {one.line: one.reason for one in found.found.skipped}


@pytest.mark.parametrize("wrapped", [True, False])
def test_generated_samples_of_lm_eval(tmp_path, wrapped):
    file = lines(
        tmp_path / "samples_gsm8k.jsonl",
        generated(0, " wrong", 0.0, wrapped=wrapped, filter_name="strict"),
        generated(1, " right 1", 1.0, wrapped=wrapped, filter_name="strict"),
        generated(0, " wrong", 1.0, wrapped=wrapped, filter_name="flexible"),
        generated(2, "", 0.0, wrapped=wrapped),
        "{broken",
    )
    found = read_failures(file)
    assert found.format == "lm-eval"
    assert shown(found) == [(1, "Q: 0?\nA:", " wrong", True), (2, "Q: 1?\nA:", " right 1", False)]
    assert found.found.rows[0].expected == "right 0"
    assert found.found.rows[0].why == "exact_match is 0, below 0.5"
    assert all(row.is_raw for row in found.found.rows)
    assert skipped(found).keys() == {3, 4, 5}
    assert "filter flexible" in skipped(found)[3]
    assert skipped(found)[4] == "the model said nothing"


def test_choices_of_lm_eval_are_the_likeliest_one_and_per_character_for_acc_norm(tmp_path):
    choices = [" blue", " a very dark kind of green", *(f" other {place}" for place in range(10))]
    sizes = [-3.0, -6.0, *([-50.0] * 9), -2.5]
    file = lines(tmp_path / "s.jsonl", choice(0, sizes, choices, acc=0.0, acc_norm=False))
    assert shown(read_failures(file)) == [(1, "The sky is", " other 9", True)]
    by_length = read_failures(file, FailureReading(score="acc_norm"))
    assert shown(by_length) == [(1, "The sky is", " a very dark kind of green", True)]
    assert by_length.found.rows[0].expected == " blue"
    assert by_length.found.scores == ["acc", "acc_norm"]
    with pytest.raises(DataError, match="metrics acc, acc_norm, got 'f1'"):
        read_failures(file, FailureReading(score="f1"))


def test_samples_that_do_not_say_what_the_model_said_are_skipped(tmp_path):
    one = choice(0, [-3.0], [" blue"], acc=0.0)
    rolling = {**choice(1, [-3.0], [" x"], acc=0.0), "arguments": [["a whole text"]]}
    without = {key: value for key, value in generated(2, " x", 0.0).items() if key not in ("exact_match", "metrics")}
    found = read_failures(lines(tmp_path / "s.jsonl", one, rolling, without))
    assert shown(found) == []
    assert "expected completion" in skipped(found)[1]
    assert "whole text" in skipped(found)[2]
    assert skipped(found)[3] == "it has no acc"


def sample(number, value, said=" Lyon.", **more):
    return {
        "id": number,
        "epoch": 1,
        "input": "What is the capital of France?",
        "target": "Paris",
        "output": {"model": "m", "choices": [{"message": {"role": "assistant", "content": said}}]},
        "scores": {"match": {"value": value, "answer": said}},
        **more,
    }


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "Capital of France?"},
    {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Lyon"}]},
]


def samples():
    return [
        sample(1, "I"),
        sample(2, "C", " Paris."),
        sample(3, "P"),
        sample(4, 0.25, "Lyon", messages=CHAT),
        sample(5, "I", messages=[CHAT[1], {"role": "tool", "content": "42"}, CHAT[2]]),
        sample(6, "N", ""),
        {**sample(7, "I"), "scores": None},
        sample(8, "I", error={"message": "out of time"}),
    ]


def inspect_file(folder, kind):
    if kind == "json":
        file = folder / "log.json"
        file.write_text(json.dumps({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": samples()}))
        return file
    file = folder / "log.eval"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        for one in samples():
            archive.writestr(f"samples/{one['id']}_epoch_1.json", json.dumps(one))
    return file


@pytest.mark.parametrize("kind", ["json", "eval"])
def test_logs_of_inspect(tmp_path, kind):
    found = read_failures(inspect_file(tmp_path, kind))
    assert found.format == "inspect"
    question = "What is the capital of France?"
    assert shown(found) == [
        (1, question, " Lyon.", True),
        (2, question, " Paris.", False),
        (3, question, " Lyon.", False),
        (4, "Capital of France?", "Lyon", True),
    ]
    chat = found.found.rows[3]
    assert (chat.system, [turn["content"] for turn in chat.messages]) == ("Be brief.", ["Hello", "Hi"])
    assert found.found.rows[0].why == "match is 0, below 0.5"
    assert found.found.rows[0].expected == "Paris"
    assert {line: reason.split()[0] for line, reason in skipped(found).items()} == {
        5: "it",
        6: "the",
        7: "it",
        8: "it",
    }
    assert shown(read_failures(inspect_file(tmp_path, kind), FailureReading(below=0.75)))[2][3]


def test_an_archive_that_cannot_be_read_is_one_sentence(tmp_path):
    broken = tmp_path / "log.eval"
    broken.write_bytes(b"PK\x03\x04 nothing of it")
    with pytest.raises(DataError, match="inspect log convert"):
        read_failures(broken)
    with zipfile.ZipFile(tmp_path / "empty.eval", "w") as archive:
        archive.writestr("start.json", "{}")
    with pytest.raises(DataError, match="holds no samples"):
        read_failures(tmp_path / "empty.eval")


def test_rows_with_and_without_a_score(tmp_path):
    file = lines(
        tmp_path / "f.jsonl",
        {"prompt": "a", "completion": " b", "passed": False},
        {"prompt": "a", "completion": " c", "passed": True},
        {"prompt": "a", "passed": False},
        {"prompt": "a", "completion": " d", "passed": "maybe"},
    )
    found = read_failures(file)
    assert shown(found) == [(1, "a", " b", True), (2, "a", " c", False)]
    assert found.found.taken == {"prompt": "prompt", "completion": "completion", "score": "passed"}
    assert skipped(found) == {3: "completion is missing or no text", 4: "passed is missing or no score"}
    plain = lines(tmp_path / "p.jsonl", {"prompt": "a", "completion": " b"})
    assert read_failures(plain).found.rows[0].why == "the file has no score"
    assert "every row counts" in read_failures(plain).sentence


def test_columns_that_are_not_clear_are_chosen_by_a_person(tmp_path):
    file = tmp_path / "f.csv"
    file.write_text("question,input,response,grade\nwho?,they,me,wrong\nwhy?,we,you,correct\n")
    unclear = read_failures(file)
    assert "question, input, response, grade" in unclear.problem
    assert unclear.found.columns == ["question", "input", "response", "grade"]
    found = read_failures(file, FailureReading(prompt="input", completion="response"))
    assert shown(found) == [(2, "they", "me", True), (3, "we", "you", False)]
    with pytest.raises(DataError, match="got 'nothing'"):
        read_failures(file, FailureReading(prompt="nothing"))
    with pytest.raises(DataError, match="leave the format unset"):
        read_failures(file, FailureReading(format="lm-eval"))


@pytest.mark.parametrize(
    ("value", "score"),
    [(True, 1), (False, 0), (0.3, 0.3), ("C", 1), ("P", 0.5), ("I", 0), ("N", 0), (" Yes ", 1), ("0.25", 0.25)],
)
def test_scores_as_people_and_programs_write_them(value, score):
    assert as_score(value) == score


@pytest.mark.parametrize("value", ["", "nan", float("nan"), None, [1], "good"])
def test_what_is_no_score(value):
    assert as_score(value) is None
