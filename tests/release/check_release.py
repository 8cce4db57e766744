"""What is released works by itself: ``make test-release``.

Builds the sdist, and the wheel out of the sdist; compares the wheel with the tree; installs it into an empty
environment with the tested versions; and there, in an empty folder, builds the demo and serves the studio, which a
browser opens where there is one. Prints what it did; exit code 1 says what is missing.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
PATIENCE_S = 300


def main() -> None:
    """Build, compare, install, use."""
    with tempfile.TemporaryDirectory(prefix="lorif-release-") as folder:
        wheel = build(Path(folder))
        compare(wheel)
        python = install(Path(folder) / "empty", wheel)
        use(python.parent, Path(folder) / "elsewhere")
    print("the release works")


def build(folder: Path) -> Path:
    """The wheel, made of what the sdist holds."""
    builder = _environment(folder / "builder")
    _run(builder, "-m", "pip", "install", "--quiet", "build", "-c", ROOT / "constraints.txt")
    _run(builder, "-m", "build", "--outdir", folder / "dist", ROOT)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE).group(1)
    assert f"-{version}" in sdist.name, sdist.name
    assert f"-{version}-" in wheel.name, wheel.name
    print(f"built {sdist.name} and {wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB)")
    return wheel


def compare(wheel: Path) -> None:
    """Every file of the packages is in the wheel, and nothing else is."""
    tracked = subprocess.run(
        ["git", "ls-files", "app", "lorif_core", "sample_data"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wanted = {name.replace("sample_data/", "lorif_core/sample_data/", 1) for name in tracked}
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    missing, strange = sorted(wanted - held), sorted(held - wanted)
    assert not missing, f"not in the wheel: {missing}"
    assert not strange, f"only in the wheel: {strange}"
    print(f"{len(held)} files in the wheel, as in the tree")


def install(folder: Path, wheel: Path) -> Path:
    """The Python of an environment that holds the wheel and what it needs."""
    python = _environment(folder)
    _run(python, "-m", "pip", "install", "--quiet", wheel, "-c", ROOT / "constraints.txt")
    return python


def use(programs: Path, folder: Path) -> None:
    """Build the demo and serve it, in a folder where nothing is."""
    folder.mkdir()
    lorif = programs / "lorif"
    said = _run(lorif, "demo", "demo", cwd=folder)
    assert "Sydney" in said, said
    assert "trivia-board" in _run(lorif, "browse", "demo", "--search", "sydney", "--json", cwd=folder)
    with _serving(lorif, folder) as address:
        page = urllib.request.urlopen(address, timeout=60).read().decode()
        assert "<html" in page
        _open(address)
    print("demo built and served from the wheel")


@contextmanager
def _serving(lorif: Path, folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([lorif, "app", "demo", "--port", str(port)], cwd=folder, env=_environ())
    address = f"http://127.0.0.1:{port}"
    try:
        begun = time.monotonic()
        while not _answers(f"{address}/_stcore/health"):
            assert server.poll() is None, "`lorif app` has ended"
            assert time.monotonic() - begun < PATIENCE_S, "`lorif app` does not answer"
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(60)


def _answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=10).status == 200
    except OSError:
        return False


def _open(address: str) -> None:
    """The first page and the answer of the demo, in a browser where this Python can drive one."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if not Path(CHROMIUM).exists():
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(address)
        page.get_by_text("Sydney").first.wait_for()
        assert page.locator("[data-testid=stException]").count() == 0, "the page shows a traceback"
        browser.close()
    print("opened in a browser")


def _environment(folder: Path) -> Path:
    """The Python of a new, empty environment."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


def _environ() -> dict[str, str]:
    """Without what would lead to the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def _run(*words: object, cwd: Path | None = None) -> str:
    """What a program prints; its errors are shown.

    Raises:
        SystemExit: It fails.
    """
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=_environ(), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{words[0]} {' '.join(map(str, words[1:]))} has failed:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
