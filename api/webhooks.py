"""Webhooks: where events go, and what became of each."""

from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paging
from api.auth import requires_active, requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import PLAIN_TEXT, Label
from core.bootstrap import Parts
from core.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    MalformedRequest,
    NotFound,
    StateConflict,
    Unacceptable,
    ValidationFailed,
    WebhookTargetRefused,
)
from core.ids import Prefix, parse, public
from core.tenants.service import Caller
from core.webhooks import service as webhooks
from core.webhooks.models import Event, WebhookDelivery, WebhookEndpoint

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern=r"^[\x21-\x7e]+$",
        description="https, to a host on the public internet.",
        examples=["https://hooks.sample.example/likeness"],
    ),
]
Events = Annotated[
    list[Annotated[str, Meta(max_length=64, examples=["headshot.completed"])]],
    Meta(
        max_length=32,
        description="Which events; none named means all but `headshot.progress`.",
        examples=[["headshot.completed", "asset.erased"]],
    ),
]


class NewEndpoint(Struct, kw_only=True, forbid_unknown_fields=True):
    """An endpoint to create."""

    url: Url
    events: Events = []
    description: Label | None = None


class EndpointChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change. A field that is left out stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Label | UnsetType | None = UNSET
    state: Literal["enabled", "disabled"] | UnsetType = UNSET


class EndpointView(Struct, frozen=True, kw_only=True):
    """Where events go."""

    id: Annotated[str, Meta(examples=["whe_0199b3c4d5e67f8090a1b2c3d4e5f60c"])]
    url: str
    description: str | None
    events: list[str]
    state: Annotated[str, Meta(examples=["enabled"])]
    disabled_reason: str | None
    failing_since: datetime | None
    previous_secret_until: Annotated[
        datetime | None, Meta(description="While a secret rotates: until when messages carry both signatures.")
    ]
    created_at: datetime


class EndpointWithSecret(EndpointView, frozen=True, kw_only=True):
    """An endpoint as it is made, or its secret rotated: the only answers with the secret."""

    secret: Annotated[
        str | None,
        Meta(description="Shown now and never again; null when the request is a repeat.", examples=["whsec_…"]),
    ]


class EndpointPage(Struct, frozen=True, kw_only=True):
    """Endpoints, newest first."""

    data: list[EndpointView]
    next_cursor: str | None


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    id: Annotated[str, Meta(examples=["whd_0199b3c4d5e67f8090a1b2c3d4e5f60d"])]
    endpoint_id: str
    event_id: Annotated[str, Meta(description="The `webhook-id` that the receiver sees.")]
    type: Annotated[str, Meta(examples=["headshot.completed"])]
    state: Annotated[str, Meta(description="`pending`, `delivered` or `failed`.", examples=["delivered"])]
    attempts: int
    next_at: Annotated[datetime | None, Meta(description="When it is tried next, while it is pending.")]
    last_status: Annotated[int | None, Meta(description="The receiver's last HTTP status.", examples=[204])]
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, newest first."""

    data: list[DeliveryView]
    next_cursor: str | None


def _fields(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": public(Prefix.ENDPOINT, endpoint.id),
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "state": endpoint.state,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": endpoint.failing_since,
        "previous_secret_until": endpoint.previous_until,
        "created_at": endpoint.created_at,
    }


def _shown_once(endpoint: WebhookEndpoint, secret: str | None) -> Response[EndpointWithSecret]:
    view = EndpointWithSecret(**_fields(endpoint), secret=secret)
    return Response(view, status_code=201, headers={"Location": f"/v1/webhook-endpoints/{view.id}"})


def _delivery(delivery: WebhookDelivery, event: Event) -> DeliveryView:
    return DeliveryView(
        id=public(Prefix.DELIVERY, delivery.id),
        endpoint_id=public(Prefix.ENDPOINT, delivery.endpoint_id),
        event_id=public(Prefix.EVENT, event.id),
        type=event.type,
        state=delivery.state,
        attempts=delivery.attempts,
        next_at=delivery.next_at if delivery.state == "pending" else None,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
    )


class WebhookEndpointController(Controller):
    """`/v1/webhook-endpoints`."""

    path = "/webhook-endpoints"
    tags = ("Webhooks",)

    @get(guards=[requires_scope("webhooks:read")], summary="List endpoints", responses=documented(*ALWAYS, *PAGED))
    async def list_endpoints(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> EndpointPage:
        """Where your events go, newest first."""
        async with seen_by(caller, parts) as session:
            rows = await webhooks.page_endpoints(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return EndpointPage(data=[EndpointView(**_fields(row)) for row in page], next_cursor=following)

    @post(
        guards=[requires_scope("webhooks:write"), requires_active],
        summary="Create an endpoint",
        responses=documented(*ALWAYS, *CREATING, Unacceptable, WebhookTargetRefused),
    )
    async def create_endpoint(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewEndpoint],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[EndpointWithSecret]:
        """Send events somewhere. The answer has the secret that signs them, this once."""
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                return _shown_once(await webhooks.get_endpoint(session, ticket.made), None)
            endpoint, secret = await webhooks.create_endpoint(
                session,
                parts.keyring,
                parts.settings.webhooks,
                tenant_id=caller.tenant_id,
                url=data.url,
                events=data.events,
                description=data.description,
                actor=caller.actor,
            )
            await ticket.note(session, endpoint.id)
            return _shown_once(endpoint, secret)

    @get(
        "/{endpoint_id:str}",
        guards=[requires_scope("webhooks:read")],
        summary="Read an endpoint",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_endpoint(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], endpoint_id: FromPath[str]
    ) -> EndpointView:
        """One endpoint."""
        async with seen_by(caller, parts) as session:
            return EndpointView(**_fields(await webhooks.get_endpoint(session, parse(Prefix.ENDPOINT, endpoint_id))))

    @patch(
        "/{endpoint_id:str}",
        guards=[requires_scope("webhooks:write")],
        summary="Change an endpoint",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, ValidationFailed, Unacceptable, WebhookTargetRefused),
    )
    async def update_endpoint(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        endpoint_id: FromPath[str],
        data: JSONBody[EndpointChanges],
    ) -> EndpointView:
        """Change address, events, description, or switch it off and on."""
        named = {"url": data.url, "events": data.events, "description": data.description, "state": data.state}
        changes = {name: value for name, value in named.items() if not isinstance(value, UnsetType)}
        async with seen_by(caller, parts) as session:
            endpoint = await webhooks.update_endpoint(
                session,
                parts.settings.webhooks,
                endpoint_id=parse(Prefix.ENDPOINT, endpoint_id),
                changes=changes,
                actor=caller.actor,
            )
            return EndpointView(**_fields(endpoint))

    @delete(
        "/{endpoint_id:str}",
        guards=[requires_scope("webhooks:write")],
        summary="Delete an endpoint",
        responses=documented(*ALWAYS, NotFound),
    )
    async def delete_endpoint(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], endpoint_id: FromPath[str]
    ) -> None:
        """Send nothing there any more, and forget its deliveries."""
        async with seen_by(caller, parts) as session:
            await webhooks.delete_endpoint(session, endpoint_id=parse(Prefix.ENDPOINT, endpoint_id), actor=caller.actor)

    @post(
        "/{endpoint_id:str}/rotate-secret",
        guards=[requires_scope("webhooks:write")],
        summary="Rotate an endpoint's secret",
        responses=documented(*ALWAYS, NotFound, IdempotencyInFlight, IdempotencyMismatch),
    )
    async def rotate_endpoint_secret(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        endpoint_id: FromPath[str],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[EndpointWithSecret]:
        """Give it a new secret. For 24 hours messages carry both signatures."""
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                return _shown_once(await webhooks.get_endpoint(session, ticket.made), None)
            endpoint, secret = await webhooks.rotate_secret(
                session, parts.keyring, endpoint_id=parse(Prefix.ENDPOINT, endpoint_id), actor=caller.actor
            )
            await ticket.note(session, endpoint.id)
            return _shown_once(endpoint, secret)

    @post(
        "/{endpoint_id:str}/test",
        status_code=202,
        guards=[requires_scope("webhooks:write"), requires_active],
        summary="Send a test event",
        responses=documented(*ALWAYS, NotFound, StateConflict),
    )
    async def test_endpoint(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], endpoint_id: FromPath[str]
    ) -> DeliveryView:
        """Send an `endpoint.test` event to this endpoint alone."""
        async with seen_by(caller, parts) as session:
            sent = await webhooks.send_test(session, endpoint_id=parse(Prefix.ENDPOINT, endpoint_id))
            return _delivery(*await webhooks.get_delivery(session, sent.id))


class WebhookDeliveryController(Controller):
    """`/v1/webhook-deliveries`."""

    path = "/webhook-deliveries"
    tags = ("Webhooks",)

    @get(
        guards=[requires_scope("webhooks:read")],
        summary="List deliveries",
        responses=documented(*ALWAYS, *PAGED, NotFound),
    )
    async def list_deliveries(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        endpoint_id: Annotated[
            str | None,
            QueryParameter(
                required=False, max_length=64, schema_extra=PLAIN_TEXT, description="Only those of this endpoint."
            ),
        ] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> DeliveryPage:
        """What was sent, and what became of it, newest first."""
        endpoint = None if endpoint_id is None else parse(Prefix.ENDPOINT, endpoint_id)
        async with seen_by(caller, parts) as session:
            rows = await webhooks.page_deliveries(
                session, endpoint_id=endpoint, before=paging.decode(cursor), limit=limit + 1
            )
        page, following = paging.cut([delivery for delivery, _ in rows], limit)
        data = [_delivery(delivery, event) for delivery, event in rows[: len(page)]]
        return DeliveryPage(data=data, next_cursor=following)

    @get(
        "/{delivery_id:str}",
        guards=[requires_scope("webhooks:read")],
        summary="Read a delivery",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_delivery(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], delivery_id: FromPath[str]
    ) -> DeliveryView:
        """One delivery."""
        async with seen_by(caller, parts) as session:
            return _delivery(*await webhooks.get_delivery(session, parse(Prefix.DELIVERY, delivery_id)))

    @post(
        "/{delivery_id:str}/redeliver",
        status_code=202,
        guards=[requires_scope("webhooks:write"), requires_active],
        summary="Deliver again",
        responses=documented(*ALWAYS, NotFound, StateConflict),
    )
    async def redeliver(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], delivery_id: FromPath[str]
    ) -> DeliveryView:
        """Send it again, under the same `webhook-id`."""
        async with seen_by(caller, parts) as session:
            again = await webhooks.redeliver(
                session, delivery_id=parse(Prefix.DELIVERY, delivery_id), actor=caller.actor
            )
            return _delivery(*await webhooks.get_delivery(session, again.id))
