"""The deployment's signing keys: Ed25519, for checkpoints of the audit log and for certificates.

One is active and signs; retired ones keep their public half for good, so that what they signed stays checkable. The
private half is wrapped by the key provider and lives in the key store.
"""

import base64
import hashlib
import json
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from core.db import Database
from core.keyring.context import Context
from core.keyring.provider import KeyProvider, Wrapped

RECENT_SECONDS = 60.0
_NOBODY = UUID(int=0)  # these keys belong to no tenant

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('likeness.signing_key', 0))")
_ACTIVE = text("SELECT version, public_key, wrapped, root_version FROM keystore.signing_key WHERE retired_at IS NULL")
_EVERY = text("SELECT public_key, created_at, retired_at FROM keystore.signing_key ORDER BY version DESC")
_NEWEST = text("SELECT coalesce(max(version), 0) FROM keystore.signing_key")
_ADOPT = text("""
    INSERT INTO keystore.signing_key (version, public_key, wrapped, root_version, retired_at)
    VALUES (:version, :public_key, NULL, 0, now())
""")
_RETIRE = text("UPDATE keystore.signing_key SET retired_at = now(), wrapped = NULL WHERE retired_at IS NULL")
_INSERT = text("""
    INSERT INTO keystore.signing_key (version, public_key, wrapped, root_version)
    VALUES (:version, :public_key, :wrapped, :root_version)
""")


@dataclass(frozen=True)
class PublicKey:
    """One published key. public_key: 32 bytes.

    It has signed nothing since `retired_at`, but for webhooks in the `RECENT_SECONDS` that followed.
    """

    public_key: bytes
    created_at: datetime
    retired_at: datetime | None

    @property
    def key_id(self) -> str:
        """The JWK thumbprint (RFC 7638 over RFC 8037), by which documents name the key."""
        return thumbprint(self.public_key)


class SigningKey:
    """An opened private key. Ask for it when it is needed and let it go soon."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._private.public_key().public_bytes_raw()
        self.key_id = thumbprint(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes, by RFC 8032."""
        return self._private.sign(message)


class SigningKeys:
    """Opens, makes, rotates and lists them. Every method raises KeyProviderUnavailable when the provider is away."""

    def __init__(self, database: Database, provider: KeyProvider) -> None:
        self._database = database
        self._provider = provider
        self._recent: tuple[float, SigningKey] | None = None

    async def recent(self) -> SigningKey:
        """The active key, for whoever signs all the time.

        After a rotation it may be the one before for `RECENT_SECONDS`.
        """
        if self._recent is None or time.monotonic() - self._recent[0] > RECENT_SECONDS:
            self._recent = (time.monotonic(), await self.active())
        return self._recent[1]

    async def active(self) -> SigningKey:
        """The key that signs now. The first call of a deployment makes it."""
        async with self._database.keystore(_NOBODY) as session:
            found = (await (await session.connection()).execute(_ACTIVE)).first()
            if found is None:
                await (await session.connection()).execute(_LOCK)
                found = (await (await session.connection()).execute(_ACTIVE)).first()
            if found is None:
                return await self._make(session)
        wrapped = Wrapped(found.root_version, found.wrapped)
        return SigningKey(await self._provider.unwrap(wrapped, context=_context(found.version)))

    async def rotate(self) -> SigningKey:
        """Retire the active key, whose private half is destroyed, and make the next."""
        async with self._database.keystore(_NOBODY) as session:
            await (await session.connection()).execute(_LOCK)
            await (await session.connection()).execute(_RETIRE)
            return await self._make(session)

    async def adopt(self, public_key: bytes) -> bool:
        """Publish, as retired, a key that a restored key store has forgotten. False when it is known already."""
        async with self._database.keystore(_NOBODY) as session:
            connection = await session.connection()
            await connection.execute(_LOCK)
            if any(row.public_key == public_key for row in (await connection.execute(_EVERY)).all()):
                return False
            version = int((await connection.execute(_NEWEST)).scalar_one()) + 1
            await connection.execute(_ADOPT, {"version": version, "public_key": public_key})
            return True

    async def published(self) -> list[PublicKey]:
        """Every key that ever signed, newest first; makes the first one if there is none yet."""
        found = await self._every()
        if not found:
            await self.active()
            found = await self._every()
        return found

    async def key_set(self) -> list[dict[str, str]]:
        """The published keys as JSON Web Keys, newest first."""
        return [jwk(key) for key in await self.published()]

    async def _every(self) -> list[PublicKey]:
        # Listing opens no private key: anybody may ask for the list, as often as they like.
        async with self._database.keystore(_NOBODY) as session:
            rows = (await (await session.connection()).execute(_EVERY)).all()
        return [PublicKey(row.public_key, row.created_at, row.retired_at) for row in rows]

    async def _make(self, session: AsyncSession) -> SigningKey:
        connection = await session.connection()
        version = int((await connection.execute(_NEWEST)).scalar_one()) + 1
        private = Ed25519PrivateKey.generate()
        wrapped = await self._provider.wrap(private.private_bytes_raw(), context=_context(version))
        made = SigningKey(private.private_bytes_raw())
        await connection.execute(
            _INSERT,
            {"version": version, "public_key": made.public_key, "wrapped": wrapped.data}
            | {"root_version": wrapped.version},
        )
        return made


def thumbprint(public_key: bytes) -> str:
    """The name of a key: base64url(SHA-256 of its required JWK members), RFC 7638 section 3 and RFC 8037 section 2."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public_key)}
    return _base64url(hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest())


def jwk(key: PublicKey) -> dict[str, str]:
    """The key as a JSON Web Key (RFC 8037)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": key.key_id,
        "x": _base64url(key.public_key),
    }


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _context(version: int) -> bytes:
    return Context(_NOBODY, "key:signing", version=version).encode()
