import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lorif_core.views.hits import SIGN_CONVENTION, Hit, TokenPart, hits_frame, snippet
from lorif_core.views.tables import (
    answer_view,
    hits_table,
    human_bytes,
    human_seconds,
    key_value_table,
    records_table,
)
from lorif_core.views.text import literal, visible

OBEYED = {chr(code) for code in [*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]}


def hit(score=1.0, text="some text", tokens=(), **changes):
    values = {"rank": 1, "train_id": "t1", "metadata": {"source": "atlas"}, **changes}
    return Hit(score=score, text=text, tokens=tuple(TokenPart(*token) for token in tokens), **values)


def printed(renderable, width=120):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(renderable)
    return out.getvalue()


def answer(supports, opposes=(), prompt="a", completion=" b"):
    return answer_view(prompt, completion, None, list(supports), list(opposes), ["a fact"])


def test_a_name_in_a_label_is_escaped_unless_it_is_words():
    assert literal("snake_case name-2") == "snake_case name-2"
    assert literal("![x](https://a.b) :red[y] $z$") == (r"\!\[x\]\(https\:\/\/a\.b\) \:red\[y\] \$z\$")
    assert literal("_a_\n# b\x1b") == "\\_a\\_ \\# b␛"


@given(st.text())
def test_visible_text_holds_nothing_that_a_terminal_obeys(text):
    assert not OBEYED - {"\n", "\t"} & set(visible(text))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=sorted(OBEYED))))
def test_text_without_control_characters_stays_as_it_is(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"), [("\x1b[31m", "␛[31m"), ("\x00", "␀"), ("\x7f", "␡"), ("\x9b5m", "�5m"), ("a\u202eb", "a�b")]
)
def test_control_characters_show_as_pictures(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_a_table_of_records_obeys_no_text(text):
    shown = printed(records_table(text, ["column"], [[text]]))
    assert not (OBEYED - {"\n"}) & set(shown)


@given(st.text(), st.text())
def test_an_answer_obeys_no_text(text, source):
    found = hit(text=text, metadata={"source": source}, train_id=text, tokens=[(text, 1.0)])
    shown = printed(answer([found], [hit(-1.0, text)], text, source))
    assert not (OBEYED - {"\n", "\t"}) & set(shown)


@pytest.mark.parametrize("markup", ["[bold]x[/bold]", "[/]", "[red", "[link=a]b[/link]", "\\[x]"])
@pytest.mark.parametrize(
    "render",
    [
        lambda text: records_table("title", ["column"], [[text]]),
        lambda text: records_table(text, ["column"], [["a value wider than the title"]]),
        lambda text: key_value_table("title", {"name": text}),
        lambda text: key_value_table("title", {text: "value"}),
        lambda text: answer([hit(text=text)]),
        lambda text: answer([hit(tokens=[(text, 0.0)])]),
        lambda text: answer([], prompt=text),
        lambda text: answer([], completion=text),
        lambda text: hits_table([hit(metadata={"source": text})], "title"),
    ],
    ids=["cell", "title", "value", "name", "text", "token", "prompt", "completion", "source"],
)
def test_markup_is_printed_as_it_is(render, markup):
    assert markup in printed(render(markup))


def test_every_answer_says_what_the_sign_means():
    assert SIGN_CONVENTION in " ".join(printed(answer([hit()])).split())


def test_an_answer_without_support_says_so():
    assert "No training text has a positive score." in printed(answer([]))


@pytest.mark.parametrize("score", [1.0, -1.0, 1.234e-5, -1.234e-12, 123456.0, -0.001964, 1.2345e9])
def test_a_score_and_its_bar_are_shown_whole(score):
    shown = printed(hits_table([hit(score)], "title"))
    assert f"{score:+.4g} ████████" in shown


def test_bars_are_in_proportion_to_the_largest_score():
    shown = printed(hits_table([hit(4.0), hit(1.0)], "title"))
    assert [line.count("█") for line in shown.splitlines() if "█" in line] == [8, 2]


TOKENS = [("The", 0.1), (" capital", -0.5), (" is", 0.2), (" Sydney", 3.0), (".", 0.0)]


def marked(found):
    return [piece for piece, is_marked in snippet(found) if is_marked]


def test_a_supporting_text_is_marked_at_its_largest_positive_parts():
    assert marked(hit(1.0, tokens=TOKENS)) == ["The", " is", " Sydney."]


def test_an_opposing_text_is_marked_at_its_most_negative_parts():
    assert marked(hit(-1.0, tokens=TOKENS)) == [" capital"]


def test_a_short_text_is_shown_whole():
    assert "".join(piece for piece, _ in snippet(hit(1.0, tokens=TOKENS))) == "The capital is Sydney."


def test_a_long_text_is_cut_around_its_strongest_token():
    long = [(f"word{number} ", 0.0) for number in range(200)]
    long[150] = ("Sydney ", 9.0)
    text = "".join(piece for piece, _ in snippet(hit(1.0, tokens=long)))
    assert "Sydney" in text
    assert text.startswith("…")
    assert text.endswith("…")
    assert len(text) <= 112


def test_a_text_without_tokens_is_cut_at_the_end():
    ((text, is_marked),) = snippet(hit(text="x" * 500))
    assert (len(text), text[-1], is_marked) == (110, "…", False)


def test_line_breaks_do_not_break_a_row():
    assert "".join(piece for piece, _ in snippet(hit(text="a\r\nb\tc"))) == "a  b c"


def test_a_frame_of_no_hits_has_the_columns_of_a_hit():
    assert hits_frame([]).columns == ["rank", "train_id", "score", "z", "text"]


def test_metadata_never_replaces_a_column_of_the_hit():
    frame = hits_frame([hit(metadata={"score": "theirs", "year": 1999})])
    assert frame["score"].to_list() == [1.0]
    assert frame["year"].to_list() == [1999]


def test_a_frame_keeps_a_value_that_first_appears_late():
    frame = hits_frame([hit(metadata={"x": None})] * 150 + [hit(metadata={"x": "late"})])
    assert frame["x"].to_list()[-1] == "late"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1_500_000, "1.5 MB"), (2e9, "2.0 GB"), (3.2e13, "32.0 TB")],
)
def test_bytes_for_people(size, text):
    assert human_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12 ms"), (1.26, "1.3 s"), (119, "119.0 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_seconds_for_people(seconds, text):
    assert human_seconds(seconds) == text
