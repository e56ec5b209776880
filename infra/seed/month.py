"""The month, day by day, for all platforms at once, so that ids and times are in one order."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.consent import service as consent
from core.consent.models import Purpose
from core.retention.sweep import sweep
from core.rights import checkpoints, deadlines, requests
from core.rights.models import Identity
from core.rights.rules import Kind
from core.tenants import limits, quota
from core.tenants import service as tenants
from core.tenants.models import Mode, Tenant, TenantState
from core.tenants.plans import Limits
from core.webhooks import deliver
from core.webhooks import service as webhooks
from infra.seed import cast
from infra.seed.erasures import Erasures
from infra.seed.receivers import DrawnReceivers
from infra.seed.work import Platform, Studio
from infra.seed.workers import report

DAYS: Final = 30
_ENOUGH: Final = 100_000  # credits while the story goes on; what is left at its end is in the cast
_EVENTS: Final = [
    "headshot.completed", "headshot.failed", "headshot.refused", "rights_request.received", "asset.erased",
    "erasure.certified", "quota.threshold",
]  # fmt: skip


class NotEmpty(Exception):
    """There are tenants here, and a story among real data would be a lie."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    jobs: in all. erasures: certified ones. answered: rights requests that are closed. rounds: how often a day the
    couriers come by and the log is signed.
    """

    jobs: int
    erasures: int
    answered: int
    rounds: int = 4


SIZES: Final = {
    "small": Size(jobs=60, erasures=2, answered=4, rounds=1),
    "full": Size(jobs=1500, erasures=12, answered=24),
}


async def fill(parts: Parts, *, size: Size, seed: int = 1, say: Callable[[str], None] = lambda _text: None) -> None:
    """Let a month happen that ends now. Raises `NotEmpty` where there is a tenant already."""
    async with parts.database.system() as session:
        if (await session.exec(select(Tenant.id).limit(1))).first() is not None:
            raise NotEmpty("This instance has tenants already. Seed an empty one: another LIKENESS_HOME, say.")
    await _Month(parts, size=size, seed=seed, say=say).happen()


class _Month:
    def __init__(self, parts: Parts, *, size: Size, seed: int, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._size = size
        self._say = say
        self._chance = random.Random(seed)  # noqa: S311 (a story, no secret)
        self._ends = now()
        self._begins = self._ends - timedelta(days=DAYS)
        self._studio = Studio(parts, self._chance)
        self._erasures = Erasures(parts)
        receivers = {one.host: one for part in cast.CAST for one in part.receivers}
        self._receivers = DrawnReceivers(parts.settings.webhooks, cast=receivers, begins=self._begins, seed=seed)
        self._platforms: list[Platform] = []

    async def happen(self) -> None:
        # 1. The platforms, a day before anything else.
        for part in cast.CAST:
            self._platforms.append(await self._found(part))
        # 2. The days.
        moments = self._moments()
        rounds = self._size.rounds
        for number in range(DAYS * rounds):
            until = self._begins + timedelta(days=(number + 1) / rounds)
            while moments and moments[0][0] < until:
                at, platform = moments.pop(0)
                await self._job(platform, at)
            if number % rounds == 0:
                await self._people(number // rounds)
                self._say(f"day {number // rounds + 1} of {DAYS}")
            await self._round(min(until, self._ends))
        # 3. What is open at the end.
        await self._leave_open()

    async def _found(self, part: cast.Part) -> Platform:
        parts = self._parts
        with frozen_at(self._begins - timedelta(days=1)):
            tenant = await tenants.create_tenant(
                parts.database, parts.keyring, name=part.name, region=part.region, credits=_ENOUGH,
                weight=part.weight, plan=part.plan,
            )  # fmt: skip
            async with parts.database.tenant(tenant.id) as session:
                after = Limits(credits=_ENOUGH, concurrency=part.concurrency, weight=part.weight)
                await limits.change(session, tenant.id, after, actor="operator")
                _, key = await tenants.create_api_key(session, tenant_id=tenant.id, name="production", mode=Mode.LIVE)
                await tenants.create_api_key(session, tenant_id=tenant.id, name="sandbox", mode=Mode.TEST)
                notice = await consent.publish_notice(
                    session,
                    tenant_id=tenant.id,
                    actor="operator",
                    slug="headshots",
                    locale="en",
                    text="We make a headshot from your photo, and keep both no longer than you are told here.",
                    purposes=dict.fromkeys((purpose.value for purpose in Purpose), "consent"),
                    retention_days=30,
                )
            caller = await tenants.authenticate(parts.database, key)
            async with parts.database.tenant(tenant.id) as session:
                for receiver in part.receivers:
                    await webhooks.create_endpoint(
                        session,
                        parts.keyring,
                        parts.settings.webhooks,
                        tenant_id=tenant.id,
                        url=f"https://{receiver.host}/likeness",
                        events=_EVENTS,
                        description=None,
                        actor=caller.actor,
                    )
        return Platform(part=part, caller=caller, notice_id=notice.id)

    def _moments(self) -> list[tuple[datetime, Platform]]:
        """When jobs come in: by day, hardly at weekends, and more towards the end."""
        found: list[tuple[datetime, Platform]] = []
        weights = [platform.part.share for platform in self._platforms]
        while len(found) < self._size.jobs:
            day = int(DAYS * self._chance.random() ** 0.8)
            at = self._begins + timedelta(days=day, hours=self._chance.gauss(12, 3.5))
            if at.weekday() >= 5 and self._chance.random() < 0.8:  # noqa: PLR2004 (Saturday and Sunday)
                continue
            if self._begins < at < self._ends - timedelta(minutes=5):
                found.append((at, self._chance.choices(self._platforms, weights)[0]))
        # The last hours are never empty, whatever the hour at which this runs.
        recent = max(6, self._size.jobs // 12)
        found += [
            (
                self._ends - timedelta(hours=22 * self._chance.random() + 0.2),
                self._chance.choices(self._platforms, weights)[0],
            )
            for _ in range(recent)
        ]
        return sorted(found, key=lambda pair: pair[0])

    async def _job(self, platform: Platform, at: datetime) -> None:
        if platform.part.suspended and at > self._ends - timedelta(days=3):
            return
        people = platform.people
        if people and self._chance.random() < 0.25:  # noqa: PLR2004 (some come again)
            subject_id = self._chance.choice(people[-20:])
            if subject_id in self._erasures.people:
                return
        else:
            place = self._chance.choice(platform.part.jurisdictions)
            subject_id = await self._studio.person(platform, jurisdiction=place, at=at)
        await self._studio.order(platform, subject_id, at=at + timedelta(seconds=40))
        await self._studio.work(platform, at=at + timedelta(seconds=41))

    async def _people(self, day: int) -> None:
        """Rights requests of this day: some are answered, and some ask to be forgotten."""
        at = self._begins + timedelta(days=day, hours=9)
        for number in range(self._size.erasures):
            if day == 2 + number * 25 // self._size.erasures:
                await self._forget(at)
        for number in range(self._size.answered):
            if day == 1 + number * 26 // self._size.answered:
                await self._answer(number, at)

    async def _forget(self, at: datetime) -> None:
        known = [one for one in self._platforms if one.people]
        platform = self._chance.choice(known or self._platforms)
        if not platform.people:  # so early in the month nobody has come yet
            place = platform.part.jurisdictions[0]
            await self._studio.person(platform, jurisdiction=place, at=at - timedelta(days=1))
        subject_id = platform.people.pop(0)
        await self._request(platform, subject_id, Kind.ERASURE, at=at, identity=Identity.VERIFIED)
        await self._erasures.through(platform.caller.tenant_id, subject_id, at=at + timedelta(seconds=2))

    async def _answer(self, number: int, at: datetime) -> None:
        platform = self._platforms[number % 3]
        if not platform.people:
            return
        subject_id = self._chance.choice(platform.people)
        kind = (Kind.ACCESS, Kind.RECTIFICATION, Kind.PORTABILITY, Kind.ACCESS, Kind.OPT_OUT_OF_SALE)[number % 5]
        request_id = await self._request(platform, subject_id, kind, at=at, identity=Identity.VERIFIED)
        if kind is Kind.OPT_OUT_OF_SALE:
            return
        parts, actor = self._parts, platform.caller.actor
        with frozen_at(at + timedelta(hours=self._chance.uniform(3, 40))):
            async with parts.database.tenant(platform.caller.tenant_id) as session:
                if number % 6 == 5:  # noqa: PLR2004 (now and then the answer is no)
                    await requests.deny(
                        session, parts.keyring, request_id=request_id, exception="rights_of_others",
                        reason="The photo shows somebody else as well.", actor=actor,
                    )  # fmt: skip
                else:
                    await requests.complete(session, request_id=request_id, actor=actor)

    async def _request(
        self, platform: Platform, subject_id: UUID, kind: Kind, *, at: datetime,
        identity: Identity = Identity.UNVERIFIED, received_at: datetime | None = None,
    ) -> UUID:  # fmt: skip
        parts = self._parts
        with frozen_at(at):
            async with parts.database.tenant(platform.caller.tenant_id) as session:
                request, _ = await requests.receive(
                    session, parts.keyring, subject_id=subject_id, kind=kind, actor=platform.caller.actor,
                    identity=identity, received_at=received_at,
                )  # fmt: skip
                return request.id

    async def _round(self, at: datetime) -> None:
        """What the sweep does: deliver, sign the log, warn of deadlines, delete what reached its day."""
        parts = self._parts
        with frozen_at(at):
            await deliver.deliver_due(parts.database, parts.keyring, parts.settings.webhooks, sender=self._receivers)
            for platform in self._platforms:
                await checkpoints.sequence(parts.database, parts.keyring, tenant_id=platform.caller.tenant_id)
            await deadlines.mind(parts.database, limit=1000)
            await sweep(parts.database, parts.store)

    async def _leave_open(self) -> None:
        for number, kind, place, days, acknowledged in cast.OPEN_REQUESTS:
            platform = self._platforms[number]
            subject_id = await self._studio.person(platform, jurisdiction=place, at=self._ends - timedelta(days=DAYS))
            at = self._ends - timedelta(days=min(days, DAYS - 1))
            received = self._ends - timedelta(days=days)
            request_id = await self._request(platform, subject_id, kind, at=at, received_at=received)
            if acknowledged:
                with frozen_at(at + timedelta(hours=5)):
                    async with self._parts.database.tenant(platform.caller.tenant_id) as session:
                        await requests.acknowledge(session, request_id=request_id, actor=platform.caller.actor)
        for number, platform in enumerate(self._platforms[:3]):
            home = platform.part.jurisdictions[0]
            subject_id = await self._studio.person(platform, jurisdiction=home, at=self._ends - timedelta(days=2))
            await self._studio.order(platform, subject_id, at=self._ends - timedelta(days=1, hours=number))
            await self._studio.work(platform, at=self._ends - timedelta(days=1, hours=number))
            at = self._ends - timedelta(minutes=40 - number)
            await self._request(platform, subject_id, Kind.ERASURE, at=at, identity=Identity.VERIFIED)
            await self._erasures.leave(platform.caller.tenant_id, subject_id, how=number, at=at)
        # Jobs at work, then jobs in line: nobody takes those, so the order is that of the story.
        for platform in self._platforms:
            for number in range(platform.part.running):
                await self._wait(platform, at=self._ends - timedelta(seconds=90 + number))
                await self._studio.hold(platform.part.region, at=self._ends - timedelta(seconds=5))
        for platform in self._platforms:
            for number in range(platform.part.waiting):
                await self._wait(platform, at=self._ends - timedelta(seconds=200 - 15 * number))
        await self._round(self._ends)
        await report(self._parts)
        for platform in self._platforms:
            await self._leave_credits(platform)
            if platform.part.suspended:
                await tenants.set_state(
                    self._parts.database, tenant_id=platform.caller.tenant_id, state=TenantState.SUSPENDED,
                    actor="operator",
                )  # fmt: skip

    async def _leave_credits(self, platform: Platform) -> None:
        """As many credits as the cast says that are left, in a round number."""
        part, tenant_id = platform.part, platform.caller.tenant_id
        async with self._parts.database.tenant(tenant_id) as session:
            row = await quota.usage(session, tenant_id)
            taken = row.used + row.reserved
            step = 50 if taken > 500 else 5 if taken > 100 else 1  # noqa: PLR2004 (a large number is rounder)
            left = Limits(
                credits=-(-round(taken / part.spent) // step) * step, concurrency=part.concurrency, weight=part.weight
            )
            await limits.change(session, tenant_id, left, actor="operator")

    async def _wait(self, platform: Platform, *, at: datetime) -> None:
        place = platform.part.jurisdictions[0]
        subject_id = await self._studio.person(platform, jurisdiction=place, at=at - timedelta(minutes=1))
        await self._studio.order(platform, subject_id, at=at)
