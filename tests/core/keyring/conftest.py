"""A keyring over real keys and a real key store, and people to seal for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest

from core.db import Database
from core.ids import new_id
from core.keyring.provider import open_provider
from core.keyring.service import Keyring
from core.settings import KeySettings

NewSubject = Callable[[], Awaitable[UUID]]


@pytest.fixture
def key_settings(keys_url: str) -> KeySettings:
    return KeySettings(url=keys_url)


@pytest.fixture
async def keyring(database: Database, key_settings: KeySettings) -> AsyncIterator[Keyring]:
    opened = Keyring(database, open_provider(key_settings, environment="development"), key_settings)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def tenant_id(keyring: Keyring) -> UUID:
    tenant = new_id()
    await keyring.create_tenant(tenant)
    return tenant


@pytest.fixture
def new_subject(database: Database, keyring: Keyring, tenant_id: UUID) -> NewSubject:
    async def create() -> UUID:
        subject = new_id()
        async with database.tenant(tenant_id) as session:
            await keyring.new_subject_key(session, tenant_id, subject)
        return subject

    return create
