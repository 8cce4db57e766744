"""What computes runs on a machine with torch, transformers, safetensors, numpy and pytest (docs/decisions/0021)."""

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import lean_machine
import pytest

import lorif_core
from lorif_core.errors import ConfigError
from lorif_core.files import checksum_of_file, fingerprint_of_value

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import sys, importlib
sys.path[:0] = ["tests", "."]
import lean_machine
lean_machine.hide_the_rest()
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(f"{name}: {error}")
"""


def listed(kind):
    """Packages and modules of `lorif_core` in one line of the decision's list."""
    text = (ROOT / "docs" / "decisions" / "0021-lean-engine.md").read_text(encoding="utf-8")
    lists = re.search(r"```\nlean (.*?)other (.*?)```", text, re.DOTALL)
    return dict(zip(("lean", "other"), (part.split() for part in lists.groups()), strict=True))[kind]


def modules_of(name):
    """A module and, where it is a package, all that lie in it."""
    path = ROOT / "lorif_core" / Path(*name.split("."))
    inside = [f"lorif_core.{name}.{one.stem}" for one in path.glob("*.py") if one.stem != "__init__"]
    return [f"lorif_core.{name}", *sorted(inside)]


def failed_imports(names):
    command = [sys.executable, "-c", IMPORT_ALL, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_what_computes_imports_on_a_machine_with_torch_and_little_else():
    assert failed_imports(name for lean in listed("lean") for name in modules_of(lean)) == []


def test_the_machine_of_these_tests_lacks_our_other_dependencies():
    missing = ["polars", "duckdb", "pyarrow", "streamlit", "tyro", "xxhash", "jaxtyping", "hypothesis", "peft"]
    assert failed_imports(missing) == [f"{name}: No module named {name!r}" for name in missing]


def test_what_torch_and_transformers_need_is_not_hidden():
    assert not {"torch", "transformers", "tokenizers", "filelock", "jinja2"} & lean_machine.hidden_packages()


def test_every_package_is_listed_as_one_that_computes_or_not():
    named = listed("lean") + listed("other")
    present = {one.name for one in pkgutil.iter_modules(lorif_core.__path__)}
    assert {name for name in named if "." not in name} == present
    assert len(named) == len(set(named))


def test_a_hash_without_xxhash_is_refused_with_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "xxhash", None)
    (tmp_path / "file").write_bytes(b"bytes")
    for hash_something in (lambda: fingerprint_of_value(1), lambda: checksum_of_file(tmp_path / "file")):
        with pytest.raises(ConfigError, match=r"need the package xxhash, .* Run `pip install xxhash`"):
            hash_something()


def test_the_gpu_tests_pass_on_the_cpu_of_a_machine_with_torch_and_little_else():
    command = [sys.executable, "tests/lean_machine.py", "pytest", "-c", "tests/gpu/pytest.ini", "tests/gpu"]
    environment = os.environ | {"LORIF_GPU_TEST_DEVICE": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    reasons = set(re.findall(r"SKIPPED .*?: (.*)", done.stdout))
    missing = {f"could not import {name!r}: No module named {name!r}" for name in ("peft", "xxhash")}
    assert reasons == missing | {"the kernel needs a GPU and triton"}
