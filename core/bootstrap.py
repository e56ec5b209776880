"""Build the parts that every process shares, from settings, and close them in order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from core.db import Database
from core.keyring.provider import open_provider
from core.keyring.service import Keyring
from core.operators.door import Door
from core.provenance.service import Provenance
from core.queue import Queue
from core.settings import Settings
from core.storage.service import SealedStore
from core.storage.store import open_store
from core.storage.tombstones import Tombstones


@dataclass(frozen=True)
class Parts:
    """What a process holds while it runs."""

    settings: Settings
    database: Database
    queue: Queue
    keyring: Keyring
    store: SealedStore
    tombstones: Tombstones
    provenance: Provenance
    door: Door


@asynccontextmanager
async def open_parts(settings: Settings | None = None, *, replaying: bool = False) -> AsyncIterator[Parts]:
    """Open database, queue, keys and storage; close them when the block ends.

    replaying: for the replay of tombstones after a restore alone, which must pass while nobody else does.
    """
    settings = settings or Settings()
    async with AsyncExitStack() as stack:
        database = Database(settings.database, replaying=replaying)
        stack.push_async_callback(database.close)
        queue = await Queue.open(settings.queue)
        stack.push_async_callback(queue.close)
        database.session_info["queue"] = queue
        tombstones = Tombstones(open_store(settings.tombstones))
        database.session_info["tombstones"] = tombstones
        keyring = Keyring(database, open_provider(settings.keys, environment=settings.environment), settings.keys)
        await keyring.start()
        stack.push_async_callback(keyring.close)
        store = SealedStore(open_store(settings.storage), keyring)
        provenance = Provenance(database, keyring, settings.provenance)
        yield Parts(
            settings=settings,
            database=database,
            queue=queue,
            keyring=keyring,
            store=store,
            tombstones=tombstones,
            provenance=provenance,
            door=Door(database, settings.api, settings.operators),
        )
