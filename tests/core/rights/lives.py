"""What the state machine of `test_state_machine.py` stands on, and what its model knows of people and jobs."""

import asyncio
import io
import shutil
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from sqlalchemy import func
from sqlmodel import select

from core.audit import log
from core.audit.models import AuditEntry, AuditTree
from core.bootstrap import Parts
from core.consent import service as consent
from core.consent.models import Consent, Purpose
from core.errors import ConsentRequired, Gone, LikenessError
from core.headshots.models import Headshot
from core.ids import Prefix, public
from core.jobs.claim import Claim
from core.jobs.models import FINAL, Job, JobState
from core.jobs.rescue import MOST_DEATHS
from core.photos.models import Photo
from core.portability.contents import photo_path
from core.retention import service as retention
from core.rights import checkpoints
from core.rights.models import PersonExport
from core.storage.models import Asset
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.terms import policy
from core.terms.policy import DataClass
from infra import verify_certificate as verifier
from tests import scenes
from tests.core.rights.test_certify import published

PHOTO = b"\xff\xd8 canary pixels \xff\xd9"
NAME = "Canary Q. Personname"
SHELVES: tuple[Any, ...] = (Photo, Headshot, PersonExport)
BOTH = frozenset({Purpose.HEADSHOT, Purpose.BIOMETRIC_PROCESSING})

T = TypeVar("T")


@dataclass
class Person:
    """What the model knows of somebody. Pictures and files: id → whether it is there.

    restricted: the rights request under which processing stands still. overdue: whose day has come under a hold.
    """

    id: UUID
    granted: set[Purpose] = field(default_factory=set)
    photos: dict[UUID, bool] = field(default_factory=dict)
    headshots: dict[UUID, bool] = field(default_factory=dict)
    exports: dict[UUID, bool] = field(default_factory=dict)
    erased: bool = False
    certificate: bytes | None = None
    hold: UUID | None = None
    restricted: UUID | None = None
    overdue: set[UUID] = field(default_factory=set)

    @property
    def processed(self) -> bool:
        """Whether anything may be done with their photos."""
        return not self.erased and self.restricted is None and self.granted >= BOTH

    @property
    def shelves(self) -> tuple[dict[UUID, bool], ...]:
        return self.photos, self.headshots, self.exports

    def copy(self) -> "Person":
        photos, headshots, exports = (dict(shelf) for shelf in self.shelves)
        return replace(
            self,
            granted=set(self.granted),
            photos=photos,
            headshots=headshots,
            exports=exports,
            overdue=set(self.overdue),
        )

    def forget(self, item: UUID) -> None:
        for shelf in self.shelves:
            if item in shelf:
                shelf[item] = False

    def exportable(self) -> tuple[set[str], set[str]]:
        """The photos, by their names in an export, and the headshots that it must hold: whatever no day has taken."""
        photos = {item for item, there in self.photos.items() if there} - self.overdue
        headshots = {item for item, there in self.headshots.items() if there} - self.overdue
        return {photo_path(item, "image/jpeg") for item in photos}, {
            public(Prefix.HEADSHOT, item) for item in headshots
        }

    def restored(self, known: "Person") -> "Person":
        """Out of a backup (this), when that much was `known` of them at the restore: what a person loses by it.

        What was taken back, deleted or erased since stays so, what was held or made to stand still since stays so, and
        what was let go since stays so; what was given since is lost.
        """
        back = self.copy()
        back.erased, back.certificate = known.erased, known.certificate
        back.granted &= known.granted
        for shelf, newer in zip(back.shelves, known.shelves, strict=True):
            for item in shelf:
                shelf[item] &= newer[item]
        back.hold, back.restricted = known.hold, known.restricted
        back.overdue = {item for shelf in back.shelves for item, there in shelf.items() if there} & back.overdue
        return back


@dataclass
class Order:
    """What the model knows of a job. state: waiting, running or over. cancelled: it may only end."""

    person: UUID
    photo: UUID
    state: str = "waiting"
    deaths: int = 0
    cancelled: bool = False

    def copy(self) -> "Order":
        return replace(self)

    def dies(self) -> None:
        """Its worker is silent for too long."""
        self.deaths += 1
        self.state = "over" if self.cancelled or self.deaths >= MOST_DEATHS else "waiting"

    def erased(self) -> None:
        """The person is erased: at once while it waits, at its worker's next step while it runs."""
        if self.state == "running":
            self.cancelled = True
        else:
            self.state = "over"


@dataclass
class Ground:
    """What the machine stands on: one loop and one database for all sequences, swept clean before each."""

    loop: asyncio.AbstractEventLoop
    parts: Parts
    folder: Path
    administrator_url: str
    lives: int = 0

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


class Stage(RuleBasedStateMachine):
    """Up to three people of one platform, one worker, one backup; and what must hold after each step."""

    ground: Ground

    @initialize()
    def a_platform(self) -> None:
        self.ground.lives += 1
        if self.ground.lives % 100 == 0:
            print(f"{self.ground.lives} lives", flush=True)  # noqa: T201 (`pytest -s` shows how far a long run is)
        self.run(self.ground.clean())
        self.platform = self.run(scenes.a_platform(self.parts, credits=1000))
        self.notice = self.run(scenes.a_notice(self.parts, self.platform))
        self.people: list[Person] = []
        self.orders: dict[UUID, Order] = {}
        self.hands: Claim | None = None
        self.backup: tuple[Path, list[Person], dict[UUID, Order]] | None = None
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

    def one(self, number: int, able: Callable[[Person], bool] = lambda _: True) -> Person:
        people = [person for person in self.people if able(person)]
        return people[number % len(people)]

    def known(self, person_id: UUID) -> Person:
        return next(person for person in self.people if person.id == person_id)

    def some_photo(self, number: int, which: int) -> tuple[Person, UUID]:
        person = self.one(number, lambda person: bool(person.photos))
        return person, sorted(person.photos)[which % len(person.photos)]

    async def headshot_of(self, job_id: UUID) -> UUID:
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return (await session.exec(select(Headshot.id).where(Headshot.job_id == job_id))).one()

    async def as_long_as_before(self, session: Any) -> None:
        known = await policy.policy(session, self.platform.tenant_id, DataClass.PHOTO)
        await retention.change_policy(
            session,
            tenant_id=self.platform.tenant_id,
            data_class=DataClass.PHOTO,
            seconds=int(policy.RULES[DataClass.PHOTO].default.total_seconds()),
            version=known.version,
            actor="test",
        )

    @invariant()
    def the_service_says_what_the_model_says(self) -> None:
        for person in getattr(self, "people", ()):
            self.run(self._look_at(person))

    async def _look_at(self, person: Person) -> None:
        parts, tenant_id = self.parts, self.platform.tenant_id
        async with parts.database.tenant(tenant_id) as session:
            found = (await session.exec(select(Asset).where(Asset.subject_id == person.id))).all()
            assets = {asset.id: asset for asset in found}
            shelves = [
                (await session.exec(select(table).where(table.subject_id == person.id))).all() for table in SHELVES
            ]
            allowed = True
            try:
                await consent.require(session, person.id, *BOTH)
            except (ConsentRequired, Gone):
                allowed = False
            subject = await session.get_one(Subject, person.id)
        if person.erased:
            assert not await parts.keyring.holds_subject_key(tenant_id, person.id)
            with pytest.raises(Gone):
                await subjects.reveal(parts.keyring, subject)
        else:
            assert allowed == person.processed
            assert (await subjects.reveal(parts.keyring, subject)).display_name == NAME
        for shelf, rows in zip(person.shelves, shelves, strict=True):
            assert {row.id for row in rows} == set(shelf)
            for row in rows:
                for asset in (assets[item] for item in named_by(row)):
                    if shelf[row.id] and not person.erased:
                        assert (await parts.store.read(asset) == PHOTO) == isinstance(row, Photo)
                    else:
                        with pytest.raises(LikenessError):
                            await parts.store.read(asset)
                        assert not await parts.store.objects.present(asset.object_name)

    @invariant()
    def every_job_stands_where_the_model_has_it(self) -> None:
        if not getattr(self, "orders", None):
            return

        async def states(session: Any) -> dict[UUID, str]:
            return dict((await session.exec(select(Job.id, Job.state))).all())

        known = {JobState.PENDING: "waiting", JobState.RUNNING: "running", **dict.fromkeys(FINAL, "over")}
        found = {job_id: known[JobState(state)] for job_id, state in self.within(states).items()}
        assert found == {job_id: order.state for job_id, order in self.orders.items()}

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


def named_by(row: Any) -> list[UUID]:
    """The ids of the sealed objects of a photo, a headshot or an export."""
    return [UUID(hex=item) for item in row.assets.values()] if isinstance(row, Headshot) else [row.asset_id]


def pictures_in(export: bytes) -> tuple[set[str], set[str]]:
    """The names of the photos, and the ids of the headshots, in an export."""
    with zipfile.ZipFile(io.BytesIO(export)) as archive:
        names = archive.namelist()
    folders = {name.split("/")[1] for name in names if name.startswith("headshots/")}
    return {name for name in names if name.startswith("photos/")}, {"hs_" + name.rsplit("hs_")[-1] for name in folders}
