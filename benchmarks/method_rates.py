"""How fast each method takes gradients: one thread, in seconds of processor time, which other work disturbs least.

    OMP_NUM_THREADS=1 python -m benchmarks.method_rates [--rounds 3] [--methods NAME …]

A GPT-2 of two layers of width 768 with random weights, twelve texts of 256 random tokens, four at a time; of what is
left of them nothing is written to a disk. Maps of the default method are random and as large as its own at f = 1: its
statistics are a pass of their own. Methods take turns, so that all meet the same machine.
"""

import argparse
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, GPT2Config

from lorif_core.capture.hooks import frozen
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.codecs import codec_for
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.make_method import make_method
from lorif_core.methods.registry import method_settings
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.shards import GradientSource, build_shard
from lorif_core.shapes import ModuleShape

NAMES = ("kronecker", "lorif", "graddot", "logra", "factgrass", "grass", "trak")
VOCABULARY, WIDTH, LENGTH, TEXTS = 8192, 768, 256, 12
TOKENS_PER_BATCH = 4 * LENGTH


def main() -> None:
    """Measure and print a line per method."""
    parser = argparse.ArgumentParser(prog="benchmarks.method_rates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=list(NAMES))
    given = parser.parse_args()
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=2, n_embd=WIDTH, n_head=12, vocab_size=VOCABULARY, n_positions=LENGTH, bos_token_id=0, eos_token_id=0
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    drawn = torch.randint(0, VOCABULARY, (TEXTS, LENGTH)).tolist()
    texts = [EncodedExample(ids, [place > 0 for place in range(LENGTH)], LENGTH) for ids in drawn]
    sources = {name: source_of(model, name) for name in given.methods}
    rates: dict[str, list[float]] = {name: [] for name in sources}
    with frozen(model):
        for _ in range(given.rounds):
            for name, source in sources.items():
                started = time.process_time()
                build_shard(source, texts)
                rates[name].append(TEXTS * LENGTH / (time.process_time() - started))
    for name, found in rates.items():
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        print(f"{name:<12}{statistics.median(found):>8,.0f} tokens per second of processor time ({spread})")


def source_of(model: torch.nn.Module, name: str) -> GradientSource:
    """A method's gradients of the model, at its own settings."""
    method = make_method(method_settings(name, **({"f": 1, "factor_rank": 2} if name == "kronecker" else {})))
    projection, feature = method.projection, method.feature
    entries = list_modules(model, default=method.tracked)
    modules = projection.shapes(tracked_shapes(entries, projection.f or 1))
    is_whitened = projection.sample(modules) is not None
    maps = {one.name: random_like(one) if is_whitened else projection.maps(one, None) for one in modules}
    joint = projection.joint(modules)
    stored = modules if joint is None else [joint]
    return GradientSource(model, maps, stored, method, codec_for(feature.codec, feature.layout), 0, TOKENS_PER_BATCH)


def random_like(module: ModuleShape) -> ModuleMaps:
    """Maps of the shapes of half-whitening ones."""
    is_head = module.form == "columns"
    outputs = torch.rand(module.out_features) if is_head else torch.randn(module.out_features, module.d_out)
    return ModuleMaps(torch.randn(module.in_features, module.d_in), outputs)


if __name__ == "__main__":
    main()
