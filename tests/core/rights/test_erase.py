"""Erase a person."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text
from sqlmodel import SQLModel, select

from core.audit import service as audit
from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.consent.models import Consent
from core.errors import Gone, NotFound
from core.headshots import submit
from core.jobs.models import Job, JobState
from core.photos import service as photos
from core.photos.models import Photo
from core.rights import erase
from core.rights.models import ErasureState
from core.storage.models import Asset
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.tenants import quota
from core.webhooks.models import Event
from tests import scenes


async def _begin(parts: Parts, platform: scenes.Platform, subject_id: UUID) -> None:
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")


async def test_once_begun_nothing_of_the_person_can_be_read(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, photo_id = await scenes.a_ready_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await subjects.get(session, subject_id)
        asset = await photos.asset_of(session, await photos.get(session, photo_id))
    await _begin(parts, platform, subject_id)
    with pytest.raises(Gone):
        await parts.store.read(asset)
    with pytest.raises(Gone):
        await subjects.reveal(parts.keyring, subject)
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(Gone):
            await photos.get(session, photo_id)


async def test_a_rollback_erases_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, photo_id = await scenes.a_ready_person(parts, platform)
    with pytest.raises(RuntimeError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
            raise RuntimeError
    async with parts.database.tenant(platform.tenant_id) as session:
        asset = await photos.asset_of(session, await photos.get(session, photo_id))
    assert await parts.store.read(asset)


async def test_finishing_removes_the_objects_and_every_personal_column(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await _begin(parts, platform, subject_id)
    tombstone = await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    assert tombstone.state == ErasureState.ERASED
    assert tombstone.objects_deleted == 1
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = (await session.exec(select(Subject))).one()
        assert (subject.reference_index, subject.sealed_reference, subject.sealed_name, subject.sealed_email) == (
            None,
            None,
            None,
            None,
        )
        assert {entry.sealed_evidence for entry in (await session.exec(select(Consent))).all()} == {None}
        assert [(photo.state, photo.report) for photo in (await session.exec(select(Photo))).all()] == [
            ("erased", None)
        ]
        assert [asset.state for asset in (await session.exec(select(Asset))).all()] == ["erased"]
        about = select(AuditEntry).where(AuditEntry.subject_id == subject_id)
        assert (await session.exec(about)).all() == []


async def test_finishing_can_be_repeated_and_changes_nothing_more(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await _begin(parts, platform, subject_id)
    first = await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    again = await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    assert again.erased_at == first.erased_at
    async with parts.database.tenant(platform.tenant_id) as session:
        states = [event.data["state"] for event in (await session.exec(select(Event))).all() if "erased" in event.type]
    assert states == ["shredded", "erased"]


async def test_asking_twice_is_one_erasure(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await _begin(parts, platform, subject_id)
    await _begin(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(Subject.erasure_epoch))).one() == 1


async def test_a_leaf_that_comes_after_the_erasure_has_no_link_to_the_person(parts: Parts) -> None:
    """A worker that was cancelled by the erasure says so in the log, perhaps when the rows are gone already."""
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await _begin(parts, platform, subject_id)
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        late = await audit.append(
            session,
            tenant_id=platform.tenant_id,
            subject_id=subject_id,
            kind="headshot.cancelled",
            actor="worker",
            facts={},
        )
        await session.refresh(late)
        assert (late.subject_id, late.salt) == (None, None)


async def test_making_a_person_unreadable_costs_the_same_however_much_is_theirs(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    statements: list[str] = []

    def watch(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    counts = []
    for assets in (1, 500):
        subject_id, _ = await scenes.a_ready_person(parts, platform)
        async with parts.database.tenant(platform.tenant_id) as session:
            await (await session.connection()).execute(
                text("""
                    INSERT INTO asset (id, tenant_id, subject_id, kind, version, object_name, wrapped_key, media_type,
                                       width, height, plain_bytes, state, created_at)
                    SELECT gen_random_uuid(), tenant_id, subject_id, kind, version, object_name || n, wrapped_key,
                           media_type, width, height, plain_bytes, state, created_at
                    FROM asset, generate_series(1, :more) AS n WHERE subject_id = :subject
                """),
                {"more": assets - 1, "subject": subject_id},
            )
        event.listen(parts.database.app.sync_engine, "after_cursor_execute", watch)
        await _begin(parts, platform, subject_id)
        event.remove(parts.database.app.sync_engine, "after_cursor_execute", watch)
        counts.append(len(statements))
        statements.clear()
        done = await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
        assert done.objects_deleted == assets
    assert counts[0] == counts[1]


async def test_waiting_jobs_end_and_their_credits_come_back(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=5)
    subject_id, photo_id = await scenes.a_ready_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=["studio-grey"])
    await _begin(parts, platform, subject_id)
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(Job.state))).one() == JobState.CANCELLED
        left = await quota.usage(session, platform.tenant_id)
    assert (left.reserved, left.used) == (0, 0)


async def test_an_erasure_left_half_way_is_found_again(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await _begin(parts, platform, subject_id)
    async with parts.database.system() as session:
        assert await erase.unfinished(session, limit=10) == [(platform.tenant_id, subject_id)]
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    async with parts.database.system() as session:
        assert await erase.unfinished(session, limit=10) == []


async def test_another_tenant_cannot_erase_a_person(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    subject_id, photo_id = await scenes.a_ready_person(parts, mine)
    for unknown in (subject_id, uuid4()):
        with pytest.raises(NotFound):
            await _begin(parts, other, unknown)
    async with parts.database.tenant(mine.tenant_id) as session:
        asset = await photos.asset_of(session, await photos.get(session, photo_id))
    assert await parts.store.read(asset)


def test_every_table_declares_how_it_forgets_a_person() -> None:
    for table in SQLModel.metadata.sorted_tables:
        eraser = table.info["eraser"]
        assert eraser.how in {"delete", "redact", "keep"}, table.name
        assert eraser.why, table.name
        assert set(eraser.columns) <= set(table.c.keys()), table.name
        assert (eraser.how == "redact") == bool(eraser.columns), table.name
        assert all(table.c[column].nullable for column in eraser.columns), table.name


async def test_the_persons_key_is_not_in_the_key_store_afterwards(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    count = text("SELECT count(*) FROM keystore.subject_key WHERE subject_id = :subject")
    async with parts.database.keystore(platform.tenant_id) as session:
        assert (await (await session.connection()).execute(count, {"subject": subject_id})).scalar_one() == 1
    await _begin(parts, platform, subject_id)
    async with parts.database.keystore(platform.tenant_id) as session:
        assert (await (await session.connection()).execute(count, {"subject": subject_id})).scalar_one() == 0
