"""A trial on one small batch, before anything is built: does what is captured equal the weights' own gradients?

Hooks see the products they know of. Whether these are all that a weight does, and whether rows were credited to the
right example, only the gradient of the weight itself can tell. So a small batch is captured as an index would, and
differentiated once more per example with the weights as leaves; both are compared in a small random projection, one
weight at a time, so that no more than one weight gradient is alive. What differs, or gets no gradient, is named with
its reason, for the module list.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from lorif_core.capture.hooks import capture_gradients, evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.linalg.gradients import ProjectedGradient, project_side
from lorif_core.linalg.maps import ModuleMaps, random_signs
from lorif_core.shapes import TokenBatch
from lorif_core.weights import TrackedWeight, family_of, locate_weight

SKETCH_WIDTH = 8
"""Numbers per side that two gradients are compared in: a difference goes unseen with probability zero."""

TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-2}
"""Largest difference over the gradient's norm that rounding explains; what is wrong is off by far more."""

TOLERANCE_OF_SHORT_FLOATS = 0.2
"""For bfloat16 and float16, and under autocast, where both sides are rounded to eight bits or so."""

NEGLIGIBLE = 1e-6
"""Of the largest gradient: what is smaller is rounding, and nothing is said about it."""

MISSING = "this influence is missing"


def probe_modules(
    model: nn.Module, names: Sequence[str], batch: TokenBatch, *, heads: Collection[str] = ()
) -> dict[str, str]:
    """Why some of the named modules cannot be tracked, by name; those that can are left out.

    A module that is one of several experts is judged with the others of its layer: a small batch is not routed to
    all of them.

    Args:
        model: A causal language model; left as it was found.
        names: Of the modules that would be tracked.
        batch: A few examples of different lengths, the first tokens of which are no targets.
        heads: Those of the names that are output heads tracked as such: of a shared weight only their own use counts.

    Raises:
        NumericalError: The objective is not finite.
        CaptureError: The model has no input embeddings.
    """
    weights = {name: locate_weight(model, name) for name in names}
    reasons = {name: "its weights are no floating-point numbers" for name in names if not _is_floating(weights[name])}
    weights = {name: weight for name, weight in weights.items() if name not in reasons}
    maps = {name: _sketch_maps(name, weight) for name, weight in weights.items()}
    watched = maps | {name: _with_outputs_apart(maps[name]) for name in heads if name in maps}
    found, refusals = dict[str, Tensor](), dict[str, str]()

    def take(name: str, gradient: ProjectedGradient) -> None:
        side = maps[name].output_map if name in heads else None
        found[name] = project_side(gradient.dense(), side).double().cpu()

    with frozen(model):
        capture_gradients(model, watched, batch, summed_cross_entropy, take, keeps_tokens=True, refusals=refusals)
        true = _true_sketches(model, weights, maps, batch, heads)
    sizes = [float(sketch.norm()) for sketch in true.values()]
    largest = max(filter(math.isfinite, sizes), default=0.0)
    families: dict[str, list[str]] = defaultdict(list)
    for name in weights:
        families[family_of(name)].append(name)
    for members in families.values():
        verdicts = [
            _verdict(
                found.get(name), true[name], negligible=NEGLIGIBLE * largest, tolerance=_tolerance(weights[name])
            )
            if name not in refusals
            else f"{refusals[name]}: {MISSING}"
            for name in members
        ]
        reason = _of_family(verdicts)
        if reason is not None:
            reasons |= dict.fromkeys(members, reason)
    return reasons


def _is_floating(weight: TrackedWeight) -> bool:
    return isinstance(weight.parameter, nn.Parameter) and weight.parameter.is_floating_point()


def _tolerance(weight: TrackedWeight) -> float:
    if weight.parameter.device.type == "cuda":  # under autocast
        return TOLERANCE_OF_SHORT_FLOATS
    return TOLERANCE.get(weight.parameter.dtype, TOLERANCE_OF_SHORT_FLOATS)


def _sketch_maps(name: str, weight: TrackedWeight) -> ModuleMaps:
    sides = (
        random_signs(f"probe:{name}:{axis}", width, SKETCH_WIDTH)
        for axis, width in enumerate(weight.of(weight.parameter).shape)
    )
    left, right = sides
    return ModuleMaps(left, right).to(weight.parameter.device, torch.float32)


def _with_outputs_apart(maps: ModuleMaps) -> ModuleMaps:
    """Maps as a head is captured with: its outputs are sketched afterwards."""
    assert isinstance(maps.output_map, Tensor)
    return ModuleMaps(maps.input_map, torch.ones_like(maps.output_map[:, 0]))


def _true_sketches(
    model: nn.Module,
    weights: Mapping[str, TrackedWeight],
    maps: Mapping[str, ModuleMaps],
    batch: TokenBatch,
    heads: Collection[str],
) -> dict[str, Tensor]:
    """Each example's weight gradients by autograd, (B, SKETCH_WIDTH, SKETCH_WIDTH), float64."""
    size = len(batch.input_ids)
    sketches = {name: torch.zeros(size, SKETCH_WIDTH, SKETCH_WIDTH, dtype=torch.float64) for name in weights}
    by_parameter: dict[nn.Parameter, list[TrackedWeight]] = defaultdict(list)
    own = {weights[name].module: nn.Parameter(weights[name].parameter.detach()) for name in heads if name in weights}
    for weight in weights.values():
        by_parameter[own.get(weight.module, weight.parameter)].append(weight)

    def take(row: int, parameter: nn.Parameter) -> None:
        gradient, parameter.grad = parameter.grad, None
        assert gradient is not None  # it has just been accumulated
        for weight in by_parameter[parameter]:
            left, right = maps[weight.name].input_map, maps[weight.name].output_map
            assert isinstance(left, Tensor)
            assert isinstance(right, Tensor)
            matrix = weight.of(gradient).double()
            sketches[weight.name][row] += (left.double().mT @ matrix @ right.double()).cpu()

    with _untied(own), _as_leaves(by_parameter), torch.enable_grad():
        for row in range(size):
            hooks = [one.register_post_accumulate_grad_hook(partial(take, row)) for one in by_parameter]
            try:
                evaluate_objective(model, batch, summed_cross_entropy)[row].backward()
            finally:
                for hook in hooks:
                    hook.remove()
    return sketches


@contextmanager
def _untied(heads: Mapping[nn.Module, nn.Parameter]) -> Iterator[None]:
    """Heads with a parameter of their own in the same memory, so that other uses of the shared one do not count."""
    shared = {head: head._parameters["weight"] for head in heads}
    try:
        for head, own in heads.items():
            head._parameters["weight"] = own
        yield
    finally:
        for head, was in shared.items():
            head._parameters["weight"] = was


@contextmanager
def _as_leaves(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Parameters that need a gradient and have none yet; as they were, afterwards."""
    before = [(one, one.requires_grad, one.grad) for one in parameters]
    try:
        for one, _, _ in before:
            one.requires_grad_(True)
            one.grad = None
        yield
    finally:
        for one, requires_grad, gradient in before:
            one.requires_grad_(requires_grad)
            one.grad = gradient


def _verdict(found: Tensor | None, true: Tensor, *, negligible: float, tolerance: float) -> str | None:
    """What is wrong with a captured gradient; an empty sentence where there is none and should be none."""
    size = float(true.norm())
    if not math.isfinite(size):
        return f"its gradient is not finite: {MISSING}"
    error = size if found is None else float((found - true).norm())
    if size <= negligible and error <= negligible:
        return ""
    if found is None:
        return f"its weights are read without a call that can be watched: {MISSING}"
    if error <= tolerance * size:  # false where it is not a number
        return None
    return f"what its calls give differs from its gradient by {error / max(size, negligible):.0%}: {MISSING}"


def _of_family(verdicts: Sequence[str | None]) -> str | None:
    """The reason against a group of experts, or against a module alone."""
    wrong = [verdict for verdict in verdicts if verdict]
    if wrong:
        return wrong[0]
    return None if None in verdicts else "never called, or no gradient reaches it"
