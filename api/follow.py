"""Follow a job: its events, replayed from the outbox and then as they come, as server-sent events.

The database is asked twice a second, in a transaction that is over before anything is sent, so a thousand followers
hold no connection while nothing happens. A stream ends with its job, or after ten minutes: the client comes back with
`Last-Event-ID` and misses nothing.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from litestar.response.sse import ServerSentEventMessage

from api.auth import seen_by
from core.bootstrap import Parts
from core.errors import Gone
from core.ids import Prefix, public
from core.jobs import queries as jobs
from core.jobs.models import FINAL, Job, JobState
from core.tenants.service import Caller
from core.webhooks.models import Event
from core.webhooks.queries import events_of

RETRY_MS = 1000
_LOOK_EVERY_SECONDS = 0.5
_SIGN_OF_LIFE_SECONDS = 15.0
_LONGEST_SECONDS = 600.0
_AT_ONCE = 100


async def events(
    parts: Parts, caller: Caller, job_id: UUID, *, after: UUID | None
) -> AsyncIterator[ServerSentEventMessage]:
    """The messages of one stream."""
    began = spoke = time.monotonic()
    told: dict[str, Any] | None = None
    while time.monotonic() - began < _LONGEST_SECONDS:
        try:
            async with seen_by(caller, parts) as session:
                job = await jobs.get(session, job_id)
                found = await events_of(session, job_id, after=after, limit=_AT_ONCE)
        except Gone:
            return  # the person was erased while we told: there is nothing more to say
        outlook = await _outlook(parts, job)
        if outlook != told:
            told, spoke = outlook, time.monotonic()
            yield ServerSentEventMessage(event="outlook", data=json.dumps(outlook))
        for event in found:
            after, spoke = event.id, time.monotonic()
            yield _message(event)
        if len(found) == _AT_ONCE:
            continue
        if job.state in FINAL:
            return
        if time.monotonic() - spoke >= _SIGN_OF_LIFE_SECONDS:
            spoke = time.monotonic()
            yield ServerSentEventMessage(data=None, comment="still here")
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _outlook(parts: Parts, job: Job) -> dict[str, Any]:
    told: dict[str, Any] = {
        "job_id": public(Prefix.JOB, job.id),
        "state": job.state,
        "stage": job.stage,
        "progress": job.progress,
        "position": None,
        "estimate_seconds": None,
    }
    if job.state == JobState.PENDING:
        async with parts.database.system() as session:
            outlook = await jobs.outlook(
                session, region=job.region, fair_start=job.fair_start, work=job.work, job_id=job.id
            )
        told |= {"position": outlook.position, "estimate_seconds": outlook.seconds}
    return told


def _message(event: Event) -> ServerSentEventMessage:
    body = {
        "type": event.type,
        "timestamp": event.created_at.isoformat().replace("+00:00", "Z"),
        "data": event.data,
    }
    return ServerSentEventMessage(id=public(Prefix.EVENT, event.id), event=event.type, data=json.dumps(body))
