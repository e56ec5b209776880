"""Change a tenant's limits, and let its line begin anew where a cap had held it back."""

from uuid import UUID

from core.db import Database
from core.jobs import fair
from core.queue import Task, wake_after_commit
from core.tenants import limits
from core.tenants.models import Quota
from core.tenants.plans import Limits


async def change(
    database: Database, tenant_id: UUID, after: Limits, *, actor: str, version: int | None = None
) -> Quota:
    """As `core.tenants.limits.change`. Each of the two steps is a transaction of its own: both lock what jobs need."""
    # 1. The limits.
    async with database.tenant(tenant_id) as session:
        tenant, before = await limits.read(session, tenant_id)
        was = before.concurrency
        quota = await limits.change(session, tenant_id, after, actor=actor, version=version)
    # 2. The line, when there is more room than there was.
    if was is not None and (quota.concurrency is None or quota.concurrency > was):
        async with database.tenant(tenant_id) as session:
            if await fair.begin_anew(session, tenant_id=tenant_id, region=tenant.region):
                wake_after_commit(session, Task.RUN_JOB)
    return quota
