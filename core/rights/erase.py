"""Erase a person.

    begin    one transaction: epoch, tombstone, key. When it commits, nothing sealed for this person can be read again.
    finish   the rest, resumable at any point and safe to repeat: jobs, objects, rows. Its own queue, never behind
             GPU work; the sweep takes up whatever was left.

Whoever works for a person compares the erasure epoch before each effect, so that work which began before the erasure
leaves nothing after it.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Table, update
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.db import Database, Eraser
from core.errors import NotFound
from core.headshots import submit
from core.headshots.models import Headshot, HeadshotState
from core.ids import Prefix, public
from core.jobs.models import FINAL, Job
from core.keyring.service import Keyring
from core.photos.models import Photo, PhotoState
from core.queue import Task, wake_after_commit
from core.rights.models import ErasureState, Tombstone
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.subjects.models import Subject
from core.webhooks import service as webhooks

logger = logging.getLogger("likeness.rights")

CHUNK = 100
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)


async def begin(session: AsyncSession, keyring: Keyring, *, subject_id: UUID, actor: str) -> Tombstone:
    """Make a person unreadable, in the caller's transaction. Asking again answers with the same tombstone."""
    # 1. Hold the person's row: uploads and completions that are under way commit first, later ones see the epoch.
    query = select(Subject).where(Subject.id == subject_id).with_for_update()
    subject = (await session.exec(query.execution_options(populate_existing=True))).first()
    if subject is None:
        raise NotFound
    known = await session.get(Tombstone, subject_id)
    if known is not None:
        return known
    # 2. The epoch and the tombstone.
    subject.erasure_epoch += 1
    subject.erased_at = now()
    session.add(subject)
    tombstone = Tombstone(
        subject_id=subject.id,
        tenant_id=subject.tenant_id,
        erasure_epoch=subject.erasure_epoch,
        shredded_at=subject.erased_at,
    )
    session.add(tombstone)
    # 3. The key. Every process forgets it when this commits.
    await keyring.shred_subject(session, subject_id)
    # 4. The leaf, the event, the wake-up.
    await audit.append(
        session, tenant_id=subject.tenant_id, subject_id=subject_id, kind="subject.shredded", actor=actor, facts={}
    )
    await webhooks.emit(
        session,
        tenant_id=subject.tenant_id,
        type="asset.erased",
        resource_id=subject_id,
        data={"subject_id": public(Prefix.SUBJECT, subject_id), "state": tombstone.state},
    )
    wake_after_commit(session, Task.ERASE, subject.tenant_id, subject_id)
    return tombstone


async def finish(database: Database, store: SealedStore, *, tenant_id: UUID, subject_id: UUID) -> Tombstone:
    """Remove what the shredded key left behind: jobs, ciphertext, rows. Each step commits by itself."""
    async with database.tenant(tenant_id) as session:
        tombstone = await _held(session, subject_id)
        if tombstone.state == ErasureState.ERASED:
            return tombstone
        # If we die, the sweep comes back after this.
        tombstone.attempts += 1
        tombstone.next_at = now() + min(FIRST_RETRY * 2**tombstone.attempts, LONGEST_RETRY)
        session.add(tombstone)
    # 1. Stop jobs: pending ones end here, running ones at their next step.
    async with database.tenant(tenant_id) as session:
        unfinished = select(Job.id).where(Job.subject_id == subject_id, col(Job.state).not_in(FINAL))
        for job_id in (await session.exec(unfinished)).all():
            await submit.cancel(session, job_id, actor="erasure")
    # 2. Delete the ciphertext, in chunks.
    while await _delete_some(database, store, tenant_id=tenant_id, subject_id=subject_id):
        pass
    # 3. Redact or delete rows, each table by the eraser that it declares; then the tombstone says so.
    async with database.tenant(tenant_id) as session:
        await _mark_erased(session, subject_id)
        for table in SQLModel.metadata.sorted_tables:
            await _apply(session, table, subject_id)
        tombstone = await _held(session, subject_id)
        tombstone.state = ErasureState.ERASED.value
        tombstone.erased_at = now()
        session.add(tombstone)
        await audit.append(
            session,
            tenant_id=tenant_id,
            kind="subject.erased",
            actor="erasure",
            facts={"objects": tombstone.objects_deleted},
        )
        await webhooks.emit(
            session,
            tenant_id=tenant_id,
            type="asset.erased",
            resource_id=subject_id,
            data={"subject_id": public(Prefix.SUBJECT, subject_id), "state": tombstone.state},
        )
        return tombstone


async def tombstone_of(session: AsyncSession, subject_id: UUID) -> Tombstone:
    """How far the erasure of a person has come, or `NotFound`."""
    found = await session.get(Tombstone, subject_id)
    if found is None:
        raise NotFound
    return found


async def unfinished(session: AsyncSession, *, limit: int) -> Sequence[tuple[UUID, UUID]]:
    """Erasures to take up again, as (tenant, subject). In a system session."""
    query = (
        select(Tombstone.tenant_id, Tombstone.subject_id)
        .where(Tombstone.state == ErasureState.SHREDDED, Tombstone.next_at <= now())
        .order_by(col(Tombstone.next_at))
        .limit(limit)
    )
    return [(tenant_id, subject_id) for tenant_id, subject_id in (await session.exec(query)).all()]


async def _held(session: AsyncSession, subject_id: UUID) -> Tombstone:
    query = select(Tombstone).where(Tombstone.subject_id == subject_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound
    return found


async def _delete_some(database: Database, store: SealedStore, *, tenant_id: UUID, subject_id: UUID) -> bool:
    async with database.tenant(tenant_id) as session:
        query = select(Asset).where(Asset.subject_id == subject_id, Asset.state != "erased").limit(CHUNK)
        assets = (await session.exec(query)).all()
        for asset in assets:
            await store.delete(session, asset)
        if assets:
            tombstone = await _held(session, subject_id)
            tombstone.objects_deleted += len(assets)
            session.add(tombstone)
        return bool(assets)


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


async def _apply(session: AsyncSession, table: Table, subject_id: UUID) -> None:
    if table.schema == "keystore":
        return  # `shred_subject` is its eraser, and this role may not touch it
    eraser: Eraser = table.info["eraser"]
    if eraser.by is None or eraser.how == "keep":
        return
    ours = table.c[eraser.by] == subject_id
    if eraser.how == "delete":
        await session.exec(table.delete().where(ours))
    else:
        await session.exec(table.update().where(ours).values(dict.fromkeys(eraser.columns)))
