import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lorif_core.capture import objectives
from lorif_core.capture.objectives import example_objective, negative_margin, summed_cross_entropy
from lorif_core.errors import ConfigError, NumericalError


@pytest.fixture
def logits(rng):
    return torch.randn(2, 3, 5, generator=rng, dtype=torch.float64)


LABELS = torch.tensor([[2, 3, 4], [0, 0, 1]])
IS_TARGET = torch.tensor([[False, True, True], [True, False, False]])


def losses_by_hand(logits):
    probabilities = logits.exp() / logits.exp().sum(2, keepdim=True)
    return [
        -math.log(probabilities[0, 1, 3]),
        -math.log(probabilities[0, 2, 4]),
        -math.log(probabilities[1, 0, 0]),
    ]


def test_the_loss_is_summed_over_target_tokens_only(logits):
    first, second, third = losses_by_hand(logits)
    found = summed_cross_entropy(logits, LABELS, IS_TARGET)
    torch.testing.assert_close(found, torch.tensor([first + second, third], dtype=torch.float64))


def test_an_example_without_targets_has_loss_zero_and_no_gradient(logits):
    logits.requires_grad_()
    loss = summed_cross_entropy(logits, LABELS, torch.zeros_like(IS_TARGET))
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_loss_is_at_least_float32(logits, dtype):
    assert summed_cross_entropy(logits.to(dtype), LABELS, IS_TARGET).dtype == torch.float32


def test_the_margin_is_minus_the_log_odds_of_the_whole_completion(logits):
    first, second, third = losses_by_hand(logits)
    expected = [-math.log(p / (1 - p)) for p in (math.exp(-first - second), math.exp(-third))]
    torch.testing.assert_close(
        negative_margin(logits, LABELS, IS_TARGET), torch.tensor(expected, dtype=torch.float64)
    )


ONE_TOKEN = torch.tensor([[0]]), torch.tensor([[True]])


def test_the_margin_of_a_nearly_certain_completion_keeps_its_digits():
    # p = 1 / (1 + e^-30), so log p - log(1 - p) is exactly 30.
    found = negative_margin(torch.tensor([[[30.0, 0.0]]], dtype=torch.float64), *ONE_TOKEN)
    # Float64 knows log p ≈ 1e-13 from a difference of numbers near 30: 1e-16 · 30 / 1e-13 = 3 %.
    assert found.item() == pytest.approx(-30, abs=0.05)


def test_the_margin_of_a_certain_completion_is_refused():
    with pytest.raises(NumericalError, match=r"needs a completion probability below 1.*Use the objective `loss`"):
        negative_margin(torch.tensor([[[200.0, 0.0]]]), *ONE_TOKEN)


def test_an_unknown_objective_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"one of loss, margin here, got 'accuracy'"):
        example_objective("accuracy")


@pytest.mark.parametrize("numbers", [1, 7, 10, 1 << 22])
def test_losses_and_their_gradients_are_those_by_hand_however_few_rows_are_taken_at_a_time(
    numbers, logits, monkeypatch
):
    monkeypatch.setattr(objectives, "NUMBERS_AT_ONCE", numbers)
    logits.requires_grad_()
    losses = summed_cross_entropy(logits, LABELS, IS_TARGET)
    (losses * torch.tensor([3.0, -2.0])).sum().backward()
    wanted = logits.detach().softmax(2)
    for row, place in IS_TARGET.nonzero():
        wanted[row, place, LABELS[row, place]] -= 1
    wanted = wanted * IS_TARGET[:, :, None] * torch.tensor([3.0, -2.0])[:, None, None]
    first, second, third = losses_by_hand(logits.detach())
    torch.testing.assert_close(losses.detach(), torch.tensor([first + second, third], dtype=torch.float64))
    torch.testing.assert_close(logits.grad, wanted)


@pytest.mark.parametrize("numbers", [7, 1 << 22])
def test_the_gradient_of_the_losses_can_be_differentiated_again(numbers, logits, monkeypatch):
    monkeypatch.setattr(objectives, "NUMBERS_AT_ONCE", numbers)
    logits.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: summed_cross_entropy(x, LABELS, IS_TARGET), logits)


class Widest(TorchDispatchMode):
    """The most numbers of a float32 tensor that an operator gives."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple) else (result,):
            if isinstance(one, torch.Tensor) and one.dtype == torch.float32:
                self.numbers = max(self.numbers, one.numel())
        return result


def test_no_float32_copy_of_all_logits_is_made(monkeypatch):
    monkeypatch.setattr(objectives, "NUMBERS_AT_ONCE", 1000)
    logits = torch.randn(4, 25, 200).bfloat16().requires_grad_()
    labels = torch.zeros(4, 25, dtype=torch.long)
    with Widest() as widest:
        summed_cross_entropy(logits, labels, labels == 0).sum().backward()
    assert logits.grad.dtype == torch.bfloat16
    assert 0 < widest.numbers <= 1000
