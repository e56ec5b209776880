"""`/operator/v1/tenants`: the platforms that the service serves."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlmodel.ext.asyncio.session import AsyncSession

from api import paging
from api.api_keys import CreatedApiKey, created_view
from api.operator.approvals import ApprovalView, Reason, ReasonGiven, proposed
from api.operator.auth import requires_admin, requires_viewer
from api.operator.operators import Version
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.tenant import TenantView, UsageView, tenant_view, usage_view
from api.wire import Label
from core.audit import service as audit
from core.bootstrap import Parts
from core.errors import (
    MalformedRequest,
    NotFound,
    RoleMissing,
    StateConflict,
    Unacceptable,
    Unauthenticated,
    ValidationFailed,
    VersionConflict,
)
from core.ids import Prefix, parse, public
from core.operators import record, tenant_acts
from core.operators.errors import SecondPersonNeeded
from core.operators.service import Operator
from core.queue import Task, wake_after_commit
from core.tenants import limits, plans, quota
from core.tenants import service as tenants
from core.tenants.models import Mode, Quota, Tenant, TenantState
from core.tenants.plans import PLANS

_MOST_CREDITS = 2**31 - 1

Region = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", examples=["local"])]
PlanName = Literal["trial", "standard", "enterprise"]
Credits = Annotated[int, Meta(ge=0, le=_MOST_CREDITS, examples=[1000])]


class NewTenant(Struct, kw_only=True, forbid_unknown_fields=True):
    """A tenant to create."""

    name: Annotated[Label, Meta(examples=["Sample Recruiting"])]
    region: Region = "local"
    plan: Literal["trial", "standard"] = "standard"
    credits: Credits = 0
    weight: Annotated[float, Meta(gt=0, le=1000, description="Its share of a busy queue, against others.")] = 1.0
    mode: Annotated[Mode, Meta(description="Of the first API key.")] = Mode.LIVE


class TenantChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change. A field that is left out stays."""

    name: Label | UnsetType = UNSET
    region: Region | UnsetType = UNSET
    plan: Annotated[PlanName, Meta(description="A greater one takes a second person.")] | UnsetType = UNSET
    credits: Annotated[Credits, Meta(description="More than the plan has takes a second person.")] | UnsetType = UNSET
    state: (
        Annotated[Literal["active", "suspended"], Meta(description="Suspending takes a second person.")] | UnsetType
    ) = UNSET
    reason: Annotated[Reason | None, Meta(description="Needed where a second person is.")] = None
    version: Version = None


class Departure(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a tenant is deleted."""

    reason: Reason
    without_archive: Annotated[bool, Meta(description="The platform takes none of its own records along.")] = False


class ManagedTenant(Struct, frozen=True, kw_only=True):
    """A tenant and its credits."""

    tenant: TenantView
    usage: UsageView
    plan: str
    version: Annotated[int, Meta(description="A change may name it: 409 if somebody has changed the tenant since.")]
    changed_by: str
    changed_at: datetime


class RotationView(Struct, frozen=True, kw_only=True):
    """A rotation that begins. from_version: of the key that it replaces."""

    tenant: str
    from_version: int


class CreatedTenant(ManagedTenant, frozen=True, kw_only=True):
    """A tenant as it is made, with its first API key, shown this once."""

    api_key: CreatedApiKey


class TenantPage(Struct, frozen=True, kw_only=True):
    """Tenants, newest first."""

    data: list[ManagedTenant]
    next_cursor: str | None


class OperatorTenantController(Controller):
    """`/operator/v1/tenants`."""

    path = "/tenants"
    tags = ("Operators",)

    @get(summary="List tenants", guards=(requires_viewer,), responses=documented(Unauthenticated, RoleMissing, *PAGED))
    async def list_tenants(self, parts: NamedDependency[Parts], limit: Limit = 20, cursor: Cursor = None) -> TenantPage:
        """All tenants with their credits, newest first."""
        async with parts.database.system() as session:
            rows = await tenants.page_tenants(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut([tenant for tenant, _ in rows], limit)
        data = [_view(tenant, row) for tenant, row in rows[: len(page)]]
        return TenantPage(data=data, next_cursor=following)

    @post(
        summary="Create a tenant",
        guards=(requires_admin,),
        responses=documented(Unauthenticated, RoleMissing, MalformedRequest, ValidationFailed),
    )
    async def create_tenant(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], data: JSONBody[NewTenant]
    ) -> Response[CreatedTenant]:
        """Create a tenant with its own keys to seal with, its credits, and its first API key, which has every scope."""
        most = PLANS[data.plan]
        if data.credits > most.credits or data.weight > most.weight:
            raise Unacceptable(
                "This is more than the plan has. Create it with less, then ask a second person for more."
            )
        tenant = await tenants.create_tenant(
            parts.database,
            parts.keyring,
            name=data.name,
            region=data.region,
            credits=data.credits,
            weight=data.weight,
            plan=data.plan,
        )
        async with parts.database.tenant(tenant.id) as session:
            key, text = await tenants.create_api_key(
                session, tenant_id=tenant.id, name="first key", mode=data.mode, actor=operator.actor
            )
            row = await quota.usage(session, tenant.id)
        shown = _view(tenant, row)
        made = CreatedTenant(
            tenant=shown.tenant,
            usage=shown.usage,
            plan=shown.plan,
            version=shown.version,
            changed_by=shown.changed_by,
            changed_at=shown.changed_at,
            api_key=created_view(key, text),
        )
        return Response(made, status_code=201, headers={"Location": f"/operator/v1/tenants/{made.tenant.id}"})

    @get(
        "/{tenant_id:str}",
        summary="Read a tenant",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def read_tenant(self, parts: NamedDependency[Parts], tenant_id: FromPath[str]) -> ManagedTenant:
        """A tenant and its credits."""
        return await _managed(parts, parse(Prefix.TENANT, tenant_id))

    @patch(
        "/{tenant_id:str}",
        summary="Change a tenant",
        guards=(requires_admin,),
        responses={
            202: ResponseSpec(data_container=ApprovalView, description="A second person has to agree."),
            **documented(
                *(Unauthenticated, RoleMissing, MalformedRequest, NotFound, StateConflict, VersionConflict),
                *(Unacceptable, ValidationFailed),
            ),
        },
    )
    async def update_tenant(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data: JSONBody[TenantChanges],
    ) -> Response[ManagedTenant] | Response[ApprovalView]:
        """Change its name, region, plan or credits, suspend it or let it go on.

        Suspending, a greater plan and more credits than the plan has take a second person: the answer is then 202 with
        the proposal, and such a change is asked for by itself. Credits never fall below what is spent and held.
        """
        found = parse(Prefix.TENANT, tenant_id)
        if (needed := await _second_person(parts, found, data)) is not None:
            if data.reason is None:
                raise ValidationFailed(errors=[{"field": "reason", "message": "Say why: a second person decides."}])
            kind, wish = needed
            return await proposed(parts, operator, kind=kind, reason=data.reason, about=found, wish=wish)
        async with parts.database.operator(found) as session:
            await _apply(session, found, data, actor=operator.actor)
        return Response(await _managed(parts, found))

    @post(
        "/{tenant_id:str}/delete",
        summary="Delete a tenant",
        status_code=202,
        guards=(requires_admin,),
        responses=documented(
            *(
                Unauthenticated,
                RoleMissing,
                SecondPersonNeeded,
                MalformedRequest,
                NotFound,
                StateConflict,
                ValidationFailed,
            )
        ),
    )
    async def delete_tenant(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data: JSONBody[Departure],
    ) -> Response[ApprovalView]:
        """Ask for everything of a tenant to be deleted: its keys at once, the rest after them, with a certificate."""
        about, wish = parse(Prefix.TENANT, tenant_id), {"without_archive": data.without_archive}
        return await proposed(parts, operator, kind="tenant.delete", reason=data.reason, about=about, wish=wish)

    @post(
        "/{tenant_id:str}/keys/destroy",
        summary="Destroy a tenant's keys",
        status_code=202,
        guards=(requires_admin,),
        responses=documented(
            *(
                Unauthenticated,
                RoleMissing,
                SecondPersonNeeded,
                MalformedRequest,
                NotFound,
                StateConflict,
                ValidationFailed,
            )
        ),
    )
    async def destroy_tenant_keys(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data: JSONBody[ReasonGiven],
    ) -> Response[ApprovalView]:
        """Ask for every key of a tenant to be destroyed now, archive or none. Nothing sealed for it opens again."""
        about = parse(Prefix.TENANT, tenant_id)
        return await proposed(parts, operator, kind="keys.destroy", reason=data.reason, about=about)

    @post(
        "/{tenant_id:str}/keys/rotate",
        summary="Rotate a tenant's key",
        status_code=202,
        guards=(requires_admin,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def rotate_tenant_keys(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], tenant_id: FromPath[str]
    ) -> RotationView:
        """Move a tenant to a new key in the background; the older ones are destroyed. Reading and sealing go on."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.operator(found) as session:
            await tenants.get_tenant(session, found)
            version = await parts.keyring.key_version(found)
            facts = {"from_version": version}
            await audit.append(session, tenant_id=found, kind="keys.rotation_asked", actor=operator.actor, facts=facts)
            await record.append(session, kind="keys.rotate", actor=operator.actor, facts=facts, about=found)
            record.sign_after_commit(session, parts.database, parts.keyring)
            wake_after_commit(session, Task.ROTATE_KEYS, found)
        return RotationView(tenant=public(Prefix.TENANT, found), from_version=version)


async def _second_person(parts: Parts, tenant_id: UUID, data: TenantChanges) -> tuple[str, dict[str, Any]] | None:
    """The act for which somebody else has to agree, if there is one among the changes."""
    async with parts.database.tenant(tenant_id) as session:
        tenant, row = await limits.read(session, tenant_id)
    before = limits.of(tenant, row)
    needed: list[tuple[str, dict[str, Any]]] = []
    if data.state == "suspended" and tenant.state != TenantState.SUSPENDED:
        needed.append(("tenant.suspend", {}))
    if not isinstance(data.plan, UnsetType) and PLANS[data.plan].credits > PLANS[tenant.plan].credits:
        needed.append(("tenant.plan", {"plan": data.plan}))
    if not isinstance(data.credits, UnsetType):
        after = replace(before, credits=max(data.credits, row.used + row.reserved))
        if plans.above(tenant.plan, before=before, after=after):
            needed.append(("quota.above_plan", {**after.facts(), "version": row.version}))
    given = [one for one in (data.name, data.region, data.plan, data.credits, data.state) if one is not UNSET]
    if not needed:
        return None
    if len(given) > 1:
        raise Unacceptable("What takes a second person is asked for by itself.")
    return needed[0]


async def _apply(session: AsyncSession, tenant_id: UUID, data: TenantChanges, *, actor: str) -> None:
    """What one person may do, in one transaction."""
    tenant = await tenants.edit(
        session,
        tenant_id,
        name=None if isinstance(data.name, UnsetType) else data.name,
        region=None if isinstance(data.region, UnsetType) else data.region,
        version=data.version,
        actor=actor,
    )
    if not isinstance(data.plan, UnsetType) and data.plan != tenant.plan:
        await tenant_acts.change_plan(session, tenant_id, data.plan, actor=actor)
    if not isinstance(data.credits, UnsetType):
        await quota.set_credits(session, tenant_id, data.credits, actor=actor)
    if not isinstance(data.state, UnsetType):
        await tenant_acts.change_state(session, tenant_id, TenantState(data.state), actor=actor)
    await record.append(session, kind="tenant.changed", actor=actor, about=tenant_id)


def _view(tenant: Tenant, row: Quota) -> ManagedTenant:
    return ManagedTenant(
        tenant=tenant_view(tenant),
        usage=usage_view(row),
        plan=tenant.plan,
        version=tenant.version,
        changed_by=tenant.changed_by,
        changed_at=tenant.changed_at.astimezone(UTC),
    )


async def _managed(parts: Parts, tenant_id: UUID) -> ManagedTenant:
    async with parts.database.tenant(tenant_id) as session:
        return _view(*await limits.read(session, tenant_id))
