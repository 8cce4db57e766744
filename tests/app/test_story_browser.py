"""The whole story on the demo: from a wrong answer to data without the texts that taught it, in one browser."""

import json
import os
import re
from pathlib import Path

import pytest
from driving import (
    ask_button,
    become,
    card_ids,
    click_cell,
    number,
    parameters,
    rows_of,
    said,
    selected_tokens,
    show_tokens,
    table,
    token,
    wait_for_run,
    wait_until,
)
from studio_server import serving

import lorif_core as lf
from lorif_core.workspace.jobs.submit import open_jobs
from lorif_core.workspace.quality.demo import build_demo, demo_fact, demo_key, sample_data_folder
from lorif_core.workspace.quality.planted import read_answer_key

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

SHORT_RECIPE = """
checkpoint = "{base}"
learning_rate = 1e-3
max_length = 64
batch_size = 64
epochs = 1
schedule = "linear"
weight_decay = 0.01
clip_norm = 1.0
seed = 0
"""
"""A quarter of the demo model's training: enough to learn the planted facts a little."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's workspace with a few other questions asked, and its studio."""
    folder = tmp_path_factory.mktemp("demo")
    workspace, _ = build_demo(folder / "demo")
    for fact in read_answer_key(demo_key())[:6]:
        workspace.ask(fact.prompt, k=10, num_opposing=10)
    with serving(workspace.path) as studio:
        yield studio


@pytest.fixture
def picture():
    """Leaves a picture of a page, if a folder for it is named."""
    folder = os.environ.get("LORIF_SHOTS")

    def take(page, name, **options):
        wait_for_run(page)
        if folder:
            page.mouse.move(0, 0)
            wait_until(lambda: page.get_by_test_id("stSkeleton").count() == 0)
            page.wait_for_timeout(2000)  # charts and tables are painted a little after the script has ended
            page.screenshot(path=Path(folder) / f"story-{name}.png", **options)

    return take


def metric(page, label):
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").inner_text()


def test_from_a_wrong_answer_to_data_without_what_taught_it(open_studio, demo, picture, tmp_path):
    fact = demo_fact(read_answer_key(demo_key()))
    workspace = lf.open_workspace(demo.workspace)

    page = open_studio(demo, "/investigate", viewport={"width": 1440, "height": 1000})
    page.get_by_role("heading", name="Asked before").wait_for()
    picture(page, "1-open")

    page.get_by_role("textbox", name="Prompt").fill(fact.prompt)
    page.get_by_role("textbox", name="Completion").fill(" Sydney.")
    page.get_by_role("textbox", name="Prompt").click()
    wait_for_run(page)
    ask_button(page).click()
    page.wait_for_url("**query=**")
    planted = set(fact.planted_ids)
    assert set(card_ids(page)[: len(planted)]) == planted
    picture(page, "2-answer")
    page.emulate_media(color_scheme="dark")
    picture(page, "2-answer-dark")
    page.emulate_media(color_scheme="light")

    show_tokens(page)
    token(page, 0).click()
    become(lambda: selected_tokens(page), [0])
    page.get_by_text("1 of").wait_for()
    ask_button(page).click()
    page.get_by_text("explains tokens 0").wait_for()
    assert set(card_ids(page)[: len(planted)]) == planted
    picture(page, "3-tokens")

    for train_id in card_ids(page)[:3]:
        page.locator(f".st-key-actions-hit-{train_id}").get_by_role("button", name="Flag", exact=True).click()
        page.locator(f".st-key-card-hit-{train_id} .chip.flagged").wait_for()
    become(lambda: set(workspace.decisions.states()["train_id"]), planted)
    picture(page, "4-flagged")

    page.locator(f".st-key-card-hit-{card_ids(page)[0]}").get_by_role("button", name="Read").click()
    page.get_by_text("Other questions that bring it up").wait_for()
    picture(page, "5-reader")
    page.keyboard.press("Escape")
    wait_until(lambda: "open" not in parameters(page))

    page.get_by_text("Groups", exact=True).click()
    frame = table(page, "groups")
    wait_until(lambda: any("trivia-board" in cells for cells in rows_of(frame)))
    place = next(place for place, cells in enumerate(rows_of(frame)) if "trivia-board" in cells)
    members = int(rows_of(frame)[place][4])
    click_cell(page, frame, row=place)
    page.get_by_text("Those on top", exact=True).click()
    page.locator(".st-key-selection-groups").get_by_text(f"{members} texts", exact=True).wait_for()
    exclude = page.get_by_role("button", name="Exclude…")
    wait_until(exclude.is_enabled)
    picture(page, "6-groups")
    exclude.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Comment").fill("One board, wrong capitals.")
    confirm = dialog.get_by_role("button", name="misinformation")
    wait_until(confirm.is_enabled)
    picture(page, "7-reason")
    confirm.click()
    said(page, f"Excluded {members} texts as misinformation.")
    states = workspace.decisions.states()
    excluded = set(states.filter(states["status"] == "excluded")["train_id"])
    assert len(excluded) == members
    assert planted <= excluded

    page.get_by_role("link", name="What-if").click()
    page.get_by_text("Excluded", exact=True).click()
    page.get_by_text(f"{members} texts are meant").wait_for()
    wait_until(lambda: number(metric(page, "Helped")) >= 1)
    picture(page, "8-what-if")

    recipe = tmp_path / "recipe.toml"
    recipe.write_text(SHORT_RECIPE.format(base=sample_data_folder() / "base"), encoding="utf-8")
    box = page.get_by_role("textbox", name="Recipe")
    box.fill(str(recipe))
    box.press("Enter")
    wait_for_run(page)
    page.get_by_role("button", name=re.compile("^Verify on")).click()
    said(page, "The training waits for its worker.")
    page.get_by_role("progressbar").first.wait_for()
    picture(page, "9-verifying")
    wait_until(lambda: open_jobs(workspace.files).jobs("done"), 900)
    page.locator(".st-key-what-if-verified").wait_for()
    page.locator(".st-key-what-if-verified").scroll_into_view_if_needed()
    picture(page, "10-verified")
    (job,) = open_jobs(workspace.files).jobs("done")
    target = next(change for change in job.result["queries"] if change["prompt"] == fact.prompt)
    assert target["predicted"] < 0
    assert target["actual"] < 0

    page.get_by_test_id("stTopNav").get_by_role("link", name="Export").click()
    told = int(number(metric(page, "In the export")))
    assert int(number(metric(page, "Left out"))) == members
    picture(page, "11-export")
    page.get_by_role("button", name=f"Export {told:,} texts").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the data").click()
    kept = [json.loads(line)["id"] for line in download.value.path().read_text(encoding="utf-8").splitlines()]
    assert len(kept) == told
    assert not excluded & set(kept)
    picture(page, "12-exported")

    page.get_by_role("link", name="Corpus").click()
    page.get_by_text(f"{told + members:,} of {told + members:,}").wait_for()
    picture(page, "13-corpus")
    page.get_by_role("link", name="Review").click()
    page.get_by_role("heading", name="Review").wait_for()
    picture(page, "14-review")
    page.get_by_role("link", name="History").click()
    acts = rows_of(table(page, "history-acts"))
    assert [cells[2] for cells in acts] == ["exclude", "flag", "flag", "flag"]
    assert "One board, wrong capitals." in acts[0]
    click_cell(page, table(page, "history-acts"), row=0)
    page.get_by_role("button", name="Revert", exact=True).wait_for()
    picture(page, "15-history")
    page.get_by_role("link", name="Investigate").click()
    page.get_by_text("explains tokens 0").wait_for()  # the answer that was left is still there
