"""Operators for tests: signed in without the work of a password, through the tables that the service itself writes."""

from dataclasses import dataclass
from uuid import UUID

from core.bootstrap import Parts
from core.operators import sessions, staff
from core.operators.models import OperatorAccount
from core.operators.service import Operator, Role, Via


@dataclass(frozen=True)
class SignedIn:
    """An operator with a session."""

    id: UUID
    headers: dict[str, str]

    def as_operator(self, role: Role, name: str = "Canary Operator") -> Operator:
        return Operator(id=self.id, name=name, role=role, via=Via.SESSION)


async def an_operator(
    parts: Parts, role: Role = Role.ADMIN, *, name: str = "Canary Operator", email: str | None = None
) -> SignedIn:
    account = OperatorAccount(name=name, role=role.value, changed_by="test")
    email = email or f"{account.id.hex}@operators.example"
    account.email_index = await staff.email_index(parts.keyring, email)
    account.sealed_email = await staff.seal(parts.keyring, "email", account.id, email.encode())
    async with parts.database.operator() as session:
        session.add(account)
        await session.flush()
        token, _ = await sessions.begin(session, parts.settings.operators, account.id)
    return SignedIn(id=account.id, headers={"Authorization": f"Bearer {token}"})
