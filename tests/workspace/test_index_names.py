"""Indexes have names that people give, and are deleted wholly or not at all."""

import json
import shutil

import pytest
from filelock import FileLock
from tiny_workspace import SMALL, copy_of, done, indexed, lorif, model_folder, write_model

import lorif_core as lf
from lorif_core.catalog import DuckDBCatalog
from lorif_core.errors import ArtefactError, CatalogError, ConfigError, RoleError
from lorif_core.workspace.folder.index_names import short_model_name
from lorif_core.workspace.indexes import delete_index as deleting
from lorif_core.workspace.jobs.requests import MapRequest
from lorif_core.workspace.jobs.submit import open_jobs, submit


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Two indexes of the tiny texts; the first one has answered two questions, the second one."""
    folder = copy_of(indexed(), tmp_path_factory.mktemp("named"))
    opened = lf.open_workspace(folder)
    first = opened.indexes.records()[0].index_id
    done("index", folder, "--model", model_folder(), *SMALL, "--include", "*.h.0.*")
    second = next(one.index_id for one in opened.indexes.records() if one.index_id != first)
    for completion, index_id in ((" castle Brook.", first), (" castle.", first), (" castle Brook.", second)):
        opened.ask("The river of Arlen is", completion, k=3, num_opposing=3, index_id=index_id)
    return folder


@pytest.fixture
def workspace(pristine, tmp_path):
    return lf.open_workspace(shutil.copytree(pristine, tmp_path / "ws"))


def ids(workspace):
    return [one.index_id for one in lf.open_workspace(workspace.path).indexes.records()]


def state(workspace):
    """Everything that lies in the folder but locks and memories, and what the catalog says."""
    catalog = DuckDBCatalog(workspace.path / "catalog.duckdb")
    lasting = ("indexes", "scores", "maps", "datasets", "statistics")
    found = {
        str(path.relative_to(workspace.path)): path.read_bytes()
        for name in lasting
        for path in (workspace.path / name).rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }
    return found, catalog.indexes(), catalog.queries(), catalog.evaluations()


def test_a_name_is_kept_shown_and_taken_back(workspace):
    first, second = ids(workspace)
    assert {one.is_given for one in workspace.indexes.named().values()} == {False}
    workspace.indexes.rename(first, "  Facts, small  ", description="the first try", actor="ann")
    named = lf.open_workspace(workspace.path).indexes.named()
    assert (named[first].name, named[first].description, named[first].is_given) == (
        "Facts, small",
        "the first try",
        True,
    )
    assert "121 texts" in named[first].line
    workspace.indexes.rename(first, "Other")
    assert workspace.indexes.named()[first].description == "the first try"
    workspace.indexes.rename(first, "")
    assert not workspace.indexes.named()[first].is_given
    assert workspace.indexes.named()[second].name != workspace.indexes.named()[first].name


@pytest.mark.parametrize("name", ["a\nb", "x" * 81, "\x1b[2J"])
def test_what_cannot_be_a_name_is_refused(workspace, name):
    with pytest.raises(ConfigError, match="at most 80 printable"):
        workspace.indexes.rename(ids(workspace)[0], name)


def test_two_indexes_have_no_name_in_common(workspace):
    first, second = ids(workspace)
    workspace.indexes.rename(first, "Facts")
    with pytest.raises(ConfigError, match=f"index {first} is called 'Facts' already"):
        workspace.indexes.rename(second, "Facts")


def test_a_damaged_name_is_no_name_and_the_doctor_says_so(workspace):
    first, _ = ids(workspace)
    workspace.indexes.rename(first, "Facts")
    (workspace.files.index_folder(first) / "name.json").write_text('{"name": "Else"}', encoding="utf-8")
    assert not workspace.indexes.named()[first].is_given
    assert f"indexes/{first}/name.json" in lorif("doctor", workspace.path).out


@pytest.mark.parametrize(
    ("place", "short"),
    [
        ("/data/sample/model", "sample/model"),
        ("/runs/gpt2-facts/checkpoint-500", "gpt2-facts/checkpoint-500"),
        ("/runs/gpt2-facts/", "gpt2-facts"),
        ("EleutherAI/pythia-70m", "pythia-70m"),
        ("model", "model"),
        ("", ""),
    ],
)
def test_a_model_is_called_by_as_much_of_its_place_as_tells_something(place, short):
    assert short_model_name(place) == short


def test_deleting_takes_the_index_with_its_answers_and_nothing_else(workspace):
    first, second = ids(workspace)
    before, _, queries, _ = state(workspace)
    of_first = [one for one in queries if one.index_id == first]
    gone_files = {name for name in before if name.startswith(f"indexes/{first}/")}
    gone_files |= {f"scores/{one.fingerprint}.parquet" for one in of_first}
    loss = workspace.indexes.loss(first)
    assert (loss.num_questions, loss.num_evaluations) == (2, 0)
    assert loss.index_bytes + loss.score_bytes == sum(len(before[name]) for name in gone_files)
    assert workspace.indexes.delete(first).num_questions == 2
    after, indexes, left, _ = state(workspace)
    assert after == {name: content for name, content in before.items() if name not in gone_files}
    assert [one.index_id for one in indexes] == [second]
    assert [one.query_id for one in left] == [one.query_id for one in queries if one.index_id == second]
    assert not (workspace.path / "indexes" / first).exists()
    with pytest.raises(CatalogError, match=r"question 1 went with its index, .* which was deleted"):
        workspace.reopen("1")


def test_the_number_of_a_question_that_is_gone_is_never_another_ones(workspace):
    _, second = ids(workspace)
    newest = workspace.questions.records()[-1]
    assert newest.index_id == second
    workspace.indexes.delete(second)
    asked = workspace.ask("The river of Brook is", " castle.", k=3, num_opposing=3)
    assert int(asked.query_id) == int(newest.query_id) + 1


def test_an_index_can_be_built_again_and_its_old_answers_stay_gone(workspace):
    first, second = ids(workspace)
    workspace.indexes.delete(second)
    done("index", workspace.path, "--model", model_folder(), *SMALL, "--include", "*.h.0.*")
    assert sorted(ids(workspace)) == sorted((first, second))
    assert [one.index_id for one in workspace.questions.records()] == [first, first]
    again = workspace.ask("The river of Arlen is", " castle Brook.", k=3, num_opposing=3, index_id=second)
    assert not again.is_kept or again.query_id == "4"


POINTS = ["before the catalog", "after the catalog", "before the folder", "within the folder"]


@pytest.mark.parametrize("point", POINTS)
def test_a_deletion_that_is_killed_has_not_happened_or_is_finished_by_the_next(workspace, monkeypatch, point):
    first, _ = ids(workspace)
    before = state(workspace)

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        if point == "before the catalog":
            patched.setattr(DuckDBCatalog, "remove_index", killed)
        elif point == "after the catalog":
            patched.setattr(deleting, "_take_away", killed)
        elif point == "before the folder":
            patched.setattr("pathlib.Path.rename", killed)
        else:
            patched.setattr(shutil, "rmtree", lambda folder, **_: (next(folder.glob("*.json")).unlink(), killed()))
        with pytest.raises(Killed):
            workspace.indexes.delete(first)
    deleting.finish_deletions(workspace.files)
    if point == POINTS[0]:
        assert state(workspace) == before
        assert workspace.reopen("1").hits
        return
    expected = copy_with_deleted(workspace, before, first)
    assert state(workspace)[0] == expected
    assert first not in ids(workspace)
    assert list((workspace.path / "indexes").glob(".deleted-*")) == []


def copy_with_deleted(workspace, before, index_id):
    """What should be left of the files."""
    found, _, queries, _ = before
    scores = {f"scores/{one.fingerprint}.parquet" for one in queries if one.index_id == index_id}
    return {
        name: content
        for name, content in found.items()
        if name not in scores and not name.startswith(f"indexes/{index_id}/")
    }


def test_what_is_used_is_not_deleted(workspace):
    first, second = ids(workspace)
    before = state(workspace)
    submit(workspace.files, MapRequest(first), "tester")
    with pytest.raises(ArtefactError, match=r"job .* \(map\) may use index"):
        workspace.indexes.delete(first)
    other = FileLock(workspace.files.index_folder(second) / ".lock", thread_local=False)
    with other, pytest.raises(ArtefactError, match="being built, copied or deleted by another process"):
        workspace.indexes.delete(second)
    assert state(workspace) == before
    open_jobs(workspace.files).cancel(open_jobs(workspace.files).jobs()[0].job_id, "tester")
    workspace.indexes.delete(first)


def test_a_member_of_another_indexs_scores_is_not_deleted(tmp_path):
    folder = copy_of(indexed(), tmp_path)
    done("index", folder, "--model", model_folder(), *SMALL, "--base", write_model(tmp_path / "base", seed=1))
    opened = lf.open_workspace(folder)
    (members,) = opened.indexes.all_members().values()
    with pytest.raises(ArtefactError, match="are sums over several indexes"):
        opened.indexes.delete(members.others[0].index_id)


def test_only_an_admin_deletes_and_only_a_curator_names(workspace, monkeypatch):
    first, _ = ids(workspace)
    workspace.journal.set_role("ann", "admin", by="ann")
    workspace.journal.set_role("bob", "curator", by="ann")
    workspace.journal.set_role("eve", "viewer", by="ann")
    with pytest.raises(RoleError):
        workspace.indexes.delete(first, actor="bob")
    with pytest.raises(RoleError):
        workspace.indexes.rename(first, "Mine", actor="eve")
    workspace.indexes.rename(first, "Mine", actor="bob")
    assert workspace.indexes.delete(first, actor="ann").name == "Mine"


def test_the_command_names_and_deletes(workspace):
    first, second = ids(workspace)
    run = done("indexes", workspace.path, first, "--rename", "Facts", "--description", "small")
    assert "is called 'Facts'" in run.out + run.err
    listed = done("indexes", workspace.path, "--json").json["indexes"]
    assert next((one["index_id"], one["name"]) for one in listed) == (first, "Facts")
    refused = lorif("indexes", workspace.path, "Facts", "--delete")
    assert refused.code == 2
    assert "2 questions with their answers" in refused.err
    assert "nothing was changed" in refused.err
    assert (
        json.loads(done("indexes", workspace.path, "Facts", "--delete", "--yes", "--json").out)["index_id"] == first
    )
    assert ids(workspace) == [second]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--rename", "x"), "name one index"),
        (("INDEX", "--rename", "x", "--delete"), "either named or deleted"),
        (("nothing", "--delete", "--yes"), "there is no index 'nothing'"),
        (("nothing", "--rename", "x"), "there is no index 'nothing'"),
    ],
)
def test_bad_commands_are_one_sentence(workspace, given, said):
    words = [ids(workspace)[0] if word == "INDEX" else word for word in given]
    run = lorif("indexes", workspace.path, *words)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.strip().splitlines()) == 1


def test_an_index_is_asked_by_its_name(workspace):
    first, second = ids(workspace)
    workspace.indexes.rename(first, "Facts")
    asked = ("--prompt", "The river of Arlen is", "--completion", " castle.", "--json")
    for name, index_id in (("Facts", first), (workspace.indexes.named()[second].name, second), (first, first)):
        assert done("ask", workspace.path, *asked, "--index", name).json["index_id"] == index_id
    assert done("outliers", workspace.path, "--index", "Facts", "--json").json["num_texts"] == 121
    run = lorif("neighbours", workspace.path, "no text", "--index", "Fakts")
    assert (run.code, f"there is no index 'Fakts', only {first} (Facts), {second}" in run.err) == (2, True)


def test_a_name_that_two_indexes_have_is_refused(workspace):
    first, second = ids(workspace)
    workspace.indexes.rename(first, "Facts")
    shutil.copy(*(workspace.path / "indexes" / one / "name.json" for one in (first, second)))  # as by two at once
    run = lorif("indexes", workspace.path, "Facts", "--delete", "--yes")
    assert (run.code, f"2 indexes are called 'Facts': {first}, {second}" in run.err) == (2, True)
    assert ids(workspace) == [first, second]


def test_no_index_is_called_by_another_ones_id(workspace):
    first, second = ids(workspace)
    with pytest.raises(ConfigError, match="is the id of another index"):
        workspace.indexes.rename(first, second)


def test_states_of_its_texts_go_with_an_index(workspace):
    first, second = ids(workspace)
    before = workspace.indexes.loss(first).score_bytes
    for one in (first, second):
        folder = workspace.files.states_of_texts(one)
        folder.mkdir(parents=True)
        (folder / "00000.parquet").write_bytes(bytes(1000))
    assert workspace.indexes.loss(first).score_bytes == before + 1000
    workspace.indexes.delete(first)
    assert [path.name for path in (workspace.path / "states-of-texts").iterdir()] == [second]
