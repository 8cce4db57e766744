"""Who the page is drawn for: nobody in particular on this machine, else the person whom the gate let in."""

import os
from html import escape
from urllib.parse import unquote

import streamlit as st

from app.gate.gate import PERSON_HEADER

AUTH_VARIABLE = "LORIF_STUDIO_AUTH"
"""Where `lorif app` says how people sign in: unset, password, shared or oidc."""

BASE_VARIABLE = "LORIF_STUDIO_BASE_PATH"


def is_needed() -> bool:
    """Whether people sign in."""
    return bool(os.environ.get(AUTH_VARIABLE))


def is_verified() -> bool:
    """Whether a name says who somebody is; a password that all share does not."""
    return os.environ.get(AUTH_VARIABLE) != "shared"


def passed() -> bool:
    """Whether the person may see the workspace; remembers who they are."""
    if not is_needed():
        return True
    person = unquote(st.context.headers.get(PERSON_HEADER, ""))
    if st.session_state.get("signed_in_as", person) != person:
        st.session_state.clear()  # of somebody who used this tab before
    st.session_state["signed_in_as"] = person
    return bool(person)


def draw_links() -> None:
    """Links to one's account and out; what they lead to is the gate's, not Streamlit's."""
    base = escape(os.environ.get(BASE_VARIABLE, ""))
    if os.environ.get(AUTH_VARIABLE) == "oidc":
        st.html(f'<div class="studio-links"><a href="{base}/auth/logout">Sign out</a></div>', width="content")
        return
    st.html(
        f'<div class="studio-links"><a href="{base}/_door/account">Account</a>'
        f'<form method="post" action="{base}/_door/sign-out"><button>Sign out</button></form></div>',
        width="content",
    )
