"""The studio behind Debian's nginx with TLS, below a path, by the configuration that the documentation gives."""

import asyncio
import http.client
import json
import re
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from studio_server import PASSWORD, free_port, give_passwords, serving
from tiny_workspace import copy_of, imported
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import lorif_core as lf

NGINX = "/usr/sbin/nginx"
HOST = "studio.example.org"
BASE = "/studio"
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "reverse-proxy.md"


def configuration(folder, port, studio_port):
    """The guide's server, at other ports, with another certificate and as the only one of an nginx of its own."""
    (server,) = re.findall(
        r"^ {4}server \{\n.*?^ {4}\}$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    for usual, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl": str(folder),
        "127.0.0.1:8501": f"127.0.0.1:{studio_port}",
    }.items():
        assert usual in server
        server = server.replace(usual, here)
    lines = [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    around = ["daemon off;", f"pid {folder}/pid;", f"error_log {folder}/error.log;", "events {}"]
    if Path("/proc/self").owner() == "root":
        around.append("user root;")
    return "\n".join([*around, "http {", "access_log off;", *lines, server, "}", ""])


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """Port of the proxy, and the workspace of the studio behind it, whose admin is anna."""
    if not Path(NGINX).exists() or not shutil.which("openssl"):
        pytest.skip("needs Debian's nginx-light and openssl, see tests/SKIPPED.md")
    folder, port = tmp_path_factory.mktemp("proxied"), free_port()
    workspace = copy_of(imported(), folder)
    give_passwords(lf.open_workspace(workspace).journal, anna="admin")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
         "-keyout", folder / "studio.key", "-out", folder / "studio.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    with serving(workspace, "password", base_path=BASE, behind_proxy="127.0.0.1", allow_host=[HOST]) as studio:
        (folder / "nginx.conf").write_text(configuration(folder, port, studio.url.split(":")[2].split("/")[0]))
        nginx = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
        try:
            wait_for(port, nginx, folder)
            yield port, workspace
        finally:
            nginx.terminate()
            nginx.wait(30)


def wait_for(port, nginx, folder):
    for _ in range(600):
        assert nginx.poll() is None, (folder / "error.log").read_text()
        try:
            return ask(port, "GET", f"{BASE}/_stcore/health")
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(port)


def trusting():
    """The certificate is our own; whether browsers trust one is not asked here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask(port, method, path, body=None, **headers):
    line = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=trusting())
    sent = {"Host": f"{HOST}:{port}", "Accept": "text/html"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    line.request(method, path, body, sent)
    answer = line.getresponse()
    answer.text = answer.read().decode()
    line.close()
    return answer


def sign_in(port, password=PASSWORD, **headers):
    form = urlencode({"name": "anna", "password": password, "then": f"{BASE}/corpus"})
    kind = "application/x-www-form-urlencoded"
    own = {"Origin": f"https://{HOST}:{port}", "Content_Type": kind}
    return ask(port, "POST", f"{BASE}/_door/sign-in", form, **own | headers)


def cookie_of(answer):
    return answer.headers["Set-Cookie"].split(";")[0]


def handshake(port, **headers):
    """Status of a WebSocket handshake through the proxy."""

    async def shake():
        try:
            async with connect(
                f"wss://{HOST}:{port}{BASE}/_stcore/stream", host="127.0.0.1", port=port, ssl=trusting(),
                origin=f"https://{HOST}:{port}", additional_headers=headers, subprotocols=["streamlit"],
            ):  # fmt: skip
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    return asyncio.run(shake())


def test_the_door_stands_behind_the_proxy_and_lets_in_with_a_safe_cookie(proxied):
    port, _ = proxied
    door = ask(port, "GET", f"{BASE}/corpus")
    assert door.status == 401
    assert f'action="{BASE}/_door/sign-in"' in door.text
    assert door.headers["Strict-Transport-Security"]
    answer = sign_in(port)
    assert (answer.status, answer.headers["Location"]) == (303, f"{BASE}/corpus")
    assert re.fullmatch(
        r"__Secure-lorif-\d+=\S+; HttpOnly; Path=/studio; SameSite=lax; Secure", answer.headers["Set-Cookie"]
    )
    assert ask(port, "GET", f"{BASE}/corpus", Cookie=cookie_of(answer)).status == 200
    assert ask(port, "GET", f"{BASE}/_stcore/host-config", Cookie=cookie_of(answer)).status == 200


def test_a_websocket_passes_the_proxy_with_the_cookie_only(proxied):
    port, _ = proxied
    assert handshake(port) == 403
    assert handshake(port, Cookie=cookie_of(sign_in(port))) == 101


def test_the_log_has_the_address_that_the_proxy_saw_whatever_the_browser_says(proxied):
    port, workspace = proxied
    assert sign_in(port, "another one altogether", X_Forwarded_For="203.0.113.9").status == 401
    last = json.loads((workspace / "logs" / "sign-ins.log").read_text().splitlines()[-1])
    assert (last["what"], last["address"]) == ("refused: wrong password", "127.0.0.1")


@pytest.mark.browser
def test_the_pages_live_below_the_path(proxied, chromium):
    port, _ = proxied
    context = chromium.new_context(ignore_https_errors=True)
    page, failed = context.new_page(), []
    page.on("console", lambda said: failed.append(said.text) if "Security Policy" in said.text else None)
    page.goto(f"https://127.0.0.1:{port}{BASE}/corpus")
    page.get_by_label("Your name").fill("anna")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("You are anna").wait_for(timeout=300_000)
    page.get_by_role("heading", name="Corpus").wait_for()
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your name").wait_for()
    assert failed == []
    context.close()
