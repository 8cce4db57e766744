"""Named views: kept in the workspace, found again after a restart."""

import pytest
from app_pages import open_page
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.errors import ArtefactError, ConfigError, RoleError
from lorif_core.workspace.studio.saved_views import forget_view, save_view, saved_views


@pytest.fixture
def workspace(tmp_path):
    return lf.open_workspace(copy_of(imported(), tmp_path))


def test_a_view_is_kept_with_every_filter_and_found_by_another_process(workspace):
    query = [("q", "a & b"), ("pick", "source = atlas"), ("pick", "year > 1950")]
    save_view(workspace.files, "Röntgen/2", "corpus", query, actor="ann")
    (found,) = saved_views(lf.open_workspace(workspace.path).files)
    assert (found.name, found.page, found.query, found.actor) == ("Röntgen/2", "corpus", query, "ann")
    assert found.address == "/corpus?q=a+%26+b&pick=source+%3D+atlas&pick=year+%3E+1950"


def test_a_view_of_the_same_name_is_replaced_and_a_forgotten_one_gone(workspace):
    save_view(workspace.files, "mine", "corpus", [], actor="ann")
    save_view(workspace.files, "mine", "history", [("who", "ann")], actor="ann")
    assert [view.address for view in saved_views(workspace.files)] == ["/history?who=ann"]
    forget_view(workspace.files, "mine", "ann")
    assert saved_views(workspace.files) == []


def test_a_file_in_the_place_of_another_is_refused(workspace):
    for name in ("one", "two"):
        save_view(workspace.files, name, "corpus", [], actor="ann")
    first, second = sorted((workspace.path / "views").glob("*.json"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(ArtefactError, match=r"holds the view '(one|two)', which belongs elsewhere"):
        saved_views(workspace.files)
    first.write_bytes((workspace.path / "workspace.json").read_bytes())
    with pytest.raises(ArtefactError, match="must hold 'name' and does not, so another file lies in its place"):
        saved_views(workspace.files)


@pytest.mark.parametrize(("name", "page"), [("", "corpus"), ("a\nb", "corpus"), ("x" * 81, "corpus"), ("a", "../x")])
def test_what_cannot_be_a_view_is_refused(workspace, name, page):
    with pytest.raises(ConfigError):
        save_view(workspace.files, name, page, [], actor="ann")


def test_the_header_keeps_what_is_on_screen(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace.path, query="7")
    app.text_input(key="views-name").set_value("Why Sydney").run()
    next(one for one in app.button if one.key == "views-keep").click().run()
    assert not app.exception
    (found,) = saved_views(workspace.files)
    assert (found.page, found.query) == ("investigate", [("query", "7")])
    assert app.selectbox(key="views-chosen").options == ["Why Sydney"]


def test_the_header_removes_the_chosen_view_only(monkeypatch, workspace):
    save_view(workspace.files, "mine", "corpus", [], actor="ann")
    save_view(workspace.files, "yours", "history", [], actor="ann")
    app = open_page(monkeypatch, workspace.path)
    assert app.button(key="views-remove").disabled
    app.selectbox(key="views-removed").set_value("mine").run()
    app.button(key="views-remove").click().run()
    assert not app.exception
    assert [view.name for view in saved_views(workspace.files)] == ["yours"]
    assert app.selectbox(key="views-removed").options == ["yours"]
    assert app.button(key="views-remove").disabled


def test_who_may_only_look_keeps_and_removes_no_view(workspace):
    save_view(workspace.files, "mine", "corpus", [], actor="ann")
    workspace.journal.set_role("ann", "admin", by="ann")
    workspace.journal.set_role("eve", "viewer", by="ann")
    with pytest.raises(RoleError, match="only a curator may keep views"):
        save_view(workspace.files, "mine", "history", [], actor="eve")
    with pytest.raises(RoleError, match="only a curator may remove views"):
        forget_view(workspace.files, "mine", "eve")
    assert [view.address for view in saved_views(workspace.files)] == ["/corpus"]
