"""Kill -9 anything, flush Redis: every accepted job still ends, exactly once, charged once."""

import os
import signal

import pytest
from redis.asyncio import Redis

from infra.local.parts import Part
from infra.local.supervisor import Supervisor
from tests.e2e.person import Person

STYLES = ("studio-grey", "navy-spotlight")


def _kill(part: Part) -> None:
    assert part.process is not None
    os.kill(part.process.pid, signal.SIGKILL)


async def _done_exactly_once(person: Person, job_id: str) -> None:
    job = await person.reaches(job_id, "done", seconds=90)
    assert sorted(headshot["style"] for headshot in job["headshots"]) == sorted(STYLES)
    assert job["charged"] == len(STYLES)
    used = await person.used()
    assert (used["used"], used["reserved"]) == (len(STYLES), 0)
    for headshot in job["headshots"]:
        for asset in headshot["assets"]:
            answer = await person.platform.http.get(f"/v1/assets/{asset['id']}/content")
            assert answer.status_code == 200


@pytest.mark.parametrize("victim", ["studio", "light", "api", "valkey", "postgres"])
async def test_a_part_killed_mid_job_loses_nothing(person: Person, part: dict[str, Part], victim: str) -> None:
    job_id = await person.order(*STYLES)
    await person.reaches(job_id, "running")
    _kill(part[victim])
    await _done_exactly_once(person, job_id)


async def test_redis_flushed_right_after_the_order_loses_nothing(person: Person, instance: Supervisor) -> None:
    job_id = await person.order(*STYLES)
    redis = Redis.from_url(instance.settings["LIKENESS_QUEUE_URL"])
    await redis.flushall()
    await redis.aclose()
    await _done_exactly_once(person, job_id)


async def test_a_withdrawn_consent_stops_a_job_and_nothing_is_charged(person: Person) -> None:
    job_id = await person.order(*STYLES)
    await person.platform.call("POST", f"/v1/consents/{person.consents['headshot']}/withdraw")
    job = await person.reaches(job_id, "cancelled", "refused", "failed")
    assert job["headshots"] == []
    assert job["charged"] == 0
    assert (await person.used())["reserved"] == 0
