"""Ids on pipes: one a line where no id holds a line break, else ended by zero bytes, or as JSON."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from lorif_core.cli.output import put, put_json
from lorif_core.errors import ConfigError, DataError
from lorif_core.plain_files import MAX_LINE_BYTES

Ids = Annotated[
    tuple[str, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="ID...", help="Ids of texts; - reads them from standard input, one a line."),
]

BYTE_ORDER_MARK = "\ufeff"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class IdForm:
    """How ids stand on a pipe: one a line, unless told otherwise."""

    null: Annotated[bool, tyro.conf.arg(aliases=["-0"])] = False
    """Ids on the pipe end with a zero byte, as for `xargs -0`: right for ids with line breaks."""

    json_lines: bool = False
    """Each line of the pipe is JSON: a text, or an object with `train_id` or `id`. Right for every id."""

    def __post_init__(self) -> None:
        """Refuse both at once."""
        if self.null and self.json_lines:
            raise ConfigError("ids on a pipe have one form: give `--null` (-0) or `--json-lines`, not both.")


LINES = IdForm()


def write_ids(ids: Sequence[str], form: IdForm) -> None:
    """Print ids so that ``read_ids`` reads the same ones; nothing at all if the form cannot hold one.

    Raises:
        DataError: An id holds what ends an id in this form.
    """
    if form.json_lines:
        for train_id in ids:
            put_json(json.dumps(train_id, ensure_ascii=False) + "\n")
        return
    odd = [train_id for train_id in ids if _breaks(train_id, form)]
    if odd:
        what, way = (
            ("a zero byte", "`--json-lines`")
            if form.null
            else ("a line break or another sign that lines do not keep", "`-0` or `--json-lines`")
        )
        raise DataError(
            f"{len(odd):,} of the ids hold {what}, the first is {odd[0][:80]!r}: on the pipe it would be another id. "
            f"Pass {way} here and to the command that reads them."
        )
    for train_id in ids:
        put(train_id + ("\0" if form.null else "\n"))


def _breaks(train_id: str, form: IdForm) -> bool:
    if form.null:
        return "\0" in train_id
    return train_id.startswith(BYTE_ORDER_MARK) or any(sign in train_id for sign in "\n\r\0")


def read_ids(ids: Sequence[str], form: IdForm = LINES) -> list[str]:
    """The ids as given, or from standard input for a single -.

    Raises:
        ConfigError: A form is given, and nothing is read from standard input.
        DataError: Standard input does not hold ids in this form.
    """
    if tuple(ids) != ("-",):
        if form != LINES:
            raise ConfigError(
                "`--null` (-0) and `--json-lines` say how ids stand on standard input, but ids were given on the "
                "command line: give - in their place, or leave the flag out."
            )
        return list(ids)
    text = _standard_input()
    if form.json_lines:
        return [one for number, line in enumerate(text.split("\n"), 1) for one in _ids_of_json(number, line)]
    if form.null:
        return [one for one in text.split("\0") if one]
    lines = (_id_of_line(number, line) for number, line in enumerate(text.split("\n"), 1))
    return [line for line in lines if line]


def _standard_input() -> str:
    """All of it, without the mark that some shells put before a text."""
    if not hasattr(sys.stdin, "buffer"):
        return sys.stdin.read().removeprefix(BYTE_ORDER_MARK)
    content: bytes = sys.stdin.buffer.read(MAX_LINE_BYTES + 1)
    if len(content) > MAX_LINE_BYTES:
        raise DataError(
            f"standard input may hold {MAX_LINE_BYTES >> 20} MiB of ids, this has more: give it in parts."
        )
    try:
        text = content.decode("utf-16" if content.startswith(UTF_16_MARKS) else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input must hold ids in UTF-8, and its byte {error.start + 1:,} is not UTF-8: write the ids "
            "again, in PowerShell with `$OutputEncoding = [Text.Encoding]::UTF8`."
        ) from error
    return text.removeprefix(BYTE_ORDER_MARK)


def _id_of_line(number: int, line: str) -> str:
    line = line.removesuffix("\r")
    if "\0" in line or "\r" in line:
        sign, way = ("a zero byte", "`-0`") if "\0" in line else ("a carriage return", "`-0` or `--json-lines`")
        raise DataError(
            f"ids on standard input stand one a line, and line {number:,} holds {sign} ({line[:80]!r}): pass {way} "
            "here, and to the command that writes them."
        )
    return line


def _ids_of_json(number: int, line: str) -> Iterator[str]:
    if not line.strip():
        return
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"with `--json-lines` each line of standard input is JSON, line {number:,} is not ({line[:80]!r})."
        ) from error
    if isinstance(value, dict):
        value = value.get("train_id", value.get("id"))
    if not isinstance(value, str) or not value:
        raise DataError(
            "with `--json-lines` each line of standard input is a text or an object with the text `train_id` or "
            f"`id`, line {number:,} is {line[:80]!r}."
        )
    yield value
