"""What the records count: requests and how they were answered, and how much of everything there is. Never who."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import case, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent.models import Action, Consent
from core.headshots.models import Headshot
from core.jobs.models import Job
from core.photos.models import Photo
from core.rights.models import Identity, PersonExport, RequestState, RightsRequest, Tombstone
from core.subjects.models import Subject


@dataclass(frozen=True)
class Month:
    """The requests that came in one month, and what became of them.

    in_time: answered before the first moment that was too late; late: after it. overdue: open, and past it.
    median_hours: from receipt to answer.
    """

    month: str
    received: int
    in_time: int
    late: int
    extended: int
    denied: int
    open: int
    overdue: int
    median_hours: int | None


async def months(session: AsyncSession) -> list[Month]:
    """The history of all requests, month by month in UTC, oldest first."""
    request = RightsRequest
    closed, due = col(request.closed_at), col(request.due_at)
    month = func.to_char(func.timezone("UTC", col(request.received_at)), "YYYY-MM")
    took = func.extract("epoch", closed - col(request.received_at))

    def counted(condition: Any) -> Any:
        return func.count(case((condition, 1)))

    query = select(
        month,
        func.count(),
        counted(closed <= due),
        counted(closed > due),
        counted(col(request.extended_at).is_not(None)),
        counted(col(request.state) == RequestState.DENIED),
        counted(closed.is_(None)),
        counted(closed.is_(None) & (due <= now())),
        func.percentile_cont(0.5).within_group(took),
    ).group_by(month)  # type: ignore[call-overload]  # the stubs end at four columns
    found = (await session.exec(query.order_by(month))).all()
    return [
        Month(*row[:8], median_hours=None if row[8] is None else round(float(row[8]) / 3600))  # type: ignore[misc]  # the first eight columns are its fields
        for row in found
    ]


async def denials(session: AsyncSession) -> dict[str, int]:
    """How many requests were denied, by the law's exception."""
    query = (
        select(RightsRequest.exception, func.count())
        .where(RightsRequest.state == RequestState.DENIED)
        .group_by(col(RightsRequest.exception))
    )
    return {str(name): count for name, count in (await session.exec(query)).all()}


async def amounts(session: AsyncSession) -> dict[str, Any]:
    """How much of everything there is.

    A no that somebody gave without being held to it is not counted: among few people a count could point at one.
    """
    said = (
        select(Consent.purpose, Consent.action, func.count())
        .where(Consent.action != Action.DECLINED)
        .group_by(col(Consent.purpose), col(Consent.action))
    )
    consents: dict[str, dict[str, int]] = {}
    for purpose, action, count in (await session.exec(said)).all():
        consents.setdefault(purpose, {})[action] = count
    return {
        "people": await _count(session, Subject, col(Subject.erased_at).is_(None)),
        "people_erased": await _count(session, Tombstone),
        "erasures_certified": await _count(session, Tombstone, col(Tombstone.certified_at).is_not(None)),
        "photos_by_state": await _by(session, Photo, Photo.state),
        "jobs_by_state": await _by(session, Job, Job.state),
        "headshots_by_state": await _by(session, Headshot, Headshot.state),
        "headshots_refused_by_reason": await _by(
            session, Headshot, Headshot.reason_code, col(Headshot.reason_code).is_not(None)
        ),
        "consents_by_purpose": consents,
        "exports_by_state": await _by(session, PersonExport, PersonExport.state),
        "requests_by_kind": await _by(session, RightsRequest, RightsRequest.kind),
        "requests_unverified": await _count(
            session,
            RightsRequest,
            (col(RightsRequest.state) == RequestState.RECEIVED) & (col(RightsRequest.identity) != Identity.VERIFIED),
        ),
    }


def plain(found: list[Month]) -> list[dict[str, Any]]:
    """Months as they stand in the records."""
    return [asdict(one) for one in found]


async def _count(session: AsyncSession, table: Any, *conditions: Any) -> int:
    return int((await session.exec(select(func.count()).select_from(table).where(*conditions))).one())


async def _by(session: AsyncSession, table: Any, column: Any, *conditions: Any) -> dict[str, int]:
    query = select(col(column), func.count()).select_from(table).where(*conditions).group_by(col(column))
    return {str(name): count for name, count in (await session.exec(query)).all()}
