"""What keys a tenant has, as operators may see it: versions, states, ages and counts. No wrap is ever read for it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from core.keyring import queries


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a tenant's key. purpose: `kek`, `index` or `secrets`. held: subject keys wrapped under a KEK."""

    purpose: str
    version: int
    state: str
    root_version: int | None
    kek_version: int | None
    created_at: datetime
    held: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """A tenant's keys. behind: subject keys that a rotation has still to move to the active KEK."""

    versions: tuple[KeyVersion, ...]
    subject_keys: int
    behind: int


async def take(connection: AsyncConnection, tenant_id: UUID) -> Inventory:
    """Count a tenant's keys, on the key store."""
    rows = (await connection.execute(queries.KEY_VERSIONS, {"tenant": tenant_id})).all()
    counted = (await connection.execute(queries.SUBJECT_KEYS_BY_KEK, {"tenant": tenant_id})).all()
    held = {row.kek_version: row.held for row in counted}
    active = next((row.version for row in rows if row.purpose == "kek" and row.state == "active"), None)
    return Inventory(
        versions=tuple(
            KeyVersion(
                purpose=row.purpose,
                version=row.version,
                state=row.state,
                root_version=row.root_version,
                kek_version=row.kek_version,
                created_at=row.created_at,
                held=held.get(row.version, 0) if row.purpose == "kek" else 0,
            )
            for row in rows
        ),
        subject_keys=sum(held.values()),
        behind=sum(count for version, count in held.items() if version != active),
    )
