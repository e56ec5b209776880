"""What each role may do in the key store."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core.db import Database
from core.ids import new_id
from core.keyring import queries
from core.keyring.service import Keyring
from core.settings import DatabaseSettings

NewSubject = Callable[[], Any]
BIND = "SELECT set_config('likeness.tenant_id', $1, false)"


@pytest.fixture
def urls(database_settings: DatabaseSettings, owner_url: str) -> dict[str, str]:
    return {
        "app": database_settings.url.get_secret_value(),
        "system": database_settings.system_url.get_secret_value(),
        "keys": database_settings.keys_url.get_secret_value(),
        "owner": owner_url,
    }


@pytest.mark.parametrize("role", ["app", "system"])
async def test_only_the_role_of_the_key_store_touches_its_tables(
    urls: dict[str, str], new_subject: NewSubject, tenant_id: UUID, role: str
) -> None:
    await new_subject()
    connection = await asyncpg.connect(urls[role])
    await connection.execute(BIND, str(tenant_id))
    for table in ("tenant_key", "subject_key"):
        for statement in ("TABLE", "SELECT count(*) FROM", "DELETE FROM", "TRUNCATE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"{statement} keystore.{table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"UPDATE keystore.{table} SET wrapped = NULL")  # noqa: S608 (both tables stand above)
    await connection.close()


async def test_the_system_role_may_not_call_the_functions_either(urls: dict[str, str], tenant_id: UUID) -> None:
    connection = await asyncpg.connect(urls["system"])
    await connection.execute(BIND, str(tenant_id))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT keystore.shred_subject($1)", new_id())
    await connection.close()


@pytest.mark.parametrize("role", ["keys", "owner"])
async def test_row_level_security_binds_even_the_owner_to_one_tenant(
    urls: dict[str, str], new_subject: NewSubject, tenant_id: UUID, role: str
) -> None:
    await new_subject()
    connection = await asyncpg.connect(urls[role])
    counts = "SELECT (SELECT count(*) FROM keystore.tenant_key) + (SELECT count(*) FROM keystore.subject_key)"
    assert await connection.fetchval(counts) == 0
    await connection.execute(BIND, str(new_id()))
    assert await connection.fetchval(counts) == 0
    await connection.execute(BIND, "")
    assert await connection.fetchval(counts) == 0
    await connection.execute(BIND, str(tenant_id))
    assert await connection.fetchval(counts) == 4
    await connection.close()


async def test_the_functions_refuse_a_transaction_without_a_tenant(urls: dict[str, str]) -> None:
    connection = await asyncpg.connect(urls["app"])
    for call in ("keystore.shred_subject($1)", "keystore.put_subject_key($1, 1, 'x')"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no tenant"):
            await connection.execute(f"SELECT {call}", new_id())
    await connection.close()


async def test_one_tenant_cannot_shred_another_tenants_subject(
    database: Database, keyring: Keyring, new_subject: NewSubject, tenant_id: UUID
) -> None:
    subject = await new_subject()
    other = new_id()
    await keyring.create_tenant(other)
    async with database.tenant(other) as session:
        assert await keyring.shred_subject(session, subject) == 0
    await keyring.subject_sealer(tenant_id, subject)


async def test_no_caller_chooses_what_the_names_in_a_function_mean(urls: dict[str, str]) -> None:
    connection = await asyncpg.connect(urls["owner"])
    rows = await connection.fetch(
        "SELECT proname, prosecdef, proconfig FROM pg_proc WHERE pronamespace = 'keystore'::regnamespace"
    )
    await connection.close()
    assert {row["proname"]: row["prosecdef"] for row in rows} == {
        "own_tenant": False,
        "put_subject_key": True,
        "shred_subject": True,
        "shred_tenant": True,
    }
    assert all(row["proconfig"] == ["search_path=pg_catalog, pg_temp"] for row in rows)


async def test_a_destroyed_version_keeps_no_wrap(urls: dict[str, str], tenant_id: UUID) -> None:
    connection = await asyncpg.connect(urls["keys"])
    await connection.execute(BIND, str(tenant_id))
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE keystore.tenant_key SET state = 'destroyed' WHERE purpose = 'kek'")
    await connection.close()


async def test_there_is_one_active_kek(database: Database, tenant_id: UUID) -> None:
    async with database.keystore(tenant_id) as session:
        rows = (await (await session.connection()).execute(queries.ACTIVE_KEK, {"tenant": tenant_id})).all()
    assert [row.version for row in rows] == [1]
