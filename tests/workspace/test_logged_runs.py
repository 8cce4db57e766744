"""A training loop that logs: the index that it leaves is the one that `lorif index` builds of a model that stands
still, whatever batches, masks, divisors and orders the loop has."""

import random

import pytest
import torch
from tiny_workspace import ask, copy_of, imported, model_folder
from transformers import AutoModelForCausalLM, AutoTokenizer

import lorif_core as lf
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import Encoder
from lorif_core.store.reader import StoreReader

METHODS = {
    "lorif": {"subspace_rank": 8, "codec": "bf16"},
    "graddot": {"codec": "bf16"},
    "kronecker": {"codec": "bf16", "f": 1, "factor_rank": 2},
    "logra": {"f": 4},
}


def settings_of(name):
    return lf.method_settings(name, **METHODS[name])


def loaded_model():
    model = AutoModelForCausalLM.from_pretrained(model_folder()).eval()
    return model, AutoTokenizer.from_pretrained(model_folder())


def encoded(workspace, tokenizer):
    """Ids and sequences of all texts."""
    examples = list(workspace.files.examples(workspace.files.choose_dataset(None).dataset_id).iter_examples())
    return [one.train_id for one in examples], Encoder(tokenizer, 128, None, 400).encode_all(examples).texts


def batches_of(ids, texts, size, seed):
    order = random.Random(seed).sample(range(len(ids)), len(ids))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        batch = pad_batch([texts[place][0] for place in chosen], 0)
        yield [ids[place] for place in chosen], batch


def labels_of(batch):
    return batch.input_ids.masked_fill(~batch.target_mask, -100)


def train(workspace, method, *, epochs=1, size=16, rate=0.0, name="run", **options):
    """Train a copy of the tiny model on all texts with the mean loss of each batch; the run."""
    model, tokenizer = loaded_model()
    ids, texts = encoded(workspace, tokenizer)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with lf.log(
        workspace, model, name=name, tokenizer=tokenizer, method=method, precision="float32", **options
    ) as run:
        for epoch in range(epochs):
            for chosen, batch in batches_of(ids, texts, size, epoch):
                labels = labels_of(batch)
                with run.batch(chosen, targets=int((labels[:, 1:] != -100).sum())):
                    out = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels)
                    out.loss.backward()
                optimizer.step()
                optimizer.zero_grad()
    return run


def decoded(workspace, index_id):
    """Per module the stored gradients of all texts as whole matrices, in the order of the data set."""
    reader = StoreReader(workspace.files.index_place(workspace.files.catalog.index(index_id)))
    return {
        module.name: torch.cat([shard.block(module).dense() for shard in reader.iter_shards()])
        for module in reader.modules
    }


def built(folder, method):
    """An index of the still model, by `lorif index`'s own way."""
    workspace = lf.open_workspace(folder)
    config = lf.IndexConfig(
        model=lf.ModelConfig(model=str(model_folder()), precision="float32"),
        method=method,
        batches=lf.BatchConfig(windows="off"),
    )
    return workspace.indexes.build(config)


@pytest.mark.parametrize("name", METHODS)
def test_a_loop_that_changes_nothing_leaves_the_index_that_a_build_leaves(name, tmp_path):
    folder = copy_of(imported(), tmp_path)
    workspace, method = lf.open_workspace(folder), settings_of(name)
    record = built(folder, method)
    run = train(workspace, method, epochs=2 if name == "kronecker" else 1)
    assert run.index_id != record.index_id
    wanted, found = decoded(workspace, record.index_id), decoded(workspace, run.index_id)
    assert wanted.keys() == found.keys()
    for module, matrix in wanted.items():
        largest = float(matrix.norm(dim=(1, 2)).max())
        assert float((found[module] - matrix).norm(dim=(1, 2)).max()) < 0.02 * largest, module
    asked = {"prompt": "The river of Arlen is", "completion": " castle Brook.", "k": 121, "keeps": False}
    scores = [
        dict(zip(frame["train_id"], frame["score"], strict=True))
        for frame in (workspace.ask(index_id=one, **asked).to_polars() for one in (record.index_id, run.index_id))
    ]
    first, second = (torch.tensor([one[key] for key in sorted(scores[0])]) for one in scores)
    torch.testing.assert_close(first, second, rtol=0.03, atol=0.02 * float(first.abs().max()))
    assert "run 'run' trained" in ask(folder, "--index", run.index_id)["model_share"]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_adapters_of_a_frozen_model_are_logged_and_asked(tmp_path):
    peft = pytest.importorskip("peft")
    folder = copy_of(imported(), tmp_path)
    workspace, (model, tokenizer) = lf.open_workspace(folder), loaded_model()
    config = peft.LoraConfig(r=4, target_modules=["c_fc"], task_type="CAUSAL_LM", fan_in_fan_out=True)
    model = peft.get_peft_model(model, config)
    ids, texts = encoded(workspace, tokenizer)
    with lf.log(workspace, model, name="lora", tokenizer=tokenizer, method=settings_of("graddot")) as run:
        for chosen, batch in batches_of(ids, texts, 16, 0):
            labels = labels_of(batch)
            with run.batch(chosen, targets=int((labels[:, 1:] != -100).sum())):
                model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).loss.backward()
            model.zero_grad()
    assert len(decoded(workspace, run.index_id)) == 4
    answer = ask(folder, "--index", run.index_id)
    assert len(answer["supports"]) > 0
