"""The door: open on this machine, else a shared password or the organisation's sign-in."""

import os

import streamlit as st

from lorif_core.workspace.studio.passwords import is_password

AUTH_VARIABLE = "LORIF_STUDIO_AUTH"
"""Where `lorif app` says how people sign in: unset, password or oidc."""

HASH_VARIABLE = "LORIF_STUDIO_PASSWORD_HASH"


def is_needed() -> bool:
    """Whether people sign in."""
    return bool(os.environ.get(AUTH_VARIABLE))


def is_inside() -> bool:
    """Whether nobody needs to sign in, or the person has."""
    kind = os.environ.get(AUTH_VARIABLE)
    return not kind or bool(st.user.is_logged_in if kind == "oidc" else st.session_state.get("signed_in_as"))


def passed() -> bool:
    """Whether the person may see the workspace; draws the door otherwise."""
    kind = os.environ.get(AUTH_VARIABLE)
    if not kind:
        return True
    if kind == "oidc":
        return _passed_oidc()
    if not st.session_state.get("signed_in_as"):
        _ask_password()
    return bool(st.session_state.get("signed_in_as"))


def leave() -> None:
    """Sign out."""
    st.session_state.clear()
    if os.environ.get(AUTH_VARIABLE) == "oidc":
        st.logout()


def _passed_oidc() -> bool:
    if not st.user.is_logged_in:
        st.header("LoRIF Studio", anchor=False)
        st.button("Sign in", on_click=st.login, type="primary")
        return False
    st.session_state["signed_in_as"] = str(st.user.get("email") or st.user.get("sub"))
    return True


def _ask_password() -> None:
    with st.container(horizontal_alignment="center"), st.form("sign-in", width=380):
        st.subheader("LoRIF Studio", anchor=False)
        name = st.text_input("Your name", help="Decisions are kept under it.", max_chars=200)
        password = st.text_input("Password of this studio", type="password")
        if st.form_submit_button("Sign in", type="primary"):
            if not name.strip():
                st.text("Type your name: decisions are kept under it.")
            elif not is_password(password, os.environ[HASH_VARIABLE]):
                st.text("This is not the password.")
            else:
                st.session_state["signed_in_as"] = name.strip()
                st.rerun()
