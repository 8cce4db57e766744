"""Whatever a person types or a disk does: one plain sentence and exit code 2, or the words taken literally."""

import gc
import sqlite3

import pytest
from tiny_workspace import bytes_below, copy_of, done, indexed, lorif, write_rows

import lorif_core as lf

WEIRD = ["'; DROP TABLE event; --", '"', "NEAR(", "*%_", "\0", "\udcff", "\u202e🐺\nb`\\"]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An index, a kept question, an excluded and a flagged text."""
    workspace = copy_of(indexed(), tmp_path_factory.mktemp("bad"))
    lf.open_workspace(workspace).ask("The river of Arlen is", " castle Brook.", k=3)
    done("exclude", workspace, "t001", "--reason", "spam")
    done("flag", workspace, "t002")
    gc.collect()
    gc.freeze()  # so that collecting again, in every test, looks only at what is new
    yield workspace
    gc.unfreeze()


@pytest.fixture
def workspace(template, tmp_path):
    return copy_of(template, tmp_path)


def complaint(*words):
    """The sentence of a command that must refuse."""
    run = lorif(*words)
    assert run.code == 2, (words, run.err)
    assert run.err.startswith("lorif: "), (words, run.err)
    assert run.err.index("\n") == len(run.err) - 1, (words, run.err)
    assert run.out == ""
    return run.err


def content(folder):
    gc.collect()  # closes the journal of a refused command, which folds SQLite's log into its file
    return bytes_below(folder)


REFUSED = {
    "unknown id": ("flag", "t1"),
    "unknown id among known ones": ("exclude", "t003", "t1", "--reason", "spam"),
    "unknown query of a decision": ("flag", "t003", "--query", "7"),
    "unknown query to reopen": ("reopen", "7"),
    "unknown query in a condition": ("browse", "--where", "score in the top 3 for query 7"),
    "unknown query to sort by": ("browse", "--sort=-score:7"),
    "unknown query in a rule": ("apply", "flag where score > 0 for query 7"),
    "unknown reason": ("exclude", "t003", "--reason", "boring"),
    "unknown reason of a rule": ("apply", "exclude where year > 1950 because boring"),
    "no reason": ("exclude", "t003"),
    "no reason of a rule": ("apply", "exclude where year > 1950"),
    "comment without reason": ("apply", 'flag where year > 1950 : "x"'),
    "empty note": ("note", "t003", "--text", "  "),
    "no ids": ("flag", ""),
    "unknown role": ("members", "--set", "bob", "--role", "boss"),
    "first member no admin": ("members", "--set", "bob", "--role", "viewer"),
    "unknown status to settle": ("settle", "gone", "t001"),
    "unknown status to browse": ("browse", "--status", "gone"),
    "unknown batch": ("undo", "7"),
    "unknown batch to redo": ("redo", "7"),
    "nothing to redo": ("redo",),
    "misspelt verb": ("apply", "delete where year > 1950"),
    "rule without where": ("apply", "flag year > 1950"),
    "rule that ends early": ("apply", "flag where"),
    "rule of two lines": ("apply", 'flag where text contains "a\nb"'),
    "unknown column of a rule": ("apply", "flag where colour = red"),
    "unclosed quote": ("browse", "--where", 'source = "atlas'),
    "unclosed bracket": ("browse", "--where", "(source = atlas"),
    "two operators": ("browse", "--where", "source = = atlas"),
    "condition too deep": ("browse", "--where", "(" * 5000),
    "no number": ("browse", "--where", "year > many"),
    "share above all": ("browse", "--where", "score in the top 101 % for query 1"),
    "bad regex": ("browse", "--search", "(", "--mode", "regex"),
    "bad regex of a condition": ("browse", "--where", 'text matches "("'),
    "search too long": ("browse", "--search", "a" * 1001),
    "unknown column to sort by": ("browse", "--sort=colour"),
    "page 0": ("browse", "--page", 0),
    "no limit": ("browse", "--limit", 0),
    "history of nothing": ("history", "--limit", 0),
    "unknown data set": ("facets", "--dataset", "texts2"),
    "impossible similarity": ("duplicates", "--threshold", 1.5),
    "reason with spaces": ("reasons", "--add", "Not good", "--description", "x"),
    "reason that is taken": ("reasons", "--add", "spam", "--description", "x"),
    "unreadable journal address": ("journal", "--journal", "postgresql://ann@host:port/db"),
    "tokens that are no positions": ("ask", "--prompt", "a", "--completion", " b", "--tokens", "1-x"),
    "unknown index": ("ask", "--prompt", "a", "--completion", " b", "--index", "ix-7"),
}


def test_a_refusal_is_one_sentence_and_changes_nothing(workspace):
    before = content(workspace)
    said = {name: complaint(words[0], workspace, *words[1:]) for name, words in REFUSED.items()}
    assert content(workspace) == before
    assert len(said) == len(REFUSED)


def test_a_viewer_is_told_who_may_decide(workspace, monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", "ann")
    done("members", workspace, "--set", "ann", "--role", "admin")
    before = content(workspace)
    monkeypatch.setenv("LORIF_ACTOR", "eve")
    for words in [("flag", "t003"), ("undo",), ("apply", "flag where year > 1950"), ("members", "--set", "eve", "--role", "admin")]:  # fmt: skip # noqa: E501
        assert "'eve' is a viewer" in complaint(words[0], workspace, *words[1:])
    assert content(workspace) == before


PLACES = {
    "where": lambda typed: ("browse", "--where", typed),
    "value of a condition": lambda typed: ("browse", "--where", f'source = "{typed}" or text contains "{typed}"'),
    "name in a condition": lambda typed: ("browse", "--where", f"`{typed}` = x"),
    "words": lambda typed: ("browse", "--search", typed),
    "characters": lambda typed: ("browse", "--search", typed, "--mode", "contains"),
    "expression": lambda typed: ("facets", "--search", typed, "--mode", "regex"),
    "sort": lambda typed: ("browse", f"--sort={typed}"),
    "query to sort by": lambda typed: ("browse", f"--sort=score:{typed}"),
    "data set": lambda typed: ("facets", "--dataset", typed),
    "query": lambda typed: ("reopen", typed),
    "id": lambda typed: ("flag", typed),
    "query of a decision": lambda typed: ("flag", "nobody", "--query", typed),
    "reason": lambda typed: ("flag", "t003", "--reason", typed),
    "label": lambda typed: ("label", typed, "nobody"),
    "batch": lambda typed: ("undo", typed),
    "rule": lambda typed: ("apply", typed, "--dry-run"),
    "value of a rule": lambda typed: ("apply", f'label "{typed}" where source = "{typed}"', "--dry-run"),
    "person": lambda typed: ("history", "--by", typed),
    "example": lambda typed: ("history", "--id", typed),
    "kind": lambda typed: ("history", "--kind", typed),
    "role": lambda typed: ("members", "--set", "bob", "--role", typed),
    "member": lambda typed: ("members", "--set", typed, "--role", "viewer"),
    "new reason": lambda typed: ("reasons", "--add", typed, "--description", typed),
    "address": lambda typed: ("journal", "--journal", f"postgresql://{typed}"),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_typed_is_taken_literally_or_refused_in_one_sentence(place, template):
    before = content(template)
    for typed in WEIRD:
        command, *words = PLACES[place](typed)
        run = lorif(command, template, *words)
        is_refused = run.code == 2 and run.err.startswith("lorif: ") and run.err.index("\n") == len(run.err) - 1
        assert is_refused or (run.code, run.err) == (0, ""), (typed, run.code, run.err)
        assert "\u202e" not in run.out + run.err
    assert content(template) == before


def test_weird_texts_are_kept_as_they_are(workspace):
    for typed in ("'; DROP TABLE event; --", '"', "NEAR(", "%_*", "\u202etxet", "🐺"):
        done("label", workspace, typed, "t005")
        done("note", workspace, "t005", "--text", typed)
        found = lf.open_workspace(workspace).decisions.history(train_id="t005", limit=2)
        assert [entry.batch.text for entry in found] == [typed, typed]
        quoted = typed.replace('"', '""')
        assert done("browse", workspace, "--where", f'label = "{quoted}"', "--ids").out == "t005\n"


def test_weird_ids_and_values_come_back_as_they_are(tmp_path):
    texts = ["'; DROP TABLE event; --", '"', "NEAR(", "*%_", "\u202e🐺`\\"]
    rows = [{"id": typed, "text": f"text {typed}", "source": typed} for typed in texts]
    done("import", tmp_path / "ws", write_rows(tmp_path / "a.jsonl", rows))
    for typed in texts:
        done("flag", tmp_path / "ws", typed)
        quoted = typed.replace('"', '""')
        assert done("browse", tmp_path / "ws", "--where", f'source = "{quoted}"', "--ids").out == f"{typed}\n"
    assert len(lf.open_workspace(tmp_path / "ws").decisions.states()) == len(texts)


def cut(path):
    path.write_bytes(b"not what it was")


def of_a_newer_version(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE journal_version SET version_num = '9999'")
    connection.close()


def remove(path):
    path.unlink()


READERS = [("status",), ("browse",), ("history",)]
WRITERS = [("flag", "t003"), ("apply", "flag where year > 1950")]
DAMAGE = {
    "corrupt catalog": ("catalog.duckdb", cut, READERS + WRITERS, "it is not a DuckDB file"),
    "corrupt journal": ("journal.sqlite", cut, READERS + WRITERS, "is not an SQLite database"),
    "newer journal": ("journal.sqlite", of_a_newer_version, READERS + WRITERS, "written by a newer LoRIF Studio"),
    "missing examples": (
        "datasets/*/examples.parquet",
        remove,
        [("browse",), *WRITERS, ("reopen", "1")],
        "is missing",
    ),
    "corrupt examples": (
        "datasets/*/examples.parquet",
        cut,
        [("browse",), ("flag", "t003")],
        "not a readable Parquet",
    ),
    "corrupt search": ("datasets/*/search.sqlite", cut, [("browse", "--search", "river")], ""),
    "corrupt scores": ("scores/*.parquet", cut, [("browse", "--sort=score:1")], "scores of query 1"),
    "missing scores": ("scores/*.parquet", remove, [("browse", "--sort=score:1")], "scores of query 1 are missing"),
    "corrupt marker": ("workspace.json", cut, READERS + WRITERS, "is not readable JSON"),
    "missing marker": ("workspace.json", remove, READERS + WRITERS, "is not a workspace"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_in_one_sentence_and_nothing_is_changed(kind, workspace):
    pattern, damage, commands, sentence = DAMAGE[kind]
    gc.collect()
    (path,) = workspace.glob(pattern)
    damage(path)
    before = content(workspace)
    for command, *words in commands:
        if sentence:
            assert sentence in complaint(command, workspace, *words)
        else:
            done(command, workspace, *words)  # a search is built again from the texts
    if sentence:
        assert content(workspace) == before


def test_lost_examples_of_an_earlier_version_stop_an_import_that_needs_them(workspace, tmp_path):
    (path,) = workspace.glob("datasets/*/examples.parquet")
    path.unlink()
    before = content(workspace)
    changed = write_rows(tmp_path / "texts.jsonl", [{"id": "n", "text": "new"}])
    assert "examples.parquet' is missing" in complaint("import", workspace, changed)
    assert content(workspace) == before


def test_a_workspace_below_a_file_cannot_be_made(tmp_path):
    file = write_rows(tmp_path / "a.jsonl", [{"text": "one"}])
    assert "Not a directory" in complaint("import", file / "ws", file)
    assert "is not a workspace" in complaint("status", file / "ws")


def test_a_folder_where_the_journal_should_be_is_refused(workspace):
    gc.collect()
    (workspace / "journal.sqlite").unlink()
    (workspace / "journal.sqlite").mkdir()
    before = content(workspace)
    for command, *words in READERS + WRITERS:
        assert "journal.sqlite' is a folder" in complaint(command, workspace, *words)
    assert content(workspace) == before


@pytest.mark.parametrize("row", [{"prompt": "p", "chosen": "a", "rejected": "b"}, {"asked": "a", "said": "b"}])
def test_queries_whose_columns_say_nothing_are_told_theirs_not_the_flags_of_an_import(workspace, tmp_path, row):
    queries = write_rows(tmp_path / "queries.jsonl", [row])
    said = complaint("score", workspace, "--queries", queries, "--out", tmp_path / "scores.parquet")
    assert "queries must have `prompt` with `completion`, `messages`, or `text`" in said
    assert ", ".join(f"`{name}`" for name in row) in said
    assert "--" not in said
