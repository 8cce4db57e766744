"""What opens the door: a member's own password, or one that all share."""

import asyncio
import time
from typing import Literal

from lorif_core.errors import JournalError
from lorif_core.journal.credentials import Credentials
from lorif_core.journal.journal import Journal
from lorif_core.workspace.studio import passwords

AuthKind = Literal["password", "shared", "oidc"]

AT_ONCE = 2
"""Hashes computed at a time, of 128 MiB each: more guesses wait."""

TRUSTED_FOR_S = 5.0
"""For so long what the journal said about a password counts; a change ends sessions after it at the latest."""


class Keys:
    """Checks passwords against the journal, in threads, so that nobody else waits."""

    def __init__(self, journal: Journal, shared_hash: str | None = None) -> None:
        """Check against the members' passwords, or against the one that all share."""
        self.is_shared = shared_hash is not None
        self.credentials = Credentials(journal.engine)
        self._journal = journal
        self._shared_hash = shared_hash
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[str, tuple[float, str | None]] = {}

    async def proof_of(self, person: str, password: str) -> str | None:
        """The hash that somebody's password matches; None if it does not, or nobody is called so.

        It takes as long for a name that nobody bears.
        """
        async with self._turns:
            return await asyncio.to_thread(self._proof_of, person, password)

    async def present_proof(self, person: str) -> str | None:
        """The hash that a session of that person must have begun with; None if they may not be here (any more).

        Raises:
            JournalError: The journal cannot be read.
        """
        at, proof = self._asked.get(person, (-TRUSTED_FOR_S, None))
        if time.monotonic() - at >= TRUSTED_FOR_S:
            proof = await asyncio.to_thread(self._kept_hash, person)
            self._asked[person] = time.monotonic(), proof
        return proof

    async def keep(self, person: str, password: str) -> str:
        """Keep the new password that a member chose for themself; returns its hash."""
        proof = await self._hash(password)
        await asyncio.to_thread(self.credentials.set_password, person, proof, person)
        self._asked.pop(person, None)
        return proof

    async def accept(self, code: str, password: str) -> tuple[str, str]:
        """Keep the password that an invited member chose; returns who they are and its hash.

        Raises:
            RoleError: The invitation was used or has expired.
        """
        proof = await self._hash(password)
        person = await asyncio.to_thread(self.credentials.use_invitation, passwords.digest_of(code), proof)
        self._asked.pop(person, None)
        return person, proof

    async def invited(self, code: str) -> str | None:
        """Whom an invitation is for; None if it opens nothing."""
        return await asyncio.to_thread(self.credentials.invited, passwords.digest_of(code))

    async def role_of(self, person: str) -> str:
        """What a person may do, in a sentence."""
        if self.is_shared:
            return "Names are not verified here."
        return f"You are signed in. Your role: {await asyncio.to_thread(self._journal.role_of, person)}."

    async def is_member(self, person: str) -> bool:
        """Whether somebody with a role is called so; False too if the journal cannot say."""
        try:
            return person in [member.actor for member in await asyncio.to_thread(self._journal.members)]
        except JournalError:
            return False

    async def _hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(passwords.hash_password, password)

    def _proof_of(self, person: str, password: str) -> str | None:
        hashed = self._kept_hash(person)
        fits = passwords.is_password(password, hashed or passwords.NOBODYS)
        return hashed if fits else None

    def _kept_hash(self, person: str) -> str | None:
        if self._shared_hash is None:
            return self.credentials.password_hash(person)
        # Who types a name has not shown that it is theirs: where names have roles, this opens nothing.
        return None if self._journal.members() else self._shared_hash
