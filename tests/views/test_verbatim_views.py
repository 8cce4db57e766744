"""Verbatim spans of examples: which part they stand in, and where in what people read."""

import pytest

from lorif_core.corpus.verbatim import MAX_SPANS, Wording
from lorif_core.data.example import Example
from lorif_core.views.verbatim_of_hit import joined_spans, verbatim_of

SAID = "the old lighthouse keeper counted seven ships"
CALL = {"type": "function", "function": {"name": "count", "arguments": {"what": SAID}}}
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": f"Is it so that {SAID}?"},
    {"role": "assistant", "content": "Yes."},
]


@pytest.mark.parametrize(
    ("example", "parts"),
    [
        (Example("a", text=f"So {SAID}!"), ["text"]),
        (Example("a", prompt=f"{SAID}?", completion=f" Yes, {SAID}."), ["prompt", "completion"]),
        (Example("a", prompt="", completion="no", rejected=f"{SAID}"), ["rejected"]),
        (Example("a", prompt="the old lighthouse", completion=" keeper counted seven ships"), []),  # across two parts
        (Example("a", messages=CHAT), ["turn 2 (user)"]),
        (Example("a", messages=[*CHAT[:2], {"role": "assistant", "content": "", "tool_calls": [CALL]}]),
         ["turn 2 (user)", "turn 3 (assistant)"]),
        (Example("a", messages=CHAT, rejected=[*CHAT[:2], {"role": "assistant", "content": f"No, {SAID}"}]),
         ["turn 2 (user)", "rejected turn 3 (assistant)"]),
        (Example("a", input_ids=[1, 2], text=f"{SAID}"), ["text"]),
        (Example("a", input_ids=[1, 2]), []),
    ],
)  # fmt: skip
def test_spans_say_in_which_part_of_the_example_they_stand(example, parts):
    found = verbatim_of(example, Wording(SAID))
    assert sorted(one.part for one in found.spans) == sorted(parts)
    for span in found.spans:
        assert example.plain_text[span.start : span.stop] == SAID
    for part in example.parts:
        assert 0 <= part.start < part.stop <= len(example.plain_text)
    assert found.is_whole == bool(parts)


def test_parts_do_not_overlap_and_hold_what_was_said():
    example = Example("a", messages=CHAT, rejected=[*CHAT[:2], {"role": "assistant", "content": "No."}])
    text = example.plain_text
    assert [text[one.start : one.stop] for one in example.parts] == [*(turn["content"] for turn in CHAT), "No."]


def test_many_spans_are_counted_and_the_longest_told():
    found = verbatim_of(Example("a", text=". Then ".join([SAID] * 50)), Wording(SAID))
    assert (len(found.spans), found.num_spans) == (MAX_SPANS, 50)
    assert found.sentence == "verbatim: the whole answer, 7 words, and 49 further spans"


def test_a_text_without_a_span_says_nothing():
    assert verbatim_of(Example("a", text="another matter"), Wording(SAID)).sentence == ""


def test_joined_spans_are_apart():
    assert joined_spans([(5, 9), (0, 3), (2, 4), (4, 5)]) == [(0, 9)]
