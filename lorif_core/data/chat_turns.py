"""Chat messages as chat templates read them, from the spellings that data sets have.

A message says who speaks in ``role`` or ``from``, and what in ``content`` or ``value``. The names that ShareGPT gives
to speakers become roles. Content that is a list of parts becomes their joined text; a part that is no text (an
image, say) makes the row unusable. Empty fields that Parquet and CSV add to every message are left out. Tool calls
get arguments as an object where they come as JSON text, which is what chat templates expect.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from lorif_core.data.columns import EMPTY_TARGET, RowProblem, spelled_out

Turn = dict[str, Any]

ROLE_OF_SPEAKER = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "assistant", "model", "bot"), "assistant"),
    **dict.fromkeys(("function_call", "function-call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "function-response"), "tool"),
    "system": "system",
}
"""Who speaks in ``from`` → role."""

ALIASES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}
"""Names that no template knows, in `role`. All others there are the template's business."""

MALFORMED = "is not a list of messages"
REWRITTEN = ("role", "from", "content", "value", "tool_calls", "function_call")
"""Fields of a message that are spelled anew."""

CALLS = ("function_call", "function-call")
TEXT_PARTS = ("text", "input_text", "output_text", None)
UNTRAINED = {"weight": 0, "train": False, "training": False}
"""Fields of a message, and the value that says that it is no target."""


class UnusableRowError(Exception):
    """A row cannot be an example; says why."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.problem = RowProblem(reason, detail)


class _Place(NamedTuple):
    """A message of a column, in the words of a problem."""

    column: str
    number: int

    def refuse(self, reason: str, detail: str) -> NoReturn:
        raise UnusableRowError(f"`{self.column}` {reason}", detail)

    def refuse_key(self, key: str) -> NoReturn:
        self.refuse(MALFORMED, f"`{key}` of message {self.number} is missing or not text")


def turns_of(value: Any, name: str) -> list[Turn]:
    """Messages of a column, each with a role and text.

    Raises:
        UnusableRowError: It holds something else.
    """
    value = spelled_out(value)
    if not isinstance(value, list):
        raise UnusableRowError(f"`{name}` {MALFORMED}", "it is not a list")
    return [_turn_of(turn, _Place(name, number)) for number, turn in enumerate(value, start=1)]


def _turn_of(raw: Any, place: _Place) -> Turn:
    if not isinstance(raw, dict):
        place.refuse(MALFORMED, f"message {place.number} is not an object")
    is_share_gpt = raw.get("role") is None and "from" in raw
    speaker = raw["from"] if is_share_gpt else raw.get("role")
    if not isinstance(speaker, str):
        place.refuse_key("from" if is_share_gpt else "role")
    role = _role_of_speaker(speaker, place) if is_share_gpt else ALIASES.get(speaker, speaker)
    key = "value" if raw.get("content") is None and "value" in raw else "content"
    is_call = is_share_gpt and speaker.strip().lower() in CALLS
    calls = _calls_of(raw, place, raw[key] if is_call else None)
    # A template would print "None" where a message that only calls tools has null.
    content = "" if is_call or (calls and raw.get(key) is None) else _text_of(raw.get(key), key, place)
    kept = {name: inner for name, inner in raw.items() if inner is not None and name not in REWRITTEN}
    return {"role": role, "content": content, **kept, **({"tool_calls": calls} if calls else {})}


def _role_of_speaker(speaker: str, place: _Place) -> str:
    role = ROLE_OF_SPEAKER.get(speaker.strip().lower())
    if role is None:
        detail = f"`from` of message {place.number} is {speaker[:80]!r}; known are {', '.join(ROLE_OF_SPEAKER)}"
        place.refuse("has a speaker that is not known", detail)
    return role


def _text_of(content: Any, key: str, place: _Place) -> str:
    if isinstance(content, list):
        return "".join(_text_of_part(part, place) for part in content)
    if not isinstance(content, str):
        place.refuse_key(key)
    return content


def _text_of_part(part: Any, place: _Place) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and kind in TEXT_PARTS and isinstance(part.get("text"), str):
        return part["text"]
    place.refuse("has content that is not text", f"message {place.number} has a part of type {str(kind)[:40]!r}")


def _calls_of(raw: Turn, place: _Place, spelled: str | None) -> list[Turn]:
    """The tools that a message calls; ``spelled`` is the content of a message that is nothing but calls."""
    calls = spelled_out(raw.get("tool_calls")) or spelled_out(raw.get("function_call")) or spelled_out(spelled) or []
    calls = calls if isinstance(calls, list) else [calls]
    if not all(map(_is_call, calls)):
        place.refuse("has a tool call without a name", f"in message {place.number}")
    return [_call_of(call) for call in calls]


def _is_call(call: Any) -> bool:
    if not isinstance(call, dict):
        return False
    inner = call.get("function")
    return isinstance((inner if isinstance(inner, dict) else call).get("name"), str)


def _call_of(call: Turn) -> Turn:
    outer = {key: value for key, value in call.items() if value is not None}
    inner = outer.pop("function", None) or {key: outer.pop(key) for key in ("name", "arguments") if key in outer}
    inner = {key: value for key, value in inner.items() if value is not None}
    return {"type": "function", **outer, "function": {**inner, "arguments": spelled_out(inner.get("arguments", {}))}}


def tools_of(value: Any, name: str) -> list[Turn] | None:
    """Tool definitions of a column, each as a chat template reads it; None when there are none.

    Raises:
        UnusableRowError: It holds something else.
    """
    value = spelled_out(value)
    if value is None or value in ([], "", {}):
        return None
    tools = [spelled_out(tool) for tool in value] if isinstance(value, list) else [value]
    if not all(map(_is_call, tools)):
        raise UnusableRowError(f"`{name}` is not a list of tools", "each is an object with a name")
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]


def assistant_places(turns: Sequence[Turn]) -> list[int]:
    """Where the assistant speaks."""
    return [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]


def choose_target(turns: Sequence[Turn], start: int, wanted: int | None) -> int | None:
    """The assistant turn that is the target, as a negative number from the end; None: every one.

    Args:
        turns: A conversation.
        start: Messages before this one are a prompt.
        wanted: What a person asked for: 1 is the first assistant turn, -1 the last.

    Raises:
        UnusableRowError: There is no such turn, or the targets are several, but not all.
    """
    places = assistant_places(turns)
    if wanted is not None and abs(wanted) > len(places):
        raise UnusableRowError("no such assistant turn", f"turn {wanted} of {len(places)}")
    if wanted is not None:
        targets = [places[wanted - (wanted > 0)]]
    else:
        targets = [place for place in places if place >= start and not _is_untrained(turns[place])]
    if not any(turns[place]["content"].strip() or turns[place].get("tool_calls") for place in targets):
        raise UnusableRowError(EMPTY_TARGET, "no assistant message that is a target has content")
    if targets == places:
        return None
    if len(targets) > 1:
        raise UnusableRowError(
            "several assistant turns are targets, but not all",
            f"{len(targets)} of {len(places)}; choose one with `--target-turn`",
        )
    return places.index(targets[0]) - len(places)


def _is_untrained(turn: Turn) -> bool:
    return any(key in turn and turn[key] == value for key, value in UNTRAINED.items())
