"""Gradients that a training loop logs, against ``torch.func``: the definition, before every step, in float64."""

from contextlib import ExitStack

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model, with_checkpointing
from torch import nn
from torch.func import functional_call, grad, vmap
from transformers.pytorch_utils import Conv1D

from lorif_core.capture.layouts import Segments
from lorif_core.capture.loop_hooks import LoopBatch, watch_loop
from lorif_core.errors import CaptureError
from lorif_core.linalg.maps import ModuleMaps, random_maps
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.weights import locate_weight

F64 = torch.float64


class Logger:
    """What a loop's batches gave, per module, as whole projected gradients."""

    def __init__(self, model, names=None, f=2):
        self.model = model
        shapes = [one for one in tracked_shapes(list_modules(model), f) if names is None or one.name in names]
        self.maps = {one.name: random_maps(one, f=f, seed=0).to(torch.device("cpu"), F64) for one in shapes}
        self.stack = ExitStack()
        self.watch = self.stack.enter_context(watch_loop(model, list(self.maps), set()))

    def batch(self, rows, divisors, **known):
        self.found = {}
        batch = LoopBatch(rows, divisors, **known)
        return self.watch.batch(self.maps, lambda name, one: self.found.__setitem__(name, one.dense()), batch)


def projected(model, name, maps: ModuleMaps, gradients):
    """Gradients (n, …) of a parameter as the store projects them."""
    weight = locate_weight(model, name)
    rows = torch.stack([weight.of(one) for one in gradients])
    left = rows if maps.input_map is None else maps.input_map.mT @ rows
    return left if maps.output_map is None else left @ maps.output_map


def oracle(logger, loss_of_one, inputs):
    """Per module, the projected gradient of each example's own loss, by ``vmap(grad)``."""
    parameters = {name: one.detach().clone() for name, one in logger.model.named_parameters()}
    count = len(inputs[0])
    whole = vmap(grad(loss_of_one), in_dims=(None, *[0] * len(inputs)))(parameters, *inputs)
    assert all(len(one) == count for one in whole.values())
    return {name: projected(logger.model, name, maps, whole[f"{name}.weight"]) for name, maps in logger.maps.items()}


def close(found, wanted):
    assert found.keys() == wanted.keys()
    assert len(found) > 0
    for name in wanted:
        scale = float(wanted[name].abs().max())
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-10 * max(scale, 1.0))


class Tabular(nn.Module):
    def __init__(self, widths, reuses=False):
        super().__init__()
        self.first, self.second = nn.Linear(widths[0], widths[1]), nn.Linear(widths[1], widths[1])
        self.last, self.reuses = nn.Linear(widths[1], widths[2]), reuses

    def forward(self, rows):
        hidden = torch.tanh(self.second(torch.relu(self.first(rows))))
        return self.last(torch.tanh(self.second(hidden)) if self.reuses else hidden)


class Convolving(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.last = nn.Conv2d(1, 3, 3), nn.Linear(3 * 4 * 4, 5)
        self.mix = Conv1D(5, 5)

    def forward(self, images):
        return self.mix(torch.relu(self.last(torch.relu(self.convolution(images)).flatten(1))))


def table(model, count, wide, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, *wide, dtype=F64, generator=generator),
        torch.randint(0, classes, (count,), generator=generator),
    )


def cross_entropy_of_one(model):
    def loss(parameters, row, label):
        out = functional_call(model, parameters, (row[None],))
        return nn.functional.cross_entropy(out, label[None], reduction="sum")

    return loss


MODELS = {
    "tabular": (lambda: Tabular((6, 8, 4)), (6,), 4),
    "a layer twice": (lambda: Tabular((6, 8, 4), reuses=True), (6,), 4),
    "convolving": (Convolving, (1, 6, 6), 5),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_step_logs_the_gradient_of_each_example(kind, reduction):
    make, wide, classes = MODELS[kind]
    torch.manual_seed(0)
    model = make().double()
    logger, loss_of_one = Logger(model), cross_entropy_of_one(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    with logger.stack:
        for step in range(3):
            rows, labels = table(model, 5 + step, wide, classes, seed=step)
            wanted = oracle(logger, loss_of_one, (rows, labels))
            with logger.batch(len(rows), float(len(rows)) if reduction == "mean" else 1.0):
                nn.functional.cross_entropy(model(rows), labels, reduction=reduction).backward()
            close(logger.found, wanted)
            optimizer.step()
            optimizer.zero_grad()


def test_convolutions_are_not_tracked():
    assert set(Logger(Convolving().double()).maps) == {"last", "mix"}


def test_accumulation_and_a_scaled_loss_are_divided_out():
    model = Tabular((6, 8, 4)).double()
    logger, loss_of_one = Logger(model), cross_entropy_of_one(model)
    with logger.stack:
        for micro in range(2):
            rows, labels = table(model, 4, (6,), 4, seed=micro)
            wanted = oracle(logger, loss_of_one, (rows, labels))
            with logger.batch(4, 4 * 2 / 1024.0):
                (nn.functional.cross_entropy(model(rows), labels) / 2 * 1024.0).backward()
            close(logger.found, wanted)


def test_each_example_may_have_a_divisor_of_its_own():
    model = Tabular((6, 8, 4)).double()
    logger, loss_of_one = Logger(model), cross_entropy_of_one(model)
    rows, labels = table(model, 3, (6,), 4)
    counts = torch.tensor([1.0, 2.0, 5.0], dtype=F64)
    wanted = oracle(logger, loss_of_one, (rows, labels))
    with logger.stack, logger.batch(3, counts * 3):
        losses = nn.functional.cross_entropy(model(rows), labels, reduction="none")
        (losses / counts).mean().backward()
    close(logger.found, wanted)


def test_examples_that_the_loss_leaves_out_have_no_gradient():
    model = Tabular((6, 8, 4)).double()
    logger, loss_of_one = Logger(model), cross_entropy_of_one(model)
    rows, labels = table(model, 4, (6,), 4)
    wanted = oracle(logger, loss_of_one, (rows, labels))
    with logger.stack, logger.batch(4, 1.0):
        nn.functional.cross_entropy(model(rows)[:2], labels[:2], reduction="sum").backward()
    for matrices in wanted.values():
        matrices[2:] = 0
    close(logger.found, wanted)


def test_the_weights_get_the_gradients_that_they_get_without_a_run():
    def gradients(logged):
        torch.manual_seed(0)
        model = Tabular((6, 8, 4)).double()
        rows, labels = table(model, 5, (6,), 4)
        with ExitStack() as stack:
            if logged:
                logger = Logger(model)
                stack.enter_context(logger.stack)
                stack.enter_context(logger.batch(5, 5.0))
            nn.functional.cross_entropy(model(rows), labels).backward()
        return [one.grad for one in model.parameters()]

    without = gradients(False)
    assert len(without) == 6
    assert [one.tolist() for one in gradients(True)] == [one.tolist() for one in without]


def language_model(checkpointing=None):
    model = tiny_model("gpt2", dtype=F64)
    model.set_attn_implementation("eager")  # torch.func has no rule for the fused kernel
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model if checkpointing is None else with_checkpointing(model, use_reentrant=checkpointing == "reentrant")


def token_loss(model):
    def loss(parameters, ids, is_target):
        logits = functional_call(model, parameters, (), {"input_ids": ids[None], "use_cache": False}).logits[0]
        losses = nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
        return (losses * is_target[1:]).sum()

    return loss


def token_rows(count, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 64, (count, length), generator=generator)
    is_target = torch.rand(count, length, generator=generator) > 0.4
    return ids, is_target


@pytest.mark.filterwarnings("ignore:.*None of the inputs have requires_grad")
@pytest.mark.parametrize("checkpointing", [None, "reentrant", "not reentrant"])
def test_a_language_model_is_logged_whatever_is_recomputed(checkpointing):
    logger = Logger(language_model())
    ids, is_target = token_rows(3, 7)
    wanted = oracle(logger, token_loss(logger.model), (ids, is_target))
    logger.stack.close()
    logger = Logger(language_model(checkpointing=checkpointing))
    count = int(is_target[:, 1:].sum())
    with logger.stack, logger.batch(3, float(count), num_tokens=7):
        logits = logger.model(input_ids=ids, use_cache=False).logits[:, :-1]  # its own loss is in float32
        labels = ids.masked_fill(~is_target, -100)[:, 1:]
        nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
    close(logger.found, wanted)


def test_texts_that_share_a_row_are_told_apart():
    model = language_model()
    lengths = [[4, 3], [2, 5]]
    singles = [token_rows(1, length, seed=number)[0][0] for number, length in enumerate([4, 3, 2, 5])]
    logger = Logger(model)
    wanted = [
        oracle(logger, token_loss(model), (ids[None], torch.ones(1, len(ids), dtype=torch.bool))) for ids in singles
    ]
    segments = torch.tensor([[0] * 4 + [1] * 3 + [-1], [2] * 2 + [3] * 5 + [-1]])
    ids = torch.tensor([[*singles[0], *singles[1], 1], [*singles[2], *singles[3], 1]])
    positions = torch.tensor([[*range(one), *range(two), 0] for one, two in lengths])
    own = (segments[:, :, None] == segments[:, None, :]) & torch.ones(8, 8, dtype=torch.bool).tril()
    mask = torch.zeros(2, 1, 8, 8, dtype=F64).masked_fill(~own[:, None], torch.finfo(F64).min)
    is_last = torch.cat([segments[:, 1:] != segments[:, :-1], torch.ones(2, 1, dtype=torch.bool)], 1) | (segments < 0)
    with logger.stack, logger.batch(2, 1.0, num_tokens=8, segments=Segments(segments, 4)):
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
        kept = ~is_last[:, :-1]
        nn.functional.cross_entropy(logits[:, :-1][kept], ids[:, 1:][kept], reduction="sum").backward()
    close(logger.found, {name: torch.cat([one[name] for one in wanted]) for name in logger.maps})


def test_a_batch_is_differentiated_once():
    model = Tabular((6, 8, 4)).double()
    logger = Logger(model)
    rows, labels = table(model, 3, (6,), 4)
    with logger.stack, logger.batch(3, 1.0):
        loss = nn.functional.cross_entropy(model(rows), labels)
        loss.backward(retain_graph=True)
        with pytest.raises(CaptureError, match="add the losses up"):
            loss.backward()


def test_rows_whose_examples_nothing_tells_are_refused():
    model = Tabular((6, 8, 4)).double()
    logger = Logger(model)
    refusal = r"shape \(4, 6\) for 3 rows.*exclude=\('first',\)"
    with logger.stack, logger.batch(3, 1.0), pytest.raises(CaptureError, match=refusal):
        model(torch.zeros(4, 6, dtype=F64))


def test_what_a_model_does_between_batches_is_not_taken():
    model = Tabular((6, 8, 4)).double()
    logger, loss_of_one = Logger(model), cross_entropy_of_one(model)
    rows, labels = table(model, 3, (6,), 4)
    with logger.stack:
        nn.functional.cross_entropy(model(rows[:1]), labels[:1]).backward()
        model.zero_grad()
        wanted = oracle(logger, loss_of_one, (rows, labels))
        with logger.batch(3, 3.0):
            nn.functional.cross_entropy(model(rows), labels).backward()
        close(logger.found, wanted)


sizes = st.integers(1, 6)


@given(
    widths=st.tuples(sizes, sizes, sizes),
    count=sizes,
    tokens=st.integers(0, 4),
    reuses=st.booleans(),
    f=st.integers(1, 3),
    mean=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_random_models_are_logged_as_the_definition_says(widths, count, tokens, reuses, f, mean, seed):
    torch.manual_seed(seed)
    model = Tabular(widths, reuses).double()
    logger = Logger(model, f=f)
    shape = (widths[0],) if tokens == 0 else (tokens, widths[0])
    rows = torch.randn(count, *shape, dtype=F64)
    wanted_rows = torch.randn(count, *shape[:-1], widths[2], dtype=F64)

    def loss_of_one(parameters, row, wanted):
        return (functional_call(model, parameters, (row[None],))[0] - wanted).square().sum()

    wanted = oracle(logger, loss_of_one, (rows, wanted_rows))
    with logger.stack, logger.batch(count, float(count) if mean else 1.0):
        loss = (model(rows) - wanted_rows).square().sum()
        (loss / count if mean else loss).backward()
    close(logger.found, wanted)
