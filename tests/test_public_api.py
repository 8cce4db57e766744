import inspect

import pytest

import lorif_core as lf


@pytest.mark.parametrize("name", lf.__all__)
def test_every_public_name_exists_and_says_what_it_is(name):
    assert inspect.getdoc(getattr(lf, name))


def test_the_public_names_are_those_that_can_be_imported():
    assert sorted(lf.__all__) == sorted(lf._HOMES)


def test_the_public_names_are_sorted_and_unique():
    assert lf.__all__ == sorted(set(lf.__all__))


def test_a_star_import_brings_every_public_name():
    names: dict[str, object] = {}
    exec("from lorif_core import *", names)  # the statement under test, as a person types it
    assert set(lf.__all__) <= names.keys()


def test_an_unknown_name_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'lorif_core' has no attribute 'nothing'"):
        lf.nothing  # noqa: B018 - reading it is the test


@pytest.mark.parametrize("name", [name for name in lf.__all__ if inspect.isclass(getattr(lf, name))])
def test_every_public_method_says_what_it_does(name):
    silent = [
        method
        for method, value in inspect.getmembers(getattr(lf, name), inspect.isfunction)
        if not method.startswith("_") and not inspect.getdoc(value)
    ]
    assert silent == []
