"""Objects on disk, S3, GCS or Azure: put once, get, delete, list. What passes here is sealed; names tell nothing.

Invariants of this file:
- An object is written once, whole or not at all, and never written over.
- When a put on disk returns, the bytes and the name are on the disk: file and folders are synced.
- A delete leaves no version behind. A bucket that keeps old versions is refused at the first put.
- Memory does not grow with the object, beyond the 8 MiB that go to a cloud store in one request.

On disk we write by ourselves, because obstore neither syncs nor streams into a name that must be new. Everything that
is read, deleted or listed goes through obstore.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import GCSStore, LocalStore, ObjectStore, from_url

from core.errors import IntegrityError, StorageUnavailable
from core.settings import StorageSettings, TombstoneSettings

if TYPE_CHECKING:
    from obstore import GetResult  # it has no name at run time

T = TypeVar("T")

STAGING = "staging"
_ONE_REQUEST_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 20
_LIST_CHUNK = 500
_UNVERSIONED = frozenset({None, "null"})


class ObjectExists(IntegrityError):
    """The name is taken. Names are random, so someone else's object would have been written over."""


class ObjectMissing(IntegrityError):
    """A row names an object that is not there."""


def open_store(settings: StorageSettings | TombstoneSettings) -> "Objects":
    """The store that the settings name. Cloud stores take credentials and options from their usual environment."""
    url = urlsplit(settings.url)
    if url.scheme == "file":
        return DiskObjects(Path(unquote(url.path)))
    with _answering():
        return Objects(from_url(settings.url))


class Objects:
    """Sealed objects in a bucket.

    Every method raises `core.errors.StorageUnavailable` when the store does not do what it was asked.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put_stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Write a new object. Raises ObjectExists if the name is taken, and whatever `chunks` raises."""
        head = bytearray()
        async for chunk in chunks:
            head += chunk
            if len(head) > _ONE_REQUEST_BYTES:
                await self._put_in_parts(name, bytes(head), chunks)
                return
        with _answering():
            version = (await obstore.put_async(self._store, name, bytes(head), mode="create"))["version"]
        await self._refuse_versions(name, version)

    async def _put_in_parts(self, name: str, head: bytes, rest: AsyncIterator[bytes]) -> None:
        """Upload in parts; nothing is visible before the last. Stores offer no create-only mode here, so look first."""
        with _answering(), suppress(FileNotFoundError):
            await obstore.head_async(self._store, name)
            raise ObjectExists
        failures: list[Exception] = []

        async def parts() -> AsyncIterator[bytes]:
            yield head
            try:
                async for chunk in rest:
                    yield chunk
            except Exception as error:
                failures.append(error)
                raise

        try:
            with _answering():
                version = (await obstore.put_async(self._store, name, parts(), use_multipart=True, max_concurrency=2))[
                    "version"
                ]
        except Exception:
            if failures:
                raise failures[0] from None
            raise
        await self._refuse_versions(name, version)

    async def _refuse_versions(self, name: str, version: str | None) -> None:
        # Google answers with a generation whether it keeps old ones or not, so there it cannot be told from here.
        if version in _UNVERSIONED or isinstance(self._store, GCSStore):
            return
        await self.delete_all_versions(name)
        raise StorageUnavailable("The bucket keeps old versions, so nothing could be erased: turn versioning off.")

    async def get_stream(self, name: str) -> AsyncIterator[bytes]:
        """The object's bytes, in chunks of about 1 MiB. Raises ObjectMissing before the first."""
        with _answering():
            try:
                found = await obstore.get_async(self._store, name)
            except FileNotFoundError:
                raise ObjectMissing from None
        return _chunks(found)

    async def delete_all_versions(self, name: str) -> None:
        """Delete an object. One that is not there is as good as deleted."""
        with _answering(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, name)

    async def present(self, name: str) -> bool:
        """Whether there is an object of this name."""
        with _answering():
            try:
                await obstore.head_async(self._store, name)
            except FileNotFoundError:
                return False
            return True

    async def list_older_than(self, moment: datetime) -> AsyncIterator[list[str]]:
        """Names of objects last written before the moment, in lists of at most 500."""
        with _answering():
            async for metas in obstore.list(self._store, chunk_size=_LIST_CHUNK):
                if names := [meta["path"] for meta in metas if meta["last_modified"] < moment]:
                    yield names

    async def list_under(self, folder: str, *, before: datetime | None = None) -> AsyncIterator[list[str]]:
        """Names of the objects in a folder, in lists of at most 500; before: only those last written before then."""
        with _answering():
            async for metas in obstore.list(self._store, prefix=folder, chunk_size=_LIST_CHUNK):
                if names := [meta["path"] for meta in metas if before is None or meta["last_modified"] < before]:
                    yield names

    async def health(self) -> None:
        """Write, read and delete a probe."""
        name = f"{STAGING}/{uuid4().hex}"

        async def probe() -> AsyncIterator[bytes]:
            yield b"health"

        await self.put_stream(name, probe())
        try:
            async for _ in await self.get_stream(name):
                pass
        finally:
            await self.delete_all_versions(name)


class DiskObjects(Objects):
    """Sealed objects in a folder, each a file of mode 0600, drafted under `staging/`, synced, then linked to its name.

    A draft that a crash left behind is listed like any object, so the reaper finds it.
    """

    def __init__(self, folder: Path) -> None:
        with _answering():
            _make_folders(folder / STAGING)
            super().__init__(LocalStore(prefix=folder))
        self._folder = folder

    async def put_stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See Objects."""
        draft = self._folder / STAGING / uuid4().hex
        file = await _in_thread(lambda: _create(draft))
        try:
            with file:
                pending: list[bytes] = []
                size = 0
                async for chunk in chunks:
                    pending.append(chunk)
                    size += len(chunk)
                    if size >= _BLOCK_BYTES:
                        await _in_thread(file.writelines, pending)
                        pending, size = [], 0
                await _in_thread(file.writelines, pending)
                await _in_thread(_sync_file, file)
            await _in_thread(_publish, draft, self._folder / name)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    async def delete_all_versions(self, name: str) -> None:
        """See Objects. Synced, so that no power cut brings it back."""
        await super().delete_all_versions(name)
        folder = (self._folder / name).parent
        if folder.is_dir():
            await _in_thread(_sync_folder, folder)


async def _chunks(found: "GetResult") -> AsyncIterator[bytes]:
    with _answering():
        async for chunk in found.stream(min_chunk_size=_BLOCK_BYTES):
            yield bytes(chunk)


@contextmanager
def _answering() -> Iterator[None]:
    """Say every failure of the store as ours, without its message: it holds names, addresses and paths."""
    try:
        yield
    except (AlreadyExistsError, FileExistsError):
        raise ObjectExists from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageUnavailable("The object store is full.") from None
        raise StorageUnavailable from None
    except BaseError:
        raise StorageUnavailable from None


async def _in_thread(work: Callable[..., T], *args: object) -> T:
    with _answering():
        return await asyncio.to_thread(work, *args)


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync_file(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _publish(draft: Path, target: Path) -> None:
    """Give the draft its name; a link, unlike a rename, refuses a name that is taken."""
    _make_folders(target.parent)
    os.link(draft, target)
    _sync_folder(target.parent)


def _make_folders(folder: Path) -> None:
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
