"""Keys, marks and fingerprints on real parts: rotation, what a stranger learns, what an erasure leaves."""

import asyncio
import secrets
from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.db import async_url
from core.headshots import queries
from core.keyring.sealing import SealBroken
from core.provenance.service import Provenance, Standing
from core.rights import erase
from tests.queueing import Studio, made


async def test_the_first_callers_agree_on_the_keys_of_the_deployment(parts: Parts) -> None:
    others = [Provenance(parts.database, parts.keyring, parts.settings.provenance) for _ in range(4)]
    keys = await asyncio.gather(*(other.watermark_key() for other in others))
    anchors = await asyncio.gather(*(other.anchors() for other in others))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert {len(found) for found in anchors} == {1}


async def test_a_signer_names_no_tenant_and_hangs_under_the_root(parts: Parts) -> None:
    studio = await Studio.open(parts)
    credential = await parts.provenance.credential(studio.platform.tenant_id)
    leaf = x509.load_pem_x509_certificate(credential.certificate.encode())
    (anchor,) = [x509.load_pem_x509_certificate(pem.encode()) for pem in await parts.provenance.anchors()]
    leaf.verify_directly_issued_by(anchor)
    assert "Some Platform" not in leaf.subject.rfc4514_string()
    assert studio.platform.tenant_id.hex not in credential.certificate
    assert credential.not_after > now() + timedelta(days=3000)


async def test_rotation_gives_new_certificates_and_keeps_old_anchors(parts: Parts) -> None:
    tenant_id = (await Studio.open(parts)).platform.tenant_id
    first = await parts.provenance.credential(tenant_id)
    assert (await parts.provenance.credential(tenant_id)).certificate == first.certificate
    await parts.provenance.rotate_root()
    await parts.provenance.rotate_signer(tenant_id)
    second = await parts.provenance.credential(tenant_id)
    assert second.certificate != first.certificate
    anchors = await parts.provenance.anchors()
    assert len(anchors) == 2
    newest = x509.load_pem_x509_certificate(anchors[-1].encode())
    x509.load_pem_x509_certificate(second.certificate.encode()).verify_directly_issued_by(newest)


async def test_listing_the_anchors_opens_no_private_key(parts: Parts, administrator_url: str) -> None:
    anchors = await parts.provenance.anchors()
    engine = create_async_engine(async_url(administrator_url))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE keystore.deployment_key SET sealed_key = 'broken'"))
    await engine.dispose()
    assert await parts.provenance.anchors() == anchors
    with pytest.raises(SealBroken):
        await parts.provenance.credential((await Studio.open(parts)).platform.tenant_id)


async def test_a_signer_past_its_day_is_replaced_unasked(parts: Parts) -> None:
    tenant_id = (await Studio.open(parts)).platform.tenant_id
    first = await parts.provenance.credential(tenant_id)
    with frozen_at(now() + timedelta(days=parts.settings.provenance.rotate_days + 1)):
        assert (await parts.provenance.credential(tenant_id)).certificate != first.certificate


async def test_a_mark_is_the_same_at_each_try_and_another_for_each_style(parts: Parts) -> None:
    studio = await Studio.open(parts)
    job = await studio.submit()
    mark = await parts.provenance.mark_for(job.id, "studio-grey")
    assert mark == await parts.provenance.mark_for(job.id, "studio-grey")
    assert mark != await parts.provenance.mark_for(job.id, "charcoal")
    assert len(mark) == 8


async def test_what_was_delivered_is_known_by_mark_and_file_until_it_is_erased(parts: Parts) -> None:
    studio = await Studio.open(parts)
    outcome = made()
    assert outcome.mark is not None
    await studio.submit()
    await studio.complete(await studio.claim(), outcome)
    (headshot,) = await studio.headshots()
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        files = [await parts.store.read(asset) for asset in await queries.assets(session, headshot)]
    assert await parts.provenance.standing_of_mark(outcome.mark) is Standing.LIVE
    assert await parts.provenance.standing_of_file(files[0]) is Standing.LIVE
    assert await parts.provenance.standing_of_mark(secrets.token_bytes(8)) is Standing.UNKNOWN
    assert await parts.provenance.standing_of_file(files[0] + b"\0") is Standing.UNKNOWN
    # From the moment the person is erased, and for good once the rows are gone.
    await studio.erase_person()
    assert await parts.provenance.standing_of_mark(outcome.mark) is Standing.ERASED
    await erase.finish(parts.database, parts.store, tenant_id=studio.platform.tenant_id, subject_id=studio.subject_id)
    assert await parts.provenance.standing_of_mark(outcome.mark) is Standing.ERASED
    assert await parts.provenance.standing_of_file(files[0]) is Standing.UNKNOWN


async def test_one_erased_headshot_answers_erased_as_well(parts: Parts) -> None:
    studio = await Studio.open(parts)
    outcome = made()
    assert outcome.mark is not None
    await studio.submit()
    await studio.complete(await studio.claim(), outcome)
    (headshot,) = await studio.headshots()
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        await queries.delete(session, parts.store, headshot, actor="test")
    assert await parts.provenance.standing_of_mark(outcome.mark) is Standing.ERASED
