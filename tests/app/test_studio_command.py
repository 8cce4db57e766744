"""What `lorif app` refuses, and how it serves."""

import pytest
from tiny_workspace import copy_of, imported

from lorif_core.cli.studio_commands import app, is_loopback, server_settings
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.studio.passwords import (
    PASSWORD_FILE,
    hash_password,
    is_password,
    keep_password,
    kept_hash,
)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.example.org", ""])
def test_a_host_that_others_reach_needs_a_way_to_sign_in(host, tmp_path):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="--auth"):
        app(copy_of(imported(), tmp_path), host=host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_only_this_machine_reaches_a_loopback_address(host):
    assert is_loopback(host)


def test_a_folder_that_is_no_workspace_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="not a workspace"):
        app(tmp_path / "missing")


def test_password_without_a_password_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--set-password"):
        app(copy_of(imported(), tmp_path), auth="password")


def test_the_password_is_kept_as_a_hash_only_its_owner_can_read(tmp_path):
    files = open_files(copy_of(imported(), tmp_path))
    assert kept_hash(files) is None
    keep_password(files, "correct horse")
    path = files.root / PASSWORD_FILE
    assert path.stat().st_mode & 0o077 == 0
    assert "correct" not in path.read_text()
    assert is_password("correct horse", kept_hash(files) or "")
    assert not is_password("correct horsf", kept_hash(files) or "")


def test_the_same_password_has_two_hashes():
    assert hash_password("correct horse") != hash_password("correct horse")


@pytest.mark.parametrize("line", ["", "x", "scrypt$zz$00", "plain$00$00", "scrypt$00"])
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
