"""The key hierarchy: root → tenant KEK, versioned → random subject key → random object key.

Invariants of this file:
- Subject keys are random, so deleting the wrap destroys everything sealed under them. They are written and shredded in
  the caller's transaction, by two functions of the database, so that a row and its key live and die together.
- An opened key is cached only within the bounds of the settings, and only while the listener surely hears of shreds.
- When the key provider or the key store does not answer, the answer is KeyProviderUnavailable; nothing is ever sealed
  or opened without its key.
- No key, wrapped or clear, reaches a log, an error or a metric.
"""

import functools
import hashlib
import hmac
import logging
import unicodedata
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from core.db import Database, after_commit
from core.errors import Gone, KeyProviderUnavailable
from core.keyring import queries
from core.keyring.cache import BoundedCache
from core.keyring.context import Context, length_prefixed
from core.keyring.inventory import Inventory, take
from core.keyring.listener import ShredListener
from core.keyring.provider import KeyProvider, Wrapped
from core.keyring.sealer import Lifeline, Sealer
from core.keyring.sealing import new_key, open_value, seal_value
from core.keyring.signing_keys import SigningKeys
from core.settings import KeySettings

logger = logging.getLogger("likeness.keyring")

_INDEX = "index"
_SECRETS = "secrets"
_ALL = "*"
_GONE = "!"
_PUT_ATTEMPTS = 3


@dataclass(frozen=True)
class KekVersion:
    """One version of a tenant's KEK. root_version: of the root key that it is, or was, wrapped under."""

    version: int
    destroyed: bool
    root_version: int
    created_at: datetime


class Keyring:
    """Hands out Sealers, blind indexes and tenant secrets. One per process; safe to use from many tasks at once.

    Without `start` it works and caches nothing.
    """

    def __init__(self, database: Database, provider: KeyProvider, settings: KeySettings) -> None:
        self._database = database
        self._provider = provider
        self._sealers = BoundedCache[tuple[UUID, UUID], Sealer](
            seconds=settings.cache_seconds, uses=settings.cache_uses
        )
        self._tenant_keys = BoundedCache[tuple[UUID, str, int], bytes](
            seconds=settings.cache_seconds, uses=settings.cache_uses
        )
        self._lifelines: weakref.WeakValueDictionary[tuple[UUID, UUID], Lifeline] = weakref.WeakValueDictionary()
        self.signing = SigningKeys(database, provider)
        _, connect_args = database.keys.dialect.create_connect_args(database.keys.url)
        self._listener = ShredListener(connect_args, on_word=self._hear, on_gap=self._forget_all)

    async def start(self) -> None:
        """Listen for shreds, and cache from now on."""
        await self._listener.start()

    async def close(self) -> None:
        """Stop listening, and forget every key."""
        await self._listener.close()
        self._forget_all()

    @property
    def caching(self) -> bool:
        """Whether opened keys are kept, because shreds are surely heard of."""
        return self._listener.healthy

    async def health(self) -> None:
        """Raises KeyProviderUnavailable when the root key or the key store does not answer."""
        await self._provider.health()
        async with self._keystore(UUID(int=0)) as connection:
            await connection.execute(queries.ACTIVE_KEK, {"tenant": UUID(int=0)})

    async def create_tenant(self, tenant_id: UUID) -> None:
        """Make a tenant's first keys, in a transaction of their own. Does nothing for a tenant that has them."""
        async with self._keystore(tenant_id) as connection:
            await connection.execute(queries.LOCK_TENANT, {"tenant": str(tenant_id)})
            if (await connection.execute(queries.ACTIVE_KEK, {"tenant": tenant_id})).first() is not None:
                return
            kek = await self._insert_kek(connection, tenant_id, version=1)
            for purpose in (_INDEX, _SECRETS):
                wrapped = seal_value(AESGCM(kek), _tenant_key_context(tenant_id, purpose, kek_version=1), new_key())
                await connection.execute(
                    queries.INSERT_TENANT_KEY,
                    {"tenant": tenant_id, "purpose": purpose, "version": 1, "wrapped": wrapped}
                    | {"root_version": None, "kek_version": 1},
                )

    async def new_subject_key(self, session: AsyncSession, tenant_id: UUID, subject_id: UUID) -> Sealer:
        """Give a new subject its random key, in the caller's tenant session, and return its Sealer.

        The key is there once that session commits; until then only this Sealer knows it.
        Raises KeyProviderUnavailable, also for a tenant without keys.
        """
        for _ in range(_PUT_ATTEMPTS):
            async with self._keystore(tenant_id) as connection:
                kek = (await connection.execute(queries.ACTIVE_KEK, {"tenant": tenant_id})).first()
            if kek is None:
                raise KeyProviderUnavailable("The tenant has no keys.")
            opened = await self._kek(tenant_id, kek.version, Wrapped(kek.root_version, kek.wrapped))
            key = new_key()
            wrapped = seal_value(
                AESGCM(opened), _subject_key_context(tenant_id, subject_id, kek_version=kek.version), key
            )
            put = await (await session.connection()).execute(
                queries.PUT_SUBJECT_KEY, {"subject": subject_id, "version": kek.version, "wrapped": wrapped}
            )
            if put.scalar_one():
                return Sealer(tenant_id, subject_id, key=key, lifeline=self._lifeline((tenant_id, subject_id)))
            # A rotation came between: wrap under the KEK that is active now.
        raise KeyProviderUnavailable("The tenant's keys are being rotated.")

    async def shred_subject(self, session: AsyncSession, subject_id: UUID) -> int:
        """Destroy a subject's key, in the caller's tenant session.

        When that commits, every process forgets the key within 5 s, and nothing sealed under it opens again.
        Returns how many wraps were deleted: 1, or 0 if there was none.
        """
        shredded = (await (await session.connection()).execute(queries.SHRED_SUBJECT, {"subject": subject_id})).one()
        after_commit(session, functools.partial(self._forget_subject, shredded.tenant, subject_id))
        return int(shredded.wraps)

    async def shred_tenant(self, session: AsyncSession) -> int:
        """Destroy all keys of a tenant, in the caller's session of that tenant, whatever the number of its people.

        When that commits, every process forgets them and its people's within 5 s; nothing of the tenant opens again.
        Returns how many keys there were.
        """
        shredded = (await (await session.connection()).execute(queries.SHRED_TENANT)).one()
        after_commit(session, functools.partial(self._forget_tenant, shredded.tenant))
        return int(shredded.keys)

    async def held_of_tenant(self, tenant_id: UUID) -> tuple[int, int]:
        """What the key store still holds of a tenant, past every cache: living keys of its own, wraps of its people."""
        async with self._keystore(tenant_id) as connection:
            found = (await connection.execute(queries.HELD_OF_TENANT, {"tenant": tenant_id})).one()
        return int(found.own), int(found.people)

    async def subject_sealer(self, tenant_id: UUID, subject_id: UUID) -> Sealer:
        """The Sealer of a subject. Raises Gone if it was shredded or never was, and KeyProviderUnavailable."""
        place = (tenant_id, subject_id)
        if self._listener.healthy and (known := self._sealers.get(place)) is not None:
            return known
        # Both are taken before the read: a shred that commits after it makes the ticket void and cuts the lifeline.
        ticket, lifeline = self._sealers.ticket(), self._lifeline(place)
        async with self._keystore(tenant_id) as connection:
            found = await connection.execute(queries.SUBJECT_KEY, {"tenant": tenant_id, "subject": subject_id})
            row = found.first()
        if row is None:
            raise Gone
        kek = await self._kek(tenant_id, row.kek_version, Wrapped(row.root_version, row.kek_wrapped))
        context = _subject_key_context(tenant_id, subject_id, kek_version=row.kek_version)
        sealer = Sealer(tenant_id, subject_id, key=open_value(AESGCM(kek), context, row.wrapped), lifeline=lifeline)
        if self._listener.healthy:
            self._sealers.put(place, sealer, ticket=ticket)
        return sealer

    async def holds_subject_key(self, tenant_id: UUID, subject_id: UUID) -> bool:
        """Whether the key store still has a wrap of this subject's key: asked after a shred, past every cache."""
        async with self._keystore(tenant_id) as connection:
            found = await connection.execute(queries.SUBJECT_KEY_HELD, {"tenant": tenant_id, "subject": subject_id})
            return bool(found.scalar_one())

    async def key_version(self, tenant_id: UUID) -> int:
        """The tenant's newest KEK version, also of one that left. Raises KeyProviderUnavailable without any."""
        async with self._keystore(tenant_id) as connection:
            version = (await connection.execute(queries.NEWEST_KEK, {"tenant": tenant_id})).scalar_one()
        if version is None:
            raise KeyProviderUnavailable("The tenant has no keys.")
        return int(version)

    async def kek_versions(self, tenant_id: UUID) -> list[KekVersion]:
        """Every version that the tenant's KEK ever had, oldest first, and which of them are destroyed."""
        async with self._keystore(tenant_id) as connection:
            rows = (await connection.execute(queries.KEKS, {"tenant": tenant_id})).all()
        return [KekVersion(row.version, row.state == "destroyed", row.root_version, row.created_at) for row in rows]

    async def inventory(self, tenant_id: UUID) -> Inventory:
        """What keys the tenant has: versions, states and counts, and nothing that opens anything."""
        async with self._keystore(tenant_id) as connection:
            return await take(connection, tenant_id)

    async def blind_index(self, tenant_id: UUID, field: str, value: str) -> bytes:
        """32 bytes by which a sealed field is found: equal values of one field of one tenant give equal bytes.

        HMAC-SHA-256 under the tenant's index key over length-prefixed field and value. The value is taken in Unicode
        normalisation form C, so that canonically equal text is found, and otherwise as it is: `A1` and `a1` may be two
        people, so folding case is for the caller, who knows the field.
        """
        key = await self._tenant_key(tenant_id, _INDEX)
        message = length_prefixed(field.encode(), unicodedata.normalize("NFC", value).encode())
        return hmac.digest(key, b"likeness.blind-index.v1" + message, hashlib.sha256)

    async def seal_secret(self, tenant_id: UUID, name: str, secret: bytes) -> bytes:
        """A secret of the tenant as a whole, sealed. name: what it is for, bound into the seal."""
        return seal_value(AESGCM(await self._tenant_key(tenant_id, _SECRETS)), _secret_context(tenant_id, name), secret)

    async def open_secret(self, tenant_id: UUID, name: str, sealed: bytes) -> bytes:
        """What `seal_secret` sealed under the same name. Raises `core.keyring.sealing.SealBroken`."""
        return open_value(AESGCM(await self._tenant_key(tenant_id, _SECRETS)), _secret_context(tenant_id, name), sealed)

    async def rotate_tenant(self, tenant_id: UUID, *, chunk: int = 500) -> int:
        """Move a tenant to a new KEK and destroy the older ones; returns the new version. Objects stay as they are.

        Reads and writes go on meanwhile. Each chunk of subject keys is a transaction of its own; a rotation that was
        cut off is completed by the next one.
        """
        async with self._keystore(tenant_id) as connection:
            # 1. A new active KEK, under the newest root. Retiring waits for those who are writing under the old one;
            #    once this commits, nothing more is wrapped under it.
            await connection.execute(queries.LOCK_TENANT, {"tenant": str(tenant_id)})
            old = (await connection.execute(queries.ACTIVE_KEK, {"tenant": tenant_id})).first()
            if old is None:
                raise KeyProviderUnavailable("The tenant has no keys.")
            version = int(old.version) + 1
            await connection.execute(queries.RETIRE_KEK, {"tenant": tenant_id, "version": old.version})
            await self._insert_kek(connection, tenant_id, version=version)
        # 2. The index and secrets keys, then the subject keys, rewrapped under the active KEK.
        while await self._rewrap(tenant_id, chunk):
            pass
        # 3. Nothing needs the older KEKs: destroy them, here and in every cache.
        async with self._keystore(tenant_id) as connection:
            await connection.execute(queries.DESTROY_UNUSED_KEKS, {"tenant": tenant_id})
            await connection.execute(queries.TELL, {"word": f"{tenant_id}:{_ALL}"})
        self._tenant_keys.clear()
        return version

    async def _rewrap(self, tenant_id: UUID, chunk: int) -> int:
        """Rewrap one chunk in one transaction; returns how many subject keys were in it."""
        async with self._keystore(tenant_id) as connection:
            # The lock keeps another rotation from retiring, meanwhile, the KEK that we wrap under.
            tenant = {"tenant": tenant_id}
            await connection.execute(queries.LOCK_TENANT, {"tenant": str(tenant_id)})
            version = (await connection.execute(queries.ACTIVE_KEK, tenant)).one().version
            keks = {
                kek.version: AESGCM(await self._kek(tenant_id, kek.version, Wrapped(kek.root_version, kek.wrapped)))
                for kek in await connection.execute(queries.LIVING_KEKS, tenant)
            }
            behind = tenant | {"version": version}
            for row in (await connection.execute(queries.TENANT_KEYS_BEHIND, behind)).all():
                key = open_value(
                    keks[row.kek_version],
                    _tenant_key_context(tenant_id, row.purpose, kek_version=row.kek_version),
                    row.wrapped,
                )
                wrapped = seal_value(
                    keks[version], _tenant_key_context(tenant_id, row.purpose, kek_version=version), key
                )
                await connection.execute(
                    queries.REWRAP_TENANT_KEY, behind | {"purpose": row.purpose, "wrapped": wrapped}
                )
            rewrapped = []
            for row in (await connection.execute(queries.SUBJECT_KEYS_BEHIND, behind | {"chunk": chunk})).all():
                old, new = (
                    _subject_key_context(tenant_id, row.subject_id, kek_version=kek)
                    for kek in (row.kek_version, version)
                )
                key = open_value(keks[row.kek_version], old, row.wrapped)
                rewrapped.append(behind | {"subject": row.subject_id, "wrapped": seal_value(keks[version], new, key)})
            if rewrapped:
                await connection.execute(queries.REWRAP_SUBJECT_KEY, rewrapped)
            return len(rewrapped)

    async def _insert_kek(self, connection: AsyncConnection, tenant_id: UUID, *, version: int) -> bytes:
        kek = new_key()
        wrapped = await self._provider.wrap(kek, context=_kek_context(tenant_id, version))
        await connection.execute(
            queries.INSERT_TENANT_KEY,
            {"tenant": tenant_id, "purpose": "kek", "version": version, "wrapped": wrapped.data}
            | {"root_version": wrapped.version, "kek_version": None},
        )
        return kek

    async def _kek(self, tenant_id: UUID, version: int, wrapped: Wrapped) -> bytes:
        """An opened KEK, from the cache or from the provider."""
        place = (tenant_id, "kek", version)
        if self._listener.healthy and (known := self._tenant_keys.get(place)) is not None:
            return known
        ticket = self._tenant_keys.ticket()
        kek = await self._provider.unwrap(wrapped, context=_kek_context(tenant_id, version))
        if self._listener.healthy:
            self._tenant_keys.put(place, kek, ticket=ticket)
        return kek

    async def _tenant_key(self, tenant_id: UUID, purpose: str) -> bytes:
        """The opened index or secrets key."""
        place = (tenant_id, purpose, 0)
        if self._listener.healthy and (known := self._tenant_keys.get(place)) is not None:
            return known
        ticket = self._tenant_keys.ticket()
        async with self._keystore(tenant_id) as connection:
            row = (await connection.execute(queries.TENANT_KEY, {"tenant": tenant_id, "purpose": purpose})).first()
        if row is None:
            raise KeyProviderUnavailable("The tenant has no keys.")
        kek = await self._kek(tenant_id, row.kek_version, Wrapped(row.root_version, row.kek_wrapped))
        key = open_value(AESGCM(kek), _tenant_key_context(tenant_id, purpose, kek_version=row.kek_version), row.wrapped)
        if self._listener.healthy:
            self._tenant_keys.put(place, key, ticket=ticket)
        return key

    @asynccontextmanager
    async def _keystore(self, tenant_id: UUID) -> AsyncIterator[AsyncConnection]:
        """A transaction on the key store. Losing it is KeyProviderUnavailable, without the statement and its keys."""
        try:
            async with self._database.keystore(tenant_id) as session:
                yield await session.connection()
        except (OperationalError, InterfaceError, OSError) as error:
            logger.warning("the key store does not answer", extra={"error_type": type(error).__name__})
            raise KeyProviderUnavailable("The key store cannot be reached.") from None

    def _lifeline(self, place: tuple[UUID, UUID]) -> Lifeline:
        return self._lifelines.setdefault(place, Lifeline())

    async def _forget_tenant(self, tenant_id: UUID) -> None:
        self._hear(f"{tenant_id}:{_GONE}")

    async def _forget_subject(self, tenant_id: UUID, subject_id: UUID) -> None:
        self._hear(f"{tenant_id}:{subject_id}")

    def _hear(self, word: str) -> None:
        """Act on one word of the listener. A word that cannot be read might have been a shred: forget everything."""
        tenant, _, what = word.partition(":")
        if what == _ALL:
            self._tenant_keys.clear()
            return
        if what == _GONE:
            self._forget_all()
            for (whose, _), held in list(self._lifelines.items()):
                held.cut = held.cut or str(whose) == tenant
            return
        try:
            place = (UUID(tenant), UUID(what))
        except ValueError:
            self._forget_all()
            return
        self._sealers.evict(place)
        lifeline = self._lifelines.pop(place, None)
        if lifeline is not None:
            lifeline.cut = True

    def _forget_all(self) -> None:
        self._sealers.clear()
        self._tenant_keys.clear()


def _kek_context(tenant_id: UUID, version: int) -> bytes:
    return Context(tenant_id, "key:kek", version=version).encode()


def _tenant_key_context(tenant_id: UUID, purpose: str, *, kek_version: int) -> bytes:
    return Context(tenant_id, f"key:{purpose}", version=kek_version).encode()


def _subject_key_context(tenant_id: UUID, subject_id: UUID, *, kek_version: int) -> bytes:
    return Context(tenant_id, "key:subject", subject=subject_id, version=kek_version).encode()


def _secret_context(tenant_id: UUID, name: str) -> bytes:
    return Context(tenant_id, f"secret:{name}").encode()
