"""A workspace that version 0.1 wrote opens with this version and answers as it did; see tests/samples."""

import hashlib
import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow
import pytest

import lorif_core as lf
from lorif_core.workspace.curation.export import verify_export
from lorif_core.workspace.studio.saved_views import saved_views

SAMPLES = Path(__file__).parents[1] / "samples"
EXPECTED = json.loads((SAMPLES / "workspace-0.1.expected.json").read_text(encoding="utf-8"))
INDEXES = {method: index_id for index_id, _, method, _ in EXPECTED["indexes"]}
SETTINGS = {
    "lorif": {"budget": "400B", "subspace_rank": 6},
    "logra": {},
    "graddot": {"codec": "int8", "factor_rank": 2},
    "kronecker": {},
}
"""What each index was built with, besides the model and the batches."""

ROUNDING = 1e-5
"""Of a score, over the largest of its question: a text's codes are read from the file, but the query's gradient is
computed anew in float32, whose sums of some thousand products differ by 1e-6 between processors and threads."""


# Everything that this file asks of the present code; the tests below only compare.


def opened(place):
    return lf.open_workspace(place)


def model_of(place):
    """The model of the sample: the place that the catalog says is a folder of the machine that made it."""
    return str(place / "model")


def settings_of(question):
    objective = question.get("objective", "contrast" if "contrast" in question else "loss")
    return lf.ScoreConfig(objective=objective, normalisation=question.get("normalisation", "none"))


def ask(place, question, index_id, *, keeps, k):
    asked = {key: question[key] for key in ("prompt", "completion", "contrast", "tokens") if key in question}
    return opened(place).ask(
        **asked,
        ends=True,  # as every completion did then
        settings=settings_of(question),
        index_id=index_id,
        model=model_of(place),
        keeps=keeps,
        k=k,
        num_opposing=k,
    )


def reopened(place, query_id):
    return opened(place).reopen(query_id)


def index_again(place, method, dataset_id, on_progress):
    # Version 0.1 tracked attention and no head, with another damping and sample; its default is said so now.
    defaults_then = {"head_columns": 0, "alpha": 0.003, "stats_examples": 2048}
    as_then = (defaults_then, ("*",)) if method == "kronecker" else ({}, ())
    settings = lf.IndexConfig(
        model=lf.ModelConfig(model=model_of(place), device="cpu", include=as_then[1]),
        method=lf.method_settings(method, **SETTINGS[method], **as_then[0]),
        batches=lf.BatchConfig(shard_examples=16, max_length=48),
    )
    return opened(place).indexes.build(settings, dataset=dataset_id, on_progress=on_progress)


def listed(place):
    """Facts of the catalog, in the form of the expected ones."""
    ws = opened(place)
    return {
        "datasets": [[record.dataset_id, record.version, record.num_examples] for record in ws.data.records()],
        "indexes": [
            [record.index_id, record.dataset_id, record.method, record.status] for record in ws.indexes.records()
        ],
        "evaluations": [[record.kind, record.result_json] for record in ws.files.catalog.evaluations()],
        "frozen": [[version.name, version.checksum] for version in ws.versions.records()],
    }


def decided(place):
    """States, conflicts and history, as JSON has them."""
    ws = opened(place)
    found = {
        "states": ws.decisions.states().to_dicts(),
        "conflicts": ws.decisions.conflicts().to_dicts(),
        "history": [
            [entry.batch.actor, entry.batch.kind, entry.batch.reason, entry.batch.text, entry.is_undone]
            for entry in ws.decisions.history()
        ],
    }
    return json.loads(json.dumps(found, default=str))


def exported(place, out):
    opened(place).export(out)
    return out


def kept_exports(place):
    return [path for path in sorted((place / "exports").iterdir()) if path.name != "versions"]


# The tests.


CURATOR = "bob"
"""A member: since the sample was made, who is none may look only."""


@pytest.fixture
def workspace(tmp_path):
    return shutil.copytree(SAMPLES / "workspace-0.1", tmp_path / "ws")


def scores_of(hits):
    return [[hit.train_id, pytest.approx(hit.score, rel=1e-12)] for hit in hits]


def test_the_sample_holds_an_index_of_every_method_and_questions_of_every_kind():
    assert sorted(INDEXES) == sorted(SETTINGS)
    assert len(EXPECTED["fresh"]) == 4 * len(INDEXES)
    assert len(EXPECTED["kept"]) == 4 * len(INDEXES) + 1
    kinds = {
        (found["question"].get("objective"), found["question"].get("normalisation")) for found in EXPECTED["fresh"]
    }
    assert kinds == {(None, None), (None, "relatif"), ("margin", "unit"), (None, "tempered")}


def test_data_sets_indexes_evaluations_and_versions_are_listed(workspace):
    assert listed(workspace) == {name: EXPECTED[name] for name in ("datasets", "indexes", "evaluations", "frozen")}


def test_what_an_index_keeps_is_not_said_to_be_as_stored(workspace):
    indexes = opened(workspace).indexes
    found = [indexes.report(record.index_id) for record in indexes.records()]
    assert [one.kept_energy.as_stored for one in found] == [None] * len(EXPECTED["indexes"])
    assert all(one.kept_energy.sentence.startswith("Before rounding the factors keep") for one in found)
    said = [one.to_dict()["kept_energy"] for one in found]
    shares = [pytest.approx(one.kept_energy.share) for one in found]
    assert said == [{"as_stored": None, "before_rounding": one, "of": "projected gradients"} for one in shares]


def test_every_decision_is_there(workspace):
    assert decided(workspace) == {name: EXPECTED[name] for name in ("states", "conflicts", "history")}


def test_roles_reasons_and_saved_views_are_there(workspace):
    ws = opened(workspace)
    assert [(member.actor, member.role) for member in ws.journal.members()] == [("ann", "admin"), ("bob", "curator")]
    assert "hearsay" in [reason.name for reason in ws.journal.reasons()]
    assert [[view.name, view.page, [list(pair) for pair in view.query]] for view in saved_views(ws.files)] == [
        [view["name"], view["page"], view["query"]] for view in EXPECTED["views"]
    ]


def test_every_index_keeps_the_directions_that_its_manifest_says_whatever_was_written_beside_its_curvature(workspace):
    ws = opened(workspace)
    indexes = {name: ws.indexes.open(one, model=model_of(workspace)) for name, one in INDEXES.items()}
    ranks = {name: index.fitted.curvature.subspace_rank for name, index in indexes.items()}
    assert ranks == {"lorif": 6, "logra": None, "graddot": 0, "kronecker": 0}


def test_a_decision_can_be_added_and_the_first_ones_undone(workspace):
    ws = opened(workspace)
    ws.exclude(["t20"], reason="hearsay", actor="bob")
    ws.undo(actor="ann")  # the rule about late years, her latest act
    status_of = dict(ws.decisions.states().select("train_id", "status").iter_rows())
    assert (status_of["t20"], status_of["t39"]) == ("excluded", "kept")
    assert {row["train_id"]: row["status"] for row in EXPECTED["states"]}["t39"] == "flagged"


@pytest.mark.parametrize("query_id", EXPECTED["kept"])
def test_a_kept_answer_reopens_with_its_lists(workspace, query_id):
    kept, expected = reopened(workspace, query_id), EXPECTED["kept"][query_id]
    assert (kept.index_id, kept.objective) == (expected["index_id"], expected["objective"])
    assert scores_of(kept.supports) == expected["supports"]
    assert scores_of(kept.opposes) == expected["opposes"]
    if kept.objective == "loss":  # the values of margin and contrast are to change on purpose
        assert kept.objective_value == pytest.approx(expected["objective_value"], rel=1e-12)


@pytest.mark.parametrize(
    "expected",
    [
        found
        for found in EXPECTED["fresh"]
        if found["question"].get("normalisation") != "unit"  # it was no cosine then, see the next test
    ],
    ids=lambda found: f"{found['method']}-{found['question'].get('normalisation', 'none')}",
)
def test_a_question_asked_anew_has_the_scores_of_then(workspace, expected):
    answer = ask(workspace, expected["question"], expected["index_id"], keeps=False, k=40)
    found = {hit.train_id: hit.score for hit in answer.hits}
    assert len(expected["scores"]) == 40
    largest = max(abs(score) for score in expected["scores"].values())
    assert found == pytest.approx(expected["scores"], rel=ROUNDING, abs=ROUNDING * largest)
    if answer.objective == "loss":  # as above
        assert answer.objective_value == pytest.approx(expected["objective_value"], rel=ROUNDING)


UNIT = [found for found in EXPECTED["fresh"] if found["question"].get("normalisation") == "unit"]


@pytest.mark.parametrize("expected", UNIT, ids=[found["method"] for found in UNIT])
def test_unit_scores_are_those_of_then_divided_by_what_the_text_has_in_the_method_s_own_metric(workspace, expected):
    """Under ``relatif`` a score is divided by the text's root already, and the query's is one number for all."""
    answer = ask(workspace, expected["question"], expected["index_id"], keeps=False, k=40)
    beside = ask(
        workspace, expected["question"] | {"normalisation": "relatif"}, expected["index_id"], keeps=False, k=40
    )
    found, roots = ({hit.train_id: hit.score for hit in one.hits} for one in (answer, beside))
    assert len(found) == 40
    query_norm = roots[answer.ids[0]] / found[answer.ids[0]]
    assert query_norm > 0
    assert {name: score * query_norm for name, score in found.items()} == pytest.approx(roots, rel=1e-4, abs=1e-9)


def test_a_question_can_be_asked_and_kept(workspace, monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", CURATOR)
    question = {"prompt": "the bridge of eskdale is", "completion": " old."}
    answer = ask(workspace, question, INDEXES["kronecker"], keeps=True, k=3)
    assert answer.query_id == str(len(EXPECTED["kept"]) + 1)
    assert reopened(workspace, answer.query_id).ids == answer.ids


@pytest.mark.parametrize(("index_id", "dataset_id", "method"), [row[:3] for row in EXPECTED["indexes"]])
def test_the_same_settings_find_the_index_complete(workspace, index_id, dataset_id, method, monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", CURATOR)
    done = []
    record = index_again(workspace, method, dataset_id, lambda *progress: done.append(progress))
    assert (record.index_id, record.status) == (index_id, "complete")
    # graddot is the plain product now: its curvature is fitted anew, its gradients stay.
    assert {stage for stage, *_ in done} == ({"curvature", "self-influence"} if method == "graddot" else set())
    assert sorted(listed(workspace)["indexes"]) == sorted(EXPECTED["indexes"])


def test_the_doctor_finds_nothing(workspace):
    report = opened(workspace).check()
    assert report.findings == []
    assert report.num_files > len(EXPECTED["datasets"]) + len(EXPECTED["indexes"])


def test_a_jsonl_export_has_the_bytes_of_then(workspace, tmp_path):
    out = exported(workspace, tmp_path / "draft.jsonl")
    assert hashlib.sha256(out.read_bytes()).hexdigest() == EXPECTED["exports"]["jsonl"]


def test_a_parquet_export_has_the_bytes_of_then(workspace, tmp_path):
    out = exported(workspace, tmp_path / "draft.parquet")
    lines = exported(workspace, tmp_path / "draft.jsonl").read_text(encoding="utf-8").splitlines()
    assert pl.read_parquet(out).to_dicts() == [json.loads(line) for line in lines]
    if pyarrow.__version__ == EXPECTED["versions"]["pyarrow"]:  # a Parquet file names the version that wrote it
        assert hashlib.sha256(out.read_bytes()).hexdigest() == EXPECTED["exports"]["parquet"]


def test_the_exports_in_it_are_whole(workspace):
    exports = kept_exports(workspace)
    assert len(exports) == 2
    for export in exports:
        verify_export(export)
