"""Models that are pulled by random signs: what is minimised, and the covariance of where it ends."""

from functools import partial
from itertools import product

import pytest
import torch
from oracles import close
from tiny_models import random_examples, tiny_model

from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.perturbation import PerturbConfig
from lorif_core.evaluation.perturbing import perturb, perturbed_objective, random_signs
from lorif_core.evaluation.recipe import Recipe

RECIPE = Recipe(checkpoint="none", learning_rate=1e-3, max_length=64, batch_size=3, epochs=1)


def note_step(steps, done, total):
    steps.append((done, total))


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_holds_on_to_what_the_model_said_by_the_divergence_and_pulls_by_the_gradient():
    before, logits = drawn(3, 4, 7), drawn(3, 4, 7, seed=1)
    labels = torch.arange(12).view(3, 4) % 7
    is_target = torch.tensor([[True, False, True, True]] * 3)
    pulls = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    divergence, pull = perturbed_objective(logits, before, labels, is_target, pulls)
    for row in range(3):
        own = pulled = 0.0
        for place in range(4):
            if is_target[row, place]:
                p, q = (torch.distributions.Categorical(logits=one[row, place]) for one in (before, logits))
                own += float(torch.distributions.kl_divergence(p, q))
                gradient = p.probs.clone()
                gradient[labels[row, place]] -= 1
                pulled += float(gradient @ (logits - before)[row, place])
        assert float(divergence[row]) == pytest.approx(own, rel=1e-10)
        assert float(pull[row]) == pytest.approx(float(pulls[row]) * pulled, rel=1e-10)


def test_where_it_ends_has_the_covariance_of_influence():
    """A linear softmax model of 6 texts under all 64 choices of signs: Cov δ = ρ² G⁻¹ (Σ g gᵀ) G⁻¹."""
    num_texts, width, words, noise = 6, 2, 3, 1e-4
    inputs, theta = drawn(num_texts, width), drawn(width, words, seed=1)
    labels = torch.tensor([0, 1, 2, 0, 2, 1])
    before = (inputs @ theta)[:, None]
    is_target = torch.ones(num_texts, 1, dtype=torch.bool)
    kept = torch.eye(words, dtype=torch.float64)[:, 1:]  # the first word's weights stay: softmax knows differences

    def objective(delta, pulls):
        logits = (inputs @ (theta + delta.view(width, words - 1) @ kept.T))[:, None]
        divergence, pull = perturbed_objective(logits, before, labels[:, None], is_target, pulls)
        return (divergence - pull).sum()

    start = torch.zeros(width * (words - 1), dtype=torch.float64)
    found = []
    for signs in product((-1.0, 1.0), repeat=num_texts):
        pulls, delta = noise * torch.tensor(signs, dtype=torch.float64), start
        for _ in range(3):  # Newton's
            of_delta = partial(objective, pulls=pulls)
            slope = torch.autograd.functional.jacobian(of_delta, delta)
            delta = delta - torch.linalg.solve(torch.autograd.functional.hessian(of_delta, delta), slope)
        found.append(delta)
    covariance = torch.stack(found).T @ torch.stack(found) / len(found)
    probabilities = before[:, 0].softmax(-1)
    hessian, outer = torch.zeros(4, 4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    for text in range(num_texts):
        spread = torch.diag(probabilities[text]) - torch.outer(probabilities[text], probabilities[text])
        hessian += torch.kron(torch.outer(inputs[text], inputs[text]), spread[1:, 1:])
        slope = probabilities[text].clone()
        slope[labels[text]] -= 1
        gradient = torch.kron(inputs[text], slope[1:])
        outer += torch.outer(gradient, gradient)
    inverse = torch.linalg.inv(hessian)
    close(covariance / noise**2, inverse @ outer @ inverse, relative=1e-3)


def test_a_model_moves_by_its_own_signs_and_the_same_seed_moves_it_the_same_way():
    texts = random_examples([6, 9, 5, 8, 7])
    moved = []
    for seed in (1, 1, 2):
        model = tiny_model("gpt2")
        before = [one.detach().clone() for one in model.parameters()]
        steps: list[tuple[int, int]] = []
        note = partial(note_step, steps)
        perturb(model, texts, RECIPE, noise=1.0, seed=seed, pad_id=1, on_step=note)
        assert steps == [(1, 2), (2, 2)]
        moved.append(torch.cat([(one - old).flatten() for one, old in zip(model.parameters(), before, strict=True)]))
    assert torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[0], moved[2])
    assert moved[0].abs().max() > 0


def test_where_the_model_is_only_the_signs_pull_at_it():
    """The divergence is least there, so the slope is that of the losses times −ρ r, whatever the model had learnt."""
    before = drawn(2, 3, 5)
    logits, labels = before.clone().requires_grad_(), torch.tensor([[0, 4, 2], [3, 3, 1]])
    is_target, pulls = torch.ones(2, 3, dtype=torch.bool), torch.tensor([1.0, -2.0], dtype=torch.float64)
    divergence, pull = perturbed_objective(logits, before, labels, is_target, pulls)
    (still,) = torch.autograd.grad(divergence.sum(), logits, retain_graph=True)
    assert still.abs().max() < 1e-15
    (pulled,) = torch.autograd.grad(pull.sum(), logits)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(2, 3)
    (slopes,) = torch.autograd.grad(losses.sum(), logits)
    close(pulled, pulls[:, None, None] * slopes, relative=1e-12)


def test_signs_are_of_both_kinds_and_of_the_seed():
    signs = random_signs(1000, 3)
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.15
    assert torch.equal(signs, random_signs(1000, 3))
    assert not torch.equal(signs, random_signs(1000, 4))


def test_texts_without_a_target_are_refused():
    with pytest.raises(DataError, match=r"^perturbing needs a text with a target token, none of 0 has one\.$"):
        perturb(tiny_model("gpt2"), [], RECIPE, noise=1.0, seed=0, pad_id=1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"count": 1}, "count must be at least 2, got 1"),
        ({"noise": 0.0}, "noise must be above 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"kind": "subsets"}, "go together; only one was given"),
    ],
)
def test_settings_that_make_no_models_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        PerturbConfig(**setting)
