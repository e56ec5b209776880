"""Who runs the service: operators, and what each may do.

Roles are abilities, not a ladder: each may read what is operational, and acts within its own charge alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from core.errors import RoleMissing


class Role(StrEnum):
    """What an operator is trusted with.

    All read. support mends jobs, deliveries and workers; the privacy officer answers for people's data; an admin for
    tenants, quotas, keys and operators, and does what support does.
    """

    VIEWER = "viewer"
    SUPPORT = "support"
    PRIVACY_OFFICER = "privacy_officer"
    ADMIN = "admin"


class Via(StrEnum):
    """How an operator came in: with a password and a code, with an ID token, or as a machine with the static token."""

    SESSION = "session"
    OIDC = "oidc"
    TOKEN = "token"  # noqa: S105 (a word, not a token)


@dataclass(frozen=True)
class Operator:
    """Who is asking. id: None for the machine credential, which is nobody: it proposes and approves nothing."""

    id: UUID | None
    name: str
    role: Role
    via: Via

    @property
    def actor(self) -> str:
        """How logs of what happened name this operator: never by name or address."""
        return "operator:token" if self.id is None else f"operator:{self.id.hex}"

    def require(self, *roles: Role) -> None:
        """Raise `RoleMissing` unless the operator has one of these roles."""
        if self.role not in roles:
            raise RoleMissing(required_roles=[role.value for role in roles])


MACHINE = Operator(id=None, name="machine", role=Role.ADMIN, via=Via.TOKEN)
