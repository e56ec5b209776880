"""The tenant that the key belongs to, and its credits."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from api.auth import requires_scope, seen_by
from api.problems import ALWAYS, documented
from core.bootstrap import Parts
from core.ids import Prefix, public
from core.tenants import quota
from core.tenants import service as tenants
from core.tenants.models import Quota, Tenant
from core.tenants.service import Caller


class TenantView(Struct, frozen=True, kw_only=True):
    """A platform with its own keys and quota. How long it keeps what: GET /v1/retention-policies."""

    id: Annotated[str, Meta(examples=["ten_0199b3c4d5e67f8090a1b2c3d4e5f601"])]
    name: Annotated[str, Meta(examples=["Sample Recruiting"])]
    region: Annotated[str, Meta(description="Jobs never leave it.", examples=["local"])]
    state: Annotated[str, Meta(examples=["active"])]
    created_at: datetime


class OwnTenant(Struct, frozen=True, kw_only=True):
    """The tenant of this key, and what the key may do."""

    tenant: TenantView
    mode: Annotated[str, Meta(description="`live`, or `test` for the sandbox.", examples=["live"])]
    scopes: list[str]


class UsageView(Struct, frozen=True, kw_only=True):
    """Credits. `credits` = `used` + `reserved` + `available`."""

    credits: Annotated[int, Meta(examples=[1000])]
    used: Annotated[int, Meta(description="Spent on headshots that were delivered.", examples=[120])]
    reserved: Annotated[int, Meta(description="Held for jobs that are not finished.", examples=[6])]
    available: Annotated[int, Meta(examples=[874])]


def tenant_view(tenant: Tenant) -> TenantView:
    """What the outside sees of a tenant."""
    return TenantView(
        id=public(Prefix.TENANT, tenant.id),
        name=tenant.name,
        region=tenant.region,
        state=tenant.state,
        created_at=tenant.created_at,
    )


def usage_view(row: Quota) -> UsageView:
    """What the outside sees of a quota."""
    return UsageView(
        credits=row.credits, used=row.used, reserved=row.reserved, available=row.credits - row.used - row.reserved
    )


class TenantController(Controller):
    """`/v1/tenant`."""

    path = "/tenant"
    tags = ("Tenant",)

    @get(guards=[requires_scope("tenant:read")], summary="Read your tenant", responses=documented(*ALWAYS))
    async def get_tenant(self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> OwnTenant:
        """The tenant of this key, with the key's mode and scopes."""
        async with seen_by(caller, parts) as session:
            tenant = await tenants.get_tenant(session, caller.tenant_id)
        return OwnTenant(tenant=tenant_view(tenant), mode=caller.mode.value, scopes=sorted(caller.scopes))


class UsageController(Controller):
    """`/v1/usage`."""

    path = "/usage"
    tags = ("Tenant",)

    @get(guards=[requires_scope("usage:read")], summary="Read your credits", responses=documented(*ALWAYS))
    async def get_usage(self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> UsageView:
        """What you have, hold and have spent. The sandbox costs nothing and counts nothing."""
        async with seen_by(caller, parts) as session:
            return usage_view(await quota.usage(session, caller.tenant_id))
