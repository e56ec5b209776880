"""What reaches its day soon, of one tenant: counted from the indexes that the sweep goes by. In its session."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Instant
from core.retention.shelves import SHELVES

AHEAD_DAYS = 30


@dataclass(frozen=True, slots=True)
class Expiry:
    """How many of a class go on a day, UTC. What is overdue counts for today: the next sweep takes it."""

    data_class: str
    day: date
    count: int


async def upcoming(session: AsyncSession, tenant_id: UUID, *, days: int = AHEAD_DAYS) -> list[Expiry]:
    """Photos, headshots and exports that go within so many days, by class and day. Holds are left out of account."""
    moment = now()
    found: dict[tuple[str, date], int] = {}
    for shelf in SHELVES:
        if not shelf.dated:
            continue
        counted = text(
            f"""
            SELECT CAST(greatest(x.expires_at, :now) AT TIME ZONE 'UTC' AS date) AS day, count(*) AS rows
            FROM {shelf.table} x
            WHERE x.tenant_id = :tenant AND x.expires_at < :until AND {shelf.kept}
            GROUP BY 1
            """  # noqa: S608 (a shelf's own names)
        ).bindparams(bindparam("now", type_=Instant), bindparam("until", type_=Instant))
        binds = {"tenant": tenant_id, "now": moment, "until": moment + timedelta(days=days)}
        for row in (await (await session.connection()).execute(counted, binds)).all():
            place = (shelf.data_class.value, row.day)
            found[place] = found.get(place, 0) + row.rows
    return [Expiry(data_class, day, count) for (data_class, day), count in sorted(found.items())]
