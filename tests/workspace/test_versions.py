"""A changed file under the name of a data set becomes its next version, and decisions outlive the change."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workspace import bytes_below, done, lorif, write_rows

from lorif_core.config import ImportConfig
from lorif_core.corpus.version_changes import compare_versions
from lorif_core.errors import CatalogError, DataError
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.datasets.import_data import import_data
from lorif_core.workspace.folder.workspace_files import create_files, open_files

FIRST = [{"id": name, "text": f"text {name}", "year": year} for name, year in (("a", 1), ("b", 2), ("c", 3))]
SECOND = [FIRST[0], {"id": "b", "text": "another text", "year": 2}, {"id": "d", "text": "text d", "year": 4}]
NAMES = ["year", "Year", 'we"ird; --', "c0"]


class Source:
    """A file that changes, and the workspace that it is imported into."""

    def __init__(self, folder):
        self.folder = folder
        self.workspace = folder / "ws"
        self.files = create_files(self.workspace)

    def add(self, rows, name="facts", **settings):
        path = write_rows(self.folder / f"{name}.jsonl", rows)
        return import_data(self.files, [path], ImportConfig(**settings))


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


def changes_of(source, result):
    path = source.files.dataset_folder(result.dataset.dataset_id) / "changes.parquet"
    return dict(pl.read_parquet(path).rows())


def test_a_first_import_is_version_1_and_replaces_nothing(source):
    first = source.add(FIRST)
    assert (first.dataset.version, first.dataset.parent_id, first.changes) == (1, None, None)
    assert first.dataset.corpus_id == first.dataset.dataset_id


def test_the_same_bytes_again_add_nothing(source):
    first, before = source.add(FIRST), bytes_below(source.workspace)
    again = source.add(FIRST)
    assert (again.is_new, again.dataset, again.changes) == (False, first.dataset, None)
    assert bytes_below(source.workspace) == before


def test_a_changed_file_is_version_2_and_names_its_parent(source):
    first, second = source.add(FIRST), source.add(SECOND)
    assert second.is_new
    assert (second.dataset.version, second.dataset.parent_id) == (2, first.dataset.dataset_id)
    assert second.dataset.corpus_id == first.dataset.corpus_id


def test_the_ids_that_came_went_and_changed_are_listed(source):
    source.add(FIRST)
    second = source.add(SECOND)
    found = second.changes
    assert (found.num_came, found.num_went, found.num_changed) == (1, 1, 1)
    assert changes_of(source, second) == {"d": "came", "c": "went", "b": "changed"}


def test_the_third_version_replaces_the_second(source):
    source.add(FIRST)
    second, third = source.add(SECOND), source.add(SECOND[:2])
    assert (third.dataset.version, third.dataset.parent_id) == (3, second.dataset.dataset_id)
    assert changes_of(source, third) == {"d": "went"}


def test_the_first_version_imported_once_more_is_recognised_and_the_second_stays_the_latest(source):
    first, second = source.add(FIRST), source.add(SECOND)
    again = source.add(FIRST)
    assert (again.is_new, again.dataset) == (False, first.dataset)
    assert source.files.choose_dataset("facts") == second.dataset


def test_a_name_means_the_latest_version_and_an_id_any(source):
    first, second = source.add(FIRST), source.add(SECOND)
    assert source.files.choose_dataset(None) == source.files.choose_dataset("facts") == second.dataset
    assert source.files.choose_dataset(first.dataset.dataset_id) == first.dataset


def test_decisions_on_version_1_hold_on_version_2_for_the_texts_that_it_has(source):
    source.add(FIRST)
    Decisions(Datasets(source.files, None)).exclude(["a", "b"], reason="spam", actor="ann")
    source.add(SECOND)
    page = Decisions(Datasets(open_files(source.workspace), None)).data.browse()
    # The text of b is another one.
    assert dict(page.frame.select("train_id", "status").rows()) == {"a": "excluded", "b": "kept", "d": "kept"}


def test_an_example_that_went_can_be_decided_about_on_its_own_version_only(source):
    first = source.add(FIRST)
    source.add(SECOND)
    with pytest.raises(DataError, match="such as 'c'"):
        Decisions(Datasets(source.files, None)).flag(["c"], actor="ann")
    batch = Decisions(Datasets(source.files, None)).flag(["c"], dataset=first.dataset.dataset_id, actor="ann")
    assert (batch.dataset_id, batch.corpus_id) == (first.dataset.dataset_id, first.dataset.corpus_id)


def test_a_column_that_turned_from_numbers_to_text_changes_only_the_values_that_are_written_otherwise(source):
    source.add(FIRST)
    turned = [FIRST[0] | {"year": "1"}, FIRST[1] | {"year": "unknown"}, FIRST[2] | {"year": "3"}]
    assert changes_of(source, source.add(turned)) == {"b": "changed"}


def test_a_value_that_appears_or_vanishes_is_a_change(source):
    source.add([FIRST[0] | {"year": None}, *FIRST[1:]])
    assert changes_of(source, source.add([FIRST[0], FIRST[1] | {"year": None}, FIRST[2]])) == {
        "a": "changed",
        "b": "changed",
    }


def test_the_same_rows_in_another_order_are_a_version_in_which_nothing_changed(source):
    source.add(FIRST)
    second = source.add(FIRST[::-1])
    assert (second.dataset.version, changes_of(source, second)) == (2, {})


def test_another_name_is_another_corpus_and_one_must_say_which_is_meant(source):
    first, other = source.add(FIRST), source.add(SECOND, name="others")
    assert other.dataset.corpus_id != first.dataset.corpus_id
    assert (other.dataset.version, other.changes) == (1, None)
    with pytest.raises(CatalogError, match=r"several data sets are there: facts version 1 .* others version 1 "):
        source.files.choose_dataset(None)
    Decisions(Datasets(source.files, None)).flag(["b"], dataset="others", actor="ann")
    assert len(Decisions(Datasets(source.files, None)).states(dataset="facts")) == 0


def test_a_name_that_no_data_set_has_is_refused_with_the_known_ones(source):
    source.add(FIRST)
    with pytest.raises(CatalogError, match="0 data sets match 'fact': facts version 1"):
        source.files.choose_dataset("fact")


def test_lost_examples_come_back_with_the_import_that_the_refusal_names(source):
    first = source.add(FIRST)
    path = source.files.examples_file(first.dataset.dataset_id)
    content = path.read_bytes()
    path.unlink()
    assert source.add(FIRST).is_new is False
    assert path.read_bytes() == content


def test_the_command_says_what_a_version_brought(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "facts.jsonl", FIRST))
    changed = [{"id": row["id"], "text": row["text"], "lang": "de"} for row in SECOND]
    said = done("import", tmp_path / "ws", write_rows(tmp_path / "facts.jsonl", changed)).out
    assert "Version 2 of facts, after ds-" in said
    assert "1 texts came, 1 went, 1 changed" in said
    assert "New columns: lang.\nGone columns: year.\n" in said
    assert "Nothing added" in done("import", tmp_path / "ws", tmp_path / "facts.jsonl").out
    done("import", tmp_path / "ws", write_rows(tmp_path / "more.jsonl", FIRST[:1]))
    refused = lorif("browse", tmp_path / "ws")
    assert refused.code == 2
    assert "several data sets are there" in refused.err


values = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["int", "float", "text"]), max_size=4)
VALUES = {
    "int": st.integers(-1, 1) | st.none(),
    "float": st.sampled_from([-1.0, 0.0, 0.5, 1.0, float("inf"), None]),
    "text": st.sampled_from(["-1", "1", "", "x'y", 'x"y', "🐺", None]),
}
TYPES = {"int": pl.Int64, "float": pl.Float64, "text": pl.String}


@st.composite
def versions(draw):
    """Rows by id, and the types of their columns."""
    types = draw(values)
    ids = draw(st.lists(st.sampled_from(["a", "A", "'", '"']), unique=True))
    return {name: {column: draw(VALUES[kind]) for column, kind in types.items()} for name in ids}, types


def write(path, rows, types):
    schema = {"train_id": pl.String, "source_line": pl.Int64} | {name: TYPES[kind] for name, kind in types.items()}
    values = [{"train_id": name, "source_line": place} | row for place, (name, row) in enumerate(rows.items())]
    pl.DataFrame(values, schema=schema).write_parquet(path)
    return path


def written(value, kind, other):
    """A value as it is compared with one of a column of another type; floats against text are left out below."""
    return str(value) if "text" in (kind, other) and kind != other and value is not None else value


@given(versions(), versions())
def test_the_changes_are_those_of_two_dictionaries(old, new):
    (old_rows, old_types), (new_rows, new_types) = old, new
    for name in old_types.keys() & new_types.keys():
        if {old_types[name], new_types[name]} == {"float", "text"}:
            del new_types[name]
            for row in new_rows.values():
                del row[name]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        before, after = write(root / "old", old_rows, old_types), write(root / "new", new_rows, new_types)
        found = compare_versions(before, after, root / "changes")
        listed = pl.read_parquet(root / "changes").rows()
    shared = old_types.keys() & new_types.keys()
    expected = {name: "came" for name in new_rows.keys() - old_rows.keys()}
    expected |= {name: "went" for name in old_rows.keys() - new_rows.keys()}
    for name in old_rows.keys() & new_rows.keys():
        before = [written(old_rows[name][column], old_types[column], new_types[column]) for column in shared]
        after = [written(new_rows[name][column], new_types[column], old_types[column]) for column in shared]
        if before != after:
            expected[name] = "changed"
    assert sorted(listed) == sorted(expected.items())
    counts = [sum(change == kind for change in expected.values()) for kind in ("came", "went", "changed")]
    assert [found.num_came, found.num_went, found.num_changed] == counts
    assert found.columns_came == [name for name in new_types if name not in old_types]
    assert found.columns_went == [name for name in old_types if name not in new_types]
