"""Throughput of indexing beside a plain training step and beside the floor, on the same batch.

training step   forward and backward, weights trainable, no optimiser step
floor           forward and activation-only backward, weights frozen
indexing        what `lorif index` does with a batch: capture, project, factor, encode
"""

from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from benchmarks.timing import interleaved
from lorif_core.capture.hooks import evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.maps import random_maps
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.shards import GradientSource, build_shard

VOCABULARY, WIDTH, LAYERS, HEADS = 4096, 256, 12, 8
BATCH, LENGTH = 16, 128


def build_models() -> dict[str, nn.Module]:
    """Randomly initialised models of 12 layers × 256."""
    torch.manual_seed(0)
    gpt2 = GPT2Config(
        vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    llama = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=704, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=LENGTH,
    )  # fmt: skip
    return {"gpt2": GPT2LMHeadModel(gpt2).eval(), "llama": LlamaForCausalLM(llama).eval()}


def measure(device: str) -> list[dict[str, Any]]:
    """One row per model and projection divisor; rates in tokens per second."""
    torch.manual_seed(1)
    ids = torch.randint(0, VOCABULARY, (BATCH, LENGTH))
    examples = [EncodedExample(row.tolist(), [False] + [True] * (LENGTH - 1), LENGTH) for row in ids]
    batch = pad_batch(examples, 0)
    rows = []
    for name, model in build_models().items():
        model.to(device)
        for f in (4, 8):
            source = _source(model, f, device)

            def train_step(model: nn.Module = model) -> None:
                evaluate_objective(model, batch, summed_cross_entropy).sum().backward()
                model.zero_grad(set_to_none=True)
                _synchronise(device)

            def floor(model: nn.Module = model) -> None:
                with frozen(model):
                    evaluate_objective(model, batch, summed_cross_entropy).sum().backward()
                _synchronise(device)

            def index(model: nn.Module = model, source: GradientSource = source) -> None:
                with frozen(model):
                    build_shard(source, examples)
                _synchronise(device)

            seconds = interleaved({"train": train_step, "floor": floor, "index": index})
            tokens = BATCH * LENGTH
            rows.append(
                {
                    "model": name,
                    "f": f,
                    "train_step_tokens_per_s": tokens / seconds["train"],
                    "floor_tokens_per_s": tokens / seconds["floor"],
                    "index_tokens_per_s": tokens / seconds["index"],
                    "index_over_train_step": seconds["train"] / seconds["index"],
                    "index_over_floor": seconds["floor"] / seconds["index"],
                }
            )
    return rows


def _source(model: nn.Module, f: int, device: str) -> GradientSource:
    modules = tracked_shapes(list_modules(model), f)
    maps = {
        module.name: random_maps(module, f=f, seed=0).to(torch.device(device), torch.float32) for module in modules
    }
    method = Lorif(LorifConfig(factor_rank=1, subspace_rank=0))
    return GradientSource(model, maps, modules, method, column_codec("bf16"), 0, BATCH * LENGTH)


def _synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
