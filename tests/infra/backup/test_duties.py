"""What goes on after a restore as it stood before: holds, restrictions, and requests that are answered with a file."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from core.bootstrap import Parts
from core.clock import now
from core.consent import restrict
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import ProcessingRestricted
from core.portability.build import build
from core.rights import exports, requests
from core.rights.models import ExportState, Identity, PersonExport
from core.rights.rules import Kind
from core.terms import holds
from core.terms.policy import DataClass
from infra.backup.restore import restore
from tests import scenes
from tests.infra.backup.test_restore import backup


async def test_what_was_held_or_made_to_stand_still_since_is_so_again_and_what_was_let_go_is_not(
    parts: Parts, tmp_path: Path
) -> None:
    platform = await scenes.a_platform(parts)
    before, since, twice = [(await scenes.a_ready_person(parts, platform))[0] for _ in range(3)]

    async def hold(session: AsyncSession, subject_id: UUID) -> UUID:
        until = now() + timedelta(days=9)
        placed = await holds.place(
            session,
            parts.keyring,
            subject_id=subject_id,
            reason="canary-reason",
            expires_at=until,
            actor="test",
            data_classes=[DataClass.PHOTO],
        )
        return placed.id

    async def stop(session: AsyncSession, subject_id: UUID) -> UUID:
        kind = Kind.RESTRICTION
        return (await requests.receive(session, parts.keyring, subject_id=subject_id, kind=kind, actor="test"))[0].id

    async with parts.database.tenant(platform.tenant_id) as session:
        old_hold, old_stop = await hold(session, before), await stop(session, before)
        answered = await stop(session, twice)
    await backup(parts, tmp_path / "copy")
    async with parts.database.tenant(platform.tenant_id) as session:
        new_hold, new_stop = await hold(session, since), await stop(session, since)
        await holds.release(session, old_hold, actor="test")
        await requests.complete(session, request_id=old_stop, actor="test")
        await requests.lift(session, request_id=old_stop, actor="test")
        again = await stop(session, before)  # a second one of the same kind must not join the first
        await requests.complete(session, request_id=answered, actor="test")  # which stays in force, as the next does
        next_one = await stop(session, twice)
    ledger = b"".join([path.read_bytes() for path in (tmp_path / "tombstones").rglob("*") if path.is_file()])
    assert new_hold.hex.encode() in ledger
    assert b"canary" not in ledger
    done = await restore(parts.settings, source=tmp_path / "copy")
    assert (done["hold"], done["restriction"]) == (2, 4)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert holds.is_standing(await holds.get(session, new_hold))
        assert not holds.is_standing(await holds.get(session, old_hold))
        with pytest.raises(ProcessingRestricted):
            await consent.require(session, since, Purpose.HEADSHOT)
        (standing,) = await restrict.in_force(session, before)
        assert standing.request_id == again
        assert {one.request_id for one in await restrict.in_force(session, twice)} == {answered, next_one}
        # The platform's own names for the requests hold good, so that they can be answered.
        await requests.complete(session, request_id=new_stop, actor="test")
        await requests.lift(session, request_id=new_stop, actor="test")
        await consent.require(session, since, Purpose.HEADSHOT)


async def test_an_export_that_went_since_is_made_anew_instead_of_named_without_its_file(
    parts: Parts, tmp_path: Path
) -> None:
    platform = await scenes.a_platform(parts)
    person, _ = await scenes.a_ready_person(parts, platform)

    async def ask() -> PersonExport:
        async with parts.database.tenant(platform.tenant_id) as session:
            request, _ = await requests.receive(
                session,
                parts.keyring,
                subject_id=person,
                kind=Kind.ACCESS,
                actor="test",
                identity=Identity.VERIFIED,
            )
            export = await requests.export(session, request_id=request.id, actor="test")
        where = {"tenant_id": platform.tenant_id, "export_id": export.id}
        return await build(parts.database, parts.store, **where, root="https://likeness.example") or export

    first = await ask()
    await backup(parts, tmp_path / "copy")
    async with parts.database.tenant(platform.tenant_id) as session:
        await exports.delete(session, parts.store, await exports.get(session, first.id), actor="test")
    assert (await restore(parts.settings, source=tmp_path / "copy"))["asset"] == 1
    again = await ask()
    assert (again.id != first.id, again.state) == (True, ExportState.READY)
