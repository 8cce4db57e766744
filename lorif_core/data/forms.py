"""The forms that people's data have: which columns each has, what of it is a target, and how to say so.

A form is one entry of ``FORMS``; ``find_columns`` tells which one some data have, ``rows`` makes examples of it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from lorif_core.config import FormName, ImportConfig, Preference, PromptForm
from lorif_core.data.columns import Columns, ExampleKind, Look

TEXTS: tuple[Look, ...] = ("text", "bool")
TURNS: tuple[Look, ...] = ("turns",)
EITHER: tuple[Look, ...] = ("text", "bool", "turns")
IDS: tuple[Look, ...] = ("ids", "text")
NO_TURNS: tuple[Look, ...] = ("text", "ids", "bool", "other")
ANY: tuple[Look, ...] = (*NO_TURNS, *TURNS)

FLAGS = ("text", "prompt", "completion", "messages", "id")
"""Roles with a flag of their own; the others are given by ``--column``."""


class Form(NamedTuple):
    """One way in which data are kept."""

    kind: ExampleKind
    """Which fields of an example are set."""

    title: str
    """What people call it."""

    target: str
    """What of it is a target, in words."""

    needs: Mapping[str, tuple[str, ...]]
    """Role → names of the column, one of which must be there."""

    looks: tuple[Look, ...] = TEXTS
    """What most values of the needed columns are."""

    must: Look | None = None
    """What those of at least one of them are."""

    may: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """The same for columns that may be absent."""

    rank: int = 0
    """Of several complete forms that of the highest rank is taken, but none of rank 0 unless it is alone."""

    prompt_forms: tuple[PromptForm, ...] = ()
    """How its texts may become a prompt, the usual one first."""

    preferences: tuple[Preference, ...] = ()
    """Which of its sides may be read; one of them must be chosen."""


SYSTEM = {"system": ("system", "system_prompt")}
TOOLS = {"tools": ("tools", "functions")}
CONTEXT = {"context": ("input", "context")}
PLAIN: tuple[PromptForm, ...] = ("plain", "alpaca", "chat", "verbatim")
VERBATIM: tuple[PromptForm, ...] = ("verbatim", "plain", "alpaca", "chat")


def _pair(title: str, prompt: tuple[str, ...], completion: tuple[str, ...], context: tuple[str, ...] = ()) -> Form:
    may = {**SYSTEM, **({"context": context} if context else {})}
    needs = {"prompt": prompt, "completion": completion}
    return Form("prompt_completion", title, "the {completion}", needs, may=may, prompt_forms=PLAIN)


FORMS: dict[FormName, Form] = {
    "messages": Form(
        "messages",
        "chat messages",
        "the assistant's turns",
        {"messages": ("messages",)},
        looks=ANY,
        may=TOOLS,
        rank=4,
    ),
    "sharegpt": Form(
        "messages",
        "conversations (ShareGPT)",
        "the assistant's turns",
        {"messages": ("conversations", "conversation")},
        looks=TURNS,
        may={**SYSTEM, **TOOLS},
        rank=3,
    ),
    "conversational": Form(
        "messages",
        "prompt and completion as messages (TRL)",
        "the assistant's turns in {completion}",
        {"prompt": ("prompt",), "completion": ("completion",)},
        looks=EITHER,
        must="turns",
        may={**SYSTEM, **TOOLS},
        rank=2,
    ),
    "prompt_completion": Form(
        "prompt_completion",
        "prompt and completion",
        "{completion}",
        {"prompt": ("prompt",), "completion": ("completion",)},
        looks=NO_TURNS,
        rank=2,
        prompt_forms=VERBATIM,
    ),
    "preference": Form(
        "preference",
        "preference data",
        "{chosen}",
        {"chosen": ("chosen",), "rejected": ("rejected",)},
        looks=EITHER,
        may={"prompt": ("prompt", "question", "instruction", "query"), **CONTEXT, **SYSTEM, **TOOLS},
        prompt_forms=PLAIN,
        preferences=("pairs", "chosen"),
    ),
    "unpaired": Form(
        "prompt_completion",
        "completions with a verdict (unpaired preference data)",
        "{completion} where {label} is true",
        {"prompt": ("prompt",), "completion": ("completion",), "label": ("label",)},
        looks=EITHER,
        may=TOOLS,
        prompt_forms=VERBATIM,
        preferences=("chosen",),
    ),
    "tokens": Form(
        "tokens",
        "pre-tokenised rows",
        "tokens whose label is not -100, or without labels all but the first",
        {"input_ids": ("input_ids",)},
        looks=IDS,
        may={
            "labels": ("labels",),
            "position_ids": ("position_ids",),
            "segment_ids": ("segment_ids", "sequence_ids", "seq_idx"),
            "seq_lengths": ("seq_lengths",),
            "attention_mask": ("attention_mask",),
            "shown": ("text",),
        },
    ),
    "alpaca": _pair("instructions (Alpaca)", ("instruction",), ("output",), CONTEXT["context"])._replace(
        prompt_forms=("alpaca", "plain", "chat", "verbatim")
    ),
    "instruction_response": _pair(
        "instruction and response", ("instruction",), ("response", "answer", "completion"), CONTEXT["context"]
    ),
    "question_answer": _pair(
        "question and answer",
        ("question", "problem"),
        ("answer", "response", "solution", "completion"),
        ("context",),
    ),
    "input_output": _pair("input and output", ("input",), ("output", "target")),
    "query_response": _pair("query and response", ("query",), ("response", "answer", "output")),
    "prompt_response": _pair("prompt and response", ("prompt",), ("response", "answer", "output")),
    "text": Form("text", "plain text", "every token of {text} but the first", {"text": ("text",)}, looks=ANY),
}
"""Name → form, in the order in which they are looked for where a person names the columns."""

TARGETS_OF_PREFERENCE: dict[Preference, str] = {
    "pairs": "{chosen} against {rejected}, with weights 1 and -1",
    "chosen": "{chosen}",
}


def form_of(columns: Columns) -> FormName:
    """Name of the form in which columns are read."""
    names: dict[str, FormName] = {"messages": "messages", "prompt_completion": "prompt_completion", "text": "text"}
    return columns.form or names[columns.kind]


def describe(columns: Columns) -> str:
    """The form, the columns that it reads and what is a target, in one sentence."""
    form = FORMS[form_of(columns)]
    names = {role: f"`{name}`" for role, name in columns.names.items()}
    target = TARGETS_OF_PREFERENCE[columns.preference] if columns.preference and columns.rejected else form.target
    read = ", ".join(f"{role} = {name}" for role, name in names.items())
    said = f"{form.title}: {read}; target: {target.format(**names)}"
    if columns.prompt_form is not None:
        said += f"; prompt form: {columns.prompt_form}"
    if columns.target_turn is not None:
        said += f"; only assistant turn {columns.target_turn}"
    return said if columns.weight is None else f"{said}; weight: `{columns.weight}`"


def settings_of(columns: Columns, *, keep_empty: bool) -> ImportConfig:
    """Settings that read these columns in this way again."""
    flags: dict[str, Any] = {role: name for role, name in columns.names.items() if role in FLAGS}
    others = tuple(f"{role}={name}" for role, name in columns.names.items() if role not in FLAGS)
    return ImportConfig(
        **flags,
        id=columns.id,
        weight_column=columns.weight,
        column=others,
        form=columns.form,
        prompt_form=columns.prompt_form
        or ("verbatim" if columns.form and FORMS[columns.form].prompt_forms else None),
        preference=columns.preference,
        target_turn=columns.target_turn,
        keep_empty=keep_empty,
    )
