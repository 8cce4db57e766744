"""A tiny model, 121 texts and an index over them, made once per process; tests that write copy it."""

import atexit
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lorif_core.cli import main
from lorif_core.store.manifest import read_manifest
from lorif_core.store.plan import values_to_keep

THINGS = ["river", "bridge", "tower", "garden", "market", "castle", "harbour", "forest"]
PLACES = ["Arlen", "Brook", "Corve", "Dunmar", "Eskdale", "Farrow", "Glenby", "Hollin", "Ivern", "Jarrow"]
HOSTILE_ID = "hostile"
HOSTILE = {
    "id": HOSTILE_ID,
    "prompt": "[bold]x[/bold] [link=file:///etc/passwd]y[/link]",
    "completion": " \x1b[31mred\x1b]0;title\x07 \x9b5m \u202etxet\u202c [/]",
    "source": "\x1b[2Jcleared",
    "year": 2000,
}
NUM_TEXTS = 121


class Run(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def lorif(*arguments: object) -> Run:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = leaving.code
    return Run(code, out.getvalue(), err.getvalue())


def done(*arguments: object) -> Run:
    """Run a command that must succeed."""
    run = lorif(*arguments)
    assert run.code == 0, run.err
    return run


SIGNALLED = """
import fnmatch, os, runpy, sys

place, number = sys.argv[1], int(sys.argv[2])
sys.argv[1:] = sys.argv[3:]
sent = []

def send(event, arguments):
    if sent or event not in ("open", "os.link") or not fnmatch.fnmatch(str(arguments[0]), "*" + place):
        return
    if os.path.exists(arguments[0]):  # it is opened again to be sealed or flushed, or linked to its name
        sent.append(place)
        os.kill(os.getpid(), number)

sys.addaudithook(send)
runpy.run_module("lorif_core.cli", run_name="__main__")
"""
"""A command that sends itself a signal at a place that it comes to whatever else the machine does."""


def start(*arguments: object, at: str, gets: signal.Signals) -> subprocess.Popen[str]:
    """Start a command in a process of its own, which gets a signal between writing a file and giving it its name.

    Args:
        *arguments: Of the command.
        at: The end of the path under which the file is written, as in ``parts/.00002-*.unfinished``.
        gets: The signal.
    """
    return subprocess.Popen(
        [sys.executable, "-c", SIGNALLED, at, str(int(gets)), *(str(argument) for argument in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )


@cache
def root() -> Path:
    """Folder of everything that is made here."""
    folder = tempfile.mkdtemp(prefix="lorif-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def rows() -> list[dict[str, Any]]:
    """The training texts; the last one tries to take over the terminal."""
    generator = random.Random(0)
    found = [
        {
            "id": f"t{number:03d}",
            "prompt": f"The {thing} of {place} is",
            "completion": f" {generator.choice(THINGS)} {' '.join(generator.choices(PLACES, k=1 + number % 3))}.",
            "source": ("atlas", "almanac")[number % 2],
            "year": 1900 + number,
        }
        for number, (thing, place) in enumerate(
            (generator.choice(THINGS), generator.choice(PLACES)) for _ in range(NUM_TEXTS - 1)
        )
    ]
    return [*found, HOSTILE]


def write_rows(path: Path, values: list[dict[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


@cache
def texts_file() -> Path:
    """The training texts as JSONL."""
    return write_rows(root() / "texts.jsonl", rows())


def write_model(folder: Path, *, seed: int = 0, num_layers: int = 2, num_positions: int = 128) -> Path:
    """A GPT-2, random from a seed, with a byte-level tokenizer."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([row["prompt"] + row["completion"] for row in rows()[:-1]], trainer)
    PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>").save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=core.get_vocab_size(),
            n_positions=num_positions,
            n_embd=32,
            n_layer=num_layers,
            n_head=2,
            initializer_range=0.1,
            bos_token_id=0,
            eos_token_id=0,
        )
        GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@cache
def model_folder() -> Path:
    """The tiny model."""
    return write_model(root() / "model")


@cache
def imported() -> Path:
    """A workspace with the texts and no index; copy it before writing to it."""
    done("import", root() / "imported", texts_file())
    return root() / "imported"


@cache
def indexed() -> Path:
    """A workspace with the texts and an index; copy it before writing to it."""
    pristine = shutil.copytree(imported(), root() / "pristine-indexed")
    done("index", pristine, "--model", model_folder(), *SMALL)
    return shutil.copytree(pristine, root() / "indexed")


SMALL = ("--method", "lorif", "--shard-examples", 16, "--subspace-rank", 8)
"""Settings of ``indexed``: eight shards, the paper's method."""


def copy_of(workspace: Path, to: Path) -> Path:
    """A workspace of its own for a test that writes, without the questions that other tests asked."""
    pristine = workspace.with_name(f"pristine-{workspace.name}")
    return shutil.copytree(pristine if pristine.exists() else workspace, to / "ws")


def index_folder(workspace: Path) -> Path:
    """Folder of the only index."""
    (folder,) = (workspace / "indexes").iterdir()
    return folder


def manifest_of(workspace: Path) -> dict[str, Any]:
    """Manifest of the only index; of an unfinished one, its plan and the parts that are finished."""
    return values_to_keep(read_manifest(index_folder(workspace)))


def num_parts(workspace: Path) -> int:
    """Finished parts of the only index."""
    return len(list(workspace.glob("indexes/*/parts/*.json")))


def tensors_of_part(workspace: Path, number: int) -> Path:
    """The file with the tensors of a part of the only index."""
    (path,) = index_folder(workspace).glob(f"parts/{number:05d}-*.safetensors")
    return path


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by its path; locks, which hold nothing, left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def lasting_bytes_below(folder: Path) -> dict[str, bytes]:
    """What equal builds have in common: every file, but of the parts' entries not who made them and how fast."""
    return {name: _without_origin(name, content) for name, content in bytes_below(folder).items()}


def _without_origin(name: str, content: bytes) -> bytes:
    if not re.search(r"parts/\d+\.json$", name):
        return content
    entry = json.loads(content)
    entry.pop("seal", None)  # a checksum of all of it
    assert entry.pop("origin").keys() == {"device", "torch_version", "worker", "seconds"}
    return json.dumps(entry).encode()


def ask(workspace: Path, *arguments: object, prompt: str = "The river of Arlen is") -> dict[str, Any]:
    """Answer of `lorif ask`; explains a fixed completion unless told otherwise."""
    completion = (
        () if "--generate" in arguments or "--completion" in arguments else ("--completion", " castle Brook.")
    )
    return done("ask", workspace, "--prompt", prompt, *completion, *arguments, "--forget", "--json").json
