"""Data with weights from import to answer and export: a text's scores are its weight times those without weights."""

import json

import polars as pl
import pytest
from tiny_workspace import done, lorif, model_folder, rows, write_rows

WEIGHTS = [1.0, -1.0, 4.0, 0.0, -0.25, 16.0]
"""Powers of four, whose roots both factors of a gradient take: rounded codes are the same ones."""

ROWS = [row | {"advantage": WEIGHTS[place % len(WEIGHTS)]} for place, row in enumerate(rows()[:60])]
BY_ID = {row["id"]: row["advantage"] for row in ROWS}


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory):
    """The texts without and with weights, each with an index without curvature."""
    folder = tmp_path_factory.mktemp("weighted")
    data = write_rows(folder / "rollouts.jsonl", ROWS)
    found = []
    for name, flags in (("plain", []), ("weighted", ["--weight-column", "advantage"])):
        done("import", folder / name, data, *flags)
        done("index", folder / name, "--model", model_folder(), "--method", "graddot", "--shard-examples", 16)
        found.append(folder / name)
    queries = write_rows(
        folder / "queries.jsonl", [{"id": "q", "prompt": "The river of Arlen is", "completion": " castle."}]
    )
    scores = []
    for one in found:
        done("score", one, "--queries", queries, "--out", one / "scores.parquet")
        scores.append(dict(pl.read_parquet(one / "scores.parquet").select("example_id", "score").iter_rows()))
    return found, scores


def test_scores_are_the_weights_times_those_without_them(workspaces):
    _, (plain, weighted) = workspaces
    largest = max(map(abs, plain.values()))
    assert largest > 0
    for train_id, score in plain.items():
        assert weighted[train_id] == pytest.approx(BY_ID[train_id] * score, abs=2e-6 * largest, rel=1e-5)


def test_token_parts_of_a_weighted_text_add_up_to_its_score(workspaces):
    (_, weighted), (_, scores) = workspaces
    answer = done(
        "ask", weighted, "--prompt", "The river of Arlen is", "--completion", " castle.", "--normalisation", "none",
        "-k", 30, "--opposing", 30, "--json",
    ).json  # fmt: skip
    hits = [*answer["supports"], *answer["opposes"]]
    assert any(BY_ID[hit["train_id"]] < 0 for hit in hits)
    for hit in hits:
        assert hit["score"] == pytest.approx(scores[hit["train_id"]], rel=1e-4)
        assert sum(token["part"] for token in hit["tokens"]) == pytest.approx(hit["score"], rel=0.05, abs=1e-6)
        assert BY_ID[hit["train_id"]] != 0


def test_an_answer_says_what_of_the_weights_its_scores_show(workspaces):
    (plain, weighted), _ = workspaces
    asked = ("--prompt", "The river of Arlen is", "--completion", " castle.", "--json")
    for flags, said in ((("--normalisation", "none"), "and so its score"), ((), "only its sign shows")):
        answer = done("ask", weighted, *asked, *flags).json
        assert said in " ".join(answer["remarks"])
        assert said in " ".join(done("reopen", weighted, answer["query_id"], "--json").json["remarks"])
    assert "weighs" not in " ".join(done("ask", plain, *asked).json["remarks"])


def test_with_lengths_divided_out_a_weight_shows_its_sign_only(workspaces):
    (plain, weighted), _ = workspaces
    asked = ("--prompt", "The river of Arlen is", "--completion", " castle.", "-k", 60, "--opposing", 60, "--json")
    found = [
        {
            hit["train_id"]: hit["score"]
            for side in ("supports", "opposes")
            for hit in done("ask", one, *asked).json[side]
        }
        for one in (plain, weighted)
    ]
    shared = [one for one in found[1] if one in found[0]]
    assert len(shared) > 30
    for train_id in shared:
        sign = 1 if BY_ID[train_id] > 0 else -1
        assert found[1][train_id] == pytest.approx(sign * found[0][train_id], rel=1e-4)


def test_weights_are_said_when_they_are_imported_filtered_by_and_exported_as_they_were(workspaces, tmp_path):
    (plain, weighted), _ = workspaces
    said = done("import", tmp_path / "ws", weighted.parent / "rollouts.jsonl", "--weight-column", "advantage").out
    assert "weight: `advantage`" in said
    assert "10 of weight 0 teach nothing, 20 of negative weight push the model away" in " ".join(said.split())
    assert "--weight-column advantage" in done("import", tmp_path / "other", weighted.parent / "rollouts.jsonl").out
    pushed = done("browse", weighted, "--where", "advantage < 0", "--limit", 100, "--json").json
    assert pushed["total"] == 20
    done("export", weighted, "--out", tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert {row["id"]: row["advantage"] for row in map(json.loads, lines)} == BY_ID
    ids = [done("indexes", one, "--json").json for one in (plain, weighted)]
    assert ids[0] != ids[1]


def test_other_weights_are_another_version_of_the_data(workspaces, tmp_path):
    (_, weighted), _ = workspaces
    data = weighted.parent / "rollouts.jsonl"
    done("import", tmp_path / "ws", data, "--weight-column", "advantage")
    assert "Nothing added" in done("import", tmp_path / "ws", data, "--weight-column", "advantage").out
    changed = write_rows(tmp_path / "rollouts.jsonl", [ROWS[0] | {"advantage": 8.0}, *ROWS[1:]])
    assert "Nothing added" not in done("import", tmp_path / "ws", changed, "--weight-column", "advantage").out
    assert "Nothing added" not in done("import", tmp_path / "ws", data).out


def test_a_weight_column_that_is_not_there_is_refused(tmp_path):
    run = lorif("import", tmp_path / "ws", write_rows(tmp_path / "a.jsonl", ROWS), "--weight-column", "gain")
    assert run.code == 2
    assert "`--weight-column` must name a column of the data, got 'gain'" in run.err
