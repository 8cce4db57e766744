"""How often the host looks at a number while gradients are captured: on a GPU it would be waited for each time."""

import traceback
from collections import Counter
from dataclasses import replace
from itertools import takewhile

import pytest
import torch
from indexes import LOGRA, TRAIN, source_of
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lorif_core.capture.hooks import frozen
from lorif_core.errors import NumericalError
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes.shards import build_shard

LOOKS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}
COPIES = {"cpu", "tolist", "numpy"}


class Looks(TorchDispatchMode):
    """Counts operators whose result the host reads, apart from those that transformers calls itself."""

    def __init__(self):
        super().__init__()
        self.own = self.foreign = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        is_mask = name == "aten::index" and any(one is not None and one.dtype == torch.bool for one in args[1])
        if name in LOOKS or is_mask:
            files = [frame.filename for frame in traceback.extract_stack()]
            behind = list(takewhile(lambda file: "lorif_core" not in file, reversed(files)))
            if any("transformers" in file for file in behind):
                self.foreign += 1
            else:
                self.own += 1
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Counts calls that bring a tensor to the CPU; on the CPU itself they reach no operator."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in COPIES:
            self.calls[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def looks_at(method, codec, tokens_per_batch):
    """(batches, own looks, foreign looks, copies) of a shard."""
    source = source_of(method, column_codec(codec), tokens_per_batch=tokens_per_batch)
    batches = []
    with frozen(source.model):
        build_shard(source, TRAIN)  # what is made once per process is there
        with Looks() as looks, Copies() as copies:
            build_shard(source, TRAIN, lambda *sizes: batches.append(sizes))
    return torch.tensor([len(batches), looks.own, looks.foreign, copies.calls.total()])


@pytest.mark.parametrize("codec", ["sign", "int4", "bf16"])
@pytest.mark.parametrize(
    "method", [LOGRA, *(Lorif(LorifConfig(factor_rank=rank)) for rank in (1, 2))], ids=["whole", "c=1", "c=2"]
)
def test_every_further_batch_is_looked_at_three_times_at_most_and_nothing_is_copied(method, codec):
    many, few = looks_at(method, codec, 24), looks_at(method, codec, 1000)
    batches, own, foreign, copies = (many - few).tolist()
    assert batches > 2
    assert own <= 2 * batches  # where targets are, and whether the objectives are finite
    assert foreign <= 2 * batches  # transformers asks whether anything is padded
    assert copies == 0


@pytest.mark.parametrize("method", [LOGRA, Lorif(LorifConfig(factor_rank=2))], ids=["whole", "factors"])
@pytest.mark.parametrize("codec", ["sign", "bf16"])
def test_a_shard_with_a_gradient_that_is_not_finite_is_refused_and_its_module_named(method, codec):
    source = source_of(method, column_codec(codec))
    name = source.modules[2].name
    maps = {**source.maps, name: ModuleMaps(source.maps[name].input_map * torch.nan, source.maps[name].output_map)}
    with (
        frozen(source.model),
        pytest.raises(
            NumericalError, match=f"those of module '{name}' are not in {len(TRAIN)} of {len(TRAIN)} texts"
        ),
    ):
        build_shard(replace(source, maps=maps), TRAIN)
