"""How ``workspace-0.1`` and ``workspace-0.1.expected.json`` were made, with the code of version 0.1.

It is run with that version, and never again with a later one, which has to read what this one wrote:

    PYTHONPATH=CHECKOUT_OF_0.1:tests .venv/bin/python tests/samples/make_workspace_0_1.py tests/samples

Weights, texts and maps are drawn from fixed seeds; times, and the ids of acts, are those of the day. The folders
of the model and of the imported files are recorded as absolute paths of a temporary folder that is gone: questions
are asked with ``model=`` the copy in the sample, and exports write their lines anew, as they do for anybody whose
source files are gone. (While they are there, a JSONL export copies their lines.)
"""

import hashlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import torch
from tiny_models import gpt2_config, tiny_tokenizer
from transformers import GPT2LMHeadModel

import lorif_core as lf
from lorif_core.config import CurvatureConfig
from lorif_core.export_config import ExportConfig

NUM_TEXTS = 40
THINGS = ["river", "bridge", "tower", "garden", "market"]
PLACES = ["arlen", "brook", "corve", "dunmar", "eskdale"]
FIRST, SECOND = "ann", "bob"
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"prompt": "the river of arlen is", "completion": " old and deep."},
    {"prompt": "the tower of brook is", "completion": " tall.", "contrast": " low.", "normalisation": "relatif"},
    {"prompt": "the market of corve is", "completion": " loud.", "objective": "margin", "normalisation": "unit"},
    {
        "prompt": "the garden of dunmar is",
        "completion": " green.",
        "tokens": [1, 2, 3],
        "normalisation": "tempered",
    },
)


def main(samples: Path) -> None:
    """Write the sample and what it is expected to answer."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="lorif-sample-") as folder:
        made = Path(folder) / "workspace-0.1"
        fill(made, Path(folder))
        out = samples / made.name
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out, ignore=shutil.ignore_patterns("*.lock", ".lock"))
    fold_logs(out)
    with tempfile.TemporaryDirectory(prefix="lorif-sample-") as folder:  # asking writes: logs, locks
        copied = shutil.copytree(out, Path(folder) / "copy")
        text = json.dumps(expected(copied, Path(folder)), indent=1, default=str)
    (samples / f"{out.name}.expected.json").write_text(text + "\n", encoding="utf-8")


def fill(place: Path, beside: Path) -> None:
    """A workspace with a little of everything."""
    lf.create_workspace(place)
    write_model(place / "model")
    ws = lf.open_workspace(place)
    first = ws.import_data(write_rows(beside, rows()[:-4]), settings=lf.ImportConfig(name="texts")).dataset
    build_index(ws, method="lorif", budget="400B", dataset=first.dataset_id)
    second = ws.import_data(write_rows(beside, rows()[4:]), settings=lf.ImportConfig(name="texts")).dataset
    build_index(ws, method="logra", dataset=second.dataset_id)
    build_index(ws, method="graddot", dataset=second.dataset_id, factors=lf.FactorConfig(codec="int8", factor_rank=2))
    build_index(ws, method="kronecker", dataset=second.dataset_id)
    for record in ws.indexes():
        for question in QUESTIONS:
            ask(ws, question, k=4, num_opposing=2, index_id=record.index_id)
    ask(ws, QUESTIONS[0], k=4, index_id=ws.indexes()[-1].index_id, refine=2)
    decide(ws)
    queries = write_rows(beside, [{key: question[key] for key in ("prompt", "completion")} for question in QUESTIONS])
    lf.evaluate(ws).mislabel("is_wrong")
    lf.evaluate(ws).fidelity(queries, reference="ekfac", candidates=[record.index_id for record in ws.indexes()[1:]])
    for source in beside.glob("*.jsonl"):
        source.unlink()  # from here on exports write their lines anew
    ws.freeze("v1", note="the first", actor=FIRST)
    ws.label(["t07"], "seen again", actor=SECOND)
    ws.exclude(["t30"], reason="spam", actor=SECOND)
    ws.export(settings=ExportConfig(format="parquet", with_decisions=True))
    ws.save_view("Old texts", "corpus", [("where", "year < 1920"), ("sort", "-year")], actor=FIRST)
    ws.journal.close()


def rows() -> list[dict[str, Any]]:
    """Texts with metadata; the first four are in the first version only, the last four in the second one."""
    generator = random.Random(0)
    return [
        {
            "id": f"t{number:02d}",
            "prompt": f"the {generator.choice(THINGS)} of {generator.choice(PLACES)} is",
            "completion": f" {generator.choice(['old', 'tall', 'green', 'loud', 'deep'])}.",
            "source": ("atlas", "almanac")[number % 2],
            "year": 1900 + number,
            "is_wrong": number % 7 == 0,
            "tags": ["even" if number % 2 == 0 else "odd"],
        }
        for number in range(NUM_TEXTS + 4)
    ]


def write_rows(folder: Path, values: list[dict[str, Any]]) -> Path:
    """A JSONL file of its own."""
    path = folder / f"{len(list(folder.glob('*.jsonl')))}.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def write_model(folder: Path) -> None:
    """A GPT-2 of width 16, random from a seed, with one token per character."""
    tiny_tokenizer(adds_eos=True, pad_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    GPT2LMHeadModel(gpt2_config(n_embd=16, n_head=2)).save_pretrained(folder)


def build_index(ws: lf.Workspace, *, dataset: str, **settings: Any) -> None:
    """An index in shards of 16 texts."""
    curvature = {"curvature": CurvatureConfig(subspace_rank=6)} if settings["method"] == "lorif" else {}
    model = lf.ModelConfig(model=str(ws.path / "model"), device="cpu")
    batches = lf.BatchConfig(shard_examples=16, max_length=48)
    ws.index(lf.IndexConfig(model=model, batches=batches, **curvature, **settings), dataset=dataset)


def ask(ws: lf.Workspace, question: dict[str, Any], *, refine: int = 0, **how: Any) -> lf.Answer:
    """The answer to one of the questions."""
    objective = question.get("objective", "contrast" if "contrast" in question else "loss")
    settings = lf.ScoreConfig(objective=objective, normalisation=question.get("normalisation", "none"), refine=refine)
    asked = {key: question[key] for key in ("prompt", "completion", "contrast", "tokens") if key in question}
    return ws.ask(**asked, settings=settings, **how)


def decide(ws: lf.Workspace) -> None:
    """Decisions of every kind by two people, one of which they disagree about."""
    ws.journal.set_role(FIRST, "admin", by=FIRST)
    ws.journal.set_role(SECOND, "curator", by=FIRST)
    ws.journal.add_reason("hearsay", "Nobody knows who said it.", by=FIRST)
    ws.flag(["t05", "t06"], reason="misinformation", query="1", text="looks odd", actor=FIRST)
    ws.exclude(["t07", "t08"], reason="hearsay", actor=FIRST)
    ws.exclude(["t01"], reason="hearsay", actor=FIRST, dataset=ws.datasets()[0].dataset_id)  # in version 1 only
    ws.exclude(["t09", "t10"], reason="duplicate", actor=SECOND)
    ws.restore(["t10"], actor=SECOND)
    ws.restore(["t08"], actor=SECOND)  # the two disagree
    ws.exclude(["t11"], reason="other", text="to be settled", actor=FIRST)
    ws.flag(["t11"], actor=SECOND)
    ws.settle(["t11"], "kept", actor=FIRST)
    ws.note(["t12", "t13"], "a note", actor=FIRST)
    ws.label(["t14", "t15"], "checked", actor=SECOND)
    ws.label(["t15"], "second", actor=SECOND)
    ws.unlabel(["t14"], "checked", actor=SECOND)
    ws.exclude(["t16"], reason="toxic", actor=FIRST)
    ws.undo(actor=FIRST)
    ws.exclude(["t17"], reason="outdated", actor=SECOND, client_id="a request")
    ws.undo(actor=SECOND)
    ws.redo(actor=SECOND)
    ws.apply("flag where year > 1938 because low-quality", actor=FIRST)


def fold_logs(out: Path) -> None:
    """Fold the logs of both databases into their files, and keep the catalog in small blocks.

    DuckDB's blocks of 256 KiB make 5 MB of some hundred records; the copy holds the same tables and keys.
    """
    for path in out.rglob("*.sqlite"):
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
        connection.close()
    catalog, small = out / "catalog.duckdb", out / "small.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{catalog}' AS big (READ_ONLY)")
        connection.execute(f"ATTACH '{small}' AS small (BLOCK_SIZE 16384)")
        connection.execute("COPY FROM DATABASE big TO small")
    small.replace(catalog)


def expected(place: Path, beside: Path) -> dict[str, Any]:
    """What the sample answers."""
    ws = lf.open_workspace(place)
    kept = [ws.reopen(record.query_id) for record in ws.queries()]
    return {
        "versions": {"pyarrow": pyarrow.__version__, "torch": torch.__version__},
        "datasets": [[record.dataset_id, record.version, record.num_examples] for record in ws.datasets()],
        "indexes": [[record.index_id, record.dataset_id, record.method, record.status] for record in ws.indexes()],
        "evaluations": [[record.kind, record.result_json] for record in ws.files.catalog.evaluations()],
        "frozen": [[version.name, version.checksum] for version in ws.versions()],
        "views": [asdict(view) for view in ws.saved_views()],
        "states": ws.states().to_dicts(),
        "conflicts": ws.conflicts().to_dicts(),
        "history": [
            [entry.batch.actor, entry.batch.kind, entry.batch.reason, entry.batch.text, entry.is_undone]
            for entry in ws.history()
        ],
        "kept": {
            answer.query_id: {
                "index_id": answer.index_id,
                "objective": answer.objective,
                "objective_value": answer.objective_value,
                "supports": [[hit.train_id, hit.score] for hit in answer.supports],
                "opposes": [[hit.train_id, hit.score] for hit in answer.opposes],
            }
            for answer in kept
        },
        "fresh": [
            fresh(ws, question, record.index_id, record.method) for record in ws.indexes() for question in QUESTIONS
        ],
        "exports": {name: sha256_of_export(ws, beside / f"draft.{name}") for name in ("jsonl", "parquet")},
    }


def fresh(ws: lf.Workspace, question: dict[str, Any], index_id: str, method: str) -> dict[str, Any]:
    """The score of every text on a question; texts that neither support nor oppose have none."""
    model = str(ws.path / "model")
    answer = ask(ws, question, index_id=index_id, model=model, keeps=False, k=NUM_TEXTS, num_opposing=NUM_TEXTS)
    return {
        "question": question,
        "index_id": index_id,
        "method": method,
        "objective_value": answer.objective_value,
        "scores": {hit.train_id: hit.score for hit in sorted(answer.hits, key=lambda hit: hit.train_id)},
    }


def sha256_of_export(ws: lf.Workspace, out: Path) -> str:
    """Of the data of the draft."""
    ws.export(out)
    return hashlib.sha256(out.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
