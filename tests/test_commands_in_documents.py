"""Every command that README.md and the how-to pages show is run, in a scratch folder, on the sample's small model.

A block that needs another machine, or more than a moment, says so in the line above it:
``<!-- not run: needs SLURM -->``. In a block ``ix-…`` stands for the id of the workspace's newest
index.
"""

import filecmp
import io
import json
import re
import shlex
import shutil
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny_workspace import done, lorif

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (.+?) -->\n)?^( *)```(sh|bash|shell|console)\n(.*?)^\2```", re.MULTILINE | re.DOTALL
)
PYTHON = {"README.md", "notebook.md"}
"""Pages whose Python is run as well."""
ASKED = ("--prompt", "The capital of Australia is", "--completion", " Sydney.")
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
NUM_TEXTS = 150
"""Beside those that the pages name."""


class Block(NamedTuple):
    """A fenced block of shell."""

    why_not: str
    """Why it is not run; empty: it is."""
    language: str
    lines: list[str]


def blocks_of(page):
    for why_not, _, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        yield Block(why_not, language, [line.strip() for line in text.splitlines() if line.strip()])


def commands_of(page):
    return [line for block in blocks_of(page) if not block.why_not and block.language == "sh" for line in block.lines]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def sample_texts(num_others):
    """Texts of the sample: all about Australia, those that pages name, and as many others."""
    rows = [json.loads(line) for line in (SAMPLE / "facts.jsonl").read_text(encoding="utf-8").splitlines()]
    wanted = {name for page in PAGES for name in re.findall(r"\bf-\d{5}\b", page.read_text(encoding="utf-8"))}
    about = [row for row in rows if row["id"] in wanted or "Australia" in row["prompt"]]
    return about + [row for row in rows if row not in about][:num_others]


def sample_log(questions):
    """Failed samples as lm-evaluation-harness logs them."""
    for number, question in enumerate(questions):
        yield {
            "doc_id": number,
            "doc": {},
            "target": "",
            "arguments": {"gen_args_0": {"arg_0": question["prompt"], "arg_1": {"until": ["\n"]}}},
            "resps": [[question["completion"]]],
            "filtered_resps": [question["completion"]],
            "filter": "none",
            "metrics": ["exact_match"],
            "exact_match": 0.0,
        }


def save_adapter(folder):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = folder / "base"
    config = LoraConfig(r=4, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "adapter")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder with all that the pages' commands name, and a workspace in which one question was asked."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("model", "base"):
        shutil.copytree(SAMPLE / name, folder / name)
    shutil.copytree(SAMPLE / "model", folder / "chat-model")
    (folder / "chat-model" / "chat_template.jinja").write_text(TEMPLATE)
    save_adapter(folder)
    texts = sample_texts(NUM_TEXTS)
    write_rows(folder / "texts.jsonl", texts)
    chats = [{"role": "user", "content": "When does the museum open?"}, {"role": "assistant", "content": "At eight."}]
    write_rows(folder / "chats.jsonl", [{"id": f"c{number}", "messages": chats} for number in range(12)])
    questions = [{"id": "q1", "prompt": "The capital of Australia is", "completion": " Sydney."}]
    write_rows(folder / "questions.jsonl", questions)
    write_rows(folder / "failures.jsonl", questions)
    write_rows(folder / "samples_gsm8k.jsonl", sample_log(questions))
    (folder / "guidelines.md").write_text("# What stays\n\nExclude what the encyclopedia contradicts.\n")
    losses = [
        f"{row['id']},run-{run},{number % 7 + run}"
        for number, row in enumerate([*texts, *questions])
        for run in (0, 1, 2)
    ]
    (folder / "losses.csv").write_text("\n".join(["id,model,loss", *losses]) + "\n")
    shutil.copy(SAMPLE / "recipe.toml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("import", "ws", "texts.jsonl")
        done("index", "ws", "--model", "model")
        done("ask", "ws", *ASKED)
    return folder


@pytest.fixture
def here(scratch, tmp_path, monkeypatch):
    """A copy of it, in which the test stands."""
    shutil.copytree(scratch, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LORIF_ACTOR", "anna")
    return tmp_path / "here"


def words_of(line):
    """A command's words as a shell hands them over."""
    if "ix-…" in line:
        line = line.replace("ix-…", done("indexes", "ws", "--json").json["indexes"][-1]["index_id"])
    for word in shlex.split(line, comments=True):
        yield from (sorted(map(str, Path().glob(word))) or [word]) if "*/" in word else [word]


def run_line(line, monkeypatch):
    program, *words = words_of(line)
    if program == "cmp":
        assert filecmp.cmp(*words, shallow=False), line
        return
    assert program == "lorif", f"{line}: say above the block why it is not run, `<!-- not run: … -->`"
    monkeypatch.setattr("sys.stdin", io.StringIO("a password that is long enough\n"))
    run = lorif(*words)
    assert run.code == 0, f"{line}\n{run.err}"
    if "--as-job" in words:
        wait_for_jobs()


def wait_for_jobs():
    """A worker that outlives its folder would be left over."""
    begun = time.monotonic()
    while any(job["status"] in ("queued", "running") for job in done("jobs", "ws", "--json").json["jobs"]):
        assert time.monotonic() - begun < 300
        time.sleep(0.5)


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page, here, monkeypatch):
    commands = commands_of(page)
    if commands[0].startswith("lorif import ws"):
        shutil.rmtree("ws")
    for line in commands:
        run_line(line, monkeypatch)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name in PYTHON], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, here):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    import_module("lorif_core.widgets")  # as Jupyter does when a public name is first used
    done("ask", "ws", "--prompt", "The capital of France is", "--completion", " Paris.")
    for block in blocks:
        exec(compile(block, str(page), "exec"), {})  # the page under test, as a person types it


def test_every_block_is_run_or_says_why_not():
    shown = {page.name: list(blocks_of(page)) for page in PAGES}
    assert sum(len(found) for found in shown.values()) > 20
    unclear = [
        (name, block.lines[0])
        for name, found in shown.items()
        for block in found
        if block.language != "sh" and not block.why_not and any(line.startswith("lorif ") for line in block.lines)
    ]
    assert unclear == []


def test_the_readme_runs_its_five_lines():
    assert len(commands_of(ROOT / "README.md")) == 5


def test_a_command_outside_of_a_block_is_seen():
    """Indented by eight it would be a block that nobody runs."""
    indented = [
        (page.name, line)
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"( {4}|\t)+lorif ", line) and line.strip() not in commands_and_skipped(page)
    ]
    assert indented == []


def commands_and_skipped(page):
    return {line for block in blocks_of(page) for line in block.lines}
