"""What `lorif app` refuses, and how it serves."""

import hashlib

import pytest
from tiny_workspace import copy_of, imported

from lorif_core.cli import studio_commands
from lorif_core.cli.studio_commands import ProxyArgs, app, is_loopback, server_settings
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.studio.passwords import (
    PASSWORD_FILE,
    check_password,
    has_old_cost,
    hash_password,
    is_password,
    keep_password,
    kept_hash,
)


@pytest.fixture(autouse=True)
def nothing_is_served(monkeypatch):
    """What ought to be refused and is not fails here, instead of serving until the test's time is up."""
    monkeypatch.setattr(studio_commands, "_choose_port", lambda *_: pytest.fail("it was not refused"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.example.org", ""])
def test_a_host_that_others_reach_needs_a_way_to_sign_in(host, tmp_path):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="--auth"):
        app(copy_of(imported(), tmp_path), host=host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_only_this_machine_reaches_a_loopback_address(host):
    assert is_loopback(host)


def test_a_folder_that_is_no_workspace_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("tidy up")
    with pytest.raises(ArtefactError, match="needs a new or empty folder"):
        app(tmp_path / "notes")
    with pytest.raises(ArtefactError, match="there is no folder"):
        app(tmp_path / "missing" / "workspace")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_passwords_of_their_own_need_a_member_who_has_one(tmp_path):
    folder = copy_of(imported(), tmp_path)
    with pytest.raises(ConfigError, match="nobody has one: make yourself a member with `lorif members"):
        app(folder, auth="password")
    open_files(folder).journal.set_role("ada", "admin", by="ada")
    with pytest.raises(ConfigError, match="nobody has one"):
        app(folder, auth="password")


def test_a_shared_password_must_be_set(tmp_path, monkeypatch):
    monkeypatch.delenv("LORIF_STUDIO_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="--set-password"):
        app(copy_of(imported(), tmp_path), auth="shared")


def test_a_shared_password_is_none_where_names_have_roles(tmp_path, monkeypatch):
    monkeypatch.setenv("LORIF_STUDIO_PASSWORD", "correct horse battery")
    folder = copy_of(imported(), tmp_path)
    open_files(folder).journal.set_role("ada", "admin", by="ada")
    with pytest.raises(ConfigError, match="members with roles, whose names anyone could type: use `--auth password`"):
        app(folder, auth="shared")


@pytest.mark.parametrize("base", ["a b", "a//b", "../a", "a?b", "ä"])
def test_a_base_path_that_a_browser_would_write_differently_is_refused(tmp_path, base):
    with pytest.raises(ConfigError, match="--base-path"):
        app(copy_of(imported(), tmp_path), proxy=ProxyArgs(base_path=base))


@pytest.mark.parametrize("proxy", ["*", "", "proxy.example.org", "10.0.0.0/99"])
def test_a_proxy_is_an_address(tmp_path, proxy):
    with pytest.raises(ConfigError, match="--behind-proxy"):
        app(copy_of(imported(), tmp_path), proxy=ProxyArgs(behind_proxy=proxy))


def test_the_password_is_kept_as_a_hash_only_its_owner_can_read(tmp_path):
    files = open_files(copy_of(imported(), tmp_path))
    assert kept_hash(files) is None
    keep_password(files, "correct horse")
    path = files.root / PASSWORD_FILE
    assert path.stat().st_mode & 0o077 == 0
    assert "correct" not in path.read_text()
    assert is_password("correct horse", kept_hash(files) or "")
    assert not is_password("correct horsf", kept_hash(files) or "")


def test_a_hash_costs_what_owasp_says():
    hashed = hash_password("correct horse battery")
    assert hashed.startswith("scrypt$131072$8$1$")
    assert is_password("correct horse battery", hashed)
    assert not has_old_cost(hashed)


def test_a_hash_that_version_0_1_kept_still_opens_and_is_known_to_be_old():
    salt = "00" * 16
    digest = hashlib.scrypt(b"correct horse", salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=32)
    old = f"scrypt${salt}${digest.hex()}"
    assert is_password("correct horse", old)
    assert not is_password("correct horsf", old)
    assert has_old_cost(old)


@pytest.mark.parametrize("password", ["short", " " * 20, "x" * 1_001, "aaaaaaaaaaaaaa", "ada-lovelaceada-lovelace"])
def test_a_password_that_is_easily_guessed_is_refused(password):
    with pytest.raises(ConfigError, match="password"):
        check_password(password, "ada-lovelace")


def test_the_same_password_has_two_hashes():
    assert hash_password("correct horse") != hash_password("correct horse")


@pytest.mark.parametrize(
    "line", ["", "x", "scrypt$zz$00", "plain$00$00", "scrypt$00", "scrypt$1$8$1$00$00", "scrypt$2147483648$8$1$00$00"]
)
def test_a_line_that_is_no_hash_opens_nothing(line):
    assert not is_password("", line)


def test_the_server_is_private_and_silent():
    settings = server_settings("127.0.0.1", 8501)
    off = ["browser.gatherUsageStats", "server.enableStaticServing", "server.enableAgentApi", "server.runOnSave"]
    assert [settings[name] for name in off] == [False] * 4
    assert settings["server.enableCORS"]
    assert settings["server.enableXsrfProtection"]
    assert settings["server.allowedHosts"][:2] == ["localhost", "127.0.0.1"]
    assert settings["client.showErrorDetails"] == "none"
