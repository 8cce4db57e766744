"""The frame in a real browser: one context on every page, names of indexes, from a new folder to an answer."""

import shutil

import pytest
from driving import address, become, parameters, wait_for_run, wait_until
from studio_server import serving
from tiny_workspace import SMALL, copy_of, done, indexed, model_folder, rows, texts_file, write_rows

import lorif_core as lf
from lorif_core.config import ImportConfig
from lorif_core.workspace.jobs.requests import import_request
from lorif_core.workspace.jobs.submit import start_job

pytestmark = pytest.mark.browser

PAGES = {"Compare", "Corpus", "Review", "What-if", "Export", "History", "Indexes", "Jobs", "Home"}
MOST_CLICKS = 5
"""From a folder that does not exist to the first answer about one's own data."""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two data sets with an index each; a question to either."""
    folder = copy_of(indexed(), tmp_path_factory.mktemp("two"))
    done("import", folder, write_rows(folder.parent / "others.jsonl", rows()[:24]))
    opened = lf.open_workspace(folder)
    (others,) = (one.dataset_id for one in opened.data.records() if one.name == "others")
    done("index", folder, "--model", model_folder(), *SMALL, "--dataset", others)
    for record in opened.indexes.records():
        opened.ask("The river of Arlen is", " castle Brook.", k=3, num_opposing=3, index_id=record.index_id)
    with serving(folder) as studio:
        yield studio


def test_the_header_rules_every_page_and_what_is_asked(open_studio, two):
    opened = lf.open_workspace(two.workspace)
    first, second = opened.indexes.records()
    page = open_studio(two)
    page.locator(".st-key-dataset").get_by_text("others v1").wait_for()
    page.locator(".st-key-dataset [data-baseweb=select], .st-key-dataset input").first.click()
    page.get_by_role("option", name="texts v1").click()
    become(lambda: parameters(page).get("dataset"), [first.dataset_id])
    for name in sorted(PAGES):
        page.get_by_role("link", name=name, exact=True).first.click()
        page.locator(".st-key-dataset").get_by_text("texts v1").wait_for()
        wait_for_run(page)
        become(lambda: parameters(page).get("dataset"), [first.dataset_id])
    page.get_by_role("link", name="Investigate", exact=True).first.click()
    page.get_by_role("textbox", name="Prompt", exact=True).fill("The bridge of Corve is")
    page.get_by_role("textbox", name="Completion", exact=True).fill(" market.")
    page.get_by_role("button", name="Ask").first.click()
    wait_until(lambda: opened.questions.records()[-1].prompt == "The bridge of Corve is")
    assert opened.questions.records()[-1].index_id == first.index_id
    # The answer of the other data set says so, and one click lets the header name it.
    other = next(one.query_id for one in opened.questions.records() if one.index_id == second.index_id)
    page = open_studio(two, f"/investigate?query={other}&dataset={first.dataset_id}")
    page.get_by_text("Answered by another index").wait_for()
    page.locator(".st-key-dataset").get_by_text("texts v1").wait_for()
    page.get_by_role("button", name="Switch to it").click()
    page.locator(".st-key-dataset").get_by_text("others v1").wait_for()
    page.get_by_text("Answered by another index").wait_for(state="detached")


def test_an_index_is_renamed_and_deleted_with_what_would_be_lost(open_studio, two, tmp_path):
    with serving(shutil.copytree(two.workspace, tmp_path / "ws")) as studio:
        opened = lf.open_workspace(studio.workspace)
        _, second = opened.indexes.records()
        page = open_studio(studio, "/indexes")
        row = page.locator(f".st-key-index-row-{second.index_id}")
        row.get_by_role("button", name="Rename…").click()
        page.get_by_role("textbox", name="Name", exact=True).fill("My index")
        page.get_by_role("button", name="Save").click()
        row.get_by_text("My index").wait_for()
        page.locator(".st-key-studio-header .st-key-index").get_by_text("My index").wait_for()
        assert opened.indexes.named()[second.index_id].name == "My index"
        row.get_by_role("button", name="Delete…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("Gone with it: 1 question with its answer").wait_for()
        assert dialog.get_by_role("button", name="Delete", exact=True).is_disabled()
        dialog.get_by_text("I want to delete it").click()
        dialog.get_by_role("button", name="Delete", exact=True).click()
        row.wait_for(state="detached")
        assert second.index_id not in {one.index_id for one in opened.indexes.records()}


class Counted:
    """Clicks of a person, counted."""

    def __init__(self, page) -> None:
        self.page, self.clicks = page, 0

    def click(self, role: str, name: str) -> None:
        self.page.get_by_role(role, name=name).first.click()
        self.clicks += 1


def test_own_data_to_a_first_answer_without_a_terminal(open_studio, tmp_path):
    new = tmp_path / "new"
    with serving(new) as studio:
        assert (new / "workspace.json").is_file()
        page = open_studio(studio, "/")
        person = Counted(page)
        person.click("link", "Import data")
        page.get_by_role("textbox", name="File or folder on the server").fill(str(texts_file()))
        page.keyboard.press("Enter")
        person.click("button", "Import")
        person.click("link", "Build an index of it")
        page.get_by_role("textbox", name="Model that was trained on these texts").fill(str(model_folder()))
        person.click("button", "Build")
        person.click("link", "Ask it")
        page.get_by_role("textbox", name="Prompt", exact=True).fill("The river of Arlen is")
        page.get_by_role("textbox", name="Completion", exact=True).fill(" castle Brook.")
        page.keyboard.press("Control+Enter")
        wait_until(lambda: "query" in parameters(page))
        page.locator(".st-key-answer").wait_for()
        print(f"own data to the first answer: {person.clicks} clicks")
        assert person.clicks <= MOST_CLICKS
        assert len(lf.open_workspace(new).questions.records()) == 1


def test_a_recent_question_on_home_opens_its_answer(open_studio, two):
    opened = lf.open_workspace(two.workspace)
    second = opened.indexes.records()[1]
    asked = next(one for one in opened.questions.records() if one.index_id == second.index_id)
    page = open_studio(two, "/")
    page.locator(f".st-key-recent-{asked.query_id}").click()
    become(lambda: parameters(page).get("query"), [asked.query_id])
    page.locator(".st-key-answer").wait_for()
    assert "/investigate" in address(page)


def test_a_job_says_its_end_on_any_page_and_leads_to_what_it_did(open_studio, two, tmp_path):
    with serving(shutil.copytree(two.workspace, tmp_path / "ws")) as studio:
        page = open_studio(studio, "/history")
        wait_for_run(page)
        files = lf.open_workspace(studio.workspace).files
        job = start_job(
            files, import_request([write_rows(tmp_path / "third.jsonl", rows()[:5])], ImportConfig()), "tester"
        )
        page.get_by_test_id("stToast").get_by_text("Import done in").wait_for()
        page.get_by_role("link", name="Jobs", exact=True).first.click()
        result = page.locator(f".st-key-job-result-{job.job_id}")
        result.get_by_text("5 texts came in, as third version 1.").wait_for()
        result.get_by_role("link").click()
        page.get_by_text("An index of third v1: 5 texts.").wait_for()
