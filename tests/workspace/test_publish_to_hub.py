"""Exports to the Hugging Face hub and imports from it by name, against a local stand-in of the hub."""

import json
import os
import subprocess
import sys
from functools import partial
from typing import NamedTuple

import huggingface_hub
import pyarrow.parquet as pq
import pytest
from hub_stand_in import READER, WRITER, Repository, running_hub

from lorif_core.cli import main
from lorif_core.errors import ConfigError
from lorif_core.export_config import HubConfig
from lorif_core.workspace.workspace import create_workspace

NAME = "owner/curated"
ACTOR, COMMENT = "Ada Lovelace", "ask Grace Hopper about this one"


@pytest.fixture(scope="module")
def hub():
    with running_hub() as found:
        yield found


@pytest.fixture
def fresh(hub):
    hub.repositories.clear()
    hub.requests.clear()
    hub.refuses_commits = False
    return hub


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Eight texts, of which r1 is excluded and r2 flagged."""
    folder = tmp_path_factory.mktemp("hub")
    source = folder / "texts.jsonl"
    rows = [{"id": f"r{number}", "text": f"text {number}", "n": number} for number in range(8)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened = create_workspace(folder / "ws")
    opened.data.import_files(source)
    opened.exclude(["r1"], reason="spam", text=COMMENT, actor=ACTOR)
    opened.flag(["r2"], reason="toxic", actor=ACTOR)
    return opened


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def lorif(fresh, monkeypatch, capsys):
    """The command line in this process, whose hub is the stand-in."""

    def run(*words, token=WRITER, endpoint=fresh.url, is_offline=False):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", is_offline)
        monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nonexistent/token")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        return Done(main([*map(str, words)]), *capsys.readouterr())

    return run


@pytest.fixture
def export(lorif, workspace):
    return partial(lorif, "export", workspace.files.root, "--to-hub", NAME)


def test_an_export_goes_to_the_hub_in_one_commit_and_is_imported_back_by_name(fresh, tmp_path, export, lorif):
    done = export()
    assert done.returncode == 0
    found = fresh.repositories[NAME]
    assert len(found.messages) == 1
    assert sorted(found.files) == [
        "README.md",
        "data/train-00000-of-00001.parquet",
        "lorif/train/excluded.jsonl",
        "lorif/train/kept.jsonl",
        "lorif/train/manifest.json",
        "lorif/train/recipe.json",
    ]
    assert f"{fresh.url}/datasets/{NAME}/commit/" in done.stdout
    (tmp_path / "data.parquet").write_bytes(found.files["data/train-00000-of-00001.parquet"])
    kept = pq.read_table(tmp_path / "data.parquet").to_pylist()
    assert [row["id"] for row in kept] == ["r0", "r2", "r3", "r4", "r5", "r6", "r7"]
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": fresh.url, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "lorif_core.cli", "import", str(tmp_path / "again"), NAME]
    subprocess.run([*command, "--split", "train", "--id", "id"], env=os.environ | home, check=True)
    again = create_workspace(tmp_path / "again")
    record = again.files.choose_dataset(None)
    assert again.files.examples(record.dataset_id).values_at(range(7))[1]["text"] == "text 2"
    assert record.num_examples == 7


def test_nothing_on_the_hub_names_a_person_unless_asked(fresh, export):
    export()
    everything = b"".join(fresh.repositories[NAME].files.values())
    assert ACTOR.encode() not in everything
    assert COMMENT.encode() not in everything
    assert b"spam" in everything
    assert export("--with-names").returncode == 0
    everything = b"".join(fresh.repositories[NAME].files.values())
    assert ACTOR.encode() in everything
    assert COMMENT.encode() in everything


@pytest.mark.parametrize("words", [(), ("--with-names",), ("--with-decisions",)])
def test_the_records_on_the_hub_replay_the_data(fresh, workspace, tmp_path, words, export, lorif):
    export(*words)
    for path, content in fresh.repositories[NAME].files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    recipe, source = tmp_path / "lorif/train/recipe.json", workspace.files.root.parent / "texts.jsonl"
    done = lorif("replay", recipe, source, "--out", tmp_path / "data.parquet")
    assert done.returncode == 0
    assert (tmp_path / "data.parquet").read_bytes() == fresh.repositories[NAME].files[
        "data/train-00000-of-00001.parquet"
    ]


def test_the_card_says_what_was_left_out_and_why(fresh, export):
    export()
    card = fresh.repositories[NAME].files["README.md"].decode()
    assert "7 of the 8 texts of texts; 1 were left out by people" in card
    assert "| spam | 1 | 0 |\n| toxic | 0 | 1 |" in card
    assert "  - split: train\n    path: data/train-00000-of-00001.parquet\n" in card
    assert "lorif replay lorif/train/recipe.json FILES --out data.parquet" in card


def test_a_dry_run_shows_the_card_and_asks_the_hub_nothing(fresh, export):
    done = export("--dry-run", token=None)
    assert done.returncode == 0
    assert "data/train-00000-of-00001.parquet" in done.stdout
    assert "# curated" in done.stdout
    assert fresh.requests == []


def test_a_second_split_stands_beside_the_first(fresh, export):
    export()
    assert export("--split", "test", "--commit-message", "more").returncode == 0
    found = fresh.repositories[NAME]
    assert found.messages[1] == "more"
    card = found.files["README.md"].decode()
    assert "path: data/test-00000-of-00001.parquet" in card
    assert "path: data/train-00000-of-00001.parquet" in card


def test_what_others_put_there_is_replaced_only_with_force(fresh, export):
    fresh.repositories[NAME] = Repository(files={".gitattributes": b"x", "README.md": b"theirs"})
    done = export()
    assert done.returncode == 2
    assert "holds 1 files such as 'README.md'" in done.stderr
    assert fresh.repositories[NAME].files["README.md"] == b"theirs"
    assert export("--force").returncode == 0
    assert fresh.repositories[NAME].files["README.md"] != b"theirs"


def test_private_texts_do_not_go_into_a_public_repository(fresh, export):
    fresh.repositories[NAME] = Repository(files={".gitattributes": b"x"})
    done = export("--private")
    assert done.returncode == 2
    assert "is there already and public" in done.stderr
    assert fresh.repositories[NAME].messages == []
    fresh.repositories.clear()
    assert export("--private").returncode == 0
    assert fresh.repositories[NAME].private


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"token": None}, "needs a token of the hub"),
        ({"token": READER}, "your token may not write to owner/curated"),
        ({"is_offline": True}, "`HF_HUB_OFFLINE` is set"),
        pytest.param(  # `huggingface_hub` tries several times
            {"endpoint": "http://127.0.0.1:9"}, "the hub cannot be reached", marks=pytest.mark.slow
        ),
    ],
)
def test_a_refusal_is_one_sentence_and_uploads_nothing(fresh, chosen, said, export):
    done = export(**chosen)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert WRITER not in done.stderr + done.stdout
    assert READER not in done.stderr + done.stdout
    assert fresh.repositories == {}


def test_a_commit_that_fails_leaves_no_file(fresh, export):
    fresh.refuses_commits = True
    done = export()
    assert done.returncode == 2
    assert "the hub refused the upload" in done.stderr
    assert fresh.repositories[NAME].files == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "csv"), "an export to it is Parquet, got `--format csv`"),
        (("--out", "x.parquet"), "to the hub or to a file"),
    ],
)
def test_what_does_not_go_to_the_hub_is_refused(fresh, words, said, export):
    done = export(*words)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("chosen", [{"to_hub": "curated"}, {"to_hub": "a/b/c"}, {"split": "a b"}, {"split": "../x"}])
def test_names_that_the_hub_does_not_have_are_refused(chosen):
    with pytest.raises(ConfigError, match=r"--to-hub|--split"):
        HubConfig(**chosen)


def test_settings_of_the_hub_without_its_name_are_refused(fresh, workspace, lorif):
    done = lorif("export", workspace.files.root, "--private")
    assert done.returncode == 2
    assert "name it as OWNER/NAME" in done.stderr
