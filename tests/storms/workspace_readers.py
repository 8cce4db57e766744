"""What people read in a workspace, so that it can be compared: equal answers are equal here, asked at any time."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from storms.forked_command import NO_FAULT, Fault, call_forked
from storms.storm_tally import TRACEBACK
from storms.storm_workspace import COMPLETION, PROMPT

UNLIKE = {
    "elapsed_s",
    "build_seconds",
    "created_at",
    "updated_at",
    "at",
    "path",
    "about",
    "batch_id",
    "export_id",
    "of_batch",
    "is_new",
    "revision",
    "free_bytes",
    "seconds",
    "query_id",
    "evaluation_id",
    "export",
    "model",
    "actor",
}
"""What differs between two equal answers."""


class Said(NamedTuple):
    """What a reader said."""

    code: int
    answer: str
    """Empty for a refusal."""

    err: str


def readers_of(workspace: Path, out: Path) -> dict[str, list[object]]:
    """Every reader, by name."""
    return {
        "browse": ["browse", workspace, "--limit", 500, "--dataset", "texts", "--json"],
        "search": ["browse", workspace, "--search", "river", "--dataset", "texts", "--json"],
        "rule": [
            "browse",
            workspace,
            "--where",
            "score > 0.05 for query 1",
            "--limit",
            500,
            "--dataset",
            "texts",
            "--json",
        ],
        "facets": ["facets", workspace, "--dataset", "texts", "--json"],
        "ask": ["ask", workspace, "--prompt", PROMPT, "--completion", COMPLETION, "--forget", "--json"],
        "reopen": ["reopen", workspace, "1", "--json"],
        "what-if": ["what-if", workspace, "t010", "t011", "--queries", "1", "--controls", "2", "--json"],
        "export": ["export", workspace, "--dataset", "texts", "--out", out, "--json"],
        "diff": ["diff", workspace, "--version", "v2", "--dataset", "texts", "--json"],
        "versions": ["versions", workspace, "--dataset", "texts", "--json"],
        "history": ["history", workspace, "--dataset", "texts", "--limit", 100_000, "--json"],
        "indexes": ["indexes", workspace, "--json"],
        "queries": ["queries", workspace, "--json"],
    }


def read_all(workspace: Path, names: Sequence[str] | None = None, fault: Fault = NO_FAULT) -> dict[str, Said]:
    """What the readers say, all in one process."""
    folder = Path(tempfile.mkdtemp(prefix="read-"))
    folder.chmod(0o777)
    try:
        ended = call_forked(_reading(workspace, folder, names), watched=workspace, fault=fault)
        found = folder / "said.json"
        if ended.code != 0 or not found.exists():
            said = Said(ended.code, "", f"the readers' process ended: hung={ended.hung} {ended.err[-2000:]}")
            return dict.fromkeys(names or readers_of(workspace, folder), said)
        return {name: Said(*values) for name, values in json.loads(found.read_text()).items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reading(workspace: Path, folder: Path, names: Sequence[str] | None) -> Callable[[], None]:
    def read() -> None:
        from tiny_workspace import lorif

        said: dict[str, tuple[int, str, str]] = {}
        for name, arguments in readers_of(workspace, folder / "out.jsonl").items():
            if names is None or name in names:
                run = lorif(*arguments)
                data = folder / "out.jsonl"
                content = data.read_bytes().hex() if name == "export" and run.code == 0 else ""
                said[name] = (run.code, normalised(run.out) + content if run.code == 0 else "", run.err)
        (folder / "said.json").write_text(json.dumps(said))

    return read


def normalised(printed: str) -> str:
    """JSON that a command printed, without what differs between two equal answers."""
    return json.dumps(_without(json.loads(printed)), sort_keys=True)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(one) for name, one in value.items() if name not in UNLIKE}
    if isinstance(value, list):
        return [_without(one) for one in value]
    return value


def short(answer: str) -> str:
    """Enough of an answer to tell it from another one."""
    return hashlib.blake2b(answer.encode(), digest_size=6).hexdigest()


def is_plain_refusal(said: Said) -> bool:
    """One sentence, exit code 2."""
    return said.code == 2 and TRACEBACK not in said.err and "lorif:" in said.err
