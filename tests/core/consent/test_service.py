"""Notices and the ledger of consent."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from core import clock
from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.consent import service
from core.consent.models import Action, Channel, Consent, Purpose
from core.consent.policy import ALWAYS_CONSENT, Attestation, Circumstances, Release
from core.errors import (
    ConsentRequired,
    Gone,
    GuardianRequired,
    NotFound,
    NoticeUnknown,
    OptedOut,
    StateConflict,
    Unacceptable,
    WrittenReleaseRequired,
)
from core.jobs.lease import Stopped, checkpoint
from core.rights import erase
from core.subjects import service as subjects
from core.webhooks.models import Event
from tests import scenes
from tests.queueing import Studio
from tests.scenes import Platform


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


async def _granted_by_a_host_an_hour_ahead(parts: Parts, platform: Platform) -> Consent:
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    hour = 3_600_000 << 80  # a UUIDv7 begins with 48 bits of milliseconds
    async with parts.database.tenant(platform.tenant_id) as session:
        known = await service.get(session, granted[Purpose.HEADSHOT])
        ahead = Consent(**known.model_dump(exclude={"id"}), id=UUID(int=known.id.int + hour))
        session.add(ahead)
    return ahead


async def test_a_withdrawal_counts_though_the_host_that_took_the_grant_was_an_hour_ahead(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    ahead = await _granted_by_a_host_an_hour_ahead(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.require(session, ahead.subject_id, Purpose.HEADSHOT)
        withdrawn = await service.withdraw(session, consent_id=ahead.id, actor="test")
    assert withdrawn.id > ahead.id
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(ConsentRequired):
            await service.require(session, ahead.subject_id, Purpose.HEADSHOT)
        newest, *_ = await service.history(session, ahead.subject_id, before=None, limit=10)
    assert newest.id == withdrawn.id


async def test_grants_at_once_after_a_host_that_was_ahead_are_entered_one_after_the_other(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    ahead = await _granted_by_a_host_an_hour_ahead(parts, platform)
    notice_id = await scenes.a_notice(parts, platform)
    purposes = list(Purpose)
    await asyncio.gather(
        *(scenes.consents(parts, platform, ahead.subject_id, one, notice_id=notice_id) for one in purposes)
    )
    async with parts.database.tenant(platform.tenant_id) as session:
        history = await service.history(session, ahead.subject_id, before=ahead.id, limit=10)
        later = (await service.history(session, ahead.subject_id, before=None, limit=len(purposes)))[::-1]
    assert len(history) == 1
    assert [entry.id.int - ahead.id.int for entry in later] == list(range(1, len(purposes) + 1))


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


@pytest.mark.parametrize("purpose", sorted(ALWAYS_CONSENT))
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


async def test_a_withdrawal_waits_for_a_result_that_is_being_kept_and_comes_before_the_next(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    claimed = await studio.claim()
    async with parts.database.tenant(studio.platform.tenant_id) as keeping:
        await checkpoint(keeping, claimed)
        withdrawing = asyncio.create_task(_withdraw(parts, studio))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(withdrawing), timeout=0.3)
    await withdrawing
    with pytest.raises(Stopped):
        await studio.complete(claimed)


async def _withdraw(parts: Parts, studio: Studio) -> None:
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        await service.withdraw(session, consent_id=studio.consents[Purpose.HEADSHOT], actor="test")


async def _sharing(parts: Parts, platform: Platform, subject_id: UUID) -> dict[str, Any]:
    """What a grant of sharing takes."""
    return {
        "tenant_id": platform.tenant_id,
        "actor": "test",
        "subject_id": subject_id,
        "purpose": Purpose.THIRD_PARTY_SHARING,
        "notice_id": await scenes.a_notice(parts, platform),
        "evidence": None,
    }


async def test_a_declined_purpose_looks_like_one_that_was_never_asked(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    asked, never_asked = await scenes.a_person(parts, platform), await scenes.a_person(parts, platform)
    notice_id = await scenes.a_notice(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        entry = await service.decline(
            session,
            parts.keyring,
            actor="test",
            subject_id=asked,
            purpose=Purpose.MODEL_TRAINING,
            notice_id=notice_id,
            evidence={"how": "canary"},
        )
    async with parts.database.tenant(platform.tenant_id) as session:
        for subject_id in (asked, never_asked):
            assert await service.history(session, subject_id, before=None, limit=10) == []
            assert await service.current(session, subject_id) == {}
            with pytest.raises(ConsentRequired) as refused:
                await service.require(session, subject_id, Purpose.MODEL_TRAINING)
            assert refused.value.extra == {"missing": ["model_training"]}
        with pytest.raises(NotFound):
            await service.get(session, entry.id)
        with pytest.raises(NotFound):
            await service.withdraw(session, consent_id=entry.id, actor="test")
        seen = await service.history(session, asked, before=None, limit=10, show_declined=True)
        assert [found.action for found in seen] == [Action.DECLINED]
        events = (await session.exec(select(Event.type))).all()
        leaves = (await session.exec(select(AuditEntry.kind).where(AuditEntry.subject_id == asked))).all()
    assert events == []
    assert [kind for kind in leaves if "declined" in kind] == []


async def test_what_is_granted_cannot_be_declined_behind_the_tenants_back(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    notice_id = await scenes.a_notice(parts, platform)
    await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT, notice_id=notice_id)
    with pytest.raises(StateConflict):
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.decline(
                session,
                parts.keyring,
                actor="test",
                subject_id=subject_id,
                purpose=Purpose.HEADSHOT,
                notice_id=notice_id,
            )


async def test_nobody_asks_again_for_twelve_months_after_an_opt_out(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    sharing = await _sharing(parts, platform, subject_id)
    moment = clock.now()
    async with parts.database.tenant(platform.tenant_id) as session:
        first = await service.opt_out(session, subject_id=subject_id, actor="test")
        assert first is not None
        assert await service.opt_out(session, subject_id=subject_id, actor="test") is None
    for later in (timedelta(0), timedelta(days=365)):
        with clock.frozen_at(moment + later), pytest.raises(OptedOut):
            async with parts.database.tenant(platform.tenant_id) as session:
                await service.grant(session, parts.keyring, **sharing)
    with clock.frozen_at(moment + timedelta(days=367)):
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.grant(session, parts.keyring, **sharing)
            await service.require(session, subject_id, Purpose.THIRD_PARTY_SHARING)


def _release(term_days: int) -> Release:
    return Release(
        purpose="To find the face and cut it out, for headshots.",
        term_days=term_days,
        signature={"method": "typed_name", "name": "Canary Q. Personname", "signed_at": "2026-11-23T12:00:00Z"},
    )


async def test_illinois_asks_for_a_written_release_that_states_the_term(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    notice_id = await scenes.a_notice(parts, platform)

    async def grant(circumstances: Circumstances) -> Consent:
        async with parts.database.tenant(platform.tenant_id) as session:
            return await service.grant(
                session,
                parts.keyring,
                tenant_id=platform.tenant_id,
                actor="test",
                subject_id=subject_id,
                purpose=Purpose.BIOMETRIC_PROCESSING,
                notice_id=notice_id,
                evidence=None,
                circumstances=circumstances,
            )

    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await subjects.lock(session, subject_id)
        await subjects.rectify(session, parts.keyring, subject, actor="test", changes={"jurisdiction": "US-IL"})
    with pytest.raises(WrittenReleaseRequired):
        await grant(Circumstances())
    with pytest.raises(Unacceptable):
        await grant(Circumstances(release=_release(10)))  # the notice says 30
    entry = await grant(Circumstances(release=_release(30), channel=Channel.WEB_FORM, locale="en-US"))
    assert (entry.channel, entry.locale) == ("web_form", "en-US")
    assert entry.sealed_evidence is not None
    assert b"Canary" not in entry.sealed_evidence
    kept = await service.read_evidence(parts.keyring, entry)
    assert kept["release"]["signature"]["name"] == "Canary Q. Personname"


async def test_a_minor_needs_a_guardian(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    sharing = await _sharing(parts, platform, subject_id)
    with pytest.raises(GuardianRequired):
        async with parts.database.tenant(platform.tenant_id) as session:
            alone = Circumstances(attestation=Attestation(minor=True))
            await service.grant(session, parts.keyring, **sharing, circumstances=alone)
    async with parts.database.tenant(platform.tenant_id) as session:
        guarded = Circumstances(attestation=Attestation(minor=True, guardian={"relationship": "parent"}))
        entry = await service.grant(session, parts.keyring, **sharing, circumstances=guarded)
    assert (await service.read_evidence(parts.keyring, entry))["attestation"]["minor"] is True
