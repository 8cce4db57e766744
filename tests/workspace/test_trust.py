"""The badge says what was measured: nothing, something above chance, or something that is not."""

import json
from datetime import timedelta

import pytest
from tiny_workspace import NUM_TEXTS, copy_of, indexed

import lorif_core as lf
from lorif_core.catalog import EvaluationRecord, utc_now
from lorif_core.errors import CatalogError


@pytest.fixture
def workspace(tmp_path):
    return lf.open_workspace(copy_of(indexed(), tmp_path))


def measured(workspace, kind, result, settings=None, *, later=0):
    """Keep an evaluation of the only index."""
    (index,) = workspace.indexes.records()
    workspace.files.catalog.put_evaluation(
        EvaluationRecord(
            evaluation_id=f"ev-{kind}-{later}",
            kind=kind,
            dataset_id=index.dataset_id,
            settings_json=json.dumps(settings or {}),
            result_json=json.dumps(result),
            created_at=utc_now() + timedelta(seconds=later),
        )
    )


def line(workspace, figure, value, **others):
    """A line of a table about the only index."""
    return {"candidate": workspace.indexes.records()[0].index_id, "normalisation": "none", figure: value} | others


def test_without_a_measurement_an_index_is_not_checked(workspace):
    assert workspace.indexes.trust().level == "not checked"


@pytest.mark.parametrize(
    ("lds", "level"), [(0.45, "checked"), (0.11, "checked"), (0.09, "doubtful"), (-0.3, "doubtful")]
)
def test_an_lds_must_beat_chance_by_the_margin(workspace, lds, level):
    measured(workspace, "lds", [line(workspace, "lds", lds)])
    assert workspace.indexes.trust().level == level


@pytest.mark.parametrize(("partial", "level"), [(0.3, "checked"), (0.05, "doubtful")])
def test_an_lds_that_words_alone_explain_is_doubtful(workspace, partial, level):
    words = {"candidate": "tokens", "normalisation": "none", "lds": 0.55, "partial": None}
    measured(workspace, "lds", [words, line(workspace, "lds", 0.5, partial=partial)])
    found = workspace.indexes.trust()
    assert found.level == level
    plain, left = found.checks
    assert plain.meaning.endswith("retrained models; shared tokens alone, without a model, 0.55")
    assert left.meaning == f"partial LDS {partial:.2f}: what is left of it beyond shared tokens"


def test_one_doubtful_measurement_makes_the_index_doubtful(workspace):
    measured(workspace, "lds", [line(workspace, "lds", 0.5)])
    measured(workspace, "fidelity", [line(workspace, "spearman", 0.02)], {"reference": "ekfac"})
    found = workspace.indexes.trust()
    assert found.level == "doubtful"
    assert {check.kind: check.is_passed for check in found.checks} == {"lds": True, "fidelity": False}


def test_the_latest_measurement_of_a_kind_counts(workspace):
    measured(workspace, "lds", [line(workspace, "lds", 0.5)], later=2)
    measured(workspace, "lds", [line(workspace, "lds", 0.0)], later=1)
    assert workspace.indexes.trust().level == "checked"


def test_lines_about_other_indexes_dampings_and_normalisations_say_nothing(workspace):
    index_id = workspace.indexes.records()[0].index_id
    others = [
        line(workspace, "lds", 0.5, candidate="ix-other"),
        line(workspace, "lds", 0.5, candidate=f"{index_id}:0.1"),
        line(workspace, "lds", 0.5, normalisation="unit"),
    ]
    measured(workspace, "lds", others)
    assert workspace.indexes.trust().level == "not checked"


def test_planted_texts_are_measured_against_a_random_list(workspace):
    measured(workspace, "planted", {"recall": 0.97}, {"index_id": None, "k": 10})
    (check,) = workspace.indexes.trust().checks
    assert check.chance == pytest.approx(10 / NUM_TEXTS)
    assert check.is_passed


def test_a_measurement_of_another_index_says_nothing(workspace):
    measured(workspace, "planted", {"recall": 0.97}, {"index_id": "ix-other", "k": 10})
    assert workspace.indexes.trust().level == "not checked"


@pytest.mark.parametrize(("gain", "level"), [(0.9, "checked"), (0.25, "doubtful")])
def test_a_change_in_nats_must_lie_above_the_interval_of_random_texts(workspace, gain, level):
    index_id = workspace.indexes.records()[0].index_id
    rows = [{"name": f"{index_id} lorif", "gain": gain}, {"name": "random", "gain": 0.1, "gain_high": 0.3}]
    measured(workspace, "tail-patch", rows)
    assert workspace.indexes.trust().level == level


def test_a_verified_removal_counts_for_the_index_that_predicted_it(workspace):
    asked = workspace.ask("The river of Arlen is", " castle Brook.")
    result = {"rank_correlation": 0.8, "queries": [{"query_id": asked.query_id}]}
    measured(workspace, "verify", result)
    assert workspace.indexes.trust().level == "checked"


def test_a_real_measurement_is_read(workspace, tmp_path):
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"planted": [{"prompt": "The river", "wrong": " x", "planted_ids": ["t001"]}]}))
    lf.evaluate(workspace).planted(key, k=NUM_TEXTS)
    assert [check.kind for check in workspace.indexes.trust().checks] == ["planted"]


def test_an_unknown_index_is_refused(workspace):
    with pytest.raises(CatalogError):
        workspace.indexes.trust("ix-nothing")
