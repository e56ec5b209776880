"""Erase a person, and see for oneself that nothing is left.

    begin, one transaction with whoever asks:
        1. tombstone     the epoch rises and the tombstone stands: whoever works for the person stops before any effect
        2. key           the person's key is destroyed: when this commits, nothing sealed for them can be read again,
                         and every process forgets its copy within `EVICTION`
           The tombstone ledger, apart from every backup, has heard of it before that (`core.storage.tombstones`).
        3. receivers     every endpoint that hears of erasures is told, and noted as asked for its confirmation
    finish, on a queue of its own, never behind GPU work; the sweep takes up whatever was left:
        4. jobs          waiting ones end here, running ones at their next step
        5. objects       the ciphertext goes, all versions, in chunks
        6. rows          each table forgets by the eraser that it declares
        7. rescan        database, key store and objects are looked through again. Finding anything is a failure: it is
                         removed, and the next try looks again
    `core.rights.certify`, once every process has forgotten the key, and no worker holds a job of theirs:
        8. certificate   what was done and seen, in the log and signed

Each step of `finish` commits by itself, changes nothing when it is repeated, and adds to its counts in the transaction
that removes what it counts. So it may be killed anywhere and begun again, and ends in the same state. A failure is
noted by its type, the next try comes later each time, and after `STUCK_AFTER` tries it is loud.
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import IntegrityError, NotFound, StateConflict
from core.headshots import submit
from core.headshots.models import Headshot, HeadshotState
from core.ids import Prefix, public
from core.jobs.models import FINAL, Job
from core.keyring.service import Keyring
from core.photos.models import Photo, PhotoState
from core.queue import Task, wake_after_commit
from core.rights.models import ErasureReceiver, ErasureState, Step, Tombstone
from core.rights.tables import forget, remaining, tables_of_people
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.storage.tombstones import Kind, remember_once_committed
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.terms import holds
from core.webhooks import service as webhooks
from core.webhooks.models import Event, WebhookDelivery

logger = logging.getLogger("likeness.rights")

CHUNK = 100
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)
STUCK_AFTER = 4
# No process gives out a key longer than this after its shred: `core.keyring.listener` says why.
EVICTION = timedelta(seconds=5)

Watch = Callable[[Step], None]


class RemainsFound(IntegrityError):
    """The rescan found something of a person who was to be gone. The next try removes it, or is loud."""


def unwatched(_step: Step) -> None:
    """Nobody looks on."""


async def begin(session: AsyncSession, keyring: Keyring, *, subject_id: UUID, actor: str) -> Tombstone:
    """Make a person unreadable, in the caller's transaction. Asking again answers with the same tombstone.

    Raises `NotFound`, and `LegalHoldStands` while anything of theirs is held: one key seals all of it.
    """
    # Hold the person's row: uploads and completions that are under way commit first, later ones see the epoch.
    query = select(Subject).where(Subject.id == subject_id).with_for_update()
    subject = (await session.exec(query.execution_options(populate_existing=True))).first()
    if subject is None:
        raise NotFound
    known = await session.get(Tombstone, subject_id)
    if known is not None:
        return known
    await holds.require_none(session, subject_id)
    # 1. Tombstone, announced in the ledger that no restore touches.
    await remember_once_committed(session, Kind.SUBJECT, tenant_id=subject.tenant_id, id=subject_id)
    subject.erasure_epoch += 1
    subject.erased_at = now()
    session.add(subject)
    tombstone = Tombstone(
        subject_id=subject.id,
        tenant_id=subject.tenant_id,
        erasure_epoch=subject.erasure_epoch,
        shredded_at=subject.erased_at,
    )
    tombstone.done(Step.TOMBSTONE)
    session.add(tombstone)
    # 2. Key.
    tombstone.count("keys", {"subject": await keyring.shred_subject(session, subject_id)})
    tombstone.done(Step.KEY)
    await audit.append(
        session, tenant_id=subject.tenant_id, subject_id=subject_id, kind="subject.shredded", actor=actor, facts={}
    )
    # 3. Receivers.
    event = await _tell(session, tombstone)
    asked = (await session.exec(select(WebhookDelivery.endpoint_id).where(WebhookDelivery.event_id == event.id))).all()
    session.add_all(
        ErasureReceiver(subject_id=subject_id, endpoint_id=endpoint_id, tenant_id=subject.tenant_id)
        for endpoint_id in asked
    )
    tombstone.done(Step.RECEIVERS)
    wake_after_commit(session, Task.ERASE, subject.tenant_id, subject_id)
    return tombstone


async def begin_each(
    session: AsyncSession, keyring: Keyring, *, tenant_id: UUID, references: Sequence[str], actor: str
) -> list[Tombstone | None]:
    """Begin the erasure of a cohort, all or none, in the caller's transaction.

    references: the platform's own names for the people. Answers in their order; None for a name that nobody has.
    """
    found = [
        await subjects.find_by_reference(session, keyring, tenant_id=tenant_id, reference=reference)
        for reference in references
    ]
    # In the order of their ids, so that two cohorts which share people never wait for each other in a circle.
    begun = {
        subject_id: await begin(session, keyring, subject_id=subject_id, actor=actor)
        for subject_id in sorted({subject.id for subject in found if subject is not None})
    }
    return [None if subject is None else begun[subject.id] for subject in found]


async def finish(
    database: Database, store: SealedStore, *, tenant_id: UUID, subject_id: UUID, watch: Watch = unwatched
) -> Tombstone:
    """Remove what the shredded key left behind, and look that it is gone. Raises what stopped it; try again later.

    watch: called with each step before it begins.
    """
    async with database.tenant(tenant_id) as session:
        tombstone = await held(session, subject_id)
        if tombstone.state == ErasureState.ERASED:
            return tombstone
        put_off(session, tombstone)
    try:
        for step, work in _STEPS:
            watch(step)
            await work(database, store, tenant_id, subject_id)
    except Exception as error:
        await note_failure(database, tenant_id, subject_id, error)
        raise
    async with database.tenant(tenant_id) as session:
        return await tombstone_of(session, subject_id)


async def tombstone_of(session: AsyncSession, subject_id: UUID) -> Tombstone:
    """How far the erasure of a person has come, or `NotFound`."""
    found = await session.get(Tombstone, subject_id)
    if found is None:
        raise NotFound
    return found


async def unfinished(session: AsyncSession, *, limit: int) -> Sequence[tuple[UUID, UUID]]:
    """Erasures to take up again, or to certify, as (tenant, subject). In a system session."""
    query = (
        select(Tombstone.tenant_id, Tombstone.subject_id)
        .where(col(Tombstone.certified_at).is_(None), Tombstone.next_at <= now())
        .order_by(col(Tombstone.next_at))
        .limit(limit)
    )
    return [(tenant_id, subject_id) for tenant_id, subject_id in (await session.exec(query)).all()]


async def held(session: AsyncSession, subject_id: UUID) -> Tombstone:
    """The tombstone, held until the transaction ends, or `NotFound`."""
    query = select(Tombstone).where(Tombstone.subject_id == subject_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound
    return found


def put_off(session: AsyncSession, tombstone: Tombstone) -> None:
    """Count a try, and say when the sweep comes back if this one dies."""
    tombstone.attempts += 1
    tombstone.next_at = now() + min(FIRST_RETRY * 2**tombstone.attempts, LONGEST_RETRY)
    session.add(tombstone)


async def note_failure(database: Database, tenant_id: UUID, subject_id: UUID, error: Exception) -> None:
    """Write down what stopped a try, by its type alone; be loud about an erasure that does not get on."""
    async with database.tenant(tenant_id) as session:
        tombstone = await held(session, subject_id)
        tombstone.last_error = type(error).__name__
        session.add(tombstone)
    if is_stuck(tombstone):
        logger.error(
            "an erasure is stuck",
            extra={
                "erasure": public(Prefix.ERASURE, subject_id),
                "attempts": tombstone.attempts,
                "error_type": tombstone.last_error,
            },
        )


def is_stuck(tombstone: Tombstone) -> bool:
    """Whether somebody should look: it was tried again and again, and is not through."""
    return tombstone.certified_at is None and tombstone.attempts >= STUCK_AFTER


async def _stop_jobs(database: Database, _store: SealedStore, tenant_id: UUID, subject_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        going = select(Job.id).where(Job.subject_id == subject_id, col(Job.state).not_in(FINAL))
        stopped = 0
        for job_id in (await session.exec(going)).all():
            with suppress(StateConflict):  # it ended by itself meanwhile
                await submit.cancel(session, job_id, actor="erasure")
                stopped += 1
        tombstone = await held(session, subject_id)
        tombstone.count("jobs", {"stopped": stopped})
        tombstone.done(Step.JOBS)
        session.add(tombstone)


async def _delete_objects(database: Database, store: SealedStore, tenant_id: UUID, subject_id: UUID) -> None:
    left = True
    while left:
        async with database.tenant(tenant_id) as session:
            query = select(Asset).where(Asset.subject_id == subject_id, Asset.state != "erased").limit(CHUNK)
            assets = (await session.exec(query)).all()
            counted = Counter(asset.kind for asset in assets)
            for asset in assets:
                await store.delete(session, asset, with_person=True)
            tombstone = await held(session, subject_id)
            tombstone.objects_deleted += len(assets)
            tombstone.count("objects", counted)
            left = len(assets) == CHUNK
            if not left:
                tombstone.done(Step.OBJECTS)
            session.add(tombstone)


async def _forget_rows(database: Database, _store: SealedStore, tenant_id: UUID, subject_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        await _mark_erased(session, subject_id)
        forgotten = {table.name: await forget(session, table, subject_id) for table in tables_of_people()}
        tombstone = await held(session, subject_id)
        tombstone.count("rows", forgotten)
        tombstone.done(Step.ROWS)
        session.add(tombstone)


async def _rescan(database: Database, store: SealedStore, tenant_id: UUID, subject_id: UUID) -> None:
    scans = [
        await _scan_rows(database, tenant_id, subject_id),
        await _scan_keys(store.keyring, tenant_id, subject_id),
        await _scan_objects(database, store, tenant_id, subject_id),
    ]
    remains = {scan["store"]: scan["found"] for scan in scans if scan["found"]}
    async with database.tenant(tenant_id) as session:
        tombstone = await held(session, subject_id)
        if tombstone.state == ErasureState.ERASED:
            return  # another worker was as fast
        tombstone.scans = scans
        session.add(tombstone)
        if not remains:
            tombstone.done(Step.RESCAN)
            await _conclude(session, tombstone)
    if remains:
        raise RemainsFound(", ".join(remains))


async def _scan_rows(database: Database, tenant_id: UUID, subject_id: UUID) -> dict[str, Any]:
    async with database.tenant(tenant_id) as session:
        found = {table.name: await remaining(session, table, subject_id) for table in tables_of_people()}
    how = "Counted, in every table, the rows of the person that its eraser should have deleted or emptied."
    return {"store": "database", "how": how, "looked_at": len(found), "found": sum(found.values())}


async def _scan_keys(keyring: Keyring, tenant_id: UUID, subject_id: UUID) -> dict[str, Any]:
    held_still = await keyring.holds_subject_key(tenant_id, subject_id)
    how = "Asked the key store, past every cache, for a wrapped key of the person."
    return {"store": "key store", "how": how, "looked_at": 1, "found": int(held_still)}


async def _scan_objects(database: Database, store: SealedStore, tenant_id: UUID, subject_id: UUID) -> dict[str, Any]:
    async with database.tenant(tenant_id) as session:
        names = (await session.exec(select(Asset.object_name).where(Asset.subject_id == subject_id))).all()
    found = 0
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        present = await asyncio.gather(*(store.objects.present(name) for name in chunk))
        for name in itertools.compress(chunk, present):  # it came back, from a restored bucket perhaps
            await store.objects.delete_all_versions(name)
            found += 1
    how = "Asked the object store for every object name that was ever given to the person."
    return {"store": "objects", "how": how, "looked_at": len(names), "found": found}


_STEPS = (
    (Step.JOBS, _stop_jobs),
    (Step.OBJECTS, _delete_objects),
    (Step.ROWS, _forget_rows),
    (Step.RESCAN, _rescan),
)


async def _conclude(session: AsyncSession, tombstone: Tombstone) -> None:
    tombstone.state = ErasureState.ERASED.value
    tombstone.erased_at = now()
    tombstone.attempts, tombstone.last_error = 0, None
    tombstone.next_at = max(tombstone.erased_at, tombstone.shredded_at + EVICTION)
    session.add(tombstone)
    await audit.append(
        session,
        tenant_id=tombstone.tenant_id,
        kind="subject.erased",
        actor="erasure",
        facts={"objects": tombstone.objects_deleted},
    )
    await _tell(session, tombstone)


async def _tell(session: AsyncSession, tombstone: Tombstone) -> Event:
    return await webhooks.emit(
        session,
        tenant_id=tombstone.tenant_id,
        type="asset.erased",
        resource_id=tombstone.subject_id,
        data={
            "subject_id": public(Prefix.SUBJECT, tombstone.subject_id),
            "erasure_id": public(Prefix.ERASURE, tombstone.subject_id),
            "state": tombstone.state,
        },
    )


async def _mark_erased(session: AsyncSession, subject_id: UUID) -> None:
    moment = now()
    await session.exec(
        update(Photo)
        .where(col(Photo.subject_id) == subject_id, col(Photo.state) != PhotoState.ERASED)
        .values(state=PhotoState.ERASED.value, erased_at=moment)
    )
    await session.exec(
        update(Headshot)
        .where(col(Headshot.subject_id) == subject_id, col(Headshot.state) != HeadshotState.ERASED)
        .values(state=HeadshotState.ERASED.value, erased_at=moment)
    )
