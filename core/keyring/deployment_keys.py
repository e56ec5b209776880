"""The keys of the deployment as a whole: the roots of its certificates, and the key of its invisible mark.

They lie in the key store, which its own role alone may enter, sealed as a tenant's secrets are, under an id that no
tenant can have. Rows are only ever added: what an old key made stays checkable after any rotation.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from core.db import Database
from core.keyring.service import Keyring

DEPLOYMENT: Final = UUID("00000000-0000-8000-8000-6c696b656e65")

_NEWEST = text("""
    SELECT version, certificate, sealed_key FROM keystore.deployment_key
    WHERE purpose = :purpose ORDER BY version DESC LIMIT 1
""")
_CERTIFICATES = text("""
    SELECT certificate FROM keystore.deployment_key
    WHERE purpose = :purpose AND certificate IS NOT NULL ORDER BY version
""")
_ADD = text("""
    INSERT INTO keystore.deployment_key (purpose, version, certificate, sealed_key)
    VALUES (:purpose, :version, :certificate, :sealed_key) ON CONFLICT DO NOTHING
""")


class DeploymentPurpose(StrEnum):
    """root signs the certificates of tenants' signers; watermark keys the invisible mark and the fingerprints."""

    ROOT = "root"
    WATERMARK = "watermark"


@dataclass(frozen=True, slots=True)
class DeploymentKey:
    """One key, still sealed. certificate: PEM of a root, which is public."""

    purpose: DeploymentPurpose
    version: int
    certificate: str | None
    sealed_key: bytes = field(repr=False)


class DeploymentKeys:
    """Adds, lists and opens them. Raises KeyProviderUnavailable when the provider is away."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def newest(self, purpose: DeploymentPurpose) -> DeploymentKey | None:
        """The key of that purpose that is used now; None before the first."""
        async with self._database.keystore(DEPLOYMENT) as session:
            found = (await (await session.connection()).execute(_NEWEST, {"purpose": purpose.value})).first()
        return None if found is None else _key(purpose, found)

    async def certificates(self, purpose: DeploymentPurpose) -> list[str]:
        """The certificates there ever were, in PEM, oldest first."""
        # Listing opens no private key: anybody may ask for the list, as often as they like.
        async with self._database.keystore(DEPLOYMENT) as session:
            found = await (await session.connection()).execute(_CERTIFICATES, {"purpose": purpose.value})
            return [str(row.certificate) for row in found]

    async def add(
        self, purpose: DeploymentPurpose, version: int, *, certificate: str | None, secret: bytes
    ) -> DeploymentKey:
        """Add a key, or take the one that another process has added meanwhile."""
        await self._keyring.create_tenant(DEPLOYMENT)
        sealed = await self._keyring.seal_secret(DEPLOYMENT, _name(purpose, version), secret)
        async with self._database.keystore(DEPLOYMENT) as session:
            adding = {"purpose": purpose.value, "version": version, "certificate": certificate, "sealed_key": sealed}
            await (await session.connection()).execute(_ADD, adding)
        added = await self.newest(purpose)
        if added is None:
            raise RuntimeError("a key that was just added is there")
        return added

    async def open(self, key: DeploymentKey) -> bytes:
        """The clear key. Let it go soon. Raises `core.keyring.sealing.SealBroken`."""
        return await self._keyring.open_secret(DEPLOYMENT, _name(key.purpose, key.version), key.sealed_key)


def _key(purpose: DeploymentPurpose, row: Row[Any]) -> DeploymentKey:
    return DeploymentKey(purpose, int(row.version), row.certificate, bytes(row.sealed_key))


def _name(purpose: DeploymentPurpose, version: int) -> str:
    return f"provenance:{purpose.value}:{version}"
