"""Where a model multiplies by its tracked weights, seen from outside.

Identity belongs to the weight: whichever module holds a tracked parameter is watched, and all its uses are reported
under one name; only of an output head that shares its parameter with the embedding, just the head is watched.
How a module is watched depends on what is known of its forward:

    plain linear maps and embeddings   a forward hook: input and output are those of the product
    norms                              a forward hook: the output is affine in the weights
    fused experts                      our own loop over the experts (``experts``), which reads the routing
    anything else                      its forward runs inside a torch function mode that sees the products
                                       themselves: routers that return tuples, scaled embeddings

The model is left as it was found.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers.pytorch_utils import Conv1D

from lorif_core.capture.experts import RoutedProduct, run_experts_in_a_loop
from lorif_core.weights import TrackedWeight, fused_experts, is_out_first, locate_weight


class Use(NamedTuple):
    """One product with a tracked weight."""

    name: str
    """Of the weight."""

    inputs: Tensor
    """What was multiplied, (…, width); ids, (…, 1), of an embedding; ones, (…, 1), of a norm."""

    output: Tensor
    """The product, (…, width), bias included."""

    is_swapped: bool = False
    """Whether the weight stands transposed to how it lies in the module that names it."""

    num_ids: int | None = None
    """How many there are, where the inputs are ids."""

    scale: Tensor | None = None
    """What the output's gradient is multiplied by: the normalised inputs of a norm."""

    skips: Tensor | None = None
    """Rows whose gradient the weight does not get, (…,): those of an embedding's padding id."""

    rows: Tensor | None = None
    """Ascending numbers of the batch's tokens, flattened, that were routed here; None: all were."""


OnUse = Callable[[Use], None]


@contextmanager
def watch_uses(
    model: nn.Module, names: Iterable[str], on_use: OnUse, *, heads: Collection[str] = ()
) -> Iterator[None]:
    """Report every product with the named weights while the block runs, on whichever module it happens.

    Args:
        model: A model.
        names: Of the weights.
        on_use: Called at every product.
        heads: Those of the names of which only the module that they name is watched.
    """
    weights = [locate_weight(model, name) for name in names]
    by_parameter: dict[nn.Parameter, list[TrackedWeight]] = {}
    for weight in weights:
        by_parameter.setdefault(weight.parameter, []).append(weight)
    with ExitStack() as watching:
        for module in model.modules():
            held = [
                one
                for p in module._parameters.values()
                if p is not None
                for one in by_parameter.get(p, ())
                if one.name not in heads or one.module is module
            ]
            if held:
                _watch(module, held, on_use, watching)
        yield


def _watch(module: nn.Module, held: list[TrackedWeight], on_use: OnUse, watching: ExitStack) -> None:
    if fused_experts(module):
        products = {(_parameter_name(module, one), one.expert): one.name for one in held}
        watching.enter_context(run_experts_in_a_loop(module, partial(_on_routed, products, on_use)))
        return
    hook = _on_norm if held[0].kind == "norm" else _HOOKS.get(type(module).forward)
    if hook is not None:
        handle = module.register_forward_hook(partial(hook, held[0], on_use), with_kwargs=True)
        watching.callback(handle.remove)
        return
    inside = _Inside(held, on_use)
    watching.callback(module.register_forward_pre_hook(inside.enter).remove)
    watching.callback(module.register_forward_hook(inside.leave, always_call=True).remove)


def is_seen_from_outside(weight: TrackedWeight) -> bool:
    """Whether a forward hook sees the products with a weight, wherever its numbers lie while they happen."""
    return weight.kind == "linear" and weight.expert is None and type(weight.module).forward in _HOOKS


def _parameter_name(module: nn.Module, weight: TrackedWeight) -> str:
    return next(name for name, one in module.named_parameters(recurse=False) if one is weight.parameter)


def _on_linear(
    weight: TrackedWeight, on_use: OnUse, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor
) -> None:
    on_use(Use(weight.name, _only_input(args, kwargs), output, is_out_first(module) != is_out_first(weight.module)))


def _on_embedding(
    weight: TrackedWeight, on_use: OnUse, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor
) -> None:
    assert isinstance(module, nn.Embedding)  # whose forward it is
    on_use(_lookup(weight, _only_input(args, kwargs), output, module.padding_idx))


def _lookup(weight: TrackedWeight, ids: Tensor, output: Tensor, padding_id: int | None) -> Use:
    if torch.is_grad_enabled():
        output.requires_grad_()  # nothing before it does: the weights are frozen
    is_swapped, num_ids = is_out_first(weight.module), len(weight.parameter)
    skips = None if padding_id is None else ids == padding_id % num_ids
    return Use(weight.name, ids[..., None], output, is_swapped, num_ids=num_ids, skips=skips)


def _on_norm(
    weight: TrackedWeight, on_use: OnUse, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor
) -> None:
    """A norm's output is w ⊙ x̂ + b, or (1 + w) ⊙ x̂: evaluated at w = 1 and 0, the difference is x̂."""
    with torch.no_grad():
        ends = [_with_weight(module, weight.parameter, value, args, kwargs) for value in (1.0, 0.0)]
    scale = ends[0] - ends[1]
    on_use(Use(weight.name, torch.ones_like(scale[..., :1]), output, scale=scale))


def _with_weight(module: nn.Module, parameter: nn.Parameter, value: float, args: Any, kwargs: Any) -> Tensor:
    """The module's output if its weights all had that value; its hooks are not run."""
    was = parameter.data
    parameter.data = torch.full_like(was, value)
    try:
        return module.forward(*args, **kwargs)
    finally:
        parameter.data = was


def _only_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    return args[0] if args else next(iter(kwargs.values()))


_HOOKS = {nn.Linear.forward: _on_linear, Conv1D.forward: _on_linear, nn.Embedding.forward: _on_embedding}
"""What is known of a forward, by the function itself: a subclass with its own may do anything."""


def _on_routed(products: dict[tuple[str, int | None], str], on_use: OnUse, product: RoutedProduct) -> None:
    name = products.get((product.parameter, product.expert))
    if name is not None:
        on_use(Use(name, product.inputs, product.output, rows=product.rows))


class _Inside:
    """Reports the products with some weights that happen while their module's forward runs."""

    def __init__(self, weights: list[TrackedWeight], on_use: OnUse) -> None:
        self.weights, self.on_use = weights, on_use
        self._modes: list[_Products] = []

    def enter(self, module: nn.Module, args: Any) -> None:
        """Before a forward."""
        mode = _Products(self.weights, self.on_use)
        mode.__enter__()
        self._modes.append(mode)

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """After it, also when it raised."""
        if self._modes:
            self._modes.pop().__exit__(None, None, None)


class _Products(TorchFunctionMode):
    """Sees products with some weights, or with what they become by a cast or a transposition."""

    def __init__(self, weights: list[TrackedWeight], on_use: OnUse) -> None:
        super().__init__()
        self.on_use = on_use
        self._forms = {id(one.parameter): (one.parameter, one, False) for one in weights}
        """By identity: a form of a weight, the weight, and whether it is transposed. Holds the form, so that no other
        tensor takes its place in memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _PRODUCTS:
            first, second = _PRODUCTS[func]
            padding_id = _argument(args, kwargs, (2, "padding_idx")) if func is nn.functional.embedding else None
            self._on_product(
                func, _argument(args, kwargs, first), _argument(args, kwargs, second), result, padding_id
            )
        elif (func in _SAME or func in _TRANSPOSED) and args and id(args[0]) in self._forms:
            _, weight, is_transposed = self._forms[id(args[0])]
            self._forms[id(result)] = (result, weight, is_transposed != (func in _TRANSPOSED))
        return result

    def _on_product(self, func: Any, inputs: Tensor, matrix: Tensor, output: Tensor, padding_id: int | None) -> None:
        if id(matrix) not in self._forms:
            return
        _, weight, is_transposed = self._forms[id(matrix)]
        if func is nn.functional.embedding:
            if not is_transposed:
                self.on_use(_lookup(weight, inputs, output, padding_id))
            return
        multiplies_transposed = (func is nn.functional.linear) != is_transposed
        self.on_use(Use(weight.name, inputs, output, multiplies_transposed != is_out_first(weight.module)))


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any] | None, place: tuple[int, str]) -> Any:
    position, name = place
    return args[position] if position < len(args) else (kwargs or {}).get(name)


_FACTORS = ((0, "input"), (1, "other"))
_PRODUCTS: dict[Any, tuple[tuple[int, str], tuple[int, str]]] = {
    nn.functional.linear: ((0, "input"), (1, "weight")),
    nn.functional.embedding: ((0, "input"), (1, "weight")),
    torch.matmul: _FACTORS,
    torch.mm: ((0, "input"), (1, "mat2")),
    torch.Tensor.matmul: _FACTORS,
    torch.Tensor.__matmul__: _FACTORS,
    torch.Tensor.mm: ((0, "input"), (1, "mat2")),
    torch.addmm: ((1, "mat1"), (2, "mat2")),
}
"""Products of rows with a matrix: where rows and matrix stand among the arguments."""

_ANY_TENSOR: Any = torch.Tensor
_TRANSPOSED = {torch.t, _ANY_TENSOR.t, _ANY_TENSOR.T.__get__, _ANY_TENSOR.mT.__get__}
_SAME = {getattr(_ANY_TENSOR, name) for name in ("to", "type", "float", "double", "half", "bfloat16", "contiguous")}
