"""What Likeness asks of the place that holds the root keys, and which place a deployment uses."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from core.errors import KeyProviderUnavailable
from core.settings import KeySettings

logger = logging.getLogger("likeness.keyring")

_NOT_BUILT_IN = {"aws-kms": "AWS KMS", "vault": "HashiCorp Vault"}


@dataclass(frozen=True)
class Wrapped:
    """A key sealed under a root key. version: of that root key; data: the provider's own bytes, stored as they are."""

    version: int
    data: bytes


class KeyProvider(Protocol):
    """A root key, versioned, that never leaves its place: it wraps tenant keys and unwraps them, nothing else.

    A provider keeps every version until `destroy_version`, wraps under the newest, and unwraps under any that lives.
    `context` is bound into the wrap as additional authenticated data (`EncryptionContext` in AWS KMS, `associated_data`
    in Vault's transit engine): a wrap opens only with the same bytes.

    Every method raises `core.errors.KeyProviderUnavailable` when the place cannot be reached or does not hold the
    version, and never falls back to anything weaker. `unwrap` and `rewrap` raise `core.keyring.sealing.SealBroken` for
    bytes that were altered, or wrapped for another context. Implementations are safe to call from many tasks at once,
    and cache nothing: the keyring does, within its bounds.
    """

    async def wrap(self, plaintext: bytes, *, context: bytes) -> Wrapped:
        """Seal at most 4 KiB under the newest root version."""
        ...

    async def unwrap(self, wrapped: Wrapped, *, context: bytes) -> bytes:
        """Open what `wrap` sealed."""
        ...

    async def rewrap(self, wrapped: Wrapped, *, context: bytes) -> Wrapped:
        """The same key under the newest root version. Where the place can do so, the clear key never leaves it."""
        ...

    async def destroy_version(self, version: int) -> None:
        """Destroy one root version for good; all that is wrapped under it is dead. The newest cannot be destroyed."""
        ...

    async def health(self) -> None:
        """Wrap and unwrap a probe. Returns when that works, raises KeyProviderUnavailable when it does not."""
        ...


def open_provider(settings: KeySettings, *, environment: str) -> KeyProvider:
    """The provider that the settings name: one place, by the scheme of `LIKENESS_KEYS_URL`.

    environment: `development` or `production`. In development a missing or empty key folder gets its first root key;
    in production it must be there, because a root key made by mistake hides that the right one is missing.
    Raises KeyProviderUnavailable for a scheme that is unknown or not built in, and for key files in production unless
    `LIKENESS_KEYS_LOCAL_IN_PRODUCTION` allows them.
    """
    from core.keyring.local import LocalKeyFile

    url = urlsplit(settings.url)
    if url.scheme in _NOT_BUILT_IN:
        raise KeyProviderUnavailable(f"{_NOT_BUILT_IN[url.scheme]} is not built into this version; use a file:// URL.")
    if url.scheme != "file" or url.netloc or not url.path.startswith("/"):
        raise KeyProviderUnavailable("LIKENESS_KEYS_URL must name a folder, as in file:///var/lib/likeness/keys.")
    provider = LocalKeyFile(Path(unquote(url.path)))
    if environment != "production":
        provider.ensure_version()
        return provider
    if not settings.local_in_production:
        raise KeyProviderUnavailable(
            "Key files are refused in production. Use a key service, or set LIKENESS_KEYS_LOCAL_IN_PRODUCTION=true."
        )
    logger.warning("root keys are in local files, in production, by explicit setting")
    return provider
