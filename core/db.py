"""PostgreSQL sessions, each bound to what it may see.

Invariants of this file:
- A tenant session sets `likeness.tenant_id` for its transaction alone, so a pooled connection carries nothing over.
  Without it the row-level security policies match no row.
- Services never commit. The block `async with database.tenant(…) as session` is the boundary: it commits when the
  block ends, rolls back when it raises, and only after the commit runs what `after_commit` collected.
- The roles have their own pools. Code cannot rise from one to another.
- While a restore is not done no tenant session opens: `Restoring` is raised at its first statement. What was erased
  after the backup was made could be read otherwise. Only the replay itself (`core.rights.replay`) passes.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import DateTime, Dialect, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.types import TypeDecorator
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import Restoring, Unavailable
from core.settings import DatabaseSettings

logger = logging.getLogger("likeness.db")

AfterCommit = Callable[[], Awaitable[None]]


class Instant(TypeDecorator[datetime]):
    """A `timestamptz` that refuses naive moments."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Refuse a moment without a zone; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC)


@dataclass(frozen=True)
class Eraser:
    """How a table forgets a person. Every table declares one in its `info`; a test fails on a table without.

    how: `delete` removes the rows of the subject; `redact` empties `columns` and keeps the rest; `keep` leaves the
        row because it holds nothing personal, or must stay: `why` says which.
    by: the column that names the subject, None when no row belongs to a person.
    """

    how: str
    why: str
    by: str | None = "subject_id"
    columns: tuple[str, ...] = ()


def table_info(*, tenancy: str, eraser: Eraser) -> dict[str, Any]:
    """The `info` of a table. tenancy: `tenant` (row-level security on tenant_id), `self` (on id), or `system`."""
    return {"tenancy": tenancy, "eraser": eraser}


def after_commit(session: AsyncSession, action: AfterCommit) -> None:
    """Run `action` once the session's transaction has committed; a rollback drops it."""
    session.info.setdefault("after_commit", []).append(action)


def async_url(url: str) -> str:
    """The SQLAlchemy form of a plain `postgresql://` URL."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1).replace("postgres://", "postgresql+asyncpg://", 1)


class Database:
    """A pool per role, and the sessions over them."""

    def __init__(self, settings: DatabaseSettings, *, replaying: bool = False) -> None:
        self._replaying = replaying
        self.app = self._engine(settings.url, settings)
        self.systems = self._engine(settings.system_url, settings)
        self.keys = self._engine(settings.keys_url, settings)
        self.operators = self._engine(settings.operators_url, settings) if settings.operators_url else None
        self.session_info: dict[str, Any] = {}  # lent to every session: bootstrap puts the queue here

    @staticmethod
    def _engine(url: SecretStr, settings: DatabaseSettings) -> AsyncEngine:
        # A process that freezes inside a transaction must not keep its locks: erasure may be waiting for them.
        patience = f"{settings.idle_transaction_seconds}s"
        return create_async_engine(
            async_url(url.get_secret_value()),
            pool_size=settings.pool_size,
            max_overflow=settings.pool_size,
            pool_pre_ping=True,
            hide_parameters=True,  # an error that quotes its statement must not quote the values with it
            connect_args={"server_settings": {"idle_in_transaction_session_timeout": patience}},
        )

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID, *, mode: str | None = None) -> AsyncIterator[AsyncSession]:
        """A transaction that sees and writes the rows of one tenant.

        mode: `live` or `test` sees the people of that mode alone, and what is theirs; None sees both, for work that was
        asked for already.
        """
        async with self._session(self.app, tenant_id, guarded=not self._replaying, mode=mode) as session:
            yield session

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncSession]:
        """A transaction that finds work across tenants, and sees no tenant's sealed field."""
        async with self._session(self.systems, None) as session:
            yield session

    @asynccontextmanager
    async def operator(self, tenant_id: UUID | None = None) -> AsyncIterator[AsyncSession]:
        """A transaction on who runs the service; bound to a tenant it may also do what that tenant's may.

        Raises Unavailable where this process was not given the role.
        """
        if self.operators is None:
            raise Unavailable("Operators cannot sign in here: LIKENESS_DATABASE_OPERATORS_URL is not set.")
        async with self._session(self.operators, tenant_id, guarded=tenant_id is not None) as session:
            yield session

    @asynccontextmanager
    async def keystore(self, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
        """A transaction on the key store, bound to one tenant. For `core.keyring` alone."""
        async with self._session(self.keys, tenant_id) as session:
            yield session

    @asynccontextmanager
    async def _session(
        self, engine: AsyncEngine, tenant_id: UUID | None, *, guarded: bool = False, mode: str | None = None
    ) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine, expire_on_commit=False, info=dict(self.session_info)) as session:
            if tenant_id is not None:
                bind_tenant(session, tenant_id, guarded=guarded, mode=mode)
            async with session.begin():
                yield session
            for action in session.info.pop("after_commit", []):
                try:
                    await action()
                except Exception as error:  # noqa: BLE001 (the commit stands; a lost wake-up is sent again by the sweep)
                    logger.warning("an action after commit failed", extra={"error_type": type(error).__name__})

    async def close(self) -> None:
        """Close the pools."""
        for engine in (self.app, self.systems, self.keys, self.operators):
            if engine is not None:
                await engine.dispose()


_BIND = text("SELECT set_config('likeness.tenant_id', :tenant, true), set_config('likeness.mode', :mode, true)")
_BIND_UNLESS_RESTORING = text("""
    SELECT EXISTS (SELECT FROM restoration WHERE finished_at IS NULL),
           set_config('likeness.tenant_id', :tenant, true), set_config('likeness.mode', :mode, true)
""")


def bind_tenant(session: AsyncSession, tenant_id: UUID, *, guarded: bool, mode: str | None = None) -> None:
    """Set the tenant at the start of every transaction of this session, for that transaction alone.

    guarded: raise `Restoring` instead while a restore is not done.
    mode: whose people are seen; None sees both modes'.
    """

    @event.listens_for(session.sync_session, "after_begin")
    def _set_tenant(_session: Any, _transaction: Any, connection: Any) -> None:
        restoring = connection.execute(
            _BIND_UNLESS_RESTORING if guarded else _BIND, {"tenant": str(tenant_id), "mode": mode or ""}
        ).scalar_one()
        if guarded and restoring:
            raise Restoring


async def restoring(database: Database) -> bool:
    """Whether a restore is not done. Workers ask before they begin anything."""
    async with database.systems.connect() as connection:
        found = await connection.execute(text("SELECT EXISTS (SELECT FROM restoration WHERE finished_at IS NULL)"))
        return bool(found.scalar_one())
