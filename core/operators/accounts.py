"""The operators there are: list them, remove one, and change a role, which takes a second person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast, delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.errors import NotFound, StateConflict, VersionConflict
from core.keyring.service import Keyring
from core.operators import record, sessions, staff
from core.operators.acts import Act, Ground, Plan, register
from core.operators.models import OperatorAccount, OperatorAct, OperatorInvitation, OperatorSession, Proposal
from core.operators.service import Operator, Role

APPROVERS = (Role.ADMIN, Role.PRIVACY_OFFICER)
ROLE_CHANGED = "operator.role"


@dataclass(frozen=True)
class Known:
    """An operator as colleagues see them. email: None for a removed one."""

    account: OperatorAccount
    email: str | None
    sessions: int


async def page(session: AsyncSession, *, before: UUID | None, limit: int) -> list[OperatorAccount]:
    """Operators, newest first, removed ones among them."""
    query = select(OperatorAccount).order_by(col(OperatorAccount.id).desc()).limit(limit)
    if before is not None:
        query = query.where(OperatorAccount.id < before)
    return list((await session.exec(query)).all())


async def known(session: AsyncSession, keyring: Keyring, accounts: Sequence[OperatorAccount]) -> list[Known]:
    """The accounts with what is sealed of them, and how many sessions each has open."""
    query = (
        select(OperatorSession.operator_id, func.count())
        .where(col(OperatorSession.ended_at).is_(None), col(OperatorSession.expires_at) > now())
        .group_by(col(OperatorSession.operator_id))
    )
    live = dict((await session.exec(query)).all())
    return [
        Known(
            account=account,
            email=None
            if account.sealed_email is None
            else (await staff.opened(keyring, "email", account.id, account.sealed_email)).decode(),
            sessions=live.get(account.id, 0),
        )
        for account in accounts
    ]


async def names(session: AsyncSession, ids: set[UUID]) -> dict[UUID, str]:
    """What these operators are called."""
    query = select(OperatorAccount.id, OperatorAccount.name).where(col(OperatorAccount.id).in_(ids))
    return dict((await session.exec(query)).all())


async def invited(session: AsyncSession, keyring: Keyring, proposals: Sequence[Proposal]) -> dict[UUID, str]:
    """Where the invitations go that these proposals would open, by proposal; without those that are gone."""
    asked = {UUID(hex=one.target): one.id for one in proposals if one.kind == INVITE.kind}
    rows = (await session.exec(select(OperatorInvitation).where(col(OperatorInvitation.id).in_(asked)))).all()
    return {
        asked[row.id]: (await staff.opened(keyring, "email", row.id, row.sealed_email)).decode()
        for row in rows
        if row.sealed_email is not None
    }


async def get(session: AsyncSession, operator_id: UUID) -> OperatorAccount:
    """One operator who is there, or `NotFound`."""
    found = await session.get(OperatorAccount, operator_id)
    if found is None or found.removed_at is not None:
        raise NotFound
    return found


async def remove(session: AsyncSession, *, operator_id: UUID, actor: str, version: int | None = None) -> None:
    """Remove an operator: what they sign in with and their address are deleted, and every session ends at once.

    Raises `NotFound`, `VersionConflict`, and `StateConflict` for the last admin, without whom nobody could be invited.
    """
    account = await _held(session, operator_id)
    require_version(account, version)
    if account.role == Role.ADMIN:
        await _require_another_admin(session, operator_id)
    account.removed_at = now()
    account.email_index = account.sealed_email = account.password_hash = account.sealed_totp = None
    account.oidc_subject, account.recovery = None, []
    _changed(account, actor)
    session.add(account)
    await session.flush()
    await sessions.end_all(session, operator_id)
    await _close_links(session, account)
    await record.append(session, kind="operator.removed", actor=actor, facts={"operator": operator_id.hex})


async def approvers_ever(session: AsyncSession) -> int:
    """How many people there ever were who may approve.

    Who was removed, or has another role since, counts too, so that nobody gets to be alone again.
    """
    roles = [role.value for role in APPROVERS]
    facts = col(OperatorAct.facts)
    once = select(facts["operator"].astext).where(
        col(OperatorAct.kind) == ROLE_CHANGED, facts["before"].astext.in_(roles)
    )
    named = func.replace(cast(col(OperatorAccount.id), String), "-", "")
    query = (
        select(func.count()).select_from(OperatorAccount).where(col(OperatorAccount.role).in_(roles) | named.in_(once))
    )
    return int((await session.exec(query)).one())


async def needs_second_person(session: AsyncSession, inviter: Operator) -> bool:
    """Whether a link that this one makes opens only once somebody else has agreed.

    For a machine that is so as soon as there is anybody who could; an admin is alone until there was another.
    """
    alone = 0 if inviter.id is None else 1
    return await approvers_ever(session) > alone


def require_version(account: OperatorAccount, version: int | None) -> None:
    """Raise `VersionConflict`, which says who changed it and when, unless it is the version that the caller saw."""
    if version is not None and version != account.version:
        raise VersionConflict(
            version=account.version, changed_by=account.changed_by, changed_at=account.changed_at.isoformat()
        )


async def _held(session: AsyncSession, operator_id: UUID) -> OperatorAccount:
    # All admins are held, so that two who remove each other at once do not leave nobody.
    query = (
        select(OperatorAccount)
        .where((col(OperatorAccount.id) == operator_id) | (col(OperatorAccount.role) == Role.ADMIN.value))
        .order_by(col(OperatorAccount.id))
        .with_for_update()
    )
    rows = (await session.exec(query.execution_options(populate_existing=True))).all()
    found = next((row for row in rows if row.id == operator_id and row.removed_at is None), None)
    if found is None:
        raise NotFound
    return found


async def _require_another_admin(session: AsyncSession, operator_id: UUID) -> None:
    query = select(OperatorAccount.id).where(
        OperatorAccount.role == Role.ADMIN.value, col(OperatorAccount.removed_at).is_(None)
    )
    if set((await session.exec(query)).all()) <= {operator_id}:
        raise StateConflict("This is the last admin; make another one first.")


async def _close_links(session: AsyncSession, account: OperatorAccount) -> None:
    # Whoever may invite no longer has left no way back in.
    ours = col(OperatorInvitation.invited_by) == sessions.actor_of(account)
    await session.exec(delete(OperatorInvitation).where(ours))


def _changed(account: OperatorAccount, actor: str) -> None:
    account.version += 1
    account.changed_by, account.changed_at = actor, now()


async def _plan_role(ground: Ground, _: UUID | None, wish: Mapping[str, Any]) -> Plan:
    operator_id, role = UUID(hex=str(wish["operator"])), Role(wish["role"])
    async with ground.database.operator() as session:
        account = await get(session, operator_id)
        if account.role == Role.ADMIN:
            await _require_another_admin(session, operator_id)
    if account.role == role:
        raise StateConflict("This is the role already.")
    require_version(account, wish.get("version"))
    return Plan(
        target=operator_id.hex,
        summary=f"Make {account.name} {_said(role)}",
        body={"operator": operator_id.hex, "role": role.value, "version": account.version},
        effect=[f"{account.name} is {_said(Role(account.role))} now.", "It counts from their next request on."],
    )


async def _change_role(session: AsyncSession, _: Ground, proposal: Proposal) -> None:
    operator_id = UUID(hex=proposal.body["operator"])
    account = await _held(session, operator_id)
    require_version(account, proposal.body["version"])
    if account.role == Role.ADMIN:
        await _require_another_admin(session, operator_id)
    before, account.role = account.role, str(proposal.body["role"])
    _changed(account, _actor(proposal))
    session.add(account)
    await session.flush()
    if account.role != Role.ADMIN:
        await _close_links(session, account)
    await record.append(
        session,
        kind=ROLE_CHANGED,
        actor=_actor(proposal),
        facts={"operator": operator_id.hex, "before": before, "after": account.role},
    )


async def _plan_invitation(ground: Ground, _: UUID | None, wish: Mapping[str, Any]) -> Plan:
    async with ground.database.operator() as session:
        invitation = await session.get(OperatorInvitation, UUID(hex=str(wish["invitation"])))
    if invitation is None:
        raise NotFound
    role = Role(invitation.role)
    return Plan(
        target=invitation.id.hex,
        summary=f"Let {invitation.name} in as {_said(role)}",
        body={"invitation": invitation.id.hex, "role": role.value},
        effect=["The link that they have opens once you agree."],
    )


async def _release(session: AsyncSession, _: Ground, proposal: Proposal) -> None:
    invitation = await session.get(OperatorInvitation, UUID(hex=proposal.body["invitation"]), with_for_update=True)
    if invitation is None or invitation.expires_at <= now():
        raise NotFound
    invitation.waits = False
    session.add(invitation)
    await session.flush()


def _concerns(proposal: Proposal) -> UUID | None:
    return UUID(hex=proposal.body["operator"])


def _actor(proposal: Proposal) -> str:
    return f"operator:{proposal.decided_by.hex}" if proposal.decided_by is not None else "operator:unknown"


def _said(role: Role) -> str:
    article = "an" if role is Role.ADMIN else "a"
    return "support" if role is Role.SUPPORT else f"{article} {role.value.replace('_', ' ')}"


ROLE = register(Act(ROLE_CHANGED, _plan_role, within=_change_role, concerns=_concerns))
INVITE = register(Act("operator.invite", _plan_invitation, within=_release))
