"""Requests already answered."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlmodel import select

from core import clock
from core.bootstrap import Parts
from core.errors import IdempotencyInFlight, IdempotencyMismatch
from core.idempotency import service
from core.idempotency.models import IdempotencyRecord
from tests import scenes

ONE, OTHER = b"one request", b"another request"


async def _begin(parts: Parts, tenant_id: UUID, key: str, request_hash: bytes) -> UUID | None:
    async with parts.database.tenant(tenant_id) as session:
        return await service.begin(session, tenant_id=tenant_id, key=key, request_hash=request_hash)


async def _finish(parts: Parts, tenant_id: UUID, key: str, resource_id: UUID) -> None:
    async with parts.database.tenant(tenant_id) as session:
        await service.finish(session, key=key, resource_id=resource_id, status=202)


async def test_a_repeated_request_finds_what_it_made(parts: Parts) -> None:
    tenant_id, made = (await scenes.a_platform(parts)).tenant_id, uuid4()
    assert await _begin(parts, tenant_id, "k", ONE) is None
    await _finish(parts, tenant_id, "k", made)
    assert await _begin(parts, tenant_id, "k", ONE) == made


async def test_a_second_request_waits_for_the_first(parts: Parts) -> None:
    tenant_id = (await scenes.a_platform(parts)).tenant_id
    await _begin(parts, tenant_id, "k", ONE)
    with pytest.raises(IdempotencyInFlight):
        await _begin(parts, tenant_id, "k", ONE)


async def test_a_key_cannot_be_used_for_another_request(parts: Parts) -> None:
    tenant_id = (await scenes.a_platform(parts)).tenant_id
    await _begin(parts, tenant_id, "k", ONE)
    for _ in range(2):
        with pytest.raises(IdempotencyMismatch):
            await _begin(parts, tenant_id, "k", OTHER)
        await _finish(parts, tenant_id, "k", uuid4())


async def test_of_many_at_once_one_goes_ahead(parts: Parts) -> None:
    tenant_id = (await scenes.a_platform(parts)).tenant_id
    answers = await asyncio.gather(*(_begin(parts, tenant_id, "k", ONE) for _ in range(12)), return_exceptions=True)
    assert answers.count(None) == 1
    assert sum(isinstance(answer, IdempotencyInFlight) for answer in answers) == 11


async def test_a_failed_request_frees_its_key(parts: Parts) -> None:
    tenant_id = (await scenes.a_platform(parts)).tenant_id
    await _begin(parts, tenant_id, "k", ONE)
    async with parts.database.tenant(tenant_id) as session:
        await service.abandon(session, key="k")
    assert await _begin(parts, tenant_id, "k", OTHER) is None


async def test_two_tenants_may_use_the_same_key(parts: Parts) -> None:
    mine, other = (await scenes.a_platform(parts)).tenant_id, (await scenes.a_platform(parts)).tenant_id
    await _begin(parts, mine, "k", ONE)
    await _finish(parts, mine, "k", uuid4())
    assert await _begin(parts, other, "k", OTHER) is None


async def test_a_key_is_free_after_a_day_and_the_sweep_removes_it(parts: Parts) -> None:
    tenant_id = (await scenes.a_platform(parts)).tenant_id
    await _begin(parts, tenant_id, "k", ONE)
    await _finish(parts, tenant_id, "k", uuid4())
    with clock.frozen_at(clock.now() + timedelta(hours=25)):
        async with parts.database.system() as session:
            assert await service.forget_old(session) == 1
        assert await _begin(parts, tenant_id, "k", OTHER) is None


async def test_neither_key_nor_answer_is_stored(parts: Parts) -> None:
    tenant_id = (await scenes.a_platform(parts)).tenant_id
    await _begin(parts, tenant_id, "customer-jane-doe", ONE)
    async with parts.database.tenant(tenant_id) as session:
        row = (await session.exec(select(IdempotencyRecord))).one()
    assert b"jane" not in row.key_hash
    assert set(IdempotencyRecord.__table__.c.keys()) == {  # type: ignore[attr-defined]  # SQLModel hides it
        "tenant_id",
        "key_hash",
        "request_hash",
        "resource_id",
        "status",
        "created_at",
    }
