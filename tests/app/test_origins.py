"""Which names and pages the studio takes for its own."""

import pytest

from app.gate.origins import Origins

HERE = Origins.of("127.0.0.1", ("studio.example.org", "Other.example:8443"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501", "studio.example.org.", "other.example:8501"]
)
def test_its_names_are_known_at_any_port(host):
    assert HERE.knows_host(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "localhost.evil.example", "evil@localhost", "localhost/", "localhost:x", "localhost:0",
     "[::1", "127.0.0.1:8501#", "10.0.0.1"],
)  # fmt: skip
def test_other_names_are_not(host):
    assert not HERE.knows_host(host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8501", "127.0.0.1:8501"),
        ("https://studio.example.org", "studio.example.org"),
        ("https://studio.example.org", "127.0.0.1:8501"),  # behind a proxy that asks under its own name for it
        ("https://other.example:8443", "127.0.0.1:8501"),
        ("http://STUDIO.example.org:80", "127.0.0.1:8501"),
    ],
)
def test_pages_of_the_studio_are_its_own(origin, host):
    assert HERE.is_own(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "127.0.0.1:8501"),
        ("null", "127.0.0.1:8501"),
        ("http://127.0.0.1:9999", "127.0.0.1:8501"),  # another program of this machine
        ("http://localhost:8501", "127.0.0.1:8501"),
        ("http://evil.example", "evil.example"),
        ("https://studio.example.org:444", "127.0.0.1:8501"),
        ("https://other.example", "127.0.0.1:8501"),
        ("https://studio.example.org@evil.example", "127.0.0.1:8501"),
        ("https://studio.example.org.evil.example", "127.0.0.1:8501"),
        ("https://studio.example.org/", "127.0.0.1:8501"),
        ("ftp://studio.example.org", "studio.example.org"),
    ],
)
def test_pages_of_others_are_not(origin, host):
    assert not HERE.is_own(origin, host)
