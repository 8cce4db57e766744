"""Runs of transformers' Trainer that log themselves."""

import pytest
import torch
from datasets import Dataset
from test_logged_runs import built, decoded, encoded, labels_of, settings_of
from tiny_workspace import copy_of, imported, model_folder
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

import lorif_core as lf
from lorif_core.data.batches import pad_batch
from lorif_core.errors import CaptureError, ConfigError
from lorif_core.integrations.transformers import IDS, KeepsIds, LorifCallback

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def workspace(tmp_path):
    return lf.open_workspace(copy_of(imported(), tmp_path))


def still_model():
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return AutoModelForCausalLM.from_pretrained(model_folder(), **none)


def rows_of(workspace, tokenizer):
    ids, texts = encoded(workspace, tokenizer)
    rows = []
    for train_id, text in zip(ids, texts, strict=True):
        batch = pad_batch([text[0]], 0)
        rows.append(
            {"id": train_id, "input_ids": batch.input_ids[0].tolist(), "labels": labels_of(batch)[0].tolist()}
        )
    return rows


def padded(features):
    """Rows of one length, labels of padding left out."""
    longest = max(len(one["input_ids"]) for one in features)

    def rows(name, value):
        return torch.tensor([one[name] + [value] * (longest - len(one[name])) for one in features])

    mask = [[1] * len(one["input_ids"]) + [0] * (longest - len(one["input_ids"])) for one in features]
    return {"input_ids": rows("input_ids", 0), "labels": rows("labels", -100), "attention_mask": torch.tensor(mask)}


def trained(workspace, folder, *, method, steps, callback=None, collator=None, **arguments):
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    log = callback or LorifCallback(workspace, name="trainer", method=method, precision="float32")
    settings = TrainingArguments(
        output_dir=str(folder / "out"), max_steps=steps, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True, **{"learning_rate": 0.0, "remove_unused_columns": False, **arguments},
    )  # fmt: skip
    trainer = Trainer(
        still_model(), settings, train_dataset=Dataset.from_list(rows_of(workspace, tokenizer)),
        data_collator=collator or log.collator(padded), processing_class=tokenizer, callbacks=[log],
    )  # fmt: skip
    trainer.train()
    return log.run


def assert_same_index(workspace, built_id, logged_id):
    wanted, found = decoded(workspace, built_id), decoded(workspace, logged_id)
    assert len(wanted) == len(found) > 0
    for module, matrix in wanted.items():
        largest = float(matrix.norm(dim=(1, 2)).max())
        assert float((found[module] - matrix).norm(dim=(1, 2)).max()) < 0.02 * largest, module
    asked = {"prompt": "The river of Arlen is", "completion": " castle Brook.", "k": 121, "keeps": False}
    scores = [
        dict(zip(frame["train_id"], frame["score"], strict=True))
        for frame in (workspace.ask(index_id=one, **asked).to_polars() for one in (built_id, logged_id))
    ]
    first, second = (torch.tensor([one[key] for key in sorted(scores[0])]) for one in scores)
    torch.testing.assert_close(first, second, rtol=0.03, atol=0.02 * float(first.abs().max()))


def test_two_hundred_steps_at_rate_zero_leave_the_index_that_a_build_leaves(workspace, tmp_path):
    method = settings_of("kronecker")
    run = trained(workspace, tmp_path, method=method, steps=200, per_device_train_batch_size=4)
    assert not run.has_dropout
    assert_same_index(workspace, built(workspace.path, method).index_id, run.index_id)


@pytest.mark.parametrize("change", [{"gradient_accumulation_steps": 3}, {"bf16": True}])
def test_what_the_trainer_divides_the_loss_by_is_divided_out(change, workspace, tmp_path):
    method = settings_of("graddot")
    run = trained(workspace, tmp_path, method=method, steps=20, per_device_train_batch_size=8, **change)
    wanted, found = decoded(workspace, built(workspace.path, method).index_id), decoded(workspace, run.index_id)
    limit = 0.1 if "bf16" in change else 0.01
    assert len(wanted) > 0
    for module, matrix in wanted.items():
        assert float((found[module] - matrix).norm()) < limit * float(matrix.norm()), module


def test_a_batch_without_ids_is_refused(workspace, tmp_path):
    with pytest.raises(CaptureError, match=r"callback\.collator.*remove_unused_columns=False"):
        trained(
            workspace, tmp_path, method=settings_of("graddot"), steps=2, collator=padded, remove_unused_columns=True
        )


def test_a_loss_that_the_model_does_not_compute_is_refused(workspace, tmp_path):
    with pytest.raises(CaptureError, match="label smoothing"):
        trained(workspace, tmp_path, method=settings_of("graddot"), steps=2, label_smoothing_factor=0.1)


def test_a_collator_without_the_ids_says_how_they_come():
    with pytest.raises(ConfigError, match="remove_unused_columns=False"):
        KeepsIds(padded, "id")([{"input_ids": [1], "labels": [1]}])


def test_a_collator_keeps_ids_and_leaves_text_out():
    seen = []
    batch = KeepsIds(lambda rows: seen.extend(rows) or {"x": 1}, "id")([{"id": "a", "text": "b", "input_ids": [1]}])
    assert seen == [{"input_ids": [1]}]
    assert batch.keys() == {"x", IDS}
    assert batch[IDS].dtype == torch.int64
