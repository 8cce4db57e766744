"""Questions through the command line: order, sign, completions, and settings that need no new pass over the data."""

import json
import math
import shutil

import polars as pl
import pytest
import torch
from tiny_workspace import (
    HOSTILE,
    HOSTILE_ID,
    NUM_TEXTS,
    SMALL,
    ask,
    copy_of,
    done,
    imported,
    index_folder,
    indexed,
    lorif,
    model_folder,
    rows,
    texts_file,
    write_model,
    write_rows,
)

import lorif_core as lf
from lorif_core.data.encoding import Encoder
from lorif_core.data.examples import Example
from lorif_core.models.load import load_model
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.generate_completion import generate_completion
from lorif_core.workspace.folder.progress import Cancelled

EVERYTHING = ("-k", NUM_TEXTS, "--opposing", NUM_TEXTS, "--normalisation", "none")
FLOAT = 1e-4
"""float32 sums over modules and shards in another order, relative to the largest score."""
PARTS = 2e-2
"""Parts are those of the exact gradient; the score is that of its bf16 codes, whose rounding is 2⁻⁹ per number,
at full factor rank."""


def scores(answer):
    return {hit["train_id"]: hit["score"] for hit in answer["supports"] + answer["opposes"]}


def assert_same_scores(answer, other):
    found, expected = scores(answer), scores(other)
    assert found.keys() == expected.keys()
    largest = max(map(abs, expected.values()))
    assert max(abs(found[name] - expected[name]) for name in expected) <= FLOAT * largest


@pytest.fixture(scope="module")
def everything():
    return ask(indexed(), *EVERYTHING)


def tiny_tokens(text):
    return load_model(lf.ModelConfig(model=str(model_folder()), device="cpu")).tokenizer(text)["input_ids"]


def build(tmp_path, *settings, data=None):
    workspace = tmp_path / "built"
    if data is None:
        shutil.copytree(imported(), workspace)
    else:
        done("import", workspace, data)
    # The paper's method unless the settings name another one.
    done("index", workspace, "--model", model_folder(), "--method", "lorif", "--shard-examples", 16, *settings)
    return workspace


def test_supporting_texts_are_ranked_by_falling_positive_score(everything):
    found = [hit["score"] for hit in everything["supports"]]
    assert found == sorted(found, reverse=True)
    assert min(found) > 0


def test_opposing_texts_are_ranked_by_rising_negative_score(everything):
    found = [hit["score"] for hit in everything["opposes"]]
    assert found == sorted(found)
    assert max(found) < 0


def test_every_text_supports_or_opposes_and_none_does_both(everything):
    assert sorted(scores(everything)) == sorted(row["id"] for row in rows())
    assert len(everything["supports"]) + len(everything["opposes"]) == NUM_TEXTS


def test_ranks_count_from_one_in_each_list(everything):
    for side in ("supports", "opposes"):
        assert [hit["rank"] for hit in everything[side]] == list(range(1, len(everything[side]) + 1))


def test_a_short_list_is_the_head_of_the_long_one(everything):
    short = ask(indexed(), "-k", 3, "--opposing", 2, "--normalisation", "none")
    for side, length in (("supports", 3), ("opposes", 2)):
        assert [hit["train_id"] for hit in short[side]] == [hit["train_id"] for hit in everything[side][:length]]


def test_without_opposing_there_is_no_opposing_list():
    assert ask(indexed(), "-k", 2)["opposes"] == []


def test_the_share_of_the_whole_list_is_one(everything):
    assert everything["positive_share"] == pytest.approx(1, rel=FLOAT)


def test_hits_carry_text_and_metadata_of_their_row(everything):
    by_id = {row["id"]: row for row in rows()}
    assert len(everything["supports"]) > 10
    for hit in everything["supports"]:
        row = by_id[hit["train_id"]]
        assert hit["text"] == row["prompt"] + row["completion"]
        assert (hit["metadata"]["source"], hit["metadata"]["year"]) == (row["source"], row["year"])


def test_training_on_a_supporting_text_makes_the_completion_likelier_and_on_an_opposing_one_the_other(tmp_path):
    # The sign convention against the model itself: one small step, without curvature. Scores of a
    # contrast are large on both ends, so the noise of the projection cannot turn their signs.
    built = build(tmp_path, "--method", "graddot", "--f", 1, "--factor-rank", 32)
    answer = ask(built, "-k", 1, "--opposing", 1, "--completion", " castle Brook.", "--contrast", " tower Arlen.")
    first, second = (
        Example("q", prompt=answer["question"]["prompt"], completion=answer["question"][name])
        for name in ("completion", "contrast")
    )
    by_id = {row["id"]: row for row in rows()}

    def change_after_step(hit):
        loaded = load_model(lf.ModelConfig(model=str(model_folder()), device="cpu"))
        model, encoder = loaded.model.double(), Encoder(loaded.tokenizer, 128)

        def loss(example):
            encoded = encoder.encode(example)
            ids = torch.tensor([encoded.input_ids])
            log_probabilities = model(ids).logits.log_softmax(-1)[0, :-1]
            of_next = log_probabilities.gather(1, ids[0, 1:, None])[:, 0]
            return -of_next[torch.tensor(encoded.is_target[1:])].sum()

        tracked = [parameter for name, parameter in model.named_parameters() if ".c_" in name and "weight" in name]
        text = by_id[hit["train_id"]]
        gradients = torch.autograd.grad(
            loss(Example("t", prompt=text["prompt"], completion=text["completion"])), tracked
        )
        before = (loss(second) - loss(first)).item()
        with torch.no_grad():
            for parameter, gradient in zip(tracked, gradients, strict=True):
                parameter -= 1e-6 * gradient
        return (loss(second) - loss(first)).item() - before

    assert change_after_step(answer["supports"][0]) > 0
    assert change_after_step(answer["opposes"][0]) < 0


def test_a_greedy_completion_is_the_same_each_time():
    first = ask(indexed(), "--generate", "-k", 2)
    assert first["question"]["completion"] == ask(indexed(), "--generate", "-k", 2)["question"]["completion"] != ""


def test_a_sampled_completion_depends_on_its_seed_and_on_nothing_else():
    def sample(seed):
        words = ("--generate", "--temperature", 1, "--max-new-tokens", 8, "--sampling-seed", seed, "-k", 1)
        return ask(indexed(), *words)["question"]["completion"]

    assert sample(0) == sample(0)
    assert sample(0) != sample(1)


def test_a_longer_limit_continues_the_same_greedy_completion():
    short, long = (
        lf.open_workspace(indexed())
        .ask("The river of", generate=lf.GenerateConfig(max_new_tokens=length), k=1)
        .question.completion
        for length in (3, 9)
    )
    assert long.startswith(short.rstrip("\ufffd"))
    assert len(long) > len(short)


def test_a_completion_ends_where_the_model_can_read_no_further():
    loaded = lf.open_workspace(indexed()).indexes.open().engine.loaded
    asked = lf.Question(prompt="The river of", generate=lf.GenerateConfig(max_new_tokens=500))
    said = generate_completion(loaded, asked)
    assert said.num_prompt_tokens + len(said.ids) <= loaded.max_positions
    assert len(said.ids) > 9


def test_a_completion_nobody_waits_for_any_more_is_not_said_to_its_end():
    said = []

    def stop_at_three(stage, done, total):
        said.append((stage, done, total))
        if done == 3:
            raise Cancelled

    workspace = lf.open_workspace(indexed())
    before = len(workspace.questions.records())
    with pytest.raises(Cancelled):
        workspace.ask("The river of", generate=lf.GenerateConfig(max_new_tokens=9), on_progress=stop_at_three)
    assert said == [("model", 0, 1), ("model", 1, 1), *(("generate", done, 9) for done in (1, 2, 3))]
    assert len(workspace.questions.records()) == before


def test_a_prompt_longer_than_the_model_reads_is_cut_alike_for_the_model_and_the_explanation():
    ws = lf.open_workspace(indexed())
    answer = ws.ask("The river of " * 100, generate=lf.GenerateConfig(max_new_tokens=9), k=1)
    loaded = ws.indexes.open().engine.loaded
    used, whole = answer.prompt_tokens
    assert used == answer.question.spoken.num_prompt_tokens < whole
    assert used + 9 == loaded.max_positions
    (sequence,) = encode_question(answer.question, loaded).query.sequences
    assert len(sequence.input_ids) == used + len(answer.question.spoken.ids)
    said = f"the prompt was cut: its last {used:,} of {whole:,} tokens were used"
    for shown in (answer.facts(), answer.to_dict()["remarks"], ws.reopen(answer.query_id).facts()):
        assert any(said in one for one in shown)


def test_a_text_longer_than_the_model_reads_is_cut(tmp_path):
    workspace = tmp_path / "ws"
    done(
        "import",
        workspace,
        write_rows(
            tmp_path / "texts.jsonl", [*rows()[:8], {"id": "long", "prompt": "", "completion": " river" * 300}]
        ),
    )
    done("index", workspace, "--model", model_folder(), *SMALL)
    (index,) = lf.open_workspace(workspace).indexes.records()
    assert index.num_truncated == 1
    assert ask(workspace)["supports"]


def test_scores_of_single_tokens_add_up_to_that_of_the_completion(everything):
    count = len(tiny_tokens(" castle Brook."))
    single = [scores(ask(indexed(), *EVERYTHING, "--tokens", token)) for token in range(count)]
    largest = max(map(abs, scores(everything).values()))
    assert len(scores(everything)) == NUM_TEXTS
    for name, score in scores(everything).items():
        assert sum(one[name] for one in single) == pytest.approx(score, abs=FLOAT * largest * count)


def test_all_tokens_are_the_whole_completion(everything):
    refused = lorif("ask", indexed(), "--prompt", "a", "--completion", " castle Brook.", "--tokens", "99")
    last = int(refused.err.split("between 0 and ")[1].split(",")[0])
    assert_same_scores(ask(indexed(), *EVERYTHING, "--tokens", f"0-{last}"), everything)


def test_a_contrast_is_the_difference_of_the_two_losses(everything):
    other = scores(ask(indexed(), *EVERYTHING, "--completion", " tower Arlen."))
    contrast = ask(
        indexed(),
        *EVERYTHING,
        "--completion",
        " castle Brook.",
        "--contrast",
        " tower Arlen.",
        "--normalisation",
        "none",
    )
    largest = max(map(abs, [*scores(everything).values(), *other.values()]))
    assert len(scores(contrast)) == NUM_TEXTS
    for name, score in scores(contrast).items():
        assert score == pytest.approx(scores(everything)[name] - other[name], abs=2 * FLOAT * largest)


def test_a_contrast_the_other_way_round_turns_every_sign():
    one, other = (
        scores(ask(indexed(), *EVERYTHING, "--completion", first, "--contrast", second))
        for first, second in ((" castle Brook.", " tower Arlen."), (" tower Arlen.", " castle Brook."))
    )
    largest = max(map(abs, one.values()))
    assert max(abs(one[name] + other[name]) for name in one) <= FLOAT * largest


def test_contrast_and_margin_have_the_sign_of_their_definition_wherever_they_are_shown(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    a, b = " castle Brook.", " tower Arlen."
    opened = lf.open_workspace(workspace)
    loss = {one: opened.ask("The river of Arlen is", one, k=1).objective_value for one in (a, b)}
    assert abs(loss[a] - loss[b]) > 0.01
    first, other = (opened.ask("The river of Arlen is", one, contrast=two, k=1) for one, two in ((a, b), (b, a)))
    assert first.objective_value == pytest.approx(loss[b] - loss[a], rel=1e-4)  # log p(A) - log p(B)
    assert other.objective_value == pytest.approx(-first.objective_value, rel=1e-4)
    token = opened.ask("The river of Arlen is", a, tokens=[0], k=1).objective_value
    settings = lf.ScoreConfig(objective="margin")
    margin = opened.ask("The river of Arlen is", a, tokens=[0], k=1, settings=settings)
    assert margin.objective_value == pytest.approx(-token - math.log(-math.expm1(-token)), rel=1e-4)
    for answer in (first, other, margin):
        value, query_id = answer.objective_value, answer.query_id
        assert opened.reopen(query_id).objective_value == pytest.approx(value)
        assert done("reopen", workspace, query_id, "--json").json["objective_value"] == pytest.approx(value)
        listed = {one["query_id"]: one for one in done("queries", workspace, "--json").json["queries"]}
        assert listed[query_id]["objective_value"] == pytest.approx(value)
        assert f"{value:.3f} nats" in " ".join(done("reopen", workspace, query_id).out.split())


@pytest.fixture(scope="module")
def full_rank(tmp_path_factory):
    return build(tmp_path_factory.mktemp("full"), "--factor-rank", 32, "--subspace-rank", 8)


def test_the_parts_of_a_texts_tokens_add_up_to_its_score(full_rank):
    answer = ask(full_rank, *EVERYTHING)
    largest = max(map(abs, scores(answer).values()))
    assert len(scores(answer)) == NUM_TEXTS
    for hit in answer["supports"] + answer["opposes"]:
        assert sum(token["part"] for token in hit["tokens"]) == pytest.approx(hit["score"], abs=PARTS * largest)


def test_the_tokens_of_a_text_spell_it(everything):
    assert len(everything["supports"]) > 10
    for hit in everything["supports"]:
        if hit["train_id"] != HOSTILE_ID:
            assert "".join(token["text"] for token in hit["tokens"]) == hit["text"]


@pytest.fixture(scope="module")
def shown():
    """The terminal's view of a hostile question whose strongest hit is the hostile text itself."""
    question = ("--prompt", HOSTILE["prompt"], "--completion", HOSTILE["completion"])
    return done("ask", indexed(), *question, "--normalisation", "unit").out


def test_a_text_that_would_take_over_the_terminal_is_shown_and_not_obeyed(shown):
    assert not {character for character in shown if ord(character) < 32} - {"\n"}
    assert not {character for character in shown if 0x7F <= ord(character) < 0xA0 or character in "\u202e\u202c"}
    assert "␛[31mred" in shown


def test_a_source_that_would_clear_the_terminal_is_shown_and_not_obeyed(shown):
    assert "␛[2Jcleared" in shown


def test_markup_in_a_question_is_printed_as_it_is(shown):
    (prompt,) = (line for line in shown.splitlines() if line.startswith("prompt"))
    assert prompt.endswith("[bold]x[/bold] [link=file:///etc/passwd]y[/link]")


def test_json_keeps_every_character_of_a_text(everything):
    (hit,) = (hit for hit in everything["supports"] + everything["opposes"] if hit["train_id"] == HOSTILE_ID)
    assert hit["text"] == HOSTILE["prompt"] + HOSTILE["completion"]


@pytest.mark.parametrize(
    "settings", [(), ("--objective", "margin"), ("--normalisation", "relatif"), ("--subspace-rank", 2)], ids=str
)
def test_a_scores_file_holds_what_the_same_questions_answer(settings, tmp_path):
    queries = [
        {"query_id": "one", "prompt": "The river of Arlen is", "completion": " castle Brook."},
        {"query_id": "two", "prompt": "The tower of Ivern is", "completion": " a market."},
    ]
    out = tmp_path / "scores.parquet"
    done("score", indexed(), "--queries", write_rows(tmp_path / "q.jsonl", queries), "--out", out, *settings)
    frame = pl.read_parquet(out)
    assert frame.columns == ["query_id", "example_id", "score"]
    assert frame.height == 2 * NUM_TEXTS
    for query in queries:
        words = ("--completion", query["completion"], *EVERYTHING, *settings)
        expected = scores(ask(indexed(), *words, prompt=query["prompt"]))
        rows_of = frame.filter(pl.col("query_id") == query["query_id"])
        assert rows_of["example_id"].to_list() == [row["id"] for row in rows()]
        largest = max(map(abs, expected.values()))
        for name, score in zip(rows_of["example_id"], rows_of["score"], strict=True):
            assert score == pytest.approx(expected[name], abs=FLOAT * largest)


@pytest.mark.parametrize(
    ("settings", "normalisation"),
    [
        (("--damping-ratio", 2), "none"),
        (("--damping-rule", "spectrum", "--damping-ratio", 0.5), "relatif"),
        (("--damping-rule", "absolute", "--damping", 3), "relatif"),
    ],
    ids=str,
)
def test_another_damping_in_the_question_equals_an_index_built_with_it(settings, normalisation, tmp_path):
    built = build(tmp_path, "--subspace-rank", 8, *settings)
    normalise = ("--normalisation", normalisation)
    assert_same_scores(ask(indexed(), *EVERYTHING, *normalise, *settings), ask(built, *EVERYTHING, *normalise))


def test_a_lower_rank_in_the_question_equals_an_index_built_with_it(tmp_path):
    # D is at most 16 here, so that the randomised directions of both indexes are the exact ones.
    wide, narrow = (
        build(tmp_path / name, "--f", 16, "--subspace-rank", r) for name, r in (("wide", 16), ("narrow", 4))
    )
    words = (*EVERYTHING, "--normalisation", "relatif")
    assert_same_scores(ask(wide, *words, "--subspace-rank", 4), ask(narrow, *words))


def test_graddot_is_the_plain_product_of_the_same_factors(tmp_path):
    graddot = build(tmp_path, "--method", "graddot")
    undamped = ("--subspace-rank", 0, "--damping-rule", "absolute", "--damping", 1)
    assert_same_scores(ask(graddot, *EVERYTHING), ask(indexed(), *EVERYTHING, *undamped))
    assert_same_scores(ask(graddot, *EVERYTHING), ask(graddot, *EVERYTHING, "--damping", 1))  # what it is, by name
    for other in (("--damping", 2), ("--damping-rule", "trace")):
        refused = lorif("ask", graddot, "--prompt", "The river", "--completion", " is", *other)
        assert refused.code == 2
        assert "which no damping changes" in refused.err


def test_logra_equals_full_factors_in_a_full_subspace(tmp_path):
    logra = build(tmp_path / "logra", "--method", "logra", "--f", 8)
    full = build(tmp_path / "full", "--factor-rank", 32, "--subspace-rank", 2000, "--f", 8)
    found, expected = scores(ask(logra, *EVERYTHING)), scores(ask(full, *EVERYTHING))
    largest = max(map(abs, expected.values()))
    assert max(abs(found[name] - expected[name]) for name in expected) <= PARTS * largest


def test_unit_scores_are_cosines_when_there_is_no_curvature(tmp_path):
    row = rows()[5]
    graddot = build(tmp_path, "--method", "graddot", "--factor-rank", 32)
    unit = ("--normalisation", "unit", "--end-token")  # as the text was trained on
    answer = ask(graddot, "--completion", row["completion"], *EVERYTHING, *unit, prompt=row["prompt"])
    assert answer["supports"][0]["train_id"] == row["id"]
    assert answer["supports"][0]["score"] == pytest.approx(1, abs=PARTS)
    assert max(map(abs, scores(answer).values())) <= 1 + PARTS


def test_relatif_of_a_training_text_on_itself_is_the_root_of_its_self_influence(full_rank):
    row = rows()[5]
    words = ("--completion", row["completion"], *EVERYTHING)
    plain = scores(ask(full_rank, *words, prompt=row["prompt"]))[row["id"]]
    divided = scores(ask(full_rank, *words, "--normalisation", "relatif", prompt=row["prompt"]))[row["id"]]
    assert divided == pytest.approx(plain**0.5, rel=PARTS)


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_same_index_command_again_touches_no_artefact(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    before = {folder: times(index_folder(workspace) / folder) for folder in ("parts", "subspace", "self_influence")}
    manifest = (index_folder(workspace) / "manifest.json").stat().st_mtime_ns
    records = lf.open_workspace(workspace).indexes.records()
    done("index", workspace, "--model", model_folder(), *SMALL)
    assert lf.open_workspace(workspace).indexes.records() == records
    assert {folder: times(index_folder(workspace) / folder) for folder in before} == before
    assert (index_folder(workspace) / "manifest.json").stat().st_mtime_ns == manifest


@pytest.mark.parametrize(
    "settings", [("--damping-ratio", 2), ("--subspace-rank", 4), ("--method", "graddot")], ids=str
)
def test_another_curvature_reuses_the_stored_gradients(settings, tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    before = times(index_folder(workspace) / "parts")
    subspaces = times(index_folder(workspace) / "subspace")
    kept = SMALL if "--method" not in settings else ("--shard-examples", 16)
    done("index", workspace, "--model", model_folder(), *kept, *settings)
    assert times(index_folder(workspace) / "parts") == before
    assert times(index_folder(workspace) / "subspace") != subspaces


def test_another_factor_rank_is_another_index(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    done("index", workspace, "--model", model_folder(), *SMALL, "--factor-rank", 2)
    assert len(list((workspace / "indexes").iterdir())) == 2


def test_a_moved_model_is_found_with_its_new_place(tmp_path, everything):
    model = shutil.copytree(model_folder(), tmp_path / "here")
    workspace = shutil.copytree(imported(), tmp_path / "ws")
    done("index", workspace, "--model", model, *SMALL)
    model = model.rename(tmp_path / "there")
    refused = lorif("ask", workspace, "--prompt", "a", "--completion", " b")
    assert refused.code == 2
    assert "here' is neither a folder nor a model" in refused.err
    assert_same_scores(ask(workspace, *EVERYTHING, "--model", model), everything)


def test_another_model_is_refused_with_both_fingerprints_and_the_remedy(tmp_path):
    other = write_model(tmp_path / "other", seed=1)
    refused = lorif("ask", indexed(), "--prompt", "a", "--completion", " b", "--model", other)
    assert refused.code == 2
    assert "was built from a model with fingerprint" in refused.err
    assert "Pass the right folder with `--model`, or build a new index." in refused.err


def test_another_tokenizer_is_refused(tmp_path):
    other = shutil.copytree(model_folder(), tmp_path / "other")
    content = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    one, two = list(vocabulary)[40:42]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    refused = lorif("ask", indexed(), "--prompt", "a", "--completion", " b", "--model", other)
    assert refused.code == 2
    assert "was built from a tokenizer with fingerprint" in refused.err


def test_replaced_training_texts_are_refused(tmp_path):
    # The scores would be those of the old texts, shown beside the new ones.
    workspace = copy_of(indexed(), tmp_path)
    (examples,) = workspace.glob("datasets/*/examples.parquet")
    changed = [{**row, "completion": row["completion"] + "!"} for row in rows()]
    done("import", tmp_path / "other", write_rows(tmp_path / "texts.jsonl", changed))
    (replacement,) = (tmp_path / "other").glob("datasets/*/examples.parquet")
    shutil.copy(replacement, examples)
    refused = lorif("ask", workspace, "--prompt", "a", "--completion", " b")
    assert refused.code == 2
    assert "was built from data with fingerprint" in refused.err


def test_an_answer_becomes_a_frame_with_the_metadata_columns():
    answer = lf.open_workspace(indexed()).ask("The river of Arlen is", " castle Brook.", k=4, num_opposing=2)
    frame = answer.to_polars()
    assert frame.columns == ["rank", "train_id", "score", "z", "text", "source", "year"]
    assert frame["train_id"].to_list()[:4] == answer.ids
    assert frame.height == 6


def test_an_index_of_plain_text_can_be_asked(tmp_path):
    plain = write_rows(tmp_path / "p.jsonl", [{"text": row["prompt"] + row["completion"]} for row in rows()])
    built = build(tmp_path, "--subspace-rank", 8, data=plain)
    assert ask(built, "-k", 5)["num_scored"] == NUM_TEXTS


def test_texts_cut_at_the_length_limit_are_counted(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    words = ("--subspace-rank", 8, "--max-length", 8, "--json")
    tokenizer = load_model(lf.ModelConfig(model=str(model_folder()), device="cpu")).tokenizer
    lengths = [sum(map(len, tokenizer([row["prompt"], row["completion"]])["input_ids"])) + 1 for row in rows()]
    record = done("index", workspace, "--model", model_folder(), *words).json
    assert record["num_truncated"] == sum(length > 8 for length in lengths) > 0


def test_scores_of_the_training_texts_come_in_store_order(tmp_path):
    out = tmp_path / "s.parquet"
    done("score", indexed(), "--queries", texts_file(), "--out", out)
    frame = pl.read_parquet(out).filter(pl.col("query_id") == "t000")
    assert frame["example_id"].to_list() == [row["id"] for row in rows()]


def test_a_text_longer_than_the_positions_of_the_model_is_cut_there(tmp_path):
    rows = [{"id": "long", "text": "river Arlen " * 400}, {"id": "short", "text": "The river of Arlen."}]
    done("import", tmp_path / "ws", write_rows(tmp_path / "texts.jsonl", rows))
    done("index", tmp_path / "ws", "--model", model_folder(), *SMALL)
    assert len(ask(tmp_path / "ws")["supports"]) >= 1
