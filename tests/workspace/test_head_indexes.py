"""Indexes with the output head, against whole gradients and dense solves in float64."""

from functools import cache
from pathlib import Path

import pytest
import torch
from oracles import close, damped, project, unpack_signs, weight_gradients
from safetensors.torch import load_file
from tiny_workspace import copy_of, done, index_folder, manifest_of, model_folder, root, rows, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer

import lorif_core as lf
from lorif_core.linalg.whitening import HEAD_ALPHA

TEXTS = rows()[:60]
PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."
FLOAT32 = 2e-3
HEAD = "lm_head"


@cache
def built(*words) -> Path:
    workspace = root() / f"head-{'-'.join(map(str, words))}"
    done("import", workspace, write_rows(root() / "head-texts.jsonl", TEXTS))
    done("index", workspace, "--model", model_folder(), "--shard-examples", 16, *words)
    return workspace


def alone(*words) -> Path:
    return built("--include", HEAD, *words)


@cache
def model():
    return AutoModelForCausalLM.from_pretrained(model_folder(), dtype=torch.float64).eval()


@cache
def sequences():
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    texts = [(row["prompt"], row["completion"]) for row in TEXTS]
    found = []
    for prompt, completion in [(PROMPT, COMPLETION), *texts]:
        before, after = tokenizer(prompt)["input_ids"], tokenizer(completion)["input_ids"] + [tokenizer.eos_token_id]
        found.append((before + after, [False] * len(before) + [True] * len(after)))
    return found


@cache
def states_and_errors():
    """Of the question and of every text: h (T, d) and p - onehot(y) (T, V) at the places that predict a target."""
    found = []
    for ids, targets in sequences():
        with torch.no_grad():
            said = model()(input_ids=torch.tensor([ids]), output_hidden_states=True)
        errors = said.logits[0].softmax(1)[:-1]
        errors[torch.arange(len(ids) - 1), ids[1:]] -= 1
        places = torch.tensor(targets[1:])
        found.append((said.hidden_states[-1][0][:-1][places], errors[places]))
    return found


def num_train_tokens():
    return sum(len(ids) for ids, _ in sequences()[1:])


def head_influences():
    """⟨G_q, F⁻¹ G_n⟩ with F = Σ_n of the head as K-FAC has it, V's side diagonal; nothing compressed, (N,)."""
    pairs = states_and_errors()
    states, errors = (torch.cat(side) for side in zip(*pairs[1:], strict=True))
    left = damped(states.T @ states / len(states), HEAD_ALPHA)
    diagonal = errors.square().sum(0) / num_train_tokens()
    whole = [state.T @ error for state, error in pairs]
    query = torch.linalg.solve(left, whole[0]) / (diagonal + HEAD_ALPHA * diagonal.mean())
    return torch.stack([(query * one).sum() for one in whole[1:]]) / num_train_tokens()


def scores(workspace, *words):
    every = ("-k", len(TEXTS), "--opposing", len(TEXTS), "--forget", "--end-token", "--normalisation", "none")
    answer = done("ask", workspace, "--prompt", PROMPT, "--completion", COMPLETION, *every, *words, "--json").json
    found = {hit["train_id"]: hit["score"] for hit in answer["supports"] + answer["opposes"]}
    return torch.tensor([found.get(row["id"], 0.0) for row in TEXTS], dtype=torch.float64)


def test_all_columns_of_the_head_have_the_scores_of_the_whole_gradient():
    close(scores(alone("--head-columns", 10_000, "--codec", "bf16")), head_influences(), relative=2e-2)


def test_scores_of_stored_signs_are_those_of_the_columns_unpacked_bit_by_bit():
    workspace = alone()
    (module,) = manifest_of(workspace)["modules"]
    assert (module["name"], module["form"]) == (HEAD, "columns")
    parts = [load_file(file) for file in sorted(index_folder(workspace).glob("parts/*.safetensors"))]
    stored = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    (maps,) = [load_file(file) for file in index_folder(workspace).glob("maps/*.safetensors")]
    states, errors = states_and_errors()[0]
    query = project(states.T @ errors, maps[f"input/{HEAD}"], torch.diag(maps[f"output/{HEAD}"]))
    left = unpack_signs(stored[f"left/{HEAD}"], stored[f"left_scale/{HEAD}"], module["d_in"])
    places = stored[f"column/{HEAD}"].long() + 32768
    assert places.shape == (len(TEXTS), 8)
    wanted = [sum(left[n, m] @ query[:, places[n, m]] for m in range(8)) for n in range(len(TEXTS))]
    close(scores(workspace), torch.stack(wanted) / num_train_tokens(), relative=FLOAT32)


def test_head_and_mlps_add_up():
    mlps, both = scores(built("--include", "*mlp*")), scores(built())
    close(both, mlps + scores(alone()), relative=FLOAT32)
    assert float(scores(alone()).norm()) > 0.05 * float(both.norm())


def test_the_parts_of_a_texts_tokens_add_up_to_its_score():
    exact = built("--head-columns", 10_000, "--factor-rank", 32, "--codec", "bf16")
    answer = done("ask", exact, "--prompt", PROMPT, "--completion", COMPLETION, "-k", 3, "--forget", "--json").json
    assert len(answer["supports"]) == 3
    for hit in answer["supports"]:
        assert sum(token["part"] for token in hit["tokens"]) == pytest.approx(hit["score"], rel=2e-2)


def test_a_refined_score_is_that_of_the_dense_inverse_of_the_stored_columns():
    workspace = alone()
    opened = lf.open_workspace(workspace).indexes.open()
    (module,) = opened.reader.modules
    whole = torch.cat([one.block(module).dense().flatten(1) for one in opened.reader.iter_shards()]).double()
    gram = whole @ whole.T / num_train_tokens()
    plain = scores(workspace)
    damping = 3 * gram.diagonal().mean() * torch.eye(len(TEXTS), dtype=torch.float64)
    wanted = plain - gram @ torch.linalg.solve(gram + damping, plain)
    assert float((wanted - plain).norm()) > 0.02 * float(plain.norm())
    close(scores(workspace, "--refine", 60), wanted, relative=FLOAT32)


@pytest.mark.parametrize("words", [("--tokens-per-batch", 1), ("--shard-examples", 7)], ids=str)
def test_batches_and_shards_change_no_score(words):
    close(scores(built(*words)), scores(built()), relative=5e-3)


def test_near_texts_are_those_of_the_decoded_gradients(monkeypatch):
    index = lf.open_workspace(alone()).indexes.open()
    (module,) = index.reader.modules
    whole = torch.cat([one.block(module).dense().flatten(1) for one in index.reader.iter_shards()]).double()
    whole /= whole.norm(dim=1, keepdim=True)
    from lorif_core.passes.nearest import nearest_examples

    positions, cosines = nearest_examples(index.reader, 5, 4)
    expected = (whole @ whole[5]).index_fill(0, torch.tensor([5]), -2.0).topk(4)
    assert positions.tolist() == expected.indices.tolist()
    close(cosines, expected.values, relative=1e-4)


def test_the_head_can_be_left_out_and_says_so():
    names = [module["name"] for module in manifest_of(built("--head-columns", 0))["modules"]]
    assert names
    assert HEAD not in names
    assert weight_gradients(model(), names, *sequences()[0]).keys() == set(names)


def test_the_doctor_knows_every_file_of_it(tmp_path):
    workspace = copy_of(built(), tmp_path)
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []
