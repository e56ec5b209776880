"""A month of several platforms, told by core's own services."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from sqlmodel import select

from core.bootstrap import Parts, open_parts
from core.clock import now
from core.jobs.models import Job, JobState
from core.rights import certify, erase
from core.rights.models import RequestState, RightsRequest, Tombstone
from core.settings import Settings
from core.tenants.models import Quota, Tenant, TenantState
from core.webhooks.models import WebhookDelivery, WebhookEndpoint
from core.workers import service as workers
from infra.seed import NotEmpty, Size, fill

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with open_parts(settings) as opened:
        yield opened


async def test_a_month_has_everything_that_an_operator_looks_at_and_is_told_once(parts: Parts) -> None:
    await fill(parts, size=Size(jobs=24, erasures=1, answered=2, rounds=1), seed=3)
    async with parts.database.system() as session:
        found = {tenant.name: tenant for tenant in (await session.exec(select(Tenant))).all()}
    assert len(found) == 5
    assert found["Lumen & Hale"].state == TenantState.SUSPENDED
    jobs: list[Job] = []
    requests: list[RightsRequest] = []
    tombstones: list[Tombstone] = []
    deliveries: list[WebhookDelivery] = []
    endpoints: list[WebhookEndpoint] = []
    spent: list[int] = []
    shares: dict[str, float] = {}
    for tenant in found.values():
        async with parts.database.tenant(tenant.id) as session:
            jobs += (await session.exec(select(Job))).all()
            requests += (await session.exec(select(RightsRequest))).all()
            tombstones += (await session.exec(select(Tombstone))).all()
            deliveries += (await session.exec(select(WebhookDelivery))).all()
            endpoints += (await session.exec(select(WebhookEndpoint))).all()
            quota = (await session.exec(select(Quota))).one()
            spent.append(quota.used)
            shares[tenant.name] = (quota.used + quota.reserved) / max(quota.credits, 1)
            assert quota.concurrency is not None
    # One is near its limit, and nobody beyond it, whatever the size of the story.
    assert 0.5 < shares["Fjord People"] <= 1.0
    assert max(shares.values()) <= 1.0
    assert {tenant.plan for tenant in found.values()} == {"trial", "standard", "enterprise"}
    async with parts.database.system() as session:
        assert {worker.region for worker in await workers.living(session)} == {"eu-central", "us-east"}
    states = Counter(job.state for job in jobs)
    assert states[JobState.DONE] > 10
    assert states[JobState.PENDING] == 15
    assert states[JobState.RUNNING] == 4
    assert sum(spent) == sum(job.charged for job in jobs) > 10
    assert {request.state for request in requests} >= {RequestState.RECEIVED, RequestState.COMPLETED}
    assert any(request.due_at < now() for request in requests if request.state == RequestState.RECEIVED)
    assert sum(stone.certified_at is not None for stone in tombstones) == 1
    assert any(erase.is_stuck(stone) for stone in tombstones)
    assert {delivery.state for delivery in deliveries} >= {"delivered"}
    assert len(endpoints) == 5
    certified = next(stone for stone in tombstones if stone.certified_at is not None)
    async with parts.database.tenant(certified.tenant_id) as session:
        certificate = await certify.of_subject(session, certified.subject_id)
    assert certificate is not None
    with pytest.raises(NotEmpty):
        await fill(parts, size=Size(jobs=1, erasures=0, answered=0))
