"""The table of the methods is what the registry says, and settings mean what their source says."""

from pathlib import Path

import pytest

from lorif_core.members_config import MembersConfig
from lorif_core.methods.method_settings import KroneckerConfig, LorifConfig
from lorif_core.methods.registry import METHODS
from lorif_core.views.method_rows import reference_lines
from lorif_core.views.setting_fields import setting_fields

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "methods.md"


def test_the_page_holds_every_method_of_the_registry():
    assert "\n".join(reference_lines()) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_all_that_its_card_shows(name):
    entry = METHODS[name]
    assert all(len(told) > 2 for told in entry[1:])
    assert entry.summary.endswith(".")


def test_a_setting_of_a_method_means_what_its_own_class_says():
    fields = {one.name: one for one in setting_fields(KroneckerConfig)}
    assert fields["codec"].choices == ("bf16", "int8", "int4", "sign")
    assert fields["codec"].usual == "sign"
    assert fields["f"].usual is None
    assert fields["f"].kind is int
    assert "Unset: 1 for small models" in fields["f"].meaning
    assert fields["damping_ratio"].meaning.startswith("Damping over the mean eigenvalue")  # of a base
    assert {one.name: one for one in setting_fields(LorifConfig)}["f"].meaning.endswith(
        "Unset: 4; a budget chooses one."
    )


def test_what_takes_several_values_is_a_tuple():
    kinds = {one.name: one.kind for one in setting_fields(MembersConfig)}
    assert (kinds["base"], kinds["checkpoints"], kinds["alone"]) == (str, tuple, bool)
