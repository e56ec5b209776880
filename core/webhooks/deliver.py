"""Carry what the outbox holds to its receivers.

    1. claim    find due deliveries of all tenants, take a lease on each (`FOR UPDATE SKIP LOCKED`), commit
    2. load     open the endpoint's secrets in the tenant's own session, commit
    3. send     outside of any transaction
    4. record   in the tenant's session, if the lease is still ours

Invariants of this file:
- Two couriers never carry one delivery at once; one whose courier died is carried again when its lease has run out,
  under the same webhook-id. A receiver may see a message twice, and never loses one.
- An endpoint has few places on the road at once, and only one until it has shown that it answers. A receiver that
  hangs therefore holds up its own messages and no others.
- Logs name ids and codes. A URL, its path and query included, is nobody's business.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import Unavailable
from core.ids import Prefix, public
from core.keyring.service import Keyring
from core.settings import WebhookSettings
from core.webhooks import service, signing
from core.webhooks.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint
from core.webhooks.send import Failure, Outcome, Sender

logger = logging.getLogger("likeness.webhooks")

# How long to wait after each failed try. Ten tries, about 75 hours: the example of the Standard Webhooks specification.
WAITS: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
TRIES = len(WAITS) + 1
JITTER = 0.1
PATIENCE = timedelta(days=5)  # with an endpoint of which every try fails
_LEASE_MARGIN = timedelta(seconds=30)  # beyond the time-out of a try
_KEYS_WAIT = timedelta(seconds=30)
_SLOTS = 256
_PLACES_PER_ENDPOINT = 4
_CLAIM = 256
_LONGEST_SLEEP = 10.0  # seconds; leases of dead couriers and lost wake-ups are found no later than this
_SHORTEST_SLEEP = 0.05


@dataclass(frozen=True)
class Claimed:
    """A delivery that is ours until `lease_until`, which is also the fence: a later claim has another."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    attempts: int
    lease_until: datetime


@dataclass(frozen=True)
class _Letter:
    url: str
    body: bytes
    headers: dict[str, str]


def next_try(attempts: int, *, after: datetime, spread: float) -> datetime | None:
    """When to try again after `attempts` failed tries; None when they are used up. spread: -1..1, chance."""
    if attempts >= TRIES:
        return None
    return after + WAITS[attempts - 1] * (1 + JITTER * spread)


class Courier:
    """Carries deliveries, many at once. `async with` runs it until the block ends; `wake` makes it look at once."""

    def __init__(
        self, database: Database, keyring: Keyring, settings: WebhookSettings, *, sender: Sender | None = None
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._lease = timedelta(seconds=settings.timeout_seconds) + _LEASE_MARGIN
        self._sender = sender or Sender(settings)
        self._on_the_road: Counter[UUID] = Counter()
        self._answering: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stir = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to carry."""
        self._loop = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take nothing new, finish what is on the road (at most one time-out long), close the connections."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self.close()

    async def close(self) -> None:
        """Finish what is on the road, then close the connections. Call it once."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()

    def wake(self) -> None:
        """There may be something to carry."""
        self._stir.set()

    async def carry_all_due(self) -> int:
        """Carry until nothing is due and nothing is on the road. Returns the number of tries."""
        tries = 0
        while True:
            self._stir.clear()
            tries += await self._start_due()
            if not self._tasks:
                return tries
            await self._stir.wait()

    async def _run(self) -> None:
        while True:
            self._stir.clear()
            pause = _LONGEST_SLEEP
            try:
                await self._start_due()
                pause = await self._seconds_to_next()
            except Exception as error:  # noqa: BLE001 (the database may be away for a while; nothing is lost by waiting)
                logger.warning("could not look for deliveries", extra={"error_type": type(error).__name__})
            try:
                async with asyncio.timeout(pause):
                    await self._stir.wait()
            except TimeoutError:
                continue

    # 1. Claim

    async def _start_due(self) -> int:
        started = 0
        while room := _SLOTS - len(self._tasks):
            claimed, more = await self._claim(room)
            for delivery in claimed:
                self._on_the_road[delivery.endpoint_id] += 1
                task = asyncio.create_task(self._carry(delivery))
                self._tasks.add(task)
                task.add_done_callback(self._arrived)
            started += len(claimed)
            if not more:
                break
        return started

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._stir.set()

    async def _claim(self, room: int) -> tuple[list[Claimed], bool]:
        """Lease due deliveries, oldest first, as far as there is room, and say whether more may be due."""
        moment = now()
        lease_until = moment + self._lease
        async with self._database.system() as session:
            found = await session.exec(
                select(WebhookDelivery.id, WebhookDelivery.endpoint_id)
                .where(*self._waiting(moment), WebhookDelivery.next_at <= moment)
                .order_by(col(WebhookDelivery.next_at))
                .limit(_CLAIM)
                .with_for_update(skip_locked=True)
            )
            candidates = [(delivery_id, endpoint_id) for delivery_id, endpoint_id in found]
            chosen = self._choose(candidates)[:room]
            leased = await session.exec(
                update(WebhookDelivery)
                .where(col(WebhookDelivery.id).in_(chosen))
                .values(lease_until=lease_until, attempts=WebhookDelivery.attempts + 1)
                .returning(
                    col(WebhookDelivery.id),
                    col(WebhookDelivery.tenant_id),
                    col(WebhookDelivery.endpoint_id),
                    col(WebhookDelivery.attempts),
                )
            )
            claimed = [
                Claimed(delivery_id, tenant_id, endpoint_id, attempts, lease_until)
                for delivery_id, tenant_id, endpoint_id, attempts in leased
            ]
        return claimed, len(candidates) == _CLAIM

    def _choose(self, candidates: Sequence[tuple[UUID, UUID]]) -> list[UUID]:
        """Those that their endpoints have a place for."""
        taken, chosen = Counter(self._on_the_road), []
        for delivery_id, endpoint_id in candidates:
            if taken[endpoint_id] < self._places(endpoint_id):
                taken[endpoint_id] += 1
                chosen.append(delivery_id)
        return chosen

    def _places(self, endpoint_id: UUID) -> int:
        return _PLACES_PER_ENDPOINT if endpoint_id in self._answering else 1

    def _waiting(self, moment: datetime) -> tuple[ColumnElement[bool], ...]:
        """Pending, in nobody's hands, and to an endpoint that has a place."""
        lease = col(WebhookDelivery.lease_until)
        full = [endpoint for endpoint, taken in self._on_the_road.items() if taken >= self._places(endpoint)]
        return (
            col(WebhookDelivery.state) == DeliveryState.PENDING,
            lease.is_(None) | (lease < moment),
            col(WebhookDelivery.endpoint_id).not_in(full),
        )

    async def _seconds_to_next(self) -> float:
        if len(self._tasks) >= _SLOTS:
            return _LONGEST_SLEEP  # an arrival stirs us before
        moment = now()
        async with self._database.system() as session:
            found = await session.exec(select(func.min(WebhookDelivery.next_at)).where(*self._waiting(moment)))
            earliest: datetime | None = found.one()
        if earliest is None:
            return _LONGEST_SLEEP
        return min(max((earliest - moment).total_seconds(), _SHORTEST_SLEEP), _LONGEST_SLEEP)

    async def _carry(self, claimed: Claimed) -> None:
        try:
            outcome = await self._try(claimed)
            if outcome is None:
                return
            if outcome.failure is None:
                self._answering.add(claimed.endpoint_id)
            else:
                self._answering.discard(claimed.endpoint_id)
            await self._record(claimed, outcome)
        except Exception as error:  # noqa: BLE001 (it stays leased, and is carried again when the lease has run out)
            logger.warning("a delivery was not recorded", extra=_names(claimed) | {"error_type": type(error).__name__})
        finally:
            self._on_the_road[claimed.endpoint_id] -= 1
            if not self._on_the_road[claimed.endpoint_id]:
                del self._on_the_road[claimed.endpoint_id]

    async def _try(self, claimed: Claimed) -> Outcome | None:
        """One try, or None when nothing was tried and nothing is to be recorded."""
        if claimed.attempts > TRIES:
            return Outcome(None, Failure.INTERNAL_ERROR)  # its couriers died, each time
        try:
            letter = await self._load(claimed)
            if letter is None:
                return Outcome(None, Failure.ENDPOINT_DISABLED)
            return await self._sender.post(letter.url, body=letter.body, headers=letter.headers)
        except Unavailable:
            await self._put_back(claimed)
            return None
        except Exception as error:  # noqa: BLE001 (whatever it is, it counts as a try, or it would be tried for ever)
            logger.warning("a delivery failed here", extra=_names(claimed) | {"error_type": type(error).__name__})
            return Outcome(None, Failure.INTERNAL_ERROR)

    # 2. Load

    async def _load(self, claimed: Claimed) -> _Letter | None:
        """What to send where, signed; None when the endpoint takes nothing any more."""
        async with self._database.tenant(claimed.tenant_id) as session:
            query = (
                select(WebhookEndpoint, Event)
                .join(WebhookDelivery, col(WebhookDelivery.endpoint_id) == WebhookEndpoint.id)
                .join(Event, col(Event.id) == WebhookDelivery.event_id)
                .where(WebhookDelivery.id == claimed.id, WebhookEndpoint.state == service.ENABLED)
            )
            found = (await session.exec(query)).first()
        if found is None:
            return None
        endpoint, event = found
        moment = now()
        body = signing.body(event.type, at=event.created_at, data=event.data)
        headers = signing.headers(
            public(Prefix.EVENT, event.id),
            at=moment,
            payload=body,
            with_secrets=await self._secrets(endpoint, moment),
            with_key=await self._keyring.signing.recent(),
        )
        return _Letter(url=endpoint.url, body=body, headers=headers)

    async def _secrets(self, endpoint: WebhookEndpoint, moment: datetime) -> list[bytes]:
        sealed = [endpoint.sealed_secret]
        previous, until = endpoint.sealed_previous_secret, endpoint.previous_until
        if previous is not None and until is not None and moment < until:
            sealed.append(previous)
        name = service.secret_name(endpoint.id)
        return [await self._keyring.open_secret(endpoint.tenant_id, name, one) for one in sealed]

    # 4. Record

    async def _put_back(self, claimed: Claimed) -> None:
        """The keys do not answer: wait, and do not count the try."""
        async with self._database.tenant(claimed.tenant_id) as session:
            await session.exec(
                update(WebhookDelivery)
                .where(*_held(claimed))
                .values(attempts=claimed.attempts - 1, next_at=now() + _KEYS_WAIT, lease_until=None)
            )

    async def _record(self, claimed: Claimed, outcome: Outcome) -> None:
        moment = now()
        async with self._database.tenant(claimed.tenant_id) as session:
            # Endpoint first, then delivery: everything that locks both takes them in this order.
            enabled = await _record_on_endpoint(session, claimed, outcome, moment)
            again = next_try(claimed.attempts, after=moment, spread=random.uniform(-1, 1))  # noqa: S311 (no secret)
            values: dict[str, object] = {
                "lease_until": None,
                "last_status": outcome.status,
                "last_error": outcome.failure,
            }
            if outcome.failure is None:
                values |= {"state": DeliveryState.DELIVERED, "delivered_at": moment}
            elif again is None or not enabled:
                values |= {"state": DeliveryState.FAILED}
            else:
                values |= {"next_at": again}
            await session.exec(update(WebhookDelivery).where(*_held(claimed)).values(**values))


async def deliver_due(
    database: Database, keyring: Keyring, settings: WebhookSettings, *, sender: Sender | None = None
) -> int:
    """Carry what is due now, wait for it, close the sender. Returns the number of tries. Workers run a `Courier`."""
    courier = Courier(database, keyring, settings, sender=sender)
    try:
        return await courier.carry_all_due()
    finally:
        await courier.close()


async def _record_on_endpoint(session: AsyncSession, claimed: Claimed, outcome: Outcome, moment: datetime) -> bool:
    """Keep count of how long the endpoint has been failing. False when it takes nothing any more."""
    if outcome.failure is None:
        # Matches, and therefore locks, no row as long as all goes well.
        await session.exec(
            update(WebhookEndpoint)
            .where(col(WebhookEndpoint.id) == claimed.endpoint_id, col(WebhookEndpoint.failing_since).is_not(None))
            .values(failing_since=None)
        )
        return True
    if outcome.failure is Failure.INTERNAL_ERROR:
        return True  # ours to mend
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == claimed.endpoint_id).with_for_update()
    endpoint = (await session.exec(query)).first()
    if endpoint is None or endpoint.state != service.ENABLED:
        return False
    endpoint.failing_since = endpoint.failing_since or moment
    session.add(endpoint)
    gone = outcome.failure is Failure.GONE
    if not gone and moment - endpoint.failing_since < PATIENCE:
        return True
    reason = "gone" if gone else "failing_for_5_days"
    await service.disable(session, endpoint, reason=reason)
    await audit.append(
        session,
        tenant_id=claimed.tenant_id,
        kind="webhook_endpoint.disabled",
        actor="courier",
        facts={"endpoint": claimed.endpoint_id.hex, "reason": reason},
    )
    logger.error("a webhook endpoint was disabled", extra=_names(claimed) | {"reason": reason})
    return False


def _held(claimed: Claimed) -> tuple[ColumnElement[bool], ...]:
    """The delivery, as long as the lease is the one that we took."""
    return (
        col(WebhookDelivery.id) == claimed.id,
        col(WebhookDelivery.state) == DeliveryState.PENDING,
        col(WebhookDelivery.lease_until) == claimed.lease_until,
    )


def _names(claimed: Claimed) -> dict[str, str]:
    return {
        "tenant": public(Prefix.TENANT, claimed.tenant_id),
        "endpoint": public(Prefix.ENDPOINT, claimed.endpoint_id),
        "delivery": public(Prefix.DELIVERY, claimed.id),
    }
