"""The records for reviewers: what they say of a platform's past, that they hold, and that nobody is in them."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import NotFound, StateConflict, Unacceptable
from core.records import build, figures, page, subprocessors
from core.rights import requests
from core.rights.models import Identity
from core.rights.rules import Kind
from core.webhooks.models import Event
from infra.verify_certificate import NotVerified, read_keys
from infra.verify_records import verify, verify_files
from tests.core.portability.exporting import Story
from tests.scenes import Platform, a_person, a_platform, an_erasure

HOST = {
    "name": "Some Host",
    "task": "Hosting",
    "country": "DE",
    "safeguard": "none needed",
    "data_classes": ["photo", "headshot"],
}
NOTICE = timedelta(days=30)


async def _asked(
    parts: Parts, platform: Platform, *, at: datetime, answered: timedelta | None, deny: bool = False
) -> None:
    """A request of somebody new at a moment, answered after a while, or not at all."""
    subject_id = await a_person(parts, platform)
    with frozen_at(at):
        async with parts.database.tenant(platform.tenant_id) as session:
            request, _ = await requests.receive(
                session,
                parts.keyring,
                subject_id=subject_id,
                kind=Kind.RECTIFICATION,
                actor="test",
                identity=Identity.VERIFIED,
            )
    if answered is None:
        return
    with frozen_at(at + answered):
        async with parts.database.tenant(platform.tenant_id) as session:
            if deny:
                await requests.deny(
                    session,
                    parts.keyring,
                    request_id=request.id,
                    exception="data_is_accurate",
                    reason="It is right.",
                    actor="test",
                )
            else:
                await requests.complete(session, request_id=request.id, actor="test")


async def test_the_history_of_requests_is_told_month_by_month(parts: Parts) -> None:
    platform = await a_platform(parts)
    september, october = datetime(2026, 9, 10, 9, tzinfo=UTC), datetime(2026, 10, 1, 9, tzinfo=UTC)
    # No law is known for these people, so each has fifteen days.
    await _asked(parts, platform, at=september, answered=timedelta(days=2))
    await _asked(parts, platform, at=september, answered=timedelta(days=4), deny=True)
    await _asked(parts, platform, at=september, answered=timedelta(days=20))
    await _asked(parts, platform, at=october, answered=None)
    async with parts.database.tenant(platform.tenant_id) as session:
        with frozen_at(october + timedelta(days=30)):
            first, second = await figures.months(session)
        assert await figures.denials(session) == {"data_is_accurate": 1}
    assert first == figures.Month(
        month="2026-09", received=3, in_time=2, late=1, extended=0, denied=1, open=0, overdue=0, median_hours=96
    )
    assert second == figures.Month(
        month="2026-10", received=1, in_time=0, late=0, extended=0, denied=0, open=1, overdue=1, median_hours=None
    )


async def test_the_records_hold_without_anybody_in_them(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await Story.begin(parts)
    await story.build()
    platform = story.studio.platform
    other = await a_person(parts, platform)
    await an_erasure(parts, platform, other)
    document = await build.build(parts.database, parts.keyring, parts.settings, tenant_id=platform.tenant_id)
    (tmp_path / "records.json").write_bytes(document)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": await parts.keyring.signing.key_set()}))
    found = verify_files(tmp_path / "records.json")
    activities = found["controller_record"]["activities"]
    assert {one["purpose"]: one["basis"] for one in activities}["biometric_processing"] == "consent"
    assert {one["class"] for one in found["controller_record"]["retention"]} >= {"photo", "headshot", "export"}
    counted = found["impact_assessment"]["figures"]
    assert (counted["people"], counted["people_erased"], counted["erasures_certified"]) == (1, 1, 1)
    assert counted["headshots_by_state"] == {"done": 1}
    assert counted["exports_by_state"] == {"ready": 1}
    # A no is nobody's figure, and nobody's name, reference or id is in it.
    assert "model_training" not in counted["consents_by_purpose"]
    for personal in (b"Canary", b"canary", b"person.example", story.subject_id.hex.encode(), other.hex.encode()):
        assert personal not in document
    assert any("processor" in line for line in found["to_complete"])
    sheet = page.render(document).decode()
    assert "data is accurate" not in sheet
    assert "biometric_processing" in sheet or "biometric processing" in sheet
    assert "<script" not in sheet


async def test_records_that_were_changed_are_not_verified(parts: Parts) -> None:
    platform = await a_platform(parts)
    document = await build.build(parts.database, parts.keyring, parts.settings, tenant_id=platform.tenant_id)
    keys = read_keys(json.dumps({"keys": await parts.keyring.signing.key_set()}).encode())
    assert verify(document, keys)["to_complete"]
    other = document.replace(b"likeness-records/1", b"likeness-records/2")
    cases = (document + b"\n", document.replace(b"Some Platform", b"Some Blatform"), other, b"[]\n", b"{")
    for changed in cases:
        with pytest.raises(NotVerified):
            verify(changed, keys)
    with pytest.raises(NotVerified, match="not among the published"):
        verify(document, {})


async def test_a_change_of_subprocessors_is_told_ahead_and_can_be_objected_to(parts: Parts) -> None:
    platform, other = await a_platform(parts), await a_platform(parts)
    async with parts.database.system() as session:
        with pytest.raises(Unacceptable):
            await subprocessors.publish(session, entries=[{"name": "x"}], effective_at=now(), notice=NOTICE)
        await subprocessors.publish(session, entries=[HOST], effective_at=now(), notice=NOTICE)
    later = now() + NOTICE + timedelta(hours=1)
    async with parts.database.system() as session:
        with pytest.raises(Unacceptable):
            await subprocessors.publish(session, entries=[], effective_at=now(), notice=NOTICE)
        second = await subprocessors.publish(
            session, entries=[HOST, HOST | {"name": "Another"}], effective_at=later, notice=NOTICE
        )
    assert second.version == 2
    assert await subprocessors.announce(parts.database) == 2
    assert await subprocessors.announce(parts.database) == 0
    async with parts.database.tenant(platform.tenant_id) as session:
        (event,) = (await session.exec(select(Event).where(Event.type == "subprocessors.changed"))).all()
        assert event.data["version"] == 2
        with pytest.raises(Unacceptable):
            await subprocessors.object_to(session, version=2, reason_code="because", actor="test")
        await subprocessors.object_to(session, version=2, reason_code="country", actor="test")
        await subprocessors.acknowledge(session, version=2, actor="test")
        with pytest.raises(NotFound):
            await subprocessors.acknowledge(session, version=1, actor="test")
        standing = await subprocessors.standing(session)
    assert standing.current is not None
    assert standing.upcoming is not None
    assert standing.notice is not None
    assert ([one["name"] for one in standing.current.entries], standing.upcoming.version) == (["Some Host"], 2)
    assert (standing.notice.reason_code, standing.notice.acknowledged_at is None) == ("country", False)
    with frozen_at(later + timedelta(days=1)):
        async with parts.database.tenant(other.tenant_id) as session:
            with pytest.raises(StateConflict):
                await subprocessors.object_to(session, version=2, reason_code="country", actor="test")
            standing = await subprocessors.standing(session)
        assert standing.current is not None
        assert (standing.current.version, standing.upcoming) == (2, None)
    document = json.loads(
        await build.build(parts.database, parts.keyring, parts.settings, tenant_id=platform.tenant_id)
    )
    assert document["subprocessors"]["answer"]["reason_code"] == "country"
    assert document["subprocessors"]["upcoming"]["version"] == 2


async def test_a_list_is_published_by_command(
    parts: Parts, tmp_path: Path, settings_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "subprocessors.json"
    file.write_text(json.dumps([HOST]))
    soon, late = (f"{now() + timedelta(days=days):%Y-%m-%d}" for days in (1, 40))
    said = []
    for day in (soon, soon, late):
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "infra.cli",
            "publish-subprocessors",
            str(file),
            "--effective",
            day,
            env=settings_env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await done.communicate()
        said.append((done.returncode, out.decode()))
    assert [code for code, _ in said] == [0, 1, 0], said
    assert "Version 1" in said[0][1]
    assert "notice_days" in said[1][1]
    assert "Version 2" in said[2][1]
