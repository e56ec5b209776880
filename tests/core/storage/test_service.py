import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from core.bootstrap import Parts
from core.errors import Gone, KeyProviderUnavailable, StorageUnavailable
from core.ids import new_id
from core.keyring.sealing import SealBroken
from core.storage.models import Asset, AssetState
from core.storage.store import ObjectMissing
from tests import scenes

Stream = Callable[..., AsyncIterator[bytes]]
ROOT = Path(__file__).parents[3]
FACE = b"canary-face-" * 40_000  # about half a megabyte
FACTS: dict[str, Any] = {"kind": "photo", "media_type": "image/jpeg", "width": 512, "height": 640}


@dataclass(frozen=True)
class Person:
    parts: Parts
    tenant_id: UUID
    subject_id: UUID

    async def write(self, data: bytes | AsyncIterator[bytes] = FACE, **facts: Any) -> Asset:
        async with self.parts.database.tenant(self.tenant_id) as session:
            return await self.parts.store.write(
                session, tenant_id=self.tenant_id, subject_id=self.subject_id, data=data, **{**FACTS, **facts}
            )

    async def stored(self, asset: Asset) -> Asset:
        async with self.parts.database.tenant(self.tenant_id) as session:
            found = await session.get(Asset, asset.id)
        assert found is not None
        return found

    async def delete(self, asset: Asset) -> None:
        async with self.parts.database.tenant(self.tenant_id) as session:
            found = await session.get(Asset, asset.id)
            assert found is not None
            await self.parts.store.delete(session, found)


@pytest.fixture
def folder(storage_url: str) -> Path:
    return Path(urlsplit(storage_url).path)


@pytest.fixture
async def person(parts: Parts) -> Person:
    platform = await scenes.a_platform(parts)
    return Person(parts, platform.tenant_id, await scenes.a_person(parts, platform))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


async def drain(blocks: AsyncIterator[bytes]) -> bytes:
    return b"".join([block async for block in blocks])


async def test_what_was_written_is_read_whole_and_as_a_stream(person: Person, stream: Stream) -> None:
    for data in (FACE, stream(FACE)):
        asset = await person.stored(await person.write(data, variant="square"))
        assert (asset.state, asset.plain_bytes, asset.variant) == (AssetState.STORED, len(FACE), "square")
        assert await person.parts.store.read(asset) == FACE
        assert await drain(await person.parts.store.open(asset)) == FACE


async def test_neither_the_object_nor_its_name_nor_its_draft_tells_anything(
    person: Person, folder: Path, stream: Stream
) -> None:
    seen: list[bytes] = []

    async def watched() -> AsyncIterator[bytes]:
        async for piece in stream(FACE * 5):
            yield piece
            seen.extend(path.read_bytes() for path in files(folder))

    asset = await person.write(watched())
    seen.extend(path.read_bytes() for path in files(folder))
    assert any(len(content) > 1 << 20 for content in seen), "a draft was seen while it grew"
    assert not any(b"canary" in content for content in seen)
    tenant, _, name = asset.object_name.partition("/")
    assert tenant == person.tenant_id.hex
    assert len(name) == 32
    assert name not in {asset.id.hex, person.subject_id.hex}
    assert [path.relative_to(folder).as_posix() for path in files(folder)] == [asset.object_name]


@pytest.mark.parametrize("part", ["tenant_id", "subject_id", "id", "kind", "version"])
async def test_a_row_that_names_anything_else_does_not_open_the_object(parts: Parts, person: Person, part: str) -> None:
    asset = await person.write()
    other = await scenes.a_person(parts, await scenes.a_platform(parts))
    wrong = {"tenant_id": new_id(), "subject_id": other, "id": new_id(), "kind": "headshot", "version": 2}[part]
    setattr(asset, part, wrong)
    with pytest.raises((SealBroken, Gone)):
        await parts.store.read(asset)


async def test_two_objects_of_one_person_cannot_be_exchanged(parts: Parts, person: Person, folder: Path) -> None:
    one, other = await person.write(), await person.write()
    one.object_name = other.object_name
    with pytest.raises(SealBroken):
        await parts.store.read(one)
    one.wrapped_key = other.wrapped_key
    with pytest.raises(SealBroken):
        await parts.store.read(one)


async def test_an_object_altered_at_its_end_gives_no_whole_and_a_stream_that_fails(
    parts: Parts, person: Person, folder: Path
) -> None:
    asset = await person.write()
    path = folder / asset.object_name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SealBroken):
        await parts.store.read(asset)
    blocks = await parts.store.open(asset)
    with pytest.raises(SealBroken):
        await drain(blocks)


async def test_a_deleted_object_is_gone_with_its_bytes_and_its_key(parts: Parts, person: Person, folder: Path) -> None:
    asset, neighbour = await person.write(), await person.write()
    await person.delete(asset)
    await person.delete(asset)
    erased = await person.stored(asset)
    assert (erased.state, erased.wrapped_key) == (AssetState.ERASED, None)
    assert erased.erased_at is not None
    with pytest.raises(Gone):
        await parts.store.read(erased)
    with pytest.raises(ObjectMissing):
        await parts.store.read(asset)  # by one who still holds the row as it was
    assert [path.name for path in files(folder)] == [neighbour.object_name.partition("/")[2]]
    assert await parts.store.read(neighbour) == FACE


async def test_nothing_of_a_shredded_person_opens_or_is_written(parts: Parts, person: Person, folder: Path) -> None:
    asset = await person.write()
    async with parts.database.tenant(person.tenant_id) as session:
        await parts.keyring.shred_subject(session, person.subject_id)
    for attempt in (parts.store.read(asset), parts.store.open(asset), person.write()):
        with pytest.raises(Gone):
            await attempt
    assert len(files(folder)) == 1


async def test_a_row_is_there_only_when_its_object_is(person: Person, folder: Path, stream: Stream) -> None:
    with pytest.raises(ConnectionResetError):
        await person.write(stream(FACE, failure=ConnectionResetError()))
    assert files(folder) == []
    async with person.parts.database.tenant(person.tenant_id) as session:
        assert (await (await session.connection()).exec_driver_sql("SELECT count(*) FROM asset")).scalar_one() == 0


async def test_a_lost_folder_is_unavailable_and_keeps_the_row(parts: Parts, person: Person, folder: Path) -> None:
    asset = await person.write()
    folder.rename(folder.with_name("away"))
    with pytest.raises(StorageUnavailable):
        await person.write()
    folder.with_name("away").rename(folder)
    assert await parts.store.read(asset) == FACE


async def test_without_the_root_key_nothing_is_written_in_clear(
    parts: Parts, person: Person, folder: Path, keys_url: str
) -> None:
    asset = await person.write()
    await parts.keyring.close()
    keys = Path(urlsplit(keys_url).path)
    keys.rename(keys.with_name("away"))
    for attempt in (person.write(), parts.store.read(asset)):
        with pytest.raises(KeyProviderUnavailable):
            await attempt
    assert len(files(folder)) == 1
    keys.with_name("away").rename(keys)


KILLED = """
import asyncio, os, signal, sys
from uuid import UUID
from core.bootstrap import open_parts
import core.subjects.models, core.tenants.models

async def main() -> None:
    tenant, subject = UUID(sys.argv[1]), UUID(sys.argv[2])
    async with open_parts() as parts, parts.database.tenant(tenant) as session:
        await parts.store.write(
            session, tenant_id=tenant, subject_id=subject, kind="photo", data=b"canary-face",
            media_type="image/jpeg", width=1, height=1,
        )
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_writer_killed_before_its_commit_leaves_an_orphan_that_the_reaper_takes(
    parts: Parts, person: Person, folder: Path, settings_env: dict[str, str]
) -> None:
    kept, erased = await person.write(), await person.write()
    await person.delete(erased)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(person.tenant_id), str(person.subject_id), cwd=ROOT, env=settings_env
    )
    assert await child.wait() == -signal.SIGKILL
    # What other deaths leave: a draft, and an object whose row says erased.
    (folder / "staging" / "draft").write_bytes(b"half")
    (folder / erased.object_name).write_bytes(b"deleted, and back again")
    # What is not ours stays.
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "file").write_bytes(b"")
    assert len(files(folder)) == 5
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert await parts.store.reap_orphans(parts.database, older_than=hour_ago) == 0
    assert await parts.store.reap_orphans(parts.database, older_than=soon()) == 3
    assert sorted(path.name for path in files(folder)) == sorted(["file", kept.object_name.partition("/")[2]])
    assert await parts.store.read(kept) == FACE


async def test_the_reaper_spares_every_tenants_objects(parts: Parts, person: Person, folder: Path) -> None:
    platform = await scenes.a_platform(parts)
    neighbour = Person(parts, platform.tenant_id, await scenes.a_person(parts, platform))
    assets = [await someone.write() for someone in (person, neighbour) for _ in range(3)]
    assert await parts.store.reap_orphans(parts.database, older_than=soon()) == 0
    for asset in assets:
        assert await parts.store.read(asset) == FACE


async def test_the_reaper_leaves_the_folder_of_a_tenant_that_this_database_does_not_know(
    parts: Parts, person: Person, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = new_id().hex
    for owner in (unknown, person.tenant_id.hex):
        (folder / owner).mkdir(exist_ok=True)
        for number in range(2):
            (folder / owner / new_id().hex).write_bytes(b"no row names this %d" % number)
    assert await parts.store.reap_orphans(parts.database, older_than=soon()) == 2
    assert {path.parent.name for path in files(folder)} == {unknown}
    assert len(files(folder)) == 2
    (warning,) = (record for record in caplog.records if record.name == "likeness.storage")
    assert (warning.levelname, vars(warning)["count"]) == ("WARNING", 2)
    assert unknown not in str(vars(warning))


async def test_ten_megabytes_are_stored_and_read_in_flat_memory(parts: Parts, person: Person) -> None:
    piece = os.urandom(1 << 20)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield piece

    asset = await person.write(pieces())
    size = 0
    async for block in await parts.store.open(asset):
        assert len(block) <= 2 << 20
        size += len(block)
    assert size == asset.plain_bytes == 10 << 20
