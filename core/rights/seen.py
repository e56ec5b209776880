"""Rights requests and erasures of all tenants, as the role that dispatches sees them: ids, states, codes and times.

Every function but `retry` wants a system session.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import literal_column, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import NotFound, StateConflict
from core.queue import Task, wake_after_commit
from core.rights import erase
from core.rights.models import RequestState, RightsRequest, Tombstone

Place = tuple[datetime, UUID]
"""Where a page ends: a moment, and the id of the row that has it."""


class Progress(StrEnum):
    """How an erasure stands. open: not certified yet. stuck: open, and it does not get on."""

    OPEN = "open"
    STUCK = "stuck"
    CERTIFIED = "certified"


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request, without what was written in it."""

    id: UUID
    tenant_id: UUID
    subject_id: UUID
    kind: str
    source: str
    state: str
    identity: str
    joined: int
    law: str
    law_source: str
    received_at: datetime
    acknowledge_by: datetime | None
    acknowledged_at: datetime | None
    due_at: datetime
    extended_due_at: datetime | None
    extended_at: datetime | None
    extension_code: str | None
    exception: str | None
    closed_at: datetime | None


_COLUMNS = tuple(getattr(RightsRequest, name) for name in SeenRequest.__dataclass_fields__)


async def requests(
    session: AsyncSession,
    *,
    state: RequestState,
    tenant_id: UUID | None = None,
    due_before: datetime | None = None,
    after: Place | None = None,
    limit: int,
) -> list[SeenRequest]:
    """Requests in a state, by due date: of open ones the most urgent first, of closed ones the latest first."""
    place = tuple_(col(RightsRequest.due_at), col(RightsRequest.id))
    query = select(*_COLUMNS).where(RightsRequest.state == state.value).limit(limit)
    if state is RequestState.RECEIVED:
        query = query.order_by(col(RightsRequest.due_at), col(RightsRequest.id))
    else:
        query = query.order_by(col(RightsRequest.due_at).desc(), col(RightsRequest.id).desc())
    if after is not None:
        query = query.where(place > after if state is RequestState.RECEIVED else place < after)
    if tenant_id is not None:
        query = query.where(RightsRequest.tenant_id == tenant_id)
    if due_before is not None:
        query = query.where(col(RightsRequest.due_at) < due_before)
    return [SeenRequest(*row) for row in (await session.exec(query)).all()]


async def tenant_of_request(session: AsyncSession, request_id: UUID) -> UUID:
    """Whose request this is, or `NotFound`."""
    found = (await session.exec(select(RightsRequest.tenant_id).where(RightsRequest.id == request_id))).first()
    if found is None:
        raise NotFound
    return found


async def erasures(
    session: AsyncSession,
    *,
    progress: Progress | None = None,
    tenant_id: UUID | None = None,
    after: Place | None = None,
    limit: int,
) -> list[Tombstone]:
    """Erasures, the latest first; open and stuck ones the oldest first, because they wait."""
    query = select(Tombstone).limit(limit)
    place = tuple_(col(Tombstone.shredded_at), col(Tombstone.subject_id))
    waits = progress in {Progress.OPEN, Progress.STUCK}
    if waits:
        query = query.where(col(Tombstone.certified_at).is_(None))
        query = query.order_by(col(Tombstone.shredded_at), col(Tombstone.subject_id))
    else:
        query = query.order_by(col(Tombstone.shredded_at).desc(), col(Tombstone.subject_id).desc())
    if progress is Progress.STUCK:
        query = query.where(col(Tombstone.attempts) >= literal_column(str(erase.STUCK_AFTER)))
    if progress is Progress.CERTIFIED:
        query = query.where(col(Tombstone.certified_at).is_not(None))
    if after is not None:
        query = query.where(place > after if waits else place < after)
    if tenant_id is not None:
        query = query.where(Tombstone.tenant_id == tenant_id)
    return list((await session.exec(query)).all())


async def erasure(session: AsyncSession, subject_id: UUID) -> Tombstone:
    """One erasure, or `NotFound`."""
    found = await session.get(Tombstone, subject_id)
    if found is None:
        raise NotFound
    return found


async def retry(session: AsyncSession, subject_id: UUID, *, actor: str) -> Tombstone:
    """Try an unfinished erasure again now, in a session of its tenant. Raises `NotFound`, and `StateConflict`."""
    tombstone = await erase.held(session, subject_id)
    if tombstone.certified_at is not None:
        raise StateConflict("This erasure is complete and certified.")
    tombstone.attempts, tombstone.next_at = 0, now()
    session.add(tombstone)
    await audit.append(
        session,
        tenant_id=tombstone.tenant_id,
        kind="erasure.retried",
        actor=actor,
        facts={"erasure": subject_id.hex},
    )
    wake_after_commit(session, Task.ERASE, tombstone.tenant_id, subject_id)
    return tombstone
