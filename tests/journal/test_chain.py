"""What was written hangs together: a revision that is missing, changed or put in later is found."""

import shutil

import pytest
from acting import by, exclude, flag, note
from sqlalchemy import create_engine, text

from lorif_core.journal import Journal
from lorif_core.journal.database import writing
from lorif_core.journal.migrating import migrate

both = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


def fill(journal):
    """Seven revisions of every kind."""
    journal.decide(by("ada"), flag("a", "b", "c"))
    journal.set_role("ada", "admin", "ada")
    journal.decide(by("ada"), exclude("b", text="ä\n"), client_id="r-1")
    journal.undo(by("ada"))
    journal.redo(by("ada"))
    journal.add_reason("too-old", "From before the war.", "ada")
    journal.decide(by("ada"), note("look", "c"))


def change(journal, statement):
    with writing(journal.engine) as connection:
        connection.execute(text(statement))


@both
def test_a_journal_that_nobody_touched_is_whole(journal):
    assert journal.check() == []
    fill(journal)
    assert journal.check() == []


@both
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE batch SET actor = 'eve' WHERE revision = 3", "revision 3 of the journal (exclude by 'eve') is not"),
        ("UPDATE batch SET text = 'o' WHERE revision = 3", "revision 3 of the journal (exclude by 'ada') is not"),
        ("UPDATE event SET train_id = 'z' WHERE train_id = 'a'", "revision 1 of the journal (flag by 'ada') is not"),
        ("DELETE FROM event WHERE train_id = 'a'", "revision 1 of the journal names 3 texts and holds 2"),
        (
            "INSERT INTO event (batch_id, train_id) SELECT batch_id, 'z' FROM batch WHERE revision = 7",
            "revision 7 of the journal names 1 texts and holds 2",
        ),
        ("UPDATE revision_link SET said = '{}' WHERE revision = 2", "revision 2 of the journal (role) is not"),
        ("DELETE FROM revision_link WHERE revision = 6", "revision 6 of the journal is missing"),
        (
            "INSERT INTO revision_link (revision, digest, kind) VALUES (3, 'd', 'write')",
            "revision 3 of the journal is there twice",
        ),
        ("UPDATE revision SET number = 9", "the journal counts 9 revisions and holds 7"),
        (
            "UPDATE event SET undoes = 1 WHERE batch_id = (SELECT batch_id FROM batch WHERE revision = 4)",
            "revision 4 of the journal takes back other texts than the act that it names",
        ),
    ],
)
def test_whatever_is_changed_afterwards_is_found(journal, statement, sentence):
    fill(journal)
    change(journal, statement)
    (found,) = journal.check()
    assert found.startswith(sentence)
    assert "restore a backup with `lorif restore-backup`" in found


def test_a_damaged_page_is_found(location):
    with Journal(location) as journal:
        journal.decide(by("ada"), flag(*map(str, range(20_000))))
    content = bytearray(location.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = b"\xff" * 4096
    location.write_bytes(content)
    with Journal(location) as journal:
        assert "the journal is damaged: restore a backup" in journal.check()[0]


def test_copies_go_on_from_one_identity_and_end_in_different_digests(journal, location, tmp_path):
    fill(journal)
    journal.close()
    shutil.copy(location, tmp_path / "copy.sqlite")

    def chain_of(opened):
        with opened.engine.connect() as connection:
            digests = connection.execute(text("SELECT digest FROM batch ORDER BY revision")).scalars().all()
            return connection.scalar(text("SELECT journal_id FROM journal_identity")), digests

    with Journal(tmp_path / "copy.sqlite") as copy:
        copy.decide(by("ada"), flag("x"))
        journal.decide(by("ada"), flag("y"))
        (identity, one), (same, other) = chain_of(journal), chain_of(copy)
    assert identity == same
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]


@pytest.mark.parametrize("new_location", ["sqlite", "postgresql"], indirect=True)
def test_the_acts_of_an_older_journal_get_a_chain(new_location):
    address = new_location if isinstance(new_location, str) else f"sqlite:///{new_location}"
    engine = create_engine(address)
    with writing(engine) as connection:
        migrate(connection, "0001")
        for revision, (kind, of_batch) in enumerate([("flag", None), ("undo", "'b1'"), ("flag", None)], start=1):
            number = revision + (revision == 3)  # a role was given in between
            connection.execute(
                text(
                    "INSERT INTO batch (batch_id, revision, corpus_id, dataset_id, at, actor, kind, settles, "
                    f"of_batch, num_events) VALUES ('b{revision}', {number}, 'c', 'd', "
                    f"'2026-01-02 03:04:05.000006', 'ada', '{kind}', false, {of_batch or 'NULL'}, 1)"
                )
            )
            undoes = "1" if of_batch else "NULL"
            connection.execute(
                text(f"INSERT INTO event (batch_id, train_id, undoes) VALUES ('b{revision}', 'a', {undoes})")
            )
        connection.execute(text("UPDATE revision SET number = 4"))
    engine.dispose()
    with Journal(new_location) as journal:
        assert journal.check() == []
        journal.decide(by("ada"), flag("z"))
        assert journal.check() == []
        change(journal, "UPDATE batch SET actor = 'eve' WHERE revision = 1")
        assert len(journal.check()) == 1
