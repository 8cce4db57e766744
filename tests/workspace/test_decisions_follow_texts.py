"""From one version of a data set to the next, a decision stays with its text, or is said not to."""

import json

import polars as pl
import pytest
from tiny_workspace import lorif, write_rows

import lorif_core as lf
from lorif_core.config import ImportConfig, NextVersion
from lorif_core.errors import DataError, RoleError
from lorif_core.workspace.workspace import create_workspace

TEXTS = {f"t{number}": f"text of number {number}" for number in range(10)}


@pytest.fixture
def line(tmp_path):
    """A data set whose versions are given as id → text."""

    class Line:
        workspace = create_workspace(tmp_path / "ws")

        def file(self, texts, folder="data"):
            (tmp_path / folder).mkdir(exist_ok=True)
            rows = [
                {"id": name, "text": text} for name, text in (texts.items() if isinstance(texts, dict) else texts)
            ]
            return write_rows(tmp_path / folder / "train.jsonl", rows)

        def add(self, texts, **said):
            return self.workspace.data.import_files(self.file(texts), said=NextVersion(**said))

        def statuses(self):
            return {row["train_id"]: row["status"] for row in self.workspace.data.browse(limit=99).frame.to_dicts()}

        def excluded(self):
            return {one for one, status in self.statuses().items() if status == "excluded"}

        def state(self, train_id):
            return self.workspace.decisions.states().row(by_predicate=pl.col("train_id") == train_id, named=True)

    made = Line()
    made.add(TEXTS)
    return made


def test_decisions_go_with_a_text_that_has_another_id(line):
    decisions = line.workspace.decisions
    decisions.exclude(["t1"], reason="spam", text="sells", actor="ada")
    decisions.flag(["t2"], actor="ada")
    decisions.label(["t1", "t3"], "odd", actor="ada")
    decisions.note(["t3"], "look again", actor="bo")
    result = line.add({f"h{name}": text for name, text in TEXTS.items()})
    assert line.excluded() == {"ht1"}
    assert line.statuses()["ht2"] == "flagged"
    found = line.state("ht1")
    assert (found["reason"], found["text"], found["labels"]) == ("spam", "sells", ["odd"])
    assert "decided by ada" in found["rule"]
    assert "import of version 2" in found["rule"]
    assert (line.state("ht3")["labels"], line.state("ht3")["num_notes"]) == (["odd"], 1)
    assert (result.carried.num_moved, result.carried.num_gone, result.carried.num_changed) == (3, 0, 0)
    for batch in reversed(result.carried.batches):
        decisions.undo(batch)
    assert set(line.statuses().values()) == {"kept"}


def test_ids_that_are_places_shift_and_decisions_stay_with_the_texts(line):
    line.workspace.decisions.exclude(["t3", "t4", "t9"], reason="spam")
    shifted = {"t0": "a new first text"} | {f"t{int(name[1:]) + 1}": text for name, text in TEXTS.items()}
    line.add(shifted)
    assert line.excluded() == {"t4", "t5", "t10"}
    line.add(TEXTS | {"t10": "one more"})
    assert line.excluded() == {"t3", "t4", "t9"}


def test_texts_that_change_places_take_their_decisions_along(line):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    line.workspace.decisions.flag(["t2"])
    line.add(TEXTS | {"t1": TEXTS["t2"], "t2": TEXTS["t1"]})
    assert {name: status for name, status in line.statuses().items() if status != "kept"} == {
        "t1": "flagged",
        "t2": "excluded",
    }


def test_a_decision_does_not_hit_another_text_under_its_id_and_comes_back_with_its_own(line):
    decisions = line.workspace.decisions
    decisions.exclude(["t1"], reason="spam", actor="ada")
    decisions.flag(["t1"], actor="bo")
    decisions.exclude(["t1"], reason="toxic", actor="ada")
    decisions.label(["t1"], "odd")
    result = line.add(TEXTS | {"t1": "something else"})
    assert line.excluded() == set()
    found = line.state("t1")
    assert (found["status"], found["text"], found["has_conflict"], found["labels"]) == (
        "kept",
        "decided on an earlier text",
        False,
        [],
    )
    assert result.carried.num_changed == 1
    listed = [json.loads(row) for row in result.carried.file.read_text(encoding="utf-8").splitlines()]
    assert listed == [{"id": "t1", "status": "excluded", "change": "changed", "text": TEXTS["t1"]}]
    kinds = [entry.batch.kind for entry in decisions.history()]
    assert kinds == ["unlabel", "restore", "label", "exclude", "flag", "exclude"]
    back = line.add(TEXTS | {"more": "more"})
    assert back.carried.num_returned == 1
    assert line.excluded() == {"t1"}
    assert line.state("t1")["reason"] == "toxic"


def test_a_decided_text_comes_back_under_another_id_after_an_edit(line):
    line.workspace.decisions.exclude(["t2"], reason="spam", actor="ada")
    line.add(TEXTS | {"t2": "edited"})
    assert line.excluded() == set()
    back = line.add({name: text for name, text in TEXTS.items() if name != "t2"} | {"new": TEXTS["t2"]})
    assert back.carried.num_returned == 1
    assert line.excluded() == {"new"}
    assert line.state("new")["reason"] == "spam"


def test_a_text_of_an_id_that_nobody_decided_on_is_not_hit_when_it_comes_back(line):
    line.add(TEXTS | {"t2": "second"})
    line.workspace.decisions.exclude(["t2"], reason="spam", actor="ada")
    line.add(TEXTS | {"t2": "third"})
    assert line.add(TEXTS | {"more": "more"}).carried.num_returned == 0
    assert line.excluded() == set()


def test_an_undone_act_of_an_import_gives_the_decision_back(line):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    (batch,) = line.add(TEXTS | {"t1": "something else"}).carried.batches
    line.workspace.decisions.undo(batch)
    assert line.excluded() == {"t1"}


def test_decisions_on_texts_that_were_left_out_come_back_with_them(line):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    line.add({name: text for name, text in TEXTS.items() if name != "t1"}, drop_decided=True)
    assert line.excluded() == set()
    line.add(TEXTS | {"more": "more"})
    assert line.excluded() == {"t1"}


def test_an_id_that_comes_back_with_another_text_is_not_hit(line):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    line.add({name: text for name, text in TEXTS.items() if name != "t1"}, drop_decided=True)
    line.add(TEXTS | {"t1": "not that one"})
    assert line.excluded() == set()


@pytest.mark.parametrize("decide", ["flag", "exclude", "label", "note"])
def test_a_version_without_decided_texts_is_refused_with_their_list(line, decide):
    decisions = line.workspace.decisions
    more = {"exclude": {"reason": "spam"}, "label": {"label": "odd"}, "note": {"text": "hm"}}.get(decide, {})
    getattr(decisions, decide)(["t1", "t2"], **more)
    before = line.workspace.data.records()
    rest = {name: text for name, text in TEXTS.items() if name not in ("t1", "t2")}
    with pytest.raises(DataError, match="2 of them are missing by id and by text: 't1'") as refused:
        line.add(rest)
    assert "--drop-decided" in str(refused.value)
    listed = line.workspace.path / "rejects" / "train.decided.jsonl"
    assert str(listed) in str(refused.value)
    assert [json.loads(row)["text"] for row in listed.read_text(encoding="utf-8").splitlines()] == [
        TEXTS["t1"],
        TEXTS["t2"],
    ]
    assert line.workspace.data.records() == before
    assert line.add(rest, drop_decided=True).carried.num_gone == 2


def test_undecided_and_kept_texts_may_go_without_a_word(line):
    line.workspace.decisions.restore(["t1"])
    assert line.add({name: text for name, text in TEXTS.items() if name not in ("t1", "t2")}).carried.num_gone == 0


def test_another_data_set_of_the_same_name_is_asked_about(line, tmp_path):
    other = {name: f"Text Nummer {name}" for name in TEXTS}
    with pytest.raises(DataError, match="10 of the 10 ids that both have stand for other texts, 't0' for") as refused:
        line.add(other)
    assert "--name OTHER" in str(refused.value)
    assert "--as-version" in str(refused.value)
    assert [record.version for record in line.workspace.data.records()] == [1]
    line.workspace.decisions.exclude(["t1"], reason="spam")
    assert line.add(other, as_version=True).dataset.version == 2
    assert line.excluded() == set()
    own = line.workspace.data.import_files(line.file(other | {"x": "y"}, "fr"), settings=ImportConfig(name="fr"))
    assert (own.dataset.name, own.dataset.version) == ("fr", 1)


def test_data_that_share_nothing_are_asked_about(line):
    with pytest.raises(DataError, match="share no id and no text with its version 1"):
        line.add({f"fr{name}": f"Texte {name}" for name in TEXTS})


def test_few_edits_are_a_version(line):
    edits = {f"t{number}": f"edited {number}" for number in range(5)}
    assert line.add(TEXTS | edits).dataset.version == 2
    assert line.add(TEXTS | edits | {"t5": "edited, too"}).dataset.version == 3


def test_copies_keep_their_own_decisions_where_their_numbers_tell_which(line):
    line.add([("a", "same"), ("b", "same"), ("c", "same"), *TEXTS.items()])
    line.workspace.decisions.exclude(["b"], reason="duplicate")
    result = line.add([("x", "same"), ("y", "same"), ("z", "same"), *TEXTS.items()])
    assert line.excluded() == {"y"}
    assert result.carried.num_ambiguous == 0
    fewer = line.add([("one", "same"), ("two", "same"), *TEXTS.items()])
    assert line.excluded() == {"one"}
    assert fewer.carried.num_ambiguous == 1


def test_a_metadata_column_changes_no_decision(line, tmp_path):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    rows = [{"id": name, "text": text, "year": 2020} for name, text in TEXTS.items()]
    result = line.workspace.data.import_files(write_rows(tmp_path / "data" / "train.jsonl", rows))
    assert result.changes.columns_came == ["year"]
    assert result.carried.batches == ()
    assert line.excluded() == {"t1"}


def test_a_viewer_adds_no_version_into_which_decisions_must_follow(line, monkeypatch):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    line.workspace.journal.set_role("root", "admin", by="root")
    monkeypatch.setenv("LORIF_ACTOR", "visitor")
    with pytest.raises(RoleError):
        line.add(TEXTS | {"t1": "else"})
    assert [record.version for record in line.workspace.data.records()] == [1]


def test_a_dry_run_lists_what_would_be_lost_and_writes_nothing(line):
    line.workspace.decisions.exclude(["t1"], reason="spam")
    line.workspace.decisions.flag(["t2"])
    file = line.file({name: text for name, text in TEXTS.items() if name != "t1"} | {"t2": "else"})
    before = sorted(line.workspace.path.rglob("*"))
    found = lorif("import", line.workspace.path, file, "--dry-run", "--json")
    assert found.code == 0
    foreseen = found.json["next_version"]
    assert [(one["id"], one["change"]) for one in foreseen["lost"]] == [("t1", "gone"), ("t2", "changed")]
    assert sorted(line.workspace.path.rglob("*")) == before
    shown = lorif("import", line.workspace.path, file, "--dry-run")
    assert "needs `--drop-decided`" in shown.err + shown.out
    refused = lorif("import", line.workspace.path, file)
    assert refused.code == 2
    assert "'t1'" in refused.err
    done = lorif("import", line.workspace.path, file, "--drop-decided")
    assert done.code == 0
    assert "1 decided ids stand for another text now" in done.err + done.out
    other = line.file({name: f"fr {name}" for name in TEXTS}, "fr")
    assert "An import would be refused" in lorif("import", line.workspace.path, other, "--dry-run").out


def test_the_public_workspace_still_imports(line):
    assert lf.open_workspace(line.workspace.path).data.records()
