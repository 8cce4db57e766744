"""What people are told when something goes wrong, and what they are not."""

import logging
import re

import pytest
from app_pages import TIMEOUT_S, texts
from streamlit.testing.v1 import AppTest
from tiny_workspace import lorif

SECRET = "a training text that no log may hold"


def told(raised):
    """What a page shows whose body raises."""
    app = AppTest.from_string(
        f"from app import session\n\nwith session.errors():\n    raise {raised}\n", default_timeout=TIMEOUT_S
    ).run()
    assert not app.exception
    (sentence,) = texts(app)
    return sentence


def test_a_defect_shows_an_id_and_the_log_has_its_place_but_no_text(caplog):
    with caplog.at_level(logging.INFO):
        sentence = told(f"KeyError({SECRET!r})")
    (number,) = re.findall(r"noted in the server's log as ([0-9a-f]{8})", sentence)
    (line,) = [record.getMessage() for record in caplog.records if number in record.getMessage()]
    assert "KeyError at " in line
    assert SECRET not in line + sentence


def test_an_expected_error_is_its_sentence():
    sentence = told('__import__("lorif_core.errors").errors.DataError("the file is no file: choose another one.")')
    assert sentence == "Something went wrong: the file is no file: choose another one."


@pytest.mark.parametrize("raised", ["MemoryError()", 'RuntimeError("DefaultCPUAllocator: alloc_cpu.cpp:94 failed")'])
def test_too_little_memory_is_advice(raised):
    assert "memory of this machine did not suffice. Ask for shorter" in told(raised)


def test_a_workspace_that_is_not_there_is_one_sentence_and_exit_code_2(tmp_path):
    run = lorif("app", tmp_path / "missing" / "workspace")
    assert run.code == 2
    assert not (tmp_path / "missing").exists()
    assert len(run.err.strip().splitlines()) == 1
    assert "Traceback" not in run.err
