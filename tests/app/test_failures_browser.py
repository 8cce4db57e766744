"""Failures in a real browser: from a file to a curated export, logs of evaluations, groups over all texts, undo."""

import json
import zipfile
from collections.abc import Iterator

import polars as pl
import pyarrow.parquet as pq
import pytest
from driving import (
    click_cell,
    deep_text,
    described,
    number,
    parameters,
    rows_of,
    said,
    table,
    wait_for_run,
    wait_until,
)
from studio_server import Studio, serving
from tiny_workspace import copy_of, indexed, rows, write_rows

import lorif_core as lf
from lorif_core.views.text import visible

pytestmark = pytest.mark.browser

COUNTED = "Rows of the file, with what was taken for prompt and completion and why they count"
SKIPPED = "Rows that cannot be asked, with the reason"
CLICKS = 9
"""From the file to the curated export: the file, ask, a group, only those on top, exclude, why, Export, export,
download. Choosing the file is one, whatever the system's dialog takes."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Iterator[Studio]:
    """A studio with a kept question and a file of five failures that was asked."""
    folder = tmp_path_factory.mktemp("failures")
    workspace = lf.open_workspace(copy_of(indexed(), folder))
    workspace.ask("The river of Arlen is", " castle Brook.", k=10)
    workspace.failures.ask(failing(folder / "failing.jsonl"))
    with serving(workspace.path) as studio:
        yield studio


def failing(path, count=5):
    return write_rows(path, [{"prompt": row["prompt"], "completion": row["completion"]} for row in rows()[:count]])


def opened(studio):
    return lf.open_workspace(studio.workspace)


def statuses(studio):
    decided = opened(studio).decisions.states().filter(pl.col("status") != "kept")
    return dict(decided.select("train_id", "status").iter_rows())


class Clicks:
    """Counts what a person clicks."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target) -> None:
        target.click()
        self.count += 1


def choose_rows(page, name, places):
    for place in places:
        click_cell(page, table(page, name), row=place)
    wait_for_run(page)


def test_a_file_of_failures_becomes_a_curated_export_in_nine_clicks(open_studio, tmp_path):
    with serving(copy_of(indexed(), tmp_path)) as studio:
        page, click = open_studio(studio, "/failures"), Clicks()
        page.locator("input[type=file]").set_input_files(failing(tmp_path / "failing.jsonl"))
        click.count += 1
        click(page.get_by_role("button", name="Ask 5 failures"))
        wait_until(lambda: "run" in parameters(page))
        run = opened(studio).failures.open(parameters(page)["run"][0])
        shown = rows_of(table(page, "failure-groups"))
        groups = run.groups("source").frame
        assert [cells[0] for cells in shown] == [visible(name) for name in groups["group"]]
        place = groups["group"].to_list().index("atlas")
        choose_rows(page, "failure-groups", [place])
        click.count += 1
        click(page.get_by_text("Those on top", exact=True))
        ids = run.ids_of(run.groups("source"), ["atlas"], "top")
        page.get_by_text(f"{len(ids)} texts", exact=True).wait_for()
        page.get_by_text(f"Without {len(ids)} texts:").wait_for()
        exclude = page.get_by_role("button", name="Exclude…")
        wait_until(exclude.is_enabled)
        click(exclude)
        click(page.get_by_role("dialog").get_by_role("button", name="misinformation"))
        said(page, f"Excluded {len(ids)} texts as misinformation.")
        assert statuses(studio) == dict.fromkeys(ids, "excluded")
        click(page.get_by_role("link", name="Export"))
        click(page.get_by_role("button", name=f"Export {len(rows()) - len(ids)} texts"))
        with page.expect_download() as download:
            click(page.get_by_role("button", name="Download the data"))
        kept = [json.loads(line)["id"] for line in download.value.path().read_text().splitlines()]
        assert set(kept) == {row["id"] for row in rows()} - set(ids)
        assert click.count == CLICKS


def lm_eval_log(folder):
    samples = [
        {
            "doc_id": place,
            "doc": {},
            "target": " right",
            "arguments": {"gen_args_0": {"arg_0": row["prompt"], "arg_1": {"until": ["\n"]}}},
            "resps": [[said_]],
            "filtered_resps": [said_],
            "filter": "none",
            "metrics": ["exact_match"],
            "exact_match": score,
        }
        for place, (row, said_, score) in enumerate(
            zip(rows(), (" wrong", " right", ""), (0.0, 1.0, 0.0), strict=False)
        )
    ]
    return write_rows(folder / "samples_task_2026-11-29.jsonl", samples)


def inspect_log(folder):
    file = folder / "log.eval"
    with zipfile.ZipFile(file, "w") as archive:
        for place, (value, status) in enumerate(
            (("I", None), ("C", None), ("I", {"message": "out of time"})), start=1
        ):
            sample = {
                "id": place,
                "epoch": 1,
                "input": rows()[place]["prompt"],
                "target": "right",
                "output": {"choices": [{"message": {"role": "assistant", "content": " wrong"}}]},
                "scores": {"match": {"value": value}},
                **({} if status is None else {"error": status}),
            }
            archive.writestr(f"samples/{place}_epoch_1.json", json.dumps(sample))
    return file


@pytest.mark.parametrize(
    ("make", "told", "why", "reason"),
    [
        (lm_eval_log, "samples of lm-evaluation-harness", "exact_match is 0, below 0.5", "the model said nothing"),
        (inspect_log, "a log of Inspect", "match is 0, below 0.5", "it ended with an error"),
    ],
)
def test_logs_of_evaluations_say_what_counts_and_what_is_skipped(
    open_studio, asked, tmp_path, make, told, why, reason
):
    page = open_studio(asked, "/failures")
    page.get_by_role("textbox", name="path on the server").fill(str(make(tmp_path)))
    page.keyboard.press("Enter")
    page.get_by_text(told).wait_for()
    page.get_by_role("button", name="Ask 1 failure", exact=True).wait_for()
    cells = rows_of(described(page, COUNTED))
    assert [one[0] for one in cells] == ["1"]
    assert why in cells[0]
    assert " wrong" in [one[:6] for one in cells[0]]
    page.get_by_text("Skipped 1", exact=True).click()
    wait_until(lambda: rows_of(described(page, SKIPPED)) == [["3", reason]])


def test_a_groups_sum_is_that_of_all_its_kept_scores_with_its_chance(open_studio, asked):
    workspace = opened(asked)
    query = workspace.files.catalog.query("1")
    influences = pq.read_table(workspace.files.scores_file(query.fingerprint))["influence"].to_pylist()
    members = {}
    for row, influence in zip(rows(), influences, strict=True):
        members.setdefault(row["source"], []).append(influence)
    page = open_studio(asked, "/investigate?query=1&tab=Groups")
    page.get_by_text("Sums over all 121 texts").wait_for()
    shown = {cells[0]: cells for cells in rows_of(table(page, "groups"))}
    for source in ("atlas", "almanac"):
        assert int(shown[source][1]) == len(members[source])
        assert number(shown[source][2]) == pytest.approx(sum(members[source]), rel=2e-3)
    found = {row["group"]: row for row in workspace.failures.groups("1").frame.iter_rows(named=True)}
    assert int(shown["atlas"][4]) == found["atlas"]["num_top"]
    assert f"{found['atlas']['chance_low']} to {found['atlas']['chance_high']}" in shown["atlas"]
    assert found["atlas"]["stands_out"] in deep_text(page)


def test_one_failure_is_looked_into_and_a_group_decided_and_undone(open_studio, asked):
    (run,) = opened(asked).failures.records()
    page = open_studio(asked, f"/failures?run={run.run_id}&tab=Failures")
    choose_rows(page, "failure-list", [2])
    page.get_by_text("What taught row 3").wait_for()
    expected = run.answer("r3")["train_id"].to_list()
    assert [cells[0] for cells in rows_of(table(page, "failure-texts"))][:5] == expected[:5]
    page.get_by_role("button", name="Open in Investigate").click()
    wait_until(lambda: "query" in parameters(page))
    asked_alone = opened(asked).reopen(parameters(page)["query"][0])
    assert (asked_alone.question.prompt, asked_alone.question.said) == (rows()[2]["prompt"], rows()[2]["completion"])

    page = open_studio(asked, f"/failures?run={run.run_id}")
    place = run.groups("source").frame["group"].to_list().index("almanac")
    choose_rows(page, "failure-groups", [place])
    page.get_by_text("A sample first", exact=True).click()
    page.get_by_text("20 texts", exact=True).wait_for()
    flag = page.get_by_role("button", name="Flag", exact=True)
    wait_until(flag.is_enabled)
    flag.click()
    sample = run.ids_of(run.groups("source"), ["almanac"], "sample")
    wait_until(lambda: statuses(asked) == dict.fromkeys(sample, "flagged"))
    assert page.get_by_role("link", name="Open in Corpus").get_attribute("href").count("almanac") == 1
    page.get_by_role("link", name="Review flagged").wait_for()
    page.get_by_role("button", name="Undo", exact=True).first.click()
    wait_until(lambda: statuses(asked) == {})
