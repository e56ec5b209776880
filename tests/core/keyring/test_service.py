import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError as DatabaseIntegrityError

from core.db import Database
from core.errors import Gone, KeyProviderUnavailable
from core.ids import new_id
from core.keyring import queries
from core.keyring.context import Context
from core.keyring.provider import KeyProvider, Wrapped, open_provider
from core.keyring.sealing import SealBroken
from core.keyring.service import Keyring
from core.settings import DatabaseSettings, KeySettings

NewSubject = Any


class CountingProvider:
    """The real provider, counting how often it opens a key."""

    def __init__(self, provider: KeyProvider) -> None:
        self._provider = provider
        self.unwraps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def unwrap(self, wrapped: Wrapped, *, context: bytes) -> bytes:
        self.unwraps += 1
        return await self._provider.unwrap(wrapped, context=context)


@pytest.fixture
async def elsewhere(database_settings: DatabaseSettings, key_settings: KeySettings) -> AsyncIterator[Keyring]:
    """The keyring of another process: its own pools, its own cache, its own ears."""
    database = Database(database_settings)
    keyring = Keyring(database, open_provider(key_settings, environment="development"), key_settings)
    await keyring.start()
    yield keyring
    await keyring.close()
    await database.close()


async def delete_wraps(database: Database, tenant_id: UUID) -> None:
    """Remove the wraps behind the keyring's back, without a word to anyone: what still opens was cached."""
    async with database.keystore(tenant_id) as session:
        await (await session.connection()).execute(text("DELETE FROM keystore.subject_key"))


async def shred(database: Database, keyring: Keyring, tenant_id: UUID, subject: UUID) -> int:
    async with database.tenant(tenant_id) as session:
        return await keyring.shred_subject(session, subject)


# Sealing for a subject


async def test_a_field_opens_in_another_process(
    keyring: Keyring, elsewhere: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    sealed = (await keyring.subject_sealer(tenant_id, subject)).seal_field("email", "ada@example.org")
    assert b"ada" not in sealed
    assert (await elsewhere.subject_sealer(tenant_id, subject)).open_field("email", sealed) == "ada@example.org"


async def test_a_field_opens_under_no_other_name_subject_or_tenant(
    keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    sealer = await keyring.subject_sealer(tenant_id, subject)
    sealed = sealer.seal_field("email", "ada@example.org")
    with pytest.raises(SealBroken):
        sealer.open_field("name", sealed)
    with pytest.raises(SealBroken):
        (await keyring.subject_sealer(tenant_id, await new_subject())).open_field("email", sealed)


async def test_an_object_key_opens_for_its_own_object_alone(
    keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    sealer = await keyring.subject_sealer(tenant_id, subject)
    context = Context(tenant_id, "photo", subject=subject, object_id=new_id())
    key, wrapped = sealer.new_object_key(context)
    assert sealer.open_object_key(wrapped, context) == key
    assert key not in wrapped
    for other in (
        Context(tenant_id, "photo", subject=subject, object_id=new_id()),
        Context(tenant_id, "headshot", subject=subject, object_id=context.object_id),
        Context(tenant_id, "photo", subject=subject, object_id=context.object_id, version=2),
    ):
        with pytest.raises(SealBroken):
            sealer.open_object_key(wrapped, other)
    for stranger in (
        Context(tenant_id, "photo", subject=new_id(), object_id=new_id()),
        Context(new_id(), "photo", subject=subject, object_id=new_id()),
        Context(tenant_id, "photo", subject=subject),
    ):
        with pytest.raises(ValueError, match="of this subject"):
            sealer.new_object_key(stranger)


async def test_an_unknown_subject_and_another_tenants_are_gone(
    keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    other = new_id()
    await keyring.create_tenant(other)
    for place in ((tenant_id, new_id()), (other, await new_subject()), (new_id(), new_id())):
        with pytest.raises(Gone):
            await keyring.subject_sealer(*place)


async def test_a_key_lives_only_if_its_transaction_does(database: Database, keyring: Keyring, tenant_id: UUID) -> None:
    subject = new_id()

    async def create_and_fail() -> None:
        async with database.tenant(tenant_id) as session:
            sealer = await keyring.new_subject_key(session, tenant_id, subject)
            assert sealer.open_field("name", sealer.seal_field("name", "Ada")) == "Ada"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await create_and_fail()
    with pytest.raises(Gone):
        await keyring.subject_sealer(tenant_id, subject)


async def test_creating_a_tenant_again_keeps_its_keys(keyring: Keyring, tenant_id: UUID) -> None:
    before = await keyring.blind_index(tenant_id, "reference", "emp-1")
    await asyncio.gather(*(keyring.create_tenant(tenant_id) for _ in range(3)))
    await keyring.close()
    assert await keyring.blind_index(tenant_id, "reference", "emp-1") == before


# Shredding


async def test_a_shredded_subject_is_gone_at_once_in_every_process(
    database: Database, keyring: Keyring, elsewhere: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject, neighbour = await new_subject(), await new_subject()
    held = await elsewhere.subject_sealer(tenant_id, subject)
    await keyring.subject_sealer(tenant_id, subject)
    assert await shred(database, keyring, tenant_id, subject) == 1
    with pytest.raises(Gone):
        await keyring.subject_sealer(tenant_id, subject)
    async with asyncio.timeout(5):
        while True:
            try:
                await elsewhere.subject_sealer(tenant_id, subject)
            except Gone:
                break
            await asyncio.sleep(0.05)
    with pytest.raises(Gone):
        held.seal_field("name", "Ada")
    await elsewhere.subject_sealer(tenant_id, neighbour)
    assert await shred(database, keyring, tenant_id, subject) == 0


async def test_a_shred_that_is_rolled_back_forgets_nothing(
    database: Database, keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    held = await keyring.subject_sealer(tenant_id, subject)

    async def shred_and_fail() -> None:
        async with database.tenant(tenant_id) as session:
            await keyring.shred_subject(session, subject)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await shred_and_fail()
    await asyncio.sleep(0.1)
    held.seal_field("name", "Ada")
    await keyring.subject_sealer(tenant_id, subject)


async def test_a_key_read_just_before_its_shred_is_neither_kept_nor_usable(
    database: Database, keyring: Keyring, tenant_id: UUID, new_subject: NewSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = await new_subject()
    open_kek = keyring._kek

    async def shredded_meanwhile(*arguments: Any) -> bytes:
        await shred(database, keyring, tenant_id, subject)
        return await open_kek(*arguments)

    monkeypatch.setattr(keyring, "_kek", shredded_meanwhile)
    late = await keyring.subject_sealer(tenant_id, subject)
    with pytest.raises(Gone):
        late.seal_field("name", "Ada")
    with pytest.raises(Gone):
        await keyring.subject_sealer(tenant_id, subject)


# The cache


async def test_a_cached_key_spares_the_key_store_and_the_provider(
    database: Database, key_settings: KeySettings, tenant_id: UUID, new_subject: NewSubject
) -> None:
    provider = CountingProvider(open_provider(key_settings, environment="development"))
    keyring = Keyring(database, provider, key_settings)
    await keyring.start()
    subject = await new_subject()
    await keyring.subject_sealer(tenant_id, subject)
    await delete_wraps(database, tenant_id)
    for _ in range(10):
        await keyring.subject_sealer(tenant_id, subject)
    assert provider.unwraps == 1
    await keyring.close()


@pytest.mark.parametrize("bound", [{"cache_uses": 3}, {"cache_seconds": 0.2}])
async def test_the_cache_keeps_to_its_bounds(
    database: Database, keys_url: str, tenant_id: UUID, new_subject: NewSubject, bound: dict[str, Any]
) -> None:
    settings = KeySettings(url=keys_url, **bound)
    keyring = Keyring(database, open_provider(settings, environment="development"), settings)
    await keyring.start()
    subject = await new_subject()
    await keyring.subject_sealer(tenant_id, subject)
    await delete_wraps(database, tenant_id)
    await keyring.subject_sealer(tenant_id, subject)
    await keyring.subject_sealer(tenant_id, subject)
    if "cache_seconds" in bound:
        await asyncio.sleep(0.25)
    with pytest.raises(Gone):
        await keyring.subject_sealer(tenant_id, subject)
    await keyring.close()


async def test_without_a_listener_nothing_is_cached(
    database: Database, key_settings: KeySettings, tenant_id: UUID, new_subject: NewSubject
) -> None:
    deaf = Keyring(database, open_provider(key_settings, environment="development"), key_settings)
    assert not deaf.caching
    subject = await new_subject()
    await deaf.subject_sealer(tenant_id, subject)
    await delete_wraps(database, tenant_id)
    with pytest.raises(Gone):
        await deaf.subject_sealer(tenant_id, subject)


async def test_what_was_cached_is_not_trusted_once_the_listener_is_lost(
    database: Database, keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    await keyring.subject_sealer(tenant_id, subject)
    await keyring._listener.close()
    await delete_wraps(database, tenant_id)
    with pytest.raises(Gone):
        await keyring.subject_sealer(tenant_id, subject)


async def test_a_word_that_cannot_be_read_empties_the_cache(
    database: Database, keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    await keyring.subject_sealer(tenant_id, subject)
    await delete_wraps(database, tenant_id)
    keyring._hear("nonsense")
    with pytest.raises(Gone):
        await keyring.subject_sealer(tenant_id, subject)


# When a part is down


async def test_without_the_root_key_nothing_is_sealed_or_opened(
    database: Database, key_settings: KeySettings, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    keyring = Keyring(database, open_provider(key_settings, environment="development"), key_settings)
    folder = Path(urlsplit(key_settings.url).path)
    away = folder.with_name("away")
    folder.rename(away)
    for attempt in (
        keyring.subject_sealer(tenant_id, subject),
        keyring.blind_index(tenant_id, "reference", "emp-1"),
        keyring.seal_secret(tenant_id, "webhook", b"secret"),
        keyring.create_tenant(new_id()),
        keyring.rotate_tenant(tenant_id),
        keyring.health(),
    ):
        with pytest.raises(KeyProviderUnavailable):
            await attempt
    async with database.tenant(tenant_id) as session:
        with pytest.raises(KeyProviderUnavailable):
            await keyring.new_subject_key(session, tenant_id, new_id())
    away.rename(folder)
    await keyring.health()
    await keyring.subject_sealer(tenant_id, subject)


async def test_a_key_store_out_of_reach_is_unavailable_and_says_nothing(
    database_settings: DatabaseSettings, key_settings: KeySettings, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = database_settings.model_copy(
        update={"keys_url": type(database_settings.keys_url)("postgresql://k:hunter2@127.0.0.1:1/none")}
    )
    database = Database(unreachable)
    keyring = Keyring(database, open_provider(key_settings, environment="development"), key_settings)
    with caplog.at_level(logging.DEBUG), pytest.raises(KeyProviderUnavailable) as raised:
        await keyring.subject_sealer(new_id(), new_id())
    assert "hunter2" not in caplog.text + str(raised.value) + repr(raised.value.__cause__)
    await database.close()


async def test_an_error_of_the_database_quotes_no_wrap(
    database: Database, keyring: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subject = await new_subject()
    async with database.keystore(tenant_id) as session:
        query = text("SELECT wrapped FROM keystore.subject_key")
        wrapped = (await (await session.connection()).execute(query)).scalar_one()

    async def again() -> None:
        async with database.tenant(tenant_id) as session:
            put = {"subject": subject, "version": 1, "wrapped": wrapped}
            await (await session.connection()).execute(queries.PUT_SUBJECT_KEY, put)

    with pytest.raises(DatabaseIntegrityError) as raised:
        await again()
    assert repr(wrapped)[2:30] not in str(raised.value)


async def test_a_tenant_without_keys_is_unavailable(database: Database, keyring: Keyring) -> None:
    stranger = new_id()
    with pytest.raises(KeyProviderUnavailable):
        await keyring.blind_index(stranger, "reference", "x")
    with pytest.raises(KeyProviderUnavailable):
        await keyring.rotate_tenant(stranger)
    async with database.tenant(stranger) as session:
        with pytest.raises(KeyProviderUnavailable):
            await keyring.new_subject_key(session, stranger, new_id())


# Blind index and secrets


async def test_a_blind_index_finds_equal_values_of_one_field_of_one_tenant(
    keyring: Keyring, elsewhere: Keyring, tenant_id: UUID
) -> None:
    other = new_id()
    await keyring.create_tenant(other)
    index = await keyring.blind_index(tenant_id, "reference", "emp-José")
    assert len(index) == 32
    assert await elsewhere.blind_index(tenant_id, "reference", "emp-José") == index
    assert await keyring.blind_index(tenant_id, "reference", "emp-Jose\u0301") == index, "canonically the same text"
    different = [
        await keyring.blind_index(tenant_id, "reference", "emp-josé"),
        await keyring.blind_index(tenant_id, "email", "emp-José"),
        await keyring.blind_index(tenant_id, "referenceemp-", "José"),
        await keyring.blind_index(other, "reference", "emp-José"),
    ]
    assert len({index, *different}) == 5


async def test_a_secret_opens_under_its_own_name_and_tenant(keyring: Keyring, tenant_id: UUID) -> None:
    other = new_id()
    await keyring.create_tenant(other)
    sealed = await keyring.seal_secret(tenant_id, "webhook:1", b"whsec")
    assert await keyring.open_secret(tenant_id, "webhook:1", sealed) == b"whsec"
    for place in ((tenant_id, "webhook:2"), (other, "webhook:1")):
        with pytest.raises(SealBroken):
            await keyring.open_secret(*place, sealed)


# Rotation


async def kek_rows(database: Database, tenant_id: UUID) -> list[tuple[int, str, bool]]:
    async with database.keystore(tenant_id) as session:
        query = text("SELECT version, state, wrapped FROM keystore.tenant_key WHERE purpose = 'kek' ORDER BY version")
        rows = (await (await session.connection()).execute(query)).all()
    return [(row.version, row.state, row.wrapped is None) for row in rows]


async def test_rotation_under_load_keeps_everything_readable_and_kills_the_old_version(
    database: Database, keyring: Keyring, elsewhere: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subjects = [await new_subject() for _ in range(20)]
    sealed = {
        subject: (await keyring.subject_sealer(tenant_id, subject)).seal_field("name", str(subject))
        for subject in subjects
    }
    secret = await keyring.seal_secret(tenant_id, "webhook", b"whsec")
    index = await keyring.blind_index(tenant_id, "reference", "emp-1")
    deaf = Keyring(database, keyring._provider, KeySettings(url="file:///none"))  # caches nothing: always reads
    done = asyncio.Event()
    born: list[UUID] = []

    async def read() -> int:
        count = 0
        while not done.is_set():
            subject = subjects[count % len(subjects)]
            assert (await deaf.subject_sealer(tenant_id, subject)).open_field("name", sealed[subject]) == str(subject)
            count += 1
        return count

    async def create() -> None:
        while not done.is_set():
            born.append(await new_subject())

    load = [asyncio.create_task(read()), asyncio.create_task(create())]
    assert await keyring.rotate_tenant(tenant_id, chunk=3) == 2
    assert await elsewhere.rotate_tenant(tenant_id, chunk=3) == 3
    done.set()
    await asyncio.gather(*load)

    assert await kek_rows(database, tenant_id) == [(1, "destroyed", True), (2, "destroyed", True), (3, "active", False)]
    for process in (keyring, elsewhere, deaf):
        for subject in subjects:
            opened = (await process.subject_sealer(tenant_id, subject)).open_field("name", sealed[subject])
            assert opened == str(subject)
        assert await process.open_secret(tenant_id, "webhook", secret) == b"whsec"
        assert await process.blind_index(tenant_id, "reference", "emp-1") == index
    for subject in born:
        await deaf.subject_sealer(tenant_id, subject)


async def test_two_rotations_at_once_end_with_one_version(
    database: Database, keyring: Keyring, elsewhere: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subjects = [await new_subject() for _ in range(10)]
    await asyncio.gather(keyring.rotate_tenant(tenant_id, chunk=2), elsewhere.rotate_tenant(tenant_id, chunk=2))
    assert [state for _, state, _ in await kek_rows(database, tenant_id)] == ["destroyed", "destroyed", "active"]
    for subject in subjects:
        await keyring.subject_sealer(tenant_id, subject)


async def test_rotation_waits_for_a_subject_that_is_being_created(
    database: Database, keyring: Keyring, elsewhere: Keyring, tenant_id: UUID
) -> None:
    subject = new_id()
    async with database.tenant(tenant_id) as session:
        sealer = await keyring.new_subject_key(session, tenant_id, subject)
        sealed = sealer.seal_field("name", "Ada")
        rotation = asyncio.create_task(elsewhere.rotate_tenant(tenant_id))
        await asyncio.sleep(0.2)
        assert not rotation.done()
    await rotation
    assert (await keyring.subject_sealer(tenant_id, subject)).open_field("name", sealed) == "Ada"


async def test_a_subject_shredded_during_a_rotation_stays_shredded(
    database: Database, keyring: Keyring, elsewhere: Keyring, tenant_id: UUID, new_subject: NewSubject
) -> None:
    subjects = [await new_subject() for _ in range(12)]
    rotation = asyncio.create_task(elsewhere.rotate_tenant(tenant_id, chunk=1))
    for subject in subjects[::2]:
        assert await shred(database, keyring, tenant_id, subject) == 1
    await rotation
    for subject in subjects[::2]:
        with pytest.raises(Gone):
            await keyring.subject_sealer(tenant_id, subject)
    for subject in subjects[1::2]:
        await keyring.subject_sealer(tenant_id, subject)
