"""Tenants and their keys."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlmodel import select

from core import clock
from core.bootstrap import Parts
from core.errors import CredentialExpired, CredentialInvalid, ScopeMissing, TenantSuspended, Unacceptable
from core.tenants import credentials, service
from core.tenants.models import ApiKey, Mode, Tenant, TenantState
from core.webhooks.models import Event
from tests import scenes


async def test_a_key_authenticates_as_its_tenant_mode_and_scopes(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, mode=Mode.TEST)
    caller = await service.authenticate(parts.database, platform.key)
    assert caller.tenant_id == platform.tenant_id
    assert caller.mode is Mode.TEST
    assert caller.scopes == frozenset(service.SCOPES)


async def test_a_key_of_the_right_form_that_was_never_made_is_refused(parts: Parts) -> None:
    forged, _ = credentials.mint(uuid4(), Mode.LIVE)
    with pytest.raises(CredentialInvalid):
        await service.authenticate(parts.database, forged)


async def test_the_right_id_with_another_secret_is_refused(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    forged, _ = credentials.mint(platform.caller.api_key_id, Mode.LIVE)
    with pytest.raises(CredentialInvalid):
        await service.authenticate(parts.database, forged)


async def test_rotation_keeps_both_keys_live_until_the_old_one_ends(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        new, text = await service.rotate_api_key(
            session, tenant_id=platform.tenant_id, key_id=platform.caller.api_key_id, actor="test", overlap_seconds=60
        )
    assert (await service.authenticate(parts.database, text)).api_key_id == new.id
    assert (await service.authenticate(parts.database, platform.key)).tenant_id == platform.tenant_id
    with clock.frozen_at(clock.now() + timedelta(seconds=61)):
        with pytest.raises(CredentialExpired):
            await service.authenticate(parts.database, platform.key)
        assert (await service.authenticate(parts.database, text)).scopes == platform.caller.scopes
    async with parts.database.tenant(platform.tenant_id) as session:
        assert [event.type for event in (await session.exec(select(Event))).all()] == ["api_key.rotated"]


async def test_a_revoked_key_is_refused_at_once(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.revoke_api_key(
            session, tenant_id=platform.tenant_id, key_id=platform.caller.api_key_id, actor="test"
        )
    with pytest.raises(CredentialInvalid):
        await service.authenticate(parts.database, platform.key)


async def test_a_missing_scope_is_named(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        _, text = await service.create_api_key(
            session, tenant_id=platform.tenant_id, name="reader", mode=Mode.LIVE, scopes=("photos:read",)
        )
    caller = await service.authenticate(parts.database, text)
    caller.require_scope("photos:read")
    with pytest.raises(ScopeMissing) as refused:
        caller.require_scope("photos:write")
    assert refused.value.extra == {"required_scope": "photos:write"}


async def test_an_unknown_scope_makes_no_key(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    with pytest.raises(Unacceptable):
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.create_api_key(
                session, tenant_id=platform.tenant_id, name="x", mode=Mode.LIVE, scopes=("everything",)
            )


async def test_a_suspended_tenant_may_start_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    await service.set_state(parts.database, tenant_id=platform.tenant_id, state=TenantState.SUSPENDED, actor="test")
    caller = await service.authenticate(parts.database, platform.key)
    with pytest.raises(TenantSuspended):
        caller.require_active()


async def test_without_a_where_clause_a_tenant_sees_only_its_own_rows(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    async with parts.database.tenant(mine.tenant_id) as session:
        assert [tenant.id for tenant in (await session.exec(select(Tenant))).all()] == [mine.tenant_id]
        assert [key.tenant_id for key in (await session.exec(select(ApiKey))).all()] == [mine.tenant_id]
        assert await session.get(Tenant, other.tenant_id) is None
