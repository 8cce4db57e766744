"""`lorif members`: roles, and who may sign in to the studio; no password in an argument or an output."""

import io
import re

import pytest
from tiny_workspace import copy_of, done, imported, lorif

from lorif_core.journal.credentials import Credentials
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.studio.passwords import digest_of, is_password

PASSWORD = "correct horse battery"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace whose admin is who runs the commands."""
    monkeypatch.setenv("LORIF_ACTOR", "ada")
    folder = copy_of(imported(), tmp_path)
    done("members", folder, "--set", "ada", "--role", "admin")
    return folder


def typing(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))


def credentials(folder):
    return Credentials(open_files(folder).journal.engine)


def test_a_password_is_read_and_not_given_as_an_argument(workspace, monkeypatch):
    typing(monkeypatch, PASSWORD)
    run = done("members", workspace, "--set", "cy", "--role", "curator", "--set-password", "cy")
    assert is_password(PASSWORD, credentials(workspace).password_hash("cy") or "")
    assert PASSWORD not in run.out + run.err
    assert re.search(r"cy +│ curator +│ yes", run.out)
    assert re.search(r"ada +│ admin +│ no", run.out)


def test_a_short_password_is_one_sentence(workspace, monkeypatch):
    typing(monkeypatch, "short")
    run = lorif("members", workspace, "--set-password", "ada")
    assert (run.code, run.out) == (2, "")
    assert "12 to 1,000 characters" in run.err


def test_an_invitation_is_a_link_that_is_shown_once(workspace):
    run = done("members", workspace, "--invite", "ada", "--studio", "https://studio.example.org/lorif/", "--json")
    link = run.json["invitation"]
    base, code = link.split("?code=")
    assert base == "https://studio.example.org/lorif/_door/invitation"
    assert credentials(workspace).invited(digest_of(code)) == "ada"
    assert code not in (workspace / "journal.sqlite").read_bytes().decode("latin-1")


def test_a_password_that_is_taken_opens_nothing(workspace, monkeypatch):
    typing(monkeypatch, PASSWORD)
    done("members", workspace, "--set-password", "ada")
    assert done("members", workspace, "--take-password", "ada", "--json").json["members"][0]["has_password"] is False
    assert credentials(workspace).password_hash("ada") is None


@pytest.mark.parametrize("flag", ["--set-password", "--invite", "--take-password"])
def test_only_an_admin_lets_others_in_and_only_members(workspace, monkeypatch, flag):
    done("members", workspace, "--set", "cy", "--role", "curator")
    typing(monkeypatch, PASSWORD)
    assert "only members sign in" in lorif("members", workspace, flag, "eve").err
    monkeypatch.setenv("LORIF_ACTOR", "cy")
    typing(monkeypatch, PASSWORD)
    assert "only an admin may" in lorif("members", workspace, flag, "ada").err
