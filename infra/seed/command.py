"""Seed the instance on this machine: its servers are started for it, without workers, and stopped again."""

import os
from collections.abc import Callable

from core.bootstrap import open_parts
from core.settings import Settings
from infra.local.errors import LocalError
from infra.local.home import Home
from infra.local.supervisor import Supervisor
from infra.seed.month import SIZES, NotEmpty, fill


class SeedRefused(LocalError):
    """A story has no place here."""


async def seed(home: Home, *, size: str, number: int, say: Callable[[str], None]) -> None:
    """Fill the empty embedded instance of this home. Raises `SeedRefused` for any other, and `AlreadyRunning`."""
    if os.environ.get("LIKENESS_ENVIRONMENT") == "production":
        raise SeedRefused("This is a production environment. A story has no place among real data.")
    if size not in SIZES:
        raise SeedRefused(f"The size is one of {', '.join(SIZES)}.")
    if "LIKENESS_DATABASE_URL" in os.environ:
        raise SeedRefused("LIKENESS_DATABASE_URL names a database elsewhere; only an embedded instance is seeded.")
    async with Supervisor(home, workers=(), say=say) as instance:
        for name, value in instance.settings.items():
            os.environ[name] = value
        async with open_parts(Settings()) as parts:
            try:
                await fill(parts, size=SIZES[size], seed=number, say=say)
            except NotEmpty as error:
                raise SeedRefused(str(error)) from None
