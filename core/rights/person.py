"""The person's own door: a link that opens once, and the half hour for which it was opened.

A token is base64url, unpadded, of 65 bytes: version 1 (1) | tenant (16) | link (16) | secret (32). Only the SHA-256 of
a secret is kept. Looking at a link does not open it, because mail programs look at links too: opening takes a second,
deliberate step, which spends it and gives a secret for the visit. What the person asks for here is entered as their own
request and still waits for the identity check; taking back a consent does not.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import Gone, NotFound, StateConflict
from core.headshots.models import Headshot, HeadshotState
from core.keyring.service import Keyring
from core.photos.models import Photo, PhotoState
from core.rights import exports, requests
from core.rights.models import PersonExport, PersonLink, RightsRequest, Source
from core.rights.rules import Kind
from core.storage.models import Asset
from core.subjects import access
from core.subjects import service as subjects
from core.subjects.service import Identity

LONGEST: Final = timedelta(days=7)
VISIT: Final = timedelta(minutes=30)
PERSON: Final = "person"
# What may be asked for here. The rest needs words that a form of two buttons has no place for.
KINDS: Final = (Kind.ACCESS, Kind.PORTABILITY, Kind.ERASURE, Kind.RESTRICTION, Kind.OPT_OUT_OF_SALE)

_VERSION = b"\x01"
_SECRET_BYTES = 32
_TOKEN_BYTES = 1 + 16 + 16 + _SECRET_BYTES


@dataclass(frozen=True, slots=True)
class Token:
    """What a token claims. It proves nothing until its secret was held against the row."""

    tenant_id: UUID
    link_id: UUID
    secret: bytes

    @classmethod
    def read(cls, text: str) -> "Token":
        """Raises `NotFound` for text of another form."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise NotFound from None
        if len(raw) != _TOKEN_BYTES or raw[:1] != _VERSION:
            raise NotFound
        return cls(tenant_id=UUID(bytes=raw[1:17]), link_id=UUID(bytes=raw[17:33]), secret=raw[33:])

    def text(self) -> str:
        """The token as it travels."""
        raw = _VERSION + self.tenant_id.bytes + self.link_id.bytes + self.secret
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of a person, and where their consents and requests stand."""

    identity: Identity
    photos: int
    headshots: int
    consents: list[consent.Standing]
    requests: list[RightsRequest]
    exports: list[PersonExport]


async def make(session: AsyncSession, *, subject_id: UUID, actor: str, lifetime: timedelta) -> tuple[str, datetime]:
    """A token for a person, and the moment of its end. Raises `NotFound`, `Gone`; ValueError beyond `LONGEST`."""
    if not timedelta(0) < lifetime <= LONGEST:
        raise ValueError("a person's link lives for at most seven days")
    subject = await subjects.lock(session, subject_id, share=True)
    secret = secrets.token_bytes(_SECRET_BYTES)
    link = PersonLink(
        tenant_id=subject.tenant_id, subject_id=subject.id, token_sha256=_hash(secret), expires_at=now() + lifetime
    )
    session.add(link)
    await session.flush()
    await audit.append(
        session,
        tenant_id=subject.tenant_id,
        subject_id=subject.id,
        kind="person_link.made",
        actor=actor,
        facts={"link": link.id.hex},
    )
    return Token(subject.tenant_id, link.id, secret).text(), link.expires_at


async def look(session: AsyncSession, token: Token) -> None:
    """Raise `NotFound` unless the link could be opened now."""
    await _unopened(session, token)


async def open_once(session: AsyncSession, token: Token) -> str:
    """Spend the link. Returns the token of the visit. Raises `NotFound`, also the second time, and `Gone`."""
    link = await _unopened(session, token)
    await subjects.lock(session, link.subject_id, share=True)
    await session.refresh(link, with_for_update=True)
    if link.opened_at is not None:
        raise NotFound
    secret = secrets.token_bytes(_SECRET_BYTES)
    link.opened_at = now()
    link.visit_sha256, link.visit_until = _hash(secret), link.opened_at + VISIT
    session.add(link)
    await audit.append(
        session,
        tenant_id=link.tenant_id,
        subject_id=link.subject_id,
        kind="person_link.opened",
        actor=PERSON,
        facts={"link": link.id.hex},
    )
    return Token(link.tenant_id, link.id, secret).text()


async def visitor(session: AsyncSession, token: Token) -> UUID:
    """Whose visit this is. Raises `NotFound` when it is none, or over, and `Gone` once the person is erased."""
    link = await session.get(PersonLink, token.link_id)
    if link is None or link.visit_sha256 is None or link.visit_until is None:
        raise NotFound
    if not hmac.compare_digest(link.visit_sha256, _hash(token.secret)) or link.visit_until <= now():
        raise NotFound
    await subjects.get(session, link.subject_id)
    return link.subject_id


async def held(session: AsyncSession, keyring: Keyring, subject_id: UUID) -> Held:
    """What the person sees. Their own look is noted like any other."""
    await access.note(
        session, subject_id=subject_id, what="identity", resource_id=subject_id, actor=PERSON, why="own_page"
    )
    photos = select(func.count()).select_from(Photo).where(Photo.subject_id == subject_id)
    headshots = select(func.count()).select_from(Headshot).where(Headshot.subject_id == subject_id)
    return Held(
        identity=await subjects.reveal(keyring, await subjects.get(session, subject_id)),
        photos=(await session.exec(photos.where(col(Photo.state) != PhotoState.ERASED))).one(),
        headshots=(await session.exec(headshots.where(col(Headshot.state) == HeadshotState.DONE))).one(),
        consents=await consent.standing(session, subject_id, show_declined=True),
        requests=await requests.page(session, subject_id=subject_id, before=None, limit=20),
        exports=await exports.page(session, subject_id, before=None, limit=5),
    )


async def file_of(session: AsyncSession, *, subject_id: UUID, export_id: UUID) -> Asset:
    """A file of one's own. Raises `NotFound` for somebody else's, and for one that is not, or no longer, there."""
    export = await exports.get(session, export_id)
    if export.subject_id != subject_id:
        raise NotFound
    try:
        return await exports.file_of(session, export)
    except (StateConflict, Gone):
        raise NotFound from None


async def withdraw(session: AsyncSession, *, subject_id: UUID, purpose: Purpose) -> None:
    """Take back a consent of one's own. Raises `NotFound` when there is none in force."""
    newest = (await consent.current(session, subject_id)).get(purpose)
    if newest is None or not consent.in_force(newest):
        raise NotFound
    await consent.withdraw(session, consent_id=newest.id, actor=PERSON)


async def ask(session: AsyncSession, keyring: Keyring, *, subject_id: UUID, kind: Kind) -> RightsRequest:
    """Enter a request of one's own. Raises `NotFound` for a kind that is not asked for here."""
    if kind not in KINDS:
        raise NotFound
    request, _ = await requests.receive(
        session, keyring, subject_id=subject_id, kind=kind, actor=PERSON, source=Source.PERSON
    )
    return request


async def _unopened(session: AsyncSession, token: Token) -> PersonLink:
    link = await session.get(PersonLink, token.link_id)
    if link is None or not hmac.compare_digest(link.token_sha256, _hash(token.secret)):
        raise NotFound
    if link.opened_at is not None or link.expires_at <= now():
        raise NotFound
    return link


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
