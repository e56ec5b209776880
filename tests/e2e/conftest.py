"""One whole instance, as `likeness up` runs it, for all tests of this folder."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import httpx
import pytest

from infra.demo import photos
from infra.local.parts import Part
from infra.local.supervisor import Supervisor, allow_hosts
from tests.e2e.person import Person, Platform


@pytest.fixture(scope="session")
async def instance() -> AsyncIterator[Supervisor]:
    """API, workers, PostgreSQL and Valkey on a fresh home, with short leases so that rescue can be watched."""
    home = Path(tempfile.mkdtemp(prefix="likeness-e2e-"))
    home.chmod(0o711)
    short = {
        "LIKENESS_MODEL_PATH": "",  # workers are killed and started over and over here, and a model loads for seconds
        "LIKENESS_WORKER_LEASE_SECONDS": "3",
        "LIKENESS_WORKER_HEARTBEAT_SECONDS": "1",
        "LIKENESS_WORKER_SWEEP_SECONDS": "1",
    }
    async with Supervisor(home / "var", overrides={**allow_hosts("127.0.0.1"), **short}) as running:
        yield running
    with suppress(OSError):
        rmtree(home)


@pytest.fixture
async def platform(instance: Supervisor) -> AsyncIterator[Platform]:
    """A platform with a key and credits, and a client that uses it."""
    async with httpx.AsyncClient(base_url=instance.api_url, timeout=60) as http:
        yield await Platform.join(http, operator_token=instance.operator_token)


@pytest.fixture
async def person(platform: Platform) -> Person:
    """A person who consented and whose photo is ready."""
    person = await platform.meet()
    await person.consent()
    await person.upload(photos.as_jpeg())
    return person


@pytest.fixture
def part(instance: Supervisor) -> dict[str, Part]:
    """The parts by name: postgres, valkey, api, studio, light."""
    return instance.parts
