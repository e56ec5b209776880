"""Random lives of people against a simple model: whatever is done in whatever order, the promises hold.

The model knows of each person only which purposes stand, which photos are there, and whether they were erased. After
every step the service is asked, and must say the same:

- nothing is uploaded, ordered or kept without a grant;
- once somebody is erased, no picture and no field of theirs opens, also after a restore, and the certificate holds;
- the ledger of consent and the audit log only grow; what a checkpoint signed stays proved, except across a restore,
  which the log itself tells of;
- what is held survives the sweep of retention, and what is not is gone when its day has come.

`LIKENESS_SEQUENCES=3000` runs as many sequences; by default a handful, because each step is real.
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func
from sqlmodel import select

from core.audit import log
from core.audit.models import AuditEntry, AuditTree
from core.bootstrap import Parts, open_parts
from core.clock import frozen_at, now
from core.consent import service as consent
from core.consent.models import Consent, Purpose
from core.errors import ConsentRequired, Gone, LegalHoldStands, LikenessError, PhotoNotReady
from core.headshots import submit
from core.photos import service as photos
from core.photos.models import Photo
from core.retention.sweep import sweep
from core.rights import certify, checkpoints, erase
from core.settings import Settings
from core.storage.models import Asset
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.terms import holds
from infra import verify_certificate as verifier
from infra.backup.restore import restore
from infra.backup.take import take
from tests import scenes
from tests.core.rights.test_certify import published

SEQUENCES = int(os.environ.get("LIKENESS_SEQUENCES", "4"))
STEPS = int(os.environ.get("LIKENESS_STEPS", "16"))
BOTH = frozenset({Purpose.HEADSHOT, Purpose.BIOMETRIC_PROCESSING})
PHOTO = b"\xff\xd8 canary pixels \xff\xd9"

T = TypeVar("T")


@dataclass
class Person:
    """What the model knows of somebody. photos: photo id → whether it is there."""

    id: UUID
    granted: set[Purpose] = field(default_factory=set)
    photos: dict[UUID, bool] = field(default_factory=dict)
    erased: bool = False
    certificate: bytes | None = None
    hold: UUID | None = None
    overdue: set[UUID] = field(default_factory=set)

    def copy(self) -> "Person":
        return replace(self, granted=set(self.granted), photos=dict(self.photos), overdue=set(self.overdue))


@dataclass
class Ground:
    """What the machine stands on: one loop and one database for all sequences, swept clean before each."""

    loop: asyncio.AbstractEventLoop
    parts: Parts
    folder: Path
    administrator_url: str

    async def clean(self) -> None:
        administrator = await asyncpg.connect(self.administrator_url)
        rows = await administrator.fetch(
            "SELECT schemaname || '.' || quote_ident(tablename) AS name FROM pg_tables"
            " WHERE schemaname IN ('public', 'keystore') AND tablename <> 'alembic_version'"
        )
        await administrator.execute(f"TRUNCATE {', '.join(row['name'] for row in rows)}")
        await administrator.close()
        for folder in ("tombstones", "objects"):
            for place in (self.folder / folder).iterdir():
                shutil.rmtree(place)
            (self.folder / folder / "staging").mkdir()
        self.parts.tombstones._signers.clear()

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)


class Lives(RuleBasedStateMachine):
    """The life of up to three people of one platform."""

    ground: Ground

    @initialize()
    def a_platform(self) -> None:
        self.run(self.ground.clean())
        self.platform = self.run(scenes.a_platform(self.parts, credits=1000))
        self.notice = self.run(scenes.a_notice(self.parts, self.platform))
        self.people: list[Person] = []
        self.backup: tuple[Path, list[Person]] | None = None
        self.seen: tuple[int, int, int] = (0, 0, 0)
        self.kept: tuple[int, bytes] | None = None

    @property
    def parts(self) -> Parts:
        return self.ground.parts

    def run(self, work: Awaitable[T]) -> T:
        return self.ground.run(work)

    def within(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async def inside() -> T:
            async with self.parts.database.tenant(self.platform.tenant_id) as session:
                return await work(session)

        return self.run(inside())

    def one(self, number: int) -> Person:
        return self.people[number % len(self.people)]

    @precondition(lambda self: len(self.people) < 3)
    @rule()
    def meets(self) -> None:
        self.people.append(Person(self.run(scenes.a_person(self.parts, self.platform))))

    @precondition(lambda self: self.people)
    @rule(number=st.integers(0, 2), purpose=st.sampled_from(sorted(BOTH)))
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
    @rule(number=st.integers(0, 2))
    def withdraws(self, number: int) -> None:
        able = [person for person in self.people if person.granted and not person.erased]
        person = able[number % len(able)]
        purpose = min(person.granted)

        async def work(session: Any) -> None:
            standing = (await consent.current(session, person.id))[purpose]
            await consent.withdraw(session, consent_id=standing.id, actor="test")

        self.within(work)
        person.granted.discard(purpose)

    @precondition(lambda self: self.people)
    @rule(number=st.integers(0, 2))
    def uploads(self, number: int) -> None:
        person = self.one(number)
        uploading = scenes.a_photo(self.parts, self.platform, person.id, data=PHOTO)
        if person.erased:
            with pytest.raises(Gone):
                self.run(uploading)
        elif person.granted >= BOTH:
            person.photos[self.run(uploading)] = True
        else:
            with pytest.raises(ConsentRequired):
                self.run(uploading)

    @precondition(lambda self: any(person.photos for person in self.people))
    @rule(number=st.integers(0, 2), which=st.integers(0, 9))
    def orders(self, number: int, which: int) -> None:
        person, photo_id = self.some_photo(number, which)

        async def work(session: Any) -> None:
            await submit.submit(session, caller=self.platform.caller, photo_id=photo_id, styles=["studio-grey"])

        if not person.erased and person.photos[photo_id] and person.granted >= BOTH:
            self.within(work)
        else:
            with pytest.raises((ConsentRequired, Gone, PhotoNotReady)):
                self.within(work)

    @precondition(lambda self: any(person.photos for person in self.people))
    @rule(number=st.integers(0, 2), which=st.integers(0, 9))
    def deletes(self, number: int, which: int) -> None:
        person, photo_id = self.some_photo(number, which)

        async def work(session: Any) -> None:
            photo = await photos.get(session, photo_id)
            await photos.delete(session, self.parts.store, photo, actor="test")

        if not person.erased and person.photos[photo_id] and person.hold is not None:
            with pytest.raises(LegalHoldStands):
                self.within(work)
        elif not person.erased and person.photos[photo_id]:
            self.within(work)
            person.photos[photo_id] = False
        else:
            with pytest.raises(Gone):
                self.within(work)

    @precondition(lambda self: any(person.photos for person in self.people))
    @rule(number=st.integers(0, 2), which=st.integers(0, 9))
    def the_day_comes(self, number: int, which: int) -> None:
        """One photo reaches its day; the sweep takes it and no other."""
        person, photo_id = self.some_photo(number, which)

        async def work(session: Any) -> None:
            photo = (await session.exec(select(Photo).where(Photo.id == photo_id))).one()
            photo.expires_at = now() - timedelta(seconds=1)
            session.add(photo)

        self.within(work)
        self.run(sweep(self.parts.database, self.parts.store))
        if person.hold is None:
            person.photos[photo_id] = False
        else:
            person.overdue.add(photo_id)

    @precondition(lambda self: any(not person.erased and person.hold is None for person in self.people))
    @rule(number=st.integers(0, 2))
    def is_held(self, number: int) -> None:
        able = [person for person in self.people if not person.erased and person.hold is None]
        person = able[number % len(able)]
        until = now() + timedelta(days=30)

        async def work(session: Any) -> UUID:
            hold = await holds.place(
                session, self.parts.keyring, subject_id=person.id, reason="a claim", expires_at=until, actor="test"
            )
            return hold.id

        person.hold = self.within(work)

    @precondition(lambda self: any(person.hold for person in self.people))
    @rule(number=st.integers(0, 2))
    def is_let_go(self, number: int) -> None:
        able = [person for person in self.people if person.hold is not None]
        person = able[number % len(able)]
        hold_id = person.hold
        assert hold_id is not None
        self.within(lambda session: holds.release(session, hold_id, actor="test"))
        person.hold = None
        self.run(sweep(self.parts.database, self.parts.store))
        for photo_id in person.overdue:
            person.photos[photo_id] = False
        person.overdue.clear()

    @precondition(lambda self: self.people)
    @rule(number=st.integers(0, 2))
    def erases(self, number: int) -> None:
        person = self.one(number)

        async def work() -> bytes | None:
            tenant_id = self.platform.tenant_id
            async with self.parts.database.tenant(tenant_id) as session:
                await erase.begin(session, self.parts.keyring, subject_id=person.id, actor="test")
            await erase.finish(self.parts.database, self.parts.store, tenant_id=tenant_id, subject_id=person.id)
            with frozen_at(now() + timedelta(seconds=6)):
                issued = await certify.certify(
                    self.parts.database, self.parts.store, tenant_id=tenant_id, subject_id=person.id
                )
            return issued.document

        if person.hold is not None:
            with pytest.raises(LegalHoldStands):
                self.run(work())
            return
        document = self.run(work())
        assert document is not None
        person.certificate = person.certificate or document
        person.erased = True

    @precondition(lambda self: self.people)
    @rule()
    def backs_up(self) -> None:
        place = self.ground.folder / uuid4().hex
        self.run(take(self.parts.settings.database, self.parts.store.objects, self.parts.tombstones, into=place))
        self.backup = (place, [person.copy() for person in self.people])

    @precondition(lambda self: self.backup is not None)
    @rule()
    def is_restored(self) -> None:
        assert self.backup is not None
        place, then = self.backup
        self.run(restore(self.parts.settings, source=place))
        later = {person.id: person for person in self.people}
        for person in then:
            known = later[person.id]
            person.erased = known.erased
            person.certificate = known.certificate
            # Whoever was erased, or lost a photo, was held by nobody any more; a hold that was let go comes back.
            lost = any(there and not known.photos[photo] for photo, there in person.photos.items())
            if known.erased or lost:
                person.hold = None
            # What was taken back or deleted since stays so; what was given since is lost and must be asked again.
            person.granted &= known.granted
            person.photos = {photo: there and known.photos[photo] for photo, there in person.photos.items()}
        self.people = then
        self.backup = (place, [person.copy() for person in then])
        self.seen, self.kept = (0, 0, 0), None

    def some_photo(self, number: int, which: int) -> tuple[Person, UUID]:
        able = [person for person in self.people if person.photos]
        person = able[number % len(able)]
        return person, sorted(person.photos)[which % len(person.photos)]

    @invariant()
    def the_service_says_what_the_model_says(self) -> None:
        for person in getattr(self, "people", ()):
            self.run(self._look_at(person))

    async def _look_at(self, person: Person) -> None:
        parts, tenant_id = self.parts, self.platform.tenant_id
        async with parts.database.tenant(tenant_id) as session:
            assets = (await session.exec(select(Asset).where(Asset.subject_id == person.id))).all()
            there = {
                photo.id: asset
                for photo in (await session.exec(select(Photo).where(Photo.subject_id == person.id))).all()
                for asset in assets
                if photo.asset_id == asset.id
            }
            allowed = True
            try:
                await consent.require(session, person.id, *BOTH)
            except (ConsentRequired, Gone):
                allowed = False
            row = await session.get_one(Subject, person.id)
        if person.erased:
            assert not await parts.keyring.holds_subject_key(tenant_id, person.id)
            with pytest.raises(Gone):
                await subjects.reveal(parts.keyring, row)
        else:
            assert allowed == (person.granted >= BOTH)
            assert (await subjects.reveal(parts.keyring, row)).display_name == "Canary Q. Personname"
        assert set(there) == set(person.photos)
        for photo_id, asset in there.items():
            if person.photos[photo_id] and not person.erased:
                assert await parts.store.read(asset) == PHOTO
            else:
                with pytest.raises(LikenessError):
                    await parts.store.read(asset)
                assert not await parts.store.objects.present(asset.object_name)

    @invariant()
    def ledger_and_log_only_grow(self) -> None:
        if not getattr(self, "people", None):
            return

        async def counted(session: Any) -> tuple[int, int, int]:
            entries = (await session.exec(select(func.count()).select_from(Consent))).one()
            leaves = (await session.exec(select(func.count()).select_from(AuditEntry))).one()
            size = (await session.exec(select(AuditTree.size))).first() or 0
            return entries, leaves, size

        self.run(checkpoints.sequence(self.parts.database, self.parts.keyring, tenant_id=self.platform.tenant_id))
        counts = self.within(counted)
        assert all(later >= earlier for later, earlier in zip(counts, self.seen, strict=True))
        self.seen = counts
        if self.kept is not None and self.kept[0] < counts[2]:
            old, root = self.kept
            proved = self.within(lambda session: log.consistency(session, old=old))
            verifier.check_consistency(old, root, proved.later.size, proved.later.root_hash, proved.proof)
        newest = self.within(log.checkpoint)
        self.kept = (newest.size, newest.root_hash)

    def teardown(self) -> None:
        if not hasattr(self, "people"):
            return
        keys = verifier.read_keys(self.run(published(self.parts)))
        for person in self.people:
            if person.certificate is not None:
                assert verifier.verify(person.certificate, keys)
        if self.backup is not None:
            shutil.rmtree(self.backup[0], ignore_errors=True)


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
