"""Passwords and invitations of members: who may give them, and what opens what."""

from datetime import timedelta

import pytest

from lorif_core.errors import JournalError, RoleError
from lorif_core.journal.credentials import Credentials
from lorif_core.journal.entries import utc_now

SOON = timedelta(hours=1)
both = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def credentials(journal):
    """Of ada, an admin, and cy, a curator; neither has a password yet."""
    journal.set_role("ada", "admin", by="ada")
    journal.set_role("cy", "curator", by="ada")
    return Credentials(journal.engine)


@both
def test_a_password_is_found_until_it_is_taken_away(credentials):
    assert credentials.password_hash("cy") is None
    credentials.set_password("cy", "hash 1", by="ada")
    credentials.set_password("cy", "hash 2", by="cy")
    assert credentials.password_hash("cy") == "hash 2"
    assert credentials.with_password() == ["cy"]
    credentials.take_away("cy", by="ada")
    assert credentials.password_hash("cy") is None
    assert credentials.with_password() == []


@both
def test_an_invitation_is_used_once(credentials):
    credentials.invite("cy", "digest", utc_now() + SOON, by="ada")
    assert credentials.invited("digest") == "cy"
    assert credentials.use_invitation("digest", "hash") == "cy"
    assert credentials.password_hash("cy") == "hash"
    assert credentials.invited("digest") is None
    with pytest.raises(RoleError, match="used already or has expired"):
        credentials.use_invitation("digest", "another")
    assert credentials.password_hash("cy") == "hash"


@pytest.mark.parametrize(
    "end",
    [
        lambda it: it.invite("cy", "digest", utc_now() - SOON, by="ada"),
        lambda it: it.invite("cy", "a later one", utc_now() + SOON, by="ada"),
        lambda it: it.set_password("cy", "hash", by="cy"),
        lambda it: it.take_away("cy", by="ada"),
    ],
    ids=["it expired", "there is a later one", "a password was set", "it was taken away"],
)
def test_an_invitation_opens_nothing_any_more(credentials, end):
    credentials.invite("cy", "digest", utc_now() + SOON, by="ada")
    end(credentials)
    assert credentials.invited("digest") is None
    with pytest.raises(RoleError):
        credentials.use_invitation("digest", "hash 3")
    assert credentials.password_hash("cy") != "hash 3"


def test_an_invitation_leaves_the_old_password_until_it_is_used(credentials):
    credentials.set_password("cy", "old", by="ada")
    credentials.invite("cy", "digest", utc_now() + SOON, by="ada")
    assert credentials.password_hash("cy") == "old"


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.set_password("ada", "hash", by="cy"),
        lambda it: it.take_away("ada", by="cy"),
        lambda it: it.invite("cy", "digest", utc_now() + SOON, by="cy"),
        lambda it: it.take_away("cy", by="cy"),
    ],
)
def test_others_than_admins_change_their_own_password_only(credentials, change):
    with pytest.raises(RoleError, match="only an admin"):
        change(credentials)
    assert credentials.with_password() == []


def test_who_is_no_member_cannot_be_let_in(credentials):
    with pytest.raises(JournalError, match="only members sign in"):
        credentials.set_password("eve", "hash", by="eve")
    with pytest.raises(JournalError, match="only members sign in"):
        credentials.invite("eve", "digest", utc_now() + SOON, by="ada")
