"""Jobs of the story: a person consents, their photo is sealed, a headshot is asked for, a worker makes it or not."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import BytesIO
from uuid import UUID, uuid4

from core.bootstrap import Parts
from core.clock import frozen_at
from core.consent import service as consent
from core.consent.models import Purpose
from core.headshots import complete, submit
from core.headshots.complete import Outcome, Picture
from core.intake.clean import CleanPhoto
from core.jobs.claim import Claim, claim
from core.jobs.models import Job
from core.jobs.rescue import MOST_DEATHS, pause_seconds
from core.photos import service as photos
from core.photos.models import PhotoState
from core.subjects import service as subjects
from core.tenants.service import Caller
from infra.seed import cast

_LEASE_SECONDS = 45.0


@dataclass(slots=True)
class Platform:
    """A part that is played: its credential, its notice, and the people whom it knows."""

    part: cast.Part
    caller: Caller
    notice_id: UUID
    people: list[UUID] = field(default_factory=list)


def grey_square() -> bytes:
    """The one picture of everybody."""
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (96, 96), (150, 156, 160)).save(file, "JPEG", quality=80)
    return file.getvalue()


class Studio:
    """Lets jobs happen at moments of the past."""

    def __init__(self, parts: Parts, chance: random.Random) -> None:
        self._parts = parts
        self._chance = chance
        self._square = grey_square()

    async def person(self, platform: Platform, *, jurisdiction: str | None, at: datetime) -> UUID:
        """Somebody who agreed to what a headshot needs."""
        parts, caller = self._parts, platform.caller
        with frozen_at(at):
            async with parts.database.tenant(caller.tenant_id) as session:
                subject = await subjects.create(
                    session,
                    parts.keyring,
                    tenant_id=caller.tenant_id,
                    actor=caller.actor,
                    reference=f"employee-{uuid4().hex[:12]}",
                    display_name=None,
                    email=None,
                    jurisdiction=jurisdiction,
                )
            # The key of a person opens only once it is committed.
            async with parts.database.tenant(caller.tenant_id) as session:
                for purpose in (Purpose.HEADSHOT, Purpose.BIOMETRIC_PROCESSING):
                    await consent.grant(
                        session,
                        parts.keyring,
                        tenant_id=caller.tenant_id,
                        actor=caller.actor,
                        subject_id=subject.id,
                        purpose=purpose,
                        notice_id=platform.notice_id,
                        evidence={"how": "ticked a box"},
                    )
        platform.people.append(subject.id)
        return subject.id

    async def order(self, platform: Platform, subject_id: UUID, *, at: datetime) -> Job:
        """A photo, and a job for it that waits."""
        parts, caller = self._parts, platform.caller
        with frozen_at(at):
            async with parts.database.tenant(caller.tenant_id) as session:
                photo = await photos.accept(
                    session,
                    parts.store,
                    caller=caller,
                    subject_id=subject_id,
                    photo=CleanPhoto(
                        data=self._square, media_type="image/jpeg", width=96, height=96, source_format="jpeg",
                        removed=("gps", "device"),
                    ),
                    expires_after=None,
                )  # fmt: skip
                await photos.record_verdict(session, photo.id, verdict=PhotoState.READY, report={"findings": []})
                styles = cast.STYLES[: 1 if self._chance.random() < 0.7 else 2]  # noqa: PLR2004 (most ask for one)
                return await submit.submit(session, caller=caller, photo_id=photo.id, styles=styles)

    async def work(self, platform: Platform, *, at: datetime) -> datetime:
        """Let a worker take the one job that waits, and see what comes of it. Returns when it was over."""
        began = at + timedelta(seconds=self._chance.expovariate(1 / 9))
        part, lot = platform.part, self._chance.random()
        claimed = await self._take(part.region, began)
        if claimed is None:
            return at
        if lot < part.dies:
            return await self._die(claimed, began)
        ends = began + timedelta(seconds=2.2 * len(claimed.styles) + self._chance.expovariate(1 / 2))
        with frozen_at(ends):
            if lot < part.dies + part.refuses:
                code, message = self._chance.choice(cast.REFUSALS[1:])
                await complete.refuse(self._parts.database, claimed, code=code, message=message)
            else:
                await self._complete(claimed, refused=lot > 1 - part.refuses / 2)
        return ends

    async def hold(self, region: str, *, at: datetime) -> None:
        """Let a worker take a job and keep it: it is at work when the story ends."""
        await self._take(region, at)

    async def _take(self, region: str, at: datetime) -> Claim | None:
        worker = f"studio-{region}-{self._chance.randint(1, 3)}"
        with frozen_at(at):
            return await claim(self._parts.database, worker=worker, region=region, lease_seconds=_LEASE_SECONDS)

    async def _die(self, claimed: Claim, at: datetime) -> datetime:
        """It fails as often as a job may, and is given up."""
        held: Claim | None = claimed
        for deaths in range(1, MOST_DEATHS + 1):
            at += timedelta(seconds=3)
            with frozen_at(at):
                if held is not None:
                    await complete.fail(self._parts.database, held)
            if deaths < MOST_DEATHS:
                at += timedelta(seconds=pause_seconds(deaths) + 1)
                held = await self._take(claimed.region, at)
        return at

    async def _complete(self, claimed: Claim, *, refused: bool) -> None:
        outcomes = []
        timings: dict[str, object] = {"open": self._took(0.04), "prepare": self._took(0.9)}
        for style in claimed.styles:
            stages = {name: self._took(usual) for name, usual in cast.STAGES}
            timings[style] = stages
            seconds = round(sum(stages.values()), 3)
            if refused:
                code, message = cast.REFUSALS[0]
                outcomes.append(
                    Outcome(style=style, style_version=1, seconds=seconds, reason_code=code, reason=message)
                )
                continue
            mark = await self._parts.provenance.mark_for(claimed.job_id, style)
            picture = Picture(variant="square_1024", data=self._square, media_type="image/jpeg", width=96, height=96)
            outcomes.append(
                Outcome(
                    style=style,
                    style_version=1,
                    seconds=seconds,
                    pictures=(picture, replace(picture, variant="hris_600")),
                    ledger=[{"region": "background", "action": "replaced", "source": "generated", "share": 0.6}],
                    mark=mark,
                    likeness={"drift": round(self._chance.uniform(0.05, 0.3), 3)},
                )
            )
        parts = self._parts
        await complete.complete(
            parts.database, parts.store, claimed, outcomes, provenance=parts.provenance, timings=timings
        )

    def _took(self, usual: float) -> float:
        return round(usual * self._chance.lognormvariate(0, 0.25), 3)
