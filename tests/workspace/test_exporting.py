"""Exports as people make, replay and check them."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import datasets
import polars as pl
import pytest
from curated_data import NUM_ROWS, SOME, import_into, rows, state, states, write_source
from disk_log import record_disk
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.cli.export_commands import print_preview, replay
from lorif_core.config import ImportConfig
from lorif_core.data import exporting as formats
from lorif_core.data.export_places import about_folder
from lorif_core.errors import (
    ArtefactError,
    ConfigError,
    DamagedArtefact,
    DataError,
    FingerprintMismatch,
    LorifError,
    ResourceError,
)
from lorif_core.export_config import ExportConfig
from lorif_core.workspace.curation import export_records
from lorif_core.workspace.curation.export import export_data, preview_export, replay_recipe, verify_export
from lorif_core.workspace.curation.export_records import Tally

FORMATS = ["jsonl", "parquet", "csv", "hf"]
KEPT = [row for row in rows() if row["id"] not in ("r1", "r5")]
SUFFIXES = {"jsonl": ".jsonl", "parquet": ".parquet", "csv": ".csv", "hf": ""}


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "texts.jsonl")


@pytest.fixture
def imported(tmp_path, source):
    """The workspace and its data set."""
    return import_into(tmp_path / "ws", source)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def export(imported, out, decisions=SOME, *, overwrites=False, batches=(), **chosen):
    files, dataset = imported
    return export_data(
        files, dataset, states(*decisions), out, ExportConfig(**chosen), batches=batches, overwrites=overwrites
    )


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def entries(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def bytes_of(path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_kept_lines_are_those_of_the_source_byte_for_byte(imported, source, out):
    result = export(imported, out / "kept.jsonl")
    lines = source.read_bytes().splitlines(keepends=True)
    assert (out / "kept.jsonl").read_bytes() == b"".join(line for row, line in enumerate(lines) if row not in (1, 5))
    assert (result.lines, result.why_rewritten) == ("verbatim", None)


def test_with_nothing_excluded_the_export_is_the_source(imported, source, out):
    assert export(imported, out / "all.jsonl", []).num_excluded == 0
    assert (out / "all.jsonl").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda source: source.unlink(), "texts.jsonl' is no longer there"),
        (lambda source: source.write_bytes(source.read_bytes() + b"\n"), "texts.jsonl' was changed since"),
    ],
)
def test_without_the_source_the_lines_are_rewritten_and_the_manifest_says_so(imported, source, out, change, why):
    change(source)
    result = export(imported, out / "kept.jsonl")
    assert entries(out / "kept.jsonl") == KEPT
    assert result.lines == "rewritten"
    assert read_json(result.about / "manifest.json")["lines"] == "rewritten"
    assert why in result.why_rewritten


@pytest.mark.parametrize("is_there", [True, False])
def test_what_rewritten_lines_do_not_hold_is_said_and_of_copied_ones_nothing(is_there, tmp_path, out):
    source = write_source(tmp_path / "odd.jsonl", [{"text": "one", "x": float("nan")}, {"text": "two", "x": 1.5}])
    files, dataset = import_into(tmp_path / "ws", source)
    if not is_there:
        source.unlink()
    before = preview_export(files, dataset, states(), ExportConfig()).losses
    after = export_data(files, dataset, states(), out / "kept.jsonl", ExportConfig()).losses
    assert before == after
    assert [("NaN" in sentence, "`x`" in sentence) for sentence in after] == [(True, True)] * (not is_there)


def test_a_source_that_changes_while_its_lines_are_copied_is_noticed(tmp_path, out):
    source = write_source(tmp_path / "many.jsonl", [{"text": f"text {number}"} for number in range(2_500)])
    files, dataset = import_into(tmp_path / "ws", source)

    def append(*_):
        with source.open("a") as handle:
            handle.write("\n")

    with pytest.raises(DataError, match="changed while its lines were copied"):
        export_data(files, dataset, states(), out / "kept.jsonl", ExportConfig(), on_progress=append)
    assert names_in(out) == []


def test_added_columns_are_in_the_lines_although_the_source_is_there(imported, out):
    result = export(imported, out / "kept.jsonl", with_decisions=True)
    assert entries(out / "kept.jsonl")[1] == KEPT[1] | {"decision": "flagged", "decision_reason": "misinformation"}
    assert (result.lines, result.why_rewritten) == ("rewritten", "columns were added")


def test_without_recorded_checksums_no_line_is_trusted_to_be_the_imported_one(tmp_path, source, out):
    imported = import_into(tmp_path / "old", source, source_checksums=())
    result = export(imported, out / "kept.jsonl")
    assert result.lines == "rewritten"
    assert replay_recipe(result.about / "recipe.json", [source], out / "again.jsonl").checksum == result.checksum


def test_a_manifest_says_what_was_kept_by_whom_and_why(imported, out):
    batch = {"batch_id": "b1", "actor": "ann", "num_examples": 1}
    result = export(imported, out / "kept.jsonl", batches=[batch])
    manifest = read_json(result.about / "manifest.json")
    assert manifest["counts"] == {
        "input": 12, "kept": 10, "excluded": 2, "flagged": 1, "conflicts": 1, "decisions_on_other_data": 1,
    }  # fmt: skip
    assert manifest["actors"] == ["ann", "bob"]
    assert manifest["rules"] == ["exclude where source = book"]
    assert manifest["batches"] == [batch]
    assert manifest["dataset"]["dataset_id"] == "ds-1"
    assert manifest["export_id"] == result.export_id
    reasons = {entry["value"]: (entry["flagged"], entry["excluded"]) for entry in manifest["by_reason"]}
    assert reasons == {"misinformation": (1, 1), "spam": (0, 1)}
    assert manifest["by_value"]["column"] == "source"
    assert [entry["excluded"] for entry in manifest["by_value"]["values"] if entry["value"] == "book"] == [2]


def test_no_folder_of_the_person_is_named_in_what_is_written(imported, out, tmp_path):
    result = export(imported, out / "kept.jsonl")
    assert [path.name for path in result.about.iterdir() if str(tmp_path) in path.read_text(encoding="utf-8")] == []


def test_the_lists_hold_every_example_once_with_its_decision(imported, out):
    result = export(imported, out / "kept.jsonl")
    kept, excluded = (entries(result.about / f"{name}.jsonl") for name in ("kept", "excluded"))
    assert sorted([entry["id"] for entry in kept + excluded]) == sorted(row["id"] for row in rows())
    assert excluded[0] == {
        "row": 1,
        "id": "r1",
        "status": "excluded",
        "reason": "spam",
        "text": "an advertisement",
        "actor": "ann",
        "at": "2026-07-01T12:00:00+00:00",
        "batch_id": "b1",
        "rule": "exclude where source = book",
    }
    assert [entry["status"] for entry in kept if "status" in entry] == ["flagged", "kept"]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("chosen", [{}, {"with_decisions": True}, {"drop_flagged": True}], ids=str)
def test_a_replay_gives_the_same_bytes(imported, source, out, file_format, chosen):
    result = export(imported, out / f"kept{SUFFIXES[file_format]}", format=file_format, **chosen)
    again = out / f"again{SUFFIXES[file_format]}"
    replay_recipe(result.about / "recipe.json", [source], again)
    if file_format == "hf":
        written = bytes_of(result.path)
        assert bytes_of(again) == {name: written[name] for name in bytes_of(again)}
        assert datasets.load_from_disk(str(again)).num_rows == result.num_kept
    else:
        assert bytes_of(again) == bytes_of(result.path)
    assert verify_export(result.path)["export_id"] == result.export_id


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_replay_reads_other_formats_than_jsonl(tmp_path, out, suffix):
    source = tmp_path / f"texts{suffix}"
    frame = pl.DataFrame({"text": ["a", "b", "=c"], "train_id": ["x", None, "z"], "n": [1, 2, 3]})
    frame.write_csv(source) if suffix == ".csv" else frame.write_parquet(source)
    imported = import_into(tmp_path / "ws", source, settings=ImportConfig(text="text"))
    for file_format in FORMATS:
        result = export(imported, None, [], format=file_format)
        again = out / f"again{SUFFIXES[file_format]}"
        assert replay_recipe(result.about / "recipe.json", [source], again).checksum == result.checksum


def test_a_replay_takes_several_files_in_any_order(tmp_path, out):
    sources = [write_source(tmp_path / f"{part}.jsonl", rows()[part::3]) for part in range(3)]
    result = export(import_into(tmp_path / "ws", *sources), out / "kept.jsonl")
    replay_recipe(result.about / "recipe.json", sources[::-1], out / "again.jsonl")
    assert bytes_of(out / "again.jsonl") == bytes_of(out / "kept.jsonl")


def test_a_replay_repeats_lines_that_were_rewritten_when_the_source_was_away(imported, source, out):
    content = source.read_bytes()
    source.unlink()
    result = export(imported, out / "kept.jsonl")
    source.write_bytes(content)
    assert replay_recipe(result.about / "recipe.json", [source], out / "again.jsonl").checksum == result.checksum
    assert bytes_of(out / "again.jsonl") == bytes_of(out / "kept.jsonl")


ids = st.sampled_from([f"r{number}" for number in range(NUM_ROWS)])
decided = st.dictionaries(ids, st.tuples(st.sampled_from(["kept", "flagged", "excluded"]), st.none() | st.text()))


@settings(max_examples=15)
@given(decided=decided, drop_flagged=st.booleans())
def test_kept_and_excluded_make_up_the_input_and_the_preview_counts_them(tmp_path_factory, decided, drop_flagged):
    folder = tmp_path_factory.mktemp("export")
    imported = import_into(folder / "ws", write_source(folder / "texts.jsonl"))
    decisions = [state(train_id, status, reason) for train_id, (status, reason) in decided.items()]
    left_out = {"excluded", "flagged"} if drop_flagged else {"excluded"}
    result = export(imported, folder / "kept.jsonl", decisions, drop_flagged=drop_flagged)
    expected = [row for row in rows() if decided.get(row["id"], ("kept",))[0] not in left_out]
    assert entries(folder / "kept.jsonl") == expected
    preview = preview_export(*imported, states(*decisions), ExportConfig(drop_flagged=drop_flagged))
    assert (preview.num_kept, preview.num_excluded) == (result.num_kept, result.num_excluded)
    assert preview.num_kept == len(expected) == NUM_ROWS - preview.num_excluded
    assert sum(tally.total for tally in preview.by_value) == NUM_ROWS
    assert verify_export(folder / "kept.jsonl")["counts"]["kept"] == len(expected)


def test_a_preview_counts_by_reason_and_by_source_and_writes_nothing(imported, tmp_path):
    before = bytes_of(tmp_path)
    preview = preview_export(*imported, states(*SOME), ExportConfig())
    assert bytes_of(tmp_path) == before
    assert preview.by_reason == [Tally("misinformation", flagged=1, excluded=1), Tally("spam", excluded=1)]
    assert preview.by_value == [Tally("book", kept=4, excluded=2), Tally("web", kept=5, flagged=1)]
    assert (preview.num_flagged, preview.num_conflicts, preview.num_unknown) == (1, 1, 1)


def test_a_preview_is_printed_with_its_counts(imported, capsys):
    print_preview(preview_export(*imported, states(*SOME), ExportConfig()))
    printed = capsys.readouterr().out
    assert "Would write 10 of 12 texts of ds-1 and leave out 2. 1 are flagged; people disagree on 1." in printed
    assert "1 decisions are about texts that this version of the data does not have." in printed
    assert ["misinformation", "0", "1", "1"] in [line.replace("│", " ").split() for line in printed.splitlines()]
    assert "Nothing was written." in printed


def test_examples_are_counted_by_any_column_of_the_data(imported):
    preview = preview_export(*imported, states(), ExportConfig(count_by="id"))
    assert (preview.count_by, len(preview.by_value)) == ("id", NUM_ROWS)
    with pytest.raises(ConfigError, match=r"'page' is none; the columns are `id`, `text`, `source`, `n`"):
        preview_export(*imported, states(), ExportConfig(count_by="page"))


def test_data_without_a_source_column_are_not_counted_by_it(tmp_path):
    imported = import_into(tmp_path / "ws", write_source(tmp_path / "a.jsonl", [{"text": "a"}]))
    preview = preview_export(*imported, states(), ExportConfig())
    assert (preview.count_by, preview.by_value) == (None, [])


def test_without_a_place_an_export_is_kept_in_the_workspace_once(imported):
    files, _ = imported
    first, again = export(imported, None), export(imported, None)
    assert (first.is_new, again.is_new) == (True, False)
    assert names_in(files.root / "exports") == [first.export_id]
    assert names_in(first.about) == ["data.jsonl", "excluded.jsonl", "kept.jsonl", "manifest.json", "recipe.json"]
    assert verify_export(first.about)["export_id"] == first.export_id


def test_the_same_decisions_give_the_same_bytes_anywhere(imported, out):
    one, two = export(imported, out / "one.jsonl"), export(imported, out / "two.jsonl")
    assert bytes_of(one.about) == bytes_of(two.about)
    assert one.export_id == two.export_id


def test_another_comment_is_another_export_of_the_same_data(imported, out):
    one = export(imported, out / "one.jsonl", [state("r1", "excluded", text="one")])
    two = export(imported, out / "two.jsonl", [state("r1", "excluded", text="two")])
    assert one.checksum == two.checksum
    assert one.export_id != two.export_id


def test_a_damaged_export_of_the_workspace_is_written_again_only_by_force(imported):
    first = export(imported, None)
    first.path.write_bytes(b"")
    with pytest.raises(DamagedArtefact, match=r"there already, damaged .*`--force`"):
        export(imported, None)
    assert first.path.read_bytes() == b""
    assert export(imported, None, overwrites=True).is_new
    assert verify_export(first.about)


@pytest.mark.parametrize("file_format", ["jsonl", "hf"])
def test_nothing_is_replaced_without_force(imported, out, file_format):
    place = out / f"kept{SUFFIXES[file_format]}"
    export(imported, place, format=file_format)
    before = bytes_of(out)
    with pytest.raises(DataError, match=r"exists already\. Choose another `--out`, or pass `--force`"):
        export(imported, place, [], format=file_format)
    assert bytes_of(out) == before


@pytest.mark.parametrize("file_format", ["jsonl", "hf"])
def test_with_force_only_the_new_export_is_left(imported, out, file_format):
    place = out / f"kept{SUFFIXES[file_format]}"
    old = export(imported, place, format=file_format)
    new = export(imported, place, [], format=file_format, overwrites=True)
    assert verify_export(place)["export_id"] == new.export_id != old.export_id
    assert names_in(out) == ([place.name] if file_format == "hf" else [place.name, new.about.name])


def test_folders_of_other_exports_stay_where_they_are(imported, out):
    for name in ("kept.jsonl", "[k]ept.jsonl", "kept.jsonl.jsonl"):
        export(imported, out / name)
    (out / "kept.jsonl.export-notes").mkdir()
    export(imported, out / "kept.jsonl", [], overwrites=True)
    assert verify_export(out / "[k]ept.jsonl")
    assert verify_export(out / "kept.jsonl.jsonl")
    assert (out / "kept.jsonl.export-notes").is_dir()


REFUSALS = [
    ("missing/kept.jsonl", {}, DataError, "folder '.*missing' does not exist"),
    ("folder", {"format": "jsonl"}, DataError, "'.*folder' is a folder, and this format is one file"),
    ("folder", {"format": "hf"}, DataError, "only a `datasets` folder is replaced by one"),
    ("kept.xlsx", {}, ConfigError, "'kept.xlsx' has none of these"),
    ("kept.csv", {"format": "parquet"}, ConfigError, "`--out` and `--format` must agree"),
    ("kept.jsonl", {"with_decisions": True, "reason_column": "text"}, ConfigError, "have a column 'text' already"),
    ("kept.jsonl", {"count_by": "page"}, ConfigError, "'page' is none"),
    ("../ws/datasets/kept.jsonl", {}, DataError, "may not be written among the files of the workspace"),
    ("../ws/exports/../catalog.csv", {}, DataError, "may not be written among the files of the workspace"),
    ("../texts.jsonl", {}, DataError, "may not replace a file that the data came from"),
]


@pytest.mark.parametrize(("place", "chosen", "error", "reason"), REFUSALS, ids=str)
def test_a_request_that_cannot_be_met_changes_nothing(imported, out, tmp_path, place, chosen, error, reason):
    (out / "folder").mkdir()
    (out / "folder" / "thesis.txt").write_text("years of work")
    before = bytes_of(tmp_path)
    with pytest.raises(error, match=reason):
        export(imported, out / place, overwrites=True, **chosen)
    assert bytes_of(tmp_path) == before


def test_an_export_without_the_data_sets_file_is_refused(imported, out):
    files, dataset = imported
    (files.dataset_folder(dataset.dataset_id) / "examples.parquet").unlink()
    with pytest.raises(ArtefactError, match=r"examples.parquet' is missing: import the data"):
        export(imported, out / "kept.jsonl")
    assert names_in(out) == []


def test_a_damaged_data_set_is_refused(imported, out):
    files, dataset = imported
    path = files.dataset_folder(dataset.dataset_id) / "examples.parquet"
    content = bytearray(path.read_bytes())
    content[20:60] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DamagedArtefact, match="is not what was written"):
        export(imported, out / "kept.jsonl")
    assert names_in(out) == []


def test_a_replaced_data_set_is_refused(imported, out, tmp_path):
    files, dataset = imported
    others, _ = import_into(tmp_path / "others", write_source(tmp_path / "o.jsonl", [{"text": "other"}]))
    shutil.copytree(others.dataset_folder("ds-1"), files.dataset_folder(dataset.dataset_id), dirs_exist_ok=True)
    with pytest.raises(FingerprintMismatch, match="holds other examples than the catalog expects"):
        export(imported, out / "kept.jsonl")


def test_without_datasets_installed_its_folder_is_refused(imported, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'lorif-studio\[datasets\]'"):
        export(imported, out / "kept", format="hf")
    assert names_in(out) == []


class FailingDisk:
    """Flushes nothing more after this many files."""

    def __init__(self, code, num_flushed=0):
        self.code, self.num_left = code, num_flushed

    def __call__(self, handle):
        self.num_left -= 1
        if self.num_left < 0:
            raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        (errno.ENOSPC, ResourceError, "is full while writing 'kept.jsonl': nothing was changed"),
        (errno.EACCES, ArtefactError, r"kept.jsonl' cannot be written \(Permission denied\)"),
        (errno.EROFS, ArtefactError, r"kept.jsonl' cannot be written \(Read-only file system\)"),
    ],
)
@pytest.mark.parametrize("has_old", [False, True])
def test_a_disk_that_takes_no_more_leaves_what_was_there(imported, out, monkeypatch, code, error, reason, has_old):
    if has_old:
        export(imported, out / "kept.jsonl", [])
    before = bytes_of(out)
    monkeypatch.setattr(os, "fsync", FailingDisk(code))
    with pytest.raises(error, match=reason):
        export(imported, out / "kept.jsonl", overwrites=True)
    assert bytes_of(out) == before
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("num_flushed", range(7))
def test_whichever_file_cannot_be_flushed_nothing_new_is_left(imported, out, monkeypatch, num_flushed):
    export(imported, out / "kept.jsonl", [])
    before = bytes_of(out)
    monkeypatch.setattr(os, "fsync", FailingDisk(errno.ENOSPC, num_flushed))
    with pytest.raises(ResourceError, match="nothing was changed"):
        export(imported, out / "kept.jsonl", overwrites=True)
    assert bytes_of(out) == before


@pytest.mark.parametrize("has_old", [False, True])
@pytest.mark.parametrize("file_format", ["jsonl", "hf"])
def test_an_export_is_on_the_disk_before_it_has_its_name(imported, out, monkeypatch, file_format, has_old):
    place = out / f"kept{SUFFIXES[file_format]}"
    if has_old:
        export(imported, place, [], format=file_format)
    steps = record_disk(monkeypatch)
    about = export(imported, place, format=file_format, overwrites=has_old).about
    assert about.exists()
    folders = [about] if about == place else [about, place]  # beside a file, the folder comes first
    for published in folders:
        (named,) = (number for number, step in enumerate(steps) if step.path == published and step.what != "fsync")
        flushed = [step.path.name for step in steps[:named] if step.what == "fsync"]
        inside = [path.name for path in published.iterdir()] if published.is_dir() else ["data.jsonl"]
        assert set(inside) <= set(flushed)
        assert flushed[-1] == ("new" if published.is_dir() else out.name)  # the folder's own name, then its new one
        assert steps[named + 1] == ("fsync", out)


def test_a_file_where_a_folder_is_needed_is_one_sentence(imported, tmp_path):
    files, _ = imported
    (files.root / "exports").write_text("in the way")
    with pytest.raises(ArtefactError, match="cannot be written"):
        export(imported, None)


def test_two_exports_to_one_place_do_not_disturb_each_other(imported, out):
    place = out / "kept.jsonl"
    begun = []

    def start_another(*_):
        if not begun:
            begun.append(export(imported, place, []))

    files, dataset = imported
    late = export_data(
        files, dataset, states(*SOME), place, ExportConfig(), overwrites=True, on_progress=start_another
    )
    assert verify_export(place)["export_id"] == late.export_id
    assert begun[0].num_kept == NUM_ROWS
    assert names_in(out) == [place.name, late.about.name]


@pytest.mark.parametrize("name", ["recipe.json", "kept.jsonl", "excluded.jsonl", "data"])
def test_a_changed_byte_anywhere_is_found(imported, out, name):
    result = export(imported, out / "out.jsonl")
    path = result.path if name == "data" else result.about / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtefact, match=r"is not what was written|was changed since it was exported"):
        verify_export(result.path)


def test_a_changed_manifest_is_found(imported, out):
    result = export(imported, out / "kept.jsonl")
    manifest = result.about / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"ann"', '"eve"'), encoding="utf-8")
    for path in (result.path, result.about, manifest):
        with pytest.raises(DamagedArtefact, match="was changed since it was written"):
            verify_export(path)


@pytest.mark.parametrize("name", ["recipe.json", "kept.jsonl", "data.jsonl", "manifest.json"])
def test_a_missing_file_is_found(imported, name):
    result = export(imported, None)
    (result.about / name).unlink()
    with pytest.raises(ArtefactError, match="is missing"):
        verify_export(result.about)


@pytest.mark.parametrize("other", ["r0", "of other data"])
def test_a_list_that_does_not_fit_the_data_set_is_found_even_when_every_hash_fits(imported, out, other):
    result = export(imported, out / "kept.jsonl")
    excluded = result.about / "excluded.jsonl"
    excluded.write_text(excluded.read_text().replace('"id": "r5"', f'"id": "{other}"'))
    manifest = read_json(result.about / "manifest.json")
    for entry in manifest["files"]:
        entry |= export_records.describe_file(result.about / entry["name"])._asdict()
    manifest["export_id"] = export_records.export_id_of(manifest)
    (result.about / "manifest.json").write_text(json.dumps(manifest))
    about = result.about.rename(about_folder(result.path, manifest["export_id"]))
    with pytest.raises(DamagedArtefact, match="must hold every text of the data set once"):
        verify_export(about)


def test_what_is_no_export_cannot_be_checked(source, tmp_path):
    for path in (source, tmp_path, tmp_path / "nothing"):
        with pytest.raises(ArtefactError, match=r"is not an export|is missing"):
            verify_export(path)


def changed_recipe(result, **changes):
    path = result.about / "recipe.json"
    path.write_text(json.dumps(read_json(path) | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "has format 2, this version of LoRIF Studio reads 1. Update LoRIF Studio"),
        ({"format": None}, "is not the recipe of an export: it has no format version"),
        ({"export": {"colour": "red"}}, "is not a recipe of an export"),
        ({"export": {"format": "xlsx"}}, "is not a recipe of an export"),
        ({"data": [{"name": "x"}]}, "is not a recipe of an export"),
        ({"input": None}, "is not a recipe of an export"),
        ({"lists": {"excluded.jsonl": "0" * 32}}, "excluded.jsonl' was changed since it was written"),
        ({"data": [{"name": "data.jsonl", "checksum": "0" * 32, "size_bytes": 1}]}, "this one wrote others"),
        ({"fingerprint": "0" * 32}, "this one read others .* made with lorif-studio"),
    ],
    ids=str,
)
def test_a_recipe_that_cannot_be_followed_is_refused(imported, source, out, changes, reason):
    result = export(imported, out / "kept.jsonl")
    recipe = changed_recipe(result, **changes)
    before = bytes_of(out)
    with pytest.raises(ArtefactError, match=reason):
        replay_recipe(recipe, [source], out / "again.jsonl")
    assert bytes_of(out) == before


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{"])
def test_a_file_that_is_no_json_object_is_no_recipe(source, out, content):
    (out / "recipe.json").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"is not readable JSON|must hold a JSON object"):
        replay_recipe(out / "recipe.json", [source], out / "again.jsonl")


def test_a_replay_refuses_other_input_than_that_of_the_export(imported, source, out, tmp_path):
    result = export(imported, out / "kept.jsonl")
    other = write_source(tmp_path / "other.jsonl", rows()[1:])
    for inputs, reason in [
        ([other], r"needs 'texts.jsonl' as it was imported \(checksum [0-9a-f]{32}\), none of the given files is"),
        ([source, other], "needs the 1 files that were imported"),
        ([tmp_path / "gone.jsonl"], "does not exist"),
    ]:
        with pytest.raises(LorifError, match=reason):
            replay_recipe(result.about / "recipe.json", inputs, out / "again.jsonl")
    assert not (out / "again.jsonl").exists()


def test_a_replay_replaces_neither_what_it_reads_nor_anything_without_force(imported, source, out):
    result = export(imported, out / "kept.jsonl")
    recipe = result.about / "recipe.json"
    with pytest.raises(DataError, match="exists already"):
        replay_recipe(recipe, [source], out / "kept.jsonl")
    with pytest.raises(DataError, match="may not replace what it reads"):
        replay_recipe(recipe, [source], source, overwrites=True)
    replay_recipe(recipe, [source], out / "kept.jsonl", overwrites=True)
    assert verify_export(out / "kept.jsonl")["export_id"] == result.export_id


def test_the_command_replay_prints_what_it_wrote(imported, source, out, capsys):
    result = export(imported, out / "kept.jsonl")
    replay(result.about / "recipe.json", (source,), out=out / "again.jsonl")
    assert capsys.readouterr().out.startswith(f"Wrote 10 of 12 texts to {out / 'again.jsonl'}")
    replay(result.about / "recipe.json", (source,), out=out / "again.jsonl", force=True, json=True)
    assert json.loads(capsys.readouterr().out)["checksum"] == result.checksum
    with pytest.raises(ConfigError, match="name the files that were imported"):
        replay(result.about / "recipe.json", (), out=out / "more.jsonl")


@pytest.fixture(scope="module")
def crashes():
    """What was found after an export was killed before its n-th change of a file, for every n."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(dir=memory if memory.is_dir() and os.access(memory, os.W_OK) else None)
    try:
        program = Path(__file__).with_name("crash_export.py")
        run = subprocess.run([sys.executable, str(program), folder], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]
    finally:
        shutil.rmtree(folder)


def by_scenario(crashes):
    return [list(group) for _, group in groupby(crashes, lambda crash: (crash["format"], crash["kind"]))]


def test_an_export_killed_at_any_write_leaves_the_old_one_whole_or_the_new_one(crashes):
    scenarios = by_scenario(crashes)
    assert len(scenarios) == 5
    for scenario in scenarios:
        old = "old" if scenario[0]["has_old"] else "nothing"
        found = [crash["found"] for crash in scenario]
        num_old = found.count(old)
        assert found == [old] * num_old + ["new"] * (len(found) - num_old), scenario
        assert num_old >= 10
        assert found[-1] == "new"


def test_the_next_export_after_a_crash_is_whole_and_leaves_nothing_else(crashes):
    scenarios = by_scenario(crashes)
    assert len(scenarios) == 5
    for scenario in scenarios:
        assert {crash["again"] for crash in scenario} == {"new"}
        assert [crash["names"] for crash in scenario] == [scenario[-1]["names"]] * len(scenario)
        assert not any(name.startswith(".") for name in scenario[-1]["names"])


def test_what_writes_each_format_is_what_the_settings_offer():
    assert set(formats.WRITERS) == set(formats.ROW_COUNTERS) == set(FORMATS)
