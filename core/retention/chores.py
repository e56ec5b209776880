"""What the sweep does, one chore at a time and one tenant at a time, in turns that are short.

    shorten   rows that are kept longer than their tenant's term says get the day that it gives them
    tell      `asset.expiring`, once per asset and day, ahead of the day
    erase     what has reached its day goes: pictures one by one, each a transaction of its own; records in one piece

A turn begins behind the place where the one before ended, so what cannot be erased now is passed over, and comes round
again with the next sweep. Rows that somebody else holds are passed over too: any number of workers may sweep.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row, TextClause, bindparam, text
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database, Instant
from core.errors import Gone, LegalHoldStands
from core.ids import Prefix, public
from core.retention import erasers
from core.retention.shelves import SHELVES, Shelf, policy_of
from core.storage.service import SealedStore
from core.terms import holds
from core.terms.policy import policy
from core.webhooks import service as webhooks

logger = logging.getLogger("likeness.retention")

AT_ONCE = 4  # pictures of one tenant erased at the same time
SIMULATIONS_KEPT = timedelta(days=30)

Place = tuple[datetime, UUID]


@dataclass(frozen=True)
class Turn:
    """What a turn did, whether there may be more for this sweep, and the place behind which the next turn begins."""

    done: int
    more: bool = False
    after: Place | None = None


class Chore(Protocol):
    """One kind of work on one shelf."""

    @property
    def name(self) -> str:
        """What the sweep counts by."""
        ...

    def waiting(self) -> str:
        """SQL of the tenants `t.id` that have work for it: one look into an index each. Binds `now`."""
        ...

    async def turn(self, database: Database, store: SealedStore, tenant_id: UUID, after: Place | None) -> Turn:
        """Do a chunk for one tenant."""
        ...


_OWN_TERM = "(x.expires_at - x.created_at)"


def _tenants(shelf: Shelf, condition: str, *, order: str) -> str:
    # With LIMIT inside, PostgreSQL asks once per tenant; with the order of the index, it asks the index. Without it, it
    # may read a whole table in the hope of a row that is due, because it takes a third of all rows for due.
    return f"""
        SELECT t.id FROM tenant t
        CROSS JOIN LATERAL {policy_of(shelf.data_class)} y
        CROSS JOIN LATERAL (
            SELECT 1 FROM {shelf.table} x
            WHERE x.tenant_id = t.id AND {shelf.kept} AND {condition} ORDER BY {order} LIMIT 1
        ) found
    """


@dataclass(frozen=True)
class Shorten:
    """Bring the days of a dated shelf forward to where the term in force puts them. Days never move back."""

    shelf: Shelf
    chunk: int = 1000

    @property
    def name(self) -> str:
        """What the sweep counts by."""
        return f"shorten:{self.shelf.name}"

    def waiting(self) -> str:
        """Tenants with rows whose own term is longer than the policy's."""
        return _tenants(self.shelf, f"{_OWN_TERM} > make_interval(secs => y.seconds)", order=_OWN_TERM)

    async def turn(self, database: Database, _store: SealedStore, tenant_id: UUID, _after: Place | None) -> Turn:
        """Shorten a chunk; the sealed objects get the same day as the row that names them."""
        async with database.tenant(tenant_id) as session:
            term = await policy(session, tenant_id, self.shelf.data_class)
            statement = text(self._statement()).bindparams(tenant=tenant_id, seconds=term.seconds, chunk=self.chunk)
            done = (await (await session.connection()).execute(statement)).scalar_one()
        # What was shortened is no longer found, so there is no place to remember.
        return Turn(done=done, more=done == self.chunk)

    def _statement(self) -> str:
        pictures = {
            "photo": "FROM done WHERE a.id = done.asset_id",
            "headshot": "FROM done, jsonb_each_text(done.assets) e WHERE a.id = CAST(e.value AS uuid)",
        }.get(self.shelf.table)
        named = "asset" if pictures else "person_export"
        whose = (
            "FROM done WHERE a.tenant_id = done.tenant_id AND a.subject_id = done.subject_id AND a.asset_id = done.id"
        )
        return f"""
            WITH chosen AS (
                SELECT x.id FROM {self.shelf.table} x WHERE x.tenant_id = :tenant AND {self.shelf.kept}
                    AND {_OWN_TERM} > make_interval(secs => :seconds)
                ORDER BY {_OWN_TERM} LIMIT :chunk FOR UPDATE SKIP LOCKED
            ), done AS (
                UPDATE {self.shelf.table} u
                SET expires_at = u.created_at + make_interval(secs => :seconds), warned_at = NULL
                FROM chosen WHERE u.id = chosen.id RETURNING u.*
            ), also AS (UPDATE {named} a SET expires_at = done.expires_at {pictures or whose})
            SELECT count(*) FROM done
        """


@dataclass(frozen=True)
class Tell:
    """Send `asset.expiring` ahead of an asset's day: once, with ids and the day. What is held does not expire."""

    shelf: Shelf
    chunk: int = 100

    @property
    def name(self) -> str:
        """What the sweep counts by."""
        return f"tell:{self.shelf.name}"

    def waiting(self) -> str:
        """Tenants with assets whose day is near and of which nobody was told."""
        return _tenants(self.shelf, self._near("y.warn_seconds"), order="x.expires_at")

    async def turn(self, database: Database, _store: SealedStore, tenant_id: UUID, after: Place | None) -> Turn:
        """Tell of a chunk, in one transaction with the note that it was told."""
        async with database.tenant(tenant_id) as session:
            term = await policy(session, tenant_id, self.shelf.data_class)
            rows = await _find(
                session,
                self.shelf,
                self._near(":warn"),
                after=after,
                chunk=self.chunk,
                tenant=tenant_id,
                warn=term.warn_seconds or 0,
            )
            for row in rows:
                await webhooks.emit(
                    session,
                    tenant_id=tenant_id,
                    type="asset.expiring",
                    resource_id=row.id,
                    data={
                        _ID_OF[self.shelf.table][0]: public(_ID_OF[self.shelf.table][1], row.id),
                        "subject_id": public(Prefix.SUBJECT, row.subject_id),
                        "data_class": self.shelf.data_class.value,
                        "expires_at": row.at.isoformat(),
                    },
                )
            told = text(f"UPDATE {self.shelf.table} SET warned_at = :now WHERE id = ANY(:ids)")
            await _run(session, told, ids=[row.id for row in rows])
        return _turn(rows, self.chunk, done=len(rows))

    @staticmethod
    def _near(warn: str) -> str:
        return (
            "x.warned_at IS NULL AND x.expires_at > :now"
            f" AND x.expires_at <= CAST(:now AS timestamptz) + make_interval(secs => {warn})"
        )


_ID_OF = {
    "photo": ("photo_id", Prefix.PHOTO),
    "headshot": ("headshot_id", Prefix.HEADSHOT),
    "asset": ("asset_id", Prefix.ASSET),
}


@dataclass(frozen=True)
class ErasePictures:
    """Erase what is sealed in the object store, row by row."""

    shelf: Shelf
    erase: erasers.EraseOne
    chunk: int = 50

    @property
    def name(self) -> str:
        """What the sweep counts by."""
        return f"erase:{self.shelf.name}"

    def waiting(self) -> str:
        """Tenants with rows that have reached their day."""
        return _tenants(self.shelf, self.shelf.due("y.seconds"), order=f"x.{self.shelf.due_at}")

    async def turn(self, database: Database, store: SealedStore, tenant_id: UUID, after: Place | None) -> Turn:
        """Erase a chunk, a few at a time. One that fails is logged, and holds up none of the others."""
        async with database.tenant(tenant_id) as session:
            rows = await _find(
                session, self.shelf, self.shelf.due("0"), after=after, chunk=self.chunk, tenant=tenant_id, lock=False
            )
        erased = 0
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            erased += sum(await asyncio.gather(*(self._one(database, store, tenant_id, row.id) for row in some)))
        return _turn(rows, self.chunk, done=erased)

    async def _one(self, database: Database, store: SealedStore, tenant_id: UUID, row_id: UUID) -> bool:
        try:
            async with database.tenant(tenant_id) as session:
                return await self.erase(session, store, row_id)
        except (Gone, LegalHoldStands):
            return False  # erased, or held, since it was found
        except Exception as error:
            facts = {"tenant": tenant_id.hex, "error_type": type(error).__name__}
            logger.exception("an expired asset could not be erased", extra=facts)
            return False


@dataclass(frozen=True)
class EraseRecords:
    """Erase what is in the database alone: a chunk, its audit leaf and nothing else in one transaction."""

    shelf: Shelf
    erase: erasers.EraseMany
    chunk: int = 1000

    @property
    def name(self) -> str:
        """What the sweep counts by."""
        return f"erase:{self.shelf.name}"

    def waiting(self) -> str:
        """Tenants with rows whose term is over."""
        return _tenants(self.shelf, self.shelf.due("y.seconds"), order=f"x.{self.shelf.due_at}")

    async def turn(self, database: Database, _store: SealedStore, tenant_id: UUID, after: Place | None) -> Turn:
        """Erase a chunk."""
        async with database.tenant(tenant_id) as session:
            term = await policy(session, tenant_id, self.shelf.data_class)
            rows = await _find(
                session,
                self.shelf,
                self.shelf.due(":seconds"),
                after=after,
                chunk=self.chunk,
                tenant=tenant_id,
                lock=self.shelf.locked,
                seconds=term.seconds,
            )
            erased = await self.erase(session, await self._not_held(session, rows))
            if erased:
                await erasers.note(session, tenant_id=tenant_id, term=term, count=erased)
        return _turn(rows, self.chunk, done=erased)

    async def _not_held(self, session: AsyncSession, rows: Sequence[Row[Any]]) -> list[UUID]:
        """Those on which no hold was placed since they were found, and on which none can be until they are gone."""
        if not self.shelf.holdable:
            return [row.id for row in rows]
        people = {row.subject_id for row in rows if row.subject_id is not None}
        free = await holds.not_held(session, people, self.shelf.data_class)
        return [row.id for row in rows if row.subject_id is None or row.subject_id in free]


@dataclass(frozen=True)
class ForgetSimulations:
    """What nobody rests a change on any more."""

    name: str = "forget:simulation"

    def waiting(self) -> str:
        """Tenants with old simulations."""
        return f"""
            SELECT t.id FROM tenant t CROSS JOIN LATERAL (
                SELECT 1 FROM retention_simulation x WHERE x.tenant_id = t.id AND {self._old()} LIMIT 1
            ) found
        """

    async def turn(self, database: Database, _store: SealedStore, tenant_id: UUID, _after: Place | None) -> Turn:
        """Forget all of a tenant's."""
        async with database.tenant(tenant_id) as session:
            statement = text(f"DELETE FROM retention_simulation x WHERE x.tenant_id = :tenant AND {self._old()}")
            done = await _run(session, statement, tenant=tenant_id)
        return Turn(done=done)

    @staticmethod
    def _old() -> str:
        days = SIMULATIONS_KEPT.days
        return f"x.created_at < CAST(:now AS timestamptz) - make_interval(days => {days})"


def finding(shelf: Shelf, condition: str, *, behind: bool = False, lock: bool = True) -> str:
    """SQL of the next rows (at, id, subject_id) of a tenant's shelf, in the order of their days, that nothing keeps.

    Binds `tenant`, `now` and `chunk`, what the condition binds, and behind a place `after_at` and `after_id`.
    """
    place = f"AND (x.{shelf.due_at}, x.id) > (:after_at, :after_id)" if behind else ""
    subject = "NULL AS subject_id" if shelf.table == "event" else "x.subject_id"
    return f"""
        SELECT x.{shelf.due_at} AS at, x.id, {subject} FROM {shelf.table} x
        WHERE x.tenant_id = :tenant AND {shelf.kept} AND {condition} {place} AND {shelf.unheld()} AND {shelf.besides}
        ORDER BY x.{shelf.due_at}, x.id LIMIT :chunk {"FOR UPDATE OF x SKIP LOCKED" if lock else ""}
    """


async def _find(
    session: AsyncSession,
    shelf: Shelf,
    condition: str,
    *,
    after: Place | None,
    chunk: int,
    lock: bool = True,
    **binds: Any,
) -> Sequence[Row[Any]]:
    statement = text(finding(shelf, condition, behind=after is not None, lock=lock))
    places = {} if after is None else {"after_at": after[0], "after_id": after[1]}
    return (await (await session.connection()).execute(*_bound(statement, **binds, **places, chunk=chunk))).all()


async def _run(session: AsyncSession, statement: TextClause, **binds: Any) -> int:
    return int((await (await session.connection()).execute(*_bound(statement, **binds))).rowcount)


def _bound(statement: TextClause, **binds: Any) -> tuple[TextClause, dict[str, Any]]:
    """The statement with its moments typed, and what to bind, `now` among it."""
    named = {"now": now(), **binds}
    used = {name: value for name, value in named.items() if f":{name}" in statement.text}
    moments = [bindparam(name, type_=Instant) for name, value in used.items() if isinstance(value, datetime)]
    return statement.bindparams(*moments), used


def _turn(rows: Sequence[Row[Any]], chunk: int, *, done: int) -> Turn:
    full = len(rows) == chunk
    return Turn(done=done, more=full, after=(rows[-1].at, rows[-1].id) if full else None)


async def waiting(session: AsyncSession, chore: Chore) -> Sequence[UUID]:
    """Tenants that have work for this chore. In a system session."""
    statement, binds = _bound(text(chore.waiting()))
    return (await (await session.connection()).execute(statement, binds)).scalars().all()


_PICTURES: dict[str, erasers.EraseOne] = {
    "photo": erasers.erase_photo,
    "headshot": erasers.erase_headshot,
    "asset": erasers.erase_export,
}
_RECORDS: dict[str, erasers.EraseMany] = {
    "consent": erasers.empty_evidence,
    "job": erasers.delete_jobs,
    "event": erasers.delete_events,
    "audit_entry": erasers.unlink_leaves,
}

# In the order in which a tenant's turns come.
CHORES: tuple[Chore, ...] = (
    *(Shorten(shelf) for shelf in SHELVES if shelf.dated),
    *(Tell(shelf) for shelf in SHELVES if shelf.warned),
    *(
        ErasePictures(shelf, _PICTURES[shelf.table]) if shelf.dated else EraseRecords(shelf, _RECORDS[shelf.table])
        for shelf in SHELVES
    ),
    ForgetSimulations(),
)
