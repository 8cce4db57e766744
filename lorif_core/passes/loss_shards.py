"""Losses as what an index stores: of runs of texts, and of queries."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lorif_core.config import ScoreConfig
from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.linalg.kept_energy import kept_as_stored
from lorif_core.methods.daunce import LOSSES, centred, losses_module
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.shards import ShardTensors
from lorif_core.shapes import Float, Int
from lorif_core.store.blocks import check_encoded, decode_block, encode_block


def build_loss_shard(losses: Float[Tensor, "n K"], num_tokens: Int[Tensor, " n"], codec: ColumnCodec) -> ShardTensors:
    """Centred losses of consecutive texts.

    Args:
        losses: In nats, float64; a text that has none has the same number everywhere, and is stored as zero.
        num_tokens: Lengths of the texts; zeros where nobody knows them.
        codec: Of a loss.

    Raises:
        NumericalError: A loss is not finite.
    """
    module = losses_module(losses.shape[1])
    whole = centred(losses)
    tensors = encode_block(whole, LOSSES, codec)
    check_encoded(tensors)
    stored = decode_block(tensors, module, codec, "dense")
    energies = (whole.squared_norm(), kept_as_stored(whole, stored))
    total, kept = (float(energy.sum(dtype=torch.float64)) for energy in energies)
    tensors |= {"norms": stored.squared_norm().sqrt(), "num_tokens": num_tokens.to(torch.int32)}
    return ShardTensors(tensors, [total], [kept], [total])


def loss_queries(
    losses: Float[Tensor, "Q K"], objectives: Float[Tensor, " Q"], asked: Sequence[ScoreConfig], codec: ColumnCodec
) -> QueryGradients:
    """Queries as features of an index of losses.

    Args:
        losses: In nats, float64: of a margin or a contrast with the sign of a loss.
        objectives: What is shown of each query.
        asked: What they will be scored with.
        codec: Of the index.
    """
    whole = centred(losses)
    stored = {}
    if any(one.normalisation == "unit" for one in asked):
        coded = encode_block(whole, LOSSES, codec)
        stored = {LOSSES: decode_block(coded, losses_module(losses.shape[1]), codec, "dense")}
    return QueryGradients({LOSSES: whole.matrix}, objectives.float(), stored)
