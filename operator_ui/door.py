"""The door: plain pages, without a script, where an operator signs in, joins by a one-time link, and signs out.

A password never passes through Streamlit, and the session's token never through a page: the door asks the API and puts
the token into a cookie that no script can read and no other site can send (HttpOnly, SameSite=Strict). Streamlit sees
it in the handshake of its own connection. A form is taken only from this origin, so that nobody can be signed in by
another site under somebody else's name.
"""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from operator_ui import door_pages as pages
from operator_ui.place import API_URL, COOKIE, INVITATION, OIDC, PUBLIC_URL, SECURE

_MOST_BYTES = 16 * 1024
_INVITATION_SECONDS = 900
STATIC = Path(__file__).with_name("static")
_KEPT = {"cache-control": "max-age=3600"}
_UNREACHABLE = "The service does not answer just now. Nothing was changed; try again in a moment."


class _Session(msgspec.Struct):
    token: str
    recovery_codes: list[str] = []


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""


class _Joining(msgspec.Struct):
    otpauth_uri: str


class _NotAnswered(Exception):
    """What to tell the person."""


async def sign_in(request: Request) -> Response:
    """Ask for e-mail, password and code, and open a session."""
    following = _local(request.query_params.get("next", "/"))
    if OIDC:
        return RedirectResponse(following, status_code=303)
    if request.method != "POST":
        note = "You are signed out." if "out" in request.query_params else ""
        note = "Your session has ended. Sign in to go on where you were." if "ended" in request.query_params else note
        return _shown(pages.sign_in(following, note=note))
    form = await _form(request)
    if form is None:
        return _shown(pages.refused(), status_code=403)
    wanted = {name: form.get(name, "").strip() for name in ("email", "code")} | {"password": form.get("password", "")}
    try:
        address = request.client.host if request.client else None
        answer = await _ask("POST", "/sessions", body=wanted, address=address)
    except _NotAnswered as error:
        return _shown(pages.sign_in(following, email=wanted["email"], error=str(error)), status_code=401)
    return _let_in(following, answer)


async def join(request: Request) -> Response:
    """Follow a one-time link: choose a password, enrol an authenticator, and be signed in.

    Where an identity provider says who people are, the link is kept for a quarter of an hour in a cookie, and used by
    the first page that is opened with its word.
    """
    if OIDC:
        answer = RedirectResponse("/", status_code=303)
        token = request.query_params.get("token", "")
        answer.set_cookie(
            INVITATION, token, max_age=_INVITATION_SECONDS, path="/", secure=SECURE, httponly=True, samesite="strict"
        )
        return answer
    if request.method != "POST":
        return _shown(pages.choose_password(request.query_params.get("token", "")))
    form = await _form(request)
    if form is None:
        return _shown(pages.refused(), status_code=403)
    return await (_confirm(form) if "code" in form else _accept(form))


async def _accept(form: Mapping[str, str]) -> Response:
    token = form.get("token", "")
    password = form.get("password", "")
    if password != form.get("again", ""):
        return _shown(pages.choose_password(token, error="The two passwords differ."), status_code=422)
    body = {"token": token, "password": password}
    body |= {name: form[name].strip() for name in ("name", "email") if form.get(name, "").strip()}
    try:
        answer = await _ask("POST", "/invitations/accept", body=body)
    except _NotAnswered as error:
        return _shown(pages.choose_password(token, error=str(error)), status_code=422)
    return _shown(pages.enrol(token, msgspec.json.decode(answer, type=_Joining).otpauth_uri))


async def _confirm(form: Mapping[str, str]) -> Response:
    token = form.get("token", "")
    try:
        answer = await _ask(
            "POST", "/invitations/confirm", body={"token": token, "code": form["code"].replace(" ", "")}
        )
    except _NotAnswered as error:
        return _shown(pages.enrol(token, form.get("otpauth_uri", ""), error=str(error)), status_code=422)
    return _let_in("/", answer)


async def sign_out(request: Request) -> Response:
    """End the session at the API, in every tab, and forget the cookie."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return _shown(pages.refused(), status_code=403)
    ended = "ended" if "ended" in request.query_params else "out"
    following = _local(request.query_params.get("next", "/"))
    token = request.cookies.get(COOKIE)
    if token is not None and ended == "out":
        # Where the API does not answer, the cookie goes all the same, and the session ends by its own clock.
        with suppress(_NotAnswered):
            await _ask("DELETE", "/session", token=token)
    answer = RedirectResponse(f"/sign-in?{ended}=1&next={quote(following, safe='')}", status_code=303)
    answer.delete_cookie(COOKIE, path="/", secure=SECURE, httponly=True, samesite="strict")
    return answer


async def style(_: Request) -> Response:
    """The door's own style sheet."""
    return FileResponse(STATIC / "door.css", media_type="text/css", headers=_KEPT)


async def mark(_: Request) -> Response:
    """The mark, for the pages and for the browser's tab."""
    return FileResponse(STATIC / "mark.svg", media_type="image/svg+xml", headers=_KEPT)


ROUTES = [
    Route("/sign-in", sign_in, methods=["GET", "POST"]),
    Route("/join", join, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["GET"]),
    Route("/door/door.css", style, methods=["GET"]),
    Route("/door/mark.svg", mark, methods=["GET"]),
]


def _shown(page: str, *, status_code: int = 200) -> Response:
    """A page that nothing keeps: it may hold a link's token, an authenticator's secret or recovery codes."""
    return HTMLResponse(page, status_code=status_code, headers={"cache-control": "no-store"})


def _let_in(following: str, answer: bytes) -> Response:
    session = msgspec.json.decode(answer, type=_Session)
    response: Response = RedirectResponse(following, status_code=303)
    if session.recovery_codes:
        response = _shown(pages.recovery(session.recovery_codes))
    # Without an age the cookie ends with the browser; the API ends the session by its own clock before that.
    response.set_cookie(COOKIE, session.token, path="/", secure=SECURE, httponly=True, samesite="strict")
    return response


def _local(page: str) -> str:
    """A page of the console: never another host, however it is written."""
    parts = urlsplit(page)
    inside = page.startswith("/") and not page.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return page if inside and page.isprintable() and not page.startswith("/sign-") else "/"


async def _form(request: Request) -> Mapping[str, str] | None:
    """The fields of a form that was sent from this very origin; None otherwise."""
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc not in {request.headers.get("host", ""), urlsplit(PUBLIC_URL).netloc}:
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return None
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        return None


async def _ask(
    method: str,
    path: str,
    *,
    body: Mapping[str, str] | None = None,
    token: str | None = None,
    address: str | None = None,
) -> bytes:
    """The API's answer. address: by which attempts are counted. Raises `_NotAnswered`."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if address is not None:
        headers["X-Forwarded-For"] = address
    try:
        async with httpx.AsyncClient(base_url=f"{API_URL}/operator/v1", timeout=10, trust_env=False) as client:
            answer = await client.request(method, path, json=body, headers=headers)
    except httpx.HTTPError:
        raise _NotAnswered(_UNREACHABLE) from None
    if answer.is_success:
        return answer.content
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _NotAnswered(_UNREACHABLE)
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    raise _NotAnswered(problem.detail or "That was not accepted. Check what you typed and try again.")
