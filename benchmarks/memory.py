"""Peak memory of `lorif index` and `lorif score` for two sizes of data set, and bytes per example on disk."""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from benchmarks.commands import used_by

SIZES = (2_000, 20_000)
WORDS = [f"word{number}" for number in range(400)]


def measure() -> dict[str, Any]:
    """Peak bytes per command and size, their ratio, and the index's bytes per example."""
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        root = Path(folder)
        _write_model(root / "model")
        queries = _write_texts(root / "queries.jsonl", 8)
        peaks: dict[str, dict[int, int]] = {"index": {}, "score": {}}
        record: dict[str, Any] = {}
        for size in SIZES:
            workspace = root / f"ws-{size}"
            data = _write_texts(root / f"texts-{size}.jsonl", size)
            _lorif("import", str(workspace), str(data))
            index = ["index", str(workspace), "--model", str(root / "model"), "--shard-examples", "1000"]
            peaks["index"][size] = used_by(*index, "--subspace-rank", "64").peak_bytes
            record = json.loads(_lorif(*index, "--subspace-rank", "64", "--json"))
            score = ["score", str(workspace), "--queries", str(queries), "--out", str(root / f"{size}.parquet")]
            peaks["score"][size] = used_by(*score).peak_bytes
    return {
        "peak_bytes": peaks,
        "index_growth": peaks["index"][SIZES[1]] / peaks["index"][SIZES[0]],
        "score_growth": peaks["score"][SIZES[1]] / peaks["score"][SIZES[0]],
        "shard_bytes_per_example": record["shard_bytes"] / record["num_examples"],
        "total_bytes_per_example": record["total_bytes"] / record["num_examples"],
    }


def _lorif(*command: str) -> str:
    run = [sys.executable, "-m", "lorif_core.cli", *command]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


def _write_texts(path: Path, count: int) -> Path:
    generator = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            words = generator.choices(WORDS, k=generator.randint(8, 24))
            row = {"id": f"t{number}", "prompt": " ".join(words[:-3]), "completion": " " + " ".join(words[-3:])}
            file.write(json.dumps(row) + "\n")
    return path


def _write_model(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=["<end>"])
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>").save_pretrained(folder)
    config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_positions=64, n_embd=64, n_layer=2, n_head=4)
    GPT2LMHeadModel(config).save_pretrained(folder)
