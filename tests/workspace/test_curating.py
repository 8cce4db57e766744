"""Decisions through Python and the command line."""

import io
import subprocess
import sys

import pytest
from tiny_workspace import bytes_below, copy_of, done, imported, indexed, lorif, rows

import lorif_core as lf
from lorif_core.errors import CatalogError, DataError, JournalError, LorifError, RoleError
from lorif_core.workspace.curation.decisions import Decisions, read_rules
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.folder.workspace_files import open_files

IDS = [row["id"] for row in rows()]
ATLAS = [row["id"] for row in rows() if row["source"] == "atlas"]
RULE = "exclude where source = atlas because spam"


@pytest.fixture(autouse=True)
def ann(monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", "ann")


@pytest.fixture
def workspace(tmp_path):
    return copy_of(imported(), tmp_path)


@pytest.fixture
def curator(workspace):
    return Decisions(Datasets(open_files(workspace), None))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with one kept question."""
    workspace = copy_of(indexed(), tmp_path_factory.mktemp("asked"))
    lf.open_workspace(workspace).ask("The river of Arlen is", " castle Brook.", k=3)
    return workspace


def statuses(workspace):
    return dict(Decisions(Datasets(open_files(workspace), None)).states().select("train_id", "status").rows())


def test_flag_exclude_and_restore_give_their_status_by_command(workspace):
    done("flag", workspace, "t001", "t002", "--reason", "low-quality", "--text", "look again")
    assert "1 text is excluded. Batch " in done("exclude", workspace, "t002", "--reason", "spam").out
    done("exclude", workspace, "t003", "--reason", "spam")
    done("restore", workspace, "t003")
    assert statuses(workspace) == {"t001": "flagged", "t002": "excluded", "t003": "kept"}


def test_a_note_and_a_label_leave_the_status_alone(workspace):
    done("flag", workspace, "t001")
    done("note", workspace, "t001", "--text", "seen in 2019")
    done("label", workspace, "needs check", "t001", "t002")
    done("label", workspace, "german", "t001")
    done("unlabel", workspace, "needs check", "t001")
    found = {row["train_id"]: row for row in Decisions(Datasets(open_files(workspace), None)).states().to_dicts()}
    assert (found["t001"]["status"], found["t001"]["labels"], found["t001"]["num_notes"]) == (
        "flagged",
        ["german"],
        1,
    )
    assert (found["t002"]["status"], found["t002"]["labels"]) == ("kept", ["needs check"])


def test_the_variable_says_who_decided(workspace, monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", " Zoë ")
    assert done("flag", workspace, "t001", "--json").json["actor"] == "Zoë"
    monkeypatch.setenv("LORIF_ACTOR", "  ")
    assert done("flag", workspace, "t001", "--json").json["actor"] not in ("", "Zoë")


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\udcff", "x" * 201], ids=ascii)
def test_a_name_that_cannot_be_kept_is_refused_by_every_command(workspace, monkeypatch, name):
    monkeypatch.setenv("LORIF_ACTOR", name)
    for command in (("status", workspace), ("flag", workspace, "t001"), ("members", workspace)):
        refused = lorif(*command)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert refused.err.startswith("lorif: LORIF_ACTOR ")


@pytest.mark.parametrize("verb", ["flag", "exclude", "restore", "note", "label", "unlabel", "settle"])
def test_one_unknown_id_refuses_the_whole_request(workspace, curator, verb):
    curator.flag(["t009"])
    del curator
    before = bytes_below(workspace)
    words = {
        "note": ("t001", "t1", "--text", "x"),
        "label": ("name", "t001", "t1"),
        "unlabel": ("name", "t001", "t1"),
        "settle": ("kept", "t001", "t1"),
    }.get(verb, ("t001", "t1", "--reason", "spam"))
    refused = lorif(verb, workspace, *words)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "1 of 2 are not, such as 't1'" in refused.err
    assert statuses(workspace) == {"t009": "flagged"}
    assert bytes_below(workspace).keys() == before.keys()


def test_an_exclusion_needs_a_reason_of_the_list(curator):
    with pytest.raises(JournalError, match="to exclude needs a reason"):
        curator.exclude(["t001"])
    with pytest.raises(JournalError, match="'boring'"):
        curator.exclude(["t001"], reason="boring")
    assert len(curator.states()) == 0


def test_a_reason_that_was_added_can_be_given(workspace):
    assert lorif("exclude", workspace, "t001", "--reason", "boring").code == 2
    done("reasons", workspace, "--add", "boring", "--description", "Nobody would read it.")
    done("exclude", workspace, "t001", "--reason", "boring")
    assert "boring" in done("reasons", workspace).out
    assert lorif("reasons", workspace, "--add", "x").code == 2


def test_a_decision_names_a_question_that_is_kept(template, tmp_path):
    curator = Decisions(Datasets(open_files(copy_of(template, tmp_path)), None))
    assert curator.flag(["t001"], query="1").query_id == "1"
    with pytest.raises(CatalogError, match="no query '2'"):
        curator.flag(["t001"], query="2")


def test_a_minus_reads_the_ids_from_standard_input(workspace, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("t001\r\n\nt002\nt001\n"))
    assert done("flag", workspace, "-", "--json").json["num_events"] == 2
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    refused = lorif("flag", workspace, "-")
    assert refused.code == 2
    assert "at least one example, got none" in refused.err


def test_standard_input_that_is_no_text_is_refused(workspace):
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-m", "lorif_core.cli", "flag", str(workspace), "-"],
        input=b"t001\nt\xff2\n", capture_output=True, check=False,
        env={"PYTHONIOENCODING": "utf-8:strict", "LORIF_ACTOR": "ann"},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith(b"lorif: standard input must hold ids in UTF-8")
    assert statuses(workspace) == {}


def test_undo_takes_back_the_latest_batch_and_redo_brings_it_back(workspace):
    done("flag", workspace, "t001", "t002")
    batch = done("exclude", workspace, "t002", "--reason", "spam", "--json").json["batch_id"]
    said = done("undo", workspace).out
    assert said.startswith(f"Batch {batch} (1 text) is taken back. ")
    assert statuses(workspace)["t002"] == "flagged"
    done("redo", workspace)
    assert statuses(workspace)["t002"] == "excluded"


def test_undo_and_redo_take_the_id_of_a_batch(workspace):
    first = done("exclude", workspace, "t001", "--reason", "spam", "--json").json["batch_id"]
    done("flag", workspace, "t002")
    done("undo", workspace, first)
    assert statuses(workspace) == {"t001": "kept", "t002": "flagged"}
    done("redo", workspace, first)
    assert statuses(workspace) == {"t001": "excluded", "t002": "flagged"}
    assert lorif("undo", workspace, "nothing").code == 2


def test_undo_with_nothing_to_undo_is_refused(workspace):
    refused = lorif("undo", workspace)
    assert refused.code == 2
    assert "'ann' has nothing to undo" in refused.err


def test_history_tells_who_did_what_and_can_be_narrowed(workspace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # or cells wrap
    done("exclude", workspace, "t001", "--reason", "spam", "--text", "an advertisement")
    monkeypatch.setenv("LORIF_ACTOR", "bob")
    done("flag", workspace, "t001", "t002")
    done("undo", workspace)

    def kinds(*words):
        return [entry["batch"]["kind"] for entry in done("history", workspace, *words, "--json").json["history"]]

    assert kinds() == ["undo", "flag", "exclude"]
    assert kinds("--by", "ann") == ["exclude"]
    assert kinds("--kind", "flag") == ["flag"]
    assert kinds("--id", "t002") == ["undo", "flag"]
    assert kinds("--limit", 1) == ["undo"]
    said = done("history", workspace).out
    assert "flag (undone)" in said
    assert "advertisement" in said
    assert "No decision matches." in done("history", workspace, "--by", "eve").out


def test_the_events_of_an_example_are_told_newest_first(curator):
    curator.flag(["t001"])
    curator.exclude(["t001"], reason="spam", actor="bob")
    steps = [(event.batch.actor, event.status_before, event.status_after) for event in curator.events_of("t001")]
    assert steps == [("bob", "flagged", "excluded"), ("ann", "kept", "flagged")]
    assert curator.events_of("t002") == []
    with pytest.raises(DataError):
        curator.events_of("nobody")


def test_a_disagreement_is_shown_until_an_admin_settles_it(workspace, monkeypatch):
    done("exclude", workspace, "t001", "--reason", "spam")
    assert "Nobody disagrees." in done("conflicts", workspace).out
    monkeypatch.setenv("LORIF_ACTOR", "bob")
    done("restore", workspace, "t001")
    found = done("conflicts", workspace, "--json").json["conflicts"]
    assert [(row["actor"], row["status"]) for row in found] == [("ann", "excluded"), ("bob", "kept")]
    assert "Disagreements" in done("conflicts", workspace).out
    done("settle", workspace, "flagged", "t001")
    assert done("conflicts", workspace, "--json").json["conflicts"] == []
    assert statuses(workspace) == {"t001": "flagged"}
    assert lorif("settle", workspace, "gone", "t001").code == 2


def test_roles_decide_what_a_command_may_do(workspace, monkeypatch):
    assert "There are no members" in done("members", workspace).out
    done("members", workspace, "--set", "ann", "--role", "admin")
    done("members", workspace, "--set", "bob", "--role", "curator")
    monkeypatch.setenv("LORIF_ACTOR", "bob")
    done("flag", workspace, "t001")
    assert "only an admin may settle" in lorif("settle", workspace, "kept", "t001").err
    assert lorif("members", workspace, "--set", "bob", "--role", "admin").code == 2
    assert lorif("reasons", workspace, "--add", "dull", "--description", "d").code == 2
    monkeypatch.setenv("LORIF_ACTOR", "eve")
    for words in (("flag", workspace, "t002"), ("undo", workspace), ("apply", workspace, RULE)):
        refused = lorif(*words)
        assert refused.code == 2
        assert "only a curator may" in refused.err
    assert "Members" in done("members", workspace).out
    assert statuses(workspace) == {"t001": "flagged"}


def test_a_role_or_a_person_alone_is_refused(workspace):
    assert lorif("members", workspace, "--set", "bob").code == 2
    assert "viewer, curator, admin, got 'boss'" in lorif("members", workspace, "--set", "bob", "--role", "boss").err


def test_the_same_client_id_again_is_harmless_and_another_request_under_it_is_refused(curator):
    first = curator.flag(["t001", "t002"], client_id="c1")
    assert curator.flag(["t001", "t002"], client_id="c1") == first
    with pytest.raises(JournalError, match="client id 'c1' stands for another request"):
        curator.flag(["t001", "t003"], client_id="c1")
    applied = curator.apply(RULE, client_id="c2")
    with pytest.raises(LorifError):
        curator.apply("flag where source = almanac", client_id="c2")
    assert [entry.batch for entry in curator.history()] == [applied, first]


def test_a_preview_counts_and_samples_and_decides_nothing(curator):
    curator.flag(ATLAS[:2])
    curator.exclude(ATLAS[2:5], reason="spam")
    before = curator.journal.revision()
    found = curator.preview(RULE)
    assert found.num_matching == len(ATLAS)
    assert found.train_ids == ATLAS[:2] + ATLAS[5:]
    assert found.by_status == {"flagged": 2, "kept": len(ATLAS) - 5}
    assert found.sample["train_id"].to_list() == (ATLAS[:2] + ATLAS[5:])[:5]
    assert curator.journal.revision() == before


def test_a_dry_run_says_what_would_change(workspace):
    said = done("apply", workspace, RULE, "--dry-run").out
    assert f"Holds of {len(ATLAS)} texts; {len(ATLAS)} would change (now {len(ATLAS)} kept)." in said
    assert "Nothing was decided." in said
    found = done("apply", workspace, RULE, "--dry-run", "--json").json["previews"]
    assert [(one["num_matching"], one["num_changing"], len(one["sample"])) for one in found] == [
        (len(ATLAS), len(ATLAS), 5)
    ]
    assert statuses(workspace) == {}


def test_a_rule_is_one_batch_that_names_it_and_undo_takes_it_back(workspace):
    said = done("apply", workspace, RULE).out
    batch = said.split("Batch ")[1].split(";")[0]
    assert said.startswith(f"{len(ATLAS)} texts: {RULE}\n")
    assert statuses(workspace) == dict.fromkeys(ATLAS, "excluded")
    (entry,) = Decisions(Datasets(open_files(workspace), None)).history()
    assert (entry.batch.batch_id, entry.batch.rule, entry.batch.reason) == (batch, RULE, "spam")
    done("undo", workspace, batch)
    assert set(statuses(workspace).values()) == {"kept"}


def test_a_rule_applied_twice_says_the_second_time_that_it_changes_nothing(workspace):
    done("apply", workspace, RULE)
    refused = lorif("apply", workspace, RULE)
    assert refused.code == 2
    assert f"the rule changes nothing: its condition holds for {len(ATLAS)} texts" in refused.err


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("flag where id in (t001, t002, t003, t004)", ["t001", "t002", "t004"]),
        ("restore where id in (t001, t002, t003, t004, t005)", ["t002", "t003"]),
        ('label "needs check" where id in (t001, t002, t003, t004)', ["t001", "t002", "t003"]),
        ('unlabel "needs check" where id in (t001, t002, t003, t004)', ["t004"]),
    ],
)
def test_a_rule_changes_only_what_is_not_yet_as_it_wants_it(curator, rule, expected):
    curator.flag(["t003"])
    curator.exclude(["t001", "t002"], reason="spam")
    curator.restore(["t001"])
    curator.label(["t004"], "needs check")
    assert curator.preview(rule).train_ids == expected
    assert curator.apply(rule).num_events == len(expected)
    with pytest.raises(DataError, match="changes nothing"):
        curator.apply(rule)


def test_a_rule_with_scores_chooses_what_a_plain_sort_chooses(template, tmp_path):
    curator = Decisions(Datasets(open_files(copy_of(template, tmp_path)), None))
    scores = dict(zip(IDS, read_scores(curator.files, curator.files.catalog.query("1")).tolist(), strict=True))
    strongest = sorted(IDS, key=lambda name: -scores[name])[:12]  # 10 % of 121, rounded down
    expected = [name for name in IDS if name in strongest and name in ATLAS]
    rule = "exclude where source = atlas and score in the top 10 % for query 1 because misinformation"
    assert curator.preview(rule).train_ids == expected
    assert curator.apply(rule).query_id == "1"
    middle = sorted(scores.values())[60]
    found = curator.preview(f"flag where score > {middle!r} for query 1").train_ids
    assert found == [name for name in IDS if scores[name] > middle]


def test_the_rules_of_a_file_are_one_batch_each_and_all_are_read_first(workspace, tmp_path):
    file = tmp_path / "rules.txt"
    file.write_text(f"# forum dump\n\n{RULE}\n  flag where year < 1910\n", encoding="utf-8")
    batches = done("apply", workspace, "--rules", file, "--json").json["batches"]
    assert [batch["rule"] for batch in batches] == read_rules(file) == [RULE, "flag where year < 1910"]
    done("undo", workspace)
    done("undo", workspace)
    file.write_text(f"{RULE}\nflag were year < 1910\n", encoding="utf-8")
    refused = lorif("apply", workspace, "--rules", file)
    assert refused.code == 2
    assert "line 2: " in refused.err
    assert set(statuses(workspace).values()) == {"kept"}


def test_a_rule_and_a_file_of_rules_exclude_each_other(workspace, tmp_path):
    assert lorif("apply", workspace).code == 2
    assert lorif("apply", workspace, RULE, "--rules", tmp_path / "rules.txt").code == 2
    assert "cannot be read" in lorif("apply", workspace, "--rules", tmp_path / "rules.txt").err
    (tmp_path / "latin.txt").write_bytes("flag where text contains ü".encode("latin-1"))
    assert "it is not UTF-8" in lorif("apply", workspace, "--rules", tmp_path / "latin.txt").err


def test_every_batch_is_met_once_when_the_history_is_read_in_pages(curator):
    batches = [curator.flag([name]) for name in IDS[:7]]
    corpus_id, found, before = curator.files.choose_dataset(None).corpus_id, [], None
    while page := curator.journal.history(corpus_id, limit=3, before=before):
        assert len(page) <= 3
        found += [entry.batch for entry in page]
        before = page[-1].batch.revision
    assert found == batches[::-1]
    assert curator.journal.snapshot(corpus_id).batches == found


def test_what_somebody_else_decided_is_not_taken_back_by_a_curator(curator):
    curator.journal.set_role("ann", "admin", "ann")
    curator.journal.set_role("bob", "curator", "ann")
    batch = curator.flag(["t001"])
    with pytest.raises(RoleError):
        curator.undo(batch.batch_id, actor="bob")
