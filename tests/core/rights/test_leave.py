"""A whole tenant leaves: unreadable at once, gone soon after, proved offline; its neighbour notices nothing."""

import io
import json
import signal
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import CredentialInvalid, Gone, KeyProviderUnavailable, LegalHoldStands, StateConflict, TenantSuspended
from core.ids import Prefix, public
from core.photos import service as photos
from core.rights import archive, exports, leave
from core.rights.models import Departure, DepartureState
from core.storage.models import Asset, AssetState
from core.storage.tombstones import Kind
from core.subjects import service as subjects
from core.tenants import service as tenants
from core.tenants.models import TenantState
from core.terms import holds
from infra import verify_certificate as verifier
from tests import scenes
from tests.core.portability.exporting import Story
from tests.core.rights.test_certify import published

ROOT = Path(__file__).parents[3]
LATER = timedelta(seconds=6)


async def people(parts: Parts, platform: scenes.Platform, *, count: int = 2) -> list[UUID]:
    return [(await scenes.a_ready_person(parts, platform))[0] for _ in range(count)]


async def begun(parts: Parts, platform: scenes.Platform, *, without_archive: bool = True) -> Departure:
    tenant_id = platform.tenant_id
    await leave.suspend(parts.database, tenant_id=tenant_id, actor="test")
    return await leave.shred(
        parts.database, parts.keyring, tenant_id=tenant_id, actor="test", without_archive=without_archive
    )


async def finished(parts: Parts, platform: scenes.Platform) -> Departure:
    with frozen_at(now() + LATER):
        return await leave.finish(parts.database, parts.store, tenant_id=platform.tenant_id)


async def test_keys_die_at_once_and_the_rest_goes_with_a_certificate_that_verifies_offline(
    parts: Parts, tmp_path: Path
) -> None:
    platform, neighbour = await scenes.a_platform(parts), await scenes.a_platform(parts)
    gone = await people(parts, platform)
    (kept,) = await people(parts, neighbour, count=1)
    async with parts.database.tenant(platform.tenant_id) as session:
        assets = (await session.exec(select(Asset))).all()
        person = await subjects.get(session, gone[0])
    assert (await subjects.reveal(parts.keyring, person)).display_name
    await begun(parts, platform)
    # At once: neither pictures, nor fields, nor the index, and the API key is nobody's.
    for asset in assets:
        with pytest.raises(Gone):
            await parts.store.read(asset)
    with pytest.raises(Gone):
        await subjects.reveal(parts.keyring, person)
    with pytest.raises(KeyProviderUnavailable):
        await parts.keyring.blind_index(platform.tenant_id, "reference", "x")
    with pytest.raises(CredentialInvalid):
        await tenants.authenticate(parts.database, platform.key)
    # Then everything else.
    departure = await finished(parts, platform)
    assert departure.state == DepartureState.CERTIFIED
    assert not [path for path in (tmp_path / "objects" / platform.tenant_id.hex).rglob("*") if path.is_file()]
    said = verifier.verify(departure.document or b"", verifier.read_keys(await published(parts)))
    assert said["tenant"] == public(Prefix.TENANT, platform.tenant_id)
    assert (said["erased"]["people"], said["erased"]["objects"]) == (2, [{"class": "photo", "count": 2}])
    assert {scan["store"]: scan["found"] for scan in said["scans"]} == {"database": 0, "key store": 0, "objects": 0}
    assert set(said["steps"]) == {step.value for step in leave.Step} - {leave.Step.ARCHIVE}
    assert "everybody" in verifier.describe(said)
    assert [entry.id async for entry in parts.tombstones.entries(Kind.TENANT)] == [platform.tenant_id]
    # The neighbour is as before.
    async with parts.database.tenant(neighbour.tenant_id) as session:
        someone = await subjects.get(session, kept)
    assert (await subjects.reveal(parts.keyring, someone)).display_name == "Canary Q. Personname"


async def test_nothing_is_destroyed_before_an_archive_was_taken_or_waived(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    with pytest.raises(StateConflict):
        await begun(parts, platform, without_archive=False)
    assert (await parts.keyring.held_of_tenant(platform.tenant_id))[0] > 0
    platform.caller.require_active()
    suspended = await tenants.authenticate(parts.database, platform.key)
    with pytest.raises(TenantSuspended):
        suspended.require_active()
    await leave.stay(parts.database, tenant_id=platform.tenant_id, actor="test")
    (await tenants.authenticate(parts.database, platform.key)).require_active()


async def test_one_that_was_suspended_before_stays_suspended(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    tenant_id = platform.tenant_id
    await tenants.set_state(parts.database, tenant_id=tenant_id, state=TenantState.SUSPENDED, actor="test")
    for _ in range(2):
        await leave.suspend(parts.database, tenant_id=tenant_id, actor="test")
    await leave.stay(parts.database, tenant_id=tenant_id, actor="test")
    with pytest.raises(TenantSuspended):
        (await tenants.authenticate(parts.database, platform.key)).require_active()


async def test_what_it_was_is_still_known_when_suspending_was_cut_off(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = await scenes.a_platform(parts)
    tenant_id = platform.tenant_id

    def cut_off_now(*_: object) -> None:
        raise RuntimeError

    for state in (TenantState.ACTIVE, TenantState.SUSPENDED):
        await tenants.set_state(parts.database, tenant_id=tenant_id, state=state, actor="test")
        with monkeypatch.context() as patched:
            patched.setattr(Departure, "done", cut_off_now)
            with pytest.raises(RuntimeError):
                await leave.suspend(parts.database, tenant_id=tenant_id, actor="test")
        await leave.suspend(parts.database, tenant_id=tenant_id, actor="test")
        await leave.stay(parts.database, tenant_id=tenant_id, actor="test")
        async with parts.database.system() as session:
            assert (await tenants.get_tenant(session, tenant_id)).state == state


async def test_a_tenant_whose_keys_are_gone_cannot_stay(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    await begun(parts, platform)
    with pytest.raises(StateConflict):
        await leave.stay(parts.database, tenant_id=platform.tenant_id, actor="test")
    assert (await begun(parts, platform)).state == DepartureState.SHREDDED


async def test_the_archive_is_signed_and_holds_nothing_of_a_person(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, *_ = await people(parts, platform)
    await scenes.an_erasure(parts, platform, subject_id)
    file = io.BytesIO()
    digest = await archive.write(parts.database, parts.keyring, tenant_id=platform.tenant_id, into=file)
    with zipfile.ZipFile(file) as zipped:
        members = {name: zipped.read(name) for name in zipped.namelist()}
    signature = json.loads(members["signature.json"])
    keys = verifier.read_keys(await published(parts))
    verifier.check_signature(
        keys[signature["kid"]],
        bytes.fromhex(signature["value"]),
        archive.FORMAT.encode() + b"\n" + members["manifest.json"],
        "archive",
    )
    named = json.loads(members["manifest.json"])["members"]
    assert set(named) == set(members) - {"manifest.json", "signature.json"}
    for word in (b"Canary", b"canary", b"person.example", b"secret"):
        assert not [name for name, content in members.items() if word in content]
    (certificate,) = [content for name, content in members.items() if name.startswith("certificates/")]
    assert verifier.verify(certificate, keys)["subject"] == public(Prefix.SUBJECT, subject_id)
    lines = [json.loads(line) for line in members["audit/entries.jsonl"].splitlines()]
    leaves = [line["entry"].encode() for line in lines]
    newest = json.loads(members["audit/checkpoints.json"])[-1]
    verifier.check_log(leaves, verifier.open_checkpoint(newest, keys))
    await leave.suspend(parts.database, tenant_id=platform.tenant_id, actor="test")
    await leave.note_archive(parts.database, tenant_id=platform.tenant_id, sha256=digest, actor="test")
    await begun(parts, platform, without_archive=False)
    said = verifier.verify((await finished(parts, platform)).document or b"", keys)
    assert said["archive"]["sha256"] == digest


async def test_exports_of_its_people_are_unreadable_at_once_and_the_certificate_counts_them(
    parts: Parts, tmp_path: Path
) -> None:
    story = await Story.begin(parts)
    await story.build()
    async with parts.database.tenant(story.tenant_id) as session:
        file = await exports.file_of(session, await exports.get(session, story.export_id))
    assert await parts.store.read(file)
    await begun(parts, story.studio.platform)
    with pytest.raises(Gone):
        await parts.store.read(file)
    departure = await finished(parts, story.studio.platform)
    assert not (tmp_path / "objects" / file.object_name).exists()
    said = verifier.verify(departure.document or b"", verifier.read_keys(await published(parts)))
    assert {"class": "export", "count": 1} in said["erased"]["objects"]
    async with parts.database.tenant(story.tenant_id) as session:
        asset = await session.get_one(Asset, file.id)
    assert (asset.state, asset.wrapped_key) == (AssetState.ERASED, None)


async def test_an_object_without_a_row_goes_too(parts: Parts, tmp_path: Path) -> None:
    platform = await scenes.a_platform(parts)
    await people(parts, platform, count=1)
    stray = tmp_path / "objects" / platform.tenant_id.hex / "stray"
    stray.write_bytes(b"left by a crash")
    await begun(parts, platform)
    departure = await finished(parts, platform)
    assert not stray.exists()
    assert departure.body is not None
    assert departure.body["erased"]["unfinished_objects"] == 1


async def test_it_is_swept_up_until_it_is_certified(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    await begun(parts, platform)
    with pytest.raises(StateConflict):  # a process may still hold a key
        await leave.finish(parts.database, parts.store, tenant_id=platform.tenant_id)
    with frozen_at(now() + timedelta(minutes=11)):
        async with parts.database.system() as session:
            assert await leave.unfinished(session, limit=10) == [platform.tenant_id]
        await leave.finish(parts.database, parts.store, tenant_id=platform.tenant_id)
        async with parts.database.system() as session:
            assert await leave.unfinished(session, limit=10) == []


async def test_a_worker_that_looks_at_a_photo_keeps_the_certificate_back(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await photos.begin_check(session, photo_id) is not None
    await begun(parts, platform)
    with pytest.raises(StateConflict, match="looks at a photo"):
        await finished(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await photos.let_go(session, photo_id)
    assert (await finished(parts, platform)).state == DepartureState.CERTIFIED


LEAVER = """
import asyncio, os, signal, sys
from datetime import timedelta
from uuid import UUID
from core.bootstrap import open_parts
from core.clock import frozen_at, now
from core.rights import leave

tenant, step, left = UUID(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def watch(reached):
    global left
    if reached == step:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with open_parts() as parts:
        with frozen_at(now() + timedelta(seconds=6)):
            await leave.finish(parts.database, parts.store, tenant_id=tenant, watch=watch)

asyncio.run(main())
"""


async def test_kill_minus_nine_at_every_step_ends_in_the_same_state(parts: Parts, settings_env: dict[str, str]) -> None:
    async def to_the_end(*kills: tuple[leave.Step, int]) -> dict[str, Any]:
        platform = await scenes.a_platform(parts)
        await people(parts, platform)
        await begun(parts, platform)
        for step, count in kills:
            killed = subprocess.run(  # noqa: ASYNC221, S603 (our own program; nothing else waits for this loop)
                [sys.executable, "-c", LEAVER, str(platform.tenant_id), step, str(count)],
                env=settings_env,
                cwd=ROOT,
                check=False,
                capture_output=True,
            )
            assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        said = verifier.verify(
            (await finished(parts, platform)).document or b"", verifier.read_keys(await published(parts))
        )
        said["erased"]["keys"][0].pop("destroyed_at")
        return {name: said[name] for name in ("erased", "scans")}

    # One departure that is killed at every step in turn: three times among the people, then once at each step after.
    steps = [(leave.Step.PEOPLE, n) for n in (1, 2, 3)]
    steps += [(step, 1) for step in (leave.Step.OBJECTS, leave.Step.ROWS, leave.Step.RESCAN, leave.Step.CERTIFICATE)]
    assert await to_the_end(*steps) == await to_the_end()


async def test_a_legal_hold_on_anybody_keeps_the_whole_tenants_keys(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    (held,) = await people(parts, platform, count=1)
    async with parts.database.tenant(platform.tenant_id) as session:
        hold = await holds.place(
            session,
            parts.keyring,
            subject_id=held,
            reason="a claim",
            expires_at=now() + timedelta(days=1),
            actor="test",
        )
    with pytest.raises(LegalHoldStands):
        await begun(parts, platform)
    assert (await parts.keyring.held_of_tenant(platform.tenant_id))[0] > 0
    async with parts.database.tenant(platform.tenant_id) as session:
        await holds.release(session, hold.id, actor="test")
    assert (await begun(parts, platform)).state == DepartureState.SHREDDED
