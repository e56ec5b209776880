"""`/operator/v1/quotas`: limits against use, changed with a version, with what a change means and what was changed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paging
from api.operator.approvals import ApprovalView, Reason, proposed
from api.operator.auth import requires_admin, requires_viewer
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from core.bootstrap import Parts
from core.clock import now
from core.errors import (
    MalformedRequest,
    NotFound,
    RoleMissing,
    StateConflict,
    Unauthenticated,
    ValidationFailed,
    VersionConflict,
)
from core.ids import Prefix, parse, public
from core.jobs import limits as line
from core.operators import tenant_acts
from core.operators.service import Operator
from core.overview import shares, work
from core.tenants import limits, plans
from core.tenants import service as tenants
from core.tenants.models import Quota, QuotaChange, Tenant
from core.tenants.plans import PLANS, Limits

_MOST = 2**31 - 1
_DAYS_BEHIND = 30
# The pace of a forecast: the last seven days, today among them as far as it has come.
_PACE_DAYS = limits.USAGE_DAYS

Credits = Annotated[int, Meta(ge=0, le=_MOST, examples=[1000])]
Concurrency = Annotated[int, Meta(ge=1, le=10_000, examples=[4])]
Weight = Annotated[float, Meta(gt=0, le=1000, examples=[2.0])]


class QuotaChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change. A field that is left out stays; `concurrency: null` lifts the cap."""

    version: Annotated[int, Meta(ge=1, description="The one that you saw: 409 if somebody has changed it since.")]
    credits: Credits | UnsetType = UNSET
    concurrency: Concurrency | UnsetType | None = UNSET
    weight: Weight | UnsetType = UNSET
    reason: Annotated[Reason | None, Meta(description="Needed where a second person is: see `above_plan`.")] = None


class QuotaPreviewRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What would be changed."""

    credits: Credits | UnsetType = UNSET
    concurrency: Concurrency | UnsetType | None = UNSET
    weight: Weight | UnsetType = UNSET


class LimitsView(Struct, frozen=True, kw_only=True):
    """Limits: of a tenant, or the ceilings of a plan."""

    credits: int
    concurrency: Annotated[int | None, Meta(description="Jobs at once; null is no cap.")]
    weight: float


class DayView(Struct, frozen=True, kw_only=True):
    """Credits that were spent on a day, UTC."""

    day: date
    used: int


class QuotaView(Struct, frozen=True, kw_only=True):
    """A tenant's limits and what it uses of them."""

    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    name: str
    state: str
    region: str
    plan: str
    ceilings: Annotated[LimitsView, Meta(description="Of the plan: beyond them a second person has to agree.")]
    version: int
    credits: int
    reserved: int
    used: int
    available: int
    concurrency: int | None
    weight: float
    running: Annotated[int, Meta(description="Jobs at work at this moment.")]
    used_per_day: Annotated[float, Meta(description="The mean of the last seven days.")]
    exhausted_at: Annotated[
        datetime | None, Meta(description="When the credits end at that pace; null when they do not within a year.")
    ]


class QuotaDetail(QuotaView, frozen=True, kw_only=True):
    """The same, with the last thirty days."""

    days: list[DayView]


class QuotaPage(Struct, frozen=True, kw_only=True):
    """Quotas, the newest tenant first."""

    data: list[QuotaView]
    next_cursor: str | None


class QuotaChangeView(Struct, frozen=True, kw_only=True):
    """One change."""

    version: int
    actor: str
    before: LimitsView
    after: LimitsView
    changed_at: datetime


class QuotaHistory(Struct, frozen=True, kw_only=True):
    """Changes, newest first."""

    data: list[QuotaChangeView]
    next_cursor: str | None


class ShareView(Struct, frozen=True, kw_only=True):
    """A tenant's part of its region's places, before and after."""

    tenant: str
    name: str
    busy: Annotated[bool, Meta(description="It has jobs waiting or running; the tenant that is asked about counts.")]
    before: Annotated[float, Meta(description="Of the places while all are busy, 0 to 1.")]
    after: float
    before_of_busy: Annotated[float, Meta(description="Among those that are busy at this moment.")]
    after_of_busy: float
    concurrency: int | None


class QuotaPreview(Struct, frozen=True, kw_only=True):
    """What a change would mean. Nothing was changed."""

    before: LimitsView
    after: LimitsView
    above_plan: Annotated[list[str], Meta(description="Limits for which a second person would have to agree.")]
    shares: list[ShareView]
    notes: Annotated[list[str], Meta(description="In sentences, for a person.")]


def _limits(found: Limits) -> LimitsView:
    return LimitsView(credits=found.credits, concurrency=found.concurrency, weight=found.weight)


def _fields(tenant: Tenant, quota: Quota, *, running: int, days: dict[date, int]) -> dict[str, Any]:
    recent = [used for day, used in days.items() if day > now().date() - timedelta(days=_PACE_DAYS)]
    pace = sum(recent) / _PACE_DAYS
    available = quota.credits - quota.used - quota.reserved
    lasts = available / pace if pace else None
    return {
        "tenant": public(Prefix.TENANT, tenant.id),
        "name": tenant.name,
        "state": tenant.state,
        "region": tenant.region,
        "plan": tenant.plan,
        "ceilings": _limits(PLANS.get(tenant.plan, PLANS[plans.STANDARD])),
        "version": quota.version,
        "credits": quota.credits,
        "reserved": quota.reserved,
        "used": quota.used,
        "available": available,
        "concurrency": quota.concurrency,
        "weight": tenant.weight,
        "running": running,
        "used_per_day": round(pace, 2),
        "exhausted_at": None if lasts is None or lasts > 365 else now() + timedelta(days=lasts),  # noqa: PLR2004 (a year)
    }


def _wanted(before: Limits, data: QuotaChanges | QuotaPreviewRequest) -> Limits:
    named = {"credits": data.credits, "concurrency": data.concurrency, "weight": data.weight}
    changes: dict[str, Any] = {name: value for name, value in named.items() if not isinstance(value, UnsetType)}
    return replace(before, **changes)


def _history(row: QuotaChange) -> QuotaChangeView:
    return QuotaChangeView(
        version=row.version,
        actor=row.actor,
        before=LimitsView(**row.before),
        after=LimitsView(**row.after),
        changed_at=row.changed_at.astimezone(UTC),
    )


async def _detail(parts: Parts, tenant_id: UUID) -> QuotaDetail:
    async with parts.database.system() as session:
        tenant, quota = await limits.read(session, tenant_id)
        running = (await work.running_by_tenant(session)).get(tenant_id, 0)
        days = (await limits.usage_by_day(session, [tenant_id], days=_DAYS_BEHIND)).get(tenant_id, {})
    shown = [DayView(day=day, used=used) for day, used in sorted(days.items())]
    return QuotaDetail(**_fields(tenant, quota, running=running, days=days), days=shown)


class QuotaController(Controller):
    """`/operator/v1/quotas`."""

    path = "/quotas"
    tags = ("Operators",)

    @get(summary="List quotas", guards=(requires_viewer,), responses=documented(Unauthenticated, RoleMissing, *PAGED))
    async def list_quotas(self, parts: NamedDependency[Parts], limit: Limit = 20, cursor: Cursor = None) -> QuotaPage:
        """Every tenant's limits against what it uses, with the day on which its credits end at the present pace."""
        async with parts.database.system() as session:
            rows = await tenants.page_tenants(session, before=paging.decode(cursor), limit=limit + 1)
            running = await work.running_by_tenant(session)
            ids = [tenant.id for tenant, _ in rows]
            days = await limits.usage_by_day(session, ids, days=_PACE_DAYS)
        page, following = paging.cut([tenant for tenant, _ in rows], limit)
        data = [
            QuotaView(**_fields(tenant, quota, running=running.get(tenant.id, 0), days=days.get(tenant.id, {})))
            for tenant, quota in rows[: len(page)]
        ]
        return QuotaPage(data=data, next_cursor=following)

    @get(
        "/{tenant_id:str}",
        summary="Read a quota",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def read_quota(self, parts: NamedDependency[Parts], tenant_id: FromPath[str]) -> QuotaDetail:
        """A tenant's limits, its use day by day, and the version that a change has to name."""
        return await _detail(parts, parse(Prefix.TENANT, tenant_id))

    @patch(
        "/{tenant_id:str}",
        summary="Change a quota",
        guards=(requires_admin,),
        responses=documented(
            Unauthenticated, RoleMissing, MalformedRequest, NotFound, VersionConflict, StateConflict, ValidationFailed
        ),
    )
    async def update_quota(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data: JSONBody[QuotaChanges],
    ) -> Response[QuotaDetail] | Response[ApprovalView]:
        """Set credits, the cap on jobs at once, and the weight, at once and all or none.

        Raising a limit beyond the tenant's plan takes a second person: the answer is then 202 with the proposal.
        """
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.system() as session:
            tenant, quota = await limits.read(session, found)
        before = limits.of(tenant, quota)
        after = _wanted(before, data)
        if plans.above(tenant.plan, before=before, after=after):
            if quota.version != data.version:
                raise VersionConflict(version=quota.version)
            if data.reason is None:
                raise ValidationFailed(errors=[{"field": "reason", "message": "Say why: a second person decides."}])
            wish = {**after.facts(), "version": data.version}
            return await proposed(
                parts, operator, kind=tenant_acts.ABOVE_PLAN.kind, reason=data.reason, about=found, wish=wish
            )
        await line.change(parts.database, found, after, actor=operator.actor, version=data.version)
        return Response(await _detail(parts, found))

    @get(
        "/{tenant_id:str}/history",
        summary="Read how a quota was changed",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, *PAGED),
    )
    async def read_quota_history(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str], limit: Limit = 20, cursor: Cursor = None
    ) -> QuotaHistory:
        """Who changed what, and when, newest first."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.tenant(found) as session:
            await tenants.get_tenant(session, found)
            rows = await limits.history(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return QuotaHistory(data=[_history(row) for row in page], next_cursor=following)

    @post(
        "/{tenant_id:str}/preview",
        status_code=200,
        summary="See what a change of a quota would mean",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, MalformedRequest, NotFound, ValidationFailed),
    )
    async def preview_quota(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str], data: JSONBody[QuotaPreviewRequest]
    ) -> QuotaPreview:
        """The shares of the region's places before and after, what the plan says, and what follows. Changes nothing."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.system() as session:
            tenant, quota = await limits.read(session, found)
            before = limits.of(tenant, quota)
            after = _wanted(before, data)
            old = await shares.shares(session, tenant.region, weights={found: before.weight})
            new = await shares.shares(session, tenant.region, weights={found: after.weight})
            running = (await work.running_by_tenant(session)).get(found, 0)
        return QuotaPreview(
            before=_limits(before),
            after=_limits(after),
            above_plan=plans.above(tenant.plan, before=before, after=after),
            shares=_shares(old, new, found, after),
            notes=_notes(before, after, quota, running=running),
        )


def _shares(old: Sequence[shares.Share], new: Sequence[shares.Share], asked: UUID, after: Limits) -> list[ShareView]:
    was = {share.tenant_id: share for share in old}
    return [
        ShareView(
            tenant=public(Prefix.TENANT, share.tenant_id),
            name=share.name,
            busy=share.busy,
            before=was[share.tenant_id].of_all,
            after=share.of_all,
            before_of_busy=was[share.tenant_id].of_busy,
            after_of_busy=share.of_busy,
            concurrency=after.concurrency if share.tenant_id == asked else share.concurrency,
        )
        for share in new
    ]


def _notes(before: Limits, after: Limits, quota: Quota, *, running: int) -> list[str]:
    said = []
    if after.weight != before.weight:
        said.append("The weight counts for what is asked for from now on; jobs that wait keep their place.")
    if after.concurrency is not None and after.concurrency < running:
        said.append(f"{running} jobs are at work. None is stopped; the next begins once fewer than the cap are.")
    if before.concurrency is not None and (after.concurrency is None or after.concurrency > before.concurrency):
        said.append("A line that the cap held back begins anew now, behind nobody and before nobody.")
    if after.credits < quota.used + quota.reserved:
        said.append(f"{quota.used + quota.reserved} credits are spent or held: this would be refused.")
    return said
