"""Rights requests: what a person asked for, who they are, by when they get an answer, and what the answer was.

Some requests are answered by doing: an opt-out is recorded at once, a restriction or an objection makes processing
stand still from the moment it is received, an erasure or an export begins when the identity is verified. The rest is
the tenant's to do. Nothing here waits for an invoice: a suspended tenant's people have the same rights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent import restrict
from core.consent import service as consent
from core.errors import IdentityUnverified, NotFound, StateConflict, Unacceptable
from core.ids import Prefix, new_id, public
from core.keyring.service import Keyring
from core.rights import clocks, erase, exports
from core.rights.models import Identity, PersonExport, RequestState, RightsRequest, Source
from core.rights.rules import Kind
from core.subjects import service as subjects
from core.webhooks import service as webhooks

# They stand still from receipt on: the person's no does not wait for paperwork. A denial, or `lift`, ends it.
STANDS_STILL: Final = frozenset({Kind.RESTRICTION, Kind.OBJECTION})
# Handing out, or changing, what is known of a person on the word of somebody else would be a breach of its own.
NEEDS_IDENTITY: Final = frozenset({Kind.ACCESS, Kind.PORTABILITY, Kind.RECTIFICATION, Kind.ERASURE})

# These are answered with a file of everything that is held (GDPR Art. 15(3), 20(1)).
ANSWERED_BY_EXPORT: Final = frozenset({Kind.ACCESS, Kind.PORTABILITY})

# Why an answer may take longer: GDPR Art. 12(3), Cal. Code Regs. tit. 11, § 7021(b).
EXTENSIONS: Final = ("complexity", "number_of_requests")

# Why a request may be denied, each with the provision that it rests on.
EXCEPTIONS: Final[Mapping[str, str]] = {
    "identity_not_established": "GDPR Art. 12(2), 12(6); Cal. Code Regs. tit. 11, § 7062(e)",
    "manifestly_unfounded_or_excessive": "GDPR Art. 12(5)(b); Cal. Civ. Code § 1798.145(h)(3)",
    "rights_of_others": "GDPR Art. 15(4), 20(4)",
    "legal_obligation": "GDPR Art. 17(3)(b); Cal. Civ. Code § 1798.105(d)(8)",
    "legal_claims": "GDPR Art. 17(3)(e), 18(2), 21(1)",
    "freedom_of_expression": "GDPR Art. 17(3)(a); Cal. Civ. Code § 1798.105(d)(4)",
    "public_interest_archiving": "GDPR Art. 17(3)(d), 89(1)",
    "compelling_legitimate_grounds": "GDPR Art. 21(1)",
    "data_is_accurate": "GDPR Art. 16, 18(1)(a); Cal. Civ. Code § 1798.106",
    "no_ground_for_restriction": "GDPR Art. 18(1)",
    "not_covered_by_the_right": "GDPR Art. 20(1), 17(1)",
}

# A request that came by other ways may be entered later, with the moment from which the law counts.
LONGEST_BACKDATING: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Words:
    """What was written in a request and in the answer to it, opened."""

    details: str | None
    reason: str | None


NO_WORDS: Final = Words(details=None, reason=None)


async def receive(  # noqa: PLR0913 (the fields of a request)
    session: AsyncSession,
    keyring: Keyring,
    *,
    subject_id: UUID,
    kind: Kind,
    actor: str,
    source: Source = Source.TENANT,
    identity: Identity = Identity.UNVERIFIED,
    details: str | None = None,
    received_at: datetime | None = None,
    request_id: UUID | None = None,
) -> tuple[RightsRequest, bool]:
    """Take a request in and start its clock. False: an open one of this kind was there, and this one joined it.

    request_id: of one that a restore lost. Raises `NotFound`, `Gone`, and `Unacceptable` for a `received_at` that is
    ahead or more than a year ago.
    """
    # 1. The person's row, exclusively: repeats take turns, and running work sees what follows.
    subject = await subjects.lock(session, subject_id)
    known = await _open(session, subject_id, kind)
    if known is not None:
        known.joined += 1
        session.add(known)
        if identity is Identity.VERIFIED:
            await verify(session, keyring, request_id=known.id, outcome=identity, actor=actor)
        return known, False
    # 2. The clock of the law that protects them, from the moment of receipt.
    moment = now()
    received_at = received_at or moment
    if not moment - LONGEST_BACKDATING <= received_at <= moment:
        raise Unacceptable("A request was received at some time in the last year.")
    found = clocks.deadlines(subject.jurisdiction, kind, received_at)
    request = RightsRequest(
        id=request_id or new_id(),
        tenant_id=subject.tenant_id,
        subject_id=subject.id,
        kind=kind.value,
        source=source.value,
        law=found.law,
        law_source=found.source,
        received_at=received_at,
        acknowledge_by=found.acknowledge_by,
        due_at=found.due_at,
        extended_due_at=found.extended_due_at,
    )
    if details is not None:
        sealer = await keyring.subject_sealer(subject.tenant_id, subject.id)
        request.sealed_details = sealer.seal_field(_name(request, "details"), details)
    _look_again(request)
    session.add(request)
    await session.flush()
    await _record(session, request, "received", actor=actor)
    await tell(session, request, "rights_request.received")
    # 3. What takes effect at once.
    if kind in STANDS_STILL:
        await restrict.impose(
            session, tenant_id=request.tenant_id, subject_id=subject.id, request_id=request.id, kind=kind.value
        )
    if kind is Kind.OPT_OUT_OF_SALE:
        await consent.opt_out(session, subject_id=subject.id, actor=actor)
        await _close(session, request, RequestState.COMPLETED, actor=actor)
    elif identity is Identity.VERIFIED:
        await verify(session, keyring, request_id=request.id, outcome=identity, actor=actor)
    return request, True


async def get(session: AsyncSession, request_id: UUID) -> RightsRequest:
    """A request, or `NotFound`. It stays after an erasure, without what was written in it."""
    found = await session.get(RightsRequest, request_id)
    if found is None:
        raise NotFound
    return found


async def page(
    session: AsyncSession,
    *,
    subject_id: UUID | None = None,
    state: RequestState | None = None,
    before: UUID | None,
    limit: int,
) -> list[RightsRequest]:
    """Requests, newest first; of one person, or in one state, or all."""
    query = select(RightsRequest).order_by(col(RightsRequest.id).desc()).limit(limit)
    if subject_id is not None:
        await subjects.get(session, subject_id)
        query = query.where(RightsRequest.subject_id == subject_id)
    if state is not None:
        query = query.where(RightsRequest.state == state)
    if before is not None:
        query = query.where(RightsRequest.id < before)
    return list((await session.exec(query)).all())


async def read(keyring: Keyring, request: RightsRequest) -> Words:
    """Open what was written. Raises `Gone` once the person is erased."""
    sealer = await keyring.subject_sealer(request.tenant_id, request.subject_id)

    def opened(what: str, sealed: bytes | None) -> str | None:
        return None if sealed is None else sealer.open_field(_name(request, what), sealed)

    return Words(details=opened("details", request.sealed_details), reason=opened("reason", request.sealed_reason))


async def verify(
    session: AsyncSession, keyring: Keyring, *, request_id: UUID, outcome: Identity, actor: str
) -> RightsRequest:
    """Record whether it was the person.

    A verified erasure begins here, in this very transaction; a verified access begins its export. Word that it was not
    the person takes an export back.
    """
    request = await _held(session, request_id)
    request.identity = outcome.value
    session.add(request)
    await _record(session, request, f"identity_{outcome.value}", actor=actor)
    if outcome is Identity.VERIFIED and request.kind == Kind.ERASURE:
        await erase.begin(session, keyring, subject_id=request.subject_id, actor=actor)
    if request.kind in ANSWERED_BY_EXPORT:
        if outcome is Identity.VERIFIED:
            await exports.begin(session, request, actor=actor)
        else:
            await exports.take_back(session, request.id, reason="identity_not_established")
    return request


async def export(session: AsyncSession, *, request_id: UUID, actor: str) -> PersonExport:
    """Begin an export for an open request, where there is none yet or none any more; else the one that there is.

    Raises `IdentityUnverified`, and `StateConflict` for a request of another kind.
    """
    request = await _held(session, request_id)
    if request.kind not in ANSWERED_BY_EXPORT:
        raise StateConflict("Only a request for access or portability is answered with an export.")
    if request.identity != Identity.VERIFIED:
        raise IdentityUnverified
    return await exports.begin(session, request, actor=actor)


async def acknowledge(session: AsyncSession, *, request_id: UUID, actor: str) -> RightsRequest:
    """Record that the person was told of the receipt. Doing so again changes nothing.

    An erasure destroys the person's key the moment it begins, and its request is open until all is gone: whoever asked
    is told of the receipt all the same, and the law's clock for that runs on. The leaf then names nobody.
    """
    request = await _held(session, request_id, erased_too=True)
    if request.acknowledged_at is None:
        request.acknowledged_at = now()
        _look_again(request)
        session.add(request)
        person = await subjects.lock(session, request.subject_id, erased_too=True)
        await _record(session, request, "acknowledged", actor=actor, linked=person.erased_at is None)
    return request


async def extend(
    session: AsyncSession, keyring: Keyring, *, request_id: UUID, code: str, reason: str, actor: str
) -> RightsRequest:
    """Take the law's extension, once, before the first term ends (GDPR Art. 12(3)). The person must be told why.

    Raises `StateConflict` where the law knows none, where it is taken already, and when it is too late.
    """
    if code not in EXTENSIONS:
        raise Unacceptable("An extension needs one of the law's reasons.", allowed=list(EXTENSIONS))
    request = await _held(session, request_id)
    if request.extended_due_at is None:
        raise StateConflict(f"There is no extension under {request.law}.")
    if request.extended_at is not None:
        raise StateConflict("This request was extended before; a law extends once.")
    if now() >= request.due_at:
        raise StateConflict("The first term is over, so it is too late for an extension.")
    request.extended_at = now()
    request.extension_code = code
    request.due_at = request.extended_due_at
    request.told = [word for word in request.told if word not in {"due_soon", "overdue"}]
    await _write(keyring, request, reason)
    _look_again(request)
    session.add(request)
    await _record(session, request, "extended", actor=actor)
    return request


async def deny(
    session: AsyncSession, keyring: Keyring, *, request_id: UUID, exception: str, reason: str, actor: str
) -> RightsRequest:
    """Close a request with a no, under a named exception. What it had made to stand still goes on."""
    if exception not in EXCEPTIONS:
        raise Unacceptable("A denial needs one of the law's exceptions.", allowed=sorted(EXCEPTIONS))
    request = await _held(session, request_id)
    if request.kind == Kind.ERASURE and request.identity == Identity.VERIFIED:
        raise StateConflict("The erasure has begun, and nothing brings back what it destroyed.")
    await _write(keyring, request, reason)
    request.exception = exception
    await restrict.lift(session, request_id=request.id)
    await exports.take_back(session, request.id, reason="request_denied")
    await _close(session, request, RequestState.DENIED, actor=actor)
    return request


async def complete(session: AsyncSession, *, request_id: UUID, actor: str) -> RightsRequest:
    """Close a request as answered. A restriction or an objection that was granted stays in force until `lift`.

    Raises `IdentityUnverified`, and `StateConflict` for an erasure, which completes by itself.
    """
    request = await _held(session, request_id)
    if request.kind in NEEDS_IDENTITY and request.identity != Identity.VERIFIED:
        raise IdentityUnverified
    if request.kind == Kind.ERASURE:
        raise StateConflict("An erasure completes by itself, when everything is gone.")
    await _close(session, request, RequestState.COMPLETED, actor=actor)
    return request


async def lift(session: AsyncSession, *, request_id: UUID, actor: str) -> RightsRequest:
    """Let processing go on after a restriction or an objection. The person was told before (GDPR Art. 18(3)).

    Raises `StateConflict` when nothing of this request is in force, and while it is not answered.
    """
    request = await _held(session, request_id, state=RequestState.COMPLETED)
    if not await restrict.lift(session, request_id=request_id):
        raise StateConflict("Nothing of this request is in force.")
    await _record(session, request, "lifted", actor=actor)
    return request


async def close_as_erased(session: AsyncSession, request: RightsRequest) -> None:
    """Close an open request of a person who is erased: their erasure is complete, the rest has lost its object."""
    state = RequestState.COMPLETED if request.kind == Kind.ERASURE else RequestState.SUPERSEDED
    await _close(session, request, state, actor="erasure", linked=False)


async def tell(session: AsyncSession, request: RightsRequest, type: str) -> None:  # noqa: A002 (the event's own name)
    """Send an event about a request: ids, states and times alone."""
    await webhooks.emit(
        session,
        tenant_id=request.tenant_id,
        type=type,
        resource_id=request.id,
        data={
            "rights_request_id": public(Prefix.RIGHTS_REQUEST, request.id),
            "subject_id": public(Prefix.SUBJECT, request.subject_id),
            "kind": request.kind,
            "state": request.state,
            "due_at": request.due_at.isoformat(),
            "acknowledge_by": None if request.acknowledge_by is None else request.acknowledge_by.isoformat(),
        },
    )


def words(request: RightsRequest) -> list[tuple[str, datetime]]:
    """The warnings that an open request gives, with their moments, earliest first."""
    found: list[tuple[str, datetime]] = []
    if request.acknowledge_by is not None and request.acknowledged_at is None:
        found += [
            ("acknowledgement_due_soon", _soon(request, request.acknowledge_by)),
            ("acknowledgement_overdue", request.acknowledge_by),
        ]
    found += [("due_soon", _soon(request, request.due_at)), ("overdue", request.due_at)]
    return sorted(((word, moment) for word, moment in found if word not in request.told), key=lambda pair: pair[1])


def _soon(request: RightsRequest, due_at: datetime) -> datetime:
    """A week ahead, or half of the term where that is shorter."""
    return due_at - min(clocks.SOON, (due_at - request.received_at) / 2)


def _look_again(request: RightsRequest) -> None:
    waiting = words(request)
    request.next_word_at = waiting[0][1] if waiting else None


async def note_words(session: AsyncSession, request: RightsRequest) -> list[str]:
    """Which warnings are due by now: noted as given."""
    moment = now()
    due = [word for word, at in words(request) if at <= moment]
    request.told = [*request.told, *due]
    _look_again(request)
    session.add(request)
    return due


async def _open(session: AsyncSession, subject_id: UUID, kind: Kind) -> RightsRequest | None:
    query = select(RightsRequest).where(
        RightsRequest.subject_id == subject_id,
        RightsRequest.kind == kind,
        RightsRequest.state == RequestState.RECEIVED,
    )
    return (await session.exec(query.with_for_update().execution_options(populate_existing=True))).first()


async def _held(
    session: AsyncSession,
    request_id: UUID,
    *,
    state: RequestState = RequestState.RECEIVED,
    erased_too: bool = False,
) -> RightsRequest:
    """The request in this state, its row and its person's locked: person first, as everywhere."""
    found = await get(session, request_id)
    await subjects.lock(session, found.subject_id, erased_too=erased_too)
    query = select(RightsRequest).where(RightsRequest.id == request_id).with_for_update()
    request = (await session.exec(query.execution_options(populate_existing=True))).one()
    if request.state != state:
        raise StateConflict(f"This request is {request.state}.", state=request.state)
    return request


async def _write(keyring: Keyring, request: RightsRequest, reason: str) -> None:
    sealer = await keyring.subject_sealer(request.tenant_id, request.subject_id)
    request.sealed_reason = sealer.seal_field(_name(request, "reason"), reason)


async def _close(
    session: AsyncSession, request: RightsRequest, state: RequestState, *, actor: str, linked: bool = True
) -> None:
    request.state = state.value
    request.closed_at = now()
    request.next_word_at = None
    session.add(request)
    await session.flush()
    await _record(session, request, state.value, actor=actor, linked=linked)
    await tell(session, request, "rights_request.completed")


async def _record(session: AsyncSession, request: RightsRequest, what: str, *, actor: str, linked: bool = True) -> None:
    """Add the leaf. linked: whether it names the person; after their erasure no leaf may."""
    await audit.append(
        session,
        tenant_id=request.tenant_id,
        subject_id=request.subject_id if linked else None,
        kind=f"rights_request.{what}",
        actor=actor,
        facts={"request": request.id.hex, "kind": request.kind, "law": request.law},
    )


def _name(request: RightsRequest, what: str) -> str:
    return f"rights_request:{request.id.hex}:{what}"
