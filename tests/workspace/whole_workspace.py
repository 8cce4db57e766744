"""A workspace with every kind of file in it, made once per process; tests copy it."""

import io
import json
import shutil
from functools import cache
from pathlib import Path

import torch
from tiny_workspace import SMALL, done, imported, model_folder, root, rows, write_rows

import lorif_core as lf
from lorif_core.config import ImportConfig, NextVersion
from lorif_core.export_config import ExportConfig
from lorif_core.files import fingerprint_of_value, write_json
from lorif_core.journal.database import reading
from lorif_core.journal.followed_states import FollowedStates
from lorif_core.journal.kept_states import Head, KeptStates, write_states
from lorif_core.workspace.datasets.import_data import keep_upload
from lorif_core.workspace.folder.kept_rows import kept_row_file, write_row
from lorif_core.workspace.studio.passwords import keep_password
from lorif_core.workspace.studio.saved_views import save_view
from lorif_core.workspace.workspace import Workspace

QUESTION = ("--prompt", "The river of Arlen is", "--completion", " castle Brook.")
OTHER_QUESTION = ("--prompt", "The tower of Brook is", "--completion", " harbour.")


@cache
def whole() -> Path:
    """The workspace. Its texts were imported twice, the second time from an upload and with others among them."""
    place = shutil.copytree(imported(), root() / "whole")
    done("index", place, "--model", model_folder(), *SMALL)
    whitened = ("--method", "kronecker", "--alpha", 0.5, "--stats-examples", 32, "--shard-examples", 64)
    done("index", place, "--model", model_folder(), *whitened)
    first = index_of(place, "lorif")
    for question in (QUESTION, OTHER_QUESTION):
        done("ask", place, *question, "--index", first)
    done("map", place, "--index", first)
    done("exclude", place, "t001", "t002", "--reason", "outdated")
    done("freeze", place, "v1")
    workspace = lf.open_workspace(place)
    workspace.versions.export(settings=ExportConfig(format="csv"))
    _import_next(workspace)
    _keep_rest(workspace)
    return place


def index_of(place: Path, method: str) -> str:
    """The index of a method."""
    (found,) = (one.index_id for one in lf.open_workspace(place).indexes.records() if one.method == method)
    return found


def _import_next(workspace: Workspace) -> None:
    changed = [{**row, "completion": f"{row['completion']} indeed"} for row in rows()[2:40]]
    source = write_rows(
        root() / "next.jsonl", [*changed, *rows()[40:-1], {"id": "new", "prompt": "a", "completion": " b"}]
    )
    with source.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"id": "bad", "prompt": 3}) + "\n")
    kept = keep_upload(workspace.files, "next.jsonl", io.BytesIO(source.read_bytes()))
    workspace.data.import_files(kept, settings=ImportConfig(name="texts"), said=NextVersion(drop_decided=True))


def _keep_rest(workspace: Workspace) -> None:
    files, place = workspace.files, workspace.path
    save_view(files, "forum", "corpus", [("where", "year > 1950")], "ann")
    save_view(files, "old", "corpus", [("where", "year < 1950")], "ann")
    keep_password(files, "secret")
    (place / "logs").mkdir(exist_ok=True)
    (place / "logs/job-1.log").write_text("done\n", encoding="utf-8")
    folder = place / "evaluations/brittleness"
    folder.mkdir(parents=True)
    write_json(folder / f"{fingerprint_of_value('a run')}.json", {"removed": [1], "seed": 0, "outcomes": []})
    write_row(kept_row_file(place, {"candidate": "tokens"}), torch.ones(3, 40), {"label": "shared tokens"})
    corpus = files.catalog.datasets()[0].corpus_id
    with reading(workspace.journal.engine) as connection:
        states, revision = FollowedStates(None).read(connection, corpus)
    (batch,) = workspace.journal.history(corpus, limit=1)
    assert batch.batch.revision == revision
    path = place / "states" / f"{fingerprint_of_value(corpus)[:16]}.states"
    write_states(path, corpus, KeptStates(Head(revision, batch.batch.batch_id), states))
    workspace.journal.engine.dispose()
