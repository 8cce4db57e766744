import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from disk_log import record_disk
from tiny_workspace import copy_of, done, imported, lorif, rows, write_rows

import lorif_core as lf
from lorif_core.errors import ConfigError, DamagedArtefact, DataError, RoleError
from lorif_core.export_config import ExportConfig
from lorif_core.workspace.curation import export as exporting
from lorif_core.workspace.curation.export import verify_export

ROWS = {row["id"]: row for row in rows()}
ATLAS = [train_id for train_id, row in ROWS.items() if row["source"] == "atlas"]


@pytest.fixture
def workspace(tmp_path):
    return lf.open_workspace(copy_of(imported(), tmp_path))


def kept_ids(workspace, name):
    about = workspace.versions.files_of(name).about
    return {json.loads(line)["id"] for line in (about / "kept.jsonl").read_text(encoding="utf-8").splitlines()}


def test_every_version_names_the_one_before_and_holds_what_was_kept_then(workspace):
    workspace.versions.freeze("v1", note="as imported")
    workspace.exclude(ATLAS[:3], reason="spam", actor="ann")
    second = workspace.versions.freeze("v2", actor="ann")
    assert [(one.name, one.parent) for one in workspace.versions.records()] == [("v1", None), ("v2", "v1")]
    assert kept_ids(workspace, "v1") == set(ROWS)
    assert kept_ids(workspace, "v2") == set(ROWS) - set(ATLAS[:3])
    assert second.counts == {"input": 121, "kept": 118, "excluded": 3, "flagged": 0}


def test_a_frozen_version_is_whole_and_its_files_are_read_only(workspace):
    workspace.versions.freeze("v1")
    about = workspace.versions.files_of("v1").about
    assert verify_export(about)["counts"]["kept"] == 121
    assert {path.stat().st_mode & 0o222 for path in about.rglob("*") if path.is_file()} == {0}


def test_a_name_is_given_once(workspace):
    workspace.versions.freeze("v1")
    workspace.exclude(ATLAS[:1], reason="spam")
    with pytest.raises(DataError, match="a frozen version cannot be edited, and 'v1' is one"):
        workspace.versions.freeze("v1")
    assert kept_ids(workspace, "v1") == set(ROWS)


def test_a_version_is_on_the_disk_before_it_has_its_name_and_its_name_after(workspace, monkeypatch):
    steps = record_disk(monkeypatch)
    workspace.versions.freeze("v1")
    folder = workspace.path / "exports" / "versions"
    place = steps.index(("link", folder / "v1.json"))
    written, named, flushed = steps[place - 1 : place + 2]
    assert (written.what, written.path.parent) == ("fsync", folder)
    assert (named, flushed) == (("link", folder / "v1.json"), ("fsync", folder))


def test_of_two_who_freeze_under_one_name_at_once_one_succeeds(workspace):
    def freeze(_):
        try:
            return lf.open_workspace(workspace.path).versions.freeze("v1", actor="ann").name
        except DataError:
            return None

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(freeze, range(2)))
    assert sorted(found, key=str) == [None, "v1"]


def test_an_export_that_somebody_else_publishes_at_the_same_moment_is_taken(workspace, monkeypatch):
    publish, others = exporting.publish_unless_there, []

    def publish_second(*arguments):
        monkeypatch.setattr(exporting, "publish_unless_there", publish)
        others.append(workspace.export())
        return publish(*arguments)

    monkeypatch.setattr(exporting, "publish_unless_there", publish_second)
    found = workspace.export()
    assert (found.path, found.is_new, others[0].is_new) == (others[0].path, False, True)
    assert [path.name for path in found.about.parent.iterdir()] == [found.export_id]


def test_a_record_that_was_changed_is_refused(workspace):
    workspace.versions.freeze("v1")
    path = workspace.path / "exports" / "versions" / "v1.json"
    os.chmod(path, 0o644)  # noqa: PTH101 - what a person would type
    path.write_text(path.read_text(encoding="utf-8").replace('"note": ""', '"note": "mine"'), encoding="utf-8")
    with pytest.raises(DamagedArtefact, match="was changed since it was frozen"):
        workspace.versions.records()


def test_a_record_that_is_gone_is_missed_by_whoever_asks_for_versions(workspace):
    workspace.versions.freeze("v1")
    workspace.exclude(ATLAS[:1], reason="spam")
    workspace.versions.freeze("v2")
    record = workspace.path / "exports" / "versions" / "v2.json"
    kept = record.read_bytes()
    record.unlink()
    for ask in (workspace.versions.records, lambda: workspace.versions.files_of("v2")):
        with pytest.raises(
            DamagedArtefact, match=r"v2\.json', which names the frozen version 'v2', is missing: copy"
        ):
            ask()
    said = lorif("doctor", workspace.path)
    assert said.code == 2
    assert "'exports/versions/v2.json' is missing; a copy is 'exports/" in " ".join(said.out.split())
    (copy,) = workspace.path.glob("exports/*/frozen/v2.json")
    record.write_bytes(copy.read_bytes())
    assert record.read_bytes() == kept
    assert [one.name for one in workspace.versions.records()] == ["v1", "v2"]


def test_nothing_new_is_no_version(workspace):
    workspace.versions.freeze("v1")
    with pytest.raises(DataError, match="nothing changed since 'v1'"):
        workspace.versions.freeze("v2")


@pytest.mark.parametrize("name", ["", "../v1", "a/b", ".hidden", "x" * 65])
def test_a_name_that_is_no_file_name_is_refused(workspace, name):
    with pytest.raises(ConfigError, match="the name of a version has"):
        workspace.versions.freeze(name)


def test_an_unknown_parent_is_refused_with_those_that_are_there(workspace):
    workspace.versions.freeze("v1")
    with pytest.raises(ConfigError, match="no version is called 'v0'; there are: v1"):
        workspace.versions.freeze("v2", parent="v0")


def test_a_viewer_freezes_nothing(workspace):
    workspace.journal.set_role("ann", "admin", "ann")
    with pytest.raises(RoleError, match="only a curator may freeze"):
        workspace.versions.freeze("v1", actor="ben")


def test_a_difference_counts_by_value_what_came_and_went(workspace):
    workspace.exclude(ATLAS[:5], reason="spam")
    workspace.versions.freeze("v1")
    workspace.undo()
    workspace.exclude(ATLAS[3:7], reason="spam")
    found = workspace.versions.diff(against="v1")
    groups = {one.value: (one.before, one.after, one.came, one.went) for one in found.by["source"]}
    assert (found.num_came, found.num_went) == (3, 2)
    assert groups["atlas"] == (len(ATLAS) - 5, len(ATLAS) - 4, 3, 2)
    assert groups["almanac"][2:] == (0, 0)


def test_the_first_draft_differs_from_the_import_by_what_is_left_out(workspace):
    workspace.flag(ATLAS[:2])
    kept = workspace.versions.diff(settings=ExportConfig())
    dropped = workspace.versions.diff(settings=ExportConfig(drop_flagged=True), by=["year"])
    assert (kept.num_went, dropped.num_went) == (0, 2)
    assert sum(one.went for one in dropped.by["year"]) == 2


def test_lengths_are_those_of_the_text_columns(workspace):
    (groups,) = workspace.versions.diff(by=["length"]).by.values()
    sizes = [len(row["prompt"] + row["completion"]) for row in ROWS.values()]
    expected = Counter("0 to 63 characters" if size < 64 else "64 to 127 characters" for size in sizes)
    assert max(sizes) < 128
    assert {one.value: one.after for one in groups} == dict(expected)


def test_a_version_is_compared_with_its_parent_also_over_a_new_import(workspace, tmp_path):
    workspace.versions.freeze("v1")
    fewer = write_rows(tmp_path / "texts.jsonl", rows()[10:])
    workspace.data.import_files(fewer, settings=lf.ImportConfig(name="texts"))
    workspace.versions.freeze("v2")
    found = workspace.versions.diff(version="v2")
    assert (found.parent, found.num_before, found.num_after, found.num_went) == ("v1", 121, 111, 10)
    assert sum(one.went for one in found.by["source"]) == 10


def test_the_commands_freeze_list_and_compare(tmp_path):
    folder = copy_of(imported(), tmp_path)
    done("freeze", folder, "v1", "--note", "first")
    done("exclude", folder, ATLAS[0], "--reason", "spam")
    assert "first" in done("versions", folder).out
    assert done("diff", folder, "--against", "v1", "--json").json["num_went"] == 1
    assert "1 went" in done("diff", folder, "--against", "v1").out
    assert lorif("freeze", folder, "v1").code == 2
