"""Endpoints, events and deliveries. An event is written in the transaction of what it tells: this is the outbox."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import NotFound, StateConflict, Unacceptable
from core.ids import Prefix, new_id, public
from core.keyring.service import Keyring
from core.queue import Task, wake_after_commit
from core.settings import WebhookSettings
from core.webhooks import signing
from core.webhooks.guard import parse_target
from core.webhooks.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint
from core.webhooks.send import Failure

PROGRESS = "headshot.progress"
EVENTS: tuple[str, ...] = (
    "consent.granted",
    "consent.withdrawn",
    "photo.refused",
    PROGRESS,
    "headshot.completed",
    "headshot.failed",
    "headshot.refused",
    "headshot.cancelled",
    "headshot.requeued",
    "asset.expiring",
    "asset.erased",
    "erasure.certified",
    "audit.checkpoint",
    "rights_request.received",
    "rights_request.due_soon",
    "rights_request.overdue",
    "rights_request.completed",
    "export.ready",
    "export.failed",
    "retention_policy.changed",
    "subprocessors.changed",
    "quota.threshold",
    "api_key.rotated",
    "tenant.suspended",
    "tenant.resumed",
    "operator.break_glass",
)
TEST_EVENT = "endpoint.test"  # sent on request to one endpoint; nobody subscribes to it
ENABLED, DISABLED = "enabled", "disabled"
OVERLAP = timedelta(hours=24)
MOST_ENDPOINTS = 50

# What ids, states, codes and times are made of. An address, a link or a picture does not fit.
_THIN = re.compile(r"[A-Za-z0-9 _.:+-]{0,100}", re.ASCII)


async def emit(session: AsyncSession, *, tenant_id: UUID, type: str, resource_id: UUID, data: dict[str, Any]) -> Event:  # noqa: A002 (the field's own name)
    """Write an event and one delivery for each enabled endpoint that subscribes to it; wake a courier after commit.

    data: ids, states, codes and times, in lists and objects as needed. Raises ValueError for an unknown type, and for
    text that could be anything else, so that nothing personal leaves by this way.
    """
    if type not in EVENTS:
        raise ValueError("no such event")
    _require_thin(data)
    event = Event(tenant_id=tenant_id, type=type, resource_id=resource_id, data=data)
    # The lock holds off only a deletion of the endpoint: a delivery to a row that is gone would undo the caller's work.
    found = await session.exec(
        select(WebhookEndpoint.id, WebhookEndpoint.events)
        .where(WebhookEndpoint.tenant_id == tenant_id, WebhookEndpoint.state == ENABLED)
        .with_for_update(read=True, key_share=True)
    )
    wanted = [endpoint_id for endpoint_id, events in found if (type in events if events else type != PROGRESS)]
    await _post(session, event, wanted)
    return event


async def create_endpoint(
    session: AsyncSession,
    keyring: Keyring,
    settings: WebhookSettings,
    *,
    tenant_id: UUID,
    url: str,
    events: Sequence[str],
    description: str | None,
    actor: str,
) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint. Returns its secret, `whsec_…`, which is shown this once.

    events: no entry means all but `headshot.progress`. Raises `WebhookTargetRefused` and `Unacceptable`.
    """
    _check(settings, url=url, events=events)
    # Two requests at once may pass the limit by one: it bounds the work of an event and is no entitlement.
    held = await session.exec(select(func.count()).select_from(WebhookEndpoint))
    if held.one() >= MOST_ENDPOINTS:
        raise Unacceptable(f"A tenant has at most {MOST_ENDPOINTS} endpoints.", maximum=MOST_ENDPOINTS)
    endpoint_id, secret = new_id(), signing.new_secret()
    endpoint = WebhookEndpoint(
        id=endpoint_id,
        tenant_id=tenant_id,
        url=url,
        description=description or None,
        events=sorted(set(events)),
        sealed_secret=await keyring.seal_secret(tenant_id, secret_name(endpoint_id), secret),
    )
    session.add(endpoint)
    await session.flush()
    await _record(session, endpoint, "webhook_endpoint.created", actor)
    return endpoint, signing.secret_text(secret)


async def get_endpoint(session: AsyncSession, endpoint_id: UUID) -> WebhookEndpoint:
    """An endpoint, or `NotFound`."""
    found = await session.get(WebhookEndpoint, endpoint_id)
    if found is None:
        raise NotFound
    return found


async def page_endpoints(session: AsyncSession, *, before: UUID | None, limit: int) -> list[WebhookEndpoint]:
    """Endpoints, newest first."""
    query = select(WebhookEndpoint).order_by(col(WebhookEndpoint.id).desc()).limit(limit)
    if before is not None:
        query = query.where(WebhookEndpoint.id < before)
    return list((await session.exec(query)).all())


async def update_endpoint(
    session: AsyncSession, settings: WebhookSettings, *, endpoint_id: UUID, changes: Mapping[str, Any], actor: str
) -> WebhookEndpoint:
    """Change `url`, `events`, `description` or `state` (`enabled`, `disabled`); what `changes` lacks stays.

    Disabling fails what still waits to be sent; each can be redelivered once the endpoint is enabled again.
    """
    endpoint = await _lock(session, endpoint_id)
    _check(settings, url=changes.get("url", endpoint.url), events=changes.get("events", endpoint.events))
    state = changes.get("state", endpoint.state)
    if state not in {ENABLED, DISABLED}:
        raise Unacceptable("The state is `enabled` or `disabled`.", allowed=[ENABLED, DISABLED])
    endpoint.url = changes.get("url", endpoint.url)
    endpoint.events = sorted(set(changes.get("events", endpoint.events)))
    endpoint.description = changes.get("description", endpoint.description) or None
    session.add(endpoint)
    if state == DISABLED and endpoint.state == ENABLED:
        await disable(session, endpoint, reason="disabled_by_request")
    elif state == ENABLED:
        endpoint.state, endpoint.disabled_reason, endpoint.failing_since = ENABLED, None, None
    await session.flush()
    await _record(session, endpoint, "webhook_endpoint.updated", actor)
    return endpoint


async def disable(session: AsyncSession, endpoint: WebhookEndpoint, *, reason: str) -> None:
    """Send no more to this endpoint, and fail what waits. What a courier holds at this moment, it finishes."""
    moment = now()
    endpoint.state, endpoint.disabled_reason = DISABLED, reason
    session.add(endpoint)
    await session.flush()
    lease = col(WebhookDelivery.lease_until)
    await session.exec(
        update(WebhookDelivery)
        .where(
            col(WebhookDelivery.endpoint_id) == endpoint.id,
            col(WebhookDelivery.state) == DeliveryState.PENDING,
            lease.is_(None) | (lease < moment),
        )
        .values(state=DeliveryState.FAILED, last_error=Failure.ENDPOINT_DISABLED)
    )


async def delete_endpoint(session: AsyncSession, *, endpoint_id: UUID, actor: str) -> None:
    """Remove an endpoint and its delivery log. The events stay."""
    endpoint = await _lock(session, endpoint_id)
    await session.exec(delete(WebhookDelivery).where(col(WebhookDelivery.endpoint_id) == endpoint_id))
    await session.delete(endpoint)
    await session.flush()
    await _record(session, endpoint, "webhook_endpoint.deleted", actor)


async def rotate_secret(
    session: AsyncSession, keyring: Keyring, *, endpoint_id: UUID, actor: str
) -> tuple[WebhookEndpoint, str]:
    """Give the endpoint a new secret. For 24 hours every message is signed with the old one too."""
    endpoint = await _lock(session, endpoint_id)
    secret = signing.new_secret()
    endpoint.sealed_previous_secret = endpoint.sealed_secret
    endpoint.previous_until = now() + OVERLAP
    endpoint.sealed_secret = await keyring.seal_secret(endpoint.tenant_id, secret_name(endpoint_id), secret)
    session.add(endpoint)
    await session.flush()
    await _record(session, endpoint, "webhook_endpoint.secret_rotated", actor)
    return endpoint, signing.secret_text(secret)


async def send_test(session: AsyncSession, *, endpoint_id: UUID) -> WebhookDelivery:
    """Send an `endpoint.test` event to this endpoint alone. Raises `StateConflict` if it is disabled."""
    endpoint = await _lock(session, endpoint_id)
    _require_enabled(endpoint)
    data = {"endpoint_id": public(Prefix.ENDPOINT, endpoint_id)}
    event = Event(tenant_id=endpoint.tenant_id, type=TEST_EVENT, resource_id=endpoint_id, data=data)
    (delivery,) = await _post(session, event, [endpoint_id])
    return delivery


async def get_delivery(session: AsyncSession, delivery_id: UUID) -> tuple[WebhookDelivery, Event]:
    """A delivery and its event, or `NotFound`."""
    query = (
        select(WebhookDelivery, Event)
        .join(Event, col(Event.id) == WebhookDelivery.event_id)
        .where(WebhookDelivery.id == delivery_id)
        .execution_options(populate_existing=True)
    )
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound
    return found[0], found[1]


async def page_deliveries(
    session: AsyncSession, *, endpoint_id: UUID | None, before: UUID | None, limit: int
) -> list[tuple[WebhookDelivery, Event]]:
    """Deliveries with their events, newest first; of one endpoint, or of all."""
    query = (
        select(WebhookDelivery, Event)
        .join(Event, col(Event.id) == WebhookDelivery.event_id)
        .order_by(col(WebhookDelivery.id).desc())
        .limit(limit)
    )
    if endpoint_id is not None:
        await get_endpoint(session, endpoint_id)
        query = query.where(WebhookDelivery.endpoint_id == endpoint_id)
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    return [(delivery, event) for delivery, event in await session.exec(query)]


async def redeliver(session: AsyncSession, *, delivery_id: UUID, actor: str) -> WebhookDelivery:
    """Send a delivery again, under the same webhook-id, with a full round of tries.

    Raises `NotFound`, and `StateConflict` while it is on its way or its endpoint is disabled.
    """
    found = await session.get(WebhookDelivery, delivery_id)
    if found is None:
        raise NotFound
    # Endpoint first, then delivery: everything that locks both takes them in this order.
    endpoint = await _lock(session, found.endpoint_id)
    _require_enabled(endpoint)
    await session.refresh(found, with_for_update=True)
    moment = now()
    if found.lease_until is not None and found.lease_until >= moment:
        raise StateConflict("This delivery is on its way.")
    found.state, found.attempts, found.next_at, found.lease_until = DeliveryState.PENDING, 0, moment, None
    found.delivered_at = None
    session.add(found)
    await session.flush()
    await audit.append(
        session,
        tenant_id=found.tenant_id,
        kind="webhook_delivery.redelivered",
        actor=actor,
        facts={"delivery": delivery_id.hex},
    )
    wake_after_commit(session, Task.DELIVER)
    return found


async def redeliver_failed(
    session: AsyncSession, *, endpoint_id: UUID, actor: str, limit: int = 1000
) -> tuple[int, int]:
    """Send again what was given up for an endpoint, oldest first: how many are on their way, and how many are left.

    Raises `NotFound`, and `StateConflict` while the endpoint is disabled.
    """
    endpoint = await _lock(session, endpoint_id)
    _require_enabled(endpoint)
    given_up = (col(WebhookDelivery.endpoint_id) == endpoint_id, col(WebhookDelivery.state) == DeliveryState.FAILED)
    oldest = select(WebhookDelivery.id).where(*given_up).order_by(col(WebhookDelivery.id)).limit(limit)
    again = await session.exec(
        update(WebhookDelivery)
        .where(col(WebhookDelivery.id).in_(oldest))
        .values(state=DeliveryState.PENDING, attempts=0, next_at=now(), lease_until=None, delivered_at=None)
        .execution_options(synchronize_session=False)
    )
    left = (await session.exec(select(func.count()).select_from(WebhookDelivery).where(*given_up))).one()
    if again.rowcount:
        await audit.append(
            session,
            tenant_id=endpoint.tenant_id,
            kind="webhook_endpoint.redelivered",
            actor=actor,
            facts={"endpoint": endpoint_id.hex, "count": again.rowcount},
        )
        wake_after_commit(session, Task.DELIVER)
    return again.rowcount, left


def secret_name(endpoint_id: UUID) -> str:
    """What an endpoint's secrets are sealed under, so that one endpoint's opens for no other."""
    return f"webhook_endpoint:{endpoint_id.hex}"


async def _post(session: AsyncSession, event: Event, endpoint_ids: Sequence[UUID]) -> list[WebhookDelivery]:
    session.add(event)
    await session.flush()
    deliveries = [
        WebhookDelivery(tenant_id=event.tenant_id, endpoint_id=endpoint_id, event_id=event.id)
        for endpoint_id in endpoint_ids
    ]
    if deliveries:
        session.add_all(deliveries)
        await session.flush()
        wake_after_commit(session, Task.DELIVER)
    return deliveries


async def _lock(session: AsyncSession, endpoint_id: UUID) -> WebhookEndpoint:
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound
    return found


async def _record(session: AsyncSession, endpoint: WebhookEndpoint, kind: str, actor: str) -> None:
    await audit.append(
        session, tenant_id=endpoint.tenant_id, kind=kind, actor=actor, facts={"endpoint": endpoint.id.hex}
    )


def _check(settings: WebhookSettings, *, url: str, events: Sequence[str]) -> None:
    parse_target(url, allowed_hosts=settings.allowed_hosts)
    if not set(events) <= set(EVENTS):
        raise Unacceptable("Unknown events. See `allowed`.", allowed=list(EVENTS))


def _require_enabled(endpoint: WebhookEndpoint) -> None:
    if endpoint.state != ENABLED:
        raise StateConflict("The endpoint is disabled; enable it first.")


def _require_thin(value: object) -> None:
    """Raise ValueError unless this is made of numbers, short plain texts, lists and objects alone."""
    match value:
        case None | bool() | int() | float():
            return
        case str() if _THIN.fullmatch(value):
            return
        case list() | tuple():
            for entry in value:
                _require_thin(entry)
        case dict():
            for name, entry in value.items():
                _require_thin(name)
                _require_thin(entry)
        case _:
            raise ValueError("an event carries ids, states, codes and times alone")
