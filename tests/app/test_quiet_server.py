"""The server looks up no name and calls nobody, whoever asks it what: a recorder in its process notes every try."""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request

import pytest
from studio_server import Studio
from tiny_workspace import copy_of, imported
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

RECORD = """
import json, os, sys

CALLS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
         "socket.connect", "socket.sendto", "socket.sendmsg"}
noted = os.open(os.environ["LORIF_TEST_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event, arguments):
    if event in CALLS:
        address = arguments[0 if event.startswith("socket.get") else 1]
        os.write(noted, (json.dumps([event, repr(address)]) + "\\n").encode())

sys.addaudithook(note)
"""
"""Notes every name that the process would look up and every address that it would send to."""

LOOPBACK = ("'127.0.0.1'", "'localhost'", "('127.0.0.1'", "('::1'", "'::1'")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A studio, and what reads the calls that its process has made."""
    folder = tmp_path_factory.mktemp("recorded")
    calls = folder / "calls.jsonl"
    studio = Studio(
        copy_of(imported(), folder), first=RECORD, allow_host=["studio.example.org"], LORIF_TEST_CALLS=calls
    )

    def read():
        return [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]

    try:
        yield studio, read
    finally:
        studio.stop()


def fetch(studio, path, **headers):
    """Status and headers of an answer."""
    request = urllib.request.Request(studio.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def handshake(studio, origin):
    """Status of a WebSocket handshake as a page of ``origin`` begins it: 101 if it is let in."""

    async def shake():
        address = studio.url.replace("http", "ws") + "/_stcore/stream"
        try:
            async with connect(address, origin=origin, subprotocols=["streamlit"]):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    return asyncio.run(shake())


def test_the_recorder_sees_what_a_server_would_do(tmp_path):
    """A check of the check: looking a name up and connecting are both noted."""
    import os
    import subprocess
    import sys

    calls = tmp_path / "calls"
    tries = (
        "import socket\n"
        "for host in ('checkip.amazonaws.com.invalid', '127.0.0.1'):\n"
        "    try: socket.create_connection((host, 9), timeout=1)\n"
        "    except OSError: pass\n"
    )
    subprocess.run(
        [sys.executable, "-c", RECORD + tries], env=os.environ | {"LORIF_TEST_CALLS": str(calls)}, check=True
    )
    noted = [json.loads(line) for line in calls.read_text().splitlines()]
    assert ["socket.getaddrinfo", "'checkip.amazonaws.com.invalid'"] in noted
    assert ["socket.connect", "('127.0.0.1', 9)"] in noted


def test_nothing_but_loopback_is_called(recorded):
    studio, calls = recorded
    own = studio.url
    assert fetch(studio, "/")[0] == 200
    assert fetch(studio, "/_stcore/health", Origin="http://evil.example")[0] == 200
    assert fetch(studio, "/_stcore/host-config", Origin="http://evil.example")[0] == 200
    strangers = ["http://evil.example", "http://203.0.113.9", "http://localhost:1", "null", f"{own}.evil.example"]
    friends = [own, "https://studio.example.org"]  # the other one of a proxy that asks under another name
    answers = {origin: handshake(studio, origin) for origin in (*strangers, *friends)}
    assert [call for call in calls() if not call[1].startswith(LOOPBACK)] == []
    assert answers == dict.fromkeys(strangers, 403) | dict.fromkeys(friends, 101)


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp"])
def test_what_streamlit_tells_machines_is_hidden(recorded, path):
    assert fetch(recorded[0], path)[0] == 404


def test_a_name_that_was_pointed_at_this_machine_is_refused_with_what_to_do(recorded):
    request = urllib.request.Request(recorded[0].url, headers={"Host": "rebound.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with contextlib.closing(refused.value):
        assert refused.value.code == 421
        assert "--allow-host" in refused.value.read().decode()
        assert refused.value.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/corpus", "/_stcore/host-config", "/favicon.png", "/_stcore/metrics"])
def test_every_answer_forbids_foreign_frames_guessing_and_other_hosts(recorded, path):
    _, headers = fetch(recorded[0], path)
    policy = headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "http:" not in policy
    assert "unsafe-eval" not in policy
