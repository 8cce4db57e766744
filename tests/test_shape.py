"""The shape of the code: short functions with few parameters, no circle of files, no two files of one name."""

import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES, MOST_PARAMETERS = 60, 8
MEDIAN_LINES, NINTH_DECILE_LINES = 8, 25
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NAMED_BY_OTHERS = {"__init__.py", "__main__.py", "conftest.py"}
"""Python and pytest look for these names."""


def files_of(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


@cache
def modules() -> dict[str, ast.Module]:
    """Everything in lorif_core and app by dotted name; a package has the name of its folder."""
    found = {}
    for path in files_of("lorif_core", "app"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def functions() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, methods and inner ones too, by module, name and line."""
    return {
        f"{module}.{node.name}:{node.lineno}": node
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    }


def num_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line, with the docstring."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def num_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """All that a caller has to know: `self` counts, and so do `*values` and `**choices`, as one each."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len(named) + sum(one is not None for one in (given.vararg, given.kwarg))


def imports_of(tree: ast.Module, known: Mapping[str, object]) -> Iterator[str]:
    """Modules of ours that a file imports anywhere: in a function or for types only, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by the full name"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from [name for name in (full, node.module or "") if name in known][:1]


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Files of one circle in their order, the first again at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def packages_around(module: str, known: Mapping[str, object]) -> set[str]:
    """Their `__init__.py` run before the module does."""
    parts = module.split(".")
    return {package for end in range(1, len(parts)) if (package := ".".join(parts[:end])) in known}


def graph_of(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """File → files that its imports run, but for the packages that it lies in itself, which nobody can avoid."""
    graph = {}
    for name, tree in trees.items():
        named = set(imports_of(tree, trees)) - {name}
        around = {package for one in named for package in packages_around(one, trees)}
        graph[name] = named | around - {name} - packages_around(name, trees)
    return graph


def test_no_function_is_long():
    assert len(functions()) > 1000
    assert [place for place, one in functions().items() if num_lines(one) > MOST_LINES] == []


def test_no_function_has_many_parameters():
    many = [(place, one) for place, one in functions().items() if num_parameters(one) > MOST_PARAMETERS]
    # A kernel of a GPU is given every pointer and size by itself.
    assert [place for place, one in many if [ast.unparse(by) for by in one.decorator_list] != ["triton.jit"]] == []


def test_most_functions_are_short():
    sizes = [num_lines(one) for one in functions().values()]
    assert statistics.median(sizes) <= MEDIAN_LINES
    assert statistics.quantiles(sizes, n=10)[-1] <= NINTH_DECILE_LINES


def test_no_files_import_each_other_in_a_circle():
    graph = graph_of(modules())
    assert sum(len(imported) for imported in graph.values()) > 1000
    assert circle_in(graph) == []


@pytest.mark.parametrize(
    "back",
    [
        "import lorif_core.a",
        "from lorif_core import a",
        "from lorif_core.a import x",
        "def f():\n    from lorif_core.a import x",
        "if TYPE_CHECKING:\n    from lorif_core.a import x",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(back):
    texts = {"lorif_core": "", "lorif_core.a": "from lorif_core.b import y", "lorif_core.b": back}
    graph = graph_of({name: ast.parse(text) for name, text in texts.items()})
    assert set(circle_in(graph)) == {"lorif_core.a", "lorif_core.b"}


@pytest.mark.parametrize(
    "texts",
    [
        {"lorif_core.a": "from lorif_core.a.b import y", "lorif_core.a.b": "from lorif_core.a import y"},
        {
            "lorif_core.a": "import lorif_core.c",
            "lorif_core.a.b": "",
            "lorif_core.c": "from lorif_core.a.b import y",
        },
    ],
)
def test_a_circle_through_a_package_is_found(texts):
    assert circle_in(graph_of({name: ast.parse(text) for name, text in texts.items()})) != []


def test_a_package_may_import_its_own_files():
    texts = {"lorif_core.a": "from lorif_core.a.b import y", "lorif_core.a.b": "from lorif_core.a.c import z"}
    graph = graph_of({name: ast.parse(text) for name, text in {**texts, "lorif_core.a.c": ""}.items()})
    assert circle_in(graph) == []


def test_no_two_files_have_one_name():
    places = defaultdict(list)
    for path in files_of("lorif_core", "app", "benchmarks"):
        places[path.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 200
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in NAMED_BY_OTHERS} == {}
