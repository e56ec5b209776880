"""Workers report themselves, fall silent, and are asked to leave."""

from datetime import timedelta

import pytest
from sqlmodel import select

from core.clock import frozen_at, now
from core.db import Database
from core.errors import NotFound, StateConflict
from core.ids import new_id
from core.workers import service as workers
from core.workers.models import Worker
from core.workers.service import Report


async def _report(database: Database, *, draining: bool = False, jobs: int = 0) -> bool:
    said = Report(name="studio-a", kind="studio", region="local", concurrency=2, jobs_in_hand=jobs, draining=draining)
    async with database.system() as session:
        return await workers.report(session, said)


async def _worker(database: Database) -> Worker:
    async with database.system() as session:
        return (await session.exec(select(Worker))).one()


async def test_a_report_again_is_the_same_worker(database: Database) -> None:
    assert await _report(database) is False
    first = await _worker(database)
    with frozen_at(now() + timedelta(seconds=15)):
        assert await _report(database, jobs=2) is False
        later = await _worker(database)
    assert (later.id, later.started_at, later.jobs_in_hand) == (first.id, first.started_at, 2)
    assert later.seen_at > first.seen_at


async def test_a_worker_that_does_not_report_is_silent_and_one_that_left_has_left(database: Database) -> None:
    await _report(database)
    worker = await _worker(database)
    assert workers.state_of(worker) == "serving"
    with frozen_at(now() + timedelta(minutes=1)):
        assert workers.state_of(worker) == "silent"
        async with database.system() as session:
            assert await workers.living(session) == []
    async with database.system() as session:
        await workers.leave(session, "studio-a")
    assert workers.state_of(await _worker(database)) == "left"


async def test_a_worker_hears_that_it_is_to_leave_and_says_since_when_it_does(database: Database) -> None:
    await _report(database)
    worker = await _worker(database)
    async with database.system() as session:
        asked = await workers.ask_to_drain(session, worker.id, actor="operator:a")
        assert asked.drain_asked_by == "operator:a"
    async with database.system() as session:
        again = await workers.ask_to_drain(session, worker.id, actor="operator:b")
        assert again.drain_asked_by == "operator:a"
    assert await _report(database) is True
    assert await _report(database, draining=True) is True
    began = (await _worker(database)).draining_at
    assert began is not None
    with frozen_at(now() + timedelta(seconds=5)):
        await _report(database, draining=True)
    assert (await _worker(database)).draining_at == began
    assert workers.state_of(await _worker(database)) == "draining"


async def test_nobody_asks_one_that_is_gone(database: Database) -> None:
    await _report(database)
    worker = await _worker(database)
    async with database.system() as session:
        await workers.leave(session, "studio-a")
    with pytest.raises(StateConflict):
        async with database.system() as session:
            await workers.ask_to_drain(session, worker.id, actor="operator:a")
    with pytest.raises(NotFound):
        async with database.system() as session:
            await workers.ask_to_drain(session, new_id(), actor="operator:a")


async def test_a_worker_of_last_week_is_forgotten(database: Database) -> None:
    await _report(database)
    async with database.system() as session:
        await workers.forget_old(session)
    assert (await _worker(database)).name == "studio-a"
    with frozen_at(now() + timedelta(days=8)):
        async with database.system() as session:
            await workers.forget_old(session)
            assert (await session.exec(select(Worker))).all() == []
