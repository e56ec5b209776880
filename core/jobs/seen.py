"""Jobs of all tenants, as the role that dispatches sees them: ids, states, codes and times."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import literal_column
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound
from core.jobs.models import Job, JobState


@dataclass(frozen=True, slots=True)
class SeenJob:
    """One job, without what was asked for in it."""

    id: UUID
    tenant_id: UUID
    region: str
    mode: str
    state: str
    stage: str | None
    progress: float
    attempt: int
    deaths: int
    worker: str | None
    reason_code: str | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_COLUMNS = tuple(getattr(Job, name) for name in SeenJob.__dataclass_fields__)


async def page(
    session: AsyncSession, *, state: JobState | None, tenant_id: UUID | None, before: UUID | None, limit: int
) -> list[SeenJob]:
    """Jobs of all tenants or of one, newest first. In a system session."""
    query = select(*_COLUMNS).order_by(col(Job.id).desc()).limit(limit)
    if state is not None:
        # Written out, so that the planner sees that the index of what is not done covers it.
        query = query.where(literal_column("job.state") == literal_column(f"'{state.value}'"))
    if tenant_id is not None:
        query = query.where(Job.tenant_id == tenant_id)
    if before is not None:
        query = query.where(Job.id < before)
    return [SeenJob(*row) for row in (await session.exec(query)).all()]


async def tenant_of(session: AsyncSession, job_id: UUID) -> UUID:
    """Whose job this is, or `NotFound`. In a system session."""
    found = (await session.exec(select(Job.tenant_id).where(Job.id == job_id))).first()
    if found is None:
        raise NotFound
    return found
