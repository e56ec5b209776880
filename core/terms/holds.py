"""Legal holds: what must not be deleted, because somebody needs it to make or to meet a legal claim.

A hold names a person and classes of their data, and ends by itself on its day. While it stands, neither the sweep nor a
deletion by hand touches those classes, and the person's erasure is refused as a whole: it would destroy the one key
under which what is held can be read (GDPR Art. 17(3)(e)).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from core.audit import service as audit
from core.clock import now
from core.errors import Gone, LegalHoldStands, NotFound, StateConflict, Unacceptable
from core.ids import new_id
from core.keyring.service import Keyring
from core.storage.tombstones import Kind, remember, remember_end
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.terms.models import LegalHold
from core.terms.policy import DataClass

REASON = "legal_hold_reason"
# An export is a copy of what is held; events carry ids and states alone, and are of no person.
HOLDABLE = tuple(name for name in DataClass if name not in {DataClass.EXPORT, DataClass.DELIVERY_LOG})
# A headshot's row names its job, so a job that is to go would take it along.
_WITH_JOBS = {DataClass.HEADSHOT, DataClass.REJECTED_OUTPUT}


async def place(
    session: AsyncSession,
    keyring: Keyring,
    *,
    subject_id: UUID,
    reason: str,
    expires_at: datetime,
    actor: str,
    data_classes: Collection[DataClass] = (),
    hold_id: UUID | None = None,
) -> LegalHold:
    """Hold what there is of a person, and what comes, until `expires_at`. No class named means all that can be held.

    The person's row is held, and the tenant's turn: an erasure, deletion or departure that is under way comes first,
    and then this raises `Gone`, or finds less to hold; a later one sees the hold. hold_id: of one that a restore lost.
    """
    chosen = set(data_classes) or set(HOLDABLE)
    if not chosen <= set(HOLDABLE):
        raise Unacceptable("This class cannot be held. See `allowed`.", allowed=[name.value for name in HOLDABLE])
    if chosen & _WITH_JOBS:
        chosen.add(DataClass.JOB_METADATA)
    subject = await subjects.lock(session, subject_id)
    await session.exec(select(func.pg_advisory_xact_lock_shared(_turn(subject.tenant_id))))
    if all(kek.destroyed for kek in await keyring.kek_versions(subject.tenant_id)):
        raise Gone  # the tenant left; a sealer may still be cached for some seconds
    sealer = await keyring.subject_sealer(subject.tenant_id, subject.id)
    hold = LegalHold(
        id=hold_id or new_id(),
        tenant_id=subject.tenant_id,
        subject_id=subject.id,
        data_classes=[name.value for name in HOLDABLE if name in chosen],
        sealed_reason=sealer.seal_field(REASON, reason),
        expires_at=expires_at,
        created_by=actor,
    )
    session.add(hold)
    await session.flush()
    # A restore must not delete what somebody needs for a claim.
    said = {"subject": subject.id.hex, "until": expires_at.isoformat(), "classes": hold.data_classes}
    await remember(session, Kind.HOLD, tenant_id=hold.tenant_id, id=hold.id, **said)
    await _record(session, hold, "placed", actor=actor)
    return hold


async def release(session: AsyncSession, hold_id: UUID, *, actor: str) -> LegalHold:
    """Let go before the day. Releasing again changes nothing; raises `StateConflict` for one that ended by itself."""
    query = select(LegalHold).where(LegalHold.id == hold_id).with_for_update()
    hold = (await session.exec(query.execution_options(populate_existing=True))).first()
    if hold is None:
        raise NotFound
    if hold.released_at is not None:
        return hold
    if not is_standing(hold):
        raise StateConflict("This hold ended by itself.")
    hold.released_at, hold.released_by = now(), actor
    session.add(hold)
    await session.flush()
    await _record(session, hold, "released", actor=actor)
    remember_end(session, tenant_id=hold.tenant_id, id=hold.id)
    return hold


async def get(session: AsyncSession, hold_id: UUID) -> LegalHold:
    """A hold, or `NotFound`."""
    found = await session.get(LegalHold, hold_id)
    if found is None:
        raise NotFound
    return found


async def page(
    session: AsyncSession,
    *,
    subject_id: UUID | None = None,
    standing_only: bool = False,
    before: UUID | None,
    limit: int,
) -> list[LegalHold]:
    """Holds, newest first; of one person, or of all."""
    query = select(LegalHold).order_by(col(LegalHold.id).desc()).limit(limit)
    if subject_id is not None:
        await subjects.get(session, subject_id)
        query = query.where(LegalHold.subject_id == subject_id)
    if standing_only:
        query = query.where(col(LegalHold.released_at).is_(None), LegalHold.expires_at > now())
    if before is not None:
        query = query.where(LegalHold.id < before)
    return list((await session.exec(query)).all())


async def reason_of(keyring: Keyring, hold: LegalHold) -> str | None:
    """Why it was placed, opened. None once the person is erased."""
    if hold.sealed_reason is None:
        return None
    try:
        sealer = await keyring.subject_sealer(hold.tenant_id, hold.subject_id)
        return sealer.open_field(REASON, hold.sealed_reason)
    except Gone:
        return None


def is_standing(hold: LegalHold) -> bool:
    """Whether it holds anything now."""
    return hold.released_at is None and hold.expires_at > now()


async def standing(session: AsyncSession, subject_id: UUID, data_class: DataClass | None = None) -> Sequence[LegalHold]:
    """The holds on a person that stand now; on one class, or on any."""
    query = select(LegalHold).where(
        LegalHold.subject_id == subject_id, col(LegalHold.released_at).is_(None), LegalHold.expires_at > now()
    )
    found = (await session.exec(query)).all()
    return [hold for hold in found if data_class is None or data_class.value in hold.data_classes]


async def require_none(session: AsyncSession, subject_id: UUID, data_class: DataClass | None = None) -> None:
    """Raise `LegalHoldStands`, with the day until which, if this class of the person, or any, is held.

    Waits for a hold that is being placed, and until the transaction ends none can be.
    """
    await session.exec(_people([subject_id]))
    _raise_for(await standing(session, subject_id, data_class))


async def require_none_of_tenant(session: AsyncSession, tenant_id: UUID) -> None:
    """The same for everybody of the session's tenant."""
    await session.exec(select(func.pg_advisory_xact_lock(_turn(tenant_id))))
    query = select(LegalHold).where(col(LegalHold.released_at).is_(None), LegalHold.expires_at > now())
    _raise_for((await session.exec(query)).all())


async def not_held(session: AsyncSession, subject_ids: Collection[UUID], data_class: DataClass) -> set[UUID]:
    """Who of these people has no hold on a class, and can get none until the transaction ends.

    Whoever is being held, or erased, at this moment is left out.
    """
    free = set((await session.exec(_people(subject_ids, skip_locked=True))).all())
    query = select(LegalHold).where(
        col(LegalHold.subject_id).in_(free), col(LegalHold.released_at).is_(None), LegalHold.expires_at > now()
    )
    held = (await session.exec(query)).all()
    return free - {hold.subject_id for hold in held if data_class.value in hold.data_classes}


def _people(subject_ids: Collection[UUID], *, skip_locked: bool = False) -> SelectOfScalar[UUID]:
    # A key share is stopped by `place` and by an erasure that begins, and by nothing else that is done to a person.
    query = select(Subject.id).where(col(Subject.id).in_(subject_ids))
    return query.with_for_update(read=True, key_share=True, skip_locked=skip_locked)


def _turn(tenant_id: UUID) -> ColumnElement[int]:
    return func.hashtext(f"holds/{tenant_id}")


def _raise_for(found: Sequence[LegalHold]) -> None:
    if found:
        until = max(hold.expires_at for hold in found)
        raise LegalHoldStands(until=until.isoformat(), holds=len(found))


async def _record(session: AsyncSession, hold: LegalHold, what: str, *, actor: str) -> None:
    await audit.append(
        session,
        tenant_id=hold.tenant_id,
        subject_id=hold.subject_id,
        kind=f"legal_hold.{what}",
        actor=actor,
        facts={
            "hold": hold.id.hex,
            "classes": ",".join(hold.data_classes),
            "until": int(hold.expires_at.timestamp()),
        },
    )
