"""Texts that every machine has: what Python's standard library says about its own functions and classes.

A prompt is the qualified name with the signature, the completion the first paragraph of the docstring. The files are
parsed, never imported; another version of Python has slightly other texts.
"""

import ast
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lorif_core.data.example import Example

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}
"""Folders of other packages, of tests, and of programs."""

SHORTEST = 10
"""Characters of a docstring that says something."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def read_docstrings() -> tuple[Example, ...]:
    """Every docstring once, in the order of the files: of those that say the same, the first."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, Example] = {}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not LEFT_OUT & set(inside.parts):
            module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            for text in _texts_of(path, module):
                found.setdefault(text.completion or "", text)
    return tuple(found.values())


def _texts_of(path: Path, module: str) -> Iterator[Example]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return  # examples of what does not compile come with some versions
    for name, node in _definitions(tree, module):
        said = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
        if len(said) >= SHORTEST:
            yield Example(f"{name}:{node.lineno}", prompt=f"{_headline(name, node)}\n", completion=said)


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            name = f"{prefix}.{child.name}"
            yield name, child
            yield from _definitions(child, name)
        else:
            yield from _definitions(child, prefix)


def _headline(name: str, node: Definition) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {name}({', '.join(map(ast.unparse, node.bases))})"
    return f"{name}({ast.unparse(node.args)})"
