"""Scenes that many tests begin with: a platform, a person who consented, a photo that is ready. Real services only."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.consent import service as consent
from core.consent.models import Purpose
from core.intake.clean import CleanPhoto
from core.photos import service as photos
from core.photos.models import PhotoState
from core.rights import certify, erase
from core.rights.models import ErasureCertificate
from core.subjects import service as subjects
from core.tenants import service as tenants
from core.tenants.models import Mode
from core.tenants.service import Caller

BOTH = (Purpose.HEADSHOT, Purpose.BIOMETRIC_PROCESSING)


@dataclass(frozen=True)
class Platform:
    """A tenant with a live key."""

    caller: Caller
    key: str

    @property
    def tenant_id(self) -> UUID:
        return self.caller.tenant_id


async def a_platform(parts: Parts, *, credits: int = 100, mode: Mode = Mode.LIVE, weight: float = 1.0) -> Platform:
    tenant = await tenants.create_tenant(
        parts.database, parts.keyring, name="Some Platform", credits=credits, weight=weight
    )
    async with parts.database.tenant(tenant.id) as session:
        _, key = await tenants.create_api_key(session, tenant_id=tenant.id, name="test", mode=mode)
    return Platform(caller=await tenants.authenticate(parts.database, key), key=key)


async def a_notice(parts: Parts, platform: Platform) -> UUID:
    async with parts.database.tenant(platform.tenant_id) as session:
        notice = await consent.publish_notice(
            session,
            tenant_id=platform.tenant_id,
            actor="test",
            slug="headshots",
            locale="en",
            text="We make headshots.",
            purposes=dict.fromkeys((purpose.value for purpose in Purpose), "consent"),
            retention_days=30,
        )
        return notice.id


async def a_person(parts: Parts, platform: Platform, *, reference: str | None = None) -> UUID:
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await subjects.create(
            session,
            parts.keyring,
            tenant_id=platform.tenant_id,
            actor="test",
            reference=reference or f"ref-{uuid4()}",
            display_name="Canary Q. Personname",
            email="canary@person.example",
        )
        return subject.id


async def consents(
    parts: Parts, platform: Platform, subject_id: UUID, *purposes: Purpose, notice_id: UUID | None = None
) -> dict[Purpose, UUID]:
    """Grant the purposes (by default the two that a headshot needs)."""
    notice_id = notice_id or await a_notice(parts, platform)
    granted: dict[Purpose, UUID] = {}
    for purpose in purposes or BOTH:
        async with parts.database.tenant(platform.tenant_id) as session:
            entry = await consent.grant(
                session,
                parts.keyring,
                tenant_id=platform.tenant_id,
                actor="test",
                subject_id=subject_id,
                purpose=purpose,
                notice_id=notice_id,
                evidence={"how": "canary-evidence"},
            )
            granted[purpose] = entry.id
    return granted


async def a_photo(
    parts: Parts,
    platform: Platform,
    subject_id: UUID,
    *,
    data: bytes = b"\xff\xd8 not looked at in this test \xff\xd9",
    state: PhotoState | None = PhotoState.READY,
) -> UUID:
    """A photo of a person who consented. state None leaves it waiting for its look."""
    async with parts.database.tenant(platform.tenant_id) as session:
        photo = await photos.accept(
            session,
            parts.store,
            caller=platform.caller,
            subject_id=subject_id,
            photo=CleanPhoto(
                data=data, media_type="image/jpeg", width=512, height=512, source_format="jpeg", removed=("gps",)
            ),
            expires_after=None,
        )
    if state is not None:
        async with parts.database.tenant(platform.tenant_id) as session:
            await photos.record_verdict(session, photo.id, verdict=state, report={"findings": []})
    return photo.id


async def a_ready_person(parts: Parts, platform: Platform) -> tuple[UUID, UUID]:
    """A person who consented, with a photo that is ready: (subject, photo)."""
    subject_id = await a_person(parts, platform)
    await consents(parts, platform, subject_id)
    return subject_id, await a_photo(parts, platform, subject_id)


async def an_erasure(parts: Parts, platform: Platform, subject_id: UUID) -> ErasureCertificate:
    """Erase a person to the very end, without the wait for other processes to forget the key."""
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    tenant_id = platform.tenant_id
    await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
    with frozen_at(now() + timedelta(seconds=6)):
        return await certify.certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)


async def eventually(check: object, *, seconds: float = 10) -> None:
    """Wait until an async callable returns something true."""
    assert callable(check)
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.05)
