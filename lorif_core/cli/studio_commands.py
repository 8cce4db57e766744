"""The command that serves the studio: app."""

import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from lorif_core.cli.output import say
from lorif_core.errors import ConfigError

HASH_VARIABLE = "LORIF_STUDIO_PASSWORD_HASH"
PASSWORD_VARIABLE = "LORIF_STUDIO_PASSWORD"
FIRST_PORT = 8501
NUM_PORTS = 50


def app(
    workspace: Positional[Path],
    /,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    auth: Literal["password", "oidc"] | None = None,
    allow_host: tuple[str, ...] = (),
    set_password: bool = False,
) -> None:
    """Serve the studio in the browser, on this machine unless told otherwise.

    Example: lorif app WORKSPACE

    Args:
        workspace: Folder of the workspace.
        port: Unset: the first free one from 8501.
        host: Address to listen on. One that other machines reach needs --auth.
        auth: password: one password for all, kept as a hash in the workspace's folder by --set-password, or
            given as LORIF_STUDIO_PASSWORD; oidc: the sign-in that `.streamlit/secrets.toml` describes.
        allow_host: Further names under which browsers reach the server, such as that of a proxy.
        set_password: Read a new password from the terminal or standard input, keep its hash, and stop.
    """
    from lorif_core.workspace.folder.workspace_files import open_files
    from lorif_core.workspace.studio.passwords import keep_password

    files = open_files(workspace)
    if set_password:
        keep_password(files, _read_password())
        say("The password is kept as a hash. Serve with `--auth password`.")
        return
    if not is_loopback(host) and auth is None:
        raise ConfigError(
            f"--host {host} can be reached from other machines, and anyone there could read the training texts and "
            "decide about them: pass `--auth password` or `--auth oidc`, or leave out --host."
        )
    os.environ |= _environment(files, auth)
    chosen = _choose_port(host, port)
    say(f"LoRIF Studio: http://{'localhost' if is_loopback(host) else host}:{chosen}  (Ctrl+C stops it)")
    _serve(host, chosen, allow_host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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


def _environment(files: Any, auth: str | None) -> dict[str, str]:
    """What the pages read: the workspace, and how people sign in."""
    from lorif_core.workspace.studio.passwords import hash_password, kept_hash

    found = {"LORIF_STUDIO_WORKSPACE": str(files.root.resolve()), "LORIF_STUDIO_AUTH": auth or ""}
    if auth == "password":
        given = os.environ.pop(PASSWORD_VARIABLE, "")
        hashed = hash_password(given) if given else kept_hash(files)
        if hashed is None:
            raise ConfigError(
                "--auth password needs a password, and none is set: run `lorif app "
                f"{files.root} --set-password` first, or give it as {PASSWORD_VARIABLE}."
            )
        found[HASH_VARIABLE] = hashed
    return found


def _read_password() -> str:
    import getpass

    typed = getpass.getpass("New password: ") if sys.stdin.isatty() else sys.stdin.readline()
    if len(typed.strip()) < 8:
        raise ConfigError("a password has at least 8 characters: choose a longer one.")
    return typed.rstrip("\n")


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


def _serve(host: str, port: int, allow_host: tuple[str, ...]) -> None:
    import lorif_core

    home = Path(lorif_core.__file__).resolve().parents[1]
    if str(home) not in sys.path:  # where the package `app` lies, in a checkout and in a wheel
        sys.path.insert(0, str(home))
    from app.gate.origins import Origins
    from app.gate.serve import serve

    serve(server_settings(host, port, allow_host), Origins.of(host, allow_host))
