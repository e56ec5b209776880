"""The tombstone ledger: what must stay erased, held or unused, kept apart from the database and every backup of it.

A restored database has forgotten what was erased, held or made to stand still after its backup was made. This ledger
has not: it lies in a place of its own (`LIKENESS_TOMBSTONES_URL`), is never restored, and is replayed before a restored
instance serves anybody.

Invariants of this file:
- An entry is on the disk, or in the bucket, before the transaction that it tells of commits. So no committed erasure
  is missing from it, whatever dies when.
- Entries are only ever added, each an object of its own that is written once; writing one again changes nothing.
- The erasure of a person is announced first (an intent) and entered once it has committed. What a crash left announced
  is settled by the sweep: entered where the tombstone stands, withdrawn where the transaction was rolled back. After a
  disaster an intent that nobody could settle counts as an erasure, because the person had asked for it.
- That a hold or a restriction is over is entered once that has committed: what is not known for certain still binds.
- An entry holds ids, plain words and times, and nothing of the person.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import after_commit
from core.storage.store import ObjectExists, ObjectMissing, Objects

_INTENTS = "intents"
_NOBODY = UUID(int=0)


class Kind(StrEnum):
    """What an entry is about.

    subject, asset, tenant: erased. consent: a purpose that a person took back or opted out of. api_key: revoked.
    hold, restriction: that somebody's data must be kept, or not be used; ended: that one of these was let go or lifted.
    signing_key: that a public key signs, so that what it signed can still be checked after a restore.
    backup, pruned: that a backup was made, and that it is gone.
    """

    SUBJECT = "subject"
    ASSET = "asset"
    TENANT = "tenant"
    CONSENT = "consent"
    API_KEY = "api_key"
    HOLD = "hold"
    RESTRICTION = "restriction"
    ENDED = "ended"
    SIGNING_KEY = "signing_key"
    BACKUP = "backup"
    PRUNED = "pruned"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. facts: ids and plain words that the replay needs."""

    kind: Kind
    tenant_id: UUID
    id: UUID
    at: datetime
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its place in the ledger."""
        return f"{self.kind.value}/{self.tenant_id.hex}/{self.id.hex}"


class Tombstones:
    """The ledger. Every method raises `core.errors.StorageUnavailable` when its place does not answer."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._signers: set[bytes] = set()

    async def enter(self, entry: Entry) -> None:
        """Add an entry for good. One that is there already stays as it is."""
        await self._put(entry.name, entry)

    async def know_signer(self, public_key: bytes) -> None:
        """Enter a public key before anything that it signed goes out. Costs nothing after the first time."""
        if public_key not in self._signers:
            named = UUID(bytes=hashlib.sha256(public_key).digest()[:16])
            await self.enter(Entry(Kind.SIGNING_KEY, _NOBODY, named, now(), {"public_key": public_key.hex()}))
            self._signers.add(public_key)

    async def announce(self, entry: Entry) -> None:
        """Say that an entry will follow if the transaction commits."""
        await self._put(f"{_INTENTS}/{entry.name}", entry)

    async def settle(self, entry: Entry) -> None:
        """Enter what was announced."""
        await self.enter(entry)
        await self.withdraw(entry)

    async def withdraw(self, entry: Entry) -> None:
        """Take an announcement back: it was entered, or its transaction was rolled back."""
        await self.objects.delete_all_versions(f"{_INTENTS}/{entry.name}")

    async def entries(self, *kinds: Kind) -> AsyncIterator[Entry]:
        """Every entry of these kinds, in no order."""
        for kind in kinds:
            async for entry in self._under(kind.value):
                yield entry

    async def announced(self, *, older_than: timedelta = timedelta(0)) -> AsyncIterator[Entry]:
        """What was announced, that long ago, and neither entered nor withdrawn."""
        moment = datetime.now(UTC) - older_than + timedelta(seconds=1)
        async for entry in self._under(_INTENTS, before=moment):
            yield entry

    async def _put(self, name: str, entry: Entry) -> None:
        said = {"kind": entry.kind, "tenant": entry.tenant_id.hex, "id": entry.id.hex, "at": entry.at.isoformat()}

        async def content() -> AsyncIterator[bytes]:
            yield json.dumps({**said, "facts": entry.facts}, sort_keys=True).encode()

        try:
            await self.objects.put_stream(name, content())
        except ObjectExists:
            return

    async def _under(self, folder: str, *, before: datetime | None = None) -> AsyncIterator[Entry]:
        async for names in self.objects.list_under(folder, before=before):
            for name in names:
                try:
                    content = b"".join([chunk async for chunk in await self.objects.get_stream(name)])
                except ObjectMissing:
                    continue  # settled since it was listed
                yield _read(content)


def _read(content: bytes) -> Entry:
    said = json.loads(content)
    return Entry(
        kind=Kind(said["kind"]),
        tenant_id=UUID(hex=said["tenant"]),
        id=UUID(hex=said["id"]),
        at=datetime.fromisoformat(said["at"]),
        facts=said["facts"],
    )


def ledger_of(session: AsyncSession) -> Tombstones:
    """The ledger that `core.bootstrap` lends to every session. Without one nothing may be erased."""
    found: Tombstones | None = session.info.get("tombstones")
    if found is None:
        raise RuntimeError("there is no tombstone ledger, so an erasure could be undone by a restore")
    return found


async def remember(session: AsyncSession, kind: Kind, *, tenant_id: UUID, id: UUID, **facts: Any) -> None:  # noqa: A002 (the field's own name)
    """Enter what the caller's transaction takes away for good, or forbids.

    It stands even if that is rolled back: for what the person wanted anyhow, and what is harmless to do again.
    """
    await ledger_of(session).enter(Entry(kind, tenant_id, id, now(), facts))


async def remember_once_committed(session: AsyncSession, kind: Kind, *, tenant_id: UUID, id: UUID) -> None:  # noqa: A002 (the field's own name)
    """Announce what the caller's transaction takes away, and enter it when that has committed."""
    ledger, entry = ledger_of(session), Entry(kind, tenant_id, id, now())
    await ledger.announce(entry)
    after_commit(session, partial(ledger.settle, entry))


def remember_end(session: AsyncSession, *, tenant_id: UUID, id: UUID) -> None:  # noqa: A002 (the field's own name)
    """Enter, once the caller's transaction has committed, that a hold or a restriction is over.

    Should that fail, a restore brings it back: then it is let go of again, and nothing was lost by it.
    """
    after_commit(session, partial(ledger_of(session).enter, Entry(Kind.ENDED, tenant_id, id, now())))
