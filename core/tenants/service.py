"""Tenants and their keys: create, authenticate, rotate, revoke."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import (
    CredentialExpired,
    CredentialInvalid,
    NotFound,
    ScopeMissing,
    TenantSuspended,
    Unacceptable,
    VersionConflict,
)
from core.ids import Prefix, new_id, public
from core.keyring.service import Keyring
from core.storage.tombstones import Kind, remember
from core.tenants import credentials
from core.tenants.models import ApiKey, Mode, Quota, Tenant, TenantState
from core.tenants.plans import STANDARD
from core.webhooks import service as webhooks

SCOPES: tuple[str, ...] = (
    "tenant:read",
    "api_keys:write",
    "notices:read",
    "notices:write",
    "subjects:read",
    "subjects:write",
    "consents:read",
    "consents:write",
    "consents:read_declined",
    "photos:read",
    "photos:write",
    "headshots:read",
    "headshots:write",
    "assets:read",
    "erasure:write",
    "rights:read",
    "rights:write",
    "retention:read",
    "retention:write",
    "holds:read",
    "holds:write",
    "webhooks:read",
    "webhooks:write",
    "usage:read",
    "audit:read",
)


@dataclass(frozen=True)
class Caller:
    """Who is asking: the tenant comes from the credential, never from the path."""

    tenant_id: UUID
    api_key_id: UUID
    mode: Mode
    scopes: frozenset[str]
    region: str
    tenant_state: TenantState

    def require_scope(self, scope: str) -> None:
        """Raise `ScopeMissing` unless the key carries this scope."""
        if scope not in self.scopes:
            raise ScopeMissing(f"This needs the scope {scope}.", required_scope=scope)

    def require_active(self) -> None:
        """Raise `TenantSuspended` for a tenant that may start nothing new."""
        if self.tenant_state is not TenantState.ACTIVE:
            raise TenantSuspended

    @property
    def actor(self) -> str:
        """How the audit log names this caller."""
        return f"api_key:{self.api_key_id.hex}"


async def create_tenant(
    database: Database,
    keyring: Keyring,
    *,
    name: str,
    region: str = "local",
    credits: int = 0,  # noqa: A002 (the field's own name)
    weight: float = 1.0,
    plan: str = STANDARD,
) -> Tenant:
    """Create a tenant with its keys and its quota.

    The row comes first: keys without a tenant could not be told from lost ones, and a tenant without keys can seal
    nothing, so a crash in between leaves something harmless.
    """
    tenant = Tenant(name=name, region=region, weight=weight, plan=plan)
    async with database.system() as session:
        session.add(tenant)
    await keyring.create_tenant(tenant.id)
    async with database.tenant(tenant.id) as session:
        session.add(Quota(tenant_id=tenant.id, credits=credits))
        await audit.append(
            session, tenant_id=tenant.id, kind="tenant.created", actor="operator", facts={"region": region}
        )
    return tenant


async def get_tenant(session: AsyncSession, tenant_id: UUID) -> Tenant:
    """The tenant of this session, or `NotFound`."""
    found = await session.get(Tenant, tenant_id)
    if found is None:
        raise NotFound
    return found


async def edit(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    name: str | None,
    region: str | None,
    version: int | None,
    actor: str,
) -> Tenant:
    """Change the name or the region, in an operator session of that tenant; None stays. Jobs keep their region.

    version: the one that the caller saw. Raises `NotFound`, and `VersionConflict`, which says who changed it and when.
    """
    query = select(Tenant).where(Tenant.id == tenant_id).with_for_update()
    tenant = (await session.exec(query.execution_options(populate_existing=True))).first()
    if tenant is None:
        raise NotFound
    if version is not None and version != tenant.version:
        raise VersionConflict(
            version=tenant.version, changed_by=tenant.changed_by, changed_at=tenant.changed_at.isoformat()
        )
    wanted = {"name": name or tenant.name, "region": region or tenant.region}
    if wanted == {"name": tenant.name, "region": tenant.region}:
        return tenant
    tenant.name, tenant.region = wanted["name"], wanted["region"]
    tenant.version += 1
    tenant.changed_by, tenant.changed_at = actor, now()
    session.add(tenant)
    await session.flush()
    await audit.append(
        session,
        tenant_id=tenant_id,
        kind="tenant.changed",
        actor=actor,
        facts={"version": tenant.version, "region": tenant.region},
    )
    return tenant


async def create_api_key(
    session: AsyncSession,
    *,
    tenant_id: UUID,
    name: str,
    mode: Mode,
    actor: str = "operator",
    scopes: tuple[str, ...] | None = None,
    expires_at: datetime | None = None,
    replaces: UUID | None = None,
) -> tuple[ApiKey, str]:
    """Create a key. The text is returned once and stored nowhere. No scopes named means all of them."""
    chosen = SCOPES if scopes is None else scopes
    unknown = sorted(set(chosen) - set(SCOPES))
    if unknown:
        raise Unacceptable(f"Unknown scopes: {len(unknown)}. See `allowed`.", allowed=list(SCOPES))
    key_id = new_id()
    secret, secret_hash = credentials.mint(key_id, mode)
    key = ApiKey(
        id=key_id,
        tenant_id=tenant_id,
        name=name,
        mode=mode.value,
        secret_hash=secret_hash,
        scopes=sorted(set(chosen)),
        expires_at=expires_at,
        replaces=replaces,
    )
    session.add(key)
    await session.flush()
    await audit.append(
        session, tenant_id=tenant_id, kind="api_key.created", actor=actor, facts={"api_key": key_id.hex, "mode": mode}
    )
    return key, secret


async def authenticate(database: Database, token: str) -> Caller:
    """Who this key belongs to. Raises `CredentialInvalid` or `CredentialExpired`; a typo costs no query."""
    credential = credentials.read(token)
    async with database.system() as session:
        row = (
            await session.exec(
                select(ApiKey, Tenant)
                .join(Tenant, col(Tenant.id) == ApiKey.tenant_id)
                .where(ApiKey.id == credential.key_id)
            )
        ).first()
    if row is None:
        raise CredentialInvalid
    key, tenant = row
    genuine = hmac.compare_digest(key.secret_hash, credential.secret_hash)
    if not genuine or key.mode != credential.mode or key.revoked_at is not None:
        raise CredentialInvalid
    if key.expires_at is not None and key.expires_at <= now():
        raise CredentialExpired
    return Caller(
        tenant_id=key.tenant_id,
        api_key_id=key.id,
        mode=Mode(key.mode),
        scopes=frozenset(key.scopes),
        region=tenant.region,
        tenant_state=TenantState(tenant.state),
    )


async def get_api_key(session: AsyncSession, key_id: UUID) -> ApiKey:
    """One key, or `NotFound`."""
    found = await session.get(ApiKey, key_id)
    if found is None:
        raise NotFound
    return found


async def page_api_keys(session: AsyncSession, *, before: UUID | None, limit: int) -> list[ApiKey]:
    """Keys, newest first, of which at most `limit` older than `before`."""
    query = select(ApiKey).order_by(col(ApiKey.id).desc()).limit(limit)
    if before is not None:
        query = query.where(ApiKey.id < before)
    return list((await session.exec(query)).all())


async def rotate_api_key(
    session: AsyncSession, *, tenant_id: UUID, key_id: UUID, actor: str, overlap_seconds: int = 86_400
) -> tuple[ApiKey, str]:
    """Make a successor with the same mode and scopes. Both live until the old one ends, `overlap_seconds` from now."""
    old = await get_api_key(session, key_id)
    if old.revoked_at is not None:
        raise NotFound
    ends = now() + timedelta(seconds=overlap_seconds)
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    old.expires_at = ends if old.expires_at is None else min(ends, old.expires_at)
    session.add(old)
    key, secret = await create_api_key(
        session,
        tenant_id=tenant_id,
        name=old.name,
        mode=Mode(old.mode),
        actor=actor,
        scopes=tuple(old.scopes),
        expires_at=None if lifetime is None else now() + lifetime,
        replaces=old.id,
    )
    await webhooks.emit(
        session,
        tenant_id=tenant_id,
        type="api_key.rotated",
        resource_id=key.id,
        data={
            "api_key_id": public(Prefix.API_KEY, key.id),
            "replaces": public(Prefix.API_KEY, old.id),
            "old_key_expires_at": old.expires_at.isoformat(),
        },
    )
    return key, secret


async def revoke_api_key(session: AsyncSession, *, tenant_id: UUID, key_id: UUID, actor: str) -> ApiKey:
    """End a key at once. Revoking it again changes nothing."""
    key = await get_api_key(session, key_id)
    if key.revoked_at is None:
        await remember(session, Kind.API_KEY, tenant_id=tenant_id, id=key_id)
        key.revoked_at = now()
        session.add(key)
        await audit.append(
            session, tenant_id=tenant_id, kind="api_key.revoked", actor=actor, facts={"api_key": key_id.hex}
        )
    return key


async def page_tenants(session: AsyncSession, *, before: UUID | None, limit: int) -> list[tuple[Tenant, Quota]]:
    """All tenants with their quotas, newest first. For operators, in a system session."""
    query = select(Tenant, Quota).join(Quota, col(Quota.tenant_id) == Tenant.id).order_by(col(Tenant.id).desc())
    if before is not None:
        query = query.where(Tenant.id < before)
    return [(tenant, quota) for tenant, quota in (await session.exec(query.limit(limit))).all()]


async def set_state(database: Database, *, tenant_id: UUID, state: TenantState, actor: str) -> None:
    """Suspend or resume a tenant."""
    async with database.system() as session:
        tenant = await get_tenant(session, tenant_id)
        tenant.state = state.value
        session.add(tenant)
    async with database.tenant(tenant_id) as session:
        await audit.append(session, tenant_id=tenant_id, kind=f"tenant.{state.value}", actor=actor, facts={})
