"""How the form of a data set is told, by the names of its columns and by what their values look like.

A form is complete when each column that it needs is there under one of its names, and most of its values look as the
form wants. Of several complete forms

* one whose columns all belong to another one is dropped (``input`` with ``output`` is part of Alpaca's form);
* ``messages``, then ``conversations``, then ``prompt`` with ``completion`` are taken, for these names mean nothing
  else; what else would be possible is said beside;
* of the others none is taken: the person says which, by ``--form``.

Preference data are never read without ``--preference``, for both of its readings are usual.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Literal, NamedTuple

from lorif_core.config import FormName, ImportConfig
from lorif_core.data.columns import ROLES, Columns, ExampleKind, Look, Looks
from lorif_core.data.forms import ANY, FLAGS, FORMS, TEXTS, Form
from lorif_core.errors import DataError


class Reading(NamedTuple):
    """A form and the columns that it would read."""

    name: FormName
    columns: dict[str, str]
    """Role → column."""

    @property
    def form(self) -> Form:
        """What the name stands for."""
        return FORMS[self.name]

    @property
    def listed(self) -> str:
        """The form and its columns, in words."""
        return f"{self.form.title} ({', '.join(f'`{name}`' for name in self.columns.values())})"


def find_columns(looks: Looks, settings: ImportConfig) -> Columns:
    """The columns to read.

    Raises:
        DataError: A column that the settings name is absent; no form is complete; or several are.
    """
    given = given_columns(looks, settings)
    readings = find_readings(looks, settings, given)
    if not readings:
        raise DataError(_nothing_found(looks, settings, given))
    reading = _choose(readings, settings, given)
    _check_choices(reading, settings)
    id_column = None if _has_no_ids(looks, settings) else settings.id or ("id" if "id" in looks else None)
    return replace(_columns_of(reading, settings, id_column), weight=_weight_column(looks, settings, reading))


def _weight_column(looks: Looks, settings: ImportConfig, reading: Reading) -> str | None:
    name = settings.weight_column
    if name is None:
        return None
    if name not in looks:
        raise DataError(
            f"`--weight-column` must name a column of the data, got {name!r}; the columns are {listed(list(looks))}."
        )
    if name in reading.columns.values():
        raise DataError(
            f"`--weight-column` must name a column of numbers, but {name!r} is read as text: name another."
        )
    return name


def _has_no_ids(looks: Looks, settings: ImportConfig) -> bool:
    """Whether a person says that no column holds ids."""
    return settings.id == "none" and "none" not in looks


def given_columns(looks: Looks, settings: ImportConfig) -> dict[str, str]:
    """Role → column, of those that the settings name, but for the ids.

    Raises:
        DataError: One is absent, or is named twice, or a role is unknown.
    """
    given = {role: name for role in FLAGS if (name := getattr(settings, role)) is not None}
    if _has_no_ids(looks, settings):
        given.pop("id")
    for spelled in settings.column:
        role, is_given, name = spelled.partition("=")
        if not is_given or role not in ROLES or role in (*FLAGS, "weight"):
            known = ", ".join(role for role in ROLES if role not in (*FLAGS, "weight"))
            raise DataError(f"`--column` takes ROLE=COLUMN with a role of {known}; got {spelled!r}.")
        given[role] = name
    for role, name in given.items():
        if name not in looks:
            flag = f"--{role}" if role in FLAGS else f"--column {role}={name}"
            raise DataError(
                f"`{flag}` must name a column of the data, got {name!r}; the columns are {listed(list(looks))}. "
                f"Name one of them{_example_flags(looks)}."
            )
    given.pop("id", None)
    if given.get("prompt") is not None and given.get("prompt") == given.get("completion"):
        raise DataError(
            f"the prompt and the completion are two columns, got {given['prompt']!r} for both. Name two of "
            f"{listed(list(looks))}, or read one column with `--text`."
        )
    return given


def find_readings(looks: Looks, settings: ImportConfig, given: Mapping[str, str]) -> list[Reading]:
    """Every form that is complete, in every way, but for those that are part of another one."""
    names: Sequence[FormName] = list(FORMS) if settings.form is None else [settings.form]
    if settings.preference is not None and settings.form is None:
        names = [name for name in names if settings.preference in FORMS[name].preferences]
    found = [reading for name in names for reading in _readings_of(name, looks, given)]
    return [one for one in found if not any(_is_part(one, other) for other in found)]


def _readings_of(name: FormName, looks: Looks, given: Mapping[str, str]) -> list[Reading]:
    form = FORMS[name]
    if not given.keys() <= form.needs.keys() | form.may.keys():
        return []
    options = {role: _named(role, names, form.looks, looks, given) for role, names in form.needs.items()}
    needed = [name for named in options.values() for name in named]
    if not all(options.values()) or (form.must is not None and form.must not in [looks[name] for name in needed]):
        return []
    may = {role: _named(role, names, ANY, looks, given) for role, names in form.may.items()}
    options |= {role: named for role, named in may.items() if named}
    ways = [dict(zip(options, chosen, strict=True)) for chosen in product(*options.values())]
    return [Reading(name, way) for way in ways if len(set(way.values())) == len(way)]


def _named(
    role: str, names: tuple[str, ...], wanted: tuple[Look, ...], looks: Looks, given: Mapping[str, str]
) -> list[str]:
    """The columns that a role may have: the one that a person gives, or those of its names that look right."""
    if role in given:
        return [given[role]]
    wanted = ("bool",) if role == "label" else wanted
    return [name for name in names if name in looks.keys() - given.values() and looks[name] in (*wanted, None)]


def _is_part(one: Reading, other: Reading) -> bool:
    """Whether all columns of a reading belong to another one that has more."""
    own, others = set(one.columns.values()), set(other.columns.values())
    return one.form.rank == 0 and one.name != "text" and not one.form.preferences and own < others


def _choose(readings: list[Reading], settings: ImportConfig, given: Mapping[str, str]) -> Reading:
    if {"text", "messages"} & given.keys() or {"prompt", "completion"} <= given.keys():
        return readings[0]
    unsaid = [one for one in readings if one.form.preferences and settings.preference is None]
    if unsaid:
        raise DataError(_preference_message(unsaid[0], readings))
    best = max(one.form.rank for one in readings)
    strongest = [one for one in readings if one.form.rank == best]
    if len(strongest) == 1 or best:
        return strongest[0]
    raise DataError(_several_message(strongest))


def _preference_message(found: Reading, readings: list[Reading]) -> str:
    said = {
        "pairs": "`--preference pairs` (the chosen side against the rejected one)",
        "chosen": "`--preference chosen` (the chosen side only)",
    }
    options = [said[one] for one in found.form.preferences]
    options += [f"`--form {one.name}` ({one.form.title})" for one in readings if not one.form.preferences]
    return f"{found.listed} can be read in more than one way: pass {' or '.join(options)}."


def _several_message(readings: list[Reading]) -> str:
    options = " or ".join(f"{one.listed} by `{_flags_of(one, readings)}`" for one in readings)
    return f"these columns can be read in {len(readings)} ways: choose {options}."


def _flags_of(reading: Reading, readings: list[Reading]) -> str:
    """What chooses a reading among others."""
    rivals = [one.columns for one in readings if one.name == reading.name]
    apart = {role: name for role, name in reading.columns.items() if len({one.get(role) for one in rivals}) > 1}
    flags = [f"--form {reading.name}"]
    for role, name in apart.items():
        flags.append(f"--{role} {shlex.quote(name)}" if role in FLAGS else f"--column {role}={shlex.quote(name)}")
    return " ".join(flags)


def other_readings(looks: Looks, settings: ImportConfig, columns: Columns) -> list[str]:
    """What else the columns could be read as, with the flag that does so; nothing where a person named them."""
    if settings.form is not None or given_columns(looks, settings):
        return []
    readings = find_readings(looks, settings, {})
    others = [one for one in readings if one.columns != columns.names and not one.form.preferences]
    return [f"{one.listed} by `{_flags_of(one, readings)}`" for one in others]


def _check_choices(reading: Reading, settings: ImportConfig) -> None:
    form = reading.form
    if form.preferences and settings.preference not in form.preferences:
        raise DataError(_preference_message(reading, [reading]))
    if settings.preference is not None and not form.preferences:
        raise DataError(f"`--preference` is for preference data, these are {reading.listed}: leave it out.")
    if settings.prompt_form is not None and settings.prompt_form not in form.prompt_forms:
        raise DataError(f"`--prompt-form` is for prompts of text, these are {reading.listed}: leave it out.")
    is_chat = form.kind in ("messages", "preference") or settings.prompt_form == "chat"
    if settings.target_turn is not None and not (is_chat or reading.name == "unpaired"):
        raise DataError(f"`--target-turn` is for chats, these are {reading.listed}: leave it out.")


def _columns_of(reading: Reading, settings: ImportConfig, id_column: str | None) -> Columns:
    form, usual = reading.form, (reading.form.prompt_forms or (None,))[0]
    if reading.name == "preference" and reading.columns.get("prompt") in ("prompt", None):
        usual = "verbatim"
    prompt_form = settings.prompt_form or usual
    is_plain = reading.name in ("messages", "prompt_completion", "text") and prompt_form in ("verbatim", None)
    kind: ExampleKind = "messages" if prompt_form == "chat" and form.kind == "prompt_completion" else form.kind
    return Columns(
        kind,
        **reading.columns,
        id=id_column,
        form=None if is_plain else reading.name,
        prompt_form=None if prompt_form == "verbatim" else prompt_form,
        preference=settings.preference,
        target_turn=settings.target_turn,
    )


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names of columns in words."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _nothing_found(looks: Looks, settings: ImportConfig, given: Mapping[str, str]) -> str:
    if settings.form is not None or settings.preference is not None or given:
        wanted = FORMS[settings.form] if settings.form else FORMS["preference"] if settings.preference else None
        needs = "columns of one form" if wanted is None else _needs(wanted)
        return (
            f"{needs} are needed for these flags; the columns are {listed(list(looks))}: name others, with `--column "
            "ROLE=COLUMN` where there is no flag of their own, or leave flags out."
        )
    return (
        "the text is looked for in columns called `messages`, `prompt` with `completion`, or `text`, and in the "
        f"other forms that `lorif import --help` lists; the columns are {listed(list(looks))}. Name them with "
        f"`--text`, `--messages`, or `--prompt` with `--completion`{_example_flags(looks)}."
    )


def _needs(form: Form) -> str:
    return " and ".join("/".join(f"`{name}`" for name in names) for names in form.needs.values())


_Side = Literal["prompt", "completion"]
_WORDS: dict[_Side, str] = {
    "prompt": "prompt|question|query|instruct|problem|request|task",
    "completion": "answer|response|completion|output|reply|solution|target",
}


def _example_flags(looks: Looks) -> str:
    """Flags that read these columns, where their names leave no doubt."""
    texts = [name for name, look in looks.items() if name != "id" and look in (*TEXTS, None)]
    named = {side: [name for name in texts if re.search(words, name.lower())] for side, words in _WORDS.items()}
    prompts, completions = named["prompt"], named["completion"]
    if len(prompts) == 1 and len(completions) == 1 and prompts != completions:
        return f", for example `--prompt {shlex.quote(prompts[0])} --completion {shlex.quote(completions[0])}`"
    return f", for example `--text {shlex.quote(texts[0])}`" if len(texts) == 1 else ""
