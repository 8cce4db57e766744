"""The command line: exit codes, one sentence on errors, one JSON object with --json, and what --help loads."""

import json
import re
import subprocess
import sys

import pytest
from tiny_workspace import (
    SMALL,
    bytes_below,
    copy_of,
    done,
    imported,
    indexed,
    lorif,
    model_folder,
    root,
    texts_file,
    write_rows,
)

from lorif_core.cli.ask_commands import parse_tokens
from lorif_core.errors import ConfigError

COMMANDS = ["demo", "import", "index", "ask", "score", "doctor"]
ASK = ("ask", "{ws}", "--prompt", "The river of Arlen is")

REFUSALS = {
    "no workspace": (("ask", "{tmp}/none", "--prompt", "a", "--generate"), r"is not a workspace: it holds no"),
    "doctor without workspace": (("doctor", "{tmp}/none"), r"is not a workspace"),
    "folder of other things": (("import", "{root}", "{texts}"), r"needs a new or empty folder"),
    "no file to import": (("import", "{ws}"), r"name at least one file to import"),
    "file not there": (("import", "{ws}", "{tmp}/none.jsonl"), r"none.jsonl' does not exist"),
    "unknown column": (
        ("import", "{ws}", "{texts}", "--text", "body"),
        r"must name a column of the data, got 'body'",
    ),
    "half a pair of columns": (
        ("import", "{ws}", "{texts}", "--prompt", "prompt"),
        r"go together, only one was given",
    ),
    "two kinds of text": (
        ("import", "{ws}", "{texts}", "--text", "prompt", "--messages", "completion"),
        r"columns of one kind of text",
    ),
    "no model": (("index", "{ws}", "--model", "{tmp}/none"), r"is neither a folder nor a model"),
    "not a model": (("index", "{ws}", "--model", "{tmp}"), r"is no model folder: it holds no config.json"),
    "index without workspace": (("index", "--model", "{model}"), r"name the workspace folder"),
    "unknown data set": (("index", "{ws}", "--model", "{model}", "--dataset", "x"), r"0 data sets match 'x'"),
    "negative damping": (
        ("index", "{ws}", "--model", "{model}", "--damping-rule", "absolute", "--damping", "-1"),
        r"damping must be > 0 with damping_rule=absolute, got -1",
    ),
    "damping under a ratio rule": (
        ("index", "{ws}", "--model", "{model}", "--damping", "1"),
        r"damping is only read with damping_rule=absolute",
    ),
    "f of zero": (("index", "{ws}", "--model", "{model}", "--f", "0"), r"f must be at least 1, got 0"),
    "no such module": (("index", "{ws}", "--model", "{model}", "--include", "zz*"), r"no module matches 'zz\*'"),
    "no such device": (("index", "{ws}", "--model", "{model}", "--device", "zz"), r"device must be auto, cpu"),
    "neither completion nor generate": (ASK, r"give either `--completion TEXT` or `--generate`"),
    "completion and generate": ((*ASK, "--completion", " b", "--generate"), r"give either `--completion TEXT` or"),
    "empty completion": ((*ASK, "--completion", ""), r"the completion must not be empty"),
    "unknown index": ((*ASK, "--completion", " b", "--index", "ix-none"), r"there is no index 'ix-none'"),
    "tokens that are no list": ((*ASK, "--completion", " b", "--tokens", "x"), r"tokens must be a list .* got 'x'"),
    "tokens out of range": ((*ASK, "--completion", " b", "--tokens", "99"), r"tokens must lie between 0 and \d+"),
    "tokens backwards": ((*ASK, "--completion", " castle", "--tokens", "3-1"), r"tokens must be a list .* got '3-1'"),
    "contrast without a second completion": (
        (*ASK, "--completion", " b", "--objective", "contrast"),
        r"contrast and a second completion go together",
    ),
    "a second completion under margin": (
        (*ASK, "--completion", " b", "--contrast", " c", "--objective", "margin"),
        r"contrast and a second completion go together",
    ),
    "empty second completion": ((*ASK, "--completion", " b", "--contrast", ""), r"completion must not be empty"),
    "k of zero": ((*ASK, "--completion", " b", "-k", "0"), r"k must be at least 1"),
    "negative opposing": ((*ASK, "--completion", " b", "--opposing", "-1"), r"opposing at least 0"),
    "negative temperature": ((*ASK, "--generate", "--temperature", "-1"), r"temperature at least 0"),
    "bad damping of a question": ((*ASK, "--completion", " b", "--damping-ratio", "0"), r"damping_ratio must be > 0"),
    "query rank of zero": ((*ASK, "--completion", " b", "--query-rank", "0"), r"query_rank must be at least 1"),
    "moved model not there": ((*ASK, "--completion", " b", "--model", "{tmp}/none"), r"is neither a folder nor"),
    "scores file exists": (("score", "{ws}", "--queries", "{texts}", "--out", "{texts}"), r"exists already"),
    "no folder for scores": (
        ("score", "{ws}", "--queries", "{texts}", "--out", "{tmp}/none/s.parquet"),
        r"folder '.*none' does not exist",
    ),
    "queries not there": (("score", "{ws}", "--queries", "{tmp}/q", "--out", "{tmp}/s.parquet"), r"does not exist"),
    "a cluster that is no number": (("browse", "{ws}", "--cluster", "x"), r"--cluster takes .*, got 'x'"),
    "outliers, none of them": (("outliers", "{ws}", "-k", "0"), r"k must be at least 1, got 0"),
    "an index copied and renamed at once": (
        ("indexes", "{ws}", "lorif", "--rename", "x", "--copy-to", "{tmp}/x"),
        r"one thing is done to an index at a time",
    ),
    "no folder for the points of a map": (("map", "{ws}", "--out", "{tmp}/none/m.parquet"), r"folder '.*none' does"),
    "a round's queue without a round": (("rounds", "{ws}", "--overlap", "10"), r"are about a new round"),
    "a comment without text": (("comments", "{ws}", "t000", "--add", " "), r"a comment has some text, got none"),
    "contrast of a file": (
        ("score", "{ws}", "--queries", "{texts}", "--out", "{tmp}/s.parquet", "--objective", "contrast"),
        r"compares two completions and is for `lorif ask`",
    ),
}


@pytest.mark.parametrize(("command", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_one_sentence_with_exit_code_2_and_changes_nothing(command, reason, tmp_path):
    places = {"ws": indexed(), "tmp": tmp_path, "root": root(), "texts": texts_file(), "model": model_folder()}
    before = bytes_below(root())
    refused = lorif(*(word.format(**places) for word in command))
    assert refused.code == 2
    assert refused.out == ""
    (sentence,) = refused.err.strip().splitlines()
    assert sentence.startswith("lorif: ")
    assert "Error" not in sentence
    assert re.search(reason, sentence), sentence
    assert bytes_below(root()) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [("nonsense",), ("ask", "ws"), ("ask", "ws", "--prompt", "a", "-k", "x"), ("index", "ws")]
)
def test_a_command_that_cannot_be_parsed_exits_with_2_without_a_traceback(command):
    refused = lorif(*command)
    assert refused.code == 2
    assert "Traceback" not in refused.err
    assert "dummy" not in refused.err  # a name from inside the parser


def json_commands(workspace, tmp_path):
    model = ("--model", model_folder())
    queries = write_rows(tmp_path / "q.jsonl", [{"prompt": "a", "completion": " b"}])
    return {
        "import": ("import", workspace, texts_file()),
        "import with rejects": (
            "import",
            workspace,
            write_rows(tmp_path / "x.jsonl", [{"text": "a b"}, {"text": 1}]),
        ),
        "index": ("index", workspace, *model, *SMALL, "--dataset", "texts"),
        "index again": ("index", workspace, *model, *SMALL, "--damping-ratio", "1", "--dataset", "texts"),
        "dry run": ("index", workspace, *model, "--dry-run", "--dataset", "texts"),
        "modules": ("index", *model, "--list-modules"),
        "ask": ("ask", workspace, "--prompt", "a", "--completion", " b", "--opposing", "2"),
        "ask generate": ("ask", workspace, "--prompt", "The river", "--generate"),
        "score": ("score", workspace, "--queries", queries, "--out", tmp_path / "s.parquet"),
        "doctor": ("doctor",),
        "doctor of a workspace": ("doctor", workspace),
    }


@pytest.mark.parametrize("name", json_commands(root(), root()))
def test_json_prints_one_object_and_nothing_else(name, tmp_path):
    run = done(*json_commands(copy_of(indexed(), tmp_path), tmp_path)[name], "--json")
    assert isinstance(json.loads(run.out), dict)
    assert "lorif:" not in run.err


@pytest.mark.parametrize("name", json_commands(root(), root()))
def test_every_command_also_prints_for_people(name, tmp_path):
    run = done(*json_commands(copy_of(indexed(), tmp_path), tmp_path)[name])
    assert run.out.strip() or name == "dry run"  # which is an estimate, and estimates go to standard error
    assert "Traceback" not in run.err


def test_a_literal_none_is_a_completion_like_any_other(tmp_path):
    assert done(*(word.format(ws=indexed()) for word in ASK), "--completion", "None", "--json").json["question"] == {
        "prompt": "The river of Arlen is",
        "completion": "None",
        "completion_ids": None,
        "contrast": None,
        "tokens": None,
        "ends": False,
        "form": "raw",
        "system": None,
        "messages": [],
    }


def test_a_literal_none_is_a_second_completion_like_any_other():
    words = (*(word.format(ws=indexed()) for word in ASK), "--completion", " b", "--contrast", "None", "--json")
    assert done(*words).json["question"]["contrast"] == "None"


def test_joining_prompt_and_completion_without_a_space_is_pointed_out():
    words = [word.format(ws=indexed()) for word in ASK]
    assert "joined without a space" in done(*words, "--completion", "castle").out
    assert "joined without a space" not in done(*words, "--completion", " castle").out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_says_what_it_does_and_exits_with_0(command):
    run = lorif(command, "--help")
    assert run.code == 0
    assert f"usage: lorif {command}" in run.out


MISTAKES = {
    "no command": ((), "name a command: `lorif --help` lists them."),
    "no such command": (("askk",), "`lorif` has no command 'askk'. Did you mean `ask`? `lorif --help` lists them."),
    "no such measurement": (
        ("evaluate", "ldss"),
        "`lorif evaluate` has no command 'ldss'. Did you mean `lds`? `lorif evaluate --help` lists them.",
    ),
    "nothing given": (("ask",), "`lorif ask` needs WORKSPACE, which is missing: see `lorif ask --help`."),
    "no such option": (
        ("ask", "ws", "--prompt", "a", "--kk", "3"),
        "`lorif ask` has no option '--kk': see `lorif ask --help`.",
    ),
    "one word too many": (
        ("status", "ws", "b"),
        "`lorif status` does not know what to do with 'b': see `lorif status --help`.",
    ),
    "option without a value": (
        ("ask", "ws", "--prompt"),
        "--prompt needs a value, got none: see `lorif ask --help`.",
    ),
    "no number": (
        ("ask", "ws", "--prompt", "a", "-k", "three"),
        "--k takes INT (invalid literal for int() with base 10: 'three'): see `lorif ask --help`.",
    ),
    "no choice": (
        ("index", "ws", "--model", "m", "--codec", "sig"),
        "--codec is bf16, int4, int8 or sign, got 'sig': see `lorif index --help`.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_command_that_cannot_be_understood_is_refused_in_one_sentence(mistake):
    words, sentence = mistake
    run = lorif(*words)
    assert (run.code, run.out, run.err) == (2, "", f"lorif: {sentence}\n")


def test_help_lists_every_command():
    run = lorif("--help")
    assert [command for command in COMMANDS if command not in run.out] == []


@pytest.mark.parametrize(
    ("text", "positions"), [("0", [0]), ("0,2-4", [0, 2, 3, 4]), (" 1 , 3", [1, 3]), ("2-2", [2])]
)
def test_tokens_are_numbers_and_ranges(text, positions):
    assert parse_tokens(text) == positions


@pytest.mark.parametrize("text", ["", "-1", "1-", "a", "1,,2", "1-2-3", "3-1", "²"])
def test_tokens_that_are_no_list_are_refused(text):
    with pytest.raises(ConfigError, match="tokens must be a list of positions like 0,2-4"):
        parse_tokens(text)


PRINT_HEAVY = "import sys; print([name for name in ('torch', 'transformers', 'polars') if name in sys.modules])"


@pytest.mark.parametrize(
    "code",
    [
        "import lorif_core.config, lorif_core.errors",
        "import lorif_core",
        "from lorif_core.cli import main; import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['index', '--help'])",
    ],
    ids=["config", "package", "help"],
)
def test_settings_and_help_load_no_torch(code):
    run = subprocess.run([sys.executable, "-c", f"{code}\n{PRINT_HEAVY}"], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_an_empty_workspace_says_how_to_add_data(tmp_path):
    (tmp_path / "ws").mkdir()
    write_rows(tmp_path / "bad.jsonl", [{"text": ""}])
    lorif("import", tmp_path / "ws", tmp_path / "bad.jsonl")
    refused = lorif("index", tmp_path / "ws", "--model", model_folder())
    assert refused.code == 2
    assert "holds no data set yet. Add one with `lorif import`." in refused.err


def test_an_existing_scores_file_is_replaced_with_force(tmp_path):
    out = tmp_path / "s.parquet"
    out.write_text("old", encoding="utf-8")
    done("score", indexed(), "--queries", texts_file(), "--out", out, "--force")
    assert out.read_bytes()[:4] == b"PAR1"


def test_a_defect_keeps_its_traceback_and_exits_with_1(tmp_path, monkeypatch):
    from lorif_core import cli

    def broken() -> None:
        raise KeyError("a defect")

    monkeypatch.setitem(cli.COMMANDS, "doctor", broken)
    run = lorif("doctor")
    assert run.code == 1
    assert "Traceback" in run.err
    assert "this is a defect of LoRIF Studio" in run.err


def test_a_list_of_modules_says_which_are_tracked_and_why_others_are_not():
    modules = done("index", "--model", model_folder(), "--list-modules", "--json").json["modules"]
    tracked = [module["name"] for module in modules if module["is_tracked"]]
    mlps = [f"transformer.h.{layer}.mlp.{name}" for layer in range(2) for name in ("c_fc", "c_proj")]
    assert tracked == [*mlps, "lm_head"]
    assert all(module["reason"] for module in modules if not module["is_tracked"])


def test_a_dry_run_writes_nothing(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    before = bytes_below(workspace / "indexes")
    done("index", workspace, "--model", model_folder(), "--dry-run")
    assert bytes_below(workspace / "indexes") == before == {}
