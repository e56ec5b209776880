"""`/operator/v1/keys`: which keys a tenant has, how old, how far a rotation is. Never a key, wrapped or clear."""

import asyncio
from datetime import datetime
from time import perf_counter
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from api.operator.auth import requires_viewer
from api.problems import documented
from core.bootstrap import Parts
from core.clock import now
from core.errors import KeyProviderUnavailable, NotFound, RoleMissing, Unauthenticated
from core.ids import Prefix, parse
from core.tenants import service as tenants

PATIENCE_SECONDS = 2.0


class ProviderView(Struct, frozen=True, kw_only=True):
    """The place that holds the root key, asked a moment ago."""

    state: Annotated[str, Meta(description="`ok` or `unavailable`.")]
    milliseconds: Annotated[float | None, Meta(description="A wrap, an unwrap and a look into the key store.")]
    caching: Annotated[bool, Meta(description="Opened keys are kept for a while, because shreds are surely heard of.")]


class KeyVersionView(Struct, frozen=True, kw_only=True):
    """One version of a key."""

    purpose: Annotated[str, Meta(description="`kek` wraps the people's keys; `index` finds; `secrets` signs.")]
    version: int
    state: Annotated[str, Meta(description="`active`, `retiring` or `destroyed`.")]
    under: Annotated[str, Meta(description="What opens it.", examples=["root 1"])]
    age_days: float
    created_at: datetime
    subjects: Annotated[int, Meta(description="People whose keys are wrapped under it.")]


class RotationView(Struct, frozen=True, kw_only=True):
    """How far the rotation is."""

    state: Annotated[str, Meta(description="`idle`, or `moving` while keys are under an older version.")]
    moved: int
    total: int
    share: Annotated[float, Meta(description="0 to 1.")]


class KeysView(Struct, frozen=True, kw_only=True):
    """The hierarchy of a tenant: root, tenant keys by version, and how many people's keys hang under each."""

    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    provider: ProviderView
    versions: list[KeyVersionView]
    rotation: RotationView


class KeysController(Controller):
    """`/operator/v1/keys`."""

    path = "/keys"
    tags = ("Operators",)
    guards = (requires_viewer,)

    @get(summary="How the key provider is", responses=documented(Unauthenticated, RoleMissing))
    async def read_key_provider(self, parts: NamedDependency[Parts]) -> ProviderView:
        """Whether the place that holds the root key answers, and how fast."""
        return await _provider(parts)

    @get(
        "/{tenant_id:str}",
        summary="Read a tenant's keys",
        responses=documented(Unauthenticated, RoleMissing, NotFound, KeyProviderUnavailable),
    )
    async def read_keys(self, parts: NamedDependency[Parts], tenant_id: FromPath[str]) -> KeysView:
        """Versions, states, ages and counts. Subject keys are random, so each has no version but that of its KEK."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.system() as session:
            await tenants.get_tenant(session, found)
        held = await parts.keyring.inventory(found)
        moment = now()
        moved = held.subject_keys - held.behind
        return KeysView(
            tenant=tenant_id,
            provider=await _provider(parts),
            versions=[
                KeyVersionView(
                    purpose=one.purpose,
                    version=one.version,
                    state=one.state,
                    under=f"root {one.root_version}" if one.purpose == "kek" else f"kek {one.kek_version}",
                    age_days=round((moment - one.created_at).total_seconds() / 86_400, 2),
                    created_at=one.created_at,
                    subjects=one.held,
                )
                for one in held.versions
            ],
            rotation=RotationView(
                state="moving" if held.behind else "idle",
                moved=moved,
                total=held.subject_keys,
                share=1.0 if not held.subject_keys else round(moved / held.subject_keys, 4),
            ),
        )


async def _provider(parts: Parts) -> ProviderView:
    began = perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await parts.keyring.health()
    except (KeyProviderUnavailable, TimeoutError):
        return ProviderView(state="unavailable", milliseconds=None, caching=parts.keyring.caching)
    took = round((perf_counter() - began) * 1000, 1)
    return ProviderView(state="ok", milliseconds=took, caching=parts.keyring.caching)
