"""The door in a real browser: in by a password or an invitation, out by a click, and out when the session ends."""

import pytest
from axe import grave_findings
from driving import address, opening
from studio_server import PASSWORD, give_passwords, serving
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.journal.credentials import Credentials
from lorif_core.workspace.studio.passwords import make_invitation

pytestmark = pytest.mark.browser

NEW = "staple of another kind"


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A studio whose members are anna, an admin with a password, and bert, who has none yet; and its journal."""
    workspace = copy_of(imported(), tmp_path_factory.mktemp("locked"))
    journal = lf.open_workspace(workspace).journal
    give_passwords(journal, anna="admin")
    journal.set_role("bert", "curator", by="anna")
    with serving(workspace, auth="password") as studio:
        yield studio, journal


@pytest.fixture
def visit(request, chromium, locked):
    with opening(chromium, request.node.name) as (open_path, requests):
        yield lambda path, **options: open_path(locked[0], path, waits=False, **options)
    assert [url for url in requests if not url.startswith((locked[0].url, "ws://127.0.0.1:", "data:", "blob:"))] == []


def sign_in(page, password=PASSWORD):
    page.get_by_label("Your name").fill("anna")
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_door_is_accessible_and_works_without_a_script(visit, locked, scheme):
    code = make_invitation(Credentials(locked[1].engine), "bert", "anna")
    page = visit("/corpus", color_scheme=scheme)
    findings = grave_findings(page)
    sign_in(page, "not the password")
    page.get_by_role("alert").get_by_text("Wrong name or password").wait_for()
    findings += grave_findings(page)
    page.goto(f"{locked[0].url}/_door/invitation?code={code}")
    page.get_by_text("This link works once.").wait_for()
    findings += grave_findings(page)
    assert findings == []
    plain = visit("/corpus", java_script_enabled=False)
    sign_in(plain, "not the password")
    plain.get_by_text("Wrong name or password").wait_for()


def test_in_by_the_door_to_the_page_of_the_link_and_out_by_a_click(visit):
    page = visit("/corpus?tab=Duplicates")
    sign_in(page)
    page.get_by_text("You are anna").wait_for()
    page.get_by_role("heading", name="Corpus").wait_for()
    assert address(page).endswith("/corpus?tab=Duplicates")
    page.get_by_role("link", name="Account").click()
    page.get_by_text("Your role: admin").wait_for()
    assert grave_findings(page) == []
    page.get_by_role("link", name="Back to the studio").click()
    page.get_by_text("You are anna").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your password").wait_for()


def test_an_invited_member_chooses_a_password_and_is_in(visit, locked):
    code = make_invitation(Credentials(locked[1].engine), "bert", "anna")
    page = visit(f"/_door/invitation?code={code}")
    for label in ("New password", "Type it again"):
        page.get_by_label(label).fill(NEW)
    page.get_by_role("button", name="Save and sign in").click()
    page.get_by_text("You are bert").wait_for()


def test_a_page_that_is_open_when_the_password_is_changed_elsewhere_leads_to_the_door(visit, locked):
    page = visit("/corpus")
    sign_in(page)
    page.get_by_text("You are anna").wait_for()
    give_passwords(locked[1], anna="admin")  # the same again, with another salt
    page.get_by_text("You are signed out.").wait_for()
    sign_in(page)
    page.get_by_role("heading", name="Corpus").wait_for()  # where it was open
