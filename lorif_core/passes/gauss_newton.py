"""Products with the model's own Gauss–Newton matrix over some texts, in the coordinates of an index's maps.

For the logits z(θ) of target token k and their softmax p, with J_k the derivative of z by the tracked weights,

    H = Σ_k J_kᵀ (diag(p_k) - p_k p_kᵀ) J_k ÷ number of tokens

is the Gauss–Newton matrix of the cross-entropy, which is its Fisher matrix as well, per token, as a module's second
moments A and S are. Unlike A ⊗ S it knows what modules share, and what no Kronecker product tells. With the index's
maps, W = P_in ⊗ P_out, a query's projected gradient is q̃ = Wᵀ g, and the solution of

    (Wᵀ H W + ρ I) u = q̃      gives      ⟨u, x̃⟩ = gᵀ W (Wᵀ H W + ρ I)⁻¹ Wᵀ x

so u is itself a query for what is stored. Where A ⊗ S is right, and W its inverse root, Wᵀ H W is the identity on all
that A's and S's damping leaves, and u is q̃, scaled: half-whitening is what the system is preconditioned with.
Of D coordinates a batch of m tokens tells some m directions: were the whole matrix the identity, they would have
eigenvalues of D ÷ m and all others 0. So D ÷ m is the unit of the damping (``noise``).
A product takes a forward pass with tangents (W v moves the weights, forward-mode differentiation gives the logits'
J W v) and a forward and backward pass for the sum; the second forward is shared by all queries.
Source: Schraudolph, "Fast curvature matrix-vector products", 2002; Martens, "New insights and perspectives on the
natural gradient method" (arXiv:1412.1193), section 9; docs/decisions/0056.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import evaluate_objective
from lorif_core.capture.precision import compute_in_float32
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.errors import CaptureError, DataError
from lorif_core.linalg.gradients import project_side
from lorif_core.linalg.linear_solvers import Matrices
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.sparse_maps import Mask
from lorif_core.passes.shards import GradientSource
from lorif_core.shapes import Bool, Float, TokenBatch
from lorif_core.turns import turn_on
from lorif_core.weights import TrackedWeight, locate_weight

ROWS_AT_ONCE = 1 << 22
"""Probabilities that are in float32 at a time (16 MiB)."""

_NO_TANGENT = ("forward AD", "forward-mode", "jvp", "is not implemented")
"""What torch says of an operation that knows no tangents."""


@dataclass(frozen=True)
class GaussNewton:
    """Wᵀ H W of a model over a batch of texts."""

    source: GradientSource
    """Of the index; its model inside ``frozen``."""

    texts: Sequence[EncodedText]

    @property
    def noise(self) -> float:
        """Coordinates per token: the eigenvalues that so small a batch has where all should be 1."""
        return sum(module.dim for module in self.source.modules) / max(1, self._num_tokens)

    @property
    def _num_tokens(self) -> int:
        return sum(len(one.input_ids) for text in self.texts for one in sequences_of(text))

    def product(self, vectors: Matrices) -> dict[str, Tensor]:
        """With one vector per query and module, (Q, d_in, d_out), where they lie.

        Raises:
            CaptureError: The model has an operation that knows no tangents.
            DataError: No text has a target.
        """
        sequences = [one for text in self.texts for one in sequences_of(text) if any(one.is_target)]
        if not sequences:
            raise DataError(
                f"a curvature needs texts with target tokens, none of the {len(self.texts)} drawn has any. Draw more "
                "with `--batch`."
            )
        model, weights = self.source.model, _Weights.of(self.source)
        sums = {name: torch.zeros_like(rows) for name, rows in vectors.items()}
        with turn_on(model), compute_in_float32(model), sdpa_kernel(SDPBackend.MATH):
            for batch, weight in self._batches(sequences):
                for query, found in enumerate(_products(model, weights, batch, weight, vectors)):
                    for name, matrix in found.items():
                        sums[name][query] += matrix.to(sums[name])
        return {name: rows.div_(self._num_tokens) for name, rows in sums.items()}

    def _batches(self, sequences: Sequence[EncodedExample]) -> Iterator[tuple[TokenBatch, Tensor]]:
        """Padded, with the weight of each sequence's loss: a side that is rejected bends like one that is chosen."""
        lengths = [len(one.input_ids) for one in sequences]
        for places in plan_batches(lengths, self.source.tokens_per_batch, length_boundaries(self.source.model)):
            chosen = [sequences[place] for place in places]
            weights = torch.tensor([abs(one.weight) for one in chosen], dtype=torch.float32)
            yield pad_batch(chosen, self.source.pad_id), weights


@dataclass(frozen=True)
class _Holder:
    """A module that multiplies by tracked weights: one parameter, and which of its parts are tracked."""

    module: nn.Module
    key: str
    parameter: nn.Parameter
    weights: list[TrackedWeight]

    def tangent(self, changes: Mapping[str, Tensor]) -> Tensor:
        """How the parameter moves, in its own layout."""
        moved = torch.zeros_like(self.parameter)
        for one in self.weights:
            one.of(moved).add_(changes[one.name])
        return moved


@dataclass(frozen=True)
class _Weights:
    """Where the tracked weights are used, and their maps."""

    holders: list[_Holder]
    maps: Mapping[str, ModuleMaps]

    @classmethod
    def of(cls, source: GradientSource) -> "_Weights":
        """Every module that holds a tracked parameter; of a head that shares its own with the embedding, the head."""
        heads = {name for name, one in source.maps.items() if one.keeps_outputs_apart}
        located = [locate_weight(source.model, name) for name in source.maps]
        by_parameter: dict[nn.Parameter, list[TrackedWeight]] = {}
        for one in located:
            by_parameter.setdefault(one.parameter, []).append(one)
        holders = []
        for module in source.model.modules():
            for key, parameter in module._parameters.items():
                held = [] if parameter is None else by_parameter.get(parameter, [])
                own = [one for one in held if one.name not in heads or one.module is module]
                if parameter is not None and own:
                    holders.append(_Holder(module, key, parameter, own))
        return cls(holders, source.maps)

    def changes(self, vectors: Matrices, query: int) -> dict[str, Tensor]:
        """W v of one query: per weight, P_in v P_outᵀ in (in, out)."""
        found: dict[str, Tensor] = {}
        for holder in self.holders:
            for one in holder.weights:
                if one.name not in found:
                    found[one.name] = _unproject(vectors[one.name][query], self.maps[one.name], holder.parameter)
        return found

    def projected(self, gradients: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Wᵀ g of gradients of the holders' parameters; uses of one weight are added up."""
        found: dict[str, Tensor] = {}
        for holder, gradient in zip(self.holders, gradients, strict=True):
            if gradient is None:
                continue
            for one in holder.weights:
                own = _project(one.of(gradient), self.maps[one.name])
                found[one.name] = found[one.name] + own if one.name in found else own
        return found


def _unproject(vector: Tensor, maps: ModuleMaps, like: Tensor) -> Tensor:
    matrix = vector.to(like.device, torch.promote_types(vector.dtype, torch.float32))
    left, right = _dense_sides(maps)
    if right is not None:
        side = right.to(matrix.dtype)
        matrix = matrix * side if side.ndim == 1 else matrix @ side.mT
    return matrix if left is None else left.to(matrix.dtype) @ matrix


def _project(gradient: Tensor, maps: ModuleMaps) -> Tensor:
    wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    left, right = _dense_sides(maps)
    return project_side(wide if left is None else left.to(wide.dtype).mT @ wide, right)


def _dense_sides(maps: ModuleMaps) -> tuple[Tensor | None, Tensor | None]:
    left, right = maps.input_map, maps.output_map
    # Sketches are not refined: their inverse holds the stored texts' curvature already.
    assert not isinstance(left, Mask)
    assert not isinstance(right, Mask)
    assert maps.sketch is None
    return left, right


def _products(
    model: nn.Module, weights: _Weights, batch: TokenBatch, text_weights: Tensor, vectors: Matrices
) -> Iterator[dict[str, Tensor]]:
    """Wᵀ Jᵀ (diag(p) - p pᵀ) J W v, summed over the target tokens of a batch, query by query."""
    leaves = [holder.parameter.detach().requires_grad_() for holder in weights.holders]
    kept: list[Tensor] = []

    def keep(logits: Tensor, labels: Tensor, is_target: Tensor) -> Tensor:
        kept[:] = [logits, is_target]
        return logits.new_zeros(len(logits))

    with _in_place_of(weights.holders, leaves), torch.enable_grad():
        evaluate_objective(model, batch, keep)
    logits, is_target = kept
    num_queries = len(next(iter(vectors.values())))
    for query in range(num_queries):
        tangents = _tangents(model, weights, batch, weights.changes(vectors, query))
        rows = None if tangents is None else bend(logits.detach(), tangents, is_target, text_weights)
        if rows is None or not logits.requires_grad:
            yield {}
            continue
        keeps = query + 1 < num_queries
        gradients = torch.autograd.grad(logits, leaves, rows, retain_graph=keeps, allow_unused=True)
        yield weights.projected(gradients)


def _tangents(model: nn.Module, weights: _Weights, batch: TokenBatch, changes: Mapping[str, Tensor]) -> Tensor | None:
    """How the logits (B, K, vocabulary) move when the weights do; None where they do not.

    Raises:
        CaptureError: The model has an operation that knows no tangents.
    """
    found: list[Tensor | None] = []

    def take(logits: Tensor, labels: Tensor, is_target: Tensor) -> Tensor:
        found.append(forward_ad.unpack_dual(logits).tangent)
        return logits.new_zeros(len(logits))

    with torch.no_grad(), forward_ad.dual_level():
        moving = [_dual(one.parameter.detach(), one.tangent(changes)) for one in weights.holders]
        try:
            with _in_place_of(weights.holders, moving):
                evaluate_objective(model, batch, take)
        except (RuntimeError, NotImplementedError) as error:
            if not any(words in str(error) for words in _NO_TANGENT):
                raise
            raise CaptureError(
                f"refining by the model differentiates it forwards, and {type(model).__name__} has an operation that "
                f"cannot be ({str(error).splitlines()[0][:120]}). Use `--refine-by codes`."
            ) from error
    return found[0]


def _dual(parameter: Tensor, tangent: Tensor) -> Tensor:
    with warnings.catch_warnings():
        # torch 2.13 scripts its own rules for tangents when the first one is made, and warns of it.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        return forward_ad.make_dual(parameter, tangent)


@contextmanager
def _in_place_of(holders: Sequence[_Holder], tensors: Sequence[Tensor]) -> Iterator[None]:
    """Other tensors where the modules' parameters stand, while the block runs.

    Not torch's ``functional_call``, which knows names: an adapter wrapper and its base name one module differently.
    """
    try:
        for holder, tensor in zip(holders, tensors, strict=True):
            holder.module._parameters[holder.key] = tensor  # pyright: ignore - any tensor is multiplied alike
        yield
    finally:
        for holder in holders:
            holder.module._parameters[holder.key] = holder.parameter


def bend(
    logits: Float[Tensor, "B K vocabulary"],
    tangents: Float[Tensor, "B K vocabulary"],
    is_target: Bool[Tensor, "B K"],
    weights: Float[Tensor, " B"],
) -> Float[Tensor, "B K vocabulary"]:
    """weight · (diag(p) - p pᵀ) t of every target token, 0 elsewhere, in the logits' dtype."""
    rows = torch.zeros_like(logits).flatten(0, 1)
    flat, moved = logits.flatten(0, 1), tangents.flatten(0, 1)
    factors = (weights.to(is_target.device)[:, None] * is_target).flatten()
    count = max(1, ROWS_AT_ONCE // logits.shape[2])
    for start in range(0, len(rows), count):
        some = slice(start, start + count)
        wide = torch.promote_types(logits.dtype, torch.float32)
        shares, tangent = flat[some].to(wide).softmax(1), moved[some].to(wide)
        own = shares * (tangent - (shares * tangent).sum(1, keepdim=True))
        rows[some] = (own * factors[some, None]).to(rows.dtype)
    return rows.view_as(logits)
