from pathlib import Path

import asyncpg
import httpx
import pytest

from infra.local.errors import LocalError, PartFailed
from infra.local.postgres import ADMINISTRATOR, Postgres
from infra.local.supervisor import Supervisor, allow_hosts
from worker.engine.models import SHIPPED


def outside(settings_env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings_env.items() if name.startswith("LIKENESS_")}


async def test_servers_named_by_url_are_used_and_none_is_embedded(home: Path, settings_env: dict[str, str]) -> None:
    overrides = {**outside(settings_env), **allow_hosts("127.0.0.1")}
    async with Supervisor(home, overrides=overrides, workers=()) as instance:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{instance.api_url}/health/ready")
        assert answer.json()["status"] == "ready"
        assert set(instance.parts) == {"api"}
        kept = instance.home.kept_environment()
        assert kept["LIKENESS_QUEUE_URL"] == settings_env["LIKENESS_QUEUE_URL"]
        assert kept["LIKENESS_MODEL_PATH"] == str(SHIPPED)  # unless another model is named, or none
    assert not (home / "postgres").exists()
    assert not (home / "valkey").exists()
    assert instance.home.kept_environment() == {}


async def test_an_outside_database_without_its_tables_is_refused(
    home: Path, settings_env: dict[str, str], postgres: Postgres
) -> None:
    empty = {"LIKENESS_DATABASE_SYSTEM_URL": postgres.url(ADMINISTRATOR, database="postgres")}
    with pytest.raises(LocalError, match="likeness migrate"):
        async with Supervisor(home, overrides={**outside(settings_env), **empty}, workers=()):
            pass


async def test_a_part_that_cannot_start_stops_the_rest_and_says_why(home: Path, settings_env: dict[str, str]) -> None:
    broken = {**outside(settings_env), "LIKENESS_API_REQUESTS_PER_MINUTE": "none"}
    supervisor = Supervisor(home, overrides=broken, workers=())
    with pytest.raises(PartFailed, match="requests_per_minute"):
        await supervisor.__aenter__()
    process = supervisor.parts["api"].process
    assert process is not None
    assert process.returncode is not None


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(
    home: Path, settings_env: dict[str, str], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.supervisor._ASKED_PORT_SECONDS", 0.1)
    overrides = {**outside(settings_env), "LIKENESS_API_PORT": str(postgres.port)}
    with pytest.raises(PartFailed, match=str(postgres.port)):
        async with Supervisor(home, overrides=overrides, workers=()):
            pass


async def test_nothing_starts_while_a_restore_is_not_done(
    home: Path, settings_env: dict[str, str], owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(
            "INSERT INTO restoration (id, backup_id, backup_at, phase, begun_at, replayed)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), now(), 'replaying', now(), '{}')"
        )
    finally:
        await owner.close()
    with pytest.raises(LocalError, match="likeness restore"):
        async with Supervisor(home, overrides=outside(settings_env), workers=()):
            pass
