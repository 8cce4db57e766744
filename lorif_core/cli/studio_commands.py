"""The command that serves the studio: app."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.output import say
from lorif_core.errors import ConfigError
from lorif_core.workers_config import HERE, ScanConfig

if TYPE_CHECKING:
    from app.gate.serve import Entrance
    from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

PASSWORD_VARIABLE = "LORIF_STUDIO_PASSWORD"
FIRST_PORT = 8501
NUM_PORTS = 50
PLAIN_TEXT = (
    "Passwords and texts travel as plain text: put a proxy with TLS before it (docs/how-to/reverse-proxy.md)."
)


@dataclass(frozen=True, kw_only=True)
class ProxyArgs:
    """What stands before the studio."""

    behind_proxy: str | None = None
    """Address of a reverse proxy, such as 127.0.0.1: what it says about who asks, and whether by TLS, is believed."""

    base_path: str = ""
    """Path of the studio below its host, such as /studio."""


def app(
    workspace: Positional[Path],
    /,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    auth: Literal["password", "shared", "oidc"] | None = None,
    allow_host: tuple[str, ...] = (),
    proxy: OmitArgPrefixes[ProxyArgs] = ProxyArgs(),
    scan: OmitArgPrefixes[ScanConfig] = HERE,
    set_password: bool = False,
) -> None:
    """Serve the studio in the browser, on this machine unless told otherwise.

    A folder that is new or empty becomes a workspace; the studio says what to do first.

    Example: lorif app WORKSPACE

    Args:
        workspace: Folder of the workspace.
        port: Unset: the first free one from 8501.
        host: Address to listen on. One that other machines reach needs --auth.
        auth: password: every member has one of their own (`lorif members --set-password`, `--invite`); shared: one
            for all, by --set-password or LORIF_STUDIO_PASSWORD, and names are not verified, so there are no roles;
            oidc: the sign-in that `.streamlit/secrets.toml` describes.
        allow_host: Further names under which browsers reach the server, such as that of a proxy.
        proxy: What stands before it.
        scan: Which processes scan indexes for its questions, kept as long as it runs.
        set_password: Read the password that all share from the terminal or standard input, keep its hash, and stop.
    """
    from lorif_core.workspace.folder.workspace_files import open_or_begin
    from lorif_core.workspace.studio.passwords import keep_password

    files, is_new = open_or_begin(workspace)
    if is_new:
        say(f"{workspace} is a new workspace, with nothing in it yet.")
    if set_password:
        keep_password(files, read_password("New password for all: "))
        say("The password is kept as a hash. Serve with `--auth shared`.")
        return
    _check_reach(host, auth)
    base, believed = _checked_base(proxy.base_path), _checked_proxy(proxy.behind_proxy)
    shared_hash = _shared_hash(files) if auth == "shared" else None
    if auth == "password":
        _require_passwords(files)
    chosen = _choose_port(host, port)
    say(f"LoRIF Studio: http://{'localhost' if is_loopback(host) else host}:{chosen}{base}  (Ctrl+C stops it)")
    if not is_loopback(host) and not believed:
        say(PLAIN_TEXT)
    _import_app()
    from app.gate.origins import Origins
    from app.gate.serve import Entrance

    entrance = Entrance(Origins.of(host, allow_host), chosen, auth, shared_hash, base, believed)
    _serve(files, server_settings(host, chosen, allow_host), entrance, scan)


def _serve(files: "WorkspaceFiles", settings: dict[str, Any], entrance: "Entrance", scan: ScanConfig) -> None:
    """Until it is stopped."""
    from app.gate.serve import serve

    os.environ |= {
        "LORIF_STUDIO_WORKSPACE": str(files.root.resolve()),
        "LORIF_STUDIO_AUTH": entrance.auth or "",
        "LORIF_STUDIO_BASE_PATH": entrance.base_path,
    }
    with _scanned(files, scan):
        serve(files, settings | {"server.baseUrlPath": entrance.base_path.strip("/")}, entrance)


@contextmanager
def _scanned(files: "WorkspaceFiles", scan: ScanConfig) -> Iterator[None]:
    """Let workers scan for the questions of this process, if there are to be any, while the block runs."""
    if not scan.has_workers:
        yield
        return
    from app.scanning import scan_with
    from lorif_core.workspace.asking.scan_with_workers import scanner_for

    with scanner_for(files, scan) as scanner:
        scan_with(scanner)
        yield


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_reach(host: str, auth: str | None) -> None:
    if not is_loopback(host) and auth is None:
        raise ConfigError(
            f"--host {host} can be reached from other machines, and anyone there could read the training texts and "
            "decide about them: pass `--auth password`, `--auth shared` or `--auth oidc`, or leave out --host."
        )


def server_settings(host: str, port: int, allow_host: tuple[str, ...] = ()) -> dict[str, Any]:
    """Streamlit's settings: private, without telemetry, errors in the log only."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.allowedHosts": ["localhost", "127.0.0.1", host, *(name.rsplit(":", 1)[0] for name in allow_host)],
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "client.showSidebarNavigation": False,
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
        "runner.magicEnabled": False,
        "theme.light.primaryColor": "#1d5fd1",
        "theme.dark.primaryColor": "#7fb0ff",
        "theme.baseRadius": "small",
    }


def read_password(prompt: str, name: str | None = None) -> str:
    """A new password, from the terminal, where it does not show, or from standard input.

    Raises:
        ConfigError: It may not be one.
    """
    import getpass

    from lorif_core.workspace.studio.passwords import check_password

    typed = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    return check_password(typed.rstrip("\n"), name)


def _shared_hash(files: "WorkspaceFiles") -> str:
    """The hash of the password that all share."""
    from lorif_core.workspace.studio.passwords import has_old_cost, hash_password, kept_hash

    if files.journal.members():
        raise ConfigError(
            "--auth shared verifies no names, and this workspace has members with roles, whose names anyone could "
            "type: use `--auth password` and give each of them a password with `lorif members "
            f"{files.root} --invite NAME`."
        )
    if given := os.environ.pop(PASSWORD_VARIABLE, ""):
        return hash_password(given)
    hashed = kept_hash(files)
    if hashed is None:
        raise ConfigError(
            f"--auth shared needs a password, and none is set: run `lorif app {files.root} --set-password` first, or "
            f"give it as {PASSWORD_VARIABLE}."
        )
    if has_old_cost(hashed):
        say(f"The password is kept as an old version did: `lorif app {files.root} --set-password` keeps it better.")
    return hashed


def _require_passwords(files: "WorkspaceFiles") -> None:
    from lorif_core.journal.credentials import Credentials

    if not Credentials(files.journal.engine).with_password():
        raise ConfigError(
            "--auth password lets in members who have a password, and nobody has one: make yourself a member with "
            f"`lorif members {files.root} --set NAME --role admin --set-password NAME`, then `--invite` others. "
            "One password for all is `--auth shared`."
        )


def _checked_base(base_path: str) -> str:
    """The path below the host: empty, or with a slash before it and none behind."""
    base = base_path.strip("/")
    if base and not re.fullmatch(r"\w[\w.~-]*(/\w[\w.~-]*)*", base, re.ASCII):
        raise ConfigError(f"--base-path is made of letters, digits and hyphens, as in /studio, got {base_path!r}.")
    return f"/{base}" if base else ""


def _checked_proxy(behind_proxy: str | None) -> str:
    if behind_proxy is None:
        return ""
    try:
        return str(ip_network(behind_proxy, strict=False)) if "/" in behind_proxy else str(ip_address(behind_proxy))
    except ValueError:
        raise ConfigError(
            f"--behind-proxy is the address that the proxy asks from, such as 127.0.0.1, got {behind_proxy!r}."
        ) from None


def _choose_port(host: str, port: int | None) -> int:
    for candidate in range(FIRST_PORT, FIRST_PORT + NUM_PORTS) if port is None else (port,):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except (OSError, OverflowError) as error:
                if port is not None:
                    raise ConfigError(
                        f"port {port} of {host} cannot be used ({error}): choose another one with `--port`."
                    ) from error
                continue
            return int(probe.getsockname()[1])
    raise ConfigError(f"no port from {FIRST_PORT} to {FIRST_PORT + NUM_PORTS - 1} is free: choose one with `--port`.")


def _import_app() -> None:
    """Make the package `app` importable, which lies beside this one in a checkout and in a wheel."""
    import lorif_core

    home = str(Path(lorif_core.__file__).resolve().parents[1])
    if home not in sys.path:
        sys.path.insert(0, home)
