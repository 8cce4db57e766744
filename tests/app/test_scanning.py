"""Who scans indexes for the studio's questions."""

import pytest
from tiny_workspace import copy_of, indexed

from app import scanning, session
from lorif_core.workspace.asking.scanner import OWN, OwnScanner


@pytest.fixture
def chosen():
    found = OwnScanner()
    scanning.scan_with(found)
    yield found
    scanning.scan_with(OWN)


def test_questions_of_pages_are_scanned_by_whom_the_command_chose(chosen, tmp_path, monkeypatch):
    monkeypatch.setenv(session.WORKSPACE_VARIABLE, str(copy_of(indexed(), tmp_path)))
    assert session.workspace().questions.scanner is chosen


def test_without_workers_the_studio_scans_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv(session.WORKSPACE_VARIABLE, str(copy_of(indexed(), tmp_path)))
    assert session.workspace().questions.scanner is OWN
