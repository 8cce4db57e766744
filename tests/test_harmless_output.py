"""What data hold is shown on a terminal, never obeyed; what goes to a pipe is the data byte for byte."""

import contextlib
import io
import json

import pytest
from tiny_workspace import done, lorif

from lorif_core.cli import main
from lorif_core.views.text import visible

SIGNS = (
    "\x1b[31m\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b]8;;file:///\x1b\\ \x9b5m \x9d0;t\x9c \u202etxet\u2066 \x08\x7f"
)
HOSTILE = f"a{SIGNS}z"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_terminal(*arguments):
    out, err = Terminal(), Terminal()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit:
            pass
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    metadata = {f"col{HOSTILE}": f"value {HOSTILE}"}
    file = folder / "rows\x1b[31m\x9b.jsonl"
    rows = [{"id": f"{n}{HOSTILE}", "text": f"text {HOSTILE} {n}", **metadata} for n in range(3)]
    rows.append({"id": f"bad{HOSTILE}", "text": 7, **metadata})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done("import", folder / "ws", file, "--name", f"name{HOSTILE}")
    done("flag", folder / "ws", f"0{HOSTILE}", "--reason", "other")
    return folder / "ws"


COMMANDS = {
    "browse": ["browse"],
    "browse for programs": ["browse", "--json"],
    "ids": ["browse", "--ids"],
    "ids as JSON": ["browse", "--ids", "--json-lines"],
    "ids with zero bytes": ["browse", "--ids", "-0"],
    "status": ["status"],
    "status for programs": ["status", "--json"],
    "facets": ["facets", "--column", f"col{HOSTILE}"],
    "history": ["history"],
    "history for programs": ["history", "--json"],
    "duplicates": ["duplicates"],
    "reasons": ["reasons"],
    "conflicts": ["conflicts"],
    "preview": ["import", "rows\x1b[31m", "--preview"],
    "an unknown id": ["flag", f"none{HOSTILE}", "--reason", "x"],
    "an unknown column": ["browse", "--where", f"none{HOSTILE} = 1"],
    "an unknown data set": ["browse", "--dataset", f"none{HOSTILE}"],
    "a flag": [f"--{HOSTILE}"],
    "export": ["export", "--dry-run"],
    "rows of an export": ["export", "--out", f"kept{SIGNS.replace('/', '')}.jsonl", "--dry-run"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_is_given_nothing_to_obey(workspace, name, monkeypatch, tmp_path):
    monkeypatch.setenv("TERM", "dumb")  # colours are escape sequences too
    monkeypatch.chdir(tmp_path)
    command, *rest = COMMANDS[name]
    out, err = on_terminal(command, workspace, *rest)
    assert out + err
    assert [one for one in out + err if visible(one) != one] == []


def test_ids_go_byte_for_byte_to_a_pipe(workspace):
    ids = [f"{n}{HOSTILE}" for n in range(3)]
    assert done("browse", workspace, "--ids", "-0").out == "".join(f"{one}\0" for one in ids)
    assert done("browse", workspace, "--ids").out == "".join(f"{one}\n" for one in ids)
    assert [json.loads(line) for line in done("browse", workspace, "--ids", "--json-lines").out.splitlines()] == ids


def test_json_on_a_terminal_is_the_same_value(workspace):
    out, _ = on_terminal("browse", workspace, "--json")
    assert json.loads(out) == lorif("browse", workspace, "--json").json
