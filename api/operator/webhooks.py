"""`/operator/v1/webhook-endpoints` and `/webhook-deliveries`: who hears, who does not, why, and sending again."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.operator.auth import requires_support, requires_viewer
from api.operator.jobs import OfTenant
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.wire import PLAIN_TEXT
from core.bootstrap import Parts
from core.errors import NotFound, RoleMissing, StateConflict, Unauthenticated
from core.ids import Prefix, parse, public
from core.operators.service import Operator
from core.webhooks import seen
from core.webhooks import service as webhooks
from core.webhooks.models import DeliveryState
from core.webhooks.seen import SeenDelivery

OfEndpoint = Annotated[
    str | None,
    QueryParameter(required=False, max_length=64, schema_extra=PLAIN_TEXT, description="Only those of this endpoint."),
]


class OperatorEndpointView(Struct, frozen=True, kw_only=True):
    """Where a tenant wants its events, by host: the rest of the address is the tenant's own."""

    id: Annotated[str, Meta(examples=["whe_0199b3c4d5e67f8090a1b2c3d4e5f60c"])]
    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    host: Annotated[str, Meta(examples=["hooks.sample.example"])]
    state: Annotated[str, Meta(description="`enabled` or `disabled`.")]
    disabled_reason: str | None
    failing_since: datetime | None
    waiting: Annotated[int, Meta(description="Deliveries on their way.")]
    failed: Annotated[int, Meta(description="Deliveries given up; they can be sent again.")]
    created_at: datetime


class OperatorEndpointPage(Struct, frozen=True, kw_only=True):
    """Endpoints, newest first."""

    data: list[OperatorEndpointView]
    next_cursor: str | None


class OperatorDeliveryView(Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    id: Annotated[str, Meta(examples=["whd_0199b3c4d5e67f8090a1b2c3d4e5f60d"])]
    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    endpoint: Annotated[str, Meta(description="Id of the endpoint.")]
    event: Annotated[str, Meta(description="Id of the event, which the receiver sees as `webhook-id`.")]
    type: Annotated[str, Meta(examples=["headshot.completed"])]
    state: str
    attempts: int
    next_at: Annotated[datetime | None, Meta(description="When it is tried next, while it waits.")]
    cause: Annotated[str | None, Meta(description="What stopped the last try.", examples=["timeout"])]
    last_status: int | None
    created_at: datetime
    delivered_at: datetime | None


class OperatorDeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, newest first."""

    data: list[OperatorDeliveryView]
    next_cursor: str | None


class Redelivered(Struct, frozen=True, kw_only=True):
    """What is sent again."""

    again: Annotated[int, Meta(description="Deliveries that are on their way now.")]
    left: Annotated[int, Meta(description="Given up and not sent again yet: ask once more.")]


def _delivery(row: SeenDelivery) -> OperatorDeliveryView:
    return OperatorDeliveryView(
        id=public(Prefix.DELIVERY, row.id),
        tenant=public(Prefix.TENANT, row.tenant_id),
        endpoint=public(Prefix.ENDPOINT, row.endpoint_id),
        event=public(Prefix.EVENT, row.event_id),
        type=row.type,
        state=row.state,
        attempts=row.attempts,
        next_at=row.next_at if row.state == DeliveryState.PENDING else None,
        cause=row.last_error,
        last_status=row.last_status,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
    )


class OperatorEndpointController(Controller):
    """`/operator/v1/webhook-endpoints`."""

    path = "/webhook-endpoints"
    tags = ("Operators",)

    @get(
        summary="List endpoints of all tenants",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, *PAGED),
    )
    async def list_all_endpoints(
        self,
        parts: NamedDependency[Parts],
        in_state: Annotated[
            Literal["enabled", "disabled"] | None,
            QueryParameter(name="state", required=False, description="Only those in this state."),
        ] = None,
        tenant_id: OfTenant = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> OperatorEndpointPage:
        """Who hears of events, and how well it goes, newest first."""
        async with parts.database.system() as session:
            rows = await seen.endpoints(
                session,
                state=in_state,
                tenant_id=None if tenant_id is None else parse(Prefix.TENANT, tenant_id),
                before=paging.decode(cursor),
                limit=limit + 1,
            )
            counts = await seen.counts(session, [row.id for row in rows])
        page, following = paging.cut(rows, limit)
        data = [
            OperatorEndpointView(
                id=public(Prefix.ENDPOINT, row.id),
                tenant=public(Prefix.TENANT, row.tenant_id),
                host=row.host or "",
                state=row.state,
                disabled_reason=row.disabled_reason,
                failing_since=row.failing_since,
                waiting=counts.get((row.id, DeliveryState.PENDING), 0),
                failed=counts.get((row.id, DeliveryState.FAILED), 0),
                created_at=row.created_at,
            )
            for row in page
        ]
        return OperatorEndpointPage(data=data, next_cursor=following)

    @post(
        "/{endpoint_id:str}/redeliver-failed",
        status_code=202,
        summary="Send again what was given up for an endpoint",
        guards=(requires_support,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict),
    )
    async def redeliver_failed(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], endpoint_id: FromPath[str]
    ) -> Redelivered:
        """Send again up to 1,000 of its failed deliveries, the oldest first, each under its own `webhook-id`."""
        found = parse(Prefix.ENDPOINT, endpoint_id)
        async with parts.database.system() as session:
            tenant_id = await seen.tenant_of_endpoint(session, found)
        async with parts.database.tenant(tenant_id) as session:
            again, left = await webhooks.redeliver_failed(session, endpoint_id=found, actor=operator.actor)
        return Redelivered(again=again, left=left)


class OperatorDeliveryController(Controller):
    """`/operator/v1/webhook-deliveries`."""

    path = "/webhook-deliveries"
    tags = ("Operators",)

    @get(
        summary="List deliveries of all tenants",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, *PAGED),
    )
    async def list_all_deliveries(
        self,
        parts: NamedDependency[Parts],
        in_state: Annotated[
            DeliveryState | None, QueryParameter(name="state", required=False, description="Only those in this state.")
        ] = None,
        tenant_id: OfTenant = None,
        endpoint_id: OfEndpoint = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> OperatorDeliveryPage:
        """What was sent, what became of it and why not, newest first."""
        async with parts.database.system() as session:
            rows = await seen.deliveries(
                session,
                state=in_state,
                tenant_id=None if tenant_id is None else parse(Prefix.TENANT, tenant_id),
                endpoint_id=None if endpoint_id is None else parse(Prefix.ENDPOINT, endpoint_id),
                before=paging.decode(cursor),
                limit=limit + 1,
            )
        page, following = paging.cut(rows, limit)
        return OperatorDeliveryPage(data=[_delivery(row) for row in page], next_cursor=following)

    @post(
        "/{delivery_id:str}/redeliver",
        status_code=202,
        summary="Send a delivery of any tenant again",
        guards=(requires_support,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict),
    )
    async def redeliver_any(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], delivery_id: FromPath[str]
    ) -> Redelivered:
        """Send it again, under the same `webhook-id`, with a full round of tries."""
        found = parse(Prefix.DELIVERY, delivery_id)
        async with parts.database.system() as session:
            tenant_id = await seen.tenant_of_delivery(session, found)
        async with parts.database.tenant(tenant_id) as session:
            await webhooks.redeliver(session, delivery_id=found, actor=operator.actor)
        return Redelivered(again=1, left=0)
