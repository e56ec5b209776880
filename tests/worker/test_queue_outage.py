"""The queue itself is killed: workers wait for it, and nothing that was accepted is lost."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.bootstrap import Parts
from core.jobs.models import JobState
from core.settings import QueueSettings
from infra.local.valkey import Valkey
from tests import scenes
from tests.queueing import Studio
from tests.scenes import eventually
from tests.worker.conftest import Start


@pytest.fixture
async def mortal() -> AsyncIterator[Valkey]:
    """A Valkey of this test's own, in a home that an unprivileged account can enter."""
    home = Path(tempfile.mkdtemp(prefix="likeness-tests-"))
    home.chmod(0o711)
    server = Valkey(home)
    await server.start()
    yield server
    await server.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def queue_settings(mortal: Valkey) -> QueueSettings:
    return QueueSettings(url=SecretStr(mortal.url))


async def test_a_killed_queue_loses_no_accepted_job(
    parts: Parts, mortal: Valkey, start: Start, portrait: bytes
) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=portrait)
    studio = Studio(parts=parts, platform=platform, subject_id=subject_id, photo_id=photo_id, consents=granted)
    worker = start("studio")
    await eventually(worker.ready, seconds=60)
    assert mortal.process is not None
    mortal.process.kill()
    await mortal.process.wait()
    # The commit stands although the token could not be sent.
    job = await studio.submit("studio-grey")

    async def noticed() -> bool:
        return "the queue is away" in worker.said()

    await eventually(noticed, seconds=20)
    await mortal.start()

    async def done() -> bool:
        return (await studio.job(job.id)).state == JobState.DONE

    await eventually(done, seconds=30)
    assert worker.alive
    assert worker.leave() == 0
