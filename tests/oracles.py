"""Slow, obvious definitions in float64, written without any of the code they are compared with.

A token sequence is a list of ids with a list of booleans that tell its target tokens.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

Objective = Callable[[nn.Module, Sequence[int], Sequence[bool]], Tensor]


def example_loss(model: nn.Module, ids: Sequence[int], targets: Sequence[bool]) -> Tensor:
    """Sum of -log p(token | tokens before it) over the target tokens, one token at a time."""
    device = next(model.parameters()).device
    logits = model(input_ids=torch.tensor([list(ids)], device=device)).logits[0].double()
    total = logits.new_zeros(())
    for position in range(1, len(ids)):
        if targets[position]:
            log_probabilities = logits[position - 1] - torch.logsumexp(logits[position - 1], 0)
            total = total - log_probabilities[ids[position]]
    return total


def example_margin(model: nn.Module, ids: Sequence[int], targets: Sequence[bool]) -> Tensor:
    """-(log p - log(1 - p)) where p is the product of the target tokens' probabilities."""
    probability = torch.exp(-example_loss(model, ids, targets))
    return -(torch.log(probability) - torch.log(1 - probability))


def weight_gradients(
    model: nn.Module,
    module_names: Iterable[str],
    ids: Sequence[int],
    targets: Sequence[bool],
    objective: Objective = example_loss,
) -> dict[str, Tensor]:
    """Gradient of one example's objective with respect to each module's weight, (in, out).

    One backward pass for this example alone, with the weights themselves as leaves. The experts of one layer are
    slices of one leaf.
    """
    found = {name: leaf_of(model, name) for name in module_names}
    leaves = list({id(leaf): leaf for leaf, _, _ in found.values()}.values())
    before = [leaf.requires_grad for leaf in leaves]
    try:
        for leaf in leaves:
            leaf.requires_grad_(True)
        objective(model, ids, targets).backward()
        gradients = {}
        for name, (leaf, expert, is_out_first) in found.items():
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.clone()
            gradient = gradient if expert is None else gradient[expert]
            gradient = gradient[None] if gradient.ndim == 1 else gradient
            gradients[name] = (gradient.T if is_out_first else gradient).double()
        return gradients
    finally:
        for leaf, requires_grad in zip(leaves, before, strict=True):
            leaf.grad = None
            leaf.requires_grad_(requires_grad)


def leaf_of(model: nn.Module, name: str) -> tuple[nn.Parameter, int | None, bool]:
    """The parameter that a module's name stands for, which expert's part of it, and whether it lies as (out, in)."""
    module, words = model, name.split(".")
    while words and (words[0] in module._modules):
        module = module._modules[words.pop(0)]
    if words:  # fused experts: number and parameter
        return getattr(module, words[1]), int(words[0]), type(module).__name__ not in ("GptOssExperts", "AriaExperts")
    is_out_first = (
        module.weight.ndim == 2 and type(module).__name__ != "Conv1D" and not isinstance(module, nn.Embedding)
    )
    return module.weight, None, is_out_first


def token_gradients(
    model: nn.Module,
    module_names: Iterable[str],
    ids: Sequence[int],
    targets: Sequence[bool],
    objective: Objective = example_loss,
) -> dict[str, Tensor]:
    """Per position t, the gradient with respect to a copy of the weight that only position t uses: (T, in, out)."""
    copies: dict[str, Tensor] = {}
    hooks = []
    for name in module_names:
        module = model.get_submodule(name)
        weight = module.weight.detach()
        weight = weight.T if isinstance(module, nn.Linear) else weight
        copies[name] = weight.expand(len(ids), *weight.shape).clone().requires_grad_()

        def replace_output(module, args, output, name=name):
            outputs = [args[0][:, t] @ copies[name][t] for t in range(len(ids))]
            result = torch.stack(outputs, 1)
            return result if module.bias is None else result + module.bias

        hooks.append(module.register_forward_hook(replace_output))
    try:
        value = objective(model, ids, targets)
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(value, list(copies.values()))
    return {name: gradient.double() for name, gradient in zip(copies, gradients, strict=True)}


def project(gradient: Tensor, input_map: Tensor | None, output_map: Tensor | None) -> Tensor:
    """P_inᵀ G P_out with the identity for a missing map."""
    in_features, out_features = gradient.shape[-2:]
    left = torch.eye(in_features, dtype=torch.float64) if input_map is None else input_map.double()
    right = torch.eye(out_features, dtype=torch.float64) if output_map is None else output_map.double()
    return left.T @ gradient @ right


def dense_inverse(rows: Tensor, damping: float) -> Tensor:
    """(GᵀG + λI)⁻¹ as a matrix."""
    gram = rows.double().T @ rows.double()
    return torch.linalg.inv(gram + damping * torch.eye(rows.shape[1], dtype=torch.float64))


def influence_scores(queries: Sequence[Tensor], trains: Sequence[Tensor], dampings: Sequence[float]) -> Tensor:
    """Sum over modules of g_q (GᵀG + λI)⁻¹ g_n by a double loop: per module (Q, D) and (N, D), out (Q, N)."""
    scores = torch.zeros(len(queries[0]), len(trains[0]), dtype=torch.float64)
    for module_queries, module_trains, damping in zip(queries, trains, dampings, strict=True):
        inverse = dense_inverse(module_trains, damping)
        for q in range(scores.shape[0]):
            for n in range(scores.shape[1]):
                scores[q, n] += module_queries[q].double() @ inverse @ module_trains[n].double()
    return scores


def best_rank(matrix: Tensor, rank: int) -> Tensor:
    """The closest matrix of that rank, by a full SVD."""
    u, s, vh = torch.linalg.svd(matrix.double())
    result = torch.zeros_like(matrix, dtype=torch.float64)
    for k in range(min(rank, len(s))):
        result += s[k] * torch.outer(u[:, k], vh[k])
    return result


def leading_right_projector(matrix: Tensor, rank: int) -> Tensor:
    """Projector on the first ``rank`` right singular vectors."""
    vh = torch.linalg.svd(matrix.double(), full_matrices=False).Vh[:rank]
    return vh.T @ vh


def gram_eigenvalues(rows: Tensor) -> Tensor:
    """Eigenvalues of GᵀG, largest first."""
    return torch.linalg.eigvalsh(rows.double().T @ rows.double()).flip(0)


def projected_gradients(
    model: nn.Module,
    maps: Mapping[str, object],
    sequences: Sequence[tuple[Sequence[int], Sequence[bool]]],
    objective: Objective = example_loss,
) -> dict[str, Tensor]:
    """Per module, P_inᵀ G P_out of every sequence, (n, d_in, d_out)."""
    rows: dict[str, list[Tensor]] = {name: [] for name in maps}
    for ids, targets in sequences:
        for name, gradient in weight_gradients(model, maps, ids, targets, objective).items():
            rows[name].append(project(gradient, maps[name].input_map, maps[name].output_map))
    return {name: torch.stack(matrices) for name, matrices in rows.items()}


def close(found: Tensor, expected: Tensor, *, relative: float) -> None:
    """Assert that no number is further off than ``relative`` times the largest expected magnitude."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    assert found.shape == expected.shape
    error = float((found - expected).abs().max()) if expected.numel() else 0.0
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    assert math.isfinite(error)
    assert error <= relative * scale, f"off by {error:.3g}, the largest expected magnitude is {scale:.3g}"


def token_pairs(
    model: nn.Module, module_names: Iterable[str], ids: Sequence[int], targets: Sequence[bool]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Per module, what every token of one example put in and the gradient at what came out, (T, in) and (T, out).

    One forward and one backward pass of this example alone, without padding; the calls of a
    module that is used twice stand one after another.
    """
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in module_names}
    hooks = []
    for name, calls in seen.items():

        def remember(module, args, output, calls=calls):
            output.retain_grad()
            calls.append((args[0], output))

        hooks.append(model.get_submodule(name).register_forward_hook(remember))
    try:
        example_loss(model, ids, targets).backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad()
    return {
        name: (
            torch.cat([inputs.detach().flatten(0, -2).double() for inputs, _ in calls]),
            torch.cat([output.grad.flatten(0, -2).double() for _, output in calls]),
        )
        for name, calls in seen.items()
    }


def second_moments(
    model: nn.Module, module_names: Sequence[str], sequences: Iterable[tuple[Sequence[int], Sequence[bool]]]
) -> dict[str, tuple[Tensor, Tensor, int]]:
    """Per module, Σ x xᵀ and Σ y yᵀ over every token of every sequence, token by token, and how many there were."""
    found: dict[str, tuple[Tensor, Tensor, int]] = {}
    for ids, targets in sequences:
        for name, (inputs, output_grads) in token_pairs(model, module_names, ids, targets).items():
            left, right, count = found.get(name, (torch.zeros(()), torch.zeros(()), 0))
            for x, y in zip(inputs, output_grads, strict=True):
                left, right, count = left + torch.outer(x, x), right + torch.outer(y, y), count + 1
            found[name] = (left, right, count)
    return found


def damped(matrix: Tensor, ratio: float) -> Tensor:
    """M + ratio · (mean eigenvalue of M) · I, from the eigenvalues themselves."""
    mean = torch.linalg.eigvals(matrix.double()).real.mean()
    return matrix.double() + ratio * mean * torch.eye(len(matrix), dtype=torch.float64)


def kronecker_influence(queries: Tensor, trains: Tensor, left: Tensor, right: Tensor, ratio: float) -> Tensor:
    """⟨G_q, (A + λ_A)⁻¹ G_n (S + λ_S)⁻¹⟩ by a double loop of dense solves: (Q, i, o) and (N, i, o), out (Q, N)."""
    left, right = damped(left, ratio), damped(right, ratio)
    scores = torch.zeros(len(queries), len(trains), dtype=torch.float64)
    for n, train in enumerate(trains):
        solved = torch.linalg.solve(right, torch.linalg.solve(left, train.double()).T).T
        for q, query in enumerate(queries):
            scores[q, n] = (query.double() * solved).sum()
    return scores


def solve_whole(curvature: Tensor, matrices: Tensor) -> Tensor:
    """H⁻¹ vec(G) for the whole (i·o × i·o) matrix H, row by row vectorised; (Q, i, o)."""
    return torch.stack([torch.linalg.solve(curvature, one.double().reshape(-1)).view(one.shape) for one in matrices])


def unpack_signs(codes: Tensor, scales: Tensor, width: int) -> Tensor:
    """(…, bytes) and (…,) to (…, width), bit by bit: a set bit is +scale, a cleared one -scale, lowest bit first."""
    found = torch.zeros(*scales.shape, width, dtype=torch.float64)
    for place in torch.cartesian_prod(*(torch.arange(size) for size in scales.shape)).tolist():
        packed, scale = codes[tuple(place)].tolist(), float(scales[tuple(place)])
        for number in range(width):
            is_set = packed[number // 8] // 2 ** (number % 8) % 2 == 1
            found[(*place, number)] = scale if is_set else -scale
    return found
