"""The web server: the page, its files, and the answers as JSON.

It answers this machine's browser and nobody else: the socket is bound to the loopback, requests whose `Host` is another
name (DNS rebinding) or that another page made (`Origin`, `Sec-Fetch-Site`) are refused, and nothing is changed by any.
The page may load only what comes from here.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.explore import page, question, report, view, views
from hwbench.explore.question import Question

LOOPBACK = "127.0.0.1"
MAX_QUERY = 8192
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_TYPES = {".js": "text/javascript", ".css": "text/css"}


def application(host: str = LOOPBACK, initial: str = "") -> ASGIApp:
    """Return the ASGI application; `initial` is the query of the page's first question."""
    routes = [
        Route("/", lambda _: Response(page.served(initial), media_type="text/html; charset=utf-8")),
        *(Route(f"/static/{name}", _asset) for name in (*page.SCRIPTS, *page.MODULES, *page.STYLES)),
        Route("/api/names", _names),
        Route("/api/view/{view}", _view),
        Route("/report", _report),
    ]
    return Guard(Starlette(routes=routes), host)


class Guard:
    """The middleware that refuses requests that are not of this page, and sets the headers of answers."""

    def __init__(self, inner: ASGIApp, host: str) -> None:
        self.inner, self.host = inner, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0].decode("latin-1") not in _HEADERS]
                message["headers"] = [*headers, *((name.encode(), text.encode()) for name, text in _HEADERS.items())]
            await send(message)

        reason = self._refusal(scope)
        if reason is not None:
            code = 405 if reason == "method" else 403
            refused = _json({"error": {"code": "refused", "message": _REFUSALS[reason]}}, code)
            await refused(scope, receive, with_headers)
            return
        await self.inner(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        """Return why a request is refused, None where it is not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_own(host, self.host):
            return "host"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "origin"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "origin"
        return None if scope["method"] in ("GET", "HEAD") else "method"


_REFUSALS = {
    "host": "This server does not have that name.",
    "origin": "Another page has no access.",
    "method": "Questions are asked by GET.",
}


def is_own(header: str, bound: str) -> bool:
    """Return whether a `Host` header names this server, which is bound to an address.

    An address cannot be rebound to by a name server, so that any is accepted where the server is not only local.
    """
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    name = name.strip("[]").lower()
    if name in ("localhost", LOOPBACK, "::1"):
        return True
    if _is_loopback(bound):
        return False
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return name in (bound.lower(), socket.gethostname().lower())


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _asset(request: Request) -> Response:
    """Return a file of the page."""
    name = os.path.basename(request.url.path)
    return Response(page.asset(name), media_type=f"{_TYPES[os.path.splitext(name)[1]]}; charset=utf-8")


_ONE = anyio.CapacityLimiter(1)


async def _names(_request: Request) -> Response:
    """Return what can be chosen."""

    def every() -> bytes:
        chosen = {"models": list(question.models().values()), "devices": list(question.devices().values())}
        return msgspec.json.encode({**chosen, "views": list(views.VIEWS)})

    content = await anyio.to_thread.run_sync(every, limiter=_ONE)
    return Response(content, media_type="application/json")


async def _view(request: Request) -> Response:
    """Return a view of a question, or what is wrong with the question."""
    name = request.path_params["view"]
    return await _answered(request, lambda question: _json(view.plain(views.view(name, question))))


async def _report(request: Request) -> Response:
    """Return the page with the answers of a question inside, as a file to keep."""

    def page_of(question: Question) -> Response:
        headers = {"content-disposition": 'attachment; filename="hwbench-report.html"'}
        return Response(report.whole(question)[0], media_type="text/html; charset=utf-8", headers=headers)

    return await _answered(request, page_of)


async def _answered(request: Request, answer: Callable[[Question], Response]) -> Response:
    """Return the answer to a request's question, or what is wrong with the question.

    One question is computed at a time: threads would only wait for each other's interpreter.
    """
    if len(request.url.query) > MAX_QUERY:
        return _json(_error(InputError("too-long", "The question is too long.", field="query")), 400)
    fields = request.query_params.multi_items()

    def answered() -> Response:
        try:
            return answer(question.parse(fields))
        except InputError as error:
            return _json(_error(error), 400)
        except HwbenchError as error:
            return _json({"error": {"code": "failure", "message": shown(str(error), 400)}}, 500)
        except Exception as error:  # the page shows it, and the server goes on
            return _json({"error": {"code": "failure", "message": f"hwbench failed: {type(error).__name__}."}}, 500)

    return await anyio.to_thread.run_sync(answered, limiter=_ONE)


def _error(error: InputError) -> dict[str, Any]:
    body = {"code": error.code, "message": error.message, "field": error.field, "nearest": list(error.nearest)}
    return {"error": body}


def _json(body: Mapping[str, Any], code: int = 200) -> Response:
    return Response(msgspec.json.encode(body), code, media_type="application/json")


def serve(host: str, port: int, initial: str, ready: Callable[[str], None]) -> None:
    """Serve until an interrupt; `ready` is called with the address. Raises InputError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{shown(host, 60)}:{port} cannot be listened at: {reason}."
        raise InputError("not-listening", message, field="port") from None
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a body waits 40 ms for its headers' receipt
    with bound:
        number = bound.getsockname()[1]
        shown_host = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            application(host, initial), log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        ready(f"http://{shown_host}:{number}/{'?' + initial if initial else ''}")
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[bound])
