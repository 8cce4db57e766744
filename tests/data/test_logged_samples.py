"""Logs as lm-evaluation-harness 0.4.13 and inspect_ai 0.3.285 write them, and what makes a row of them unclear."""

import json
import zipfile
import zlib

import pyarrow as pa
import pytest

from lorif_core.data.failure_rows import FailureReading
from lorif_core.data.read_failures import read_failures
from lorif_core.errors import DataError


def lines(path, *values):
    path.write_text("".join(json.dumps(one) + "\n" for one in values))
    return path


def shown(found):
    return [(row.line, row.completion, row.is_failure, row.expected) for row in found.found.rows]


def skipped(found):
    return {one.line: one.reason for one in found.found.skipped}


def generated(number, *responses, judged=None, filter_name="none", prompt=None, **scores):
    return {
        "doc_id": number,
        "doc": {"question": f"{number}?"},
        "target": f"right {number}",
        "arguments": {"gen_args_0": {"arg_0": prompt or f"Q: {number}?\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [list(responses)],
        "filtered_resps": [responses[0] if judged is None else judged],
        "filter": filter_name,
        "metrics": list(scores),
        **scores,
    }


def choices_of(target, requests, sizes, **scores):
    """A sample of a task with choices: requests are context and choice."""
    return {
        "doc_id": 0,
        "doc": {},
        "target": target,
        "arguments": {
            f"gen_args_{place}": {"arg_0": context, "arg_1": choice}
            for place, (context, choice) in enumerate(requests)
        },
        "resps": [[[str(size), "False"]] for size in sizes],
        "filtered_resps": [[str(size), "False"] for size in sizes],
        "filter": "none",
        "metrics": list(scores),
        **scores,
    }


def test_a_task_with_two_filters_is_judged_under_the_one_that_is_chosen(tmp_path):
    strict = [generated(n, f" so {n}", judged="[invalid]", filter_name="strict", exact_match=0.0) for n in (0, 1)]
    loose = [generated(n, f" so {n}", judged="so", filter_name="loose", exact_match=float(n)) for n in (0, 1)]
    file = lines(tmp_path / "s.jsonl", *strict, *loose)
    first = read_failures(file)
    assert (first.found.score, len(first.failures)) == ("exact_match,strict", 2)
    assert first.found.scores == ["exact_match,strict", "exact_match,loose"]
    chosen = read_failures(file, FailureReading(score="exact_match,loose"))
    assert shown(chosen) == [(3, " so 0", True, "right 0"), (4, " so 1", False, "right 1")]
    assert skipped(chosen)[1] == "the same answer again, under the filter strict"
    with pytest.raises(DataError, match="exact_match,strict, exact_match,loose, got 'exact_match,other'"):
        read_failures(file, FailureReading(score="exact_match,other"))


def test_documents_of_two_tasks_in_one_file_are_not_taken_for_one_another(tmp_path):
    one = {**generated(0, " a", exact_match=0.0, filter_name="strict"), "doc_hash": "1"}
    two = {**generated(0, " b", exact_match=0.0, filter_name="none"), "doc_hash": "2"}
    assert [row.completion for row in read_failures(lines(tmp_path / "s.jsonl", one, two)).failures] == [" a", " b"]


def test_every_sample_of_a_log_is_judged_by_the_same_metric(tmp_path):
    file = lines(tmp_path / "s.jsonl", generated(0, " a", exact_match=0.0), generated(1, " b", f1=0.0))
    found = read_failures(file)
    assert (shown(found), skipped(found)) == ([(1, " a", True, "right 0")], {2: "it has no exact_match"})


def test_a_run_that_only_predicts_has_no_failures(tmp_path):
    found = read_failures(lines(tmp_path / "s.jsonl", generated(0, " a", bypass=999)))
    assert skipped(found) == {1: "no metric tells whether it failed"}
    assert found.sentence.endswith("no row counts, as none has a score.")


def test_of_several_responses_the_judged_one_is_asked_and_a_guess_is_refused(tmp_path):
    voted = generated(0, " no", " maybe", judged="maybe", exact_match=0.0)
    extracted = generated(1, "It is 4.", "It is 5.", judged="4", exact_match=0.0)
    every = generated(2, " x", " y", judged=[" x", " y"], **{"pass@1": 0.0})
    some = generated(3, " x", " y", judged=[" x", " y"], **{"pass@1": 0.25})
    found = read_failures(lines(tmp_path / "s.jsonl", voted, extracted))
    assert [row.completion for row in found.failures] == [" maybe"]
    assert "nothing tells which one was judged" in skipped(found)[2]
    found = read_failures(lines(tmp_path / "t.jsonl", every, some))
    assert [row.completion for row in found.failures] == [" x"]
    assert "nothing tells which one was judged" in skipped(found)[2]


def test_messages_to_a_chat_behind_an_api_are_turns_of_a_chat(tmp_path):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
    ]
    file = lines(tmp_path / "s.jsonl", generated(0, "3", prompt=[json.dumps(turns)], exact_match=0.0))
    row = read_failures(file).failures[0]
    assert (row.prompt, row.system, len(row.messages), row.is_raw) == ("Two?", "Be brief.", 2, False)


def test_a_prompt_with_images_is_skipped(tmp_path):
    sample = generated(0, "a cat", exact_match=0.0)
    sample["arguments"]["gen_args_0"]["arg_2"] = {"visual": ["…"]}
    assert skipped(read_failures(lines(tmp_path / "s.jsonl", sample))) == {1: "its prompt holds images or sounds"}


BARE = [("The sky is", " blue"), ("The sky is", " red"), ("", " blue"), ("", " red")]


def test_choices_without_their_context_are_not_what_the_model_said(tmp_path):
    file = lines(tmp_path / "s.jsonl", choices_of("0", BARE, [-3.0, -2.0, -9.0, -0.5], acc=0.0, acc_mutual_info=1.0))
    assert shown(read_failures(file)) == [(1, " red", True, " blue")]
    found = read_failures(file, FailureReading(score="acc_mutual_info"))
    assert shown(found) == [(1, " blue", False, " blue")]


def test_bytes_count_for_acc_bytes(tmp_path):
    requests = [("a", " ééé"), ("a", " eeee"), ("a", " e")]
    sample = choices_of("2", requests, [-6.0, -7.0, -9.0], acc=0.0, acc_norm=0.0, acc_bytes=0.0)
    file = lines(tmp_path / "s.jsonl", sample)
    said = [read_failures(file, FailureReading(score=one)).failures[0].completion for one in sample["metrics"]]
    assert said == [" ééé", " eeee", " ééé"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [("1", " blue"), ("blue", " blue"), ("[1, 2]", "blue, grey"), ("7", None), ("[1, 7]", None)],
)
def test_targets_are_places_or_choices(tmp_path, target, expected):
    requests = [("The sky is", choice) for choice in (" red", " blue", " grey")]
    file = lines(tmp_path / "s.jsonl", choices_of(target, requests, [-1.0, -2.0, -3.0], acc=0.0))
    assert shown(read_failures(file)) == [(1, " red", True, expected)]


def test_where_contexts_differ_the_likeliest_context_is_asked(tmp_path):
    requests = [("Ann thanked Bob, for Ann", " was ill."), ("Ann thanked Bob, for Bob", " was ill.")]
    file = lines(tmp_path / "s.jsonl", choices_of(" was ill.", requests, [-2.0, -1.0], acc=0.0))
    assert [(one.prompt, one.expected) for one in read_failures(file).failures] == [(requests[1][0], None)]


def test_a_score_that_the_likeliest_choice_does_not_explain_is_refused(tmp_path):
    requests = [("The sky is", " blue"), ("The sky is", " red")]
    mass = choices_of("0", requests, [-1.0, -2.0], acc=0.3)
    other = choices_of("0", requests, [-1.0, -2.0], acc=0.0)
    reasons = skipped(read_failures(lines(tmp_path / "s.jsonl", mass, other)))
    assert "several choices together" in reasons[1]
    assert "though acc says that it failed" in reasons[2]


def test_an_array_in_a_file_named_jsonl_is_read_as_the_harness_wrote_it_in_0_4_0(tmp_path):
    old = {**generated(0, " a", exact_match=0.0), "arguments": [["Q: 0?\nA:", {"until": ["\n"]}]]}
    file = tmp_path / "results_gsm8k.jsonl"
    file.write_text(json.dumps([old], indent=2))
    assert [row.completion for row in read_failures(file).failures] == [" a"]


def test_totals_of_the_harness_are_refused(tmp_path):
    file = tmp_path / "results_2026.json"
    file.write_text(json.dumps({"results": {"gsm8k": {}}, "configs": {}, "versions": {}}))
    with pytest.raises(DataError, match="holds the totals of lm-evaluation-harness, not its samples"):
        read_failures(file)


def sample(number, scores, said="Lyon", epoch=1, **more):
    turn = {"role": "assistant", "content": said, "source": "generate"}
    return {
        "id": number,
        "epoch": epoch,
        "input": "Capital?",
        "target": ["Paris", "paris"],
        "messages": [{"role": "user", "content": "Capital?", "source": "input"}, turn],
        "output": {"model": "m", "choices": [{"message": turn, "stop_reason": "stop"}], "completion": said},
        "scores": {name: {"value": value, "history": []} for name, value in scores.items()},
        "metadata": {},
        **more,
    }


def zstandard_archive(path, members):
    """A zip archive as newer versions of Inspect write them, which ``zipfile`` of this Python cannot."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in members.items():
            content = json.dumps(value).encode()
            packed = pa.compress(content, codec="zstd", asbytes=True)
            archive.writestr(name, packed)
            stored = archive.infolist()[-1]
            stored.compress_type, stored.file_size, stored.CRC = 93, len(content), zlib.crc32(content)
    return path


def test_an_archive_packed_with_zstandard_is_read_by_epoch_and_number(tmp_path):
    numbers = [(10, 1), (9, 1), ("a/b", 1), (9, 2)]
    members = {
        f"samples/{one}_epoch_{epoch}.json": sample(one, {"match": "I"}, f"{one} {epoch}", epoch)
        for one, epoch in numbers
    }
    file = zstandard_archive(tmp_path / "log.eval", {"_journal/start.json": {}, **members, "header.json": {}})
    assert [row.completion for row in read_failures(file).failures] == ["a/b 1", "9 1", "10 1", "9 2"]


def test_a_damaged_archive_is_one_sentence(tmp_path):
    file = zstandard_archive(tmp_path / "log.eval", {"samples/1_epoch_1.json": sample(1, {"match": "I"})})
    content = bytearray(file.read_bytes())
    content[90] ^= 255
    file.write_bytes(content)
    with pytest.raises(DataError, match="no readable log of Inspect"):
        read_failures(file)
    with zipfile.ZipFile(tmp_path / "b.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1_epoch_1.json", json.dumps(sample(1, {"match": "I"})))
    content = bytearray((tmp_path / "b.eval").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "b.eval").write_bytes(content)
    with pytest.raises(DataError, match="no readable log of Inspect"):
        read_failures(tmp_path / "b.eval")
    with zipfile.ZipFile(tmp_path / "c.eval", "w") as archive:
        archive.writestr("samples/1_epoch_1.json", "[" * 100_000)
    with pytest.raises(DataError, match="no readable log of Inspect"):
        read_failures(tmp_path / "c.eval")


def test_samples_in_parts_are_refused(tmp_path):
    file = zstandard_archive(tmp_path / "log.eval", {"samples/1_epoch_1/sample.json": sample(1, {"match": "I"})})
    with pytest.raises(DataError, match=r"samples in parts.*inspect log convert --to json"):
        read_failures(file)


def log(path, *samples, **more):
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {}, "samples": list(samples)} | more))
    return path


def test_every_sample_of_an_inspect_log_is_judged_by_the_same_scorer(tmp_path):
    one = sample(1, {"graded": "C", "match": "I"})
    unscored = sample(2, {"graded": float("nan"), "match": "I"})
    found = read_failures(log(tmp_path / "l.json", one, unscored))
    assert shown(found) == [(1, "Lyon", False, "Paris, paris")]
    assert skipped(found) == {2: "it has no score of graded"}
    by_match = read_failures(tmp_path / "l.json", FailureReading(score="match"))
    assert [row.is_failure for row in by_match.found.rows] == [True, True]


def test_what_was_scored_is_asked_where_a_solver_goes_on_behind_it(tmp_path):
    behind = [{"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]
    one = sample(1, {"match": "I"})
    row = read_failures(log(tmp_path / "l.json", one | {"messages": one["messages"] + behind})).failures[0]
    assert (row.prompt, row.completion, row.messages) == ("Capital?", "Lyon", ())


def test_parts_of_a_score_are_scorers_and_what_cannot_be_judged_is_skipped(tmp_path):
    both = sample(1, {"parts": {"a": 1, "b": 0.2}, "list": [1, 0]})
    invalid = sample(2, {"parts": {"a": 0}}, invalidation={"author": "me"})
    old = sample(3, {}) | {"scores": None, "score": {"value": "I"}}
    found = read_failures(log(tmp_path / "l.json", both, invalid, old), FailureReading(score="parts.b"))
    assert found.found.scores == ["parts.a", "parts.b", "score"]
    assert shown(found) == [(1, "Lyon", True, "Paris, paris")]
    assert skipped(found) == {2: "it was declared invalid", 3: "it has no score of parts.b"}


def test_a_log_without_samples_is_refused(tmp_path):
    file = tmp_path / "l.json"
    for samples in ({}, {"samples": []}):
        file.write_text(json.dumps({"version": 2, "status": "started", "eval": {"task": "t"}} | samples))
        with pytest.raises(DataError, match="log of Inspect without samples"):
            read_failures(file)


def test_prompts_of_rows_may_be_messages(tmp_path):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital?"}]
    tool = [*turns, {"role": "tool", "content": "42"}]
    file = lines(tmp_path / "r.jsonl", *({"messages": one, "response": "Lyon"} for one in (turns, tool, [])))
    found = read_failures(file)
    assert [(row.prompt, row.system) for row in found.failures] == [("Capital?", "Be brief.")]
    assert skipped(found).keys() == {2, 3}


def test_a_column_that_is_only_called_like_a_score_is_none(tmp_path):
    row = {"question": "Capital?", "response": "Lyon", "correct": "Paris"}
    found = read_failures(lines(tmp_path / "r.jsonl", row))
    assert (found.found.score, len(found.failures)) == (None, 1)
