"""Write the pages of docs/reference/ that follow from the code: ``python docs/make_reference.py [FOLDER]``.

``tests/test_reference_pages.py`` compares them with what stands there.
"""

import argparse
import dataclasses
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import Any

import tyro
from docstring_parser import parse_from_object

import lorif_core
from lorif_core.cli import COMMANDS, GROUPS

FOLDER = Path(__file__).parent / "reference"
SETTINGS = (
    "config",
    "export_config",
    "members_config",
    "workers_config",
    "methods.method_settings",
    "methods.sketched_settings",
)
"""Modules whose dataclasses are the settings."""
MADE = "<!-- Made by docs/make_reference.py: change the code, then run it. -->"


def main() -> None:
    """Write every page, to docs/reference/ or to another folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


def command_line() -> str:
    """Every command with its options."""
    parts = [
        "# Command line",
        MADE,
        "Every command prints tables, and with `--json` one JSON object, to standard output; progress and messages\n"
        "go to standard error. Exit codes: 0 done, 1 a defect of ours, 2 something you can fix (one sentence says\n"
        "what), 130 interrupted: the same command goes on. `lorif COMMAND --help` prints what stands here.",
    ]
    for name, command in COMMANDS.items():
        parts += _command(f"lorif {name}", command)
        for below, one in GROUPS.get(name, {}).items():
            parts += _command(f"lorif {name} {below}", one)
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    """Every class of settings with its fields."""
    parts = [
        "# Settings",
        MADE,
        "One class per stage, the same for the command line, the studio and Python. A field is an option of the\n"
        "same name (`max_length` is `--max-length`) where the [command line](command-line.md) lists it.",
    ]
    for kind in setting_classes():
        parts += [f"## {kind.__name__}", _prose(kind), _fields(kind)]
    return "\n\n".join(parts) + "\n"


def python_api() -> str:
    """Every public name; mkdocstrings reads the rest out of the sources."""
    parts = [
        "# Python",
        MADE,
        "`import lorif_core as lf`; each of these is `lf.NAME`. Nothing else is promised to stay.",
    ]
    for name in lorif_core.__all__:
        home = f"lorif_core.{lorif_core._HOMES[name]}.{name}"
        parts.append(f"::: {home}")
    return "\n\n".join(parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_line,
    "settings.md": settings,
    "python-api.md": python_api,
}


def setting_classes() -> list[type]:
    """Every dataclass of the settings' modules, in their order."""
    modules = [import_module(f"lorif_core.{name}") for name in SETTINGS]
    return [
        one
        for module in modules
        for one in vars(module).values()
        if dataclasses.is_dataclass(one) and isinstance(one, type) and one.__module__ == module.__name__
    ]


def _command(name: str, command: Callable[..., None]) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # nothing else of tyro's lists options as data
        parser = tyro.extras.get_parser(command, prog=name, config=(tyro.conf.FlagCreatePairsOff,))
    yield f"## {name}"
    yield _described(parser.description or "")
    options = [one for one in parser._actions if "--help" not in one.option_strings]
    if options:
        yield "\n".join(["| | values | meaning | default |", "|---|---|---|---|", *map(_option, options)])


def _described(text: str) -> str:
    """Prose as paragraphs, indented examples as shell."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = [line for line in block.splitlines() if line.strip()]
        if lines and all(line.startswith(" ") for line in lines):
            blocks.append("\n".join(["```sh", *(line.strip() for line in lines), "```"]))
        elif lines and lines[0].startswith("* "):
            items = re.split(r"^\* ", "\n".join(lines), flags=re.MULTILINE)[1:]
            blocks.append("\n".join(f"- {_escaped(' '.join(item.split()))}" for item in items))
        elif lines:
            blocks.append(_escaped(" ".join(line.strip() for line in lines)))
    return "\n\n".join(blocks)


def _option(action: argparse.Action) -> str:
    told, default = _meaning(str(action.help or ""))
    names = [one for one in action.option_strings if not one.startswith("--no-")]
    spelled = ", ".join(f"`{one}`" for one in sorted(names, key=len)) or f"`{action.dest.upper()}`"
    values = _plain(str(action.metavar)) if action.metavar else ""
    if not values:  # a switch
        default = "on" if default == "True" else ""
    cells = [spelled, f"`{values}`" if values else "", _cell(told), f"`{default}`" if default else ""]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _meaning(told: str) -> tuple[str, str]:
    """What an option means, and its default, which tyro appends in parentheses."""
    told = told.replace("%%", "%")  # as argparse wants it
    found = re.search(r"\s*\((?:default|optional)(?:: (.*?))?\)\s*$", " ".join(told.split()))
    if found is None:
        return " ".join(told.split()).replace("(required)", "").strip(), ""
    default = found.group(1) or ""
    text = " ".join(told.split())[: found.start()]
    return text, "" if default in ("None", "''", "") else default.replace("|", "\\|")


def _plain(metavar: str) -> str:
    """`[STR [STR ...]]` is several."""
    metavar = re.sub(r"\[(\w+) \[\1 \.\.\.\]\]", r"\1 …", metavar).replace("{None}|", "").replace("{None,", "{")
    return metavar.strip("[]").replace("|", "\\|")


def _fields(kind: type) -> str:
    told: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        told |= {each.arg_name: each.description or "" for each in parse_from_object(one).params}
    rows = [
        f"| `{one.name}` | {_cell(told.get(one.name, ''))} | {_default(one)} |" for one in dataclasses.fields(kind)
    ]
    return "\n".join(["| field | meaning | default |", "|---|---|---|", *rows])


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is dataclasses.MISSING:
        return "" if field.default_factory is dataclasses.MISSING else "of its class"
    if dataclasses.is_dataclass(field.default):
        return "of its class"
    return "unset" if field.default is None else f"`{field.default!r}`"


def _prose(kind: type) -> str:
    return _escaped(" ".join((getdoc(kind) or "").partition("\n\n")[0].split()))


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Prose whose stars, angles and double back ticks are no markup."""
    text = text.replace("``", "`")
    return "".join(
        one if one.startswith("`") else one.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")
        for one in re.split(r"(`[^`]*`)", text)
    )


if __name__ == "__main__":
    main()
