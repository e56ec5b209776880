"""The sweep: warnings ahead of a deadline, noise after it, and the end of requests whose person is erased."""

import logging
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.rights import deadlines, erase, requests
from core.rights.models import Identity, RequestState, RightsRequest
from core.rights.rules import Kind
from core.subjects import service as subjects
from core.webhooks.models import Event
from tests import scenes
from tests.scenes import Platform


async def _asked(
    parts: Parts, platform: Platform, kind: Kind = Kind.ACCESS, *, jurisdiction: str | None = "DE"
) -> RightsRequest:
    subject_id = await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await subjects.lock(session, subject_id)
        await subjects.rectify(session, parts.keyring, subject, actor="test", changes={"jurisdiction": jurisdiction})
        request, _ = await requests.receive(session, parts.keyring, subject_id=subject_id, kind=kind, actor="test")
    return request


async def _events(parts: Parts, platform: Platform, request_id: UUID) -> list[str]:
    async with parts.database.tenant(platform.tenant_id) as session:
        query = select(Event.type).where(Event.resource_id == request_id).order_by(col(Event.id))
        return [kind.removeprefix("rights_request.") for kind in (await session.exec(query)).all()]


async def test_a_deadline_is_announced_a_week_ahead_and_its_passing_is_loud(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    platform = await scenes.a_platform(parts)
    request = await _asked(parts, platform)
    assert await deadlines.mind(parts.database, limit=10) == 0
    with frozen_at(request.due_at - timedelta(days=7)):
        assert await deadlines.mind(parts.database, limit=10) == 1
        assert await deadlines.mind(parts.database, limit=10) == 0
    assert await _events(parts, platform, request.id) == ["received", "due_soon"]
    with frozen_at(request.due_at), caplog.at_level(logging.ERROR, logger="likeness.rights"):
        await deadlines.mind(parts.database, limit=10)
        await deadlines.mind(parts.database, limit=10)
    assert await _events(parts, platform, request.id) == ["received", "due_soon", "overdue"]
    assert [record.message for record in caplog.records] == ["a rights request is overdue"]


async def test_californias_acknowledgement_has_a_clock_of_its_own(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    request = await _asked(parts, platform, jurisdiction="US-CA")
    other = await _asked(parts, platform, jurisdiction="US-CA")
    assert request.acknowledge_by is not None
    async with parts.database.tenant(platform.tenant_id) as session:
        await requests.acknowledge(session, request_id=request.id, actor="test")
    with frozen_at(request.acknowledge_by):
        await deadlines.mind(parts.database, limit=10)
    assert await _events(parts, platform, request.id) == ["received"]
    assert await _events(parts, platform, other.id) == ["received", "due_soon", "overdue"]


async def test_an_extension_moves_the_warnings(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    request = await _asked(parts, platform)
    with frozen_at(request.due_at - timedelta(days=7)):
        await deadlines.mind(parts.database, limit=10)
        async with parts.database.tenant(platform.tenant_id) as session:
            extended = await requests.extend(
                session, parts.keyring, request_id=request.id, code="complexity", reason="much", actor="test"
            )
    with frozen_at(request.due_at + timedelta(days=1)):
        assert await deadlines.mind(parts.database, limit=10) == 0
    with frozen_at(extended.due_at - timedelta(days=1)):
        assert await deadlines.mind(parts.database, limit=10) == 1
    assert await _events(parts, platform, request.id) == ["received", "due_soon", "due_soon"]


async def test_a_finished_erasure_completes_its_request_and_supersedes_the_others(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    request = await _asked(parts, platform, Kind.ERASURE)
    async with parts.database.tenant(platform.tenant_id) as session:
        access, _ = await requests.receive(
            session, parts.keyring, subject_id=request.subject_id, kind=Kind.ACCESS, actor="test", details="canary"
        )
        await requests.verify(session, parts.keyring, request_id=request.id, outcome=Identity.VERIFIED, actor="test")
    assert await deadlines.mind(parts.database, limit=10) == 0  # the ciphertext is still there
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=request.subject_id)
    assert await deadlines.mind(parts.database, limit=10) == 2
    async with parts.database.tenant(platform.tenant_id) as session:
        states = {row.id: row.state for row in await requests.page(session, before=None, limit=10)}
        gone = await requests.get(session, access.id)
        leaves = (await session.exec(select(AuditEntry).where(AuditEntry.subject_id == request.subject_id))).all()
    assert states == {request.id: RequestState.COMPLETED, access.id: RequestState.SUPERSEDED}
    assert (gone.sealed_details, gone.sealed_reason) == (None, None)
    assert leaves == []  # nor does the leaf of the closing lead back to the person
    with frozen_at(now() + timedelta(days=400)):
        assert await deadlines.mind(parts.database, limit=10) == 0


async def test_one_broken_request_does_not_silence_the_others(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    platform = await scenes.a_platform(parts)
    broken, sound = await _asked(parts, platform), await _asked(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        spoil = text("UPDATE rights_request SET told = '0', next_word_at = received_at WHERE id = :id")
        await (await session.connection()).execute(spoil, {"id": broken.id})
    with frozen_at(sound.due_at - timedelta(days=7)):
        await deadlines.mind(parts.database, limit=10)
    assert await _events(parts, platform, sound.id) == ["received", "due_soon"]
    assert "a rights request could not be minded" in caplog.messages
