"""Delivery, by real couriers over real sockets from a real outbox."""

import asyncio
import base64
import itertools
import json
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import update

from core.clock import frozen_at, now
from core.errors import KeyProviderUnavailable, StateConflict
from core.ids import Prefix, public
from core.settings import WebhookSettings
from core.webhooks import deliver, service
from core.webhooks.deliver import JITTER, TRIES, Courier, next_try
from core.webhooks.models import WebhookDelivery, WebhookEndpoint
from tests import scenes
from tests.core.webhooks.conftest import ACTOR, SETTINGS, Desk
from tests.core.webhooks.receivers import a_receiver, answers, hangs

START = datetime(2026, 11, 23, tzinfo=UTC)
LEASE = timedelta(seconds=31)  # the time-out of these tests and the margin, and a little


def _schedule(spread: float) -> list[timedelta]:
    moment, moments = START, [START]
    for attempts in range(1, 20):
        following = next_try(attempts, after=moment, spread=spread)
        if following is None:
            break
        moment = following
        moments.append(moment)
    return [moment - START for moment in moments]


def test_ten_tries_take_about_75_hours_and_chance_spreads_them() -> None:
    plain, early, late = _schedule(0), _schedule(-1), _schedule(1)
    assert len(plain) == len(early) == len(late) == TRIES == 10
    assert plain[-1] == timedelta(hours=75, minutes=35, seconds=5)
    assert early[-1] == plain[-1] * (1 - JITTER)
    assert late[-1] == plain[-1] * (1 + JITTER)
    waits = [after - before for before, after in itertools.pairwise(plain)]
    assert waits == sorted(waits)


async def test_an_event_arrives_signed_and_the_public_library_verifies_it(desk: Desk) -> None:
    async with a_receiver(answers(204)) as receiver:
        _, secret = await desk.endpoint(receiver.url)
        event_id = await desk.emit("photo.refused", photo_id="pho_1", state="refused")
        assert await desk.deliver() == 1
    (request,) = receiver.requests
    body = request.verify(secret)
    assert isinstance(body, dict)
    assert (body["type"], body["data"]) == ("photo.refused", {"photo_id": "pho_1", "state": "refused"})
    assert datetime.fromisoformat(body["timestamp"]) <= now()
    assert request.headers["webhook-id"] == public(Prefix.EVENT, event_id)
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.last_status, delivery.last_error, delivery.attempts) == ("delivered", 204, None, 1)
    assert delivery.delivered_at is not None
    assert await desk.deliver() == 0, "nothing is carried twice"


async def test_a_receiver_that_fails_once_gets_the_same_message_again(desk: Desk) -> None:
    async with a_receiver(answers(500, 200)) as receiver:
        endpoint_id, _ = await desk.endpoint(receiver.url)
        await desk.emit()
        await desk.deliver()
        (delivery,) = await desk.deliveries()
        assert (delivery.state, delivery.last_status, delivery.last_error) == ("pending", 500, "bad_status")
        assert (await desk.look(endpoint_id)).failing_since is not None
        assert await desk.deliver() == 0, "it is not due yet"
        with frozen_at(now() + timedelta(seconds=6)):
            assert await desk.deliver() == 1
    first, second = receiver.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert await desk.states() == ["delivered"]
    assert (await desk.look(endpoint_id)).failing_since is None


async def test_a_dead_receiver_is_tried_ten_times_and_loses_no_message_of_others(desk: Desk) -> None:
    async with a_receiver(answers(200)) as dead:
        await desk.endpoint(dead.url)
    async with a_receiver(answers(200)) as alive:
        await desk.endpoint(alive.url)
        await desk.emit()
        begin, tries = now(), await desk.deliver()
        while waiting := [delivery for delivery in await desk.deliveries() if delivery.state == "pending"]:
            with frozen_at(waiting[0].next_at):
                tries += await desk.deliver()
    states = {delivery.state: delivery for delivery in await desk.deliveries()}
    assert states["delivered"].attempts == 1
    assert (states["failed"].attempts, states["failed"].last_error) == (10, "connection_failed")
    assert tries == 11
    assert timedelta(hours=65) < states["failed"].next_at - begin < timedelta(hours=85)
    assert len(alive.requests) == 1


async def test_a_hanging_receiver_delays_no_other(desk: Desk) -> None:
    async with a_receiver(hangs) as hanging, a_receiver(answers(200)) as healthy:
        for _ in range(3):
            await desk.endpoint(hanging.url)
        await desk.endpoint(healthy.url)
        for _ in range(10):
            await desk.emit()
        settings = WebhookSettings(allowed_hosts=frozenset({"127.0.0.1"}), timeout_seconds=2.5)
        async with Courier(desk.parts.database, desk.parts.keyring, settings):
            began = time.monotonic()

            async def healthy_is_done() -> bool:
                return len(healthy.requests) == 10

            await scenes.eventually(healthy_is_done, seconds=2.4)
            took = time.monotonic() - began
            assert len(hanging.requests) == 3, "one message of each hangs; the others wait their turn"
    assert took < 2


async def test_410_disables_the_endpoint_at_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async with a_receiver(answers(410)) as receiver:
        endpoint_id, _ = await desk.endpoint(receiver.url)
        await desk.emit()
        await desk.emit()
        with caplog.at_level(logging.ERROR, "likeness.webhooks"):
            await desk.deliver()
        await desk.emit()
        await desk.deliver()
    assert len(receiver.requests) == 1
    endpoint = await desk.look(endpoint_id)
    assert (endpoint.state, endpoint.disabled_reason) == ("disabled", "gone")
    assert sorted(delivery.last_error or "" for delivery in await desk.deliveries()) == ["endpoint_disabled", "gone"]
    assert set(await desk.states()) == {"failed"}
    assert "a webhook endpoint was disabled" in caplog.text


async def test_an_endpoint_that_fails_for_five_days_is_disabled(desk: Desk) -> None:
    begin = now()
    async with a_receiver(answers(503)) as receiver:
        endpoint_id, _ = await desk.endpoint(receiver.url)
        for day in (0, 4):
            with frozen_at(begin + timedelta(days=day)):
                await desk.emit()
                await desk.deliver()
            assert (await desk.look(endpoint_id)).state == "enabled"
        with frozen_at(begin + timedelta(days=5)):
            await desk.deliver()
    endpoint = await desk.look(endpoint_id)
    assert (endpoint.state, endpoint.disabled_reason) == ("disabled", "failing_for_5_days")
    assert "pending" not in await desk.states()


async def test_five_days_count_from_the_last_success(desk: Desk) -> None:
    begin = now()
    async with a_receiver(answers(500, 200, 500)) as receiver:
        endpoint_id, _ = await desk.endpoint(receiver.url)
        await desk.emit()
        for days in (0, 4, 6):
            with frozen_at(begin + timedelta(days=days)):
                if days == 6:
                    await desk.emit()
                await desk.deliver()
    endpoint = await desk.look(endpoint_id)
    assert (endpoint.state, endpoint.failing_since) == ("enabled", begin + timedelta(days=6))


async def test_a_redirect_counts_as_a_failure_and_is_not_followed(desk: Desk) -> None:
    async with a_receiver(answers(200)) as inner, a_receiver(answers(302, location=inner.url)) as receiver:
        await desk.endpoint(receiver.url)
        await desk.emit()
        await desk.deliver()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.last_status, delivery.last_error) == ("pending", 302, "redirect_refused")
    assert inner.requests == []


async def test_an_address_that_is_allowed_no_more_is_refused_when_delivering(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        await desk.endpoint(receiver.url)
        await desk.emit()
        await deliver.deliver_due(desk.parts.database, desk.parts.keyring, WebhookSettings())
    assert receiver.requests == []
    assert [delivery.last_error for delivery in await desk.deliveries()] == ["target_refused"]


async def test_a_message_is_signed_with_the_published_key_too_and_opens_it_once_for_many(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        await desk.endpoint(receiver.url)
        await desk.emit()
        await desk.deliver()
        (request,) = receiver.requests
    (published,) = await desk.parts.keyring.signing.published()
    signature = base64.b64decode(request.headers["webhook-signature"].rpartition(" v1a,")[2])
    said = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    Ed25519PublicKey.from_public_bytes(published.public_key).verify(signature, said)
    assert await desk.parts.keyring.signing.recent() is await desk.parts.keyring.signing.recent()


async def test_both_secrets_verify_for_24_hours_after_a_rotation_then_only_the_new(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        endpoint_id, old = await desk.endpoint(receiver.url)
        async with desk.parts.database.tenant(desk.tenant_id) as session:
            _, new = await service.rotate_secret(session, desk.parts.keyring, endpoint_id=endpoint_id, actor=ACTOR)
        await desk.emit()
        await desk.deliver()
        with frozen_at(now() + timedelta(hours=24, seconds=1)):
            await desk.emit()
            await desk.deliver()
    during, after = receiver.requests
    for secret in (old, new):
        assert during.verify(secret)
    assert during.headers["webhook-signature"].count("v1,") == 2
    assert after.headers["webhook-signature"].count("v1,") == 1


async def test_a_courier_killed_on_the_road_is_replaced_and_the_message_keeps_its_id(
    desk: Desk, settings_env: dict[str, str]
) -> None:
    async with a_receiver(hangs) as receiver:
        _, secret = await desk.endpoint(receiver.url)
        await desk.emit()
        courier = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _COURIER, env=settings_env | {"LIKENESS_WEBHOOKS_ALLOWED_HOSTS": '["127.0.0.1"]'}
        )

        async def the_message_is_out() -> bool:
            return len(receiver.requests) == 1

        await scenes.eventually(the_message_is_out, seconds=20)
        courier.send_signal(signal.SIGKILL)
        await courier.wait()
        receiver.manner = answers(200)
        assert await desk.deliver() == 0, "the dead courier's lease still holds"
        with frozen_at(now() + timedelta(seconds=51)):  # 20 s time-out, 30 s margin
            assert await desk.deliver() == 1
    assert len(set(receiver.ids)) == 1
    assert len(receiver.ids) == 2
    receiver.requests[1].verify(secret)
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)


_COURIER = """
import asyncio
import base64
from core.bootstrap import open_parts
from core.webhooks.deliver import deliver_due
async def main():
    async with open_parts() as parts:
        await deliver_due(parts.database, parts.keyring, parts.settings.webhooks)
asyncio.run(main())
"""


async def test_a_courier_that_slept_past_its_lease_overwrites_nothing(desk: Desk) -> None:
    async with a_receiver(answers(500)) as receiver:
        await desk.endpoint(receiver.url)
        await desk.emit()
        slow = Courier(desk.parts.database, desk.parts.keyring, SETTINGS)
        (claimed,), _ = await slow._claim(1)
        receiver.manner = answers(200)
        with frozen_at(now() + LEASE):
            assert await desk.deliver() == 1
        receiver.manner = answers(500)
        await slow._carry(claimed)
        await slow.close()
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.last_status, delivery.attempts) == ("delivered", 200, 2)


async def test_many_couriers_carry_each_message_once(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        await desk.endpoint(receiver.url)
        for _ in range(20):
            await desk.emit()
        tries = await asyncio.gather(*(desk.deliver() for _ in range(4)))
    assert sum(tries) == 20
    assert len(receiver.ids) == len(set(receiver.ids)) == 20


async def test_couriers_that_always_die_do_not_try_for_ever(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        await desk.endpoint(receiver.url)
        await desk.emit()
        async with desk.parts.database.system() as session:
            await session.exec(update(WebhookDelivery).values(attempts=TRIES))
        await desk.deliver()
    assert receiver.requests == []
    assert [(one.state, one.last_error) for one in await desk.deliveries()] == [("failed", "internal_error")]


async def test_a_running_courier_wakes_by_itself_for_the_next_try(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "WAITS", (timedelta(seconds=0.2), *deliver.WAITS[1:]))
    async with (
        a_receiver(answers(500, 200)) as receiver,
        Courier(desk.parts.database, desk.parts.keyring, SETTINGS) as courier,
    ):
        await desk.endpoint(receiver.url)
        await desk.emit()
        courier.wake()

        async def delivered() -> bool:
            return await desk.states() == ["delivered"]

        await scenes.eventually(delivered, seconds=3)
    assert len(receiver.requests) == 2


async def test_a_delivery_can_be_sent_again_on_request(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        _, secret = await desk.endpoint(receiver.url)
        await desk.emit()
        await desk.deliver()
        (delivery,) = await desk.deliveries()
        await desk.redeliver(delivery.id)
        await desk.deliver()
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    second.verify(secret)


async def test_a_delivery_on_its_way_is_not_sent_a_second_time(desk: Desk) -> None:
    async with a_receiver(hangs) as receiver:
        await desk.endpoint(receiver.url)
        await desk.emit()
        carrying = asyncio.create_task(desk.deliver())

        async def on_its_way() -> bool:
            return bool(receiver.requests)

        await scenes.eventually(on_its_way)
        (delivery,) = await desk.deliveries()
        with pytest.raises(StateConflict):
            await desk.redeliver(delivery.id)
        await carrying


async def test_keys_that_do_not_answer_cost_no_try(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> bytes:
        raise KeyProviderUnavailable

    async with a_receiver(answers(200)) as receiver:
        endpoint_id, _ = await desk.endpoint(receiver.url)
        await desk.emit()
        with monkeypatch.context() as patch:
            patch.setattr(desk.parts.keyring, "open_secret", away)
            await desk.deliver()
        (delivery,) = await desk.deliveries()
        assert (delivery.state, delivery.attempts, delivery.lease_until) == ("pending", 0, None)
        assert (await desk.look(endpoint_id)).failing_since is None
        with frozen_at(now() + timedelta(seconds=31)):
            await desk.deliver()
    assert len(receiver.requests) == 1
    assert await desk.states() == ["delivered"]


async def test_a_secret_that_cannot_be_opened_fails_the_try_and_blames_no_receiver(desk: Desk) -> None:
    async with a_receiver(answers(200)) as receiver:
        endpoint_id, _ = await desk.endpoint(receiver.url)
        await desk.emit()
        async with desk.parts.database.tenant(desk.tenant_id) as session:
            await session.exec(update(WebhookEndpoint).values(sealed_secret=b"broken"))
        await desk.deliver()
    assert receiver.requests == []
    assert [one.last_error for one in await desk.deliveries()] == ["internal_error"]
    assert (await desk.look(endpoint_id)).failing_since is None


async def test_two_tenants_messages_are_each_signed_with_their_own(
    open_desk: Callable[[], Awaitable[Desk]],
) -> None:
    one, other = await open_desk(), await open_desk()
    async with a_receiver(answers(200)) as mine, a_receiver(answers(200)) as yours:
        _, my_secret = await one.endpoint(mine.url)
        _, your_secret = await other.endpoint(yours.url)
        await one.emit()
        await other.emit()
        assert await one.deliver() == 2, "a courier serves every tenant"
    mine.requests[0].verify(my_secret)
    yours.requests[0].verify(your_secret)
    assert (len(mine.requests), len(yours.requests)) == (1, 1)


async def test_no_log_and_no_row_of_a_delivery_holds_an_address(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async with a_receiver(answers(500)) as failing, a_receiver(answers(410)) as gone:
        await desk.endpoint(failing.url)
        await desk.endpoint(gone.url)
        await desk.emit()
        with caplog.at_level(logging.DEBUG, "likeness"):
            await desk.deliver()
    written = json.dumps([record.__dict__ for record in caplog.records], default=str)
    written += "".join(repr(delivery) for delivery in await desk.deliveries())
    assert "canary-query" not in written
    assert "127.0.0.1" not in written
