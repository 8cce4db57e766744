"""The door: who is behind a request, and the pages on which one signs in and out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.gate import door_pages, oidc
from app.gate.guesses import Guesses
from app.gate.keys import AuthKind, Keys
from app.gate.origins import Origins
from app.gate.sessions import Session, Sessions
from app.gate.sign_in_log import SignInLog
from lorif_core.errors import ConfigError, JournalError, LorifError, RoleError
from lorif_core.journal.entries import check_name
from lorif_core.workspace.studio.passwords import MAX_LENGTH, check_password

MOST_BYTES = 16_384
"""Of a form."""

WRONG = "Wrong name or password."
WRONG_SHARED = "Wrong password."
NOT_SAME = "The two passwords differ: type the same one twice."
FOREIGN = "This form was sent from another site, so nothing was done. Open the studio and try again."
NO_FORM = "This form is not the studio's, so nothing was done. Open the studio and try again."
USED_UP = "This invitation was used already or has expired: ask an admin for a new one."
ENDED = "You are signed out. That also happens after some time without a click, and when your password is changed."


class Visitor(NamedTuple):
    """Somebody who has signed in."""

    person: str
    session: Session | None
    """None if the organisation's sign-in says who it is."""


@dataclass
class Door:
    """Lets in who shows that they may."""

    kind: AuthKind
    keys: Keys
    log: SignInLog
    origins: Origins
    port: int
    base: str = ""
    """Path of the studio below its host, as in ``/studio``."""

    sessions: Sessions = field(default_factory=Sessions)
    guesses: Guesses = field(default_factory=Guesses)

    async def visitor(self, connection: HTTPConnection) -> Visitor | None:
        """Who a request or connection is of; None if they have not signed in or may not be here any more."""
        if self.kind == "oidc":
            person = oidc.person_of(connection.cookies)
            return Visitor(person, None) if person else None
        session = self.sessions.find(connection.cookies.get(self._cookie(connection)))
        if session is None or not await self.is_live(session):
            return None
        return Visitor(session.person, session)

    async def is_live(self, session: Session) -> bool:
        """Whether a session goes on; ends it if its time is up or the password is another one now."""
        if not self.sessions.is_over(session):
            try:
                if await self.keys.present_proof(session.person) == session.proof:
                    return True
            except JournalError:
                return False  # nobody can say now; it may go on later
        self.sessions.end(session)
        return False

    async def answer(self, request: Request, page: str, visitor: Visitor | None) -> Response:
        """What the door itself says: ``page`` is the path below its own."""
        try:
            if request.method == "POST":
                return await self._act(request, page, visitor)
            return await self._show(request, page, visitor)
        except LorifError as error:
            return self._page(door_pages.message(self.base, "Something went wrong", str(error)), 400)

    def refuse(self, request: Request) -> Response:
        """What somebody gets who asked for a page without having signed in: the door, which leads there."""
        if request.method not in ("GET", "HEAD") or "text/html" not in request.headers.get("accept", ""):
            return Response("Sign in first.\n", 401, media_type="text/plain")
        query = f"?{request.url.query}" if request.url.query else ""
        return self._ask(then=request.url.path + query, status=401)

    async def _show(self, request: Request, page: str, visitor: Visitor | None) -> Response:
        if page == "provider" and self.kind == "oidc":
            url = oidc.login_url()
            missing = "The sign-in is not set up: the server's log says what is missing."
            return self._to(url) if url else self._ask(then="/", wrong=missing, status=500)
        if page == "ended" and visitor is None:
            came_from = urlsplit(request.headers.get("referer", ""))
            return self._ask(then=f"{came_from.path}?{came_from.query}".removesuffix("?"), told=ENDED)
        if page == "account" and visitor is not None:
            return await self._account(visitor)
        if page == "invitation" and self.kind == "password":
            code = request.query_params.get("code", "")
            person = await self.keys.invited(code)
            if person is None:
                raise RoleError(USED_UP)
            return self._page(door_pages.invitation(self.base, code, person))
        return self._to(f"{self.base}/")

    async def _act(self, request: Request, page: str, visitor: Visitor | None) -> Response:
        headers = Headers(scope=request.scope)
        if not self.origins.is_own(headers.get("origin"), headers.get("host")):
            return self._page(door_pages.message(self.base, "Nothing was done", FOREIGN), 403)
        form = await _form_of(request)
        if page == "sign-out":
            return self._sign_out(request, visitor)
        if page == "sign-in" and self.kind != "oidc":
            return await self._sign_in(request, form)
        if page == "invitation" and self.kind == "password":
            return await self._accept(request, form)
        if page == "password" and visitor is not None and self.kind == "password":
            return await self._change(request, form, visitor)
        return self._to(f"{self.base}/")

    async def _sign_in(self, request: Request, form: Mapping[str, str]) -> Response:
        name, password, then = form.get("name", "").strip(), form.get("password", ""), form.get("then", "")
        check_name("your name", name)
        if wait := self.guesses.start(_address(request), name):
            return await self._wait(request, name, wait, then)
        proof = await self.keys.proof_of(name, password) if len(password) <= MAX_LENGTH else None
        if proof is None:
            await self._note("refused: wrong password", request, name)
            return self._ask(then=then, name=name, wrong=WRONG_SHARED if self.keys.is_shared else WRONG, status=401)
        self.guesses.forgive(_address(request), name)
        self.log.note("signed in", _address(request), name)
        return self._let_in(request, name, proof, then)

    async def _wait(self, request: Request, name: str, wait: float, then: str) -> Response:
        await self._note("refused: too many guesses", request, name)
        minutes = math.ceil(wait / 60)
        when = f"{math.ceil(wait)} seconds" if wait <= 90 else f"{minutes} minutes"
        said = f"Too many wrong passwords were typed. Try again in {when}."
        response = self._ask(then=then, name=name, wrong=said, status=429)
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response

    async def _accept(self, request: Request, form: Mapping[str, str]) -> Response:
        code, new = form.get("code", ""), form.get("new", "")
        person = await self.keys.invited(code)
        if person is None:
            raise RoleError(USED_UP)
        if wrong := _unusable(new, form.get("again", ""), person):
            return self._page(door_pages.invitation(self.base, code, person, wrong), 400)
        person, proof = await self.keys.accept(code, new)
        self.sessions.end_others(person)
        self.log.note("chose a password by an invitation", _address(request), person)
        return self._let_in(request, person, proof, "")

    async def _change(self, request: Request, form: Mapping[str, str], visitor: Visitor) -> Response:
        person, new = visitor.person, form.get("new", "")
        if wait := self.guesses.start(_address(request), person):
            return await self._account(
                visitor, f"Too many wrong passwords: try again in {math.ceil(wait)} seconds.", 429
            )
        if await self.keys.proof_of(person, form.get("password", "")[: MAX_LENGTH + 1]) is None:
            await self._note("refused to change the password: wrong password", request, person)
            return await self._account(visitor, "That is not your current password.", 401)
        self.guesses.forgive(_address(request), person)
        if wrong := _unusable(new, form.get("again", ""), person):
            return await self._account(visitor, wrong, 400)
        proof = await self.keys.keep(person, new)
        self.sessions.end_others(person)
        self.log.note("changed the password", _address(request), person)
        return self._let_in(request, person, proof, f"{self.base}/{door_pages.DOOR}/account")

    def _sign_out(self, request: Request, visitor: Visitor | None) -> Response:
        if visitor is not None and visitor.session is not None:
            self.sessions.end(visitor.session)
            self.log.note("signed out", _address(request), visitor.person)
        response = self._to(f"{self.base}/")
        response.delete_cookie(
            self._cookie(request), path=self._cookie_path(), secure=_is_secure(request), httponly=True
        )
        return response

    def _let_in(self, request: Request, person: str, proof: str, then: str) -> Response:
        self.sessions.sweep()
        response = self._to(then if _is_path(then) else f"{self.base}/")
        response.set_cookie(
            self._cookie(request),
            self.sessions.start(person, proof),
            path=self._cookie_path(),
            secure=_is_secure(request),
            httponly=True,
            samesite="lax",
        )
        return response

    def _ask(self, *, then: str, status: int = 200, name: str = "", wrong: str = "", told: str = "") -> Response:
        if self.kind == "oidc":
            return self._page(door_pages.provider(self.base, told, wrong), status)
        shared = self.keys.is_shared
        then = then if _is_path(then) else f"{self.base}/"
        page = door_pages.sign_in(self.base, then=then, shared=shared, name=name, wrong=wrong, told=told)
        return self._page(page, status)

    async def _account(self, visitor: Visitor, wrong: str = "", status: int = 200) -> Response:
        role = await self.keys.role_of(visitor.person)
        has_password = self.kind == "password"
        return self._page(
            door_pages.account(self.base, visitor.person, role, has_password=has_password, wrong=wrong), status
        )

    async def _note(self, what: str, request: Request, name: str) -> None:
        self.log.note(what, _address(request), name if await self.keys.is_member(name) else None)

    def _page(self, text: str, status: int = 200) -> Response:
        return HTMLResponse(text, status, {"Cache-Control": "no-store"})

    def _to(self, url: str) -> Response:
        return RedirectResponse(url, 303, {"Cache-Control": "no-store"})

    def _cookie(self, connection: HTTPConnection) -> str:
        """Its name: cookies tell no ports apart, and behind TLS none that another name set counts."""
        prefix = "" if not _is_secure(connection) else "__Secure-" if self.base else "__Host-"
        return f"{prefix}lorif-{self.port}"

    def _cookie_path(self) -> str:
        return self.base or "/"


async def _form_of(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise ConfigError(NO_FORM)
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError as error:
        raise ConfigError(NO_FORM) from error
    return {name: values[0] for name, values in fields.items()}


def _unusable(new: str, again: str, person: str) -> str:
    """Why a new password cannot be taken; empty if it can."""
    if new != again:
        return NOT_SAME
    try:
        check_password(new, person)
    except LorifError as error:
        return f"{str(error)[0].upper()}{str(error)[1:]}"
    return ""


def _is_path(then: str) -> bool:
    """Whether it leads to a page of this studio, and to no other host, whatever a browser makes of it."""
    return then.startswith("/") and not then.startswith("//") and then.isprintable() and "\\" not in then


def _is_secure(connection: HTTPConnection) -> bool:
    return connection.scope["scheme"] in ("https", "wss")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
