"""Sessions bound to a tenant."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import select

from core.audit.models import AuditEntry
from core.db import Database, after_commit
from core.settings import DatabaseSettings
from core.tenants.models import Tenant
from infra.migrations import metadata


@pytest.fixture
async def narrow(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """A pool of one connection, so that every session follows another on it."""
    opened = Database(database_settings.model_copy(update={"pool_size": 1}))
    opened.app.sync_engine.pool._max_overflow = 0  # type: ignore[attr-defined]  # the pool's own attribute
    yield opened
    await opened.close()


async def _tenant(database: Database, name: str) -> UUID:
    tenant = Tenant(name=name)
    async with database.system() as session:
        session.add(tenant)
    return tenant.id


async def _seen(database: Database, tenant_id: UUID) -> list[str]:
    async with database.tenant(tenant_id) as session:
        return list((await session.exec(select(Tenant.name))).all())


async def test_one_connection_carries_no_tenant_from_one_request_to_the_next(narrow: Database) -> None:
    names = {await _tenant(narrow, name): name for name in ("a", "b", "c")}

    async def succeed(tenant_id: UUID) -> None:
        assert await _seen(narrow, tenant_id) == [names[tenant_id]]

    async def fail(tenant_id: UUID) -> None:
        with pytest.raises(DBAPIError):
            async with narrow.tenant(tenant_id) as session:
                await (await session.connection()).execute(text("SELECT 1/0"))

    async def be_cancelled(tenant_id: UUID) -> None:
        async def slow() -> None:
            async with narrow.tenant(tenant_id) as session:
                await (await session.connection()).execute(text("SELECT pg_sleep(10)"))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow(), 0.05)

    for act in (succeed, fail, succeed, be_cancelled, succeed):
        for tenant_id in names:
            await act(tenant_id)
    await asyncio.gather(*(succeed(tenant_id) for tenant_id in [*names] * 10))


async def test_without_a_tenant_the_application_sees_no_row_of_any_table(narrow: Database) -> None:
    tenant_id = await _tenant(narrow, "a")
    await _seen(narrow, tenant_id)  # the pooled connection has had a tenant
    async with narrow.app.connect() as connection:
        for table in metadata().sorted_tables:
            if table.info["tenancy"] == "system":
                continue
            found = await connection.execute(text(f"SELECT count(*) FROM {table.name}"))  # noqa: S608 (our own names)
            assert found.scalar_one() == 0, table.name


async def test_a_row_cannot_be_written_for_another_tenant(database: Database) -> None:
    mine, other = await _tenant(database, "mine"), await _tenant(database, "other")
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.tenant(mine) as session:
            session.add(AuditEntry(tenant_id=other, kind="forged", actor="x", commitment=b"", leaf_hash=b""))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT sealed_reference FROM subject",
        "SELECT wrapped_key FROM asset",
        "SELECT sealed_evidence FROM consent",
        "SELECT report FROM photo",
        "SELECT styles FROM job",
        "SELECT ledger FROM headshot",
        "SELECT data FROM event",
        "SELECT resource_id FROM event",
        "SELECT subject_id FROM job",
        "SELECT timings FROM job",
        "SELECT sealed_details FROM rights_request",
        "SELECT sealed_reason FROM rights_request",
        "SELECT last_finish FROM fair_share",
        "SELECT actor FROM quota_change",
        "UPDATE quota SET credits = 0",
        "SELECT url FROM webhook_endpoint",
        "SELECT sealed_secret FROM webhook_endpoint",
        "SELECT salt FROM audit_entry",
        "SELECT wrapped FROM keystore.subject_key",
        "UPDATE job SET cost = 0",
        "DELETE FROM tombstone",
    ],
)
async def test_the_role_that_sees_all_tenants_sees_nothing_personal(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.system() as session:
            await (await session.connection()).execute(text(statement))


async def test_no_role_of_ours_rises_above_row_level_security(database: Database) -> None:
    posture = text("SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    for engine in (database.app, database.systems, database.keys):
        async with engine.connect() as connection:
            assert tuple((await connection.execute(posture)).one()) == (False, False, False)
            for role in ("likeness_owner", "postgres"):
                with pytest.raises(DBAPIError):
                    await connection.execute(text(f"SET ROLE {role}"))
                await connection.rollback()


async def test_what_waits_for_the_commit_is_dropped_by_a_rollback(database: Database) -> None:
    tenant_id = await _tenant(database, "a")
    done: list[str] = []

    async def act() -> None:
        done.append("acted")

    with pytest.raises(RuntimeError):
        async with database.tenant(tenant_id) as session:
            after_commit(session, act)
            raise RuntimeError
    assert done == []
    async with database.tenant(tenant_id) as session:
        after_commit(session, act)
        assert done == []
    assert done == ["acted"]


async def test_a_failing_wake_up_does_not_undo_what_was_committed(database: Database) -> None:
    async def fail() -> None:
        raise ConnectionError

    tenant = Tenant(name="stays")
    async with database.system() as session:
        session.add(tenant)
        after_commit(session, fail)
    assert await _seen(database, tenant.id) == ["stays"]


async def test_a_process_that_froze_in_a_transaction_loses_its_locks(
    database: Database, database_settings: DatabaseSettings
) -> None:
    tenant_id = await _tenant(database, "held")
    hasty = Database(database_settings.model_copy(update={"idle_transaction_seconds": 1}))
    rename = text("UPDATE tenant SET name = 'free' WHERE id = :tenant")
    with pytest.raises(DBAPIError):
        async with hasty.system() as frozen:
            await (await frozen.connection()).execute(rename, {"tenant": tenant_id})
            async with asyncio.timeout(10), database.system() as session:  # waits for the lock, and gets it
                await (await session.connection()).execute(rename, {"tenant": tenant_id})
    await hasty.close()
    assert await _seen(database, tenant_id) == ["free"]


async def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError):
        async with database.system() as session:
            session.add(Tenant(id=uuid4(), name="x", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 (that is the point)
