"""Models with random weights in bfloat16 for the benchmark on a GPU, and what their arithmetic could reach."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig

from lorif_core.data.encoding import EncodedExample
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.shapes import ModuleShape

PEAK_FLOPS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
}
"""Dense products in bfloat16, added up in float32, per second, as the maker's data sheets say; by a part of the
device's name, of which the longest counts."""


@dataclass(frozen=True)
class Workload:
    """One model with one batch."""

    name: str
    model: nn.Module
    examples: list[EncodedExample]
    device: torch.device

    @property
    def num_tokens(self) -> int:
        """Of the batch, without padding, which it has none of."""
        return sum(one.num_tokens for one in self.examples)

    @property
    def num_multiplied(self) -> int:
        """Weights that every token is multiplied with: no embeddings, and the head also where it is tied to one."""
        return sum(one.numel() for one in _matrices(self.model))

    def modules(self, f: int) -> list[ModuleShape]:
        """The tracked modules after projection by ``f``."""
        return tracked_shapes(list_modules(self.model), f)


def _matrices(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if not isinstance(module, nn.Embedding):
            yield from (one for one in module.parameters(recurse=False) if one.ndim > 1)


def peak_flops(device_name: str) -> float | None:
    """What the data sheet of a device says; None where we do not know it."""
    known = [name for name in PEAK_FLOPS if name in device_name]
    return PEAK_FLOPS[max(known, key=len)] if known else None


def model_configs(*, is_tiny: bool) -> dict[str, PretrainedConfig]:
    """The models by name, smallest first."""
    if is_tiny:
        return {
            "gpt2 tiny": GPT2Config(
                vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1
            ),
            "llama tiny": _tiny_llama(num_layers=2, num_kv_heads=4),
            "llama small": _tiny_llama(num_layers=3, num_kv_heads=2),
        }
    return {
        "gpt2 124M": GPT2Config(),
        "llama 1.3B": LlamaConfig(
            vocab_size=32_000,
            hidden_size=2048,
            intermediate_size=5504,
            num_hidden_layers=24,
            num_attention_heads=16,
            num_key_value_heads=16,
        ),
        "llama 8B": LlamaConfig(  # the dimensions of Llama-3-8B
            vocab_size=128_256,
            hidden_size=4096,
            intermediate_size=14_336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            max_position_embeddings=8192,
        ),
    }


def _tiny_llama(num_layers: int, num_kv_heads: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=num_kv_heads,
    )


def build_workload(
    name: str, config: PretrainedConfig, device: torch.device, num_texts: int, length: int
) -> Workload:
    """A model with random weights on its device, and one batch of random tokens."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    ids = torch.randint(0, config.vocab_size, (num_texts, length))
    examples = [EncodedExample(row.tolist(), [False] + [True] * (length - 1), length) for row in ids]
    return Workload(name, model, examples, device)
