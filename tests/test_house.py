"""What README, CONTRIBUTING and pyproject.toml claim is true, and no test passes by doing nothing."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import lorif_core
from lorif_core.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAX_README_LINES = 120
MAKE_TARGETS = ("app", "demo", "test", "notebook", "docs", "check", "bench")
"""Which README names."""
DESIGN = "docs/explanation/design.md"
LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
MAX_LINES = 500
"""Lines of a file of the product."""
ITERATED_AS_LONG = ("enumerate", "reversed", "sorted", "list", "tuple", "product", "permutations")
"""Functions whose result is empty only where what they are given is."""


def packages_on_disk():
    found = [path.parent for top in ("app", "lorif_core") for path in (ROOT / top).rglob("__init__.py")]
    return {".".join(folder.relative_to(ROOT).parts) for folder in found}


def tree_of_the_repository():
    """Paths of CONTRIBUTING.md's tree; an indented line lies in lorif_core."""
    block = CONTRIBUTING.split("## The tree")[1].split("\n\n")[1]
    for line in block.splitlines():
        indent, name = re.match(r"    ( *)(\S+)", line).groups()
        yield f"lorif_core/{name}" if indent else name


def files_that_cite():
    """Every file of ours that may cite the design: path below the root → text."""
    tops = ("app", "benchmarks", "docs", "lorif_core", "notebooks", "sample_data", "tests")
    found = [
        path for top in tops for ending in ("*.py", "*.md", "*.ipynb", "*.js") for path in (ROOT / top).rglob(ending)
    ]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in [*found, *ROOT.glob("*.md"), ROOT / "pyproject.toml", ROOT / "Makefile"]
        if not {".ipynb_checkpoints", "__pycache__"} & set(path.parts) and path != Path(__file__)
    }


def without_code(text):
    return re.sub(r"^ *```.*?^ *```$|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)


def sections_of_the_design():
    """Numbers of its headings; a list, so that one given twice shows."""
    return re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", (ROOT / DESIGN).read_text(encoding="utf-8"), re.MULTILINE)


def sections_cited(text):
    """Numbers behind the design's path, also several: `§2.5`, `§4.1 (statistics), §4.2`, `§1 and §2`."""
    for listed in re.findall(re.escape(DESIGN) + r"`?((?:\s*(?:\([^()§]*\))?,?\s*(?:and )?§\d+(?:\.\d+)*)+)", text):
        yield from re.findall(r"§(\d+(?:\.\d+)*)", listed)


def test_the_wheel_lists_every_package_and_the_sample_data():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    assert listed == packages_on_disk() | {"lorif_core.sample_data"}


def test_every_line_of_the_tree_exists():
    missing = [name for name in tree_of_the_repository() if not (ROOT / name).exists()]
    assert not missing


def test_the_tree_names_all_of_lorif_core():
    tree = list(tree_of_the_repository())
    shown = {name.removeprefix("lorif_core/").rstrip("/") for name in tree if "lorif_core/" in name}
    hidden = {"__init__.py", "py.typed", "__pycache__"}
    present = {path.name for path in (ROOT / "lorif_core").iterdir()} - hidden
    assert present == shown - {""}


def test_the_reference_has_every_command():
    headings = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8").splitlines()
    assert [command for command in COMMANDS if f"## lorif {command}" not in headings] == []


def test_the_readme_is_short_and_names_what_make_does():
    assert len(README.splitlines()) <= MAX_README_LINES
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [name for name in MAKE_TARGETS if f"\n{name}:" not in makefile or f"make {name}" not in README] == []


def test_what_is_cited_is_what_is_released():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(
            r"\]\((?![a-z]+:)([^)#\s]+)[^)\s]*\)", without_code(page.read_text(encoding="utf-8"))
        )
    ]
    assert len(links) > 100
    assert [(page.name, target) for page, target in links if not (page.parent / target).exists()] == []


def test_documents_that_are_cited_exist():
    """In code, help and messages, by their path in the repository."""
    cited = {
        (name, path)
        for name, text in files_that_cite().items()
        for path in re.findall(r"\bdocs/(?:[\w-]+/)*[\w-]+\.md\b", text)
    }
    assert len(cited) > 30
    assert sorted(one for one in cited if not (ROOT / one[1]).exists()) == []


def test_nothing_cites_a_design_that_is_not_in_the_repository():
    assert [name for name, text in files_that_cite().items() if re.search(r"\bDESIGN(\.md)? ?§", text)] == []


def test_every_cited_section_of_the_design_exists():
    cited = {(name, number) for name, text in files_that_cite().items() for number in sections_cited(text)}
    assert len(cited) > 10
    assert sorted(one for one in cited if one[1] not in sections_of_the_design()) == []


def test_a_section_of_the_design_keeps_its_number_and_anchor():
    text = (ROOT / DESIGN).read_text(encoding="utf-8")
    numbers = sections_of_the_design()
    assert sorted(set(numbers)) == sorted(numbers)
    assert re.findall(r'^#{2,3} .*<a id="([\d.]+)"></a>$', text, re.MULTILINE) == numbers
    inside = set(re.findall(r"(?<![.\d])§(\d+(?:\.\d+)*)", text)) | set(re.findall(r"\]\(#([\d.]+)\)", text))
    assert inside <= set(numbers)


def test_python_in_the_readme_uses_public_names():
    used = set(re.findall(r"\blf\.(\w+)", README + (ROOT / "docs/how-to/notebook.md").read_text(encoding="utf-8")))
    assert used
    assert used <= set(lorif_core.__all__)


def test_no_file_of_the_product_is_longer_than_the_limit():
    files = [path for top in ("app", "lorif_core") for path in (ROOT / top).rglob("*.py")]
    assert files
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_skipped_tests_have_a_row():
    rows = (ROOT / "tests" / "SKIPPED.md").read_text(encoding="utf-8")
    sources = (path for path in (ROOT / "tests").rglob("test_*.py"))
    skipping = {
        path.name for path in sources if re.search(r"mark\.gpu|pytest\.skip\(", path.read_text(encoding="utf-8"))
    }
    assert {name for name in skipping if name not in rows and name != Path(__file__).name} == set()


def test_no_test_asserts_only_inside_a_loop_that_may_be_empty():
    found = list(iter_tests(ROOT / "tests"))
    assert len(found) > 1000
    assert [name for name, is_vacuous in found if is_vacuous] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("for one in found: assert one", True),
        ("for one in found: close(one, 1)", True),
        ("assert all(found_of(one) for one in found)", True),
        ("assert not any(one for one in found) and all(one for one in found)", True),
        ("for a, b in zip(found, wanted, strict=True): assert a == b", True),
        ("for one in range(len(found)): assert one", True),
        ("while found:\n  with pytest.raises(ValueError): found.pop()", True),
        ("assert len(found) == 3\nfor one in found: assert one", False),
        ("for one in ('a', 'b'): assert one in found", False),
        ("for one, _ in zip(KNOWN, found, strict=True): assert one", False),
        ("for one in [*KNOWN, *found]: assert one", False),
        ("for one in range(3): assert one in found", False),
        ("for one in range(3, 3): assert one in found", True),
        ("for one in range(1, 5, 2): assert one in found", False),
        ("assert any(one for one in found)", False),
        ("run(found)", False),
    ],
)
def test_a_loop_that_may_be_empty_is_told_from_one_that_cannot_be(body, expected):
    assert may_assert_nothing(ast.parse(body), {"KNOWN": ast.parse("[1]", mode="eval").body}) == expected


def iter_tests(folder):
    """Each test's place, and whether all of its assertions can be passed over because there is nothing to loop over.

    A loop over a literal, over a constant of the module that is one, or over a fixed range is never empty.
    """
    for path in sorted(folder.rglob("test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value
            for node in module.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", may_assert_nothing(node, constants)


def may_assert_nothing(test, constants):
    found = list(assertions_in(test, constants))
    return bool(found) and all(found)


def assertions_in(node, constants, *, is_inside=False):
    """For every assertion below a node: whether it stands in a loop that may be empty, or is such a loop itself."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Assert):
            yield is_inside or holds_of_nothing(child.test, constants)
        elif isinstance(child, ast.Call) and is_assertion(child):
            yield is_inside
        is_loop = isinstance(child, LOOPS) and not is_never_empty(child, constants)
        yield from assertions_in(child, constants, is_inside=is_inside or is_loop)


def is_assertion(call):
    name = ast.unparse(call.func)
    is_helper = name.split(".")[-1].startswith(("assert_", "check_"))
    return is_helper or name in ("pytest.raises", "pytest.warns", "close")  # the last one is of oracles.py


def holds_of_nothing(claim, constants):
    """Whether a claim is ``all(…)`` or ``not any(…)`` of a loop that may be empty, or an ``and`` of such claims."""
    if isinstance(claim, ast.BoolOp) and isinstance(claim.op, ast.And):
        return all(holds_of_nothing(part, constants) for part in claim.values)
    quantifier = "all"
    if isinstance(claim, ast.UnaryOp) and isinstance(claim.op, ast.Not):
        claim, quantifier = claim.operand, "any"
    is_quantified = isinstance(claim, ast.Call) and ast.unparse(claim.func) == quantifier
    return is_quantified and isinstance(claim.args[0], LOOPS) and not is_never_empty(claim.args[0], constants)


def is_never_empty(node, constants):
    """Whether a loop, or what it goes over, has at least one element whatever the code under test does."""
    match node:
        case ast.For():
            return is_never_empty(node.iter, constants)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return all(is_never_empty(part.iter, constants) and not part.ifs for part in node.generators)
        case ast.List() | ast.Tuple() | ast.Set():
            return any(
                is_never_empty(one.value, constants) if isinstance(one, ast.Starred) else True for one in node.elts
            )
        case ast.Dict():
            return bool(node.keys)
        case ast.Name(id=name):
            return name in constants and is_never_empty(constants[name], {})
        case ast.Call(func=ast.Attribute(value=ast.Name() as value, attr="items" | "values" | "keys"), args=[]):
            return is_never_empty(value, constants)
        case ast.Call(func=ast.Name(id="range"), args=bounds) if all(isinstance(one, ast.Constant) for one in bounds):
            return len(range(*(one.value for one in bounds))) > 0
        case ast.Call(args=[*iterables]) if (name := ast.unparse(node.func).split(".")[-1]) in ITERATED_AS_LONG:
            return all(is_never_empty(one, constants) for one in iterables[: 1 if name != "product" else None])
        case ast.Call(func=ast.Name(id="zip"), args=[*iterables], keywords=[ast.keyword(arg="strict")]):
            return any(is_never_empty(one, constants) for one in iterables)
    return False
