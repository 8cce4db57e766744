"""Who may do what, and how they sign in."""

import os
from urllib.parse import urlsplit

import streamlit as st

from app import session, signin
from lorif_core.journal.credentials import Credentials
from lorif_core.journal.entries import MAX_NAME_LENGTH
from lorif_core.journal.people import ROLES
from lorif_core.views.text import visible
from lorif_core.workspace.studio.passwords import INVITATION_HOURS, make_invitation

ROLE_WORDS = {
    "viewer": "viewer: reads",
    "curator": "curator: also imports, asks and decides",
    "admin": "admin: also settles, names members and writes guidelines",
}


def draw(*, is_admin: bool) -> None:
    """The members, and for an admin the form that adds one or changes a role."""
    journal = session.workspace().journal
    members = journal.members()
    if not members:
        st.text("Nobody has a role yet, so everybody who opens this workspace is an admin. Begin with one admin.")
    else:
        able = set(Credentials(journal.engine).with_password())
        st.dataframe(
            {
                "person": [visible(one.actor) for one in members],
                "role": [one.role for one in members],
                "password": ["set" if one.actor in able else "" for one in members],
                "named by": [visible(one.added_by) for one in members],
                "since (UTC)": [one.at.replace(tzinfo=None) for one in members],
            },
            hide_index=True,
            column_config={"since (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")},
            key=session.table_key("team-members", [f"{one.actor}\0{one.role}" for one in members]),
            alt="Members with their roles",
        )
    if not is_admin:
        st.text("Only an admin names members and changes roles.")
        return
    _role_form([one.actor for one in members])
    if members:
        _invitation([one.actor for one in members])


def _role_form(known: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="team-role"):
        person = st.selectbox(
            "Person",
            known,
            index=None,
            key="team-person",
            accept_new_options=True,
            placeholder="A name, also a new one",
            format_func=visible,
            width=240,
        )
        role = st.selectbox(
            "Role",
            ROLES,
            index=1 if known else 2,
            key="team-new-role",
            format_func=lambda one: ROLE_WORDS[one],
            width=420,
        )
        st.button(
            "Give the role",
            key="team-give-role",
            type="primary",
            disabled=not person or len(person) > MAX_NAME_LENGTH,
            on_click=_give,
            args=(person, role),
        )


def _give(person: str, role: str) -> None:
    set_role = session.workspace().journal.set_role
    session.act("Role given.", lambda: set_role(person.strip(), role, session.actor()))


def _invitation(known: list[str]) -> None:
    if os.environ.get(signin.AUTH_VARIABLE) != "password":
        st.caption("Members sign in where the studio was started with `--auth password`; here nobody has to.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="team-invitation"):
        person = st.selectbox("Invite", known, index=None, key="team-invited", format_func=visible, width=240)
        st.button("Make a link", key="team-invite", disabled=person is None, on_click=_invite, args=(person,))
    if found := st.session_state.get("team-link"):
        st.text(f"Give {visible(found[0])} this link. It works once, within {INVITATION_HOURS} hours.")
        st.code(found[1], language=None)


def _invite(person: str) -> None:
    credentials = Credentials(session.workspace().journal.engine)
    code = session.act("Link made.", lambda: make_invitation(credentials, person, session.actor()))
    st.session_state.pop("team-link", None)
    if code:
        here = urlsplit(str(st.context.url))
        base = os.environ.get(signin.BASE_VARIABLE, "")
        st.session_state["team-link"] = (person, f"{here.scheme}://{here.netloc}{base}/_door/invitation?code={code}")
