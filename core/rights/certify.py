"""Step 8 of an erasure: the certificate.

    draft    what was done and seen is written down, and a leaf of the audit log commits to its digest, all at once
    log      the leaf gets its number, and the tree that holds it is signed
    issue    the file with the log's proof is signed and drawn, the person's platform is told

Each is safe to repeat: a draft is made once and never changes, so a certificate that was cut off ends as the same one.
Nothing is certified before every process has forgotten the key, and every worker has let go of the person's photo.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log
from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import NotFound, StateConflict
from core.ids import Prefix, new_id, public
from core.jobs.models import Job, JobState
from core.photos import service as photos
from core.rights import checkpoints, erase, exports
from core.rights.certificate import LEAF_KIND, body_of, document_of, facts_of
from core.rights.models import ErasureCertificate, ErasureReceiver, ErasureState, Step, Tombstone
from core.rights.tables import kept, tables_of_people
from core.storage.service import SealedStore
from core.storage.tombstones import ledger_of
from core.webhooks import service as webhooks

ACTOR = "erasure"


def due_in(tombstone: Tombstone) -> timedelta:
    """How long until the erasure may be certified; zero or less: now."""
    return tombstone.shredded_at + erase.EVICTION - now()


async def certify(
    database: Database, store: SealedStore, *, tenant_id: UUID, subject_id: UUID, watch: erase.Watch = erase.unwatched
) -> ErasureCertificate:
    """Issue the certificate of an erasure, or return the one that was issued. Raises `StateConflict` if it is too soon.

    It is too soon, too, while a worker holds a job or writes an export of the person. The erasure then stays due, and
    is swept up again.

    watch: called before each of the three parts.
    """
    try:
        watch(Step.CERTIFICATE)
        certificate = await _draft(database, store, tenant_id, subject_id)
        if certificate.issued_at is not None:
            return certificate
        watch(Step.CERTIFICATE)
        await checkpoints.sequence(database, store.keyring, tenant_id=tenant_id)
        watch(Step.CERTIFICATE)
        return await _issue(database, store, tenant_id, certificate)
    except StateConflict:
        raise
    except Exception as error:
        await erase.note_failure(database, tenant_id, subject_id, error)
        raise


async def of_subject(session: AsyncSession, subject_id: UUID) -> ErasureCertificate | None:
    """The issued certificate of a person's erasure."""
    query = select(ErasureCertificate).where(
        ErasureCertificate.subject_id == subject_id, col(ErasureCertificate.issued_at).is_not(None)
    )
    return (await session.exec(query)).first()


async def get(session: AsyncSession, certificate_id: UUID) -> ErasureCertificate:
    """An issued certificate, or `NotFound`."""
    found = await session.get(ErasureCertificate, certificate_id)
    if found is None or found.issued_at is None:
        raise NotFound
    return found


async def receivers_of(session: AsyncSession, subject_id: UUID) -> list[ErasureReceiver]:
    """Whoever was told of the erasure."""
    query = (
        select(ErasureReceiver)
        .where(ErasureReceiver.subject_id == subject_id)
        .order_by(col(ErasureReceiver.endpoint_id))
    )
    return list((await session.exec(query)).all())


async def confirm(session: AsyncSession, *, subject_id: UUID, endpoint_id: UUID, actor: str) -> ErasureReceiver:
    """Note a receiver's word that it has erased as well. Saying it twice changes nothing. Raises NotFound."""
    query = (
        select(ErasureReceiver)
        .where(ErasureReceiver.subject_id == subject_id, ErasureReceiver.endpoint_id == endpoint_id)
        .with_for_update()
    )
    receiver = (await session.exec(query)).first()
    if receiver is None:
        raise NotFound
    if receiver.confirmed_at is None:
        receiver.confirmed_at, receiver.confirmed_by = now(), actor
        session.add(receiver)
        await audit.append(
            session,
            tenant_id=receiver.tenant_id,
            kind="erasure.confirmed",
            actor=actor,
            facts={"endpoint": endpoint_id.hex, "erasure": subject_id.hex},
        )
    return receiver


async def _draft(database: Database, store: SealedStore, tenant_id: UUID, subject_id: UUID) -> ErasureCertificate:
    key_version = await store.keyring.key_version(tenant_id)
    async with database.tenant(tenant_id) as session:
        tombstone = await erase.held(session, subject_id)
        if tombstone.state != ErasureState.ERASED or due_in(tombstone) > timedelta(0):
            raise StateConflict("The erasure is not at its end yet.")
        drafted = select(ErasureCertificate).where(ErasureCertificate.subject_id == subject_id)
        known = (await session.exec(drafted)).first()
        if known is not None:
            if known.issued_at is None:
                erase.put_off(session, tombstone)
            return known
        await _require_no_holder(session, subject_id)
        erase.put_off(session, tombstone)
        tombstone.done(Step.CERTIFICATE)
        certificate = ErasureCertificate(
            id=new_id(), tenant_id=tenant_id, subject_id=subject_id, body={}, entry_id=new_id()
        )
        certificate.body = body_of(
            certificate,
            tombstone,
            await receivers_of(session, subject_id),
            kept={table.name: await kept(session, table, subject_id) for table in tables_of_people()},
            key_version=key_version,
            issued_at=now(),
        )
        entry = await audit.append(
            session, tenant_id=tenant_id, kind=LEAF_KIND, actor=ACTOR, facts=facts_of(certificate)
        )
        certificate.entry_id = entry.id
        session.add(certificate)
        return certificate


async def _require_no_holder(session: AsyncSession, subject_id: UUID) -> None:
    # A running job was only asked to stop: until it has, or its lease is over, the clear photo may be in memory.
    running = select(Job.id).where(
        Job.subject_id == subject_id, Job.state == JobState.RUNNING, col(Job.lease_until) > now()
    )
    if (await session.exec(running.limit(1))).first() is not None:
        raise StateConflict("A worker still holds a job of this person.")
    if await photos.held_by_look(session, subject_id):
        raise StateConflict("A worker still looks at a photo of this person.")
    if await exports.held_by_builder(session, subject_id):
        raise StateConflict("A worker still writes an export of this person.")


async def _issue(
    database: Database, store: SealedStore, tenant_id: UUID, certificate: ErasureCertificate
) -> ErasureCertificate:
    from core.rights.certificate_pdf import draw

    key = await store.keyring.signing.active()
    async with database.tenant(tenant_id) as session:
        await ledger_of(session).know_signer(key.public_key)
        proved = await log.inclusion(session, entry_id=certificate.entry_id)
    document = document_of(certificate, proved, leaf=audit.leaf(proved.entry), key=key)
    rendering = await asyncio.to_thread(draw, document)
    async with database.tenant(tenant_id) as session:
        tombstone = await erase.held(session, certificate.subject_id)
        issued = await session.get_one(ErasureCertificate, certificate.id)
        if issued.issued_at is not None:
            return issued  # another worker was as fast
        issued.document, issued.rendering, issued.issued_at = document, rendering, now()
        tombstone.certified_at = issued.issued_at
        tombstone.attempts, tombstone.last_error = 0, None
        session.add_all((issued, tombstone))
        await webhooks.emit(
            session,
            tenant_id=tenant_id,
            type="erasure.certified",
            resource_id=tombstone.subject_id,
            data={
                "erasure_id": public(Prefix.ERASURE, tombstone.subject_id),
                "certificate_id": public(Prefix.CERTIFICATE, issued.id),
                "subject_id": public(Prefix.SUBJECT, tombstone.subject_id),
            },
        )
        return issued
