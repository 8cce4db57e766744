"""From chat messages to token ids and the mask of what the assistant said.

What the assistant said is what stands between the header that asks it to speak and the token with which it ends its
turn, that token included and the header not. Where the template has ``{% generation %}`` marks they tell it. Where it
has none, as most, the chat is rendered in prefixes: before turn i with the header that asks for it (``H``), and after
it with the header that would ask for the next one, which is then taken off (``B``):

    whole   <|user|>hi<|end|><|assistant|>yo<|end|><|user|>…
    H                                     ^ turn i begins
    B                                              ^ turn i ends

Each must be a beginning of the whole chat; else the chat is refused. Three things that known templates do are not
taken for that: thinking that is stripped from earlier turns (the turn then is the end of what stands in B), a text
behind the last message (an end of the text, which nobody says), and another end token in the last turn.

The text is tokenised once, with the special tokens that the template wrote and no others. A character range becomes a
range of tokens where the tokens of the text before it are the first tokens of the whole; where a token reaches across
its edge, by the offsets of a fast tokenizer. Such a token is a target if it adds only white space of the header to
words of the assistant (" yo" behind "assistant: "), and none if it holds anything else of others.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from lorif_core.data.chat_rendering import ASSISTANT_ROLES, ChatTemplate, Message
from lorif_core.errors import DataError, UnreadableRow

_ANY_USER: list[Message] = [{"role": "user", "content": "x"}]


class Spoken(NamedTuple):
    """A stretch of a rendered chat that the assistant said, in characters."""

    start: int
    stop: int


def encode_chat(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    tools: list[dict[str, Any]] | None = None,
    target_turn: int | None = None,
) -> tuple[list[int], list[bool]]:
    """Token ids of a chat, and which of them the assistant said.

    Args:
        tokenizer: With a chat template.
        messages: As in a data file; contents are texts or lists of text parts.
        tools: Tool definitions.
        target_turn: The only assistant turn that is a target, counted among them, negative from the end. The chat
            then ends with it. None: every one is.

    Raises:
        DataError: The tokenizer has no chat template.
        UnreadableRow: The template refuses the chat, or renders it so that what the assistant said cannot be told.
    """
    template = ChatTemplate(tokenizer, tools)
    turns = [place for place, message in enumerate(messages) if message.get("role") in ASSISTANT_ROLES]
    if target_turn is not None:
        turns = [_chosen(turns, target_turn)]
        messages = messages[: turns[0] + 1]
    text, spans = _spoken(template, messages, turns, is_chosen=target_turn is not None)
    ids = _ids(tokenizer, text)
    is_target = [False] * len(ids)
    for span in spans:
        first, stop = _token_range(tokenizer, text, ids, span)
        is_target[first:stop] = [True] * max(0, stop - first)
    return ids, is_target


def encode_chat_question(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], tools: list[dict[str, Any]] | None = None
) -> list[int]:
    """Token ids of a chat up to where the assistant is to speak; what it says is appended to them.

    The same messages followed by the assistant's answer are encoded by ``encode_chat`` with these tokens in front,
    unless the tokenizer joins the answer's first character with the header.

    Args:
        tokenizer: With a chat template.
        messages: They end before the answer, with a user's or a tool's turn.
        tools: Tool definitions.

    Raises:
        DataError: The tokenizer has no chat template, or the messages end with the assistant's.
        UnreadableRow: The template refuses the chat; names its reason.
    """
    template = ChatTemplate(tokenizer, tools)
    if not messages or messages[-1].get("role") in ASSISTANT_ROLES:
        raise DataError(
            "the messages of a question end before the answer, "
            + ("these end with an assistant turn." if messages else "there are none.")
            + " Let the last one be a user's, and give the answer as the completion."
        )
    asked, plain = template.render(messages, asks=True), template.render(messages)
    if asked == plain:  # the template knows no header to ask with: take the one that answers have
        asked = _header(template, messages, "assistant")
    return _ids(tokenizer, asked)


def _chosen(turns: Sequence[int], target_turn: int) -> int:
    if not -len(turns) <= target_turn < len(turns):
        raise UnreadableRow(f"`target_turn` is {target_turn}, but the chat has {len(turns)} assistant turns")
    return turns[target_turn]


def _spoken(
    template: ChatTemplate, messages: Sequence[Message], turns: Sequence[int], *, is_chosen: bool
) -> tuple[str, list[Spoken]]:
    """The chat as text and what the assistant said in the given turns."""
    if template.has_marks:
        text, marked = template.render_marked(messages)
        if is_chosen and turns[0]:  # the marks of earlier turns are those of the chat without the last one
            marked = marked[len(template.render_marked(messages[: turns[0]])[1]) :]
        if marked or not turns:
            return text, [Spoken(*stretch) for stretch in marked]
    chat = _UnmarkedChat(template, list(messages))
    return chat.whole, [chat.turn(place) for place in turns]


@dataclass(frozen=True)
class _UnmarkedChat:
    """A chat whose assistant turns are found by rendering its beginnings."""

    template: ChatTemplate
    messages: list[Message]

    @cached_property
    def whole(self) -> str:
        return self.template.render(self.messages)

    @cached_property
    def opening(self) -> str:
        """The header that asks the assistant to speak; empty if the template writes none."""
        first = next(n for n, message in enumerate(self.messages) if message.get("role") in ASSISTANT_ROLES)
        for before in (self.messages[:first], _ANY_USER):
            asked, plain = self._rendered(before, asks=True), self._rendered(before)
            if asked is not None and plain is not None:
                return asked[self._common(asked, plain) :]
        return ""

    def turn(self, place: int) -> Spoken:
        """What the assistant said in the message at that place."""
        start = self._start(place)
        stop = self._bound(place, start)
        said = self.whole[start:stop].rstrip()
        if self._tokens.search(said) and list(self._tokens.finditer(said))[-1].end() == len(said):
            stop = start + len(said)  # white space behind the end token is the template's
        return Spoken(start, stop)

    def _start(self, place: int) -> int:
        """Where the words of a turn begin."""
        before, whole = self.messages[:place], self.whole
        asked = self._rendered(before, asks=True)
        if self.opening and asked is not None and whole.startswith(asked):
            return len(asked)
        if self.opening and place and self.messages[place - 1].get("role") in ASSISTANT_ROLES:
            bound = self._bound(place - 1, self._start(place - 1))
            if whole.startswith(self.opening, bound):
                return bound + len(self.opening)
        header = _header(self.template, before, self.messages[place]["role"])
        if self.opening and self.opening in header:
            header = header[: header.rindex(self.opening) + len(self.opening)]
        if not whole.startswith(header) or not header.startswith(self._rendered(before) or ""):
            raise self._refusal(place)
        return len(header)

    def _bound(self, place: int, start: int) -> int:
        """Where a turn ends and the next message begins."""
        whole, is_last = self.whole, place == len(self.messages) - 1
        followed = self._rendered(self.messages[: place + 1], asks=True)
        if followed is None:
            followed = self.template.render(self.messages[: place + 1])
        body = followed.removesuffix(self.opening)
        if whole.startswith(body) and len(body) >= start:
            return len(body)
        if is_last:
            return len(whole)
        if body.startswith(whole[:start]):
            kept = _overlap(body[start:], whole[start:])
            if kept and _ends_with_words_of(self.messages[place], body[len(body) - kept :]):
                return start + kept
        raise self._refusal(place)

    def _rendered(self, messages: list[Message], *, asks: bool = False) -> str | None:
        """Some messages as text; None where there are none or the template does not take them alone."""
        try:
            return self.template.render(messages, asks=asks) if messages else None
        except UnreadableRow:
            return None

    def _common(self, first: str, second: str) -> int:
        """Length of the common beginning of two texts, cut before a special token that only begins alike."""
        length = len(_common_beginning(first, second))
        crossed = (m.start() for m in self._tokens.finditer(first) if m.start() < length < m.end())
        return next(crossed, length)

    @property
    def _tokens(self) -> re.Pattern[str]:
        added: dict[str, int] = self.template.tokenizer.added_tokens_encoder  # pyright: ignore[reportAssignmentType]
        return _any_of(tuple(added))

    def _refusal(self, place: int) -> UnreadableRow:
        return UnreadableRow(
            f"the chat template writes message {place + 1} of {len(self.messages)}, an assistant turn, "
            "differently once others follow, so what the assistant said cannot be told apart; choose its last turn "
            "as the target, or add {% generation %} marks to the template"
        )


def _header(template: ChatTemplate, before: Sequence[Message], role: str) -> str:
    """The chat up to the words of an assistant turn: what two turns with different words have in common.

    A space alone is no header: behind ``[/INST]`` the assistant says " yo".
    """
    header = _common_beginning(*(template.render([*before, {"role": role, "content": word}]) for word in "01"))
    try:
        plain = template.render(before) if before else ""
    except UnreadableRow:
        return header
    return plain if header.startswith(plain) and not header[len(plain) :].strip() else header


def _common_beginning(first: str, second: str) -> str:
    length = next((n for n, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), None)
    return first[: min(len(first), len(second)) if length is None else length]


def _overlap(first: str, second: str) -> int:
    """Length of the longest end of the first text with which the second begins."""
    return next((len(first) - cut for cut in range(len(first)) if second.startswith(first[cut:])), 0)


def _ends_with_words_of(message: Message, text: str) -> bool:
    """Whether a text holds the last line of what a message says."""
    content = message.get("content")
    lines = content.strip().splitlines() if isinstance(content, str) else []
    return not lines or lines[-1].strip() in text


@lru_cache
def _any_of(tokens: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _token_range(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int], span: Spoken) -> tuple[int, int]:
    """The tokens that lie in a stretch of the text: first, and one behind the last."""
    edges = [_edge(tokenizer, text, ids, place) for place in (span.start, span.stop)]
    if None not in edges:
        return edges[0] or 0, edges[1] or 0
    if not tokenizer.is_fast:
        raise UnreadableRow(
            "the tokenizer joins what the assistant said with the text around it and cannot say where; use its fast "
            "version"
        )
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    first, stop = edges
    if first is None:
        across = next(n for n, (_, end) in enumerate(offsets) if end > span.start)
        begin, end = offsets[across]
        adds_space = not text[begin : span.start].strip() and bool(text[span.start : end].strip())
        first = across if adds_space else across + 1
    if stop is None:
        stop = next(n for n, (_, end) in enumerate(offsets) if end > span.stop)
    return first, stop


def _edge(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int], place: int) -> int | None:
    """How many tokens the text before a place has, if the whole text begins with them; None if one reaches across."""
    if place == len(text):
        return len(ids)
    before = _ids(tokenizer, text[:place])
    return len(before) if list(ids[: len(before)]) == before else None
