"""An evaluation that was stopped goes on with what it had finished, and never with anything else."""

import pytest
from tiny_workspace import SMALL, copy_of, done, indexed, model_folder, root, rows, write_rows

import lorif_core as lf
from lorif_core.errors import DamagedArtefact
from lorif_core.workspace.quality.candidates import score_candidates
from lorif_core.workspace.quality.scored import parse_candidate

NAMES = ("tokens", "bm25", "repsim", "ix", "graddot", "kfac:0.1")


@pytest.fixture
def workspace(tmp_path):
    return copy_of(indexed(), tmp_path)


def queries(text=" castle Brook."):
    return write_rows(
        root() / f"kept{len(text)}.jsonl", [*rows()[:3], {"id": "q", "prompt": "a", "completion": text}]
    )


def measure(workspace, *, names=NAMES, asked=None, stop_at=None, normalisations=("none", "tempered")):
    """Score the candidates, or be stopped before the row of that number; their rows and the stages that ran."""
    opened, stages = lf.open_workspace(workspace), []
    own = opened.indexes.records()[0].index_id
    candidates = [parse_candidate(own if name == "ix" else name) for name in names]
    found = []
    for row in score_candidates(
        opened, candidates, asked or queries(), normalisations, lambda *told: stages.append(told[0])
    ):
        found.append(row)
        if len(found) == stop_at:
            return found, stages
    return found, stages


def files(workspace):
    return {path.name: path.stat().st_mtime_ns for path in (workspace / "evaluations/scores").glob("*")}


def summary(row):
    scores = row.scores.tolist()
    return (str(row.candidate), row.label, row.normalisation, scores, row.codes_bytes, row.query_seconds, row.asked)


def test_what_was_finished_is_read_and_the_rest_computed(workspace):
    first, _ = measure(workspace, stop_at=4)
    before = files(workspace)
    assert len(before) == 4
    found, stages = measure(workspace)
    assert [summary(row) for row in found[:4]] == [summary(row) for row in first]
    assert "references" in stages
    assert len(files(workspace)) == len(found) == 9
    assert before.items() <= files(workspace).items()
    again, stages = measure(workspace)
    assert [summary(row) for row in again] == [summary(row) for row in found]
    assert stages == []
    assert len(files(workspace)) == 9


def test_both_passes_of_ekfac_say_how_far_they_are(workspace):
    _, stages = measure(workspace, names=("ekfac:0.1",), normalisations=("none",))
    assert stages[-2:] == ["eigenvalues", "references"]


def test_a_pass_is_made_for_the_references_that_are_not_there(workspace):
    measure(workspace, names=("graddot",))
    found, stages = measure(workspace, names=("graddot", "kfac:0.1"))
    assert "references" in stages
    assert [(row.candidate.name, row.normalisation) for row in found] == [
        ("graddot", "none"), ("graddot", "tempered"), ("kfac", "none"), ("kfac", "tempered"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "changed"),
    [(("kfac:0.1",), {"names": ("kfac:0.2",)}), (("ix",), {"asked": queries(" castle.")})],
    ids=["damping", "queries"],
)
def test_other_settings_and_other_queries_have_scores_of_their_own(workspace, names, changed):
    first, _ = measure(workspace, names=names, normalisations=("none",))
    other, _ = measure(workspace, normalisations=("none",), **{"names": names} | changed)
    assert len(files(workspace)) == 2
    assert first[0].scores.tolist() != other[0].scores.tolist()


def test_an_index_that_was_fitted_anew_is_scored_anew(workspace):
    (first,), _ = measure(workspace, names=("ix",), normalisations=("none",))
    words = [*SMALL]
    done("index", workspace, "--model", model_folder(), *words, "--damping-ratio", 7)
    (other,), _ = measure(workspace, names=("ix",), normalisations=("none",))
    assert len(files(workspace)) == 2
    assert first.scores.tolist() != other.scores.tolist()


def test_damaged_scores_are_refused_with_what_to_do(workspace):
    measure(workspace, names=("tokens",))
    (path,) = (workspace / "evaluations/scores").glob("*")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtefact, match="run the same evaluation again"):
        measure(workspace, names=("tokens",))


def test_scores_in_the_place_of_others_are_refused(workspace):
    measure(workspace, names=("tokens", "bm25"))
    one, other = sorted((workspace / "evaluations/scores").glob("*"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(DamagedArtefact, match="of another candidate than its name says"):
        measure(workspace, names=("tokens", "bm25"))
