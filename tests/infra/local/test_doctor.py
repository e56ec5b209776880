import os
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from core.settings import Settings
from infra.local.doctor import Finding, State, examine
from infra.local.home import Home
from infra.local.postgres import ADMINISTRATOR, OWNER, Postgres


async def findings(tmp_path: Path) -> dict[str, Finding]:
    return {finding.part: finding for finding in await examine(Home(tmp_path))}


async def test_parts_named_by_url_are_looked_at_wherever_they_are(settings: Settings, tmp_path: Path) -> None:
    found = await findings(tmp_path)
    for part in ("python", "packages", "postgresql", "roles", "migrations", "row security", "queue", "disk"):
        assert found[part].state is State.WELL, found[part]
    assert found["api"].state is State.BROKEN


async def test_a_role_that_may_too_much_is_named(
    settings: Settings, administrator_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_DATABASE_URL", administrator_url)
    found = await findings(tmp_path)
    assert found["roles"].state is State.BROKEN
    assert ADMINISTRATOR in found["roles"].found
    assert "roles.sql" in found["roles"].remedy


async def test_the_owner_of_the_tables_is_no_role_to_serve_with(
    settings: Settings, owner_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_DATABASE_URL", owner_url)
    found = await findings(tmp_path)
    assert found["roles"].state is State.BROKEN
    assert OWNER in found["roles"].found


async def test_the_ledger_of_tombstones_and_the_role_of_operators_are_looked_at(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    (ledger / "entry").write_bytes(b"")
    monkeypatch.setenv("LIKENESS_TOMBSTONES_URL", ledger.as_uri())
    found = await findings(tmp_path)
    assert (found["tombstones"].state, found["operators"].state) == (State.WELL, State.WELL), found
    monkeypatch.setenv("LIKENESS_TOMBSTONES_URL", "s3://nobody?endpoint=http://127.0.0.1:9")
    # The role that serves platforms may not read operators' accounts.
    monkeypatch.setenv("LIKENESS_DATABASE_OPERATORS_URL", os.environ["LIKENESS_DATABASE_URL"])
    found = await findings(tmp_path)
    assert (found["tombstones"].state, found["operators"].state) == (State.BROKEN, State.BROKEN), found
    monkeypatch.delenv("LIKENESS_DATABASE_OPERATORS_URL")
    assert (await findings(tmp_path))["operators"].state is State.OFF


async def test_a_console_that_is_named_and_does_not_answer_is_broken(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await findings(tmp_path))["console"].state is State.OFF
    monkeypatch.setenv("LIKENESS_CONSOLE_PUBLIC_URL", "http://127.0.0.1:9")
    found = (await findings(tmp_path))["console"]
    assert (found.state, "log" in found.remedy) == (State.BROKEN, True)


async def test_a_database_without_its_tables_says_to_migrate(
    settings: Settings, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_DATABASE_SYSTEM_URL", postgres.url(ADMINISTRATOR, database="postgres"))
    found = await findings(tmp_path)
    assert found["migrations"].state is State.BROKEN
    assert found["migrations"].remedy == "Run `likeness migrate`."


async def test_what_does_not_answer_is_broken_and_no_password_is_shown(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_QUEUE_URL", "redis://:hush@127.0.0.1:9/0")
    monkeypatch.setenv("LIKENESS_DATABASE_URL", "postgresql://someone:hush@127.0.0.1:9/nowhere")
    found = await findings(tmp_path)
    assert {found["queue"].state, found["postgresql"].state} == {State.BROKEN}
    assert "hush" not in repr(found)


async def test_an_erasure_that_does_not_get_on_is_named(
    settings: Settings, administrator_url: str, tmp_path: Path
) -> None:
    assert (await findings(tmp_path))["erasures"].found == "none waits"
    administrator = await asyncpg.connect(administrator_url)
    await administrator.execute("SET session_replication_role = replica")
    for attempts, state, found in ((0, State.WELL, "1 under way"), (4, State.BROKEN, "1 stuck")):
        await administrator.execute(
            "INSERT INTO tombstone (subject_id, tenant_id, erasure_epoch, state, attempts, next_at, shredded_at,"
            " objects_deleted, steps, removed)"
            " VALUES ($1, $1, 1, 'shredded', $2, now(), now(), 0, '{}', '{}')"
            " ON CONFLICT (subject_id) DO UPDATE SET attempts = excluded.attempts",
            UUID(int=1),
            attempts,
        )
        look = (await findings(tmp_path))["erasures"]
        assert (look.state, look.found) == (state, found)
    await administrator.close()


async def test_a_folder_that_holds_no_model_is_broken(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_MODEL_PATH", str(tmp_path))
    assert (await findings(tmp_path))["model"].state is State.BROKEN


async def test_a_look_leaves_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    await findings(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    async with Redis.from_url(settings.queue.url.get_secret_value()) as client:
        assert await client.dbsize() == 0
