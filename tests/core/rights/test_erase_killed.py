"""The eraser dies at any step, by kill -9 or by an error, and is begun again: it ends in the same state."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import StorageUnavailable
from core.rights import certify, erase
from core.rights.models import ErasureCertificate, Step
from core.storage.models import Asset
from infra import verify_certificate as verifier
from tests import scenes
from tests.core.rights.test_certify import published

ROOT = Path(__file__).parents[3]
IN_FINISH = (Step.JOBS, Step.OBJECTS, Step.ROWS, Step.RESCAN)

# An eraser of its own process, which kills itself the moment that the step is to begin for the n-th time.
ERASER = """
import asyncio, os, signal, sys
from datetime import timedelta
from uuid import UUID
from core.bootstrap import open_parts
from core.clock import frozen_at, now
from core.rights import certify, erase

tenant, subject, step, left = UUID(sys.argv[1]), UUID(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def watch(reached):
    global left
    if reached == step:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with open_parts() as parts:
        await erase.finish(parts.database, parts.store, tenant_id=tenant, subject_id=subject, watch=watch)
        with frozen_at(now() + timedelta(seconds=6)):
            await certify.certify(parts.database, parts.store, tenant_id=tenant, subject_id=subject, watch=watch)

asyncio.run(main())
"""


async def _someone(parts: Parts, platform: scenes.Platform) -> UUID:
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await scenes.a_photo(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    return subject_id


async def _to_the_end(parts: Parts, platform: scenes.Platform, subject_id: UUID) -> dict[str, Any]:
    """What the certificate says, without what differs from one erasure to the next."""
    tenant_id = platform.tenant_id
    await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
    with frozen_at(now() + timedelta(seconds=7)):
        issued = await certify.certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
    assert issued.document is not None
    said = verifier.verify(issued.document, verifier.read_keys(await published(parts)))
    async with parts.database.tenant(platform.tenant_id) as session:
        drafted = (await session.exec(select(ErasureCertificate))).all()
        assert [one.subject_id for one in drafted].count(subject_id) == 1
        tombstone = await erase.tombstone_of(session, subject_id)
        assert (tombstone.objects_deleted, tombstone.last_error) == (2, None)
    assert set(said["steps"]) == {step.value for step in Step}
    said["erased"]["keys"][0].pop("destroyed_at")
    said["erased"]["keys"][0].pop("id")
    return {name: said[name] for name in ("erased", "scans", "receivers", "residues")}


@pytest.mark.parametrize("step", [*((step, 1) for step in IN_FINISH), *((Step.CERTIFICATE, n) for n in (1, 2, 3))])
async def test_kill_minus_nine_at_any_step_ends_in_the_same_state(
    parts: Parts, settings_env: dict[str, str], step: tuple[Step, int]
) -> None:
    platform = await scenes.a_platform(parts)
    undisturbed = await _to_the_end(parts, platform, await _someone(parts, platform))
    subject_id = await _someone(parts, platform)
    killed = subprocess.run(  # noqa: ASYNC221, S603 (our own program; nothing else waits for this loop)
        [sys.executable, "-c", ERASER, str(platform.tenant_id), str(subject_id), step[0], str(step[1])],
        env=settings_env,
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert await _to_the_end(parts, platform, subject_id) == undisturbed


async def test_an_object_store_that_is_down_is_noted_tried_again_and_loud(
    parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _someone(parts, platform)
    tenant_id = platform.tenant_id
    async with parts.database.tenant(platform.tenant_id) as session:
        name = (await session.exec(select(Asset.object_name).where(Asset.subject_id == subject_id))).first()
    place = tmp_path / "objects" / str(name)
    place.unlink()
    (place / "in the way").mkdir(parents=True)
    waits = []
    for attempt in range(1, erase.STUCK_AFTER + 1):
        with pytest.raises(StorageUnavailable):
            await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
        async with parts.database.tenant(platform.tenant_id) as session:
            tombstone = await erase.tombstone_of(session, subject_id)
        assert (tombstone.attempts, tombstone.last_error) == (attempt, "StorageUnavailable")
        assert erase.is_stuck(tombstone) == (attempt == erase.STUCK_AFTER)
        waits.append(tombstone.next_at - now())
    assert waits == sorted(waits)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["an erasure is stuck"]
    (place / "in the way").rmdir()
    place.rmdir()
    await _to_the_end(parts, platform, subject_id)


async def test_an_object_that_came_back_is_found_by_the_rescan_and_nothing_is_certified(
    parts: Parts, tmp_path: Path
) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _someone(parts, platform)
    tenant_id = platform.tenant_id
    async with parts.database.tenant(platform.tenant_id) as session:
        name = (await session.exec(select(Asset.object_name).where(Asset.subject_id == subject_id))).first()
    back = tmp_path / "objects" / str(name)

    def put_back(step: Step) -> None:
        if step is Step.RESCAN:
            back.write_bytes(b"from nowhere")

    with pytest.raises(erase.RemainsFound):
        await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id, watch=put_back)
    async with parts.database.tenant(platform.tenant_id) as session:
        tombstone = await erase.tombstone_of(session, subject_id)
    assert (tombstone.state, tombstone.last_error) == ("shredded", "RemainsFound")
    assert tombstone.scans is not None
    assert {scan["store"]: scan["found"] for scan in tombstone.scans} == {"database": 0, "key store": 0, "objects": 1}
    await _to_the_end(parts, platform, subject_id)
    assert not back.exists()
