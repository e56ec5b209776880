"""What an approved break-glass shows: ids, states and times of single people, and never anything sealed of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import NotFound, StateConflict
from core.headshots.models import Headshot
from core.jobs.models import Job
from core.operators import proposals, record
from core.operators.acts import Ground
from core.operators.errors import SecondPersonNeeded
from core.operators.service import Operator
from core.operators.tenant_acts import BREAK_GLASS, open_until
from core.photos.models import Photo
from core.subjects.models import Subject

Thing = tuple[UUID, str, datetime, datetime | None]


@dataclass(frozen=True)
class Record:
    """One person's records."""

    id: UUID
    created_at: datetime
    erased_at: datetime | None
    photos: list[Thing]
    headshots: list[Thing]
    jobs: list[Thing]


async def look(
    ground: Ground, operator: Operator, proposal_id: UUID, *, before: UUID | None, only: UUID | None, limit: int
) -> tuple[list[Record], datetime]:
    """People of the tenant, newest first, and until when this is open. Each look is in both logs.

    Raises `NotFound`, `SecondPersonNeeded` for anybody but the two, and `StateConflict` when it is not open.
    """
    proposal = await proposals.get(ground, proposal_id)
    if proposal.kind != BREAK_GLASS.kind or proposal.about_tenant_id is None:
        raise NotFound
    if operator.id is None or operator.id not in {proposal.proposed_by, proposal.decided_by}:
        raise SecondPersonNeeded("Only the two who agreed on it see this.")
    if proposal.state != "executed" or open_until(proposal) <= now():
        raise StateConflict("This is not open: nobody has agreed to it, or its 30 minutes are over.")
    tenant_id = proposal.about_tenant_id
    async with ground.database.operator(tenant_id) as session:
        query = (
            select(Subject.id, Subject.created_at, col(Subject.erased_at)).order_by(col(Subject.id).desc()).limit(limit)
        )
        if before is not None:
            query = query.where(Subject.id < before)
        if only is not None:
            query = query.where(Subject.id == only)
        people = (await session.exec(query)).all()
        ids = [subject_id for subject_id, _, _ in people]
        photos = await _things(session, Photo, ids, expires=True)
        headshots = await _things(session, Headshot, ids, expires=True)
        jobs = await _things(session, Job, ids, expires=False)
        facts: dict[str, audit.Fact] = {"proposal": proposal.id.hex, "people": len(ids)}
        await audit.append(session, tenant_id=tenant_id, kind="operator.looked", actor=operator.actor, facts=facts)
        await record.append(session, kind="break_glass.looked", actor=operator.actor, facts=facts, about=tenant_id)
        record.sign_after_commit(session, ground.database, ground.keyring)
    found = [
        Record(
            id=subject_id,
            created_at=created_at,
            erased_at=erased_at,
            photos=photos.get(subject_id, []),
            headshots=headshots.get(subject_id, []),
            jobs=jobs.get(subject_id, []),
        )
        for subject_id, created_at, erased_at in people
    ]
    return found, open_until(proposal)


async def _things(
    session: AsyncSession, table: type[SQLModel], ids: Sequence[UUID], *, expires: bool
) -> dict[UUID, list[Thing]]:
    columns: Any = table
    wanted = [columns.subject_id, columns.id, columns.state, columns.created_at]
    if expires:
        wanted.append(columns.expires_at)
    rows = (await session.exec(select(*wanted).where(columns.subject_id.in_(ids)).order_by(columns.id))).all()
    found: dict[UUID, list[Thing]] = {}
    for subject_id, thing_id, state, created_at, *rest in rows:
        found.setdefault(subject_id, []).append((thing_id, state, created_at, rest[0] if rest else None))
    return found
