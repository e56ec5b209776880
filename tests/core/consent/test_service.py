"""Notices and the ledger of consent."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from core import clock
from core.bootstrap import Parts
from core.consent import service
from core.consent.models import Action, Purpose
from core.errors import ConsentRequired, Gone, NoticeUnknown, StateConflict, Unacceptable
from core.rights import erase
from core.webhooks.models import Event
from tests import scenes


async def test_nothing_is_permitted_before_a_grant(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(ConsentRequired) as refused:
            await service.require(session, subject_id, *scenes.BOTH)
    assert refused.value.extra == {"missing": ["headshot", "biometric_processing"]}


async def test_each_purpose_is_granted_by_itself(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.require(session, subject_id, Purpose.HEADSHOT)
        with pytest.raises(ConsentRequired) as refused:
            await service.require(session, subject_id, *scenes.BOTH)
    assert refused.value.extra == {"missing": ["biometric_processing"]}


async def test_a_withdrawal_ends_the_permission_and_stays_in_the_history(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.withdraw(session, consent_id=granted[Purpose.HEADSHOT], actor="test")
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(ConsentRequired):
            await service.require(session, subject_id, Purpose.HEADSHOT)
        history = await service.history(session, subject_id, before=None, limit=10)
        events = (await session.exec(select(Event.type))).all()
    assert [(entry.purpose, entry.action) for entry in history] == [
        (Purpose.HEADSHOT, Action.WITHDRAWN),
        (Purpose.BIOMETRIC_PROCESSING, Action.GRANTED),
        (Purpose.HEADSHOT, Action.GRANTED),
    ]
    assert sorted(events) == ["consent.granted", "consent.granted", "consent.withdrawn"]


async def test_a_consent_can_be_granted_again_after_a_withdrawal(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.withdraw(session, consent_id=granted[Purpose.HEADSHOT], actor="test")
    await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.require(session, subject_id, Purpose.HEADSHOT)


async def test_what_was_withdrawn_cannot_be_withdrawn_again(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.withdraw(session, consent_id=granted[Purpose.HEADSHOT], actor="test")
    with pytest.raises(StateConflict):
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.withdraw(session, consent_id=granted[Purpose.HEADSHOT], actor="test")


async def test_a_consent_expires_on_its_day(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    notice_id = await scenes.a_notice(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.grant(
            session,
            parts.keyring,
            tenant_id=platform.tenant_id,
            actor="test",
            subject_id=subject_id,
            purpose=Purpose.HEADSHOT,
            notice_id=notice_id,
            evidence=None,
            expires_at=clock.now() + timedelta(days=1),
        )
        await service.require(session, subject_id, Purpose.HEADSHOT)
        with clock.frozen_at(clock.now() + timedelta(days=2)), pytest.raises(ConsentRequired):
            await service.require(session, subject_id, Purpose.HEADSHOT)


async def test_a_grant_needs_a_published_notice_of_the_same_tenant(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, mine)
    foreign = await scenes.a_notice(parts, other)
    with pytest.raises(NoticeUnknown):
        await scenes.consents(parts, mine, subject_id, Purpose.HEADSHOT, notice_id=foreign)


@pytest.mark.parametrize("purpose", sorted(service.ALWAYS_CONSENT))
async def test_training_sharing_and_biometrics_can_rest_on_consent_only(parts: Parts, purpose: Purpose) -> None:
    platform = await scenes.a_platform(parts)
    with pytest.raises(Unacceptable):
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.publish_notice(
                session,
                tenant_id=platform.tenant_id,
                actor="test",
                slug="sly",
                locale="en",
                text="…",
                purposes={purpose.value: "legitimate_interests"},
                retention_days=1,
            )


async def test_versions_of_a_notice_count_up(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    await scenes.a_notice(parts, platform)
    await scenes.a_notice(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        notices = await service.page_notices(session, before=None, limit=10)
    assert [notice.version for notice in notices] == [2, 1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consent SET action = 'withdrawn'",
        "UPDATE consent SET recorded_at = recorded_at - interval '1 year'",
        "UPDATE consent SET sealed_evidence = 'forged'",
        "DELETE FROM consent",
    ],
)
async def test_the_database_refuses_to_rewrite_the_ledger(parts: Parts, statement: str) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    with pytest.raises(DBAPIError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await (await session.connection()).execute(text(statement))


async def test_an_erased_person_can_grant_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    with pytest.raises(Gone):
        await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
