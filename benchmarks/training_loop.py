"""Cost of logging a training loop: the same steps with a run and without, on GPT-2 of 12 layers × 256.

Both loops lie in one process and take turns, step by step, on copies of one model. The command
``python -m benchmarks.training_loop`` prints CPU seconds, with one thread, and wall time of each, and their ratios.
The whole run counts: statistics (where the method takes any) with the roots that follow, rows, their encoding, the
files. Beside it stands what a step costs once rows are stored.
"""

import argparse
import contextlib
import copy
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

import lorif_core as lf

VOCABULARY, WIDTH, LAYERS, HEADS = 4096, 256, 12, 8
BATCH, LENGTH = 16, 128


def build_model() -> nn.Module:
    """A GPT-2, random from a seed."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).train()


class Loop:
    """One of the two loops: a model, its optimizer, and what the batches need."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def step(self, ids: Tensor, around: Callable[[], Any]) -> None:
        """One step, timed."""
        cpu, wall = time.process_time(), time.perf_counter()
        with around():
            self.model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)


def measure(num_texts: int, epochs: int, method: str, precision: Any) -> dict[str, Any]:
    """Train two copies side by side, one of them in a run."""
    torch.manual_seed(1)
    texts = torch.randint(0, VOCABULARY, (num_texts, LENGTH))
    model = build_model()
    plain, logged = Loop(copy.deepcopy(model)), Loop(model)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the run becomes no index: this model has no tokenizer
        workspace = _workspace(Path(folder), num_texts)
        stored_from = None
        settings = lf.method_settings(method)
        with lf.log(workspace, model, name="benchmark", method=settings, precision=precision) as run:
            for epoch in range(epochs):
                for start in range(0, num_texts, BATCH):
                    ids = texts[start : start + BATCH]
                    names = [str(number) for number in range(start, start + len(ids))]
                    if run.is_storing and stored_from is None:
                        stored_from = len(logged.cpu)
                    plain.step(ids, contextlib.nullcontext)
                    logged.step(ids, lambda names=names, ids=ids: run.batch(names, targets=ids.numel() - len(ids)))
                print(f"epoch {epoch + 1}: {_told(plain, logged, 0)}", flush=True)
            began = time.process_time(), time.perf_counter()
            run.flush()
            ended = time.process_time() - began[0], time.perf_counter() - began[1]
        described = {"f": run.run.loop.f, "modules": len(run.run.loop.modules), "method": run.run.loop.method.label}
    first = stored_from or 0
    return {
        "settings": described | {"in_bfloat16": run.run.loop.in_bfloat16, "threads": torch.get_num_threads()},
        "steps": len(logged.cpu),
        "steps_of_statistics": first,
        "seconds_of_the_last_flush": ended,
        "whole_run": ratios(plain, logged, 0, ended),
        "statistics_and_roots": ratios(plain, logged, 0, (0.0, 0.0), first) if first else None,
        "once_rows_are_stored": ratios(plain, logged, first, (0.0, 0.0)),
    }


def ratios(
    plain: Loop, logged: Loop, first: int, ended: tuple[float, float], stop: int | None = None
) -> dict[str, float]:
    """Logged over plain, of sums and of medians of steps."""
    found = {}
    for name, more in zip(("cpu", "wall"), ended, strict=True):
        one, other = getattr(plain, name)[first:stop], getattr(logged, name)[first:stop]
        found[f"{name}_ratio"] = (sum(other) + more) / sum(one)
        found[f"{name}_ratio_of_medians"] = statistics.median(other) / statistics.median(one)
        found[f"{name}_seconds_per_plain_step"] = sum(one) / len(one)
    return found


def _told(plain: Loop, logged: Loop, first: int) -> str:
    return f"{ratios(plain, logged, first, (0.0, 0.0))['cpu_ratio']:.3f} of CPU seconds"


def _workspace(folder: Path, num_texts: int) -> Any:
    """A workspace whose texts have the ids that the loop says."""
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": str(one), "text": f"text {one}"}) + "\n" for one in range(num_texts)))
    workspace = lf.create_workspace(folder / "ws")
    workspace.data.import_files(path)
    return workspace


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.training_loop", description=__doc__)
    parser.add_argument("--num-texts", type=int, default=640)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--method", default="kronecker")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(arguments.num_texts, arguments.epochs, arguments.method, arguments.precision)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
