"""Find the instance that a command of the operator works on: the one that runs, or the one that lies in the home."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from core.settings import Settings
from infra.local.errors import AlreadyRunning
from infra.local.home import Home
from infra.local.postgres import APP, KEYS, OPERATORS, OWNER, SYSTEM, Postgres
from infra.local.valkey import Valkey


@asynccontextmanager
async def instance(home: Home, *, alone: bool) -> AsyncIterator[Settings]:
    """The settings of the instance. Embedded servers that do not run are started for the time of the block.

    alone: nothing else may run on the home meanwhile; raises AlreadyRunning if something does.
    """
    if "LIKENESS_DATABASE_URL" in os.environ:
        yield Settings()
        return
    async with AsyncExitStack() as stack:
        home.make()
        try:
            stack.enter_context(home.locked())
        except AlreadyRunning:
            if alone:
                raise
            found = home.kept_environment()
        else:
            found = await _start(stack, home)
        for name, value in found.items():
            os.environ.setdefault(name, value)
        yield Settings()


async def _start(stack: AsyncExitStack, home: Home) -> dict[str, str]:
    postgres, valkey = Postgres(home.folder), Valkey(home.folder)
    for server in (postgres, valkey):
        stack.push_async_callback(server.stop)
        await server.start()
    found = {
        "LIKENESS_DATABASE_URL": postgres.url(APP),
        "LIKENESS_DATABASE_SYSTEM_URL": postgres.url(SYSTEM),
        "LIKENESS_DATABASE_KEYS_URL": postgres.url(KEYS),
        "LIKENESS_DATABASE_OPERATORS_URL": postgres.url(OPERATORS),
        "LIKENESS_DATABASE_OWNER_URL": postgres.url(OWNER),
        "LIKENESS_QUEUE_URL": valkey.url,
    }
    for group, folder in (("STORAGE", "objects"), ("KEYS", "keys"), ("TOMBSTONES", "tombstones")):
        found[f"LIKENESS_{group}_URL"] = (home.folder / folder).as_uri()
    return found
