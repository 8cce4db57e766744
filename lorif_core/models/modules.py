"""Which modules of a model are tracked, and for every other one with weights, why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import NamedTuple

from torch import nn
from transformers.pytorch_utils import Conv1D

from lorif_core.errors import TargetError
from lorif_core.linalg.maps import projected_width
from lorif_core.models.adapter_weights import FROZEN, adapter_modules, why_not_adapter
from lorif_core.models.quantised import num_weights, packed_widths
from lorif_core.shapes import ATTENTION_AND_MLP, ModuleShape, Tracked
from lorif_core.weights import expert_name, fused_experts, is_out_first, kind_of, output_head, own_weight

NARROW = 64
"""Up to how many dimensions the narrow side of an adapter's map is never projected."""


@dataclass(frozen=True)
class ModuleEntry:
    """One module that owns weights."""

    name: str
    """torch's dotted path, verbatim."""

    kind: str
    """Class name."""

    in_features: int | None
    """None where the weights are no matrix. An embedding maps one-hot tokens, a norm one number to its diagonal."""

    out_features: int | None

    num_parameters: int
    """Weights owned by the module itself."""

    reason: str | None
    """Why the module is not tracked; None when it is."""

    is_head: bool = False
    """Whether it is an output head that is tracked as one: its own use of its weights, stored as columns."""

    failed_trial: bool = False
    """Whether it would be tracked, had not a trial batch shown that its gradients would be wrong or nothing."""

    in_adapter: bool = False
    """Whether it is a linear map of an adapter, such as LoRA's A or B."""

    @property
    def is_tracked(self) -> bool:
        """Whether gradients of this module are stored."""
        return self.reason is None


def list_modules(
    model: nn.Module,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    default: Tracked = ATTENTION_AND_MLP,
) -> list[ModuleEntry]:
    """Every module that owns weights, in the model's order, tracked or with the reason why not.

    Tracked by default: the linear maps (``nn.Linear`` and GPT-2's ``Conv1D``) of MLPs, fused experts one by one, and
    what ``default`` says of attention and the output head; in a model with LoRA adapters, the adapters' linear maps
    instead. A pattern of ``include`` that matches none of these means whatever else it matches: embeddings, the
    output head, norms, routers. Modules that share one weight are one module, under the first one's name; but a head
    that is tracked as one is by itself, and only its own use of the weight counts.
    """
    owners = adapter_modules(model)
    if owners or include:  # of adapters all are tracked; a pattern means attention as well
        default = Tracked(True, default.head and not owners)
    candidates = list(_iter_candidates(model, owners, default))
    named = _meant_by_name(candidates, include)
    sharing = _names_by_weight(candidates)
    firsts: dict[nn.Parameter, str] = {}
    entries = []
    for found in candidates:
        reason = None if found.name in named else found.reason
        if reason is None and owners and found.name not in owners:
            reason = FROZEN
        names = [found.name] if found.weight is None or found.is_head else sharing[found.weight]
        if reason is None:
            reason = _why_not_chosen(names, include, exclude)
        if reason is None and found.weight is not None:
            first = firsts.setdefault(found.weight, found.name)
            reason = None if first == found.name else f"one weight with {first}"
        widths = found.widths or (None, None)
        of_adapter = found.name in owners
        entries.append(
            ModuleEntry(
                found.name, found.kind, *widths, found.num_weights, reason, found.is_head, in_adapter=of_adapter
            )
        )
    return entries


class _Candidate(NamedTuple):
    """A module that owns weights, or one expert's matrix."""

    name: str
    kind: str
    widths: tuple[int, int] | None
    """Of the map that the weights stand for; None where they stand for none."""

    num_weights: int
    weight: nn.Parameter | None
    """What the module shares with others that hold it too; None for an expert's matrix, a part of a parameter."""

    reason: str | None
    """Why it is not tracked unless a pattern means it; None for what is tracked by default."""

    is_head: bool = False
    """Whether it is an output head that is tracked as one."""


def _iter_candidates(model: nn.Module, owners: frozenset[str], default: Tracked) -> Iterator[_Candidate]:
    head = output_head(model)
    attention = () if default.attention else tuple(_attention_modules(model))
    for name, module in model.named_modules():
        kind, left = type(module).__name__, num_weights(module)
        fused = fused_experts(module)
        for parameter_name in fused:
            matrices = getattr(module, parameter_name)
            width, other = matrices.shape[1:]
            left -= matrices.numel()
            for number in range(len(matrices)):
                widths = (other, width) if is_out_first(module) else (width, other)
                yield _Candidate(expert_name(name, number, parameter_name), kind, widths, width * other, None, None)
        widths = None if fused else _widths(module)
        if left or widths is not None:
            is_head = module is head and default.head and linear_widths(module) is not None
            is_default = is_head or (linear_widths(module) is not None and module is not head)
            reason = None if is_default else "biases of experts" if fused else _why_not_linear(model, module)
            if is_default and any(name.startswith(f"{one}.") for one in attention):
                reason = ATTENTION
            if packed_widths(module) is not None:
                reason = FROZEN if owners else "quantised: only an adapter on it could be tracked"
            if name in owners:
                reason = why_not_adapter(name, widths)
            yield _Candidate(name, kind, widths, left, own_weight(module), reason, is_head)


ATTENTION = "attention: `--include '*'` tracks it too"


def _attention_modules(model: nn.Module) -> Iterator[str]:
    """Names of the modules that are attention by their class: torch's, or one that says so."""
    for name, module in model.named_modules():
        kind = type(module).__name__.lower()
        if name and ("attention" in kind or "attn" in kind):
            yield name


def _meant_by_name(candidates: list[_Candidate], include: tuple[str, ...]) -> set[str]:
    """Names of what is not tracked by default, but meant by a pattern that matches nothing else."""
    default = [found.name for found in candidates if found.reason is None]
    special = [pattern for pattern in include if not any(fnmatchcase(name, pattern) for name in default)]
    return {
        found.name
        for found in candidates
        if found.widths is not None and any(fnmatchcase(found.name, pattern) for pattern in special)
    }


def _names_by_weight(candidates: list[_Candidate]) -> dict[nn.Parameter, list[str]]:
    names: dict[nn.Parameter, list[str]] = {}
    for found in candidates:
        if found.weight is not None:
            names.setdefault(found.weight, []).append(found.name)
    return names


def _widths(module: nn.Module) -> tuple[int, int] | None:
    """Input and output width of what the module's own weights stand for; None where they stand for no matrix."""
    kind, weight = kind_of(module), own_weight(module)
    if weight is None or kind is None:
        return linear_widths(module)
    if kind == "norm":
        return 1, len(weight)
    rows, columns = weight.shape
    return (columns, rows) if is_out_first(module) else (rows, columns)


def tracked_shapes(entries: list[ModuleEntry], f: int) -> list[ModuleShape]:
    """Shapes of the tracked modules after projection by the divisor ``f``, in the model's order.

    The narrow side of an adapter's map keeps its width: it is the adapter's rank, and next to nothing beside the
    wide side, so that folding it would lose directions and save no bytes.

    Raises:
        TargetError: Nothing is tracked.
    """
    shapes = [
        ModuleShape(
            e.name,
            e.in_features,
            e.out_features,
            _folded(e, e.in_features, e.out_features, f),
            e.out_features if e.is_head else _folded(e, e.out_features, e.in_features, f),
            "columns" if e.is_head else "factors",
        )
        for e in entries
        if e.is_tracked and e.in_features is not None and e.out_features is not None
    ]
    if not shapes:
        raise TargetError(
            f"no module is left to track. Linear modules are named like {_some_names(entries)}; "
            "`lorif index --list-modules` shows all and why not. Change `--include` or `--exclude`."
        )
    return shapes


def _folded(entry: ModuleEntry, width: int, other: int, f: int) -> int:
    """Width of one side after projection, given the other side's."""
    is_narrow = entry.in_adapter and width <= min(other, NARROW)
    return width if is_narrow else projected_width(width, f)


def check_patterns(entries: list[ModuleEntry], patterns: tuple[str, ...]) -> None:
    """Refuse a pattern that matches nothing that could be tracked, which is always a typing slip.

    Raises:
        TargetError: Names the pattern and what names look like.
    """
    names = [entry.name for entry in entries if entry.in_features is not None]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise TargetError(
                f"no module matches {pattern!r}. Names look like {_some_names(entries)}; "
                "`lorif index --list-modules` shows all."
            )


def _some_names(entries: list[ModuleEntry]) -> list[str]:
    """The first names of linear maps, for a message."""
    linear = (one.name for one in entries if one.in_features is not None and one.kind != "Embedding")
    return list(islice(linear, 3))


def linear_widths(module: nn.Module) -> tuple[int, int] | None:
    """Input and output width of a linear map, or None for any other module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        return module.weight.shape[0], module.weight.shape[1]
    return None


def _why_not_chosen(names: list[str], include: tuple[str, ...], exclude: tuple[str, ...]) -> str | None:
    """Why a weight is not wanted that several modules may hold; any of their names counts."""

    def is_named(pattern: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in names)

    if include and not any(map(is_named, include)):
        return "not in --include"
    return next((f"--exclude {pattern}" for pattern in exclude if is_named(pattern)), None)


def _why_not_linear(model: nn.Module, module: nn.Module) -> str:
    if linear_widths(module) is not None:
        tied = any(module.weight is other.weight for other in _embeddings(model))
        return "output head, tied to the input embedding" if tied else "output head"
    if isinstance(module, nn.Embedding):
        return "embedding"
    if "norm" in type(module).__name__.lower():
        return "normalisation"
    if any(parameter.ndim >= 3 for parameter in module.parameters(recurse=False)):
        return "not covered: weights with more than two axes that no known expert loop computes"
    return "not covered: not a linear module"


def _embeddings(model: nn.Module) -> Iterator[nn.Embedding]:
    return (module for module in model.modules() if isinstance(module, nn.Embedding))
