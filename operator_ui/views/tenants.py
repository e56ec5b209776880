"""What the console reads of tenants."""

from datetime import datetime

from msgspec import Struct


class Tenant(Struct, frozen=True, kw_only=True):
    """A tenant."""

    id: str
    name: str
    region: str
    state: str
    created_at: datetime | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """Credits."""

    credits: int
    used: int
    reserved: int
    available: int


class ManagedTenant(Struct, frozen=True, kw_only=True):
    """A tenant and its credits."""

    tenant: Tenant
    usage: Usage
    plan: str = ""
    version: int = 0


class TenantPage(Struct, frozen=True, kw_only=True):
    """Tenants, newest first."""

    data: list[ManagedTenant]
    next_cursor: str | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """An API key, shown once."""

    key: str = ""
    name: str = ""
    mode: str = ""


class CreatedTenant(ManagedTenant, frozen=True, kw_only=True):
    """A tenant as it is made."""

    api_key: NewKey
