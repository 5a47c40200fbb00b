"""The routes of the explorer: HTTP around a session, behind a guard."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from desali import __version__
from desali.web.explorer.answer import Answer, Refused, of_error
from desali.web.explorer.dropped import UPLOAD
from desali.web.explorer.guard import HEADERS, Guard
from desali.web.explorer.session import Session
from desali.web.explorer.turns import Clicks, Queue
from desali.web.page import VIEW, render

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

QUERY = 4096
"""Characters of a query."""
HEAD = 16 * 1024
"""Bytes of a request's head."""
UPLOAD_SECONDS = 60.0
"""In which a dropped file must have come."""
UPLOADS = 2
"""Files that come at once."""
FOLLOWS = {"likeness": "view"}
"""What a newer click of another kind makes stale."""
QUICK = ("image", "image-values")
"""What needs no network, and does not wait for those who do."""
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FILE = re.compile(r"[a-z][a-z0-9-]{0,40}\.(js|css)")
_PAGE = re.compile(r"[A-Za-z0-9-]{1,64}")


def application(session: Session, guard: Guard, log: Callable[[str], None] = lambda line: None) -> Starlette:
    """The server as an ASGI application.

    Args:
        log: is told of what went wrong inside; a page learns of the kind alone.
    """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route

    clicks, heavy, light = Clicks(), Queue(begin=session.views.hands.begin), Queue(4, 256)
    uploads = asyncio.Semaphore(UPLOADS)

    def refused(status: int, reason: str) -> Response:
        answer = of_error(Refused(status, reason))
        return Response(answer.body, answer.status, media_type=answer.kind)

    async def page(request: Request) -> Response:
        key = request.query_params.get("token")
        if key is None:
            return Response(render("explore.html", version=__version__), media_type="text/html; charset=utf-8")
        value = guard.exchange(key)
        if value is None:
            return PlainTextResponse(
                "This address was used, or is not of this server: each works once. The terminal shows the next.",
                403,
            )
        response = RedirectResponse("/", 303)
        response.set_cookie(guard.cookie, value, httponly=True, samesite="strict", path="/")
        return response

    async def view(request: Request) -> Response:
        name = request.path_params["name"]
        path = VIEW / name
        if not _FILE.fullmatch(name) or not path.is_file():
            return refused(404, "there is no such file")
        return Response(path.read_bytes(), media_type=KINDS[path.suffix])

    async def api(request: Request) -> Response:
        what = request.path_params["what"]
        if what not in session.known or (what == "images") != (request.method == "POST"):
            return refused(404 if what not in session.known else 405, "nothing of that name can be asked for so")
        params = dict(request.query_params)
        body = None
        if what == "images":
            body = await _body(request, uploads)
        stale = clicks.came(*_click(params, request.headers, what))

        def work() -> Answer:
            if stale():
                raise Refused(409, "a newer click came")
            return session.answer(what, params, body, stale)

        try:
            answer = await (light if what in QUICK else heavy).run(work)
        except Refused as error:
            answer = of_error(error)
        if answer.status == 409:  # nobody waits for it, and a browser would call it an error
            return Response(status_code=204)
        return Response(answer.body, answer.status, media_type=answer.kind)

    routes = [
        Route("/", page, methods=["GET"]),
        Route("/view/{name}", view, methods=["GET"]),
        Route("/api/{what}", api, methods=["GET", "POST"]),
    ]
    made = Starlette(routes=routes)

    async def guarded(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        if sum(len(name) + len(value) for name, value in request.scope["headers"]) > HEAD:
            response: Response = refused(431, f"a head has at most {HEAD >> 10} KiB")
        elif len(request.scope.get("query_string", b"")) > QUERY:
            response = refused(414, f"a query has at most {QUERY} characters")
        else:
            entering = request.url.path == "/" and "token" in request.query_params
            refusal = guard.refusal(request.method, request.headers, request.cookies, entering)
            if refusal is not None:
                response = refused(refusal.status, refusal.reason)
            else:
                try:
                    response = await call(request)
                except Refused as error:
                    response = refused(error.status, str(error))
                except Exception as error:  # the server stays up whatever comes
                    log("".join(traceback.format_exception(error)))
                    response = refused(500, f"something went wrong inside ({type(error).__name__})")
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    from starlette.middleware.base import BaseHTTPMiddleware

    made.add_middleware(BaseHTTPMiddleware, dispatch=guarded)
    made.state.queues = (heavy, light)
    return made


async def _body(request: Request, turn: asyncio.Semaphore) -> bytes:
    """A dropped file's bytes.

    Raises:
        Refused: too large, too slow, or too many at once.
    """
    said = request.headers.get("content-length", "")
    if said.isdigit() and (len(said) > 15 or int(said) > UPLOAD):
        raise _too_large()
    if turn.locked():
        raise Refused(503, "other files are on their way; drop it again in a moment")
    async with turn:
        try:
            return await asyncio.wait_for(_read(request), UPLOAD_SECONDS)
        except asyncio.TimeoutError:
            raise Refused(408, f"the file did not come within {UPLOAD_SECONDS:g} s") from None


async def _read(request: Request) -> bytes:
    parts: list[bytes] = []
    count = 0
    async for part in request.stream():
        count += len(part)
        if count > UPLOAD:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _too_large() -> Refused:
    return Refused(413, f"more than the {UPLOAD >> 20} MiB that a dropped file may have")


def _click(params: dict[str, str], headers: Any, what: str) -> tuple[str, int]:
    """The page that asks and its click; a request without them is a page of its own."""
    page, click = params.pop("page", "") or headers.get("x-page", ""), params.pop("click", "")
    if not (_PAGE.fullmatch(page) and click.isascii() and click.isdigit() and len(click) < 16):
        return "", 0
    return f"{page} {FOLLOWS.get(what, what)}", int(click)
