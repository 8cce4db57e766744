"""What the README and pyproject.toml claim about the repository is true."""

import re
import tomllib
from pathlib import Path

import lorif_core
from lorif_core.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DESIGN = "docs/explanation/design.md"


def packages_on_disk():
    found = [path.parent for top in ("app", "lorif_core") for path in (ROOT / top).rglob("__init__.py")]
    return {".".join(folder.relative_to(ROOT).parts) for folder in found}


def tree_in_readme():
    """Paths of the README's tree; an indented line lies in lorif_core."""
    block = README.split("## The tree")[1].split("\n\n")[1]
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


def test_every_line_of_the_readme_tree_exists():
    missing = [name for name in tree_in_readme() if not (ROOT / name).exists()]
    assert not missing


def test_the_readme_tree_names_all_of_lorif_core():
    shown = {name.removeprefix("lorif_core/").rstrip("/") for name in tree_in_readme() if "lorif_core/" in name}
    hidden = {"__init__.py", "py.typed", "__pycache__"}
    present = {path.name for path in (ROOT / "lorif_core").iterdir()} - hidden
    assert present == shown - {""}


def test_the_readme_names_every_command():
    assert [command for command in COMMANDS if f"lorif {command}" not in README and command != "demo"] == []
    assert "make demo" in README


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


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
    used = set(re.findall(r"\blf\.(\w+)", README))
    assert used
    assert used <= set(lorif_core.__all__)


def test_skipped_tests_have_a_row():
    rows = (ROOT / "tests" / "SKIPPED.md").read_text(encoding="utf-8")
    sources = (path for path in (ROOT / "tests").rglob("test_*.py"))
    skipping = {
        path.name for path in sources if re.search(r"mark\.gpu|pytest\.skip\(", path.read_text(encoding="utf-8"))
    }
    assert {name for name in skipping if name not in rows and name != Path(__file__).name} == set()
