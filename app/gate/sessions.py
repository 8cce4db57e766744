"""Who is signed in, in the memory of the server: a restart asks everybody to sign in again."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lorif_core.workspace.studio.passwords import digest_of

IDLE_S = 2 * 3600.0
"""Without a click or a key of the person; what a page does by itself does not count."""

LONGEST_S = 12 * 3600.0
"""However busy: a working day."""


@dataclass(eq=False)
class Session:
    """One browser that somebody signed in with."""

    person: str
    """Under whose name everything is kept."""

    proof: str
    """The hash that the password matched; another one today means that it was changed since."""

    started: float
    used: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is over, for connections that are open."""


class Sessions:
    """Every session, found by the token in the browser's cookie, of which only a digest is kept.

    The event loop's thread alone ends sessions and marks them as used.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody, by a clock in seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def start(self, person: str, proof: str) -> str:
        """Sign somebody in; returns the token."""
        token, now = secrets.token_urlsafe(32), self._now()
        with self._lock:
            self._sessions[digest_of(token)] = Session(person, proof, now, now)
        return token

    def find(self, token: str | None) -> Session | None:
        """The session of a token; None if there is none or its time is up."""
        with self._lock:
            session = self._sessions.get(digest_of(token)) if token else None
        if session is None or not self.is_over(session):
            return session
        self.end(session)
        return None

    def is_over(self, session: Session) -> bool:
        """Whether it was ended, or its time is up."""
        now = self._now()
        return session.ended.is_set() or now - session.used > IDLE_S or now - session.started > LONGEST_S

    def use(self, session: Session) -> None:
        """The person did something."""
        session.used = self._now()

    def end(self, session: Session) -> None:
        """Sign a browser out; connections that are open see it at once."""
        session.ended.set()
        with self._lock:
            self._sessions = {digest: one for digest, one in self._sessions.items() if one is not session}

    def end_others(self, person: str, but: Session | None = None) -> None:
        """Sign every browser of a person out, but one."""
        with self._lock:
            found = [one for one in self._sessions.values() if one.person == person and one is not but]
        for session in found:
            self.end(session)

    def sweep(self) -> None:
        """Forget what is over; called now and then, as nobody comes back for those."""
        with self._lock:
            found = list(self._sessions.values())
        for session in found:
            if self.is_over(session):
                self.end(session)
