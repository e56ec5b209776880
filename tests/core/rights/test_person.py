"""The person's link: once, for half an hour, for one person."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.consent.models import Purpose
from core.errors import Gone, NotFound
from core.rights import erase, person
from core.rights.models import Identity, PersonLink, Source
from core.rights.person import Token
from core.rights.rules import Kind
from tests import scenes
from tests.scenes import Platform


async def _link(parts: Parts, platform: Platform, subject_id: UUID) -> Token:
    async with parts.database.tenant(platform.tenant_id) as session:
        text, _ = await person.make(session, subject_id=subject_id, actor="test", lifetime=timedelta(days=3))
    return Token.read(text)


async def _open(parts: Parts, token: Token) -> Token:
    async with parts.database.tenant(token.tenant_id) as session:
        return Token.read(await person.open_once(session, token))


async def test_a_link_opens_once_and_looking_at_it_spends_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    token = await _link(parts, platform, subject_id)
    for _ in range(3):
        async with parts.database.tenant(platform.tenant_id) as session:
            await person.look(session, token)
    visit = await _open(parts, token)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await person.visitor(session, visit) == subject_id
        with pytest.raises(NotFound):
            await person.visitor(session, token)  # the link is no visit
    with pytest.raises(NotFound):
        await _open(parts, token)
    with frozen_at(now() + timedelta(minutes=31)), pytest.raises(NotFound):
        async with parts.database.tenant(platform.tenant_id) as session:
            await person.visitor(session, visit)


async def test_a_link_that_is_late_forged_or_of_another_tenant_opens_nothing(parts: Parts) -> None:
    platform, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    token = await _link(parts, platform, await scenes.a_person(parts, platform))
    for forged in (
        replace(token, secret=bytes(32)),
        replace(token, tenant_id=other.tenant_id),
        replace(token, link_id=other.tenant_id),
    ):
        with pytest.raises(NotFound):
            await _open(parts, forged)
    with frozen_at(now() + timedelta(days=3)), pytest.raises(NotFound):
        await _open(parts, token)
    for text in ("", "x", token.text()[:-4], "Ag" + token.text()[2:]):
        with pytest.raises(NotFound):
            Token.read(text)


async def test_no_secret_of_a_link_is_kept(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    token = await _link(parts, platform, await scenes.a_person(parts, platform))
    visit = await _open(parts, token)
    async with parts.database.tenant(platform.tenant_id) as session:
        row = (await session.exec(select(PersonLink))).one()
    assert not {token.secret, visit.secret} & {row.token_sha256, row.visit_sha256}


async def test_an_erased_persons_link_opens_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    token = await _link(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    with pytest.raises(Gone):
        await _open(parts, token)
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    with pytest.raises(NotFound):
        await _open(parts, token)


async def test_what_the_person_asks_for_is_theirs_and_waits_for_the_identity_check(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        request = await person.ask(session, parts.keyring, subject_id=subject_id, kind=Kind.ERASURE)
        await person.withdraw(session, subject_id=subject_id, purpose=Purpose.HEADSHOT)
        with pytest.raises(NotFound):
            await person.withdraw(session, subject_id=subject_id, purpose=Purpose.HEADSHOT)
        with pytest.raises(NotFound):
            await person.ask(session, parts.keyring, subject_id=subject_id, kind=Kind.RECTIFICATION)
        held = await person.held(session, parts.keyring, subject_id)
    assert (request.source, request.identity) == (Source.PERSON, Identity.UNVERIFIED)
    assert held.identity.display_name == "Canary Q. Personname"
    assert {one.entry.purpose: one.permitted for one in held.consents} == {
        "headshot": False,
        "biometric_processing": True,
    }
