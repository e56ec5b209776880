"""People."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.bootstrap import Parts
from core.errors import NotFound, ReferenceTaken
from core.subjects import service
from tests import scenes


async def test_what_is_told_of_a_person_opens_for_their_tenant(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform, reference="E-1001")
    async with parts.database.tenant(platform.tenant_id) as session:
        identity = await service.reveal(parts.keyring, await service.get(session, subject_id))
    assert identity == service.Identity("E-1001", "Canary Q. Personname", "canary@person.example")


async def test_no_column_holds_the_person_in_clear(parts: Parts, owner_url: str) -> None:
    platform = await scenes.a_platform(parts)
    await scenes.a_person(parts, platform, reference="E-1001-canary")
    async with parts.database.tenant(platform.tenant_id) as session:
        row = (
            await (await session.connection()).execute(text("SELECT row_to_json(subject)::text FROM subject"))
        ).scalar_one()
    for clear in ("canary", "Canary", "Personname", "E-1001"):
        assert clear not in row
        assert clear.encode().hex() not in row


async def test_a_reference_finds_its_person_and_only_in_its_tenant(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, mine, reference="E-7")
    async with parts.database.tenant(mine.tenant_id) as session:
        found = await service.find_by_reference(session, parts.keyring, tenant_id=mine.tenant_id, reference="E-7")
        assert found is not None
        assert found.id == subject_id
    async with parts.database.tenant(other.tenant_id) as session:
        assert (
            await service.find_by_reference(session, parts.keyring, tenant_id=other.tenant_id, reference="E-7") is None
        )


async def test_one_reference_names_one_person_even_when_two_are_made_at_once(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)

    async def one() -> bool:
        try:
            await scenes.a_person(parts, platform, reference="E-9")
        except ReferenceTaken:
            return False
        return True

    assert sum(await asyncio.gather(*(one() for _ in range(5)))) == 1


async def test_another_tenants_person_is_as_unknown_as_none(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, other)
    async with parts.database.tenant(mine.tenant_id) as session:
        for unknown in (subject_id, uuid4()):
            with pytest.raises(NotFound):
                await service.get(session, unknown)


async def test_rectification_changes_what_opens_and_what_finds(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform, reference="old")
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await service.get(session, subject_id)
        await service.rectify(
            session, parts.keyring, subject, actor="test", changes={"reference": "new", "display_name": None}
        )
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (
            await service.find_by_reference(session, parts.keyring, tenant_id=platform.tenant_id, reference="old")
            is None
        )
        found = await service.find_by_reference(session, parts.keyring, tenant_id=platform.tenant_id, reference="new")
        assert found is not None
        identity = await service.reveal(parts.keyring, found)
    assert (identity.reference, identity.display_name) == ("new", None)
