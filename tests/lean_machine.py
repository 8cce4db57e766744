"""A machine that has torch, transformers, safetensors, numpy and pytest: what else is installed here cannot be found.

    python tests/lean_machine.py pytest -c tests/gpu/pytest.ini tests/gpu

runs a module as ``python -m`` does there (docs/decisions/0021).
"""

import os
import runpy
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

INSTALLED = ("torch", "transformers", "safetensors", "numpy", "pytest")
OURS = ("lorif_core", "app")


def with_requirements(names: Iterable[str]) -> set[str]:
    """Names of the distributions that pip installs for these, without extras."""
    found: set[str] = set()
    open_names = [canonicalize_name(name) for name in names]
    while open_names:
        name = open_names.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                open_names.append(canonicalize_name(requirement.name))
    return found


def hidden_packages() -> set[str]:
    """Top-level packages that are installed here and would not be there."""
    kept = with_requirements(INSTALLED)
    return {
        package
        for package, distributions in metadata.packages_distributions().items()
        if package not in OURS and not kept & {canonicalize_name(name) for name in distributions}
    }


def hide_the_rest() -> None:
    """Make imports fail in this process as they would there; to be called before anything is imported."""
    hidden = hidden_packages()

    class LeanFinder(PathFinder):
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):
            return None if fullname.partition(".")[0] in hidden else super().find_spec(fullname, path, target)

    sys.meta_path[sys.meta_path.index(PathFinder)] = LeanFinder


if __name__ == "__main__":
    # Plugins are found by their metadata, which is still there.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    hide_the_rest()
    sys.path[0] = str(Path.cwd())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
