"""An erasure that begins before, during or after each kind of other work: nothing is readable in the end.

`LIKENESS_SEEDS=200` tries as many orders of each kind; by default a few.
"""

import asyncio
import gzip
import os
import random
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import ConsentRequired, Gone, LegalHoldStands, LikenessError, StateConflict
from core.headshots import complete, submit
from core.jobs.claim import claim
from core.jobs.lease import LeaseLost, Stopped
from core.portability.build import build
from core.retention.sweep import sweep
from core.rights import certify, erase, exports, horizon, requests
from core.rights.models import ErasureState, Identity
from core.rights.rules import Kind
from core.storage.models import Asset
from core.webhooks import service as webhooks
from core.webhooks.deliver import deliver_due
from infra import verify_certificate as verifier
from infra.backup.manifest import table_file
from infra.backup.take import take
from tests import scenes
from tests.core.rights.test_certify import published
from tests.queueing import made

SEEDS = int(os.environ.get("LIKENESS_SEEDS", "4"))
MOMENT = 0.06

Work = Callable[[Parts, scenes.Platform, UUID, UUID, Path], Awaitable[Callable[[], Awaitable[None]]]]


async def an_upload(
    parts: Parts, platform: scenes.Platform, subject_id: UUID, _photo: UUID, _folder: Path
) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        await scenes.a_photo(parts, platform, subject_id)

    return work


async def a_generation(
    parts: Parts, platform: scenes.Platform, _subject: UUID, photo_id: UUID, _folder: Path
) -> Callable[[], Awaitable[None]]:
    async with parts.database.tenant(platform.tenant_id) as session:
        await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=["studio-grey"])

    async def work() -> None:
        claimed = await claim(parts.database, worker="a worker", region="local", lease_seconds=60)
        if claimed is None:
            raise Gone
        try:
            await complete.complete(
                parts.database, parts.store, claimed, (made(),), provenance=parts.provenance, timings={}
            )
        except Stopped as stopped:
            await complete.stop(parts.database, claimed, stopped)
            raise Gone from None

    return work


async def an_export(
    parts: Parts, platform: scenes.Platform, subject_id: UUID, _photo: UUID, _folder: Path
) -> Callable[[], Awaitable[None]]:
    async with parts.database.tenant(platform.tenant_id) as session:
        request, _ = await requests.receive(
            session,
            parts.keyring,
            subject_id=subject_id,
            kind=Kind.ACCESS,
            details=None,
            actor="test",
            identity=Identity.VERIFIED,
        )
        export = await exports.of_request(session, request.id)
    assert export is not None
    export_id = export.id

    async def work() -> None:
        await build(
            parts.database, parts.store, tenant_id=platform.tenant_id, export_id=export_id, root="http://localhost"
        )

    return work


async def a_webhook(
    parts: Parts, platform: scenes.Platform, _subject: UUID, _photo: UUID, _folder: Path
) -> Callable[[], Awaitable[None]]:
    async with parts.database.tenant(platform.tenant_id) as session:
        if not await webhooks.page_endpoints(session, before=None, limit=1):
            await webhooks.create_endpoint(
                session,
                parts.keyring,
                parts.settings.webhooks,
                tenant_id=platform.tenant_id,
                url="https://receiver.invalid/hooks",
                events=["asset.erased", "consent.granted"],
                description=None,
                actor="test",
            )

    async def work() -> None:
        await deliver_due(parts.database, parts.keyring, parts.settings.webhooks)

    return work


async def a_sweep(
    parts: Parts, platform: scenes.Platform, _subject: UUID, photo_id: UUID, _folder: Path
) -> Callable[[], Awaitable[None]]:
    async with parts.database.tenant(platform.tenant_id) as session:
        overdue = text("UPDATE photo SET expires_at = now() - interval '1 second' WHERE id = :id")
        await (await session.connection()).execute(overdue.bindparams(id=photo_id))

    async def work() -> None:
        await sweep(parts.database, parts.store)

    return work


async def a_backup(
    parts: Parts, platform: scenes.Platform, subject_id: UUID, _photo: UUID, folder: Path
) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        copy = folder / "copy"
        await take(parts.settings.database, parts.store.objects, parts.tombstones, into=copy)
        held = (
            str(subject_id) in gzip.decompress(table_file(copy / "keys", "keystore.subject_key").read_bytes()).decode()
        )
        tombstones = gzip.decompress(table_file(copy / "database", "public.tombstone").read_bytes()).decode()
        # One moment: the key is in it if, and only if, the tombstone is not.
        assert held == (str(subject_id) not in tombstones)
        if held:
            with frozen_at(now() + timedelta(days=8)):
                waits = await horizon.copies(parts.tombstones)
            assert waits
        shutil.rmtree(copy)

    return work


KINDS: dict[str, Work] = {
    "upload": an_upload,
    "generate": a_generation,
    "export": an_export,
    "webhook": a_webhook,
    "retention": a_sweep,
    "backup": a_backup,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_races_an_erasure_leaves_nothing_readable(parts: Parts, tmp_path: Path, kind: str) -> None:
    platform = await scenes.a_platform(parts, credits=1000)
    notice_id = await scenes.a_notice(parts, platform)
    keys = verifier.read_keys(await published(parts))
    outcomes: list[bool] = []
    for seed in range(SEEDS):
        chance = random.Random(seed)  # noqa: S311 (no secret)
        subject_id = await scenes.a_person(parts, platform)
        await scenes.consents(parts, platform, subject_id, notice_id=notice_id)
        photo_id = await scenes.a_photo(parts, platform, subject_id)
        work = await KINDS[kind](parts, platform, subject_id, photo_id, tmp_path)
        outcomes.append(await _race(parts, platform, subject_id, work, chance))
        await _expect_nothing_readable(parts, platform, subject_id, keys)
    assert len(outcomes) == SEEDS


async def _race(
    parts: Parts,
    platform: scenes.Platform,
    subject_id: UUID,
    work: Callable[[], Awaitable[None]],
    chance: random.Random,
) -> bool:
    """Both, each after a pause of its own; whether the other work went through."""
    before, after = chance.choice(((0.0, MOMENT), (MOMENT, 0.0), (MOMENT, MOMENT), (0.0, MOMENT * 4)))

    async def other() -> None:
        await asyncio.sleep(chance.uniform(0, before))
        await work()

    async def erasure() -> None:
        await asyncio.sleep(chance.uniform(0, after))
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
        await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)

    went, erased = await asyncio.gather(other(), erasure(), return_exceptions=True)
    assert erased is None, erased
    allowed = Gone | ConsentRequired | StateConflict | LeaseLost | LegalHoldStands
    assert went is None or isinstance(went, allowed), went
    return went is None


async def _expect_nothing_readable(
    parts: Parts, platform: scenes.Platform, subject_id: UUID, keys: verifier.Keys
) -> None:
    tenant_id = platform.tenant_id
    with frozen_at(now() + timedelta(seconds=90)):
        # What a worker let go of in the last moment is found by the next try, as the sweep would.
        await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
        certificate = await certify.certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
    keys.update(verifier.read_keys(await published(parts)))
    assert verifier.verify(certificate.document or b"", keys)
    assert not await parts.keyring.holds_subject_key(tenant_id, subject_id)
    async with parts.database.tenant(tenant_id) as session:
        assert (await erase.tombstone_of(session, subject_id)).state == ErasureState.ERASED
        assets = (await session.exec(select(Asset).where(Asset.subject_id == subject_id))).all()
    for asset in assets:
        with pytest.raises(LikenessError):
            await parts.store.read(asset)
        assert not await parts.store.objects.present(asset.object_name)
