"""Fused experts one at a time, so that it is seen which tokens each expert's matrices are multiplied by.

transformers keeps the matrices of a layer's experts as one parameter with an axis for the expert, and lets the
computation be chosen (``experts_implementation``). While gradients are captured it is the loop below: it reads the
routing it is given, takes each expert's tokens, and reports both products.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_IMPLEMENTATION = "lorif_loop"


class RoutedProduct(NamedTuple):
    """One product of an expert's matrix with the tokens that were routed to it."""

    parameter: str
    """Name of the parameter that holds the matrix."""

    expert: int
    inputs: Tensor
    """(n, width)."""

    output: Tensor
    """(n, width)."""

    rows: Tensor
    """Numbers of these tokens among those that reached the layer, ascending, (n,)."""


OnProduct = Callable[[RoutedProduct], None]

_WATCHED: WeakKeyDictionary[nn.Module, OnProduct] = WeakKeyDictionary()
"""Who watches a module; not an attribute, since a model is left as it was found."""


@contextmanager
def run_experts_in_a_loop(module: nn.Module, on_product: OnProduct) -> Iterator[None]:
    """Have a module of fused experts report its products while the block runs."""
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    ALL_EXPERTS_FUNCTIONS.register(_IMPLEMENTATION, experts_in_a_loop)
    config: Any = module.config
    was = config._experts_implementation_internal
    _WATCHED[module] = on_product
    config._experts_implementation_internal = _IMPLEMENTATION
    try:
        yield
    finally:
        config._experts_implementation_internal = was
        del _WATCHED[module]


def experts_in_a_loop(experts: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """What a layer's experts give, one expert after another.

    Args:
        experts: A module that transformers decorates with ``use_experts_implementation``.
        hidden_states: Tokens, (n, width).
        top_k_index: Experts of each token, (n, k); numbers beyond the experts stand for none.
        top_k_weights: What their outputs are multiplied by, (n, k).
    """
    on_product = _WATCHED.get(experts, lambda product: None)
    first = "gate_up_proj" if experts.has_gate else "up_proj"
    total = torch.zeros_like(hidden_states)
    for expert in top_k_index.unique().tolist():
        if expert >= len(experts.down_proj):
            continue
        rows, choice = (top_k_index == expert).nonzero(as_tuple=True)

        def multiply(parameter: str, inputs: Tensor, expert: int = expert, rows: Tensor = rows) -> Tensor:
            output = _multiply(experts, parameter, expert, inputs)
            on_product(RoutedProduct(parameter, expert, inputs, output, rows))
            return output

        inner = multiply(first, hidden_states[rows])
        inner = experts._apply_gate(inner) if experts.has_gate else experts.act_fn(inner)
        output = multiply("down_proj", inner)
        if getattr(experts, "has_post_expert_norm", False):
            output = experts.post_expert_norm(output)
        weighted = output * top_k_weights[rows, choice, None]
        total = total.index_add(0, rows, weighted.to(total.dtype))
    return total


def _multiply(experts: Any, parameter: str, expert: int, inputs: Tensor) -> Tensor:
    matrix = getattr(experts, parameter)[expert]
    bias = getattr(experts, f"{parameter}_bias")[expert] if experts.has_bias else None
    return nn.functional.linear(inputs, matrix.mT if experts.is_transposed else matrix, bias)
