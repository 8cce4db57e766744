"""Words that people read: short, as a colleague would say them, one word per idea.

Looked at are the strings of the command line with its help, of the studio, of the settings that forms show, all
messages of lorif_core, the documents and the notebooks; docs/decisions and CHANGELOG.md say what was. A new phrase
goes into ``BANNED`` with what to say instead; docs/acceptance.md, row 88.
"""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = (
    "lorif_core/cli/*.py",
    "lorif_core/config.py",
    "lorif_core/*_config.py",
    "lorif_core/methods/*settings.py",
    "lorif_core/methods/registry.py",
    "app/**/*.py",
)
PAGES = ("*.md", "docs/*.md", "docs/how-to/*.md", "docs/reference/*.md", "docs/explanation/*.md")
HISTORY = ("CHANGELOG.md",)
WORDS = r"(?<![\w-])(?:{})(?![\w-])"

BANNED = {
    r"[Ll]ets? the model say": "Generate",
    r"Rather than(?= \()": "Compare with",
    r"did not work": "Something went wrong",
    r"learnt by heart|by heart": "memorised",
    r"shall": "should, will or must",
    r"stay as they are": "should not change",
    r"[Ww]hom it names|[Ww]hom a command names": "what it names",
    r"names that nobody bears": "names that nobody has",
    r"cannot be told without|not told": "unknown",
    r"[Nn]othing of that": "none of it",
    r"begun anew|write the ids anew|trained anew": "again",
    r"(?:model|index|studio) lies": "is",
    r"is agreed to": "is confirmed",
    r"name and password do not belong together": "wrong name or password",
    r"in two different ways": "differ",
    r"place holder": "placeholder",
    r"\w+\(s\)": "1 text, 2 texts",
    r"1 (?:texts|examples|rows|questions|decisions|indexes|jobs)": "1 text",
    r"is not possible to": "cannot",
    r"make use of": "use",
    r"in order to": "to",
    r"please": "nothing",
}
"""Pattern of whole words → what is said instead."""

MESSAGES = {
    r"anew": "again",
    r"(?:[Ee]very|[Ee]ach|excluded|flagged) examples?": "text",
}
"""Of the sentences that errors and commands say."""

ONE_WORD = {
    r"train(?:ing)? examples?|per example": "text",
    r"[Tt]rain ids?": "id of the text",
    r"(?:[Ee]very|[Ee]ach|[Ee]xcluded|[Ff]lagged|\d+|more|the) examples?": "text",
    r"(?:[Ee]very|[Ee]ach|[Aa]ll|of the|the|a file of|[Dd]ata file of) quer(?:y|ies)": "question",
}
"""Of what people type and read at the command line; the code and the mathematics say example and query."""


def strings_of(path):
    """What of a file people may read, each with its line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, " ".join(node.value.split())
    elif path.suffix == ".ipynb":
        for number, cell in enumerate(json.loads(text)["cells"]):
            if cell["cell_type"] == "markdown":
                yield number, " ".join("".join(cell["source"]).split())
    else:
        prose = re.sub(r"^ *```.*?^ *```$", lambda code: "\n" * code.group(0).count("\n"), text, flags=re.M | re.S)
        yield from enumerate(prose.splitlines(), 1)


def messages_of(path):
    """What of a file's strings is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, " ".join(node.value.split())


def files(*patterns):
    found = [path for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.name not in HISTORY]
    assert found
    return found


def found_in(paths, banned, read=strings_of):
    return [
        f"{path.relative_to(ROOT)}:{line} {match.group(0)!r}: say {better!r}"
        for path in paths
        for line, text in read(path)
        for pattern, better in banned.items()
        for match in re.finditer(WORDS.format(pattern), text)
    ]


def test_no_banned_phrase_in_code_that_people_read():
    assert found_in(files(*PYTHON), BANNED) == []


def test_no_banned_phrase_in_a_message():
    """Sentences of errors, and what is said; developers read the rest."""
    assert found_in(files("lorif_core/**/*.py", "app/**/*.py"), BANNED | MESSAGES, messages_of) == []


def test_no_banned_phrase_in_the_documents():
    assert found_in(files(*PAGES), BANNED) == []


def test_no_banned_phrase_in_the_notebooks():
    assert found_in(files("notebooks/*.ipynb"), BANNED) == []


def test_the_command_line_and_the_how_tos_have_one_word_per_idea():
    for_developers = {"adding-a-method.md", "training-loop.md"}
    pages = [path for path in files("README.md", "docs/how-to/*.md") if path.name not in for_developers]
    assert found_in([*files("lorif_core/cli/*.py", "lorif_core/*config.py"), *pages], ONE_WORD) == []


@pytest.mark.parametrize(
    ("said", "is_found"),
    [
        ("The completions shall stay.", True),
        ("Marshall stays.", False),
        ("Let the model say it", True),
        ("1 texts", True),
        ("21 texts", False),
        ("text(s)", True),
        ("Where the model lies now", True),
    ],
)
def test_a_banned_phrase_is_found_as_whole_words(said, is_found):
    assert any(re.search(WORDS.format(pattern), said) for pattern in BANNED) == is_found
