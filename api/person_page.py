"""The page that a person sees: what is held of them, and buttons to take it back. Plain HTML, no script, no account."""

import base64
import hashlib
from datetime import timedelta
from html import escape
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, URLEncodedBody
from litestar.response import Stream
from msgspec import Meta, Struct
from sqlmodel.ext.asyncio.session import AsyncSession

from api.assets import stream_asset
from api.auth import requires_scope, seen_by
from api.exports import FILENAME
from api.problems import ALWAYS, documented
from api.wire import AwareTime
from core.bootstrap import Parts
from core.consent import service as consent
from core.consent.models import Channel, Purpose
from core.errors import Gone, MalformedRequest, NotFound, StateConflict, ValidationFailed
from core.ids import Prefix, parse, public
from core.rights import exports, person
from core.rights.models import ExportState, PersonExport
from core.rights.person import Held, Token
from core.rights.rules import Kind
from core.tenants.service import Caller

_STYLE = """
body{font:1.05rem/1.55 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.45rem .5rem;border-bottom:1px solid #d8dde5}
button{font:inherit;padding:.4rem .9rem;border:1px solid #32507a;border-radius:.3rem;background:#fff;color:#1f3a5f}
button:focus-visible{outline:3px solid #f2a900}form{display:inline}.said{background:#e9f3ea;padding:.6rem .8rem}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}

_PURPOSES = {
    Purpose.HEADSHOT: "Making headshots from your photo",
    Purpose.BIOMETRIC_PROCESSING: "Finding your face in the photo",
    Purpose.MODEL_TRAINING: "Training of models",
    Purpose.THIRD_PARTY_SHARING: "Sharing with others",
    Purpose.EXTENDED_RETENTION: "Keeping your pictures longer",
}
_KINDS = {
    Kind.ACCESS: "Send me everything that is held of me",
    Kind.PORTABILITY: "Give me my data in one file (ZIP), to take to another service",
    Kind.RESTRICTION: "Stop using my data for now",
    Kind.OPT_OUT_OF_SALE: "Do not sell or share my data",
    Kind.ERASURE: "Erase everything of mine",
}
_STATES = {
    ExportState.PREPARING: "it is being put together; come back in a few minutes.",
    ExportState.FAILED: "it could not be made, or your request was denied.",
    ExportState.EXPIRED: "its term is over; ask for it again.",
}
_SAID = {
    "withdraw": "Your consent is withdrawn. Work that rested on it has stopped.",
    "ask": "Your request is entered, and its clock runs.",
}


class NewPersonLink(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the link waits to be opened."""

    expires_in: Annotated[
        int, Meta(ge=60, le=604_800, description="Seconds, at most seven days.", examples=[259_200])
    ] = 259_200


class PersonLinkView(Struct, frozen=True, kw_only=True):
    """A link for the person alone. It opens once. Send it to an address that you know to be theirs."""

    url: Annotated[str, Meta(examples=["https://api.example.com/s/me/AQGZs8TV5n-AkKGyw9Tl9g…"])]
    expires_at: AwareTime


class Opening(Struct, kw_only=True):
    """The second step, which spends the link."""

    token: Annotated[str, Meta(max_length=128)]


class Act(Struct, kw_only=True):
    """A button of the page: a consent to withdraw, or something to ask for."""

    visit: Annotated[str, Meta(max_length=128)]
    withdraw: Annotated[str, Meta(max_length=64)] = ""
    ask: Annotated[str, Meta(max_length=64)] = ""


class Fetch(Struct, kw_only=True):
    """A file of one's own."""

    visit: Annotated[str, Meta(max_length=128)]
    export: Annotated[str, Meta(max_length=64)]


class PersonLinkController(Controller):
    """`/v1/subjects/{subject_id}/person-link`."""

    path = "/subjects/{subject_id:str}/person-link"
    tags = ("Rights requests",)

    @post(
        guards=[requires_scope("rights:write")],
        summary="Make a link for the person",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, Gone, ValidationFailed),
    )
    async def create_person_link(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        data: JSONBody[NewPersonLink | None] = None,
    ) -> PersonLinkView:
        """A link to a page where the person sees what is held, withdraws consents and enters requests themselves."""
        lifetime = timedelta(seconds=(data or NewPersonLink()).expires_in)
        async with seen_by(caller, parts) as session:
            token, expires_at = await person.make(
                session, subject_id=parse(Prefix.SUBJECT, subject_id), actor=caller.actor, lifetime=lifetime
            )
        root = parts.settings.api.public_url.rstrip("/")
        return PersonLinkView(url=f"{root}/s/me/{token}", expires_at=expires_at)


class PersonPageController(Controller):
    """`/s/me`: pages for people, not for programs."""

    path = "/s/me"
    tags = ("Rights requests",)
    include_in_schema = False

    @get("/{token:str}", media_type="text/html")
    async def look_at_link(self, parts: NamedDependency[Parts], token: FromPath[str]) -> Response[str]:
        """The door: nothing of the person, and nothing spent."""
        try:
            found = Token.read(token)
            async with parts.database.tenant(found.tenant_id) as session:
                await person.look(session, found)
        except NotFound:
            return _closed()
        button = _form("/s/me/open", {"token": token}, "Open my page")
        return _page(f"<p>This link opens once, for half an hour, and for you alone.</p><p>{button}</p>")

    @post("/open", status_code=200, media_type="text/html")
    async def open_page(
        self, request: Request[Any, Any, Any], parts: NamedDependency[Parts], data: URLEncodedBody[Opening]
    ) -> Response[str]:
        """Spend the link, heed the browser's privacy signal, show the page."""
        try:
            token = Token.read(data.token)
            async with parts.database.tenant(token.tenant_id) as session:
                visit = await person.open_once(session, token)
            return await _show(request, parts, visit)
        except (NotFound, Gone):
            return _closed()

    @post("/act", status_code=200, media_type="text/html")
    async def act(
        self, request: Request[Any, Any, Any], parts: NamedDependency[Parts], data: URLEncodedBody[Act]
    ) -> Response[str]:
        """Do what the button says, and show the page again."""
        try:
            token = Token.read(data.visit)
            async with parts.database.tenant(token.tenant_id) as session:
                subject_id = await person.visitor(session, token)
                said = await _do(session, parts, subject_id, data)
            return await _show(request, parts, data.visit, said=said)
        except (NotFound, Gone):
            return _closed()

    @post("/export", status_code=200, media_type="application/zip")
    async def fetch_export(
        self, request: Request[Any, Any, Any], parts: NamedDependency[Parts], data: URLEncodedBody[Fetch]
    ) -> Response[str] | Stream:
        """The file with everything, for the person themselves."""
        try:
            token = Token.read(data.visit)
            async with parts.database.tenant(token.tenant_id) as session:
                subject_id = await person.visitor(session, token)
                file = await person.file_of(session, subject_id=subject_id, export_id=parse(Prefix.EXPORT, data.export))
            return await stream_asset(request, parts, file, actor=person.PERSON, why="own_page", filename=FILENAME)
        except (NotFound, Gone):
            return _closed()


async def _do(session: AsyncSession, parts: Parts, subject_id: UUID, data: Act) -> str:
    try:
        if data.withdraw:
            await person.withdraw(session, subject_id=subject_id, purpose=Purpose(data.withdraw))
            return _SAID["withdraw"]
        await person.ask(session, parts.keyring, subject_id=subject_id, kind=Kind(data.ask))
    except ValueError:
        raise NotFound from None
    except StateConflict:
        return "That is done already."
    return _SAID["ask"]


async def _show(request: Request[Any, Any, Any], parts: Parts, visit: str, *, said: str = "") -> Response[str]:
    token = Token.read(visit)
    async with parts.database.tenant(token.tenant_id) as session:
        subject_id = await person.visitor(session, token)
        if request.headers.get("sec-gpc") == "1":
            await consent.opt_out(session, subject_id=subject_id, actor=person.PERSON, channel=Channel.BROWSER_SIGNAL)
        held = await person.held(session, parts.keyring, subject_id)
    return _page(_body(held, visit, said))


def _body(held: Held, visit: str, said: str) -> str:
    who = held.identity
    known = [("Name", who.display_name), ("E-mail", who.email), ("Reference", who.reference)]
    rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in known if value)
    rows += f"<tr><th>Photos</th><td>{held.photos}</td></tr><tr><th>Headshots</th><td>{held.headshots}</td></tr>"
    consents = "".join(
        f"<tr><td>{_PURPOSES[Purpose(one.entry.purpose)]}</td><td>{escape(one.entry.action.replace('_', ' '))}</td><td>"
        + (_form("/s/me/act", {"visit": visit, "withdraw": one.entry.purpose}, "Withdraw") if one.permitted else "")
        + "</td></tr>"
        for one in held.consents
    )
    asked = "".join(
        f"<tr><td>{escape(one.kind.replace('_', ' '))}</td><td>{escape(one.state)}</td>"
        f"<td>answer due before {one.due_at:%d %B %Y, %H:%M} UTC</td></tr>"
        for one in held.requests
    )
    buttons = "".join(
        f"<p>{_form('/s/me/act', {'visit': visit, 'ask': kind.value}, text)}</p>" for kind, text in _KINDS.items()
    )
    return (
        (f'<p class="said" role="status">{escape(said)}</p>' if said else "")
        + f"<h2>What is held of you</h2><table>{rows}</table>"
        + f"<h2>What you were asked</h2><table>{consents or '<tr><td>Nothing yet.</td></tr>'}</table>"
        + f"<h2>Your requests</h2><table>{asked or '<tr><td>None.</td></tr>'}</table>"
        + (f"<h2>Your data, to take along</h2>{_files(held.exports, visit)}" if held.exports else "")
        + f"<h2>Ask for something</h2>{buttons}"
        + "<p>An erasure begins once it is established that it was you who asked.</p>"
    )


def _files(found: list[PersonExport], visit: str) -> str:
    said = []
    for one in found:
        name = f"Everything that was held of you on {one.created_at:%d %B %Y}"
        state = exports.state_of(one)
        if state == ExportState.READY and one.expires_at is not None:
            button = _form("/s/me/export", {"visit": visit, "export": public(Prefix.EXPORT, one.id)}, "Download")
            said.append(f"<p>{name}: {button} (until {one.expires_at:%d %B %Y, %H:%M} UTC)</p>")
        else:
            said.append(f"<p>{name}: {_STATES[state]}</p>")
    return "".join(said)


def _form(action: str, fields: dict[str, str], label: str) -> str:
    hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f'<form method="post" action="{action}">{hidden}<button>{escape(label)}</button></form>'


def _page(body: str, *, status: int = 200) -> Response[str]:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Your pictures and your data</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>Your pictures and your data</h1>{body}</main></body></html>"
    )
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS)


def _closed() -> Response[str]:
    return _page("<p>This link does not open anything any more. Please ask for a new one.</p>", status=404)
