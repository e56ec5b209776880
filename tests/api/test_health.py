"""Alive and ready."""

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api import health
from core.bootstrap import Parts
from core.db import async_url
from core.settings import Settings
from tests.api.conftest import Api, served


async def test_all_parts_well_is_ready(api: Api) -> None:
    answer = await api.http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "parts": dict.fromkeys(("database", "migrations", "restoration", "storage", "keys", "queue"), "ok"),
        "code": None,
    }
    assert (await api.http.get("/health/live")).json() == {"status": "live"}


async def test_asking_in_a_loop_looks_at_the_parts_once_and_again_when_the_answer_is_stale(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = health.CHECKS["queue"][0]

    async def counted(parts: Parts) -> None:
        looks.append(1)
        await look(parts)

    monkeypatch.setitem(health.CHECKS, "queue", (counted, "degraded"))
    answers = await asyncio.gather(*(api.http.get("/health/ready") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(looks) == 1
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0.0)
    api.app.state.lookout = health.Lookout()
    for _ in range(2):
        await api.http.get("/health/ready")
    assert len(looks) == 3


async def test_a_queue_that_is_away_degrades_and_still_serves(api: Api) -> None:
    pool = api.parts.queue.redis.connection_pool
    await pool.disconnect()
    pool.reset()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    pool.connection_kwargs["port"] = 1
    answer = await api.http.get("/health/ready")
    assert (answer.status_code, answer.json()["status"], answer.json()["parts"]["queue"]) == (
        200,
        "degraded",
        "degraded",
    )


async def test_a_schema_at_another_revision_is_not_ready(api: Api, administrator_url: str) -> None:
    engine = create_async_engine(async_url(administrator_url))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'elsewhere'"))
    await engine.dispose()
    answer = await api.http.get("/health/ready")
    assert (answer.status_code, answer.json()["parts"]["migrations"]) == (503, "failed")


async def test_lost_keys_are_not_ready(api: Api, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "keys")
    answer = await api.http.get("/health/ready")
    assert (answer.status_code, answer.json()["parts"]["keys"]) == (503, "failed")


async def test_a_lost_database_is_not_ready_and_still_alive(
    api_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/nowhere")
    async with served(Settings()) as api:
        answer = await api.http.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert (await api.http.get("/health/live")).status_code == 200
