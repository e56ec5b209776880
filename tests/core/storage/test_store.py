import asyncio
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from core.errors import StorageUnavailable
from core.settings import StorageSettings
from core.storage.store import DiskObjects, ObjectExists, ObjectMissing, Objects, open_store

Stream = Callable[..., AsyncIterator[bytes]]
ROOT = Path(__file__).parents[3]
SIZES = [0, 1, 1 << 20, (1 << 20) + 1, (9 << 20) + 5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture(params=["disk", "bucket"])
def objects(request: pytest.FixtureRequest, folder: Path) -> Objects:
    return open_store(StorageSettings(url=folder.as_uri())) if request.param == "disk" else Objects(MemoryStore())


@pytest.fixture
def disk(folder: Path) -> DiskObjects:
    return DiskObjects(folder)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def fetched(objects: Objects, name: str) -> bytes:
    return b"".join([chunk async for chunk in await objects.get_stream(name)])


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_put_is_got(objects: Objects, stream: Stream, size: int) -> None:
    data = os.urandom(size)
    await objects.put_stream("tenant/object", stream(data))
    assert await fetched(objects, "tenant/object") == data


@pytest.mark.parametrize("size", [3, 9 << 20])
async def test_a_name_is_written_once(objects: Objects, stream: Stream, size: int) -> None:
    await objects.put_stream("tenant/object", stream(b"first"))
    with pytest.raises(ObjectExists):
        await objects.put_stream("tenant/object", stream(bytes(size)))
    assert await fetched(objects, "tenant/object") == b"first"


async def test_of_many_who_put_one_name_at_once_one_wins(disk: DiskObjects, stream: Stream, folder: Path) -> None:
    puts = (disk.put_stream("tenant/object", stream(bytes([number]) * 1000)) for number in range(8))
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [ObjectExists] * 7
    assert len(set(await fetched(disk, "tenant/object"))) == 1
    assert files(folder) == ["tenant/object"]


@pytest.mark.parametrize("size", [1000, 9 << 20])
async def test_a_source_that_fails_leaves_nothing_and_says_why(objects: Objects, stream: Stream, size: int) -> None:
    with pytest.raises(ConnectionResetError):
        await objects.put_stream("tenant/object", stream(bytes(size), failure=ConnectionResetError()))
    with pytest.raises(ObjectMissing):
        await objects.get_stream("tenant/object")
    assert [names async for names in objects.list_older_than(datetime.now(UTC) + timedelta(days=1))] == []


async def test_a_put_that_is_cancelled_leaves_nothing(disk: DiskObjects, folder: Path) -> None:
    started = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(2 << 20)
        started.set()
        await asyncio.Event().wait()
        yield b""

    put = asyncio.create_task(disk.put_stream("tenant/object", stalling()))
    await started.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert files(folder) == []


async def test_what_was_deleted_is_missing_and_may_be_deleted_again(objects: Objects, stream: Stream) -> None:
    await objects.put_stream("tenant/object", stream(b"data"))
    await objects.delete_all_versions("tenant/object")
    await objects.delete_all_versions("tenant/object")
    await objects.delete_all_versions("nowhere/object")
    with pytest.raises(ObjectMissing):
        await objects.get_stream("tenant/object")


async def test_only_what_is_old_enough_is_listed(objects: Objects, stream: Stream) -> None:
    await objects.put_stream("one/object", stream(b"data"))
    await objects.put_stream("two/object", stream(b"data"))
    moment = datetime.now(UTC)
    assert [names async for names in objects.list_older_than(moment - timedelta(minutes=1))] == []
    found = [name async for names in objects.list_older_than(moment + timedelta(minutes=1)) for name in names]
    assert sorted(found) == ["one/object", "two/object"]


async def test_a_healthy_store_keeps_no_probe(objects: Objects) -> None:
    await objects.health()
    assert [names async for names in objects.list_older_than(datetime.now(UTC) + timedelta(days=1))] == []


async def test_objects_on_disk_are_for_their_owner_alone(disk: DiskObjects, stream: Stream, folder: Path) -> None:
    await disk.put_stream("tenant/object", stream(b"data"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {"objects": 0o700, "staging": 0o700, "tenant": 0o700, "object": 0o600}


async def test_bytes_and_name_are_synced_before_a_put_returns(
    disk: DiskObjects, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def linked(source: Path, target: Path) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    await disk.put_stream("tenant/object", stream(b"data"))
    assert steps == ["file", "folder", "link", "folder"]


async def test_a_folder_that_went_away_is_unavailable_and_names_nothing(
    disk: DiskObjects, stream: Stream, folder: Path
) -> None:
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(StorageUnavailable) as raised:
        await disk.put_stream("tenant/object", stream(b"data"))
    assert str(folder) not in raised.value.detail


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from core.errors import StorageUnavailable
from core.storage.store import DiskObjects

async def main() -> None:
    disk = DiskObjects(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
    async def chunks():
        for _ in range(5):
            yield bytes(1_000_000)
    try:
        await disk.put_stream("tenant/object", chunks())
    except StorageUnavailable as error:
        print(error.detail)

asyncio.run(main())
"""


def test_a_disk_that_fills_up_is_unavailable_and_left_as_it_was(folder: Path) -> None:
    child = subprocess.run(  # noqa: S603 (the program stands above)
        [sys.executable, "-c", FULL_DISK, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert child.stdout == "The object store is full.\n"
    assert files(folder) == []


async def test_fifty_megabytes_go_to_disk_and_back_in_flat_memory(disk: DiskObjects) -> None:
    block = bytes(1 << 20)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield block

    tracemalloc.start()
    try:
        await disk.put_stream("tenant/object", chunks())
        size = 0
        async for chunk in await disk.get_stream("tenant/object"):
            size += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 50 << 20
    assert peak < 12 << 20


class SmallBucket:
    """The few answers of S3 that a put and a delete need, over real HTTP."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answer = "200 OK"
        self.headers = 'ETag: "1"\r\n'
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        start, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((start.split()[0], start.split()[1], headers))
        body = "<Error><Code>AccessDenied</Code></Error>" if self.answer.startswith("403") else ""
        if "?delete" in start:
            body = "<DeleteResult><Deleted><Key>likeness/tenant/object</Key></Deleted></DeleteResult>"
        closing = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        writer.write(f"HTTP/1.1 {self.answer}\r\n{self.headers}{closing}".encode())
        await writer.drain()
        writer.close()

    def stop(self) -> None:
        self._server.close()


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallBucket]:
    small = SmallBucket()
    await small.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{small.port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "nowhere",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    yield small
    small.stop()


async def test_a_bucket_by_url_takes_its_options_from_the_environment_and_creates_only(
    bucket: SmallBucket, stream: Stream
) -> None:
    objects = open_store(StorageSettings(url="s3://bucket/likeness"))
    await objects.put_stream("tenant/object", stream(b"data"))
    method, path, headers = bucket.requests[0]
    assert (method, path, headers["if-none-match"]) == ("PUT", "/bucket/likeness/tenant/object", "*")
    bucket.answer = "412 Precondition Failed"
    with pytest.raises(ObjectExists):
        await objects.put_stream("tenant/object", stream(b"data"))


async def test_a_bucket_that_keeps_old_versions_is_refused(bucket: SmallBucket, stream: Stream) -> None:
    bucket.headers += "x-amz-version-id: 3sL4kqtJlcpXroDTDmJ\r\n"
    objects = open_store(StorageSettings(url="s3://bucket/likeness"))
    with pytest.raises(StorageUnavailable, match="versioning"):
        await objects.put_stream("tenant/object", stream(b"data"))
    sent = [(method, path) for method, path, _ in bucket.requests]
    assert sent[0] == ("PUT", "/bucket/likeness/tenant/object")
    assert sent[1] in {("DELETE", sent[0][1]), ("POST", "/bucket?delete")}, "what was just put is deleted again"


async def test_a_bucket_that_refuses_us_is_unavailable_without_a_word_of_it(
    bucket: SmallBucket, stream: Stream
) -> None:
    bucket.answer = "403 Forbidden"
    objects = open_store(StorageSettings(url="s3://bucket/likeness"))
    with pytest.raises(StorageUnavailable) as raised:
        await objects.put_stream("tenant/object", stream(b"data"))
    assert "bucket/" not in raised.value.detail
    assert raised.value.__cause__ is None
