"""What-if, export and jobs in a real browser."""

import json
import re

import pytest
from driving import described, number, rows_of, said, wait_for_run, wait_until
from studio_server import serving
from tiny_workspace import copy_of, imported, indexed, model_folder

import lorif_core as lf
from lorif_core.views.effect_text import predicted_text, probability_text
from lorif_core.workspace.jobs.submit import open_jobs

pytestmark = pytest.mark.browser

ENDLESS = """
checkpoint = "{checkpoint}"
learning_rate = 1e-4
max_length = 64
batch_size = 32
epochs = 100000
seed = 0
"""
"""A training that nobody waits for."""


def metric(page, label):
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").inner_text()


def test_what_if_lists_gains_and_harms_and_refuses_an_empty_set(new_page, studio):
    opened = lf.open_workspace(studio.workspace)
    ids = opened.reopen("1").ids[:5]
    page = new_page("/what-if?remove=Excluded")
    page.get_by_text("No text is excluded").wait_for()
    opened.exclude(ids, reason="spam", actor="tester")
    wait_until(lambda: page.get_by_test_id("stMetric").count() >= 4)
    page.get_by_role("combobox", name="Questions whose completions").wait_for()
    wait_for_run(page)
    (*_, last) = queries = opened.questions.records()
    alike = [q.query_id for q in queries if (q.prompt, q.completion) == (last.prompt, last.completion)]
    expected = opened.what_if(ids, alike)
    wait_until(lambda: metric(page, "Helped") == str(len(expected.helped)))
    assert metric(page, "Harmed") == str(len(expected.harmed))
    assert metric(page, "Texts removed") == str(len(ids))
    page.get_by_text("Details, in nats").click()
    outcomes = {change.query_id: change.outcome for change in expected.queries}
    shown = {
        cells[0].lstrip("#"): cells[-1] for cells in rows_of(described(page, "Predicted change of every question"))
    }
    assert shown.items() <= outcomes.items()


def test_the_dry_run_counts_the_lines_that_are_downloaded(open_studio, tmp_path):
    with serving(copy_of(imported(), tmp_path)) as studio:
        opened = lf.open_workspace(studio.workspace)
        opened.exclude(opened.data.browse(limit=4).frame["train_id"].to_list(), reason="spam", actor="tester")
        page = open_studio(studio, "/export")
        told = int(number(metric(page, "In the export")))
        page.get_by_role("button", name=f"Export {told} texts").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the data").click()
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert len([json.loads(line) for line in lines]) == told == opened.versions.preview().num_kept
        assert metric(page, "Left out") == "4"


@pytest.fixture
def training(open_studio, tmp_path):
    """A page that shows a training without end, and its jobs."""
    with serving(copy_of(indexed(), tmp_path)) as studio:
        opened = lf.open_workspace(studio.workspace)
        ids = opened.ask("The river of Arlen is", " castle Brook.", k=3).ids
        opened.flag(ids, actor="tester")
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(ENDLESS.format(checkpoint=model_folder()), encoding="utf-8")
        page = open_studio(studio, "/what-if")
        box = page.get_by_role("textbox", name="Recipe")
        box.fill(str(recipe))
        box.press("Enter")
        button = page.get_by_role("button", name="Verify on 1 question")
        wait_until(button.is_enabled)
        button.click()
        said(page, "The training waits for its worker.")
        jobs = open_jobs(opened.files)
        wait_until(lambda: jobs.jobs("running"))
        yield page, jobs, jobs.jobs()[0].job_id
        if (job := jobs.jobs()[0]).status in ("queued", "running"):
            jobs.cancel(job.job_id, "tester")
        wait_until(lambda: jobs.jobs()[0].status not in ("queued", "running"))


def test_a_running_job_survives_a_reload_and_is_cancelled(training):
    page, jobs, job_id = training
    page.reload()
    page.get_by_role("progressbar").first.wait_for()
    page.get_by_role("link", name="Jobs").click()
    page.locator(f".st-key-job-{job_id}").get_by_role("progressbar").wait_for()
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: jobs.job(job_id).wants_cancel or jobs.job(job_id).status == "cancelled")
    wait_until(lambda: jobs.job(job_id).status == "cancelled")  # the training alone would go on for days
    page.locator(f".st-key-job-{job_id}").get_by_text("cancelled").first.wait_for()
    page.get_by_role("link", name="What-if").click()
    page.get_by_text("cancelled").first.wait_for()
    assert not page.locator(".st-key-what-if-verified").count()


def test_what_if_shows_the_probability_now_and_predicted_and_that_there_is_no_range_yet(new_page, studio):
    opened = lf.open_workspace(studio.workspace)
    ids = opened.reopen("1").ids[:2]
    opened.flag(ids, actor="tester")
    page = new_page("/what-if")
    table = described(page, "Probability of every target now and predicted")
    table.wait_for()
    wait_for_run(page)
    (*_, last) = queries = opened.questions.records()
    alike = [one.query_id for one in queries if (one.prompt, one.completion) == (last.prompt, last.completion)]
    expected = {change.query_id: change.effect for change in opened.what_if(ids, alike).queries}
    for cells in rows_of(table):
        effect = expected[cells[0].lstrip("#")]
        assert probability_text(effect.now) in cells
        assert predicted_text(effect.predicted, effect.beyond) in cells
    page.get_by_text("No range yet: it takes 9 changes").wait_for()
    assert not page.locator(".st-key-what-if-counts").get_by_text("nats").count()


def test_one_click_verifies_and_predicted_against_actual_stays(open_studio, tmp_path):
    with serving(copy_of(indexed(), tmp_path)) as studio:
        opened = lf.open_workspace(studio.workspace)
        ids = opened.ask("The river of Arlen is", " castle Brook.", k=3).ids
        opened.flag(ids, actor="tester")
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(ENDLESS.format(checkpoint=model_folder()).replace("100000", "1"), encoding="utf-8")
        page = open_studio(studio, "/what-if")
        page.get_by_text("Nothing was verified yet.").wait_for()
        box = page.get_by_role("textbox", name="Recipe")
        box.fill(str(recipe))
        box.press("Enter")
        button = page.get_by_role("button", name=re.compile(r"^Verify on 1 question · about [\d.]+ m?s$"))
        page.get_by_text("2 trainings of").wait_for()
        wait_until(button.is_enabled)
        button.click()
        wait_until(lambda: open_jobs(opened.files).jobs("done"), 300)
        table = described(page, "Predicted and actual probability of every verified question")
        table.wait_for()
        page.reload()
        table.wait_for()
        (kept,) = opened.removals.verifications().effects
        (cells,) = rows_of(table)
        assert {"#1", "3", probability_text(kept.now), probability_text(kept.actual)} <= set(cells)
