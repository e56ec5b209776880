"""What the console reads of keys: never a key."""

from datetime import datetime

from msgspec import Struct


class Provider(Struct, frozen=True, kw_only=True):
    """The key provider."""

    state: str
    milliseconds: float | None = None
    caching: bool = True


class KeyVersion(Struct, frozen=True, kw_only=True):
    """A version of a tenant's key."""

    purpose: str
    version: int
    state: str
    under: str
    age_days: float
    created_at: datetime
    subjects: int = 0


class Rotation(Struct, frozen=True, kw_only=True):
    """How far a rotation is."""

    state: str
    moved: int = 0
    total: int = 0
    share: float = 1.0


class Keys(Struct, frozen=True, kw_only=True):
    """A tenant's keys."""

    tenant: str
    provider: Provider
    versions: list[KeyVersion]
    rotation: Rotation
