"""The gate: an ASGI application that every request passes before Streamlit sees it."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse

from app.gate import oidc, page_headers
from app.gate.door import Door
from app.gate.door_pages import DOOR
from app.gate.origins import Origins
from app.gate.sessions import Session

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PERSON_HEADER = "X-Lorif-Person"
"""In what Streamlit gets: who signed in, percent-encoded. What a browser sends under this name is dropped."""

HEALTH = "_stcore/health"
"""Says only that the server runs; a proxy or a monitor asks."""

HIDDEN = ("_stcore/metrics", "_stcore/agent/", "_stcore/script-health-check")
"""What Streamlit would tell or offer, and nobody needs."""

POLICY_VIOLATION = 1008
CHECK_EVERY_S = 5.0
"""A connection outlives its session by at most so long."""


class Gate:
    """Refuses requests under foreign names and from foreign pages, and those of people who have not signed in."""

    def __init__(self, app: Application, *, origins: Origins, door: Door | None = None, base_path: str = "") -> None:
        """Stand before ``app``.

        Args:
            app: Streamlit's.
            origins: The names of the studio.
            door: Where people sign in; None lets everybody in.
            base_path: Path of the studio below its host: empty, or as in ``/studio``.
        """
        self._app = app
        self._origins = origins
        self._door = door
        self._base_path = base_path
        self._policy = page_headers.studio_policy()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = _with_headers(send, self._policy)
        at_door = _with_headers(send, page_headers.DOOR_POLICY)
        request, host = Request(scope, receive), Headers(scope=scope).get("host")
        page = scope["path"].removeprefix(self._base_path).lstrip("/")
        if not self._origins.knows_host(host):
            await _unknown_host(host)(scope, receive, at_door)
        elif page.startswith(HIDDEN):
            await PlainTextResponse("Not found.\n", 404)(scope, receive, at_door)
        elif self._door is None or page == HEALTH:
            await self._pass(scope, receive, guarded, None)
        else:
            visitor = await self._door.visitor(request)
            if page.split("/")[0] == DOOR:
                response = await self._door.answer(request, page.removeprefix(f"{DOOR}/"), visitor)
                await response(scope, receive, at_door)
            elif self._door.kind == "oidc" and page in oidc.ROUTES:
                await self._pass(scope, receive, guarded, None)
            elif visitor is None:
                await self._door.refuse(request)(scope, receive, at_door)
            else:
                if visitor.session is not None and "text/html" in request.headers.get("accept", ""):
                    self._door.sessions.use(visitor.session)
                await self._pass(scope, receive, guarded, visitor.person)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host"), headers.get("origin")
        if not (self._origins.knows_host(host) and self._origins.is_own(origin, host)):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        # Streamlit asks another host who this machine is where the two differ, and trusts the answer.
        MutableHeaders(scope=scope)["host"] = urlsplit(str(origin)).netloc
        if self._door is None:
            await self._pass(scope, receive, send, None)
            return
        visitor = await self._door.visitor(HTTPConnection(scope))
        if visitor is None:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        elif visitor.session is None:
            await self._pass(scope, receive, send, visitor.person)
        else:
            line = _Line(self._door, visitor.session, receive, send, f"{self._base_path}/{DOOR}/ended")
            await self._pass(scope, line.receive, line.send, visitor.person)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, person: str | None) -> None:
        headers = MutableHeaders(scope=scope)
        del headers[PERSON_HEADER]
        if person is not None:
            headers[PERSON_HEADER] = quote(person, safe="")
        await self._app(scope, receive, send)


class _Line:
    """An open connection for as long as its session goes on; then its page is led to the door."""

    def __init__(self, door: Door, session: Session, receive: Receive, send: Send, ended: str) -> None:
        self._door, self._session, self._ended = door, session, ended
        self._receive, self._send = receive, send
        self._coming: asyncio.Future[Message] | None = None
        self._is_open = True

    async def receive(self) -> Message:
        while True:
            self._coming = self._coming or asyncio.ensure_future(self._receive())
            over = asyncio.ensure_future(self._session.ended.wait())
            await asyncio.wait({self._coming, over}, timeout=CHECK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if not await self._door.is_live(self._session):
                return await self._close()
            if self._coming.done():
                message, self._coming = self._coming.result(), None
                if _is_of_person(message):
                    self._door.sessions.use(self._session)
                return message

    async def send(self, message: Message) -> None:
        if self._is_open:
            await self._send(message)

    async def _close(self) -> Message:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        assert self._coming is not None
        if not self._coming.done():
            self._coming.cancel()
        elif self._coming.result()["type"] == "websocket.disconnect":
            return self._coming.result()
        self._is_open = False
        # The message of st.login: without it the page would stay, and try to connect again for ever.
        leave = ForwardMsg()
        leave.auth_redirect.url = self._ended
        await self._send({"type": "websocket.send", "bytes": leave.SerializeToString()})
        await self._send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}


def _is_of_person(message: Message) -> bool:
    """Whether somebody did something on the page; pages ask for news every few seconds by themselves."""
    from google.protobuf.message import DecodeError
    from streamlit.proto.BackMsg_pb2 import BackMsg

    said = BackMsg()
    try:
        said.ParseFromString(message.get("bytes") or b"")
    except DecodeError:
        return False
    kind = said.WhichOneof("type")
    return kind == "stop_script" or (kind == "rerun_script" and not said.rerun_script.is_auto_rerun)


def _with_headers(send: Send, policy: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(page_headers.ALWAYS)
            headers.setdefault("Content-Security-Policy", policy)
        await send(message)

    return send_with_headers


def _unknown_host(host: str | None) -> PlainTextResponse:
    shown = ascii((host or "")[:100])
    return PlainTextResponse(
        f"This studio is not known under the name {shown}. If it should be, start it with `lorif app … --allow-host` "
        "and that name.\n",
        421,
    )
