"""Gradients of modules of one shape that are compressed together, as on a GPU, against one module at a time."""

import pytest
import torch
from indexes import LOGRA, TRAIN, source_of

from lorif_core.capture.hooks import frozen
from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.lorif import FactoredFeature, Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes import shards
from lorif_core.passes.shards import build_shard


def shard_of(method, codec, tokens_per_batch):
    source = source_of(method, column_codec(codec), tokens_per_batch=tokens_per_batch)
    with frozen(source.model):
        return build_shard(source, TRAIN)


@pytest.mark.parametrize("tokens_per_batch", [20, 1000])
@pytest.mark.parametrize(
    ("method", "codec"),
    [
        (LOGRA, "bf16"),
        *((Lorif(LorifConfig(factor_rank=rank)), codec) for rank in (1, 2) for codec in ("bf16", "sign")),
    ],
)
def test_modules_compressed_together_have_the_codes_of_each_alone(method, codec, tokens_per_batch, monkeypatch):
    alone = shard_of(method, codec, tokens_per_batch)
    monkeypatch.setattr(shards, "stacked_bytes", lambda device: 1 << 30)
    together = shard_of(method, codec, tokens_per_batch)
    assert together.tensors.keys() == alone.tensors.keys()
    for name, wanted in alone.tensors.items():
        found = together.tensors[name]
        assert found.dtype == wanted.dtype
        if wanted.dtype == torch.uint8:  # signs of numbers near zero may differ by rounding
            differing = (found ^ wanted).flatten().tolist()
            assert sum(map(int.bit_count, differing)) <= 0.001 * 8 * len(differing), name
        else:
            torch.testing.assert_close(found, wanted, rtol=2**-7, atol=1e-6)
    for found, wanted in (
        (together.kept_energy, alone.kept_energy),
        (together.stored_energy, alone.stored_energy),
        (together.total_energy, alone.total_energy),
    ):
        assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(("room", "most"), [(0, 1), (1, 1), (1 << 30, 2)])
def test_so_many_modules_wait_as_have_room(room, most, monkeypatch):
    counts, compress = [], FactoredFeature.compress

    def counted(self, gradient, *modules):
        counts.append(len(modules))
        assert len({(one.d_in, one.d_out) for one in modules}) == 1
        return compress(self, gradient, *modules)

    monkeypatch.setattr(shards, "stacked_bytes", lambda device: room)
    monkeypatch.setattr(FactoredFeature, "compress", counted)
    source = source_of(Lorif(LorifConfig(factor_rank=1)), column_codec("bf16"), tokens_per_batch=1000)
    with frozen(source.model):
        build_shard(source, TRAIN)
    assert sum(counts) % len(source.modules) == 0
    assert max(counts) == most, counts


def test_nothing_waits_on_a_processor():
    assert shards.stacked_bytes(torch.device("cpu")) == 0
    assert shards.stacked_bytes(torch.device("cuda")) == shards.STACKED_BYTES
