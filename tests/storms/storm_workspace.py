"""The workspace that a storm goes over: texts, a model, an index, questions, a map, decisions, a frozen version."""

import json
import random
import shutil
from pathlib import Path
from typing import NamedTuple

from storms.forked_command import NO_FAULT, call_forked, forked

PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."


class Base(NamedTuple):
    """A workspace nobody writes to; storms go over copies of it."""

    root: Path
    workspace: Path
    model: Path
    texts: Path
    more_texts: Path
    recipe: Path
    decisions: Path
    train_ids: tuple[str, ...]

    def copy(self, to: Path) -> Path:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.workspace, to)
        return to

    @property
    def build(self) -> list[object]:
        """Settings of the index."""
        return ["--model", self.model, "--method", "lorif", "--shard-examples", 16, "--subspace-rank", 8]


def make_base(root: Path) -> Base:
    """Make it, with the commands that a person would use."""
    root.mkdir(parents=True, exist_ok=True)
    train_ids = tuple(f"t{number:03d}" for number in range(120))
    named = ("base", "model", "texts.jsonl", "more.jsonl", "recipe.toml", "decisions.jsonl")
    base = Base(root, *(root / name for name in named), train_ids)
    _do(lambda: _write_inputs(base), root)
    workspace = base.workspace
    for arguments in (
        ("import", workspace, base.texts, "--name", "texts"),
        ("index", workspace, *base.build),
        ("ask", workspace, "--prompt", PROMPT, "--completion", COMPLETION),
        ("ask", workspace, "--prompt", "The tower of Brook is", "--completion", " forest Ivern."),
        ("map", workspace),
        ("exclude", workspace, "t003", "t004", "--reason", "spam"),
        ("flag", workspace, "t005", "t006", "--reason", "outdated"),
        ("apply", workspace, "flag where year > 2010 because outdated"),
        ("freeze", workspace, "v1"),
        ("exclude", workspace, "t007", "--reason", "spam"),
        ("freeze", workspace, "v2"),
        ("diff", workspace, "--version", "v2"),
        ("browse", workspace, "--search", "river"),
        ("what-if", workspace, "t010", "t011", "--queries", "1"),
    ):
        ended = forked(arguments, watched=root)
        if ended.code != 0:
            raise RuntimeError(f"{arguments}: {ended.err}")
    return base


def _write_inputs(base: Base) -> None:
    from tiny_workspace import rows, write_model, write_rows  # computes: only in a process of its own

    write_model(base.model)
    write_rows(base.texts, rows())
    rng = random.Random(1)
    write_rows(
        base.more_texts,
        [
            {"id": f"m{number}", "text": f"{rng.choice('abcdef')} words of {number}", "year": number}
            for number in range(60)
        ],
    )
    write_rows(
        base.decisions, [{"id": "t030", "status": "excluded", "reason": "spam"}, {"id": "t031", "status": "flagged"}]
    )
    settings = "learning_rate = 3e-3\nmax_length = 32\nbatch_size = 4\nepochs = 1\n"
    base.recipe.write_text(f"checkpoint = {json.dumps(str(base.model))}\n{settings}")


def _do(work: object, watched: Path) -> None:
    ended = call_forked(work, watched=watched, fault=NO_FAULT)  # type: ignore[arg-type]
    if ended.code != 0:
        raise RuntimeError(ended.err)
