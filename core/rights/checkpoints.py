"""Keep every tenant's audit log sequenced and signed, and send checkpoints out.

A checkpoint in somebody else's hands is what makes a rewritten log visible: whoever keeps one can have it proved, at
any later time, that the log only grew since. So one goes out by webhook now and then, whole, to be kept.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log, note
from core.audit.models import AuditCheckpoint
from core.clock import now
from core.db import Database
from core.ids import Prefix, public
from core.keyring.service import Keyring
from core.storage.tombstones import ledger_of
from core.webhooks import service as webhooks

ANNOUNCE_EVERY = timedelta(hours=1)


async def sequence(database: Database, keyring: Keyring, *, tenant_id: UUID) -> AuditCheckpoint | None:
    """Take all waiting leaves of a tenant into its tree; returns the last checkpoint signed, None if none waited."""
    signer = await keyring.signing.active()
    newest = None
    while True:
        async with database.tenant(tenant_id) as session:
            await ledger_of(session).know_signer(signer.public_key)
            signed = await log.sequence(session, tenant_id=tenant_id, signer=signer)
            if signed is None:
                return newest
            await _announce(session, signed)
        newest = signed


async def waiting(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Tenants whose logs have leaves to take in. In a system session."""
    return await log.waiting(session, limit=limit)


async def _announce(session: AsyncSession, checkpoint: AuditCheckpoint) -> None:
    recent = (
        select(AuditCheckpoint.size)
        .where(col(AuditCheckpoint.announced), AuditCheckpoint.signed_at > now() - ANNOUNCE_EVERY)
        .limit(1)
    )
    if (await session.exec(recent)).first() is not None:
        return
    checkpoint.announced = True
    session.add(checkpoint)
    await webhooks.emit(
        session,
        tenant_id=checkpoint.tenant_id,
        type="audit.checkpoint",
        resource_id=checkpoint.tenant_id,
        data=thin(checkpoint),
    )


def thin(checkpoint: AuditCheckpoint) -> dict[str, str | int | list[str]]:
    """The checkpoint as an event carries it: all that its signed note is made of, as numbers and hexadecimal text.

    signature: key id, R and S, which in this order are the bytes of the note's signature line.
    """
    blob = note.signature_bytes(checkpoint.note)
    return {
        "tenant_id": public(Prefix.TENANT, checkpoint.tenant_id),
        "size": checkpoint.size,
        "root_hash": checkpoint.root_hash.hex(),
        "signature": [blob[:4].hex(), blob[4:36].hex(), blob[36:].hex()],
        "signed_at": checkpoint.signed_at.isoformat(),
    }
