import sys

import pytest
import torch
from retrainings import PAD, recipe, start, texts
from tiny_models import example_of, gpt2_config, tiny_model
from transformers import GPT2LMHeadModel

from lorif_core.errors import ConfigError, DataError, NumericalError
from lorif_core.evaluation.retraining import RetrainingStopped, draw_subsets, query_losses, restored, take_step, train


def slow_losses(model, examples):
    """One text at a time, log-probabilities looked up by hand."""
    found = []
    for example in examples:
        with torch.no_grad():
            logs = model(torch.tensor([example.input_ids])).logits[0].double().log_softmax(-1)
        found.append(
            -sum(
                float(logs[place - 1, token])
                for place, (token, is_target) in enumerate(zip(example.input_ids, example.is_target, strict=True))
                if is_target
            )
        )
    return found


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_query_losses_are_the_summed_log_probabilities_of_the_targets():
    model = tiny_model("gpt2", dtype=torch.float32)
    examples = [*texts(7), example_of([5], [False])]
    got = query_losses(model, examples, PAD)
    assert got.dtype == torch.float64
    torch.testing.assert_close(
        got, torch.tensor(slow_losses(model, examples), dtype=torch.float64), rtol=0, atol=1e-4
    )


def test_a_step_on_windows_and_pairs_adds_their_weighted_losses():
    """Texts of several sequences: windows weigh 1, the rejected side of a pair −1; the loss is per target."""
    settings = recipe(clip_norm=1e9)
    model, reference = (tiny_model("gpt2", dtype=torch.float64) for _ in range(2))
    one, two, three, four, five = texts(5)
    batch = [one, (two, three), (four, five._replace(weight=-1.0))]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    value = take_step(model, batch, optimiser, settings, PAD)

    total = torch.zeros((), dtype=torch.float64)
    for weight, example in ((1, one), (1, two), (1, three), (1, four), (-1, five)):
        ids, targets = torch.tensor(example.input_ids), torch.tensor(example.is_target)
        logs = reference(ids[None]).logits[0].log_softmax(-1)
        total = total - weight * logs[:-1].gather(1, ids[1:, None])[targets[1:], 0].sum()
    loss = total / sum(sum(example.is_target) for example in (one, two, three, four, five))
    loss.backward()
    assert value == pytest.approx(float(loss.detach()), abs=1e-12)
    for name, before in reference.named_parameters():
        expected = before if before.grad is None else before - 0.5 * before.grad
        torch.testing.assert_close(model.get_parameter(name), expected, rtol=0, atol=1e-10)


def test_training_equals_the_textbook_loop():
    """torch's plain AdamW, one unpadded text at a time, gradients summed by hand."""
    settings = recipe(batch_size=3, epochs=2, clip_norm=0.5, weight_decay=0.1, learning_rate=1e-3)
    examples = texts(7)
    model, reference = (tiny_model("gpt2", dtype=torch.float64) for _ in range(2))
    losses = train(model, examples, settings, seed=5, pad_id=PAD)

    generator = torch.Generator().manual_seed(5)
    order = [rows for _ in range(2) for rows in torch.randperm(7, generator=generator).split(3)]
    optimiser = torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.1, foreach=False)
    expected = []
    for step, rows in enumerate(order):
        batch = [examples[row] for row in rows.tolist()]
        total = torch.zeros((), dtype=torch.float64)
        for example in batch:
            ids, targets = torch.tensor(example.input_ids), torch.tensor(example.is_target)
            logs = reference(ids[None]).logits[0].log_softmax(-1)
            total = total - logs[:-1].gather(1, ids[1:, None])[targets[1:], 0].sum()
        loss = total / sum(sum(example.is_target) for example in batch)
        optimiser.zero_grad()
        loss.backward()
        norm = torch.sqrt(sum((one.grad**2).sum() for one in reference.parameters() if one.grad is not None))
        for one in reference.parameters():
            if norm > 0.5 and one.grad is not None:
                one.grad *= 0.5 / norm
        optimiser.param_groups[0]["lr"] = 1e-3 * (6 - step) / 6
        optimiser.step()
        expected.append(float(loss.detach()))

    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=0)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=1e-6, msg=name)


def test_a_constant_schedule_keeps_the_learning_rate():
    linear, constant = (tiny_model("gpt2", dtype=torch.float32) for _ in range(2))
    train(linear, texts(4), recipe(epochs=1), seed=0, pad_id=PAD)  # one step: no fall yet
    train(constant, texts(4), recipe(epochs=1, schedule="constant"), seed=0, pad_id=PAD)
    assert same(weights(linear), weights(constant))
    train(linear, texts(4), recipe(epochs=2), seed=0, pad_id=PAD)
    train(constant, texts(4), recipe(epochs=2, schedule="constant"), seed=0, pad_id=PAD)
    assert not same(weights(linear), weights(constant))


def test_training_repeats_with_the_seed_and_moves_with_it():
    models = [tiny_model("gpt2", dtype=torch.float32) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train(model, texts(9), recipe(), seed=seed, pad_id=PAD)
    assert same(weights(models[0]), weights(models[1]))
    assert not same(weights(models[0]), weights(models[2]))


def test_dropout_stays_off_and_the_training_flag_comes_back():
    torch.manual_seed(0)
    dropping = GPT2LMHeadModel(gpt2_config(resid_pdrop=0.9, embd_pdrop=0.9, attn_pdrop=0.9)).train()
    plain = GPT2LMHeadModel(gpt2_config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    plain.load_state_dict(dropping.state_dict())
    for model in (dropping, plain):
        train(model, texts(6), recipe(), seed=0, pad_id=PAD)
    assert same(weights(dropping), weights(plain))
    assert all(module.training for module in dropping.modules())


def test_steps_are_counted():
    seen = []
    train(
        tiny_model("gpt2", dtype=torch.float32),
        texts(6),
        recipe(),
        seed=0,
        pad_id=PAD,
        on_step=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_training_stops_when_asked():
    with pytest.raises(RetrainingStopped, match="after 0 of 4 steps"):
        train(start().model, texts(6), recipe(), seed=0, pad_id=PAD, should_stop=lambda: True)


def test_texts_without_targets_cannot_be_trained_on():
    with pytest.raises(DataError, match="none of 2 has one"):
        train(start().model, [example_of([3], [False])] * 2, recipe(), seed=0, pad_id=PAD)


def test_a_batch_without_targets_changes_nothing_but_is_a_step():
    model = tiny_model("gpt2", dtype=torch.float32)
    losses = train(model, [example_of([3], [False]), texts(1)[0]], recipe(batch_size=1, epochs=1), seed=0, pad_id=PAD)
    assert sorted(losses.tolist())[0] == 0
    assert all(torch.isfinite(value).all() for value in weights(model).values())


def test_a_training_that_diverges_is_a_sentence():
    model = tiny_model("gpt2", dtype=torch.float32)
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(float("inf"))
    with pytest.raises(NumericalError, match="lower the learning rate"):
        train(model, texts(4), recipe(), seed=0, pad_id=PAD)


def test_weights_come_back_also_after_an_error():
    model = tiny_model("gpt2", dtype=torch.float32)
    before = weights(model)
    answers = iter([False, True])
    with pytest.raises(RetrainingStopped, match="after 1 of 4"), restored(model):
        train(model, texts(6), recipe(), seed=0, pad_id=PAD, should_stop=lambda: next(answers))
    assert same(before, weights(model))
    with restored(model) as restore:
        train(model, texts(6), recipe(), seed=0, pad_id=PAD)
        assert not same(before, weights(model))
        restore()
        assert same(before, weights(model))


def test_lora_trains_the_adapter_alone():
    settings = {"tuning": "lora", "lora_rank": 2, "lora_alpha": 4.0, "seed": 3}
    one = start(**settings).model
    torch.rand(1)  # the global generator moves on
    other = start(**settings).model
    before = weights(one)
    assert same(before, weights(other))
    train(one, texts(8), recipe(**settings), seed=0, pad_id=PAD)
    moved = {name for name, value in weights(one).items() if not torch.equal(value, before[name])}
    assert moved
    assert all("lora_" in name for name in moved)


def test_lora_without_peft_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="needs the package peft"):
        start(tuning="lora", lora_rank=2, lora_alpha=4.0)


def test_subsets_have_one_size_and_differ():
    masks = draw_subsets(11, num_subsets=6, fraction=0.5, seed=0)
    assert masks.shape == (6, 11)
    assert set(masks.sum(1).tolist()) == {6}  # round(5.5), to even
    assert len({tuple(row) for row in masks.tolist()}) == 6
    assert torch.equal(masks, draw_subsets(11, num_subsets=6, fraction=0.5, seed=0))
    assert not torch.equal(masks, draw_subsets(11, num_subsets=6, fraction=0.5, seed=1))


@pytest.mark.parametrize(
    ("count", "fraction"), [(0, 0.5), (3, 0.0), (3, 1.0), (3, 0.01), (3, 0.99), (3, float("nan"))]
)
def test_subsets_of_nothing_or_everything_are_refused(count, fraction):
    with pytest.raises(ConfigError, match="must leave some of the 10 examples out"):
        draw_subsets(10, num_subsets=count, fraction=fraction, seed=0)
