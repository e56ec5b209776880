"""A request for headshots becomes a job, or is refused with nothing made."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlmodel import select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import (
    ConsentRequired,
    Gone,
    LikenessError,
    NotFound,
    PhotoNotReady,
    PhotoRefused,
    QuotaExceeded,
    RetentionOutOfRange,
    StateConflict,
    TenantSuspended,
    UnknownStyle,
    ValidationFailed,
)
from core.headshots import submit
from core.jobs.models import Job, JobState
from core.photos.models import PhotoState
from core.queue import Lane
from core.tenants.models import Mode, TenantState
from tests import scenes
from tests.queueing import Studio


async def _jobs(parts: Parts, studio: Studio) -> list[Job]:
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        return list((await session.exec(select(Job))).all())


async def _refused(parts: Parts, studio: Studio, error: type[LikenessError], **changes: object) -> LikenessError:
    """Submit with changes; expect this error, and that nothing at all was made."""
    asked = {"caller": studio.platform.caller, "photo_id": studio.photo_id, "styles": ["studio-grey"], **changes}
    before = (await _jobs(parts, studio), (await studio.quota()).model_dump())
    with pytest.raises(error) as found:
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            await submit.submit(session, **asked)  # type: ignore[arg-type]
    assert (await _jobs(parts, studio), (await studio.quota()).model_dump()) == before
    return found.value


async def test_a_job_is_admitted_with_its_cost_its_place_a_leaf_and_a_token(parts: Parts, studio: Studio) -> None:
    await parts.queue.redis.flushall()
    job = await studio.submit("studio-grey", "charcoal", "studio-white")
    assert (job.state, job.cost, job.mode) == (JobState.PENDING, 3, Mode.LIVE)
    assert job.fair_finish == job.fair_start + job.work
    assert (await studio.quota()).reserved == 3
    assert await parts.queue.redis.zcard(Lane.STUDIO.value) == 1
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        kinds = (await session.exec(select(AuditEntry.kind))).all()
    assert kinds.count("headshot.requested") == 1


async def test_a_sandbox_key_pays_nothing(parts: Parts) -> None:
    studio = await Studio.open(parts, credits=0, mode=Mode.TEST)
    job = await studio.submit()
    assert (job.cost, job.mode) == (0, Mode.TEST)
    await studio.complete(await studio.claim())
    assert (await studio.quota()).used == 0


async def test_of_many_submissions_at_once_exactly_the_limit_is_accepted(parts: Parts) -> None:
    studio = await Studio.open(parts, credits=40)

    async def one() -> bool:
        try:
            await studio.submit()
        except QuotaExceeded:
            return False
        return True

    accepted = await asyncio.gather(*(one() for _ in range(200)))
    assert sum(accepted) == 40
    assert len(await _jobs(parts, studio)) == 40
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (40, 0)


async def test_without_consent_nothing_is_made(parts: Parts, studio: Studio) -> None:
    await studio.withdraw()
    error = await _refused(parts, studio, ConsentRequired)
    assert error.extra["missing"] == ["biometric_processing"]


async def test_a_photo_that_is_still_looked_at_must_be_waited_for(parts: Parts, studio: Studio) -> None:
    photo_id = await scenes.a_photo(parts, studio.platform, studio.subject_id, state=None)
    await _refused(parts, studio, PhotoNotReady, photo_id=photo_id)


async def test_a_refused_photo_answers_with_its_findings(parts: Parts, studio: Studio) -> None:
    photo_id = await scenes.a_photo(parts, studio.platform, studio.subject_id, state=PhotoState.REFUSED)
    error = await _refused(parts, studio, PhotoRefused, photo_id=photo_id)
    assert error.extra["findings"] == []


async def test_an_erased_person_is_gone(parts: Parts, studio: Studio) -> None:
    await studio.erase_person()
    await _refused(parts, studio, Gone)


async def test_an_expired_photo_is_gone_before_the_sweep_has_come(parts: Parts, studio: Studio) -> None:
    with frozen_at(now() + timedelta(days=400)):
        await _refused(parts, studio, Gone)


async def test_another_tenants_photo_is_not_found(parts: Parts, studio: Studio) -> None:
    other = await Studio.open(parts)
    await _refused(parts, studio, NotFound, photo_id=other.photo_id)
    await _refused(parts, studio, NotFound, photo_id=uuid4())


async def test_a_suspended_tenant_starts_nothing(parts: Parts, studio: Studio) -> None:
    suspended = replace(studio.platform.caller, tenant_state=TenantState.SUSPENDED)
    await _refused(parts, studio, TenantSuspended, caller=suspended)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"styles": ["no-such-style"]}, UnknownStyle),
        ({"styles": []}, ValidationFailed),
        ({"styles": ["studio-grey", "studio-grey"]}, ValidationFailed),
        ({"styles": [f"style-{number}" for number in range(11)]}, ValidationFailed),
        ({"seed": -1}, ValidationFailed),
        ({"seed": 2**31}, ValidationFailed),
        ({"expires_after": 10}, RetentionOutOfRange),
        ({"expires_after": 10**9}, RetentionOutOfRange),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    parts: Parts, studio: Studio, changes: dict[str, object], error: type[LikenessError]
) -> None:
    found = await _refused(parts, studio, error, **changes)
    if error is RetentionOutOfRange:
        assert found.extra["minimum"] < found.extra["maximum"]


async def test_a_quote_is_exact_and_makes_nothing(parts: Parts, studio: Studio) -> None:
    before = await studio.submit("studio-grey", "charcoal")
    asked = {"caller": studio.platform.caller, "photo_id": studio.photo_id, "styles": ["studio-grey", "charcoal"]}
    quoted = await submit.quote(parts.database, **asked)  # type: ignore[arg-type]
    assert (quoted.credits, quoted.available, quoted.position) == (2, 98, 1)
    assert len(await _jobs(parts, studio)) == 1
    assert (await studio.quota()).reserved == 2
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        job = await submit.submit(session, **asked)  # type: ignore[arg-type]
    assert job.cost == quoted.credits
    assert job.fair_start == before.fair_finish


async def test_a_quote_refuses_what_a_submission_would(parts: Parts, studio: Studio) -> None:
    await studio.withdraw()
    with pytest.raises(ConsentRequired):
        await submit.quote(
            parts.database, caller=studio.platform.caller, photo_id=studio.photo_id, styles=["studio-grey"]
        )


async def test_cancelling_a_waiting_job_gives_its_credits_back_at_once(parts: Parts, studio: Studio) -> None:
    job = await studio.submit("studio-grey", "charcoal")
    cancelled = await studio.cancel(job.id)
    assert cancelled.state == JobState.CANCELLED
    assert (await studio.quota()).reserved == 0
    assert [event.type for event in await studio.events(job.id)] == ["headshot.cancelled"]
    again = await studio.cancel(job.id)
    assert again.state == JobState.CANCELLED
    assert len(await studio.events(job.id)) == 1


async def test_a_finished_job_cannot_be_cancelled(studio: Studio) -> None:
    job = await studio.submit()
    await studio.complete(await studio.claim())
    with pytest.raises(StateConflict):
        await studio.cancel(job.id)


async def test_cancelling_races_claiming_and_one_of_them_wins_cleanly(studio: Studio) -> None:
    for _ in range(5):
        job = await studio.submit()
        _, claimed = await asyncio.gather(studio.cancel(job.id), studio.claim_or_none())
        found = await studio.job(job.id)
        if claimed is None:
            assert found.state == JobState.CANCELLED
        else:
            assert (found.state, found.cancel_requested_at is not None) == (JobState.RUNNING, True)
            await studio.change(job.id, "state = 'failed', lease_until = NULL")
