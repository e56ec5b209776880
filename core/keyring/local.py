"""Root keys in files, for one machine.

Whoever reads these files opens everything, so a managed key service is the right choice in production; `open_provider`
refuses this one there unless the deployment says in so many words that it wants it.

Layout of the folder (mode 0700): `root-<version>.key`, each 32 random bytes, mode 0600, written once, never changed.

A wrap is  root id (8 bytes) || sealed value (see `sealing.py`). The root id, the first 8 bytes of
SHA-256("likeness.root-id" || root key), tells a foreign or re-created key file from an altered wrap.
"""

import asyncio
import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import KeyProviderUnavailable
from core.keyring.provider import Wrapped
from core.keyring.sealing import KEY_BYTES, SealBroken, new_key, open_value, seal_value

_NAME: Final = re.compile(r"root-([1-9][0-9]{0,8})\.key")
_ID_BYTES: Final = 8
_OTHERS: Final = 0o077


class LocalKeyFile:
    """A `KeyProvider` over a folder of key files. Files are read at each use, so what is removed is gone at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add_version(self) -> int:
        """Write a new root version and return its number; from now on it wraps. The first call makes the folder."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        version = max(self._versions(), default=0) + 1
        _write_once(self._path(version), new_key())
        return version

    def ensure_version(self) -> None:
        """Write the first root version if there is none. Two processes may try at once: one of them writes."""
        if self._folder.is_dir() and self._versions():
            return
        with suppress(FileExistsError):
            self.add_version()

    async def wrap(self, plaintext: bytes, *, context: bytes) -> Wrapped:
        """See KeyProvider."""
        return await asyncio.to_thread(self._wrap, plaintext, context)

    async def unwrap(self, wrapped: Wrapped, *, context: bytes) -> bytes:
        """See KeyProvider."""
        return await asyncio.to_thread(self._unwrap, wrapped, context)

    async def rewrap(self, wrapped: Wrapped, *, context: bytes) -> Wrapped:
        """See KeyProvider."""
        return await self.wrap(await self.unwrap(wrapped, context=context), context=context)

    async def destroy_version(self, version: int) -> None:
        """See KeyProvider. Raises ValueError for the newest version."""
        await asyncio.to_thread(self._destroy, version)

    async def health(self) -> None:
        """See KeyProvider."""
        probe = new_key()
        try:
            opened = await self.unwrap(await self.wrap(probe, context=b"health"), context=b"health")
        except SealBroken as error:
            raise KeyProviderUnavailable("The key file gives back something else than it was given.") from error
        if opened != probe:
            raise KeyProviderUnavailable("The key file gives back something else than it was given.")

    def _wrap(self, plaintext: bytes, context: bytes) -> Wrapped:
        version = self._newest()
        root = self._read(version)
        return Wrapped(version, _root_id(root) + seal_value(AESGCM(root), context, plaintext))

    def _unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        root = self._read(wrapped.version)
        if wrapped.data[:_ID_BYTES] != _root_id(root):
            raise KeyProviderUnavailable("The key file is not the one that this was wrapped under.")
        return open_value(AESGCM(root), context, wrapped.data[_ID_BYTES:])

    def _destroy(self, version: int) -> None:
        if version == self._newest():
            raise ValueError("the newest root version wraps; add another before destroying it")
        path = self._path(version)
        try:
            with path.open("r+b") as file:
                # Journals and wear levelling may keep the old blocks all the same; a key service does not have them.
                file.write(bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            _sync_folder(self._folder)
        except OSError as error:
            raise KeyProviderUnavailable("The key file cannot be destroyed.") from error

    def _newest(self) -> int:
        newest = max(self._versions(), default=None)
        if newest is None:
            raise KeyProviderUnavailable("There is no root key in the key folder.")
        return newest

    def _versions(self) -> list[int]:
        try:
            found = [_NAME.fullmatch(entry.name) for entry in self._folder.iterdir()]
        except OSError as error:
            raise KeyProviderUnavailable("The key folder cannot be read.") from error
        return [int(match[1]) for match in found if match]

    def _read(self, version: int) -> bytes:
        try:
            with self._path(version).open("rb") as file:
                if os.fstat(file.fileno()).st_mode & _OTHERS:
                    raise KeyProviderUnavailable("The key file can be read by others; set its mode to 0600.")
                root = file.read(KEY_BYTES + 1)
        except OSError as error:
            raise KeyProviderUnavailable("The key file cannot be read.") from error
        if len(root) != KEY_BYTES:
            raise KeyProviderUnavailable("The key file is damaged.")
        return root

    def _path(self, version: int) -> Path:
        return self._folder / f"root-{version}.key"


def _root_id(root: bytes) -> bytes:
    return hashlib.sha256(b"likeness.root-id" + root).digest()[:_ID_BYTES]


def _write_once(path: Path, content: bytes) -> None:
    """All or nothing, on the disk when this returns, and never over a file that is there. Raises FileExistsError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
