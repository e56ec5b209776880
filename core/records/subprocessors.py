"""Sub-processors: a list of versions, each told to every platform ahead of its day (GDPR Art. 28(2)).

Whoever runs the service publishes a version; the sweep tells each platform once, by the event `subprocessors.changed`.
Until the version takes effect a platform may object; saying nothing is no objection, and is not taken for a yes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import NotFound, StateConflict, Unacceptable
from core.records.models import SubprocessorList, SubprocessorNotice
from core.tenants.models import Tenant
from core.webhooks import service as webhooks

logger = logging.getLogger("likeness.records")

FIELDS: Final = ("name", "task", "country", "safeguard", "data_classes")
OBJECTIONS: Final = ("country", "safeguard", "conflict_of_interest", "data_class", "contract")


@dataclass(frozen=True)
class Standing:
    """Who processes now, who will from when, and what this platform said to that."""

    current: SubprocessorList | None
    upcoming: SubprocessorList | None
    notice: SubprocessorNotice | None


async def publish(
    session: AsyncSession, *, entries: Sequence[dict[str, Any]], effective_at: datetime, notice: timedelta
) -> SubprocessorList:
    """Publish the next version, in a system session. The first one may take effect at once: nobody had another.

    Raises `Unacceptable` for an entry without its fields, and for a day that is nearer than the notice.
    """
    for entry in entries:
        if set(entry) != set(FIELDS):
            raise Unacceptable("A sub-processor has these fields.", fields=list(FIELDS))
    newest = (await session.exec(select(func.max(SubprocessorList.version)))).one()
    if newest is not None and effective_at < now() + notice:
        raise Unacceptable(f"A change is told {notice.days} days ahead.", notice_days=notice.days)
    row = SubprocessorList(
        version=(newest or 0) + 1, entries=[dict(entry) for entry in entries], effective_at=effective_at
    )
    session.add(row)
    await session.flush()
    return row


async def standing(session: AsyncSession) -> Standing:
    """The lists, as a platform sees them. In its own session."""
    newest_first = select(SubprocessorList).order_by(col(SubprocessorList.version).desc())
    versions = (await session.exec(newest_first)).all()
    current = next((one for one in versions if one.effective_at <= now()), None)
    upcoming = next((one for one in versions if one.effective_at > now()), None)
    newest = upcoming or current
    notice = None
    if newest is not None:
        asked = select(SubprocessorNotice).where(SubprocessorNotice.version == newest.version)
        notice = (await session.exec(asked)).first()
    return Standing(current=current, upcoming=upcoming, notice=notice)


async def acknowledge(session: AsyncSession, *, version: int, actor: str) -> SubprocessorNotice:
    """Note that the platform has seen a version. Saying so again changes nothing."""
    notice = await _held(session, version)
    if notice.acknowledged_at is None:
        notice.acknowledged_at, notice.answered_by = now(), actor
        session.add(notice)
        await _record(session, notice, "acknowledged", actor)
    return notice


async def object_to(session: AsyncSession, *, version: int, reason_code: str, actor: str) -> SubprocessorNotice:
    """Note an objection to a version that is not in effect yet. Raises `StateConflict` afterwards."""
    if reason_code not in OBJECTIONS:
        raise Unacceptable("An objection names its ground.", allowed=list(OBJECTIONS))
    notice = await _held(session, version)
    listed = await session.get_one(SubprocessorList, version)
    if listed.effective_at <= now():
        raise StateConflict("This version is in effect already.")
    if notice.objected_at is None:
        notice.objected_at, notice.reason_code, notice.answered_by = now(), reason_code, actor
        session.add(notice)
        await _record(session, notice, "objected", actor)
        # Somebody has to talk to the platform before the day comes.
        logger.warning("a platform objects to a sub-processor", extra={"tenant": notice.tenant_id.hex})
    return notice


async def announce(database: Database, *, limit: int = 100) -> int:
    """Tell every platform that has not heard of the newest version. How many were told."""
    async with database.system() as session:
        newest = (await session.exec(select(func.max(SubprocessorList.version)))).one()
        if newest is None:
            return 0
        told = select(SubprocessorNotice.tenant_id).where(SubprocessorNotice.version == newest)
        found = (await session.exec(select(Tenant.id).where(col(Tenant.id).not_in(told)).limit(limit))).all()
        listed = await session.get_one(SubprocessorList, newest)
    for tenant_id in found:
        try:
            async with database.tenant(tenant_id) as session:
                await _tell(session, tenant_id, listed)
        except Exception as error:
            # One platform that cannot be told now keeps the word from nobody else; it comes round again.
            logger.exception("a platform could not be told", extra={"error_type": type(error).__name__})
    return len(found)


async def _tell(session: AsyncSession, tenant_id: UUID, listed: SubprocessorList) -> None:
    notice = SubprocessorNotice(tenant_id=tenant_id, version=listed.version)
    session.add(notice)
    await session.flush()
    await _record(session, notice, "told", "records")
    await webhooks.emit(
        session,
        tenant_id=tenant_id,
        type="subprocessors.changed",
        resource_id=tenant_id,
        data={
            "version": listed.version,
            "effective_at": listed.effective_at.isoformat(),
            "object_before": listed.effective_at.isoformat(),
        },
    )


async def _held(session: AsyncSession, version: int) -> SubprocessorNotice:
    query = select(SubprocessorNotice).where(SubprocessorNotice.version == version).with_for_update()
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound
    return found


async def _record(session: AsyncSession, notice: SubprocessorNotice, what: str, actor: str) -> None:
    await audit.append(
        session,
        tenant_id=notice.tenant_id,
        kind=f"subprocessors.{what}",
        actor=actor,
        facts={"version": notice.version, "reason": notice.reason_code},
    )
