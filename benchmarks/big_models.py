"""``python -m benchmarks.big_models``: what an index of large models takes, from their public dimensions alone.

Prints a table and one JSON: maps, statistics, bytes per text, peak memory and passes over the statistics' sample, for
the default method on machines of several sizes. No weights are read and nothing large is allocated; how much was is
in the JSON (``most_allocated_bytes``).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorif_core.config import ModelConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workspace.indexes.estimate_outline import outline_estimate
from lorif_core.workspace.indexes.timed_batches import watched_memory

NUM_EXAMPLES = 1_000_000

MACHINES = {"64 GB": 64 * 10**9, "256 GB": 256 * 10**9, "2 TB": 2 * 10**12}
"""Memory that is free for a build, the model in float32 included."""

_LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 128256,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-05,
    "tie_word_embeddings": False,
}

CONFIGS: Mapping[str, dict[str, Any]] = {
    "Llama-3-8B": _LLAMA
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    "Qwen2.5-7B": {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
    "OLMo-2-7B": {
        "model_type": "olmo2",
        "architectures": ["Olmo2ForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 100352,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
    "Llama-3-70B": _LLAMA
    | {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64},
    "Mixtral-8x7B": {
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
    },
}
"""Configurations as the models' publishers give them."""


def write_config(folder: Path, name: str) -> Path:
    """Write the configuration of a model, and nothing else, to a folder of its name."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(CONFIGS[name]))
    return place


def measure() -> list[dict[str, Any]]:
    """One row per model."""
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        return [
            _row(name, IndexConfig(model=ModelConfig(model=str(write_config(Path(folder), name)), device="cpu")))
            for name in CONFIGS
        ]


def _row(name: str, settings: IndexConfig) -> dict[str, Any]:
    with watched_memory() as peak:
        before = peak.bytes
        found = {machine: outline_estimate(settings, NUM_EXAMPLES, free) for machine, free in MACHINES.items()}
    one = next(iter(found.values()))
    return {
        "model": name,
        "modules": one.num_modules,
        "size": one.size,
        "bytes_per_text": one.bytes_per_example,
        "gradients_bytes": one.shard_bytes,
        "maps_bytes": one.maps_bytes,
        "statistics_bytes": one.statistics_bytes,
        "machines": {
            machine: {"passes": each.num_passes, "peak_bytes": each.memory_bytes, "fits": each.memory_bytes <= free}
            for (machine, each), free in zip(found.items(), MACHINES.values(), strict=True)
        },
        "roots_hours": one.decomposition_seconds / 3600,
        "most_allocated_bytes": peak.bytes - before,
    }


def main() -> None:
    """Print the table to standard error and the JSON to standard output."""
    argparse.ArgumentParser(prog="benchmarks.big_models", description=__doc__).parse_args()
    rows = measure()
    print(json.dumps({"num_texts": NUM_EXAMPLES, "models": rows}, indent=1))
    print(f"{'model':<14} {'KB/text':>8} {'maps GB':>8} {'stat. GB':>9} passes and peak GB on", file=sys.stderr)
    for row in rows:
        machines = ", ".join(
            f"{machine}: {one['passes']} / {one['peak_bytes'] / 1e9:,.0f}{'' if one['fits'] else ' (too little)'}"
            for machine, one in row["machines"].items()
        )
        print(
            f"{row['model']:<14} {row['bytes_per_text'] / 1e3:>8.1f} {row['maps_bytes'] / 1e9:>8.1f} "
            f"{row['statistics_bytes'] / 1e9:>9.0f} {machines}; {row['size']}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
