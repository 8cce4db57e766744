"""Indexes of half-whitened codes from the command line: scores, statistics, budgets, interruption, damage."""

import json
import shutil
import signal
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl
import pytest
import torch
from oracles import close, kronecker_influence, project, second_moments, unpack_signs, weight_gradients
from safetensors.torch import load_file
from tiny_workspace import (
    bytes_below,
    copy_of,
    done,
    index_folder,
    lasting_bytes_below,
    lorif,
    manifest_of,
    model_folder,
    root,
    rows,
    start,
    write_rows,
)
from transformers import AutoModelForCausalLM, AutoTokenizer

import lorif_core as lf
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.errors import ArtefactError
from lorif_core.methods import kronecker
from lorif_core.methods.method_settings import IndexConfig, KroneckerConfig
from lorif_core.workspace.indexes import build_index as indexing
from lorif_core.workspace.indexes import index_job
from lorif_core.workspace.indexes import take_statistics as statistics
from lorif_core.workspace.workspace import open_workspace

NUM_TEXTS = 70
"""More than the examples of one step of the statistics, so that there are two steps."""

TEXTS = rows()[:NUM_TEXTS]
PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."
QUESTION = ("--prompt", PROMPT, "--completion", COMPLETION)
ALPHA = 0.01
FACTORS_ONLY = ("--head-columns", 0, "--include", "*")
"""Attention and MLP; the output head, which is stored otherwise, has tests of its own."""

EXACT = ("--factor-rank", 32, "--codec", "bf16")
"""Full rank, as the model is 32 wide: nothing is lost but bf16's rounding."""

BF16 = 2e-2
"""Relative to the largest score: every factor is off by up to 2⁻⁹, which adds up at random."""

FLOAT32 = 1e-3
"""Float32 gradients, multiplied by roots that magnify small directions up to tenfold."""


@cache
def imported() -> Path:
    workspace = root() / "whitened-imported"
    done("import", workspace, write_rows(root() / "whitened-texts.jsonl", TEXTS))
    return workspace


def index_command(workspace, *words):
    method = () if "--method" in words else ("--method", "kronecker", "--alpha", ALPHA, *FACTORS_ONLY)
    return ("index", workspace, "--model", model_folder(), "--shard-examples", 16, *method, *words)


@cache
def built(*words) -> Path:
    """A workspace with one index; copy it before writing to it."""
    workspace = copy_of(imported(), root() / f"whitened-{'-'.join(map(str, words))}")
    done(*index_command(workspace, *words))
    return workspace


def scores(workspace, *words, refine: int | None = 0):
    """Score of every text, in the order of the texts; plain products unless it says otherwise."""
    steps = () if refine is None else ("--refine", refine)
    every = ("-k", NUM_TEXTS, "--opposing", NUM_TEXTS, "--forget", "--end-token", "--normalisation", "none", *steps)
    answer = done("ask", workspace, *QUESTION, *every, *words, "--json").json
    found = {hit["train_id"]: hit["score"] for hit in answer["supports"] + answer["opposes"]}
    return torch.tensor([found.get(row["id"], 0.0) for row in TEXTS], dtype=torch.float64)


@cache
def oracle_model():
    return AutoModelForCausalLM.from_pretrained(model_folder(), dtype=torch.float64).eval()


def encoded(prompt, completion):
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    before, after = tokenizer(prompt)["input_ids"], tokenizer(completion)["input_ids"] + [tokenizer.eos_token_id]
    return before + after, [False] * len(before) + [True] * len(after)


@cache
def sequences():
    return [encoded(row["prompt"], row["completion"]) for row in TEXTS]


@cache
def dense_gradients():
    """Per module, the gradients of the query and of every text, (i, o) and (N, i, o)."""
    names = [module["name"] for module in manifest_of(built(*EXACT))["modules"]]
    query = weight_gradients(oracle_model(), names, *encoded(PROMPT, COMPLETION))
    trains = [weight_gradients(oracle_model(), names, *sequence) for sequence in sequences()]
    return {name: (query[name], torch.stack([train[name] for train in trains])) for name in names}


@cache
def dense_scores():
    """Scores and self-influences in nats with dense solves, nothing factored and nothing rounded, (N,) each.

    The moments are per token, the Fisher matrix that is inverted is a sum over the tokens of all texts.
    """
    moments = second_moments(oracle_model(), list(dense_gradients()), sequences())
    total, own = torch.zeros(NUM_TEXTS, dtype=torch.float64), torch.zeros(NUM_TEXTS, dtype=torch.float64)
    for name, (query, trains) in dense_gradients().items():
        left, right, count = moments[name]
        total += kronecker_influence(query[None], trains, left / count, right / count, ALPHA)[0]
        for n, train in enumerate(trains):
            own[n] += kronecker_influence(train[None], train[None], left / count, right / count, ALPHA)[0, 0]
    return total / num_train_tokens(), own / num_train_tokens()


def num_train_tokens():
    """Tokens of all texts, none of which is cut."""
    return sum(len(ids) for ids, _ in sequences())


def test_a_full_rank_index_has_the_scores_of_dense_solves():
    close(scores(built(*EXACT)), dense_scores()[0], relative=BF16)


@pytest.mark.parametrize(("normalisation", "power"), [("tempered", 0.25), ("relatif", 0.5)])
def test_normalised_scores_are_divided_by_that_power_of_the_self_influence(normalisation, power):
    total, own = dense_scores()
    close(scores(built(*EXACT), "--normalisation", normalisation), total / own**power, relative=BF16)


def test_tempered_scores_are_plain_ones_divided_by_the_fourth_root_of_the_stored_self_influence():
    files = sorted(index_folder(built()).glob("self_influence/*.safetensors"))
    own = torch.cat([load_file(file)["self_influence"] for file in files]).double() / num_train_tokens()
    assert float(own.max() / own.min()) > 1.5  # otherwise the power would hardly show
    close(scores(built(), "--normalisation", "tempered"), scores(built()) / own**0.25, relative=1e-6)


def shard_tensors(workspace):
    files = sorted(index_folder(workspace).glob("parts/*.safetensors"))
    parts = [load_file(file) for file in files]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def stored_maps(workspace):
    files = index_folder(workspace).glob("maps/*.safetensors")
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def test_scores_of_packed_signs_are_those_of_the_signs_unpacked_bit_by_bit():
    manifest, stored = manifest_of(built()), shard_tensors(built())
    assert (manifest["codec"], manifest["factor_rank"], manifest["f"]) == ("sign", 2, 1)
    maps, wanted = stored_maps(built()), torch.zeros(NUM_TEXTS, dtype=torch.float64)
    for module in manifest["modules"]:
        name, query = module["name"], dense_gradients()[module["name"]][0]
        whitened = project(query, maps[f"input/{name}"], maps[f"output/{name}"])
        left = unpack_signs(stored[f"left/{name}"], stored[f"left_scale/{name}"], module["d_in"])
        right = unpack_signs(stored[f"right/{name}"], one_each(stored[f"left_scale/{name}"]), module["d_out"])
        for n in range(NUM_TEXTS):
            wanted[n] += sum(left[n, c] @ whitened @ right[n, c] for c in range(2))
    close(scores(built()), wanted / num_train_tokens(), relative=FLOAT32)


def one_each(scales):
    """Of the right factors: a term has one scale, which lies with its left one."""
    return torch.ones_like(scales)


@cache
def rows_of_codes():
    """What the sign codes stand for, and the query in the same coordinates, in float64: (N, D) and (D,)."""
    manifest, stored = manifest_of(built()), shard_tensors(built())
    maps, trains, query = stored_maps(built()), [], []
    for module in manifest["modules"]:
        name = module["name"]
        left = unpack_signs(stored[f"left/{name}"], stored[f"left_scale/{name}"], module["d_in"])
        right = unpack_signs(stored[f"right/{name}"], one_each(stored[f"left_scale/{name}"]), module["d_out"])
        trains.append(torch.einsum("nci,nco->nio", left, right).flatten(1))
        query.append(project(dense_gradients()[name][0], maps[f"input/{name}"], maps[f"output/{name}"]).flatten())
    return torch.cat(trains, 1), torch.cat(query)


@pytest.mark.parametrize(("words", "ratio"), [((), 3.0), (("--refine-ratio", 0.1), 0.1)])
def test_refined_scores_are_those_of_the_dense_inverse_of_all_stored_codes_together(words, ratio):
    rows, query = rows_of_codes()
    gram = rows @ rows.T / num_train_tokens()
    damping = ratio * gram.diagonal().mean() * torch.eye(NUM_TEXTS, dtype=torch.float64)
    plain = rows @ query / num_train_tokens()
    wanted = plain - gram @ torch.linalg.solve(gram + damping, plain)
    assert float((wanted - plain).norm()) > 0.05 * float(plain.norm())  # otherwise it would hardly show
    close(scores(built(), *words, refine=60), wanted, relative=FLOAT32)


def test_scores_are_refined_on_request_only():
    assert torch.equal(scores(built(), refine=None), scores(built(), refine=0))
    assert not torch.allclose(scores(built(), refine=2), scores(built(), refine=0))


def test_shards_do_not_change_a_refined_score(tmp_path):
    other = copy_of(imported(), tmp_path / "other")
    done(*index_command(other, "--shard-examples", 7))
    close(scores(other, refine=4), scores(built(), refine=4), relative=FLOAT32)


def test_the_parts_of_a_texts_tokens_add_up_to_its_refined_score():
    answer = done("ask", built(*EXACT), *QUESTION, "-k", 3, "--forget", "--json").json
    assert len(answer["supports"]) == 3
    for hit in answer["supports"]:
        assert sum(token["part"] for token in hit["tokens"]) == pytest.approx(hit["score"], rel=BF16)


@pytest.mark.parametrize("method", [("graddot",), ("lorif", "--subspace-rank", 2)], ids=str)
def test_refining_is_refused_where_a_query_is_not_half_whitened(method, tmp_path):
    workspace = copy_of(imported(), tmp_path / "ws")
    done("index", workspace, "--model", model_folder(), "--method", *method)
    run = lorif("ask", workspace, *QUESTION, "--refine", 2)
    assert run.code == 2
    assert "refine is for half-whitened indexes" in run.err


@pytest.mark.parametrize(
    "settings", [("--tokens-per-batch", 1), ("--tokens-per-batch", 100_000), ("--shard-examples", 7)], ids=str
)
def test_batch_and_shard_sizes_do_not_change_a_score(settings, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    done(*index_command(workspace, *EXACT, *settings))
    # A flipped last bit of a bf16 code, now and then.
    close(scores(workspace), scores(built(*EXACT)), relative=2e-3)


def test_the_order_of_the_texts_does_not_change_a_score(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "texts.jsonl", TEXTS[::-1]))
    done(*index_command(tmp_path / "ws", *EXACT))
    close(scores(tmp_path / "ws"), scores(built(*EXACT)), relative=2e-3)


class Stop(BaseException):
    """Thrown into a build, as Ctrl-C is."""


class Stages:
    """Remembers the stages of a build, and stops it at one of them."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def __call__(self, stage, number, total):
        self.seen.append((stage, number))
        if self.stop_at is not None and stage == self.stop_at[0] and number >= self.stop_at[1]:
            raise Stop

    def of(self, stage):
        return [number for seen, number in self.seen if seen == stage]


def config_of(*, budget=None, alpha=ALPHA, codec="sign", f=None):
    return IndexConfig(
        model=ModelConfig(model=str(model_folder()), include=("*",)),
        method=KroneckerConfig(codec=codec, f=f, alpha=alpha, budget=budget, head_columns=0),
        batches=BatchConfig(shard_examples=16, tokens_per_batch=256),
    )


def build(workspace, *, stop_at=None, **changes):
    """An index through the interface of the workspace, which says its stages."""
    stages = Stages(stop_at)
    try:
        open_workspace(workspace).indexes.build(config_of(**changes), on_progress=stages)
    except Stop:
        assert stop_at is not None
    else:
        assert stop_at is None, "the build ended before it could be stopped"
    return stages


def statistics_files(workspace):
    return bytes_below(workspace / "statistics")


@pytest.mark.parametrize("changes", [{"alpha": 0.1}, {"codec": "int4"}, {"f": 2}, {"budget": "2KB"}], ids=str)
def test_statistics_are_taken_once_for_all_settings_that_follow_them(changes, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    assert build(workspace).of("statistics") == [64, NUM_TEXTS]
    kept = statistics_files(workspace)
    assert len(kept) == len(manifest_of(workspace)["modules"])
    assert build(workspace, **changes).of("statistics") == []
    assert statistics_files(workspace) == kept
    assert len(list((workspace / "indexes").iterdir())) == 2


def test_another_alpha_has_other_scores():
    other = scores(built("--alpha", 0.1))
    assert float((other - scores(built())).abs().max()) > 0.1 * float(other.abs().max())


def test_a_smaller_sample_has_statistics_of_its_own(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    done(*index_command(workspace))
    done(*index_command(workspace, "--stats-examples", 20))
    assert len(statistics_files(workspace)) == 2 * len(manifest_of(built())["modules"])
    assert len(list((workspace / "indexes").iterdir())) == 2


def upper(matrix):
    """By rows, as it is stored."""
    rows, columns = torch.triu_indices(*matrix.shape)
    return matrix[rows, columns]


def test_stored_statistics_are_those_of_every_token_of_the_sample(tmp_path):
    names = [module["name"] for module in manifest_of(built())["modules"]]
    files, wanted = [], second_moments(oracle_model(), names, sequences())
    for file in (built() / "statistics").glob("*.safetensors"):
        found = load_file(file)
        (name,) = [key.removeprefix("input/") for key in found if key.startswith("input/")]
        inputs, output_grads, num_tokens = wanted[name]
        assert [int(found[key]) for key in ("num_examples", "sample_examples")] == [NUM_TEXTS, NUM_TEXTS]
        assert found["num_tokens"].tolist() == [num_tokens]
        close(found[f"input/{name}"], upper(inputs), relative=1e-4)
        close(found[f"output/{name}"], upper(output_grads), relative=1e-4)
        files.append(name)
    assert sorted(files) == sorted(names)


@cache
def undisturbed(budget=None):
    workspace = copy_of(imported(), root() / f"whitened-undisturbed-{budget}")
    build(workspace, budget=budget, f=1)
    return lasting_bytes_below(workspace)


def assert_same_bytes(workspace, budget=None):
    for folder in ("indexes", "statistics"):
        whole = {name: content for name, content in undisturbed(budget).items() if name.startswith(folder)}
        found = {f"{folder}/{name}": content for name, content in lasting_bytes_below(workspace / folder).items()}
        assert found.keys() == whole.keys()
        assert [name for name in whole if found[name] != whole[name]] == []


MOMENTS = [("statistics", 64), ("statistics", 70), ("gradients", 1), ("gradients", 40), ("self-influence", 2)]


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
@pytest.mark.parametrize("budget", [None, "120B"])  # 120 bytes leave modules out
def test_a_build_that_is_stopped_ends_with_the_same_bytes_as_an_undisturbed_one(moment, budget, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    build(workspace, stop_at=moment, budget=budget, f=1)
    assert manifest_is_unfinished(workspace)
    build(workspace, budget=budget, f=1)
    assert_same_bytes(workspace, budget)


def manifest_is_unfinished(workspace):
    found = list((workspace / "indexes").glob("*/manifest.json"))
    return not found or manifest_of(workspace)["status"] != "complete"


def test_statistics_go_on_behind_the_last_step_that_was_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "SECONDS_PER_CHECKPOINT", -1)
    workspace = copy_of(imported(), tmp_path)
    build(workspace, stop_at=("statistics", NUM_TEXTS))
    assert build(workspace).of("statistics") == [NUM_TEXTS]
    assert_same_bytes(workspace)


def test_statistics_are_the_same_in_as_many_passes_as_there_is_memory_for(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "room_for_moments", lambda free: 0)
    workspace = copy_of(imported(), tmp_path)
    stages = build(workspace, f=1)
    passes = len(manifest_of(workspace)["modules"])
    assert max(stages.of("statistics")) == passes * NUM_TEXTS
    assert_same_bytes(workspace)


def test_a_build_that_is_stopped_among_the_roots_goes_on_with_those_that_are_there(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    build(workspace, stop_at=("roots", 3), f=1)
    stages = build(workspace, f=1)
    assert stages.of("statistics") == []
    passes = len(manifest_of(workspace)["modules"])
    assert max(stages.of("roots")) == passes - 3
    assert_same_bytes(workspace)


def test_a_sample_grows_until_it_holds_enough_tokens_for_the_widest_module(tmp_path, monkeypatch):
    monkeypatch.setattr(kronecker, "STATS_EXAMPLES", 4)
    monkeypatch.setattr(kronecker, "STATS_TOKENS_PER_DIMENSION", 2)
    workspace = copy_of(imported(), tmp_path)
    build(workspace, f=1)
    (file, *_) = (workspace / "statistics").glob("*.safetensors")
    found = load_file(file)
    wanted = manifest_of(workspace)["whitening"]["stats_tokens"]
    assert wanted == 2 * max(
        max(one["in_features"], one["out_features"]) for one in manifest_of(workspace)["modules"]
    )
    assert 4 < int(found["sample_examples"]) < NUM_TEXTS
    assert wanted <= int(found["num_tokens"]) < wanted + 64 * 32  # at most a step too many


def test_a_budget_leaves_no_statistics_of_modules_that_it_left_out(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    build(workspace, budget="120B", f=1)
    kept = len(manifest_of(workspace)["modules"])
    assert kept < len(manifest_of(built())["modules"])
    assert len(statistics_files(workspace)) == kept
    assert len(list(workspace.glob("indexes/*/maps/*"))) == kept


def test_a_build_that_was_stopped_among_the_gradients_takes_up_its_shards_and_its_maps(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    build(workspace, stop_at=("gradients", 40))
    shutil.rmtree(workspace / "statistics")  # not needed any more: the maps are kept
    stages = build(workspace)
    assert stages.of("statistics") == []
    assert min(stages.of("gradients")) > 32


@pytest.mark.slow
def test_a_build_that_is_killed_ends_with_the_same_bytes_as_an_undisturbed_one(tmp_path):
    slowly = ("--tokens-per-batch", 1)
    whole = copy_of(imported(), tmp_path / "whole")
    done(*index_command(whole, *slowly))
    workspace = copy_of(imported(), tmp_path / "killed")
    process = start(*index_command(workspace, *slowly), at="parts/.00002-*.unfinished", gets=signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    assert manifest_is_unfinished(workspace)
    done(*index_command(workspace, *slowly))
    found, wanted = lasting_bytes_below(index_folder(workspace)), lasting_bytes_below(index_folder(whole))
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []


def test_an_index_built_twice_has_the_same_bytes(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    done(*index_command(workspace))
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(built()))


def bytes_of_an_example(workspace):
    """Everything that is stored for one example, from the tensors themselves."""
    stored = sum(tensor[0].numel() * tensor.element_size() for tensor in shard_tensors(workspace).values())
    (file, *_) = sorted(index_folder(workspace).glob("self_influence/*.safetensors"))
    return stored + load_file(file)["self_influence"].element_size()


@pytest.mark.parametrize("budget", ["120B", "500B", "1KB", "1KiB"])
def test_an_example_takes_at_most_the_budget_and_nearly_all_of_it(budget):
    limit = {"120B": 120, "500B": 500, "1KB": 1000, "1KiB": 1024}[budget]
    workspace = built("--budget", budget)
    dearest = max(2 * (2 + 2) + (one["d_in"] + one["d_out"]) // 8 for one in manifest_of(workspace)["modules"])
    assert limit - dearest < bytes_of_an_example(workspace) <= limit


def test_modules_without_a_term_are_neither_in_the_shards_nor_in_the_maps():
    workspace = built("--budget", "120B", "--f", 1)
    manifest, names = manifest_of(workspace), {module["name"] for module in manifest_of(built())["modules"]}
    kept = {module["name"] for module in manifest["modules"]}
    assert kept < names
    assert manifest["ranks"].keys() == kept
    assert all(rank >= 1 for rank in manifest["ranks"].values())
    maps = stored_maps(workspace)
    assert maps.keys() == {f"{side}/{name}" for name in kept for side in ("input", "output")}
    stored = {name.split("/", 1)[1] for name in shard_tensors(workspace) if "/" in name}
    assert stored == kept


def test_every_module_stores_as_many_terms_as_its_rank():
    workspace = built("--budget", "1KB")
    ranks, stored = manifest_of(workspace)["ranks"], shard_tensors(workspace)
    assert len(set(ranks.values())) > 1  # the budget tells modules apart
    assert {name: stored[f"left/{name}"].shape[1] for name in ranks} == ranks
    assert {name: stored[f"right/{name}"].shape[1] for name in ranks} == ranks


def test_an_index_with_a_budget_has_the_scores_of_its_codes():
    workspace = built("--budget", "500B", "--f", 1)
    manifest, stored = manifest_of(workspace), shard_tensors(workspace)
    maps, wanted = (
        stored_maps(workspace),
        torch.zeros(NUM_TEXTS, dtype=torch.float64),
    )
    for module in manifest["modules"]:
        name = module["name"]
        whitened = project(dense_gradients()[name][0], maps[f"input/{name}"], maps[f"output/{name}"])
        left = unpack_signs(stored[f"left/{name}"], stored[f"left_scale/{name}"], module["d_in"])
        right = unpack_signs(stored[f"right/{name}"], one_each(stored[f"left_scale/{name}"]), module["d_out"])
        for n in range(NUM_TEXTS):
            wanted[n] += sum(left[n, c] @ whitened @ right[n, c] for c in range(manifest["ranks"][name]))
    close(scores(workspace), wanted / num_train_tokens(), relative=FLOAT32)


def test_the_doctor_finds_nothing_wrong_with_an_index_with_a_budget():
    assert done("doctor", built("--budget", "500B"), "--json").json["workspace"]["findings"] == []


def test_the_same_command_leaves_a_complete_index_with_a_budget_alone(tmp_path):
    workspace = copy_of(built("--budget", "500B"), tmp_path)
    done(*index_command(workspace, "--budget", "500B"))
    assert bytes_below(index_folder(workspace)) == bytes_below(index_folder(built("--budget", "500B")))


def test_a_random_projection_can_have_a_budget_too():
    workspace = built("--method", "lorif", "--budget", "500B", "--subspace-rank", 8)
    assert bytes_of_an_example(workspace) <= 500
    assert int((scores(workspace) != 0).sum()) == NUM_TEXTS


def test_a_budget_below_one_term_is_refused(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    refused = lorif(*index_command(workspace, "--budget", "14B"))
    assert refused.code == 2
    assert "a budget must hold one term of the narrowest module" in refused.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--damping-ratio", 0.1), "the damping of half-whitened gradients is `--alpha`"),
        (("--damping-rule", "absolute", "--damping", 2), "the damping of half-whitened gradients is `--alpha`"),
        (("--budget", "1KB", "--factor-rank", 2), "Pass one of `--budget` and `--factor-rank`"),
        (("--budget", "plenty"), "a budget is a number of bytes per text like 1KB or 512B, got 'plenty'"),
        (("--alpha", 0), "alpha must be > 0, got 0.0"),
        (("--stats-examples", 0), "stats_examples must be at least 1, got 0"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(words, message, tmp_path):
    refused = lorif(*index_command(imported(), *words))
    assert refused.code == 2
    assert message in " ".join(refused.err.replace("│", " ").split())


def test_a_subspace_over_half_whitened_gradients_has_a_damping_ratio():
    workspace = built("--subspace-rank", 4, "--damping-ratio", 0.1)
    assert manifest_of(workspace)["curvature"]["damping_ratio"] == 0.1
    assert int((scores(workspace) != 0).sum()) == NUM_TEXTS


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("damage", "word"), [(flip_a_byte, "is damaged"), (Path.unlink, "is missing")])
def test_damaged_maps_are_named_by_the_doctor_and_refused_by_a_question(damage, word, tmp_path):
    workspace = copy_of(built(), tmp_path)
    path = min(index_folder(workspace).glob("maps/*.safetensors"))
    damage(path)
    report = lorif("doctor", workspace, "--json")
    assert report.code == 2
    (finding,) = report.json["workspace"]["findings"]
    assert f"maps/{path.name}' {word}" in finding["problem"]
    refused = lorif("ask", workspace, *QUESTION, "--forget")
    assert refused.code == 2
    assert f"maps/{path.name}' {word}" in refused.err


def test_statistics_that_cannot_be_read_are_named_with_the_way_out(tmp_path):
    workspace = copy_of(built(), tmp_path)
    file = min((workspace / "statistics").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    refused = lorif(*index_command(workspace, "--alpha", 0.1))
    assert refused.code == 2
    assert "Delete it; the statistics are taken again." in " ".join(refused.err.split())


EMPTY = [*TEXTS[:3], {"id": "silent", "prompt": "The tower of Brook is", "completion": ""}]


def test_a_row_with_an_empty_completion_is_kept_and_its_end_token_is_its_target(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "texts.jsonl", EMPTY), "--keep-empty")
    opened = open_workspace(tmp_path / "ws")
    (record,) = opened.files.catalog.datasets()
    kept = {example.train_id: example for example in opened.files.examples(record.dataset_id).iter_examples()}
    assert kept.keys() == {row["id"] for row in EMPTY}
    done(*index_command(tmp_path / "ws"))
    index = opened.indexes.open()
    found = index.engine.encoder.encode(kept["silent"])
    ids, targets = encoded("The tower of Brook is", "")
    assert (found.input_ids, found.is_target) == (ids, targets)
    assert ids[-1] == AutoTokenizer.from_pretrained(model_folder()).eos_token_id
    assert sum(targets) == 1


def test_without_the_flag_a_row_with_an_empty_completion_is_rejected(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "texts.jsonl", EMPTY))
    opened = open_workspace(tmp_path / "ws")
    (record,) = opened.files.catalog.datasets()
    assert record.num_examples == 3


def test_a_query_with_an_empty_completion_asks_for_the_end_token(tmp_path):
    query = write_rows(tmp_path / "queries.jsonl", [{"id": "q", "prompt": "The tower of Brook is", "completion": ""}])
    done("score", built(*EXACT), "--queries", query, "--out", tmp_path / "scores.parquet", "--refine", 0)
    found = torch.from_numpy(pl.read_parquet(tmp_path / "scores.parquet")["score"].to_numpy().copy())
    moments = second_moments(oracle_model(), list(dense_gradients()), sequences())
    gradient = weight_gradients(oracle_model(), list(dense_gradients()), *encoded("The tower of Brook is", ""))
    wanted = torch.zeros(NUM_TEXTS, dtype=torch.float64)
    for name, (_, trains) in dense_gradients().items():
        left, right, count = moments[name]
        wanted += kronecker_influence(gradient[name][None], trains, left / count, right / count, ALPHA)[0]
    close(found, wanted / num_train_tokens(), relative=BF16)


@pytest.mark.parametrize("budget", [None, "120B"])
def test_a_crash_between_the_maps_and_the_plan_that_names_them_is_resumed(budget, tmp_path, monkeypatch):
    workspace = copy_of(imported(), tmp_path)

    def crash(folder, plan):
        raise Stop

    monkeypatch.setattr(indexing, "write_plan", crash)
    with pytest.raises(Stop):
        open_workspace(workspace).indexes.build(config_of(budget=budget, f=1))
    assert list((workspace / "indexes").glob("*/maps/*.safetensors"))
    monkeypatch.undo()
    build(workspace, budget=budget, f=1)
    assert_same_bytes(workspace, budget)


def test_the_catalog_counts_the_modules_that_a_budget_left():
    workspace = built("--budget", "120B", "--f", 1)
    (record,) = open_workspace(workspace).indexes.records()
    modules = manifest_of(workspace)["modules"]
    assert record.num_modules == len(modules)
    assert record.total_dim == sum(module["d_in"] * module["d_out"] for module in modules)


def test_statistics_with_one_flipped_bit_are_refused_not_used(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    build(workspace)
    file = min((workspace / "statistics").glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(bytes(content))
    refused = lorif(*index_command(workspace, "--alpha", 0.5))
    assert refused.code == 2
    assert "is not what was written" in refused.err
    assert "Delete it" in refused.err


def test_the_command_says_what_a_budget_bought(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    out = done(*index_command(workspace, "--budget", "500B")).out
    assert "The budget of 500 bytes bought" in out


def test_an_index_whose_refit_was_stopped_is_not_scored_by_the_new_settings(tmp_path):
    """The catalog has the new settings then, and the manifest the old curvature: scores would be in another unit."""
    workspace = copy_of(built("--subspace-rank", 4), tmp_path)
    opened = lf.open_workspace(workspace)
    (record,) = opened.indexes.records()
    stopped = json.loads(record.settings_json)
    stopped["method"]["subspace_rank"] = 0
    opened.files.catalog.put_index(replace(record, settings_json=json.dumps(stopped)))
    for look in (lambda: opened.ask("The river of", " Arlen"), opened.indexes.outliers):
        with pytest.raises(
            ArtefactError, match=r"its curvature is still that of before: .* Run the same `lorif index`"
        ):
            look()
    done(*index_command(workspace))
    assert opened.ask("The river of", " Arlen", k=1).ids


def test_an_index_from_before_a_term_had_one_scale_is_found_read_and_gone_on_with(tmp_path, monkeypatch):
    workspace, settings = copy_of(imported(), tmp_path), ("--f", 1, "--shard-examples", 2)
    with monkeypatch.context() as before:
        before.setattr(index_job, "scales_of", lambda codec, layout: None)
        done(*index_command(workspace, *settings))
    kept = manifest_of(workspace)
    assert "scales" not in kept
    (name,) = [module["name"] for module in kept["modules"]][:1]
    assert shard_tensors(workspace)[f"right_scale/{name}"].dtype == torch.bfloat16
    close(scores(workspace), scores(built("--f", 1)), relative=2**-7)
    for part in list((index_folder(workspace) / "parts").glob("00001*")):
        part.unlink()
    (index_folder(workspace) / "manifest.json").unlink()
    done(*index_command(workspace, *settings))
    assert manifest_of(workspace) == kept
