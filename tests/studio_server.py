"""Studios that run as processes of their own, over workspaces with texts that try to take over the page."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiny_workspace import SMALL, done, model_folder, root, rows, write_model, write_rows

import lorif_core as lf
from lorif_core.journal.credentials import Credentials
from lorif_core.journal.journal import Journal
from lorif_core.workspace.studio.passwords import hash_password

STARTS_WITHIN_S = 600
SERVE = (
    "import json, sys; from pathlib import Path; from lorif_core.cli.studio_commands import ProxyArgs, app; "
    "given = json.loads(sys.argv[3]); names = given.keys() & {'behind_proxy', 'base_path'}; "
    "proxy = ProxyArgs(**{name: given.pop(name) for name in names}); "
    "app(Path(sys.argv[1]), port=int(sys.argv[2]), proxy=proxy, **given)"
)
PASSWORD = "correct horse battery"

MARKUP = "<script>alert(1)</script> $x^2$ :red[a] **b** `c` [d](http://example.org/) ![e](http://example.org/e.png)"
"""What a browser, Markdown, KaTeX or Streamlit would make something else of."""

RIGHT_TO_LEFT = "שלום עולם، مرحبا"
EMOJI = "👩‍👩‍👧‍👦 🏴‍☠️ é"
LONG_LINE = "word " * 200_000
"""One line of a megabyte."""

HOSTILE_TEXTS = [
    {"id": "markup", "prompt": MARKUP, "completion": f" {MARKUP}", "source": MARKUP, "year": 1900},
    {"id": "letters", "prompt": RIGHT_TO_LEFT, "completion": f" {EMOJI}.", "source": RIGHT_TO_LEFT, "year": 1901},
    {"id": "long", "prompt": "A line", "completion": f" {LONG_LINE}", "source": "atlas", "year": 1902},
]


class Studio:
    """A running studio: where it is, the workspace that it shows, its log, its process."""

    def __init__(self, workspace: Path, auth: str = "", *, first: str = "", **options: object) -> None:
        """Start one.

        Args:
            workspace: Which it shows.
            auth: As of `lorif app`.
            first: Code that its process runs before.
            **options: Further ones of `lorif app`; those in capitals are variables of its environment.
        """
        self.workspace = workspace
        self._code = f"{first}\n{SERVE}"
        self._environment = {name: str(value) for name, value in options.items() if name.isupper()}
        self._options = {name: value for name, value in options.items() if not name.isupper()} | {
            "auth": auth or None
        }
        self.log = workspace.parent / "server.log"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}{options.get('base_path', '')}"
        self.start()

    def start(self) -> None:
        """Serve, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._code, str(self.workspace), str(self._port), json.dumps(self._options)],
                stdout=log,
                stderr=log,
                env=os.environ
                | {
                    "OMP_NUM_THREADS": "1",
                    "OMP_WAIT_POLICY": "PASSIVE",
                    "LORIF_ACTOR": "tester",
                    "LORIF_STUDIO_PASSWORD": PASSWORD,
                }
                | self._environment,
            )
        end = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=30):
                    return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(self.url)

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As Ctrl-C does, with a kill for one that does not listen."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def serving(workspace: Path, auth: str = "", **options: object) -> Iterator[Studio]:
    """A studio for as long as the block runs."""
    studio = Studio(workspace, auth, **options)
    try:
        yield studio
    finally:
        studio.stop()


def give_passwords(journal: Journal, **roles: str) -> None:
    """Make people members who sign in with the password of the tests; the first of them is an admin."""
    first = next(iter(roles))
    for name, role in roles.items():
        journal.set_role(name, role, by=first)
        Credentials(journal.engine).set_password(name, hash_password(PASSWORD), by=first)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build_workspace(folder: Path) -> Path:
    """The tiny texts and hostile ones; an index of a model that writes slowly, then one of the tiny model.

    Two people disagree about a hostile text, in hostile words; its status is kept.
    """
    workspace = folder / "ws"
    done("import", workspace, write_rows(folder / "texts.jsonl", [*rows(), *HOSTILE_TEXTS]))
    done("index", workspace, "--model", slow_model_folder(), *SMALL, "--include", "*.h.0.*")
    done("index", workspace, "--model", model_folder(), *SMALL)
    opened = lf.open_workspace(workspace)
    opened.ask("The river of Arlen is", " castle Brook Glenby Farrow Corve.", k=10, num_opposing=10)
    opened.ask("The river of Arlen is", " castle Brook.", k=200, num_opposing=200)
    opened.ask(MARKUP, f" {MARKUP}", k=10, num_opposing=10)
    opened.flag(["markup"], reason="spam", text=MARKUP, actor="<b>eve</b> $x$")
    opened.restore(["markup"], text=MARKUP, actor=":red[bert]")
    return workspace


def slow_model_folder() -> Path:
    """A model that takes seconds for a few hundred tokens, so that something can happen meanwhile."""
    folder = root() / "slow-model"
    return folder if folder.exists() else write_model(folder, num_layers=30, num_positions=1024)
