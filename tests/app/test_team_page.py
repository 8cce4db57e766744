"""The Team page and its parts in other pages, without a browser."""

import pytest
from app_pages import button, open_page, run_until, texts
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.workspace.curation.choice import Choice


@pytest.fixture
def ws(tmp_path, monkeypatch):
    """The tester is the admin; Ann and Ben decide, Vic reads."""
    monkeypatch.setenv("LORIF_ACTOR", "tester")
    opened = lf.open_workspace(copy_of(imported(), tmp_path))
    for name, role in (("tester", "admin"), ("ann", "curator"), ("ben", "curator"), ("vic", "viewer")):
        opened.journal.set_role(name, role, by="tester")
    return opened


@pytest.fixture
def show(ws, monkeypatch):
    """Opens a part of the page as somebody."""

    def open_part(part, person="tester", page="team", **url):
        app = open_page(monkeypatch, ws.path, page, **({"tab": part} if part else {}), **url)
        if person != "tester":
            app.session_state["signed_in_as"] = person
            app.run()
        assert not app.exception
        return app

    return open_part


def draft(app):
    """The box of the guidelines."""
    return next(one for one in app.text_area if str(one.key).startswith("team-guidelines-draft"))


def frames(app):
    """Every table by its first column's name and cells."""
    return [frame.value for frame in app.dataframe]


@pytest.mark.parametrize(
    "part", ["Progress", "Rounds", "Guidelines", "Comments", "Members", "Reasons and labels", "Import decisions"]
)
@pytest.mark.parametrize("person", ["tester", "ann", "vic"])
def test_every_part_is_drawn_for_everybody_and_only_an_admin_has_its_forms(show, part, person):
    app = show(part, person)
    forms = {"team-share-out", "team-guidelines-save", "team-give-role", "team-reason-add"}
    there = forms & {one.key for one in app.button}
    wanted = {"Rounds": {"team-share-out"}, "Guidelines": {"team-guidelines-save"}, "Members": {"team-give-role"}}
    wanted["Reasons and labels"] = {"team-reason-add"}
    assert there == (wanted.get(part, set()) if person == "tester" else set())


def test_an_admin_writes_guidelines_and_a_curator_reads_them(ws, show):
    app = show("Guidelines")
    draft(app).set_value("# Keep **facts**").run()
    button(app, "team-guidelines-save").click().run()
    found = ws.team.guidelines()
    assert found is not None
    assert (found.markdown, found.by) == ("# Keep **facts**", "tester")
    assert any("<strong>facts</strong>" in one.proto.body for one in show("Guidelines", "ann").get("html"))


def test_a_draft_of_guidelines_follows_what_others_save_until_one_writes_in_it(ws, show):
    ws.team.write_guidelines("one", actor="tester")
    app = show("Guidelines")
    ws.team.write_guidelines("two", actor="tester")
    assert draft(app.run()).value == "two"
    draft(app).set_value("mine").run()
    ws.team.write_guidelines("three", actor="tester")
    assert draft(app.run()).value == "mine"
    assert any("another version since you began" in one for one in texts(app))


def test_an_empty_page_of_guidelines_is_not_shown_beside_review(ws, show):
    ws.flag(ws.data.browse(limit=1).frame["train_id"].to_list(), actor="ann")
    ws.team.write_guidelines("one", actor="tester")
    assert [one.label for one in show(None, page="review").expander] == ["Guidelines"]
    ws.team.write_guidelines(" ", actor="tester")
    assert not show(None, page="review").expander


def test_a_viewer_reads_comments_and_has_no_box(ws, show):
    train_id = ws.data.browse(limit=1).frame["train_id"][0]
    ws.flag([train_id], actor="ann", text="an advert?")
    app = show(None, "vic", page="review")
    assert "an advert?" in texts(app)
    assert button(app, "review-comment-save").disabled


def test_a_comment_is_said_shown_and_deleted_in_review(ws, show):
    train_id = ws.data.browse(limit=1).frame["train_id"][0]
    ws.flag([train_id], actor="ann", text="an advert?")
    app = show(None, page="review")
    app.text_area(key=f"review-comment-{train_id}-0").set_value("no: $x$ <b>").run()
    button(app, "review-comment-save").click().run()
    assert [(one.by, one.text) for one in ws.team.comments(train_id)] == [
        ("ann", "an advert?"),
        ("tester", "no: $x$ <b>"),
    ]
    assert {"an advert?", "no: $x$ <b>"} <= set(texts(app))
    batch = ws.team.comments(train_id)[1].batch_id
    button(app, f"review-uncomment-{batch}").click().run()
    assert [one.by for one in ws.team.comments(train_id)] == ["ann"]
    assert "no: $x$ <b>" not in texts(app)


def test_a_queue_is_shared_out_and_progress_and_agreement_follow(ws, show):
    ids = ws.data.browse(limit=10).frame["train_id"].to_list()
    ws.flag(ids, actor="tester")
    app = show("Rounds")
    app.multiselect(key="team-among").set_value(["ann", "ben"]).run()
    app.slider(key="team-overlap").set_value(40).run()
    assert "10 texts, 4 of them for two people: 7 for each of 2." in texts(app)
    button(app, "team-share-out").click().run()
    (found,) = ws.team.rounds()
    assert (found.name, found.num_shared, {name: len(ids) for name, ids in found.shares.items()}) == (
        "Round 1", 4, {"ann": 7, "ben": 7},
    )  # fmt: skip
    both = [one for one in found.shares["ann"] if one in found.shares["ben"]]
    ws.restore(both, actor="ann")
    ws.restore(both[1:], actor="ben")
    ws.exclude(both[:1], reason="spam", actor="ben")
    app = show("Rounds")
    cells = [frame.to_dict("list") for frame in frames(app)]
    assert {"person": ["ann", "ben"], "done": [57, 57], "texts": ["4 of 7", "4 of 7"]} in cells
    assert {"people": ["ann and ben"], "texts": [4], "agree": ["75 %"], "Cohen's kappa": ["0.00"]} in cells
    assert any(frame.get("who said what") == ["ann: kept; ben: excluded · spam"] for frame in cells)
    assert "Your share: 3 texts are left." in texts(show("Progress", "ann"))
    button(app, "team-end-round").click().run()
    assert ws.team.share_left("ann") == []


def test_progress_counts_what_everybody_decided(ws, show):
    ids = ws.data.browse(limit=10).frame["train_id"].to_list()
    ws.flag(ids[:6], reason="spam", actor="ann")
    ws.undo(ws.exclude(ids[:3], reason="toxic", actor="ben").batch_id, actor="ben")
    ws.restore(ids[6:8], actor="ben")
    people, days, reasons = (frame.to_dict("list") for frame in frames(show("Progress")))
    assert (people["person"], people["decided"], people["kept"], people["flagged"]) == (
        ["ann", "ben"], [6, 2], [0, 2], [6, 0],
    )  # fmt: skip
    assert (days["person"], days["texts"]) == (["ann", "ben"], [6, 2])
    assert (reasons["reason"], reasons["flagged"], reasons["excluded"]) == (["spam"], [6], [0])


def test_a_member_is_named_and_a_reason_is_added(ws, show):
    app = show("Members")
    app.selectbox(key="team-person").set_value("ben").run()
    app.selectbox(key="team-new-role").set_value("admin").run()
    button(app, "team-give-role").click().run()
    assert ws.journal.role_of("ben") == "admin"
    app = show("Reasons and labels")
    app.text_input(key="team-reason-name").set_value("low-effort").run()
    app.text_input(key="team-reason-for").set_value("Nobody worked on it.").run()
    button(app, "team-reason-add").click().run()
    assert ws.journal.reasons()[-1].name == "low-effort"


def test_a_file_of_decisions_is_seen_before_it_is_applied(ws, show):
    ids = ws.data.browse(limit=3).frame["train_id"].to_list()
    rows = [
        f'{{"id": "{ids[0]}", "status": "flagged"}}',
        f'{{"id": "{ids[1]}", "status": "kept"}}',
        '{"id": "nobody", "status": "kept"}',
    ]
    app = show("Import decisions")
    before = ws.journal.revision()
    app.get("file_uploader")[0].set_value(("decided.jsonl", "\n".join(rows).encode(), "application/json")).run()
    (acts,) = (frame.to_dict("list") for frame in frames(app))
    assert (acts["what"], acts["texts"], acts["which"]) == (["flag"], [1], [ids[0]])
    assert [(one.label, one.value) for one in app.metric] == [
        ("Rows", "3"), ("Match a text", "2"), ("So already", "1"), ("Left out", "1"),
    ]  # fmt: skip
    assert "1 row about texts that this data set does not have: line 3." in texts(app)
    assert ws.journal.revision() == before
    run_until(app, lambda one: any(b.key == "team-apply" for b in one.button))
    button(app, "team-apply").click().run()
    assert ws.decisions.states()["status"].to_list() == ["flagged"]
    assert ws.decisions.history()[0].batch.rule == "import of decided.jsonl"


def test_a_share_is_a_queue_of_review(ws, show):
    ws.flag(ws.data.browse(limit=6).frame["train_id"].to_list(), actor="tester")
    ws.team.share_out("first", Choice("flagged"), ["tester", "ann"])
    app = show(None, page="review", **{"from": "My share"})
    assert any("0 of 3 done" in str(one.proto) for one in app.get("progress"))
    assert not [one for one in texts(app) if "flagged" in one or "tester · " in one]
    assert any("does not show here" in one.value for one in app.caption)
