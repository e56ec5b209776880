"""The certificate of an erasure: what it says, that it holds, and that nothing else does."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import NotFound, StateConflict
from core.headshots import complete
from core.ids import Prefix, public
from core.jobs.lease import Stopped, StopReason
from core.jobs.models import JobState
from core.keyring.signing_keys import jwk
from core.photos import service as photos
from core.rights import certify, erase
from core.rights.models import ErasureCertificate, Step
from core.webhooks import service as webhooks
from core.webhooks.models import Event
from infra import verify_certificate as verifier
from tests import scenes
from tests.queueing import Studio

LATER = timedelta(seconds=6)  # by then every process has forgotten the key


async def erased(parts: Parts, platform: scenes.Platform) -> UUID:
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    return subject_id


async def certified(parts: Parts, platform: scenes.Platform, subject_id: UUID) -> ErasureCertificate:
    with frozen_at(now() + LATER):
        return await certify.certify(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)


async def published(parts: Parts) -> bytes:
    return json.dumps({"keys": [jwk(key) for key in await parts.keyring.signing.published()]}).encode()


async def a_certificate(parts: Parts) -> tuple[bytes, verifier.Keys]:
    platform = await scenes.a_platform(parts)
    issued = await certified(parts, platform, await erased(parts, platform))
    assert issued.document is not None
    return issued.document, verifier.read_keys(await published(parts))


async def test_a_certificate_verifies_offline_and_says_what_was_done(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await erased(parts, platform)
    issued = await certified(parts, platform, subject_id)
    assert issued.document is not None
    said = verifier.verify(issued.document, verifier.read_keys(await published(parts)))
    assert said["subject"] == public(Prefix.SUBJECT, subject_id)
    assert said["tenant"] == public(Prefix.TENANT, platform.tenant_id)
    assert said["erased"]["objects"] == [{"class": "photo", "count": 1}]
    assert said["erased"]["keys"][0]["count"] == 1
    rows = {row["table"]: row for row in said["erased"]["rows"]}
    assert rows["subject"]["columns"] == sorted(
        ["reference_index", "sealed_reference", "sealed_name", "sealed_email", "jurisdiction"]
    )
    assert (rows["consent"]["count"], rows["photo"]["count"]) == (2, 1)
    assert [(scan["store"], scan["found"]) for scan in said["scans"]] == [
        ("database", 0),
        ("key store", 0),
        ("objects", 0),
    ]
    assert said["backups"]["state"] == "pending"
    assert set(said["steps"]) == {step.value for step in Step}
    assert {"job", "tombstone"} & {residue["what"] for residue in said["residues"]} == {"tombstone"}
    assert said["subject"] in verifier.describe(said)


async def test_a_certificate_holds_nothing_of_the_person(parts: Parts) -> None:
    document, _ = await a_certificate(parts)
    for text in (b"Canary", b"canary", b"person.example"):
        assert text not in document


async def test_there_is_no_certificate_while_a_process_might_still_hold_the_key(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await erased(parts, platform)
    with pytest.raises(StateConflict):
        await certify.certify(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(ErasureCertificate))).all() == []


async def test_there_is_no_certificate_before_the_erasure_is_at_its_end(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    with pytest.raises(StateConflict):
        await certified(parts, platform, subject_id)


@pytest.mark.parametrize("ending", ["stopped", "silent"])
async def test_there_is_no_certificate_while_a_worker_holds_a_job_of_the_person(parts: Parts, ending: str) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    claimed = await studio.claim()
    await studio.erase_person()
    tenant_id, subject_id = studio.platform.tenant_id, studio.subject_id
    await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
    with pytest.raises(StateConflict):
        await certified(parts, studio.platform, subject_id)
    async with parts.database.system() as session:
        with frozen_at(now() + LATER):
            assert await erase.unfinished(session, limit=10) == [(tenant_id, subject_id)]
    if ending == "stopped":
        assert (await complete.stop(parts.database, claimed, Stopped(StopReason.ERASED))).state == JobState.CANCELLED
    else:
        await studio.let_lease_run_out(claimed.job_id)
    assert (await certified(parts, studio.platform, subject_id)).issued_at is not None


async def test_there_is_no_certificate_while_a_worker_looks_at_a_photo_of_the_person(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await photos.begin_check(session, photo_id) is not None
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    with pytest.raises(StateConflict, match="looks at a photo"):
        await certified(parts, platform, subject_id)
    # A worker that died said nothing: its lease runs out by itself.
    with frozen_at(now() + photos.LOOK_LEASE):
        assert (await certified(parts, platform, subject_id)).issued_at is not None


async def test_certifying_twice_gives_the_same_certificate_and_tells_once(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await erased(parts, platform)
    first = await certified(parts, platform, subject_id)
    again = await certified(parts, platform, subject_id)
    assert (again.id, again.document) == (first.id, first.document)
    async with parts.database.tenant(platform.tenant_id) as session:
        told = (await session.exec(select(Event).where(Event.type == "erasure.certified"))).all()
        leaves = (await session.exec(select(AuditEntry).where(AuditEntry.kind == "erasure.certified"))).all()
    assert (len(told), len(leaves)) == (1, 1)
    async with parts.database.system() as session:
        with frozen_at(now() + timedelta(days=1)):
            assert await erase.unfinished(session, limit=10) == []


async def test_an_uncertified_erasure_is_found_again(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await erased(parts, platform)
    async with parts.database.system() as session:
        assert await erase.unfinished(session, limit=10) == []
        with frozen_at(now() + LATER):
            assert await erase.unfinished(session, limit=10) == [(platform.tenant_id, subject_id)]


async def test_a_certificate_of_before_a_key_rotation_still_verifies(parts: Parts) -> None:
    document, before = await a_certificate(parts)
    await parts.keyring.signing.rotate()
    after = verifier.read_keys(await published(parts))
    assert set(before) < set(after)
    assert verifier.verify(document, after)


async def test_another_deployments_keys_verify_nothing(parts: Parts) -> None:
    document, keys = await a_certificate(parts)
    await parts.keyring.signing.rotate()
    newest = dict([next(iter(verifier.read_keys(await published(parts)).items()))])
    assert not set(newest) & set(keys)
    with pytest.raises(verifier.NotVerified, match="not among the published"):
        verifier.verify(document, newest)


async def test_a_receiver_confirms_once_and_only_if_it_was_told(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        endpoint, _ = await webhooks.create_endpoint(
            session,
            parts.keyring,
            parts.settings.webhooks,
            tenant_id=platform.tenant_id,
            url="https://hooks.sample.example/likeness",
            events=["asset.erased"],
            description=None,
            actor="test",
        )
    subject_id = await erased(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        (receiver,) = await certify.receivers_of(session, subject_id)
        assert (receiver.endpoint_id, receiver.confirmed_at) == (endpoint.id, None)
        confirmed = await certify.confirm(session, subject_id=subject_id, endpoint_id=endpoint.id, actor="test")
        first = confirmed.confirmed_at
        again = await certify.confirm(session, subject_id=subject_id, endpoint_id=endpoint.id, actor="other")
        assert (again.confirmed_at, again.confirmed_by) == (first, "test")
        with pytest.raises(NotFound):
            await certify.confirm(session, subject_id=subject_id, endpoint_id=subject_id, actor="test")
    issued = await certified(parts, platform, subject_id)
    assert issued.body["receivers"] == [
        {"endpoint": public(Prefix.ENDPOINT, endpoint.id)}
        | {"told_at": receiver.told_at.isoformat(), "confirmed_at": first.isoformat() if first else None}
    ]


async def test_a_sheet_for_the_person_is_drawn_from_the_same_data(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    issued = await certified(parts, platform, await erased(parts, platform))
    assert issued.rendering is not None
    assert issued.rendering.startswith(b"%PDF-")


async def test_the_log_binds_the_very_content(parts: Parts) -> None:
    """Whoever holds the signing key still cannot make a second certificate for one leaf."""
    document, keys = await a_certificate(parts)
    said: dict[str, Any] = json.loads(document)
    said["certificate"]["erased"]["objects"][0]["count"] = 2
    key = await parts.keyring.signing.active()
    both = {name: said[name] for name in ("certificate", "log")}
    said["signature"]["value"] = key.sign(verifier.FORMAT.encode() + b"\n" + verifier.canonical(both)).hex()
    with pytest.raises(verifier.NotVerified, match="binding"):
        verifier.verify(verifier.canonical(said) + b"\n", keys)
