"""From the values of a row to an example, by the kind of its columns; the same when a row is imported and read.

A row that cannot be an example gives its reason instead. Texts become a prompt in one of four forms:

* ``verbatim``: system, prompt and context follow one another as they are, the completion follows them.
* ``plain``: a blank line between them, a line break before the completion.
* ``alpaca``: the wording of Stanford Alpaca, with its section for the input where there is one.
* ``chat``: a system message, a user message, an assistant message.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from lorif_core.data.chat_turns import Turn, UnusableRowError, assistant_places, choose_target, tools_of, turns_of
from lorif_core.data.columns import EMPTY_TARGET, Columns, RowProblem, spelled_out
from lorif_core.data.example import Example, num_shared
from lorif_core.data.text_weights import weight_of
from lorif_core.data.token_rows import tokens_of

ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{prompt}\n\n### Input:\n{context}\n\n"
    "### Response:\n"
)
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{prompt}\n\n### Response:\n"
)
HH_REPLY = "\n\nAssistant:"
"""Begins a reply where a whole dialogue is one text, as in Anthropic's HH."""


class Row(NamedTuple):
    """Values by column, and which role each column has."""

    values: dict[str, Any]
    columns: Columns
    keeps_empty: bool

    def value(self, role: str) -> Any:
        """What a role has; None without such a column."""
        return self.values.get(self.columns.names.get(role, ""))

    def name(self, role: str) -> str:
        """The column of a role."""
        return self.columns.names[role]

    def needed(self, role: str) -> Any:
        """What a role has, which may not be null."""
        if (value := self.value(role)) is None:
            raise UnusableRowError(f"missing column `{self.columns.names.get(role, role)}`")
        return value

    def text(self, role: str) -> str:
        """Text that must be there."""
        if not isinstance(value := self.needed(role), str):
            raise UnusableRowError(f"`{self.name(role)}` is not text")
        return value

    def target(self, role: str) -> str:
        """Text that must be there and hold something."""
        text = self.text(role)
        if not text.strip() and not (self.keeps_empty and role != "text"):
            raise UnusableRowError(EMPTY_TARGET, f"`{self.name(role)}` is empty or only spaces")
        return text

    def optional_text(self, role: str) -> str:
        """Text, or nothing where there is none."""
        return "" if self.value(role) is None else self.text(role)

    def has_turns(self, *roles: str) -> bool:
        """Whether any of the roles holds a list."""
        return any(isinstance(spelled_out(self.value(role)), list) for role in roles)


def read_row(
    train_id: str, values: dict[str, Any], columns: Columns, *, keeps_empty: bool = False
) -> Example | RowProblem:
    """The example of a row, or what keeps the row from being one.

    Args:
        train_id: Its id.
        values: By column.
        columns: Which of them make the example.
        keeps_empty: An empty completion is no problem: its end token is the target.
    """
    try:
        found = BUILDERS[columns.form or columns.kind](Row(values, columns, keeps_empty))
        weight = 1.0 if columns.weight is None else weight_of(values.get(columns.weight), columns.weight)
    except UnusableRowError as error:
        return error.problem
    return Example(train_id, **found, weight=weight)


def problem_of_row(values: dict[str, Any], columns: Columns, *, keeps_empty: bool = False) -> RowProblem | None:
    """What keeps a row from being an example, or None."""
    found = read_row("", values, columns, keeps_empty=keeps_empty)
    return found if isinstance(found, RowProblem) else None


def _text(row: Row) -> dict[str, Any]:
    return {"text": row.target("text")}


def _pair(row: Row) -> dict[str, Any]:
    """Prompt and completion, as texts or as a chat."""
    if row.columns.prompt_form == "chat":
        return _chat_of_texts(row, "completion")
    return {"prompt": _prompt(row), "completion": row.target("completion")}


def _prompt(row: Row) -> str:
    parts = [row.optional_text("system"), row.text("prompt"), row.optional_text("context")]
    if row.columns.prompt_form == "plain":
        joined = "\n\n".join(filter(str.strip, parts))
        return f"{joined}\n" if joined else ""
    if row.columns.prompt_form == "alpaca":
        system, prompt, context = parts
        wording = ALPACA_WITH_INPUT if context.strip() else ALPACA
        return (f"{system}\n\n" if system.strip() else "") + wording.format(prompt=prompt, context=context)
    return "".join(parts)


def _opening_turns(row: Row) -> list[Turn]:
    system = row.optional_text("system")
    asked = "\n\n".join(filter(str.strip, [row.text("prompt"), row.optional_text("context")]))
    opening = [{"role": "system", "content": system}] if system.strip() else []
    return [*opening, {"role": "user", "content": asked}]


def _chat_of_texts(row: Row, role: str) -> dict[str, Any]:
    said = [*_opening_turns(row), {"role": "assistant", "content": row.target(role)}]
    return {"messages": said, "target_turn": choose_target(said, 0, row.columns.target_turn)}


def _messages(row: Row) -> dict[str, Any]:
    """A whole conversation."""
    turns = turns_of(row.needed("messages"), row.name("messages"))
    return _conversation(row, _with_system(row, turns), 0)


def _with_system(row: Row, turns: list[Turn]) -> list[Turn]:
    system = row.optional_text("system")
    has_own = any(turn["role"] == "system" for turn in turns)
    return turns if has_own or not system.strip() else [{"role": "system", "content": system}, *turns]


def _conversation(row: Row, turns: list[Turn], start: int) -> dict[str, Any]:
    """Fields of an example; messages before ``start`` are a prompt."""
    found: dict[str, Any] = {"messages": turns, "target_turn": choose_target(turns, start, row.columns.target_turn)}
    if (tools := row.value("tools")) is not None:
        found["tools"] = tools_of(tools, row.name("tools"))
    return found


def _conversational(row: Row) -> dict[str, Any]:
    """Prompt and completion as lists of messages; the completion's are the targets."""
    prompt, completion = _turns_or_text(row, "prompt", "user"), _turns_or_text(row, "completion", "assistant")
    prompt = _with_system(row, prompt)
    return _conversation(row, [*prompt, *completion], len(prompt))


def _turns_or_text(row: Row, role: str, speaker: str) -> list[Turn]:
    value = spelled_out(row.needed(role))
    return (
        turns_of(value, row.name(role)) if isinstance(value, list) else [{"role": speaker, "content": row.text(role)}]
    )


def _unpaired(row: Row) -> dict[str, Any]:
    """A completion with a verdict; one that is not wanted is no example."""
    label = row.needed("label")
    if isinstance(label, str):
        label = {"true": True, "false": False}.get(label.strip().lower())
    if not isinstance(label, bool):
        raise UnusableRowError(f"`{row.name('label')}` is not true or false")
    if not label:
        raise UnusableRowError(f"`{row.name('label')}` is false: not a wanted completion")
    return _conversational(row) if row.has_turns("prompt", "completion") else _pair(row)


def _preference(row: Row) -> dict[str, Any]:
    """The chosen side, and the rejected one where pairs are asked for."""
    if row.columns.preference == "pairs":
        row.needed("rejected")
        if row.value("chosen") == row.value("rejected"):
            raise UnusableRowError("chosen and rejected are the same")
    if row.has_turns("chosen", "rejected"):
        return _preference_of_turns(row)
    if row.columns.prompt_form == "chat":
        found = _chat_of_texts(row, "chosen")
        return found | ({"rejected": _chat_of_texts(row, "rejected")["messages"]} if _is_pairs(row) else {})
    if "prompt" not in row.columns.names:
        return _preference_without_prompt(row)
    found = {"prompt": _prompt(row), "completion": row.target("chosen")}
    return found | ({"rejected": row.target("rejected")} if _is_pairs(row) else {})


def _is_pairs(row: Row) -> bool:
    return row.columns.preference == "pairs"


def _preference_without_prompt(row: Row) -> dict[str, Any]:
    """What both texts begin with is the prompt."""
    chosen, rejected = row.target("chosen"), row.target("rejected")
    place = split_of_texts(chosen, rejected)
    if not row.keeps_empty and not (chosen[place:].strip() and rejected[place:].strip()):
        raise UnusableRowError(EMPTY_TARGET, "nothing follows what both sides begin with")
    found = {"prompt": chosen[:place], "completion": chosen[place:]}
    return found | ({"rejected": rejected[place:]} if _is_pairs(row) else {})


def split_of_texts(one: str, other: str) -> int:
    """Where two texts that begin alike part: before a space, behind a line break, or behind ``Assistant:``.

    Never within a word; and neither rest is empty, but for a dialogue with an empty reply.
    """
    places = range(min(len(one), len(other)))
    shared = one[: next((place for place in places if one[place] != other[place]), len(places))]
    if HH_REPLY in shared:
        return shared.rindex(HH_REPLY) + len(HH_REPLY)
    ends = [found.start() for found in re.finditer(r"(?= )|(?<=\n)", shared)]
    return next((end for end in reversed(ends) if one[end:].strip() and other[end:].strip()), 0)


def _preference_of_turns(row: Row) -> dict[str, Any]:
    chosen = _side(row, "chosen")
    if row.value("rejected") is None:
        return _conversation(row, chosen, 0)
    rejected = _side(row, "rejected")
    start = num_shared(chosen, rejected)
    if not _is_pairs(row):
        return _conversation(row, chosen, start)
    # Of several turns behind what both sides share, every turn is a target: the shared ones cancel, for their
    # gradient enters once with weight 1 and once with -1.
    is_single = all(len(assistant_places(turns[start:])) == 1 for turns in (chosen, rejected))
    found, other = (_conversation(row, turns, start if is_single else 0) for turns in (chosen, rejected))
    if found["target_turn"] != other["target_turn"]:
        raise UnusableRowError("the target is another assistant turn of `chosen` than of `rejected`")
    return found | {"rejected": rejected}


def _side(row: Row, role: str) -> list[Turn]:
    """All messages of one side, the prompt included."""
    turns = _turns_or_text(row, role, "assistant")
    if row.value("prompt") is None:
        return _with_system(row, turns)
    if row.has_turns("prompt"):
        prompt = turns_of(row.value("prompt"), row.name("prompt"))
        return _with_system(row, turns if turns[: len(prompt)] == prompt else [*prompt, *turns])
    asked = _opening_turns(row)
    if any(turn["role"] == "user" for turn in turns):
        if not any(turn["content"].strip() == asked[-1]["content"].strip() for turn in turns):
            detail = f"no message of `{row.name(role)}` is `{row.name('prompt')}`"
            raise UnusableRowError("prompt and messages do not belong together", detail)
        return _with_system(row, turns)
    return [*asked, *turns]


def _tokens(row: Row) -> dict[str, Any]:
    found = tokens_of({role: row.value(role) for role in row.columns.names if role != "shown"}, row.columns.names)
    return found | ({} if row.value("shown") is None else {"text": row.text("shown")})


BUILDERS: dict[str, Callable[[Row], dict[str, Any]]] = {
    "text": _text,
    "prompt_completion": _pair,
    "messages": _messages,
    "sharegpt": _messages,
    "conversational": _conversational,
    "preference": _preference,
    "unpaired": _unpaired,
    "tokens": _tokens,
    **dict.fromkeys(
        (
            "alpaca",
            "instruction_response",
            "question_answer",
            "input_output",
            "query_response",
            "prompt_response",
        ),
        _pair,
    ),
}
"""Form, or kind of a file from before there were forms → how a row becomes the fields of an example."""
