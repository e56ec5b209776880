"""What tests of the queue do again and again: submit, claim, finish, and read what came of it. Real services only."""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from uuid import UUID

from PIL import Image
from sqlalchemy import text
from sqlmodel import col, select

from core.bootstrap import Parts
from core.clock import now
from core.consent import service as consent
from core.consent.models import Purpose
from core.headshots import complete, submit
from core.headshots.complete import Outcome, Picture
from core.headshots.models import Headshot
from core.jobs.claim import Claim, claim
from core.jobs.models import Job
from core.rights import erase
from core.storage.models import Asset
from core.tenants import quota
from core.tenants.models import Mode, Quota
from core.webhooks.models import Event
from tests import scenes


def _jpeg() -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), "grey").save(file, "JPEG", comment=b"canary-headshot")
    return file.getvalue()


PICTURE = Picture(variant="square_1024", data=_jpeg(), media_type="image/jpeg", width=8, height=8)


def made(style: str = "studio-grey") -> Outcome:
    pictures = (PICTURE, replace(PICTURE, variant="hris_600"))
    return Outcome(
        style=style,
        style_version=1,
        seconds=0.5,
        pictures=pictures,
        ledger=[],
        mark=secrets.token_bytes(8),
        likeness={"drift": 0.1},
    )


def refused(style: str = "studio-grey") -> Outcome:
    return Outcome(style=style, style_version=1, seconds=0.5, reason_code="not_still_me", reason="Not the same face.")


@dataclass(frozen=True)
class Studio:
    """A platform, its person, their photo, and the acts of a worker upon them."""

    parts: Parts
    platform: scenes.Platform
    subject_id: UUID
    photo_id: UUID
    consents: dict[Purpose, UUID]

    @classmethod
    async def open(cls, parts: Parts, *, credits: int = 100, mode: Mode = Mode.LIVE) -> "Studio":
        platform = await scenes.a_platform(parts, credits=credits, mode=mode)
        subject_id = await scenes.a_person(parts, platform)
        granted = await scenes.consents(parts, platform, subject_id)
        photo_id = await scenes.a_photo(parts, platform, subject_id)
        return cls(parts=parts, platform=platform, subject_id=subject_id, photo_id=photo_id, consents=granted)

    async def submit(self, *styles: str) -> Job:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return await submit.submit(
                session, caller=self.platform.caller, photo_id=self.photo_id, styles=styles or ("studio-grey",)
            )

    async def claim(self, *, worker: str = "a worker", lease_seconds: float = 60) -> Claim:
        taken = await claim(self.parts.database, worker=worker, region="local", lease_seconds=lease_seconds)
        assert taken is not None
        return taken

    async def claim_or_none(self) -> Claim | None:
        return await claim(self.parts.database, worker="a worker", region="local", lease_seconds=60)

    async def complete(self, claimed: Claim, *outcomes: Outcome) -> Job:
        return await complete.complete(
            self.parts.database,
            self.parts.store,
            claimed,
            outcomes or (made(),),
            provenance=self.parts.provenance,
            timings={"prepare": 0.1},
        )

    async def job(self, job_id: UUID) -> Job:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return (await session.exec(select(Job).where(Job.id == job_id))).one()

    async def quota(self) -> Quota:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return await quota.usage(session, self.platform.tenant_id)

    async def headshots(self) -> list[Headshot]:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return list((await session.exec(select(Headshot).order_by(Headshot.style))).all())

    async def assets(self) -> list[Asset]:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return list((await session.exec(select(Asset).where(Asset.kind == "headshot"))).all())

    async def events(self, job_id: UUID) -> list[Event]:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return list(
                (await session.exec(select(Event).where(Event.resource_id == job_id).order_by(col(Event.id)))).all()
            )

    async def objects(self) -> int:
        return sum([len(names) async for names in self.parts.store.objects.list_older_than(now() + timedelta(hours=1))])

    async def let_lease_run_out(self, job_id: UUID) -> None:
        """As if the worker had been silent for a minute."""
        await self.change(job_id, "lease_until = now() - interval '1 second'")

    async def end_pause(self, job_id: UUID) -> None:
        """As if the pause after a death were over."""
        await self.change(job_id, "not_before = now() - interval '1 second'")

    async def change(self, job_id: UUID, what: str) -> None:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            statement = f"UPDATE job SET {what} WHERE id = :id"  # noqa: S608 (written by the tests themselves)
            await (await session.connection()).execute(text(statement).bindparams(id=job_id))

    async def withdraw(self, purpose: Purpose = Purpose.BIOMETRIC_PROCESSING) -> None:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            await consent.withdraw(session, consent_id=self.consents[purpose], actor="test")

    async def cancel(self, job_id: UUID) -> Job:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return await submit.cancel(session, job_id, actor="test")

    async def erase_person(self) -> None:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            await erase.begin(session, self.parts.keyring, subject_id=self.subject_id, actor="test")
