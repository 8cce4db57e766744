import json

import pytest
from tiny_workspace import HOSTILE_ID

from lorif_core.widgets import figure_widget
from lorif_core.workspace.curation.choice import Choice

WAIT_S = 600


@pytest.fixture
def shown():
    """Gives the widget of a value, ready; closes it in the end."""
    made = []

    def show(value, **options):
        widget = value.widget(**options)
        widget.wait(WAIT_S)
        made.append(widget)
        return widget

    yield show
    for widget in made:
        widget.close()


@pytest.fixture
def compared(ws):
    first = ws.ask("The river of Arlen is", " castle Brook.", k=10)
    second = ws.ask("The river of Arlen is", " garden.", k=10)
    return ws.compare(first, second, k=10)


def press(widget, act, **more):
    widget._receive(None, {"kind": "review", "value": {"act": act, "token": widget.said["token"], **more}}, [])


def test_a_comparison_lists_the_texts_and_ranks_of_its_frame(compared, shown):
    widget = shown(compared)
    rows = widget.data["rows"]
    assert [row["key"] for row in rows] == compared.rank_changes["train_id"].to_list() == widget.ids
    assert [row["rank_b"] for row in rows] == compared.rank_changes["rank_b"].to_list()
    assert "".join(piece["t"] for piece in widget.data["b"]["pieces"]) == "The river of Arlen is ▸ garden."


def test_a_text_can_be_flagged_from_a_comparison(ws, compared, shown):
    shown(compared).flag(compared.shared[:1] or compared.only_a[:1])
    assert ws.decisions.states()["status"].to_list() == ["flagged"]


def test_the_keys_of_the_review_decide_and_go_on(ws, answer, shown):
    queue = ws.review(answer, k=6)
    widget = shown(queue)
    first, second, third, fourth, *_ = queue.ids
    assert queue.ids == answer.ids[:6]
    press(widget, "flag", reason="spam")
    press(widget, "exclude", reason="toxic")
    press(widget, "needs-review")
    press(widget, "skip")
    states = {row["train_id"]: row for row in ws.decisions.states().to_dicts()}
    assert (states[first]["status"], states[second]["status"]) == ("flagged", "excluded")
    assert states[third]["labels"] == ["needs-review"]
    assert fourth not in states
    assert widget.current == queue.ids[4]
    assert widget.data["num_done"] == 4


def test_undo_in_the_review_takes_back_and_opens_the_text_again(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    first = widget.current
    press(widget, "keep")
    press(widget, "skip")
    press(widget, "undo")
    press(widget, "undo")
    assert widget.current == first
    assert [entry.batch.kind for entry in ws.decisions.history()] == ["undo", "restore"]


def test_excluding_in_the_review_without_a_reason_stays_where_it_is(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    first = widget.current
    press(widget, "exclude")
    assert widget.current == first
    assert "needs a reason" in widget.said["text"]
    assert ws.decisions.history() == []


def test_a_double_press_decides_about_one_text(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    once = {"kind": "review", "value": {"act": "flag", "token": widget.said["token"]}}
    widget._receive(None, once, [])
    widget._receive(None, once, [])
    assert len(ws.decisions.history()) == 1


def key(widget, act, token, **more):
    """A key as the page sends it: under a token that no other key has."""
    widget._receive(None, {"kind": "review", "value": {"act": act, "token": token, **more}}, [])


def test_two_keys_that_come_before_an_answer_are_two_decisions(ws, answer, shown):
    widget = shown(ws.review(answer, k=4))
    first, second, third, _ = widget.ids
    for token, act in (("a", "flag"), ("b", "flag"), ("c", "exclude")):  # sent one behind the other
        key(widget, act, token, reason="spam")
    statuses = dict(ws.decisions.states().select("train_id", "status").iter_rows())
    assert statuses == {first: "flagged", second: "flagged", third: "excluded"}
    assert (widget.data["answered"], widget.data["num_done"]) == ("c", 3)


def test_an_answer_says_to_which_key_it_is_also_when_it_refuses(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    key(widget, "exclude", "a", reason="no-such-reason")
    assert (widget.data["answered"], widget.said["failed"], ws.decisions.history()) == ("a", True, [])


def test_the_keys_j_and_k_move_and_decide_nothing(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    seen = []
    for number, act in enumerate(["next", "next", "next", "previous"]):
        key(widget, act, f"step-{number}")
        seen.append(widget.ids.index(widget.current))
    assert (seen, widget.data["num_done"], ws.decisions.history()) == ([1, 2, 2, 1], 0, [])


def test_decisions_about_two_texts_that_come_before_an_answer_are_two(answer, ws, shown):
    widget = shown(answer)
    one, other, *_ = widget.ids
    for token, train_id in (("a", one), ("b", other), ("b", other)):
        widget._receive(None, {"kind": "act", "value": {"act": "flag", "ids": [train_id], "token": token}}, [])
    assert [
        ws.journal.examples_of(entry.batch.corpus_id, entry.batch.batch_id) for entry in ws.decisions.history()
    ] == [
        [other],
        [one],
    ]


def test_the_guidelines_stand_in_the_review(ws, answer, shown):
    ws.team.write_guidelines("# Rules\n\n<b>keep</b> facts")
    assert shown(ws.review(answer, k=3)).data["guidelines"] == "# Rules\n\n<b>keep</b> facts"


def test_a_share_is_reviewed_in_the_same_widget(ws, answer, shown, monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", "ann")
    ws.flag(answer.ids[:4])
    ws.team.share_out("first", Choice("flagged"), ["ann", "ben"])
    widget = shown(ws.team.review())
    assert widget.ids == ws.team.share_left("ann")
    key(widget, "keep", "a")
    assert ws.team.share_left("ann") == widget.ids[1:]


def test_in_a_share_nothing_tells_what_others_decided_and_said(ws, answer, shown, monkeypatch):
    ids = answer.ids[:2]
    ws.flag(ids, actor="ben")
    ws.team.share_out("first", Choice("flagged"), ["ann", "ben"], overlap_percent=100, actor="ben")
    ws.exclude(ids, reason="spam", text="surely a lie", actor="ben")
    ws.team.comment(ids[0], "I wonder", actor="ben")
    monkeypatch.setenv("LORIF_ACTOR", "ann")
    queue = ws.team.review()
    widget = shown(queue)
    widget.refresh()
    told = json.dumps(
        [widget.statuses, widget.reader, widget._repr_mimebundle_()["text/html"], queue.to_polars().to_dicts()]
    )
    assert set(widget.ids) == set(ids)
    assert [word for word in ("excluded", "spam", "surely a lie", "I wonder", "ben") if word in told] == []
    assert "everybody decides for themselves" in widget.reader["withheld"]


def test_a_key_that_a_busy_kernel_hears_late_is_about_the_text_that_was_on_screen(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    first, second, _ = widget.ids
    for token in ("a", "b"):  # both were pressed while the first text was open
        key(widget, "flag", token, id=first)
    assert dict(ws.decisions.states().select("train_id", "status").iter_rows()) == {first: "flagged"}
    assert (widget.current, widget.said["failed"], widget.data["answered"]) == (second, True, "b")


def test_a_comment_is_about_the_text_beside_which_it_was_written(ws, answer, shown):
    widget = shown(ws.review(answer, k=3))
    first, *_ = widget.ids
    key(widget, "skip", "a", id=first)
    key(widget, "note", "b", id=first, text="look again")
    assert [one.text for one in ws.team.comments(first)] == ["look again"]


def test_events_are_told_in_the_words_of_the_studio(ws, answer, shown):
    ws.restore(answer.ids[:1])
    assert " · keep · " in shown(answer).read_example(answer.ids[0])["events"][0]


def test_the_flagged_texts_are_a_queue_and_so_are_those_of_a_condition(ws):
    ws.flag(["t003", "t001"])
    assert ws.review().ids == ["t001", "t003"]
    assert set(ws.review(where="year < 1903").ids) == {"t000", "t002"}


def test_the_corpus_shows_the_page_that_browse_gives(ws, shown):
    widget = shown(ws.corpus())
    assert widget.ids == ws.data.browse(limit=10).frame["train_id"].to_list()
    widget.turn_to(120)
    widget.wait(WAIT_S)
    assert widget.ids == [HOSTILE_ID]
    assert widget.data["total"] == 121


def pick(widget, column, place, label):
    widget._receive(None, {"kind": "pick", "value": {"column": column, "place": place, "label": label}}, [])
    widget.wait(WAIT_S)


def test_facets_narrow_the_corpus_and_a_second_click_widens_it(ws, shown):
    widget = shown(ws.corpus())
    facet = next(one for one in widget.data["facets"] if one["column"] == "source")
    first = facet["choices"][0]
    pick(widget, "source", 0, first["label"])
    assert widget.data["total"] == first["count"] == len(widget.matching())
    pick(widget, "source", 0, first["label"])
    assert widget.data["total"] == 121


def test_a_click_on_facets_of_a_moment_ago_chooses_what_it_says_or_nothing(ws, shown):
    widget = shown(ws.corpus())
    facet = next(one for one in widget.data["facets"] if one["column"] == "source")
    second = facet["choices"][1]["label"]
    pick(widget, "source", 0, second)
    assert widget.view["picks"] == [f"source = {second}"]
    before = widget.view
    pick(widget, "source", 7, "gone")
    assert widget.view == before
    assert "no longer offers 'gone'" in widget.said["text"]


def test_clusters_narrow_the_corpus_once_there_is_a_map(ws, shown):
    widget = shown(ws.corpus())
    assert "cluster" not in {one.get("label") for one in widget.data["facets"]}
    ws.indexes.map(num_clusters=3)
    widget.turn_to(0, anew=True)
    widget.wait(WAIT_S)
    facet = widget.data["facets"][0]
    first, other, *_ = facet["choices"]
    assert facet["label"] == "cluster"
    pick(widget, facet["column"], 0, first["label"])
    assert widget.data["total"] == first["count"] == len(widget.matching())
    again = widget.data["facets"][0]["choices"]
    assert [(one["count"], one["on"]) for one in again[:2]] == [(first["count"], True), (other["count"], False)]
    pick(widget, facet["column"], 0, first["label"])
    assert widget.data["total"] == 121


def test_a_condition_that_cannot_be_read_is_refused_in_words(ws, shown):
    widget = shown(ws.corpus())
    widget._receive(None, {"kind": "view", "value": {**widget.view, "where": "year ="}}, [])
    widget.wait(WAIT_S)
    assert widget.said["failed"]
    assert widget.data["total"] == 121


@pytest.mark.parametrize("kind", ["comparison", "review", "corpus"])
def test_redacted_widgets_and_their_html_hold_no_training_text(ws, answer, compared, shown, kind):
    value = {"comparison": compared, "review": ws.review(answer, k=5), "corpus": ws.corpus()}[kind]
    widget = shown(value, redact=True)
    saved = json.dumps(widget.get_state()) + json.dumps(widget._repr_mimebundle_())
    texts = [hit.text for hit in answer.hits]
    assert [text for text in texts if text[:22] in saved] == []
    assert any(text[:22] in value.to_html() for text in texts)


@pytest.mark.parametrize("kind", ["review", "corpus"])
def test_the_fallback_of_lists_escapes_texts(ws, answer, kind):
    value = {"review": ws.review(where="year = 2000"), "corpus": ws.corpus()}[kind]
    assert "<script" not in value.to_html()
    assert "mathjax_ignore" in value.to_html()


def test_a_figure_is_the_studios_with_its_numbers_as_html(answer):
    figure = answer.score_figure()
    widget = figure_widget(figure)
    assert list(widget.data[0].y) == list(figure.data[0].y)
    assert "<table>" in widget._repr_mimebundle_()[0]["text/html"]
    widget.close()
