"""What every answer of the console carries, and who is sent to the door first. Plain ASGI, so that streams stream.

The policy is the promise that no page reaches another host: no font, script, picture or frame from elsewhere loads,
whatever text a page is made to show. Vega compiles its charts, hence `unsafe-eval`; Streamlit writes styles inline.
"""

import hashlib
import re
from base64 import b64encode
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from operator_ui.place import COOKIE, OIDC, PUBLIC_URL, SECURE

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def policy() -> str:
    """The policy. The scripts that Streamlit's own page holds are let through by their hashes, and no others."""
    page = (Path(streamlit.__file__).with_name("static") / "index.html").read_text()
    hashes = "".join(
        f" 'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in _INLINE.findall(page)
    )
    return (
        f"default-src 'self'; script-src 'self' 'unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


ALWAYS = {
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
}
OPEN_PATHS = ("/sign-in", "/sign-out", "/join", "/door/", "/_stcore/", "/static/", "/media/", "/component/", "/oauth2")


class OneOrigin:
    """Adds the headers, and takes a connection of a page from this very origin alone.

    Streamlit lets in every port of this machine, whose pages count as the same site, so that the cookie goes with them;
    for other origins it asks a host on the internet what its own address is. Neither happens behind this.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = ALWAYS | {"content-security-policy": policy()}
        if SECURE:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with the headers."""
        if scope["type"] == "websocket" and not _ours(Headers(scope=scope)):
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers)


class SignInFirst:
    """Sends whoever opens a page without a session to the door, and brings them back to the page afterwards.

    Only a courtesy: what a page shows is decided by the API, by the session. Who comes by a link on another site has a
    cookie that `SameSite=Strict` holds back from this first request, but not from the page's own connection: they pass.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect, or pass on."""
        if scope["type"] == "http" and scope["method"] == "GET" and _wants_page(scope):
            query = scope.get("query_string", b"").decode("latin-1")
            invited = parse_qs(query).get("invitation")
            if invited:
                await RedirectResponse(f"/join?token={quote(invited[0], safe='')}", status_code=303)(
                    scope, receive, send
                )
                return
            page = scope["path"] + (f"?{query}" if query else "")
            answer = RedirectResponse(f"/sign-in?next={quote(page, safe='')}", status_code=303)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _ours(headers: Headers) -> bool:
    # Every browser says where a connection comes from. Who says nothing is none, and has no cookie but their own.
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc in {headers.get("host", ""), urlsplit(PUBLIC_URL).netloc}


def _wants_page(scope: Scope) -> bool:
    if OIDC or scope["path"].startswith(OPEN_PATHS):
        return False
    headers = Headers(scope=scope)
    if "text/html" not in headers.get("accept", "") or headers.get("sec-fetch-site") == "cross-site":
        return False
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return True
    return COOKIE not in cookies
