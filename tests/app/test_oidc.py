"""The organisation's sign-in: whom the cookie names that Streamlit signs after it."""

import json

import pytest
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from app.gate import oidc

HERE = "https://studio.example"
USER = {"is_logged_in": True, "origin": HERE, "email": "ada@example.org", "sub": "17"}


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    """As of `.streamlit/secrets.toml`."""
    auth = {"redirect_uri": f"{HERE}/oauth2callback", "cookie_secret": "of the tests"}
    monkeypatch.setattr(secrets_singleton, "load_if_toml_exists", lambda: True)
    monkeypatch.setattr(secrets_singleton, "_secrets", {"auth": auth})


def cookies(secret=None, **user):
    value = create_signed_value(secret or get_cookie_secret(), oidc.USER_COOKIE_NAME, json.dumps(USER | user))
    return {oidc.USER_COOKIE_NAME: value.decode("latin-1")}


def test_a_cookie_that_streamlit_signed_names_the_person():
    assert oidc.person_of(cookies()) == "ada@example.org"
    assert oidc.person_of(cookies(email=None)) == "17"


def test_an_address_that_the_provider_has_not_verified_is_nobodys_name():
    assert oidc.person_of(cookies(email_verified=False)) == "17"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"secret": "of somebody else"},
        {"is_logged_in": False},
        {"origin": "https://other.example"},
    ],
)
def test_other_cookies_name_nobody(given):
    assert oidc.person_of(cookies(**given) if given else {}) is None


def test_a_cookie_that_was_changed_names_nobody():
    name, value = next(iter(cookies().items()))
    assert oidc.person_of({name: value[:-2] + "xx"}) is None
    assert oidc.person_of({name: "nonsense"}) is None
