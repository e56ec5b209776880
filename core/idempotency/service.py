"""Answer a repeated request with what it made the first time.

The key's row is inserted in a transaction of its own, so that a second request sees it at once; the work then runs
and `finish` notes what it made. Only hashes are stored. A key is kept for 24 hours.
"""

import hashlib
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.errors import IdempotencyInFlight, IdempotencyMismatch
from core.idempotency.models import IdempotencyRecord

KEPT = timedelta(hours=24)
# A request that began and neither finished nor failed in this time died with its process; the key is free again.
ABANDONED = timedelta(minutes=5)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


async def begin(session: AsyncSession, *, tenant_id: UUID, key: str, request_hash: bytes) -> UUID | None:
    """Claim the key. None: go ahead. An id: this request made that resource before.

    Raises `IdempotencyInFlight` while the first is still working, `IdempotencyMismatch` when it was another request.
    """
    key_hash = _hash(key)
    oldest = now() - KEPT
    await session.exec(
        delete(IdempotencyRecord).where(
            col(IdempotencyRecord.key_hash) == key_hash,
            (col(IdempotencyRecord.created_at) < oldest)
            | (col(IdempotencyRecord.resource_id).is_(None) & (col(IdempotencyRecord.created_at) < now() - ABANDONED)),
        )
    )
    mine = await session.exec(
        insert(IdempotencyRecord)
        .values(tenant_id=tenant_id, key_hash=key_hash, request_hash=request_hash, created_at=now())
        .on_conflict_do_nothing()
        .returning(col(IdempotencyRecord.key_hash))
    )
    if mine.first() is not None:
        return None
    found = (await session.exec(select(IdempotencyRecord).where(IdempotencyRecord.key_hash == key_hash))).first()
    if found is None or (found.resource_id is None and found.request_hash == request_hash):
        raise IdempotencyInFlight
    if found.request_hash != request_hash:
        raise IdempotencyMismatch
    return found.resource_id


async def finish(session: AsyncSession, *, key: str, resource_id: UUID, status: int) -> None:
    """Note what the request made, in the transaction that makes it."""
    await session.exec(
        update(IdempotencyRecord)
        .where(col(IdempotencyRecord.key_hash) == _hash(key))
        .values(resource_id=resource_id, status=status)
    )


async def abandon(session: AsyncSession, *, key: str) -> None:
    """Free the key of a request that failed: nothing was made, so the same request may be sent again."""
    await session.exec(
        delete(IdempotencyRecord).where(
            col(IdempotencyRecord.key_hash) == _hash(key), col(IdempotencyRecord.resource_id).is_(None)
        )
    )


async def forget_old(session: AsyncSession) -> int:
    """Delete what is older than a day. For the sweep, in a system session."""
    gone = await session.exec(delete(IdempotencyRecord).where(col(IdempotencyRecord.created_at) < now() - KEPT))
    return int(gone.rowcount)
