"""The gate: an ASGI application that every request passes before Streamlit sees it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from app.gate import page_headers
from app.gate.origins import Origins

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HIDDEN = ("_stcore/metrics", "_stcore/agent/", "_stcore/script-health-check")
"""What Streamlit would tell or offer, and nobody needs."""

POLICY_VIOLATION = 1008


class Gate:
    """Refuses requests under foreign names and from foreign pages; adds headers to every answer."""

    def __init__(self, app: Application, *, origins: Origins, base_path: str = "") -> None:
        """Stand before ``app``.

        Args:
            app: Streamlit's.
            origins: The names of the studio.
            base_path: Where it lies below its host: empty, or as in ``/studio``.
        """
        self._app = app
        self._origins = origins
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
        guarded = self._with_headers(send, self._policy)
        host = Headers(scope=scope).get("host")
        if not self._origins.knows_host(host):
            await _unknown_host(host)(scope, receive, guarded)
        elif scope["path"].removeprefix(self._base_path).lstrip("/").startswith(HIDDEN):
            await PlainTextResponse("Not found.", 404)(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = MutableHeaders(scope=scope)
        host, origin = headers.get("host"), headers.get("origin")
        if not (self._origins.knows_host(host) and self._origins.is_own(origin, host)):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        # Streamlit asks another host who this machine is where the two differ, and trusts the answer.
        headers["host"] = urlsplit(str(origin)).netloc
        await self._app(scope, receive, send)

    def _with_headers(self, send: Send, policy: str) -> Send:
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
        "and that name.",
        421,
    )
