"""`/operator/v1/tenants`: the platforms that the service serves."""

from typing import Annotated, Literal
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paging
from api.api_keys import CreatedApiKey, created_view
from api.operator.auth import requires_admin, requires_viewer
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.tenant import TenantView, UsageView, tenant_view, usage_view
from api.wire import Label
from core.bootstrap import Parts
from core.errors import MalformedRequest, NotFound, RoleMissing, Unauthenticated, ValidationFailed
from core.ids import Prefix, parse
from core.operators.service import Operator
from core.tenants import quota
from core.tenants import service as tenants
from core.tenants.models import Mode, TenantState

_MOST_CREDITS = 2**31 - 1

Credits = Annotated[int, Meta(ge=0, le=_MOST_CREDITS, examples=[1000])]


class NewTenant(Struct, kw_only=True, forbid_unknown_fields=True):
    """A tenant to create."""

    name: Annotated[Label, Meta(examples=["Sample Recruiting"])]
    region: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", examples=["local"])] = "local"
    credits: Credits = 0
    weight: Annotated[float, Meta(gt=0, le=1000, description="Its share of a busy queue, against others.")] = 1.0
    mode: Annotated[Mode, Meta(description="Of the first API key.")] = Mode.LIVE


class TenantChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change. A field that is left out stays."""

    credits: Credits | UnsetType = UNSET
    state: Literal["active", "suspended"] | UnsetType = UNSET


class ManagedTenant(Struct, frozen=True, kw_only=True):
    """A tenant and its credits."""

    tenant: TenantView
    usage: UsageView


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
        data = [ManagedTenant(tenant=tenant_view(tenant), usage=usage_view(row)) for tenant, row in rows[: len(page)]]
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
        tenant = await tenants.create_tenant(
            parts.database,
            parts.keyring,
            name=data.name,
            region=data.region,
            credits=data.credits,
            weight=data.weight,
        )
        async with parts.database.tenant(tenant.id) as session:
            key, text = await tenants.create_api_key(
                session, tenant_id=tenant.id, name="first key", mode=data.mode, actor=operator.actor
            )
            row = await quota.usage(session, tenant.id)
        made = CreatedTenant(tenant=tenant_view(tenant), usage=usage_view(row), api_key=created_view(key, text))
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
        responses=documented(Unauthenticated, RoleMissing, MalformedRequest, NotFound, ValidationFailed),
    )
    async def update_tenant(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data: JSONBody[TenantChanges],
    ) -> ManagedTenant:
        """Set its credits, suspend it or let it go on. Credits never fall below what is spent and held."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.tenant(found) as session:
            await tenants.get_tenant(session, found)
            if not isinstance(data.credits, UnsetType):
                await quota.set_credits(session, found, data.credits)
        if not isinstance(data.state, UnsetType):
            await tenants.set_state(
                parts.database, tenant_id=found, state=TenantState(data.state), actor=operator.actor
            )
        return await _managed(parts, found)


async def _managed(parts: Parts, tenant_id: UUID) -> ManagedTenant:
    async with parts.database.tenant(tenant_id) as session:
        tenant = await tenants.get_tenant(session, tenant_id)
        return ManagedTenant(tenant=tenant_view(tenant), usage=usage_view(await quota.usage(session, tenant_id)))
