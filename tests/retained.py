"""Rows of every class of data with an age, for tests of retention: as the services write them, but older."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.clock import now
from core.consent.models import Consent
from core.headshots.models import Headshot
from core.ids import new_id
from core.jobs.models import Job
from core.photos.models import Photo
from core.storage.models import Asset
from core.terms.policy import DataClass
from core.webhooks.models import Event
from tests.scenes import Platform, a_notice, a_person


@dataclass(frozen=True)
class Place:
    """Where rows are put: two people of a platform, a job and a notice for what refers to one."""

    platform: Platform
    people: tuple[UUID, UUID]
    notice_id: UUID
    photo_id: UUID
    job_id: UUID

    @classmethod
    async def open(cls, parts: Parts, platform: Platform) -> "Place":
        people = (await a_person(parts, platform), await a_person(parts, platform))
        notice_id = await a_notice(parts, platform)
        asset = _asset(platform.tenant_id, people[0], "photo", now(), None)
        photo = _photo(asset, now(), now() + timedelta(days=1), "erased")
        asset.state, asset.wrapped_key = "erased", None
        job = _job(platform.tenant_id, people[0], photo.id, None)
        async with parts.database.tenant(platform.tenant_id) as session:
            for row in (asset, photo, job):
                session.add(row)
                await session.flush()
        return cls(platform=platform, people=people, notice_id=notice_id, photo_id=photo.id, job_id=job.id)

    def rows(  # noqa: PLR0911 (one for each class)
        self, data_class: DataClass, *, begun: datetime, own_term: timedelta, whose: int, odd: bool = False
    ) -> Sequence[object]:
        """One of a class that began then. own_term: what a request asked for, where a class has that. odd: the other
        table of a class that has two."""
        tenant_id, subject_id, until = self.platform.tenant_id, self.people[whose], begun + own_term
        match data_class:
            case DataClass.PHOTO | DataClass.REJECTED_OUTPUT if not odd:
                asset = _asset(tenant_id, subject_id, "photo", begun, until)
                return asset, _photo(asset, begun, until, "ready" if data_class is DataClass.PHOTO else "refused")
            case DataClass.PHOTO:
                asset = _asset(tenant_id, subject_id, "photo", begun, until)
                return asset, _photo(asset, begun, until, "checking")
            case DataClass.HEADSHOT | DataClass.REJECTED_OUTPUT:
                state = "done" if data_class is DataClass.HEADSHOT else "refused"
                return (_headshot(tenant_id, subject_id, self.job_id, state, begun, until),)
            case DataClass.EXPORT:
                return (_asset(tenant_id, subject_id, "export", begun, until),)
            case DataClass.CONSENT_EVIDENCE:
                return (
                    Consent(
                        tenant_id=tenant_id,
                        subject_id=subject_id,
                        purpose="headshot",
                        action="granted",
                        notice_id=self.notice_id,
                        legal_basis="consent",
                        sealed_evidence=b"sealed",
                        recorded_at=begun - timedelta(days=1),
                        evidence_ended_at=begun,
                    ),
                )
            case DataClass.JOB_METADATA:
                return (_job(tenant_id, subject_id, self.photo_id, begun),)
            case DataClass.DELIVERY_LOG:
                return (
                    Event(tenant_id=tenant_id, type="photo.refused", resource_id=new_id(), data={}, created_at=begun),
                )
            case _:
                return (
                    AuditEntry(
                        tenant_id=tenant_id,
                        subject_id=subject_id,
                        kind="test",
                        actor="test",
                        salt=b"0123456789abcdef",
                        commitment=b"c",
                        leaf_hash=b"l",
                        recorded_at=begun,
                    ),
                )


def _asset(tenant_id: UUID, subject_id: UUID, kind: str, begun: datetime, until: datetime | None) -> Asset:
    return Asset(
        tenant_id=tenant_id,
        subject_id=subject_id,
        kind=kind,
        object_name=f"{tenant_id.hex}/{new_id().hex}",
        wrapped_key=b"wrapped",
        media_type="image/jpeg",
        width=1,
        height=1,
        plain_bytes=1,
        created_at=begun,
        expires_at=until,
    )


def _photo(asset: Asset, begun: datetime, until: datetime, state: str) -> Photo:
    return Photo(
        tenant_id=asset.tenant_id,
        subject_id=asset.subject_id,
        asset_id=asset.id,
        state=state,
        source_format="jpeg",
        width=1,
        height=1,
        created_at=begun,
        expires_at=until,
    )


def _headshot(
    tenant_id: UUID, subject_id: UUID, job_id: UUID, state: str, begun: datetime, until: datetime
) -> Headshot:
    return Headshot(
        tenant_id=tenant_id,
        subject_id=subject_id,
        job_id=job_id,
        style=new_id().hex,
        style_version=1,
        state=state,
        assets={},
        seconds=1.0,
        created_at=begun,
        expires_at=until,
    )


def _job(tenant_id: UUID, subject_id: UUID, photo_id: UUID, ended: datetime | None) -> Job:
    return Job(
        tenant_id=tenant_id,
        subject_id=subject_id,
        photo_id=photo_id,
        mode="live",
        region="elsewhere",
        state="pending" if ended is None else "done",
        styles=["studio-grey"],
        seed=1,
        cost=1,
        work=1,
        weight=1.0,
        fair_start=0.0,
        fair_finish=0.0,
        erasure_epoch=0,
        retain_seconds=3600,
        created_at=ended or now(),
        finished_at=ended,
    )
