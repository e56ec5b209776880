"""What the sweep does for rights requests: warn ahead of a deadline, shout after it, close what an erasure answered."""

import logging
from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.ids import Prefix, public
from core.rights import requests
from core.rights.models import ErasureState, RequestState, RightsRequest, Tombstone

logger = logging.getLogger("likeness.rights")

EVENT_OF = {
    "acknowledgement_due_soon": "rights_request.due_soon",
    "due_soon": "rights_request.due_soon",
    "acknowledgement_overdue": "rights_request.overdue",
    "overdue": "rights_request.overdue",
}


async def mind(database: Database, *, limit: int) -> int:
    """Look at every open request whose moment has come. Returns how many there were; any number may do this at once."""
    async with database.system() as session:
        found = await _waiting(session, limit=limit)
    for tenant_id, request_id in found:
        try:
            async with database.tenant(tenant_id) as session:
                await _mind_one(session, request_id)
        except Exception as error:
            # One request that cannot be minded must not silence the deadlines of all others.
            logger.exception("a rights request could not be minded", extra={"error_type": type(error).__name__})
    return len(found)


async def _waiting(session: AsyncSession, *, limit: int) -> Sequence[tuple[UUID, UUID]]:
    query = (
        select(RightsRequest.tenant_id, RightsRequest.id)
        .join(Tombstone, col(Tombstone.subject_id) == RightsRequest.subject_id, isouter=True)
        .where(RightsRequest.state == RequestState.RECEIVED)
        .where(or_(col(RightsRequest.next_word_at) <= now(), Tombstone.state == ErasureState.ERASED))
        .order_by(col(RightsRequest.next_word_at))
        .limit(limit)
    )
    return [(tenant_id, request_id) for tenant_id, request_id in (await session.exec(query)).all()]


async def _mind_one(session: AsyncSession, request_id: UUID) -> None:
    # Two sweeps may have found it: the second passes by.
    query = select(RightsRequest).where(RightsRequest.id == request_id).with_for_update(skip_locked=True)
    request = (await session.exec(query)).first()
    if request is None or request.state != RequestState.RECEIVED:
        return
    tombstone = await session.get(Tombstone, request.subject_id)
    if tombstone is not None and tombstone.state == ErasureState.ERASED:
        await requests.close_as_erased(session, request)
        return
    for word in await requests.note_words(session, request):
        if word.endswith("overdue"):
            logger.error(
                "a rights request is overdue",
                extra={"tenant": public(Prefix.TENANT, request.tenant_id), "state": word, "reason_code": request.kind},
            )
        await requests.tell(session, request, EVENT_OF[word])
