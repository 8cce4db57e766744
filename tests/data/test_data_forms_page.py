"""The page about forms and the help of the command name what there is."""

from pathlib import Path

import pytest

from lorif_core.cli.data_commands import import_
from lorif_core.config import PromptForm
from lorif_core.data.columns import ROLES
from lorif_core.data.find_columns import FLAGS
from lorif_core.data.forms import FORMS
from lorif_core.data.sources import SUFFIXES
from lorif_core.data.text_files import OPENERS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "data-forms.md").read_text(encoding="utf-8")
ROW_OF = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}


def test_the_page_has_a_row_for_each_form():
    assert list(ROW_OF) == list(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_the_row_of_a_form_names_every_column_it_needs(name):
    needed = [column for names in FORMS[name].needs.values() for column in names]
    assert needed
    assert [column for column in needed if f"`{column}`" not in ROW_OF[name]] == []


def test_the_page_names_every_suffix_role_and_prompt_form():
    words = [*SUFFIXES, *OPENERS, *PromptForm.__args__]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
    assert [role for role in ROLES if role not in FLAGS and role not in PAGE] == []


def test_the_help_teaches_the_forms_with_examples():
    said = import_.__doc__ or ""
    flags = ["--preference pairs", "--preference chosen", "--prompt-form chat", "--txt line", "--target-turn -1"]
    assert [flag for flag in flags if flag not in said] == []
    for word in ("Alpaca", "ShareGPT", "input_ids", "chosen", "question and answer"):
        assert word in said
