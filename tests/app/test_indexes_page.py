"""Indexes without a browser."""

import io
import json
import time
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from app_pages import open_page, texts
from tiny_workspace import copy_of, done, imported, indexed, model_folder, write_rows

import lorif_core as lf
from app.components import import_reading
from app.components.build_settings import NOT_TYPED
from lorif_core.catalog import EvaluationRecord, utc_now
from lorif_core.members_config import MembersConfig
from lorif_core.methods.registry import METHODS
from lorif_core.views.setting_fields import setting_fields
from lorif_core.workspace.jobs.kinds import KINDS, json_of
from lorif_core.workspace.jobs.places import place_of_worker
from lorif_core.workspace.jobs.requests import import_request
from lorif_core.workspace.jobs.submit import jobs_of_kind


def button(app, key):
    return next(one for one in app.button if one.key == key)


def run_until(app, claim, seconds=600):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, texts(app)
        time.sleep(0.5)
        app.run()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A workspace with texts and no index."""
    return copy_of(imported(), tmp_path_factory.mktemp("plain"))


@pytest.fixture
def bad_file(tmp_path):
    file = write_rows(tmp_path / "more.jsonl", [{"asked": f"q{n}", "said": f"a{n}"} for n in range(3)])
    with file.open("a", encoding="utf-8") as handle:
        handle.write("{broken\n")
    return file


def test_the_report_shows_the_bytes_that_the_workspace_reports(monkeypatch):
    app = open_page(monkeypatch, indexed(), "indexes")
    assert not app.exception
    shown = next(frame.value for frame in app.dataframe if "per text" in frame.value.columns)
    report = lf.open_workspace(indexed()).indexes.report()
    assert shown["bytes"].to_list() == [part.size_bytes for part in report.parts]


def test_the_report_shows_the_latest_lds_or_how_to_measure_it(monkeypatch, tmp_path):
    folder = copy_of(indexed(), tmp_path)
    workspace = lf.open_workspace(folder)
    (index,) = workspace.indexes.records()
    app = open_page(monkeypatch, folder, "indexes")
    assert f"lorif evaluate lds {folder} --queries FILE --truth TRUTH.npz" in [one.value for one in app.code]
    for number, lds in enumerate((0.2, 0.5, 0.7)):
        interval = {"subsets_low": lds - 0.1, "subsets_high": lds + 0.1, "normalisation": "none"}
        own = {
            "candidate": index.index_id if number < 2 else "ix-other",
            "label": "lorif",
            "lds": lds,
            "partial": 0.3,
        }
        words = {"candidate": "tokens", "label": "shared tokens", "lds": 0.55, "partial": None}
        record = EvaluationRecord(
            evaluation_id=f"ev-{number}",
            kind="lds",
            dataset_id=index.dataset_id,
            settings_json="{}",
            result_json=json.dumps([words | interval, own | interval]),
            created_at=utc_now() + timedelta(seconds=number),
        )
        workspace.files.catalog.put_evaluation(record)
    app.run()
    assert not app.exception
    shown = next(frame.value for frame in app.dataframe if "beyond shared tokens" in frame.value.columns)
    assert shown["LDS"].to_list() == [0.55, 0.5]
    assert shown["candidate"].to_list() == ["tokens", index.index_id]


def test_the_wizard_asks_for_columns_and_lists_the_bad_row_with_its_line(monkeypatch, plain, bad_file):
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(bad_file))
    run_until(app, lambda: any("cannot be told" in one for one in texts(app)), 60)
    assert not any(one.key == "import-start" for one in app.button)
    app.selectbox(key="kind").set_value("prompt and completion").run()
    app.selectbox(key="import-prompt").set_value("asked").run()
    app.selectbox(key="import-completion").set_value("said").run()
    rejects = next(frame.value for frame in app.dataframe if "reason" in frame.value.columns)
    assert rejects[["line", "reason"]].values.tolist() == [[4, "not JSON"]]
    assert {metric.label: metric.value for metric in app.metric}["Usable"] == "3"


def test_an_import_is_a_job_whose_good_rows_come_in(monkeypatch, tmp_path, bad_file):
    folder = copy_of(imported(), tmp_path)
    app = open_page(monkeypatch, folder, "indexes", tab="Import", file=str(bad_file))
    app.selectbox(key="kind").set_value("prompt and completion").run()
    app.selectbox(key="import-prompt").set_value("asked").run()
    app.selectbox(key="import-completion").set_value("said").run()
    button(app, "import-start").click().run()
    run_until(app, lambda: any("3 texts, as more version 1" in one for one in texts(app)))
    assert [one.num_examples for one in lf.open_workspace(folder).data.records()] == [121, 3]


FURTHER = [
    ({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}, -1, None),
    ({"instruction": "Add.", "given": "1, 2", "output": "3"}, None, "context=given"),
]


@pytest.mark.parametrize(("row", "turn", "role"), FURTHER, ids=["turn", "role"])
def test_the_wizard_names_a_target_turn_and_columns_of_other_roles(monkeypatch, tmp_path, row, turn, role):
    file = write_rows(tmp_path / "rows.jsonl", [row])
    files = lf.open_workspace(copy_of(imported(), tmp_path)).files
    app = open_page(monkeypatch, files.root, "indexes", tab="Import", file=str(file))
    app.number_input(key="import-turn").set_value(turn).run()
    app.text_input(key="import-roles").set_value(role or "").run()
    run_until(app, lambda: any(one.key == "import-start" for one in app.button), 60)
    with place_of_worker(files, "cpu", 1):  # no job is done
        button(app, "import-start").click().run()
    (job,) = jobs_of_kind(files, "import")
    settings = KINDS["import"].read(job.request).settings
    assert (settings.target_turn, settings.column) == (turn, (role,) if role else ())


def test_a_target_turn_that_cannot_be_is_one_sentence(monkeypatch, plain, bad_file):
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(bad_file))
    app.number_input(key="import-turn").set_value(0).run()
    assert not app.exception
    assert any("use 1 for the first" in one for one in texts(app))


def test_a_folder_with_splits_asks_which(monkeypatch, plain, tmp_path):
    for split in ("train", "test"):
        write_rows(tmp_path / f"{split}-00000-of-00001.jsonl", [{"text": f"a text of {split}"}])
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(tmp_path))
    run_until(app, lambda: any("must hold one split" in one for one in texts(app)), 60)
    app.text_input(key="import-split").set_value("test").run()
    run_until(app, lambda: any(one.key == "import-start" for one in app.button), 60)
    shown = next(frame.value for frame in app.dataframe if "text" in frame.value.columns)
    assert shown["text"].to_list() == ["a text of test"]


def test_texts_of_a_folder_may_be_lines(monkeypatch, plain, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"{name} a\n{name} b\n", encoding="utf-8")
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(tmp_path))
    app.radio(key="import-txt").set_value("a line").run()
    run_until(app, lambda: any(one.key == "import-start" for one in app.button), 60)
    shown = next(frame.value for frame in app.dataframe if "text" in frame.value.columns)
    assert shown["text"].to_list() == ["one a", "one b", "two a", "two b"]


def shown_types(app):
    frame = next(frame.value for frame in app.dataframe if "missing" in frame.value.columns)
    return {row["column"]: row for row in frame.to_dict("records")}


def settings_of_import(app, folder):
    """What the job would be asked that the button starts."""
    files = lf.open_workspace(folder).files
    with place_of_worker(files, "cpu", 1):  # no job is done
        button(app, "import-start").click().run()
    (job,) = jobs_of_kind(files, "import")
    return KINDS["import"].read(job.request).settings


MIXED = "id;text;price;zip;day\n1;one;1,5;10115;2026-03-01\n1;two;2,25;99;2026-03-02\n3;three;;n/a;2026-03-03\n"


@pytest.fixture
def mixed_file(tmp_path):
    file = tmp_path / "mixed.csv"
    file.write_text(MIXED, encoding="utf-8")
    return file


def test_the_wizard_shows_types_and_notes_as_a_dry_run_does(monkeypatch, plain, mixed_file):
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(mixed_file))
    run_until(app, lambda: any(one.key == "import-start" for one in app.button), 60)
    found = lf.open_workspace(plain).data.preview_import([mixed_file])
    shown = shown_types(app)
    assert [(row["column"], row["type"], row["missing"], row["such as"], row["note"]) for row in shown.values()] == [
        (told.name, told.type, told.num_missing, told.example, told.note) for told in found.types
    ]
    assert shown["day"]["type"] == "date"
    assert "Cells of `mixed.csv` are separated by `;`." in texts(app)


def test_the_wizard_changes_types_and_reads_decimal_commas(monkeypatch, tmp_path, mixed_file):
    folder = copy_of(imported(), tmp_path)
    app = open_page(monkeypatch, folder, "indexes", tab="Import", file=str(mixed_file))
    run_until(app, lambda: any(one.key == "import-start" for one in app.button), 60)
    app.toggle(key="import-comma").set_value(True).run()
    assert shown_types(app)["price"]["type"] == "float"
    next(one for one in app.multiselect if one.label == "Change the type of").set_value(["zip"]).run()
    assert shown_types(app)["zip"]["type"] == "text"  # nothing is chosen yet
    next(one for one in app.selectbox if one.label == "Type of zip").set_value("int").run()
    assert shown_types(app)["zip"]["type"] == "int"
    rejects = next(frame.value for frame in app.dataframe if "reason" in frame.value.columns)
    assert rejects["reason"].to_list() == ["id repeated", "not of the type of its column"]
    assert rejects["detail"][1] == "'n/a' in `zip` is no int"
    app.selectbox(key="import-delimiter").set_value("semicolon").run()
    app.selectbox(key="import-id").set_value("of no column").run()
    app.text_input(key="import-file-column").set_value("file").run()
    assert {metric.label: metric.value for metric in app.metric}["Usable"] == "2"
    settings = settings_of_import(app, folder)
    assert settings == lf.ImportConfig(
        type=("zip=int",), delimiter=";", decimal_comma=True, id="none", file_column="file"
    )


@pytest.fixture
def typed_separators(monkeypatch):
    """AppTest takes no values that are typed into a list: these are in it."""
    monkeypatch.setattr(import_reading, "SEPARATORS", import_reading.SEPARATORS | {"^": "^", ";;": ";;"})


@pytest.mark.usefixtures("typed_separators")
def test_the_wizard_takes_a_separator_and_an_encoding(monkeypatch, plain, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_bytes("text^größe\none^1\ntwo^2\n".encode("cp1252"))
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(file))
    assert not app.exception
    run_until(app, lambda: any("--encoding cp1252" in one for one in texts(app)), 60)
    app.selectbox(key="import-encoding").set_value("cp1252").run()
    app.selectbox(key="import-delimiter").set_value("^").run()
    assert shown_types(app)["größe"]["type"] == "int"


@pytest.mark.usefixtures("typed_separators")
def test_a_separator_that_cannot_be_is_one_sentence(monkeypatch, plain, mixed_file):
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(mixed_file))
    app.selectbox(key="import-delimiter").set_value(";;").run()
    assert not app.exception
    assert any("must be one character, or tab; got ';;'" in one for one in texts(app))


def test_a_parquet_file_is_not_asked_for_what_its_format_says(monkeypatch, plain, tmp_path):
    pq.write_table(pa.table({"text": ["one"], "year": [1987]}), tmp_path / "rows.parquet")
    app = open_page(monkeypatch, plain, "indexes", tab="Import", file=str(tmp_path / "rows.parquet"))
    run_until(app, lambda: any(one.key == "import-start" for one in app.button), 60)
    keys = {one.key for one in [*app.selectbox, *app.toggle, *app.text_input]}
    assert "import-file-column" in keys
    assert not keys & {"import-delimiter", "import-comma", "import-encoding"}
    assert shown_types(app)["year"]["found"] == "declared by the file"


def test_the_result_of_an_import_job_is_json_and_says_what_came(tmp_path, bad_file):
    settings = lf.ImportConfig(prompt="asked", completion="said")
    request = json.loads(json.dumps(json_of(import_request([bad_file], settings))))
    lf.create_workspace(tmp_path / "ws")
    steps = []
    found = KINDS["import"](tmp_path / "ws", request, lambda *step: steps.append(step))
    assert json.loads(json.dumps(found))["num_rejected"] == 1
    assert steps[-1] == ("rows read", 4, 4)
    assert lf.open_workspace(tmp_path / "ws").data.rejects()[0]["line"] == 4


def test_an_upload_keeps_its_name_and_no_folder(plain):
    kept = lf.open_workspace(plain).data.keep_upload("../../etc/My file.jsonl", io.BytesIO(b'{"text": "a"}\n'))
    assert kept.name == "My-file.jsonl"
    assert kept.resolve().is_relative_to((plain / "uploads").resolve())
    assert kept.read_bytes() == b'{"text": "a"}\n'


def test_an_estimate_is_that_of_the_workspace_and_builds_nothing(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "indexes", tab="Build", model=str(model_folder()))
    button(app, "build-estimate").click().run()
    run_until(app, lambda: any("texts to do" in one for one in texts(app)), 120)
    index_id, _ = lf.open_workspace(plain).indexes.estimate(
        lf.IndexConfig(model=lf.ModelConfig(model=str(model_folder())))
    )
    assert any(one.startswith(f"{index_id}: 121 of 121 texts to do") for one in texts(app))
    assert lf.open_workspace(plain).indexes.records() == []


def test_a_setting_that_cannot_be_is_one_sentence(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "indexes", tab="Build", model="m", budget="many")
    assert not app.exception
    assert any("a budget is a number of bytes" in one for one in texts(app))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_a_card_and_offers_the_settings_that_it_has(monkeypatch, plain, method):
    app = open_page(monkeypatch, plain, "indexes", tab="Build", model="m", method=method)
    assert not app.exception
    assert app.selectbox(key="method").options == list(METHODS)
    assert any(one.value.startswith(f"**{method}** · ") for one in app.markdown)
    boxes = {one.key for one in [*app.number_input, *app.text_input, *app.selectbox, *app.checkbox]}
    own = {one.name for one in setting_fields(METHODS[method].settings)} - {"budget", *NOT_TYPED}
    others = {one.name for entry in METHODS.values() for one in setting_fields(entry.settings)} - {"budget"} - own
    assert {f"build-{name}" for name in own} <= boxes
    assert boxes.isdisjoint(f"build-{name}" for name in others)
    (budget,) = (one for one in app.text_input if one.key == "budget")
    assert budget.disabled != hasattr(METHODS[method].settings(), "budget")


def test_a_budget_decides_what_else_could_be_typed(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "indexes", tab="Build", model="m", method="kronecker", budget="1KB")
    assert not app.exception
    assert {one.key for one in app.number_input if one.disabled} == {"build-factor_rank", "build-head_columns"}


def test_further_models_are_members_of_the_index_that_is_built(monkeypatch, tmp_path):
    files = lf.open_workspace(copy_of(imported(), tmp_path)).files
    (tmp_path / "ckpt-1").mkdir()
    app = open_page(monkeypatch, files.root, "indexes", tab="Build", model=str(model_folder()))
    app.text_area(key="build-checkpoints").set_value(f"{tmp_path}/ckpt-*/\n").run()
    app.selectbox(key="build-weights").select("tracin").run()
    with place_of_worker(files, "cpu", 1) as is_free:  # no job is done
        assert is_free
        button(app, "build-start").click().run()
    assert not app.exception
    (job,) = jobs_of_kind(files, "index")
    members = KINDS["index"].read(job.request).settings.members
    assert members == MembersConfig(checkpoints=(str(tmp_path / "ckpt-1"),), member_weights="tracin")


def test_a_training_that_is_unrolled_is_said_with_its_checkpoints(monkeypatch, tmp_path):
    files = lf.open_workspace(copy_of(imported(), tmp_path)).files
    (tmp_path / "ckpt-1").mkdir()
    app = open_page(monkeypatch, files.root, "indexes", tab="Build", model=str(model_folder()), method="source")
    assert "build-weights" not in {one.key for one in app.selectbox}
    app.text_area(key="build-checkpoints").set_value(f"{tmp_path}/ckpt-*/").run()
    app.text_input(key="build-steps").set_value("10 twenty").run()
    assert any("Steps are numbers" in one for one in texts(app))
    app.text_input(key="build-steps").set_value("10 20").run()
    app.text_input(key="build-rates").set_value("1e-3 1e-4").run()
    app.number_input(key="build-segments").set_value(2).run()
    app.selectbox(key="build-trained-by").select("sgd").run()
    with place_of_worker(files, "cpu", 1) as is_free:  # no job is done
        assert is_free
        button(app, "build-start").click().run()
    assert not app.exception
    (job,) = jobs_of_kind(files, "index")
    assert KINDS["index"].read(job.request).settings.members == MembersConfig(
        checkpoints=(str(tmp_path / "ckpt-1"),),
        segments=2,
        steps=(10, 20),
        learning_rates=(1e-3, 1e-4),
        trained_by="sgd",
    )


def test_what_is_typed_is_what_is_built_and_only_of_the_chosen_method(monkeypatch, tmp_path):
    files = lf.open_workspace(copy_of(imported(), tmp_path)).files
    app = open_page(monkeypatch, files.root, "indexes", tab="Build", model=str(model_folder()), method="kronecker")
    method = {"factor_rank": 3, "f": 2, "alpha": 0.01, "stats_examples": 64, "subspace_rank": 5}
    typed = method | {"tokens": 256, "stride": 300}
    for key, value in typed.items():
        app.number_input(key=f"build-{key}").set_value(value).run()
    app.selectbox(key="build-codec").select("int8").run()
    app.selectbox(key="build-windows").select("read in windows, all of them").run()
    with place_of_worker(files, "cpu", 1) as is_free:  # no job is done
        assert is_free
        button(app, "build-start").click().run()
        app.selectbox(key="method").select("logra").run()
        button(app, "build-start").click().run()
    assert not app.exception
    logra, kronecker = (KINDS["index"].read(job.request).settings for job in jobs_of_kind(files, "index"))
    assert kronecker.method == lf.method_settings("kronecker", codec="int8", **method)
    assert logra.method == lf.method_settings("logra", f=2, codec="int8")
    assert kronecker.batches == logra.batches == lf.BatchConfig(tokens_per_batch=256, windows="all", stride=300)


def test_a_sweep_becomes_a_job_with_its_grid(monkeypatch, tmp_path):
    folder = copy_of(indexed(), tmp_path)
    files = {name: str(tmp_path / name) for name in ("queries", "truth")}
    app = open_page(monkeypatch, folder, "indexes", tab="Sweep", ratios="0.1 1", ranks="4", **files)
    button(app, "sweep-start").click().run()
    (job,) = jobs_of_kind(lf.open_workspace(folder).files, "evaluate")
    arguments = job.request["arguments"]
    assert arguments["damping_ratios"] == [0.1, 1.0]
    assert arguments["subspace_ranks"] == [4]
    assert job.request["measurement"] == "sweep"


@pytest.mark.parametrize("tab", ["Indexes", "Build", "Sweep"])
def test_an_empty_workspace_says_the_next_step(monkeypatch, tmp_path, tab):
    lf.create_workspace(tmp_path / "ws")
    app = open_page(monkeypatch, tmp_path / "ws", "indexes", tab=tab)
    assert not app.exception
    assert any(one.value.startswith(("lorif import", "lorif index")) for one in app.code)


def test_a_dry_run_of_import_writes_nothing(tmp_path, bad_file):
    run = done("import", tmp_path / "ws", bad_file, "--text", "asked", "--dry-run")
    assert "1 cannot be used" in run.out
    assert not (tmp_path / "ws").exists()


def test_a_viewer_does_not_see_rows_of_files_of_the_server(monkeypatch, tmp_path, bad_file):
    folder = copy_of(imported(), tmp_path)
    lf.open_workspace(folder).journal.set_role("somebody-else", "admin", by="somebody-else")
    app = open_page(monkeypatch, folder, "indexes", tab="Import", file=str(bad_file))
    assert not app.exception
    assert any("only a curator may look into files" in one for one in texts(app))
    assert not any(one.key == "file" for one in app.text_input)
