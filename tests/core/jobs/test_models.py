"""The table of legal transitions, in code and in the database."""

from itertools import product

import pytest
from sqlalchemy.exc import DBAPIError

from core.jobs.models import TRANSITIONS, JobState
from tests.queueing import Studio

_SHAPE = {JobState.RUNNING: ", lease_until = now(), worker = 'w'"}
_REST = ", lease_until = NULL, worker = NULL"
# How to come to each state by legal steps.
_WAYS = {JobState.PENDING: (), JobState.RUNNING: (JobState.RUNNING,)} | {
    state: (JobState.RUNNING, state) for state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED)
}


async def test_the_database_takes_exactly_the_legal_steps(studio: Studio) -> None:
    for before, after in product(JobState, JobState):
        if before == after:
            continue
        job = await studio.submit()
        for state in _WAYS[before]:
            await studio.change(job.id, f"state = '{state}'{_SHAPE.get(state, _REST)}")
        step = f"state = '{after}'{_SHAPE.get(after, _REST)}"
        if (before, after) in TRANSITIONS:
            await studio.change(job.id, step)
        else:
            with pytest.raises(DBAPIError, match="cannot go from"):
                await studio.change(job.id, step)


async def test_a_fence_never_goes_back(studio: Studio) -> None:
    job = await studio.submit()
    await studio.claim()
    with pytest.raises(DBAPIError, match="fence"):
        await studio.change(job.id, "attempt = 0")


async def test_a_running_job_has_a_lease_and_no_other_has(studio: Studio) -> None:
    job = await studio.submit()
    with pytest.raises(DBAPIError, match="job_lease"):
        await studio.change(job.id, "lease_until = now()")
    with pytest.raises(DBAPIError, match="job_lease"):
        await studio.change(job.id, "state = 'running'")
