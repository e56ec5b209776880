"""A platform with endpoints."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from sqlmodel import col, select

from core.bootstrap import Parts
from core.settings import WebhookSettings
from core.webhooks import service
from core.webhooks.deliver import deliver_due
from core.webhooks.models import WebhookDelivery, WebhookEndpoint
from tests import scenes

SETTINGS = WebhookSettings(allowed_hosts=frozenset({"127.0.0.1"}), timeout_seconds=0.5)
ACTOR = "api_key:test"


@dataclass(frozen=True)
class Desk:
    """What a tenant does with webhooks, each in a transaction of its own."""

    parts: Parts
    tenant_id: UUID

    async def endpoint(self, url: str, *events: str) -> tuple[UUID, str]:
        async with self.parts.database.tenant(self.tenant_id) as session:
            endpoint, secret = await service.create_endpoint(
                session,
                self.parts.keyring,
                SETTINGS,
                tenant_id=self.tenant_id,
                url=url,
                events=events,
                description=None,
                actor=ACTOR,
            )
            return endpoint.id, secret

    async def emit(self, event_type: str = "photo.refused", **data: object) -> UUID:
        async with self.parts.database.tenant(self.tenant_id) as session:
            event = await service.emit(
                session, tenant_id=self.tenant_id, type=event_type, resource_id=uuid4(), data=data
            )
            return event.id

    async def deliver(self) -> int:
        return await deliver_due(self.parts.database, self.parts.keyring, SETTINGS)

    async def deliveries(self) -> list[WebhookDelivery]:
        async with self.parts.database.tenant(self.tenant_id) as session:
            return list((await session.exec(select(WebhookDelivery).order_by(col(WebhookDelivery.id)))).all())

    async def states(self) -> Sequence[str]:
        return [delivery.state for delivery in await self.deliveries()]

    async def look(self, endpoint_id: UUID) -> WebhookEndpoint:
        async with self.parts.database.tenant(self.tenant_id) as session:
            return await service.get_endpoint(session, endpoint_id)

    async def redeliver(self, delivery_id: UUID) -> None:
        async with self.parts.database.tenant(self.tenant_id) as session:
            await service.redeliver(session, delivery_id=delivery_id, actor=ACTOR)

    async def change(self, endpoint_id: UUID, **changes: object) -> None:
        async with self.parts.database.tenant(self.tenant_id) as session:
            await service.update_endpoint(session, SETTINGS, endpoint_id=endpoint_id, changes=changes, actor=ACTOR)


@pytest.fixture
def open_desk(parts: Parts) -> Callable[[], Awaitable[Desk]]:
    """Makes a platform and its desk."""

    async def make() -> Desk:
        return Desk(parts, (await scenes.a_platform(parts)).tenant_id)

    return make


@pytest.fixture
async def desk(open_desk: Callable[[], Awaitable[Desk]]) -> Desk:
    """The desk of one platform."""
    return await open_desk()
