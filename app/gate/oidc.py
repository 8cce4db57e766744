"""Whom the organisation's sign-in names: the cookie that Streamlit signs after it."""

import json
import logging
from collections.abc import Mapping

from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri, validate_auth_credentials
from streamlit.errors import StreamlitAuthError
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

logger = logging.getLogger("lorif.studio")

ROUTES = ("auth/login", "auth/logout", "oauth2callback")
"""What Streamlit serves to people who are about to sign in or out."""


def person_of(cookies: Mapping[str, str]) -> str | None:
    """Who the cookies are of; None if nobody signed in with them."""
    secret = get_cookie_secret()

    def read(name: str) -> bytes | None:
        given = cookies.get(name)
        return None if given is None else decode_signed_value(secret, name, given.encode("latin-1", "replace"))

    try:
        user = json.loads(get_cookie_with_chunks(read, USER_COOKIE_NAME) or b"{}")
    except ValueError:
        return None
    if not user.get("is_logged_in") or user.get("origin") != get_origin_from_redirect_uri():
        return None
    address = user.get("email") if user.get("email_verified") is not False else None
    return str(address or user.get("sub") or "") or None


def login_url() -> str | None:
    """Where the sign-in begins; None if `.streamlit/secrets.toml` describes none, or a package is missing."""
    try:
        validate_auth_credentials("default")
        return generate_login_redirect_url("default")
    except StreamlitAuthError as error:
        logger.error("--auth oidc: %s", error)
        return None
