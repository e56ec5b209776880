"""`/operator/v1/now`: how the service is at this moment, in one answer."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from api.operator.auth import requires_viewer
from api.problems import documented
from core.bootstrap import Parts
from core.clock import now
from core.errors import KeyProviderUnavailable, RoleMissing, Unauthenticated
from core.ids import Prefix, public
from core.operators import proposals
from core.overview import duties as due
from core.overview import work
from core.workers import service as workers
from core.workers.models import Worker

KEY_PATIENCE_SECONDS = 1.0
LONG_WAIT = timedelta(minutes=10)


class LineView(Struct, frozen=True, kw_only=True):
    """A region's queue."""

    region: str
    waiting: int
    oldest_at: datetime | None
    oldest_seconds: Annotated[float | None, Meta(description="How long the oldest has waited.")]
    workers: Annotated[int, Meta(description="Studio workers that reported themselves and take jobs.")]
    places: Annotated[int, Meta(description="Jobs that those can have in hand at once.")]


class HourView(Struct, frozen=True, kw_only=True):
    """Jobs that were finished within an hour. The last hour is not over yet."""

    begins_at: datetime
    done: int


class AtWorkView(Struct, frozen=True, kw_only=True):
    """A tenant with jobs at work."""

    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    name: str
    running: int
    concurrency: Annotated[int | None, Meta(description="Its cap; null is none.")]
    weight: float


class RefusalsView(Struct, frozen=True, kw_only=True):
    """Jobs of the last seven days that were refused or failed, by reason."""

    state: Annotated[str, Meta(examples=["refused"])]
    reason_code: Annotated[str, Meta(examples=["not_still_me"])]
    count: int


class WebhooksView(Struct, frozen=True, kw_only=True):
    """The health of the receivers."""

    endpoints: int
    disabled: int
    failing: int
    waiting: Annotated[int, Meta(description="Deliveries that are still to be made.")]
    late_seconds: Annotated[float | None, Meta(description="By how long the most overdue delivery is late.")]
    failed: Annotated[dict[str, int], Meta(description="Deliveries given up within seven days, by cause.")]


class DeadlineView(Struct, frozen=True, kw_only=True):
    """A rights request that waits for its answer."""

    id: Annotated[str, Meta(description="Id of the rights request.")]
    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    kind: str
    law: str
    due_at: datetime
    seconds_left: Annotated[float, Meta(description="Less than zero: it is overdue.")]


class DutiesView(Struct, frozen=True, kw_only=True):
    """What people are owed."""

    open_requests: int
    overdue_requests: int
    next_deadlines: list[DeadlineView]
    open_erasures: int
    stuck_erasures: int


class AlertView(Struct, frozen=True, kw_only=True):
    """Something that somebody should look at."""

    code: Annotated[str, Meta(examples=["requests_overdue"])]
    severity: Annotated[str, Meta(description="`critical` or `warning`.")]
    count: int
    text: Annotated[str, Meta(description="In a sentence, for a person.")]


class NowView(Struct, frozen=True, kw_only=True):
    """How the service is."""

    at: datetime
    queue: list[LineView]
    throughput: list[HourView]
    at_work: list[AtWorkView]
    refusals: list[RefusalsView]
    dead_letters: int
    webhooks: WebhooksView
    duties: DutiesView
    approvals: Annotated[int, Meta(description="Proposals that wait for a second person.")]
    keys: Annotated[str, Meta(description="Of the key provider: `ok` or `unavailable`.")]
    alerts: list[AlertView]


@dataclass(frozen=True, slots=True)
class _Figures:
    """Everything that the answer is made of."""

    at: datetime
    keys: str
    approvals: int
    lines: list[work.Line]
    hours: list[work.Hour]
    at_work: list[work.AtWork]
    refusals: list[work.Refusals]
    dead_letters: int
    webhooks: due.Webhooks
    duties: due.Duties
    workers: list[Worker]

    def takers(self, region: str) -> list[Worker]:
        """The workers of a region that take jobs."""
        studios = (one for one in self.workers if one.kind == "studio" and one.region == region)
        return [one for one in studios if workers.state_of(one) == "serving"]


class NowController(Controller):
    """`/operator/v1/now`."""

    path = "/now"
    tags = ("Operators",)

    @get(summary="How the service is", guards=(requires_viewer,), responses=documented(Unauthenticated, RoleMissing))
    async def read_now(self, parts: NamedDependency[Parts]) -> NowView:
        """Queue, throughput, who has which places, refusals, receivers, deadlines and alerts, at one moment."""
        found = await _look(parts)
        return NowView(
            at=found.at,
            queue=[_line(line, found) for line in found.lines],
            throughput=[HourView(begins_at=hour.begins_at, done=hour.done) for hour in found.hours],
            at_work=[
                AtWorkView(
                    tenant=public(Prefix.TENANT, one.tenant_id),
                    name=one.name,
                    running=one.running,
                    concurrency=one.concurrency,
                    weight=one.weight,
                )
                for one in found.at_work
            ],
            refusals=[
                RefusalsView(state=one.state, reason_code=one.reason_code or "unknown", count=one.count)
                for one in found.refusals
            ],
            dead_letters=found.dead_letters,
            webhooks=_webhooks(found.webhooks, found.at),
            duties=_duties(found.duties, found.at),
            approvals=found.approvals,
            keys=found.keys,
            alerts=list(_alerts(found)),
        )


async def _look(parts: Parts) -> _Figures:
    keys, approvals = await _keys(parts), await _approvals(parts)
    async with parts.database.system() as session:
        return _Figures(
            at=now(),
            keys=keys,
            approvals=approvals,
            lines=await work.lines(session),
            hours=await work.throughput(session),
            at_work=await work.at_work(session),
            refusals=await work.refusals(session),
            dead_letters=await work.dead_letters(session),
            webhooks=await due.webhooks(session),
            duties=await due.duties(session),
            workers=await workers.living(session),
        )


async def _approvals(parts: Parts) -> int:
    if parts.database.operators is None:
        return 0  # nobody can sign in here, so nobody has proposed anything
    async with parts.database.operator() as session:
        return await proposals.waiting(session)


async def _keys(parts: Parts) -> str:
    try:
        async with asyncio.timeout(KEY_PATIENCE_SECONDS):
            await parts.keyring.health()
    except (KeyProviderUnavailable, TimeoutError):
        return "unavailable"
    return "ok"


def _line(line: work.Line, found: _Figures) -> LineView:
    takers = found.takers(line.region)
    return LineView(
        region=line.region,
        waiting=line.waiting,
        oldest_at=line.oldest_at,
        oldest_seconds=None if line.oldest_at is None else _seconds(found.at - line.oldest_at),
        workers=len(takers),
        places=sum(one.concurrency for one in takers),
    )


def _webhooks(found: due.Webhooks, moment: datetime) -> WebhooksView:
    return WebhooksView(
        endpoints=found.endpoints,
        disabled=found.disabled,
        failing=found.failing,
        waiting=found.waiting,
        late_seconds=None if found.late_at is None else _seconds(moment - found.late_at),
        failed=found.failed,
    )


def _duties(found: due.Duties, moment: datetime) -> DutiesView:
    return DutiesView(
        open_requests=found.open_requests,
        overdue_requests=found.overdue_requests,
        next_deadlines=[
            DeadlineView(
                id=public(Prefix.RIGHTS_REQUEST, one.request_id),
                tenant=public(Prefix.TENANT, one.tenant_id),
                kind=one.kind,
                law=one.law,
                due_at=one.due_at,
                seconds_left=_seconds(one.due_at - moment),
            )
            for one in found.next_deadlines
        ],
        open_erasures=found.open_erasures,
        stuck_erasures=found.stuck_erasures,
    )


def _alerts(found: _Figures) -> Iterator[AlertView]:
    """What should be looked at, the worst first. Each says what it means."""
    untaken = sum(bool(line.waiting and not found.takers(line.region)) for line in found.lines)
    slow = sum(line.oldest_at is not None and found.at - line.oldest_at > LONG_WAIT for line in found.lines)
    owed, receivers = found.duties, found.webhooks
    for code, severity, count, text in (
        ("key_provider_away", "critical", int(found.keys != "ok"), "The key provider is away: nothing sealed opens."),
        ("requests_overdue", "critical", owed.overdue_requests, "Rights requests are past the term of their law."),
        ("erasures_stuck", "critical", owed.stuck_erasures, "Erasures do not get on; see what stopped their last try."),
        ("no_worker", "critical", untaken, "Jobs wait in a region where no worker takes them."),
        ("long_wait", "warning", slow, "A region's oldest job has waited for more than ten minutes."),
        ("dead_letters", "warning", found.dead_letters, "Jobs were given up; requeue them once the cause is mended."),
        ("endpoints_disabled", "warning", receivers.disabled, "Webhook endpoints are disabled and hear nothing."),
        ("endpoints_failing", "warning", receivers.failing, "Webhook endpoints fail; after five days one is disabled."),
    ):
        if count:
            yield AlertView(code=code, severity=severity, count=count, text=text)


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 1)
