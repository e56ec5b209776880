"""Endpoints and the outbox."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from sqlmodel import col, select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.errors import NotFound, StateConflict, Unacceptable, WebhookTargetRefused
from core.ids import Prefix, public
from core.keyring.sealing import SealBroken
from core.queue import Lane
from core.webhooks import service, signing
from core.webhooks.models import Event, WebhookDelivery, WebhookEndpoint
from tests.core.webhooks.conftest import ACTOR, Desk

URL = "https://hooks.example.com/likeness"


async def test_a_rollback_emits_nothing(desk: Desk) -> None:
    await desk.endpoint(URL)
    redis = desk.parts.queue.redis
    await redis.flushall()
    with pytest.raises(ZeroDivisionError):
        async with desk.parts.database.tenant(desk.tenant_id) as session:
            await service.emit(
                session, tenant_id=desk.tenant_id, type="photo.refused", resource_id=uuid4(), data={"a": 1}
            )
            raise ZeroDivisionError
    async with desk.parts.database.tenant(desk.tenant_id) as session:
        assert (await session.exec(select(Event))).all() == []
        assert (await session.exec(select(WebhookDelivery))).all() == []
    assert await redis.zcard(Lane.COURIER) == 0
    await desk.emit()
    assert await redis.zcard(Lane.COURIER) == 1


async def test_an_event_goes_to_those_who_want_it(desk: Desk) -> None:
    everything, _ = await desk.endpoint(URL)
    refusals, _ = await desk.endpoint(URL, "photo.refused")
    progress, _ = await desk.endpoint(URL, "headshot.progress")
    disabled, _ = await desk.endpoint(URL)
    await desk.change(disabled, state="disabled")
    wanted = {}
    for event_type in ("photo.refused", "headshot.progress", "consent.granted"):
        event_id = await desk.emit(event_type)
        found = {delivery.endpoint_id for delivery in await desk.deliveries() if delivery.event_id == event_id}
        wanted[event_type] = found
    assert wanted == {
        "photo.refused": {everything, refusals},
        "headshot.progress": {progress},
        "consent.granted": {everything},
    }


async def test_an_event_reaches_no_other_tenant(open_desk: Callable[[], Awaitable[Desk]]) -> None:
    ours, theirs = await open_desk(), await open_desk()
    await theirs.endpoint(URL)
    await ours.emit()
    assert await theirs.deliveries() == []
    endpoint_id, _ = await ours.endpoint(URL)
    with pytest.raises(NotFound):
        await theirs.look(endpoint_id)
    with pytest.raises(NotFound):
        await theirs.change(endpoint_id, description="mine now")


@pytest.mark.parametrize(
    "data",
    [
        {"email": "jane@example.com"},
        {"link": "https://example.com/photo"},
        {"picture": "data:image/jpeg;base64,/9j/4AAQSkZJRg=="},
        {"name": "Zoë"},
        {"text": "x" * 101},
        {"deep": [{"er": "a@b"}]},
        {"a@b": 1},
        {"bytes": b"x"},
    ],
)
async def test_an_event_carries_nothing_but_ids_states_codes_and_times(desk: Desk, data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ids, states"):
        await desk.emit("photo.refused", **data)


async def test_an_event_of_no_known_type_is_a_mistake(desk: Desk) -> None:
    with pytest.raises(ValueError, match="no such event"):
        await desk.emit("photo.admired")


async def test_the_secret_is_shown_once_and_stored_sealed_for_its_endpoint_alone(desk: Desk) -> None:
    endpoint_id, secret = await desk.endpoint(URL)
    other_id, _ = await desk.endpoint(URL)
    endpoint, keyring = await desk.look(endpoint_id), desk.parts.keyring
    opened = await keyring.open_secret(desk.tenant_id, service.secret_name(endpoint_id), endpoint.sealed_secret)
    assert signing.secret_text(opened) == secret
    assert opened not in endpoint.sealed_secret
    with pytest.raises(SealBroken):
        await keyring.open_secret(desk.tenant_id, service.secret_name(other_id), endpoint.sealed_secret)


async def test_an_endpoint_must_be_public_and_want_events_that_exist(desk: Desk) -> None:
    for url in ("http://example.com/", "https://10.0.0.1/", "https://user@example.com/"):
        with pytest.raises(WebhookTargetRefused):
            await desk.endpoint(url)
    with pytest.raises(Unacceptable):
        await desk.endpoint(URL, "everything")
    endpoint_id, _ = await desk.endpoint(URL)
    with pytest.raises(WebhookTargetRefused):
        await desk.change(endpoint_id, url="https://localhost/")
    with pytest.raises(Unacceptable):
        await desk.change(endpoint_id, state="sleeping")


async def test_an_endpoint_changes_only_in_what_is_named(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL, "photo.refused")
    await desk.change(endpoint_id, description="ours")
    await desk.change(endpoint_id, events=["asset.erased"])
    endpoint = await desk.look(endpoint_id)
    assert (endpoint.url, endpoint.events, endpoint.description) == (URL, ["asset.erased"], "ours")


async def test_a_tenant_has_a_bounded_number_of_endpoints(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_ENDPOINTS", 2)
    await desk.endpoint(URL)
    await desk.endpoint(URL)
    with pytest.raises(Unacceptable):
        await desk.endpoint(URL)


async def test_disabling_fails_what_waits_and_enabling_lets_it_be_redelivered(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL)
    await desk.emit()
    await desk.change(endpoint_id, state="disabled")
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.last_error) == ("failed", "endpoint_disabled")
    with pytest.raises(StateConflict):
        await desk.redeliver(delivery.id)
    await desk.change(endpoint_id, state="enabled")
    await desk.redeliver(delivery.id)
    assert await desk.states() == ["pending"]


async def test_a_deleted_endpoint_takes_its_log_along_and_leaves_the_events(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL)
    await desk.emit()
    async with desk.parts.database.tenant(desk.tenant_id) as session:
        await service.delete_endpoint(session, endpoint_id=endpoint_id, actor=ACTOR)
    assert await desk.deliveries() == []
    async with desk.parts.database.tenant(desk.tenant_id) as session:
        assert len((await session.exec(select(Event))).all()) == 1
    with pytest.raises(NotFound):
        await desk.look(endpoint_id)


async def test_deleting_an_endpoint_never_undoes_the_work_that_emits_to_it(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL)
    database = desk.parts.database

    async def remove() -> None:
        async with database.tenant(desk.tenant_id) as session:
            await service.delete_endpoint(session, endpoint_id=endpoint_id, actor=ACTOR)

    async with database.tenant(desk.tenant_id) as session:
        await service.emit(session, tenant_id=desk.tenant_id, type="photo.refused", resource_id=uuid4(), data={})
        removal = asyncio.create_task(remove())
        await asyncio.sleep(0.1)
        assert not removal.done(), "it waits for the work to commit"
    await removal
    assert await desk.deliveries() == []


async def test_pages_run_newest_first_and_can_be_continued(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL)
    other_id, _ = await desk.endpoint(URL, "photo.refused")
    for _ in range(3):
        await desk.emit("consent.granted")
    async with desk.parts.database.tenant(desk.tenant_id) as session:
        endpoints = await service.page_endpoints(session, before=None, limit=1)
        assert [endpoint.id for endpoint in endpoints] == [other_id]
        rest = await service.page_endpoints(session, before=other_id, limit=10)
        assert [endpoint.id for endpoint in rest] == [endpoint_id]
        first = await service.page_deliveries(session, endpoint_id=endpoint_id, before=None, limit=2)
        more = await service.page_deliveries(session, endpoint_id=endpoint_id, before=first[-1][0].id, limit=2)
        ids = [delivery.id for delivery, _ in first + more]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == 3
        assert all(delivery.event_id == event.id for delivery, event in first)
        assert await service.page_deliveries(session, endpoint_id=other_id, before=None, limit=2) == []
        with pytest.raises(NotFound):
            await service.page_deliveries(session, endpoint_id=uuid4(), before=None, limit=2)


async def test_a_test_event_goes_to_one_endpoint_whatever_it_wants(desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL, "asset.erased")
    await desk.endpoint(URL)
    async with desk.parts.database.tenant(desk.tenant_id) as session:
        sent = await service.send_test(session, endpoint_id=endpoint_id)
        delivery, event = await service.get_delivery(session, sent.id)
    assert delivery.endpoint_id == endpoint_id
    assert (event.type, event.data) == ("endpoint.test", {"endpoint_id": public(Prefix.ENDPOINT, endpoint_id)})
    assert len(await desk.deliveries()) == 1


async def test_what_is_done_to_endpoints_is_in_the_audit_log(parts: Parts, desk: Desk) -> None:
    endpoint_id, _ = await desk.endpoint(URL)
    await desk.change(endpoint_id, description="x")
    async with parts.database.tenant(desk.tenant_id) as session:
        await service.rotate_secret(session, parts.keyring, endpoint_id=endpoint_id, actor=ACTOR)
        await service.delete_endpoint(session, endpoint_id=endpoint_id, actor=ACTOR)
    async with parts.database.tenant(desk.tenant_id) as session:
        kinds = (await session.exec(select(AuditEntry.kind).order_by(col(AuditEntry.id)))).all()
        assert (await session.exec(select(WebhookEndpoint))).all() == []
    assert [kind for kind in kinds if kind.startswith("webhook")] == [
        "webhook_endpoint.created",
        "webhook_endpoint.updated",
        "webhook_endpoint.secret_rotated",
        "webhook_endpoint.deleted",
    ]
