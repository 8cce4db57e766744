"""Rates of the default method's two passes beside a plain training step on the same batch.

training step   forward and backward, weights trainable, in float32, no optimiser step
the same in bf16  under bfloat16 autocast, where the processor multiplies faster in it
statistics      second moments of every tracked module
gradients       capture, project, factor, encode, with maps of the widths that half-whitening has

A build whose sample is all texts, as of 2,000 texts or fewer, takes both passes over every text: its rate is that of
statistics and gradients one after the other.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.indexing import BATCH, LENGTH, VOCABULARY, build_models
from benchmarks.timing import interleaved
from lorif_core.capture.hooks import evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.capture.precision import Recorded, compute_in, possible_precisions
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.codecs import codec_for
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import FactoredSettings, KroneckerConfig
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.second_moments import add_moments, empty_moments
from lorif_core.passes.shards import GradientSource, build_shard
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes.choose_size import sized
from lorif_core.workspace.indexes.engine import CPU_TOKENS_PER_BATCH


def main() -> None:
    """Measure a model of a folder on texts of a file."""
    parser = argparse.ArgumentParser(prog="benchmarks.default_method", description=__doc__)
    parser.add_argument("model", type=Path, help="folder of a model and its tokenizer")
    parser.add_argument("texts", type=Path, help="rows of JSON, whose strings are joined")
    parser.add_argument("--num-texts", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--f", type=int, help="projection divisor; unset: by the size of the model")
    parser.add_argument("--tokens-per-batch", type=int, default=CPU_TOKENS_PER_BATCH)
    given = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    examples: list[EncodedExample] = []
    for line in given.texts.read_text(encoding="utf-8").splitlines()[: given.num_texts]:
        text = " ".join(value for value in json.loads(line).values() if isinstance(value, str))
        ids = tokenizer(text)["input_ids"][: given.max_length]
        examples.append(EncodedExample(ids, [False] + [True] * (len(ids) - 1), len(ids)))
    print(json.dumps(measure(model, examples, given.f, given.tokens_per_batch), indent=1))


def measure(
    model: nn.Module,
    examples: Sequence[EncodedExample],
    f: int | None = None,
    tokens_per_batch: int = CPU_TOKENS_PER_BATCH,
) -> dict[str, Any]:
    """Rates in tokens per second and their ratios to a training step, in the precision that a build would choose.

    Args:
        model: On the CPU, float32.
        examples: Texts of the batches; all tasks see the same batches.
        f: Projection divisor; None: as the size of the model asks for.
        tokens_per_batch: Padding included.
    """
    settings = sized(KroneckerConfig(f=f), list_modules(model, default=make_method(KroneckerConfig()).tracked))
    assert isinstance(settings, FactoredSettings)
    modules = tracked_shapes(list_modules(model, default=make_method(settings).tracked), settings.f or 1)
    precision = possible_precisions("auto", model)[0]
    maps = _maps(modules, precision)
    source = GradientSource(
        model, maps, modules, make_method(settings), codec_for(settings.codec, "factors"), 0, tokens_per_batch
    )
    moments = empty_moments(modules)

    def statistics() -> None:
        with frozen(model), compute_in(model, precision):
            add_moments(
                model,
                moments,
                examples,
                pad_id=0,
                tokens_per_batch=tokens_per_batch,
                in_bfloat16=precision == "bfloat16",
            )

    def gradients() -> None:
        with frozen(model), compute_in(model, precision):
            build_shard(source, examples)

    seconds = interleaved(
        {
            "training_step": lambda: _train(model, examples, None, tokens_per_batch),
            "training_step_bf16": lambda: _train(model, examples, "bfloat16", tokens_per_batch),
            "statistics": statistics,
            "gradients": gradients,
        },
        rounds=3,
    )
    return _row(settings, precision, seconds, sum(len(one.input_ids) for one in examples))


def measure_models() -> dict[str, Any]:
    """The same models and batch as ``indexing``, and texts that are predicted from the second token on."""
    torch.manual_seed(1)
    ids = torch.randint(0, VOCABULARY, (BATCH, LENGTH))
    examples = [EncodedExample(row.tolist(), [False] + [True] * (LENGTH - 1), LENGTH) for row in ids]
    return {name: measure(model, examples) for name, model in build_models().items()}


def _row(
    settings: FactoredSettings, precision: Recorded, seconds: Mapping[str, float], num_tokens: int
) -> dict[str, Any]:
    both = seconds["statistics"] + seconds["gradients"]
    return {
        "f": settings.f,
        "factor_rank": settings.factor_rank,
        "precision": precision or "float32",
        "tokens_per_s": {name: num_tokens / taken for name, taken in seconds.items()},
        "gradients_over_training_step": seconds["training_step"] / seconds["gradients"],
        "both_over_training_step": seconds["training_step"] / both,
        "gradients_over_training_step_bf16": seconds["training_step_bf16"] / seconds["gradients"],
        "both_over_training_step_bf16": seconds["training_step_bf16"] / both,
    }


def _train(model: nn.Module, examples: Sequence[EncodedExample], precision: Recorded, tokens_per_batch: int) -> None:
    with compute_in(model, precision):
        for positions in plan_batches([len(one.input_ids) for one in examples], tokens_per_batch, ()):
            batch = pad_batch([examples[position] for position in positions], 0)
            evaluate_objective(model, batch, summed_cross_entropy).sum().backward()
    model.zero_grad(set_to_none=True)


def _maps(modules: Sequence[ModuleShape], precision: Recorded) -> dict[str, ModuleMaps]:
    """Dense maps of the shapes of half-whitening ones; what they hold takes no other time."""
    maps: dict[str, ModuleMaps] = {}
    for module in modules:
        inputs = torch.randn(module.in_features, module.d_in) / module.in_features**0.5
        if module.form == "columns":
            maps[module.name] = ModuleMaps(inputs, torch.ones(module.out_features))
            continue
        outputs = torch.randn(module.out_features, module.d_out) / module.out_features**0.5
        narrow = torch.bfloat16 if precision == "bfloat16" else torch.float32
        maps[module.name] = ModuleMaps(inputs, outputs).to(torch.device("cpu"), narrow)
    return maps


if __name__ == "__main__":
    main()
