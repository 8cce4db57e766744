import html
import json
import time

import pytest
from tiny_workspace import HOSTILE_ID, done

import lorif_core as lf
import lorif_core.widgets  # registers the widgets
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.hits import Hit
from lorif_core.widgets.work import Work
from lorif_core.workspace.folder import displayed as display

WAIT_S = 600
HOSTILE = "<script>alert(1)</script><b onclick='x'>$x$</b>&amp;"


@pytest.fixture
def widget(answer):
    made = answer.widget()
    made.wait(WAIT_S)
    yield made
    made.close()


def click(widget, act, ids, **more):
    """The message of a click on a button that is on screen now."""
    return {"kind": "act", "value": {"act": act, "ids": ids, "token": widget.said["token"], **more}}


def num_batches(ws):
    return len(ws.decisions.history())


def test_an_answer_in_a_cell_shows_the_widget_with_html_beside_it(answer, widget):
    bundle = answer._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert bundle["text/html"] == answer.to_html()


def test_where_no_widget_is_registered_an_answer_shows_as_html(answer, monkeypatch):
    monkeypatch.setattr(display, "_MAKERS", {})
    assert set(answer._repr_mimebundle_()) == {"text/html", "text/plain"}
    with pytest.raises(ConfigError, match=r"import lorif_core\.widgets"):
        answer.widget()


def test_words_are_chosen_from_as_in_the_studio(widget):
    strip = widget.data["strip"]
    assert [word["t"] for word in strip["words"]] == ["castle", "Brook", "Glenby", "Farrow", "."]
    assert [word["places"] for word in strip["words"]] == [[place] for place in range(len(strip["tokens"]))]


def test_choosing_tokens_lists_what_asking_for_these_tokens_lists(ws, answer, widget):
    widget.selected_tokens = [0, 2]
    widget.wait(WAIT_S)
    asked = ws.ask("The river of Arlen is", " castle Brook Glenby Farrow.", tokens=[0, 2], k=121, num_opposing=121)
    assert widget.ids == asked.ids != answer.ids
    assert [card["key"] for card in widget.data["supports"]] == asked.ids


def test_choosing_no_token_explains_all_again(answer, widget):
    widget.selected_tokens = [1]
    widget.wait(WAIT_S)
    widget.selected_tokens = []
    widget.wait(WAIT_S)
    assert widget.ids == answer.ids


def test_a_token_that_is_not_there_is_refused_in_words(answer, widget):
    widget.selected_tokens = [99]
    widget.wait(WAIT_S)
    assert widget.said["failed"]
    assert "tokens must lie between" in widget.said["text"]
    assert widget.ids == answer.ids


def test_top_equals_the_answer_of_the_command_line(ws):
    hits = ws.ask("The river of Arlen is", " castle Brook.", k=5)
    asked = done(
        "ask", ws.path, "--prompt", "The river of Arlen is", "--completion", " castle Brook.", "-k", 20, "--json"
    ).json  # fmt: skip
    found = hits.top(20)
    assert found["train_id"].to_list() == [hit["train_id"] for hit in asked["supports"]]
    assert found["score"].to_list() == [hit["score"] for hit in asked["supports"]]
    assert len(found) == 20


def test_an_answer_by_itself_cannot_give_a_longer_list(answer):
    alone = lf.Answer(**{**vars(answer), "asker": None, "home": None})
    with pytest.raises(DataError, match="ask with a larger"):
        alone.top(1000)


def test_a_click_on_flag_writes_the_event(ws, widget):
    train_id = widget.ids[3]
    widget._receive(None, click(widget, "flag", [train_id]), [])
    (entry,) = ws.decisions.history()
    assert (entry.batch.kind, entry.batch.query_id, entry.batch.num_events) == ("flag", widget.answer.query_id, 1)
    assert ws.decisions.states()["train_id"].to_list() == [train_id]
    assert widget.statuses[train_id]["status"] == "flagged"


def test_both_halves_of_a_double_click_make_one_event(ws, widget):
    once = click(widget, "flag", [widget.ids[0]])
    widget._receive(None, once, [])
    widget._receive(None, once, [])
    assert num_batches(ws) == 1


def test_both_halves_of_a_double_click_on_undo_take_back_one_decision(ws, widget):
    widget.flag([widget.ids[0]])
    widget.flag([widget.ids[1]])
    once = click(widget, "undo", [])
    widget._receive(None, once, [])
    widget._receive(None, once, [])
    assert [entry.batch.kind for entry in ws.decisions.history()] == ["undo", "flag", "flag"]


def test_an_exclusion_without_a_reason_is_refused_in_words(ws, widget):
    widget._receive(None, click(widget, "exclude", [widget.ids[0]]), [])
    assert widget.said["failed"]
    assert "needs a reason" in widget.said["text"]
    assert num_batches(ws) == 0


def test_decisions_from_python_are_about_the_selected_ids(ws, widget):
    widget.selected = widget.ids[1:3]
    widget.exclude(reason="spam")
    widget.note("looked at twice")
    assert ws.decisions.states()["status"].to_list() == ["excluded", "excluded"]
    widget.undo()
    widget.selected = []
    with pytest.raises(DataError, match="none is selected"):
        widget.flag()


def test_a_decision_made_elsewhere_shows_without_a_call(ws, widget):
    train_id = widget.ids[0]
    done("flag", ws.path, train_id)
    while train_id not in widget.statuses:
        time.sleep(0.05)
    assert widget.statuses[train_id]["status"] == "flagged"


def test_the_reader_shows_the_whole_text_and_its_history(ws, answer, widget):
    widget.flag([HOSTILE_ID], reason="other")
    widget.show(HOSTILE_ID)
    assert widget.reader["plain"][0]["t"].startswith("[bold]x[/bold]")
    assert "other" in widget.reader["events"][0]
    widget.show(None)
    assert widget.reader == {}


def test_a_redacted_widget_saves_no_training_text(answer):
    widget = answer.widget(redact=True)
    widget.wait(WAIT_S)
    sent = []
    widget.send = sent.append
    widget.show(answer.ids[0])
    widget.selected_tokens = [0]
    widget.wait(WAIT_S)
    saved = json.dumps(widget.get_state()) + json.dumps(widget._repr_mimebundle_())
    assert [
        hit.train_id for hit in answer.hits if hit.text[:20] in saved or html.escape(hit.text)[:20] in saved
    ] == []
    assert any("supports" in message["value"] for message in sent)
    widget._receive(None, {"kind": "hello"}, [])
    assert {"data", "reader"} <= {message["trait"] for message in sent[-2:]}
    widget.close()


def test_the_fallback_escapes_every_text(answer):
    hit = Hit(1, HOSTILE, 2.0, HOSTILE, {"source": HOSTILE})
    shown = lf.Answer(**{**vars(answer), "supports": [hit], "opposes": [hit], "asker": None, "home": None}).to_html()
    assert "<script" not in shown
    assert "onclick='x'>" not in shown
    assert shown.count("&lt;script&gt;") == 6
    assert "mathjax_ignore" in shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("secret text"), "a defect of LoRIF Studio (RuntimeError)"),
        (MemoryError(), "the memory of this machine did not suffice"),
    ],
)
def test_a_defect_in_long_work_is_said_without_its_words_and_raised_by_wait(answer, widget, monkeypatch, error, said):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(type(answer), "ask_again", fail)
    widget.selected_tokens = [0]
    with pytest.raises(type(error)):
        widget.wait(WAIT_S)
    assert said in widget.said["text"]
    assert widget.said["failed"]
    assert "secret" not in widget.said["text"]
    assert widget.progress == {"label": "", "done": 0, "total": 0}


def test_cancelled_work_hands_nothing_on():
    told, results = [], []
    work = Work(lambda *said: told.append(said), lambda error: told.append(error))

    def endless(report):
        work.cancel()
        report("scores", 1, 10)
        return "never"

    work.start("scores", endless, results.append)
    work.wait(WAIT_S)
    assert results == []
    assert told[-1] == ("", 0, 0)
    work.close()
