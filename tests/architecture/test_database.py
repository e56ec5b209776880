import asyncpg
import pytest
from sqlalchemy import Table, text

from core.db import Database, Eraser
from core.ids import new_id
from core.tenants.models import Tenant
from infra.local.postgres import APP, KEYS, SYSTEM
from infra.local.posture import unguarded_tables
from infra.migrations import differences, metadata

TABLES = metadata().sorted_tables


async def test_migrations_and_tables_agree(owner_url: str) -> None:
    assert await differences(owner_url) == []


async def test_row_level_security_is_forced_on_every_table_of_a_tenant(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    assert await unguarded_tables(owner) == []
    await owner.execute("CREATE TABLE careless (tenant_id uuid)")
    assert await unguarded_tables(owner) == ["careless"]
    await owner.close()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_every_table_says_whose_it_is_and_how_it_forgets_a_person(table: Table) -> None:
    eraser = table.info["eraser"]
    assert isinstance(eraser, Eraser)
    assert eraser.how in {"delete", "redact", "keep"}
    assert eraser.why
    assert {*eraser.columns, *([eraser.by] if eraser.by else [])} <= set(table.columns.keys())
    assert (eraser.how == "redact") == bool(eraser.columns)
    expected = {"tenant": "tenant_id", "self": "id"}.get(table.info["tenancy"])
    assert (expected in table.columns) if expected else table.info["tenancy"] == "system"
    assert ("tenant_id" in table.columns) == (table.info["tenancy"] == "tenant")


async def test_without_a_tenant_the_application_sees_no_row_of_anyone(database: Database) -> None:
    tenant = Tenant(name="Someone")
    async with database.system() as session:
        session.add(tenant)
    async with database.app.connect() as nobody:
        assert (await nobody.execute(text("SELECT count(*) FROM tenant"))).scalar_one() == 0
    async with database.tenant(new_id()) as another:
        assert await another.get(Tenant, tenant.id) is None
    async with database.tenant(tenant.id) as itself:
        assert await itself.get(Tenant, tenant.id) is not None


async def test_what_is_somebodys_is_seen_in_their_mode_alone(owner_url: str) -> None:
    whole = {
        "audit_entry": "each leaf builds on the one before; it names nobody",
        "provenance_fingerprint": "anyone may ask whether a picture is ours",
        "provenance_mark": "anyone may ask whether a picture is ours",
    }
    owner = await asyncpg.connect(owner_url)
    apart = await owner.fetch(
        "SELECT tablename FROM pg_policies WHERE policyname = 'own_mode' AND permissive = 'RESTRICTIVE'"
    )
    await owner.close()
    people = {table.name for table in TABLES if table.schema is None and "subject_id" in table.columns} | {"subject"}
    assert {row["tablename"] for row in apart} == people - whole.keys()


@pytest.mark.parametrize("role", [APP, SYSTEM])
async def test_wrapped_keys_can_be_read_by_the_key_store_alone(owner_url: str, role: str) -> None:
    owner = await asyncpg.connect(owner_url)
    readable = await owner.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'keystore' AND c.relkind = 'r' AND has_any_column_privilege($1, c.oid, 'SELECT')",
        role,
    )
    assert [row["relname"] for row in readable] == []
    usable = "SELECT has_table_privilege($1, 'keystore.subject_key', 'SELECT')"
    assert await owner.fetchval(usable, KEYS) is True
    await owner.close()
