"""Append to the log.

A leaf holds no personal data. What it is about is bound by `commitment = HMAC-SHA-256(salt, canonical facts)`: whoever
has the salt and the facts can check it; once erasure destroys the salt, the leaf stays provable and says nothing.
The leaf hash follows RFC 6962: SHA-256(0x00 ‖ leaf).
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit.models import AuditEntry

Fact = str | int | bool | None


async def append(
    session: AsyncSession,
    *,
    tenant_id: UUID,
    kind: str,
    actor: str,
    facts: Mapping[str, Fact],
    subject_id: UUID | None = None,
) -> AuditEntry:
    """Add a leaf in the caller's transaction: it happened if, and only if, the rest did. Facts are ids and states."""
    entry = AuditEntry(
        tenant_id=tenant_id, subject_id=subject_id, kind=kind, actor=actor, commitment=b"", leaf_hash=b""
    )
    entry.salt = secrets.token_bytes(16)
    bound = {**facts, "subject": None if subject_id is None else subject_id.hex}
    entry.commitment = hmac.digest(entry.salt, canonical(bound), "sha256")
    entry.leaf_hash = hashlib.sha256(b"\x00" + leaf(entry)).digest()
    session.add(entry)
    await session.flush()
    return entry


def leaf(entry: AuditEntry) -> bytes:
    """The bytes that are hashed: what stays of an entry for good."""
    return canonical(
        {
            "id": entry.id.hex,
            "tenant": entry.tenant_id.hex,
            "kind": entry.kind,
            "actor": entry.actor,
            "commitment": entry.commitment.hex(),
            "at": int(entry.recorded_at.timestamp() * 1_000_000),
        }
    )


def canonical(value: Mapping[str, Fact]) -> bytes:
    """JSON with sorted keys, no spaces and no floats: one encoding per value (a subset of RFC 8785)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
