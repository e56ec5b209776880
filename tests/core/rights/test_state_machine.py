"""Random lives of people against a simple model: whatever is done in whatever order, the promises hold.

The model (`lives.py`) knows of each person only which purposes stand, which pictures and files are there, whether
processing stands still, whether they are held, and whether they were erased. After every step the service is asked,
and must say the same:

- nothing is uploaded, ordered, made or kept without a grant, or against a restriction;
- once somebody is erased, no picture and no field of theirs opens, also after a restore, and the certificate holds;
- every job ends once, as the model says, whatever happens while a worker has it;
- an export holds what stands, and nothing else;
- the ledger of consent and the audit log only grow; what a checkpoint signed stays proved, except across a restore,
  which the log itself tells of;
- what is held survives the sweep of retention, and what is not is gone when its day has come.

`LIKENESS_SEQUENCES=3000` runs as many sequences; by default a handful, because each step is real.
"""

import asyncio
import os
import shutil
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update
from sqlmodel import col

from core.bootstrap import open_parts
from core.clock import frozen_at, now
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import ConsentRequired, Gone, LegalHoldStands, PhotoNotReady, StateConflict
from core.headshots import complete, submit
from core.jobs.claim import claim
from core.jobs.lease import LeaseLost, Stopped
from core.jobs.models import Job
from core.jobs.rescue import rescue_dead
from core.photos import service as photos
from core.portability.build import build
from core.retention import service as retention
from core.retention.sweep import sweep
from core.rights import certify, erase, exports, requests
from core.rights.models import Identity, PersonExport, RequestState, RightsRequest
from core.rights.rules import Kind
from core.settings import Settings
from core.storage.models import Asset
from core.terms import holds
from core.terms.policy import SHORTEST, DataClass
from infra.backup.restore import restore
from infra.backup.take import take
from tests import scenes
from tests.core.rights.lives import BOTH, PHOTO, SHELVES, Ground, Order, Person, Stage, named_by, pictures_in
from tests.queueing import made

SEQUENCES = int(os.environ.get("LIKENESS_SEQUENCES", "8"))
STEPS = int(os.environ.get("LIKENESS_STEPS", "16"))
Numbers = st.integers(0, 9)


class Lives(Stage):
    """What may happen to them, in any order."""

    # --- consents, photos, headshots

    @precondition(lambda self: len(self.people) < 3)
    @rule()
    def meets(self) -> None:
        self.people.append(Person(self.run(scenes.a_person(self.parts, self.platform))))

    @precondition(lambda self: self.people)
    @rule(number=Numbers, purpose=st.sampled_from(sorted(BOTH)))
    def grants(self, number: int, purpose: Purpose) -> None:
        person = self.one(number)
        granting = scenes.consents(self.parts, self.platform, person.id, purpose, notice_id=self.notice)
        if person.erased:
            with pytest.raises(Gone):
                self.run(granting)
        else:
            self.run(granting)
            person.granted.add(purpose)

    @precondition(lambda self: any(person.granted and not person.erased for person in self.people))
    @rule(number=Numbers)
    def withdraws(self, number: int) -> None:
        person = self.one(number, lambda person: bool(person.granted) and not person.erased)
        purpose = min(person.granted)

        async def work(session: Any) -> None:
            standing = (await consent.current(session, person.id))[purpose]
            await consent.withdraw(session, consent_id=standing.id, actor="test")

        self.within(work)
        person.granted.discard(purpose)

    @precondition(lambda self: self.people)
    @rule(number=Numbers)
    def uploads(self, number: int) -> None:
        person = self.one(number)
        uploading = scenes.a_photo(self.parts, self.platform, person.id, data=PHOTO)
        if person.processed:
            person.photos[self.run(uploading)] = True
        else:
            with pytest.raises(Gone if person.erased else ConsentRequired):
                self.run(uploading)

    @precondition(lambda self: any(person.photos for person in self.people))
    @rule(number=Numbers, which=Numbers)
    def orders_headshots(self, number: int, which: int) -> None:
        person, photo_id = self.some_photo(number, which)

        async def work(session: Any) -> UUID:
            job = await submit.submit(session, caller=self.platform.caller, photo_id=photo_id, styles=["studio-grey"])
            return job.id

        if person.processed and person.photos[photo_id]:
            self.orders[self.within(work)] = Order(person.id, photo_id)
        else:
            with pytest.raises((ConsentRequired, Gone, PhotoNotReady)):
                self.within(work)

    @precondition(lambda self: self.hands is None)
    @rule()
    def a_worker_takes(self) -> None:
        taken = self.run(claim(self.parts.database, worker="a worker", region="local", lease_seconds=3600))
        waiting = {job_id for job_id, order in self.orders.items() if order.state == "waiting"}
        assert (taken is None) == (not waiting)
        if taken is not None:
            assert taken.job_id in waiting
            self.orders[taken.job_id].state = "running"
            self.hands = taken

    @precondition(lambda self: self.hands is not None)
    @rule()
    def the_worker_delivers(self) -> None:
        hands, self.hands = self.hands, None
        assert hands is not None
        order = self.orders[hands.job_id]
        person = self.known(order.person)
        delivering = complete.complete(
            self.parts.database, self.parts.store, hands, (made(),), provenance=self.parts.provenance, timings={}
        )
        if person.processed and person.photos[order.photo] and not order.cancelled:
            self.run(delivering)
            person.headshots[self.run(self.headshot_of(hands.job_id))] = True
        else:
            with pytest.raises(Stopped) as stopped:
                self.run(delivering)
            self.run(complete.stop(self.parts.database, hands, stopped.value))
        order.state = "over"

    @precondition(lambda self: self.hands is not None)
    @rule()
    def the_worker_dies(self) -> None:
        hands, self.hands = self.hands, None
        assert hands is not None
        self._dies(hands.job_id)
        delivering = complete.complete(
            self.parts.database, self.parts.store, hands, (made(),), provenance=self.parts.provenance, timings={}
        )
        with pytest.raises((LeaseLost, Stopped)):  # it was only silent, and comes too late
            self.run(delivering)

    def _dies(self, job_id: UUID) -> None:
        async def change(session: Any, **values: Any) -> None:
            await session.exec(update(Job).where(col(Job.id) == job_id).values(**values))

        self.within(lambda session: change(session, lease_until=now() - timedelta(seconds=1)))
        self.run(rescue_dead(self.parts.database, region="local"))
        self.within(lambda session: change(session, not_before=now() - timedelta(seconds=1)))
        self.orders[job_id].dies()

    # --- rights

    async def asks(self, session: Any, person: Person, kind: Kind) -> tuple[RightsRequest, bool]:
        known = Identity.VERIFIED
        return await requests.receive(
            session, self.parts.keyring, subject_id=person.id, kind=kind, actor="test", identity=known
        )

    @precondition(lambda self: self.people)
    @rule(number=Numbers)
    def asks_for_everything(self, number: int) -> None:
        person = self.one(number)

        async def ask(session: Any) -> UUID:
            request, _ = await self.asks(session, person, Kind.ACCESS)
            return (await requests.export(session, request_id=request.id, actor="test")).id

        if person.erased:
            with pytest.raises(Gone):
                self.within(ask)
            return
        export_id = self.within(ask)
        tenant_id = self.platform.tenant_id
        built = self.run(
            build(self.parts.database, self.parts.store, tenant_id=tenant_id, export_id=export_id, root="https://x")
        )
        assert (built is None) == person.exports.get(export_id, False)
        person.exports[export_id] = True
        if built is not None:
            file = self.within(lambda session: exports.file_of(session, built))
            assert pictures_in(self.run(self.parts.store.read(file))) == person.exportable()

    @precondition(lambda self: any(not person.erased and person.restricted is None for person in self.people))
    @rule(number=Numbers)
    def asks_to_stand_still(self, number: int) -> None:
        person = self.one(number, lambda person: not person.erased and person.restricted is None)

        async def work(session: Any) -> UUID:
            request, new = await self.asks(session, person, Kind.RESTRICTION)
            assert new
            await requests.complete(session, request_id=request.id, actor="test")
            return request.id

        person.restricted = self.within(work)

    @precondition(lambda self: any(person.restricted and not person.erased for person in self.people))
    @rule(number=Numbers)
    def may_go_on(self, number: int) -> None:
        person = self.one(number, lambda person: person.restricted is not None and not person.erased)
        request_id = person.restricted
        assert request_id is not None

        async def work(session: Any) -> None:
            if (await requests.get(session, request_id)).state == RequestState.RECEIVED:  # it came back with a restore
                await requests.complete(session, request_id=request_id, actor="test")
            await requests.lift(session, request_id=request_id, actor="test")

        self.within(work)
        person.restricted = None

    @precondition(lambda self: any(person.photos for person in self.people))
    @rule(number=Numbers, which=Numbers)
    def deletes(self, number: int, which: int) -> None:
        person, photo_id = self.some_photo(number, which)

        async def work(session: Any) -> None:
            photo = await photos.get(session, photo_id)
            await photos.delete(session, self.parts.store, photo, actor="test")

        if person.erased or not person.photos[photo_id]:
            with pytest.raises(Gone):
                self.within(work)
        elif person.hold is not None:
            with pytest.raises(LegalHoldStands):
                self.within(work)
        else:
            self.within(work)
            person.forget(photo_id)

    @precondition(lambda self: self.people)
    @rule(number=Numbers)
    def erases(self, number: int) -> None:
        person = self.one(number)
        tenant_id = self.platform.tenant_id

        async def work() -> None:
            async with self.parts.database.tenant(tenant_id) as session:
                await erase.begin(session, self.parts.keyring, subject_id=person.id, actor="test")
            await erase.finish(self.parts.database, self.parts.store, tenant_id=tenant_id, subject_id=person.id)

        async def certified() -> bytes:
            with frozen_at(now() + timedelta(seconds=6)):
                issued = await certify.certify(
                    self.parts.database, self.parts.store, tenant_id=tenant_id, subject_id=person.id
                )
            assert issued.document is not None
            return issued.document

        if person.hold is not None:
            with pytest.raises(LegalHoldStands):
                self.run(work())
            return
        self.run(work())
        if not person.erased:
            person.erased = True
            for order in self.orders.values():
                if order.person == person.id:
                    order.erased()
        if self.hands is not None and self.hands.subject_id == person.id:
            with pytest.raises(StateConflict):  # a worker may still have the photo before it
                self.run(certified())
            self.the_worker_delivers()
        document = self.run(certified())
        person.certificate = person.certificate or document

    # --- retention

    @precondition(lambda self: any(any(person.shelves) for person in self.people))
    @rule(number=Numbers, which=Numbers)
    def the_day_comes(self, number: int, which: int) -> None:
        """One picture or file reaches its day; the sweep takes it and no other."""
        person = self.one(number, lambda person: any(person.shelves))
        everything = sorted(
            ((item, table) for table, shelf in zip(SHELVES, person.shelves, strict=True) for item in shelf),
            key=lambda one: one[0],
        )
        item, table = everything[which % len(everything)]

        async def work(session: Any) -> None:
            over = {"expires_at": now() - timedelta(seconds=1)}
            row = (await session.exec(update(table).where(col(table.id) == item).values(**over).returning(table))).one()
            named = named_by(row[0])
            await session.exec(update(Asset).where(col(Asset.id).in_(named)).values(**over))

        self.within(work)
        self.run(sweep(self.parts.database, self.parts.store))
        if person.hold is None or table is PersonExport:
            person.forget(item)
        else:
            person.overdue.add(item)

    @precondition(lambda self: self.people)
    @rule()
    def photos_are_kept_for_an_hour(self) -> None:
        """The term is made as short as it can be, and two hours later what was foretold has happened."""
        there = {
            person.id: sum(person.photos.values()) for person in self.people if not person.erased and person.photos
        }
        held = sum(there.get(person.id, 0) for person in self.people if person.hold is not None)

        async def shorten(session: Any) -> retention.Simulation:
            asked = await retention.simulate(
                session,
                tenant_id=self.platform.tenant_id,
                data_class=DataClass.PHOTO,
                seconds=int(SHORTEST.total_seconds()),
                actor="test",
            )
            await retention.change_policy(
                session,
                tenant_id=self.platform.tenant_id,
                data_class=DataClass.PHOTO,
                seconds=asked.seconds,
                version=asked.policy.version,
                actor="test",
                simulation_id=asked.id,
            )
            return asked

        async def later() -> None:
            with frozen_at(now() + timedelta(hours=2)):
                async with self.parts.database.tenant(self.platform.tenant_id) as session:
                    said = await shorten(session)
                assert (said.kept, said.held, said.deletes_now) == (sum(there.values()), held, said.kept - held)
                assert (await sweep(self.parts.database, self.parts.store))["erase:photo"] == said.deletes_now

        self.run(later())
        for person in self.people:
            if person.hold is None:
                person.photos = dict.fromkeys(person.photos, False)
        self.within(self.as_long_as_before)

    @precondition(lambda self: any(not person.erased and person.hold is None for person in self.people))
    @rule(number=Numbers)
    def is_held(self, number: int) -> None:
        person = self.one(number, lambda person: not person.erased and person.hold is None)
        until = now() + timedelta(days=30)

        async def work(session: Any) -> UUID:
            hold = await holds.place(
                session, self.parts.keyring, subject_id=person.id, reason="a claim", expires_at=until, actor="test"
            )
            return hold.id

        person.hold = self.within(work)

    @precondition(lambda self: any(person.hold for person in self.people))
    @rule(number=Numbers)
    def is_let_go(self, number: int) -> None:
        person = self.one(number, lambda person: person.hold is not None)
        hold_id = person.hold
        assert hold_id is not None
        self.within(lambda session: holds.release(session, hold_id, actor="test"))
        person.hold = None
        self.run(sweep(self.parts.database, self.parts.store))
        for item in person.overdue:
            person.forget(item)
        person.overdue.clear()

    # --- backup

    @precondition(lambda self: self.people)
    @rule()
    def backs_up(self) -> None:
        place = self.ground.folder / uuid4().hex
        self.run(take(self.parts.settings.database, self.parts.store.objects, self.parts.tombstones, into=place))
        self._keep_backup(place, self.people, self.orders)

    def _keep_backup(self, place: Path, people: list[Person], orders: dict[UUID, Order]) -> None:
        if self.backup is not None and self.backup[0] != place:
            shutil.rmtree(self.backup[0])
        self.backup = (
            place,
            [person.copy() for person in people],
            {job_id: order.copy() for job_id, order in orders.items()},
        )

    @precondition(lambda self: self.backup is not None)
    @rule()
    def is_restored(self) -> None:
        assert self.backup is not None
        place, people, orders = self.backup
        self.run(restore(self.parts.settings, source=place))
        self.people = [person.restored(self.known(person.id)) for person in people]
        self.orders = orders
        for order in orders.values():
            if self.known(order.person).erased and not order.cancelled:
                order.erased()
        self._keep_backup(place, self.people, orders)
        # A worker that has a job goes on if the backup knows of it; if it was given out only then, nobody has it now.
        for job_id, order in orders.items():
            if order.state == "running" and (self.hands is None or self.hands.job_id != job_id):
                self._dies(job_id)
        if self.hands is not None and (self.hands.job_id not in orders or orders[self.hands.job_id].state != "running"):
            self.hands = None
        self.seen, self.kept = (0, 0, 0), None


def test_thousands_of_lives_keep_every_promise(
    settings_env: dict[str, str],
    owner_url: str,
    administrator_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**settings_env, "LIKENESS_DATABASE_OWNER_URL": owner_url}.items():
        monkeypatch.setenv(name, value)
    loop = asyncio.new_event_loop()
    try:
        stack = AsyncExitStack()
        parts = loop.run_until_complete(stack.enter_async_context(open_parts(Settings())))
        Lives.ground = Ground(loop, parts, tmp_path, administrator_url)
        run_state_machine_as_test(
            Lives,
            settings=settings(
                max_examples=SEQUENCES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize="LIKENESS_SEQUENCES" not in os.environ,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
        loop.run_until_complete(stack.aclose())
    finally:
        loop.close()
