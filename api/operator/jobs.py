"""`/operator/v1/jobs`: what is made, how far it is, and why it was not. Ids, states, codes and times alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct
from sqlmodel import select

from api import paging
from api.operator.auth import requires_support, requires_viewer
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.wire import PLAIN_TEXT
from core.bootstrap import Parts
from core.clock import now
from core.errors import Gone, NotFound, QuotaExceeded, RoleMissing, StateConflict, Unauthenticated
from core.headshots import submit
from core.headshots.requeue import requeue
from core.ids import Prefix, parse, public
from core.jobs import seen
from core.jobs.models import Job, JobState
from core.jobs.seen import SeenJob
from core.operators.service import Operator

OfTenant = Annotated[
    str | None,
    QueryParameter(required=False, max_length=64, schema_extra=PLAIN_TEXT, description="Only those of this tenant."),
]


class OperatorJobSummary(Struct, frozen=True, kw_only=True):
    """A job in a list."""

    id: Annotated[str, Meta(examples=["job_0199b3c4d5e67f8090a1b2c3d4e5f608"])]
    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    region: str
    mode: str
    state: Annotated[str, Meta(examples=["running"])]
    stage: str | None
    progress: float
    attempts: Annotated[int, Meta(description="How often a worker has taken it.")]
    deaths: Annotated[int, Meta(description="How often it killed its worker, or failed.")]
    worker: Annotated[str | None, Meta(description="Name of the worker that holds it.")]
    reason_code: Annotated[str | None, Meta(description="Why it was refused, failed or was cancelled.")]
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class StageTiming(Struct, frozen=True, kw_only=True):
    """How long a stage took."""

    stage: Annotated[str, Meta(examples=["studio-grey: light"])]
    seconds: float


class OperatorJobView(OperatorJobSummary, frozen=True, kw_only=True):
    """A job."""

    styles: Annotated[int, Meta(description="How many headshots were asked for.")]
    cost: Annotated[int, Meta(description="Credits held for it.")]
    charged: int
    weight: float
    not_before: Annotated[datetime, Meta(description="It rests until then, after a try that failed.")]
    waited_seconds: Annotated[float | None, Meta(description="From the order to the last try.")]
    timings: Annotated[list[StageTiming], Meta(description="Of the try that ended it, in order.")]
    requeueable: Annotated[bool, Meta(description="It is a dead letter: it can be put back in line.")]


class OperatorJobPage(Struct, frozen=True, kw_only=True):
    """Jobs, newest first."""

    data: list[OperatorJobSummary]
    next_cursor: str | None


def _fields(job: Job | SeenJob) -> dict[str, Any]:
    return {
        "id": public(Prefix.JOB, job.id),
        "tenant": public(Prefix.TENANT, job.tenant_id),
        "region": job.region,
        "mode": job.mode,
        "state": job.state,
        "stage": job.stage,
        "progress": job.progress,
        "attempts": job.attempt,
        "deaths": job.deaths,
        "worker": job.worker,
        "reason_code": job.reason_code,
        "cancel_requested_at": job.cancel_requested_at,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _view(job: Job) -> OperatorJobView:
    return OperatorJobView(
        **_fields(job),
        styles=len(job.styles),
        cost=job.cost,
        charged=job.charged,
        weight=job.weight,
        not_before=job.not_before,
        waited_seconds=round(((job.started_at or now()) - job.created_at).total_seconds(), 3),
        timings=list(_timings(job.timings or {})),
        requeueable=job.state == JobState.FAILED,
    )


def _timings(found: Mapping[str, Any]) -> list[StageTiming]:
    """Stages of the whole job by their own names; those of a style behind the style's."""
    flat: list[StageTiming] = []
    for name, value in found.items():
        inner = value if isinstance(value, dict) else {None: value}
        flat += [
            StageTiming(stage=name if stage is None else f"{name}: {stage}", seconds=float(seconds))
            for stage, seconds in inner.items()
        ]
    return flat


async def _of(parts: Parts, job_id: str) -> tuple[UUID, UUID]:
    found = parse(Prefix.JOB, job_id)
    async with parts.database.system() as session:
        return await seen.tenant_of(session, found), found


class OperatorJobController(Controller):
    """`/operator/v1/jobs`."""

    path = "/jobs"
    tags = ("Operators",)

    @get(
        summary="List jobs of all tenants",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, *PAGED),
    )
    async def list_all_jobs(
        self,
        parts: NamedDependency[Parts],
        in_state: Annotated[
            JobState | None, QueryParameter(name="state", required=False, description="Only those in this state.")
        ] = None,
        tenant_id: OfTenant = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> OperatorJobPage:
        """Jobs, newest first; in one state, or of one tenant, if you say so. `failed` ones are the dead letters."""
        async with parts.database.system() as session:
            rows = await seen.page(
                session,
                state=in_state,
                tenant_id=None if tenant_id is None else parse(Prefix.TENANT, tenant_id),
                before=paging.decode(cursor),
                limit=limit + 1,
            )
        page, following = paging.cut(rows, limit)
        return OperatorJobPage(data=[OperatorJobSummary(**_fields(row)) for row in page], next_cursor=following)

    @get(
        "/{job_id:str}",
        summary="Read a job of any tenant",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def read_any_job(self, parts: NamedDependency[Parts], job_id: FromPath[str]) -> OperatorJobView:
        """A job, its tries, and the seconds of each stage. It stays after an erasure, as ids and times."""
        tenant_id, found = await _of(parts, job_id)
        async with parts.database.tenant(tenant_id) as session:
            return _view((await session.exec(select(Job).where(Job.id == found))).one())

    @post(
        "/{job_id:str}/cancel",
        status_code=200,
        summary="Cancel a job of any tenant",
        guards=(requires_support,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict),
    )
    async def cancel_any_job(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], job_id: FromPath[str]
    ) -> OperatorJobView:
        """Stop a job: at once while it waits, at the worker's next step while it runs. It costs the tenant nothing."""
        tenant_id, found = await _of(parts, job_id)
        async with parts.database.tenant(tenant_id) as session:
            return _view(await submit.cancel(session, found, actor=operator.actor))

    @post(
        "/{job_id:str}/requeue",
        status_code=200,
        summary="Put a dead letter back in line",
        guards=(requires_support,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict, Gone, QuotaExceeded),
    )
    async def requeue_job(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], job_id: FromPath[str]
    ) -> OperatorJobView:
        """Let a failed job wait again, under the same id. It needs credits, consents and photo as a new one would."""
        tenant_id, found = await _of(parts, job_id)
        async with parts.database.tenant(tenant_id) as session:
            return _view(await requeue(session, found, actor=operator.actor))
