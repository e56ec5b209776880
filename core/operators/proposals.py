"""Four eyes: propose, approve, refuse, withdraw, let expire.

    open ──→ approved ──→ executed
      │          └──→ failed ──→ approved      (tried again; the decision stands)
      ├──→ refused · withdrawn · expired

Invariants of this file:
- Nobody decides what they proposed (the database refuses it too) or what is about themselves.
- A machine proposes and decides nothing: whoever holds its credential and has an account would be two people.
- Both people are looked up anew when it is decided: whoever agrees may still approve, and whoever asked is still there
  and has the role with which they asked.
- The row is the lock: two approvals at once execute once.
- What was proposed never changes. A proposal expires after 72 hours, whether or not the sweep has come by.
- Every step is in the log of acts, and for an act on a tenant in the tenant's own log, by the operator's id alone.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import LikenessError, NotFound, RoleMissing, StateConflict
from core.logs import place_of
from core.operators import accounts, record
from core.operators.acts import Act, Ground, act_of
from core.operators.errors import SecondPersonNeeded
from core.operators.models import OperatorAccount, Proposal, ProposalState
from core.operators.service import Operator

logger = logging.getLogger("likeness.operators")

LIVES = timedelta(hours=72)
_TAKEN_BACK_AFTER = timedelta(minutes=10)


async def propose(
    ground: Ground, operator: Operator, *, kind: str, reason: str, about: UUID | None, wish: Mapping[str, Any]
) -> Proposal:
    """Ask for an act, as a person.

    Raises `SecondPersonNeeded` for a machine, whatever the plan raises, and `StateConflict` while the same is already
    asked for.
    """
    require_person(operator)
    plan = await act_of(kind).plan(ground, about, wish)
    moment = now()
    proposal = Proposal(
        kind=kind,
        about_tenant_id=about,
        target=plan.target,
        body=plan.body,
        summary=plan.summary,
        effect=plan.effect,
        reason=reason,
        proposed_by=operator.id,
        proposed_at=moment,
        expires_at=moment + LIVES,
    )
    await lapse_one(ground, kind=kind, target=plan.target)
    try:
        async with ground.database.operator(about) as session:
            session.add(proposal)
            await session.flush()
            await _note(session, ground, proposal, operator, "proposed")
    except IntegrityError:
        raise StateConflict("The same has been asked for already, and nobody has decided yet.") from None
    return proposal


async def approve(ground: Ground, operator: Operator, proposal_id: UUID, *, reason: str) -> Proposal:
    """Agree, and do it. A proposal that could not be executed comes back as `failed`, and may be tried again."""
    about = (await get(ground, proposal_id)).about_tenant_id
    async with ground.database.operator(about) as session:
        proposal = await _held(session, proposal_id)
        act = _require_may_decide(proposal, operator)
        await _require_still_approver(session, operator)
        await _require_still_proposer(session, proposal)
        proposal.state, proposal.decided_by, proposal.decided_at = "approved", operator.id, now()
        proposal.decision_reason = reason
        session.add(proposal)
        await session.flush()
        await _note(session, ground, proposal, operator, "approved")
        if act.within is not None:
            await _execute_within(session, ground, act, proposal, operator)
            return proposal
    return await execute(ground, operator, proposal_id)


async def refuse(ground: Ground, operator: Operator, proposal_id: UUID, *, reason: str) -> Proposal:
    """Say no. Nothing is done."""
    about = (await get(ground, proposal_id)).about_tenant_id
    async with ground.database.operator(about) as session:
        proposal = await _held(session, proposal_id)
        _require_may_decide(proposal, operator)
        await _require_still_approver(session, operator)
        proposal.state, proposal.decided_by, proposal.decided_at = "refused", operator.id, now()
        proposal.decision_reason = reason
        session.add(proposal)
        await session.flush()
        await _note(session, ground, proposal, operator, "refused")
    return proposal


async def withdraw(ground: Ground, operator: Operator, proposal_id: UUID) -> Proposal:
    """Take back what one proposed oneself."""
    about = (await get(ground, proposal_id)).about_tenant_id
    async with ground.database.operator(about) as session:
        proposal = await _held(session, proposal_id)
        _require_open(proposal)
        if proposal.proposed_by != operator.id:
            raise SecondPersonNeeded("Only whoever proposed it takes it back; refuse it instead.")
        proposal.state = "withdrawn"
        session.add(proposal)
        await session.flush()
        await _note(session, ground, proposal, operator, "withdrawn")
    return proposal


async def execute(ground: Ground, operator: Operator, proposal_id: UUID) -> Proposal:
    """Do what was approved, again if it failed or its process died.

    Raises `StateConflict` while it is at work, and for what failed and was agreed to long ago: one person alone must
    not have it done in another world than two agreed on. What a process left half-way is always taken up.
    """
    # 1. Take it, so that nobody else does it at the same time.
    about = (await get(ground, proposal_id)).about_tenant_id
    async with ground.database.operator(about) as session:
        proposal = await _held(session, proposal_id)
        at_work = proposal.started_at is not None and now() - proposal.started_at < _TAKEN_BACK_AFTER
        if proposal.state not in {"approved", "failed"} or (proposal.state == "approved" and at_work):
            raise StateConflict("Only what was approved, and is not at work or done, can be executed.")
        if proposal.state == "failed" and proposal.decided_at is not None and now() - proposal.decided_at > LIVES:
            raise StateConflict("This was agreed to more than 72 hours ago. Ask for it again.")
        act = act_of(proposal.kind)
        proposal.state, proposal.failure, proposal.started_at = "approved", None, now()
        session.add(proposal)
        await session.flush()
        if act.within is not None:
            await _execute_within(session, ground, act, proposal, operator)
            return proposal
        proposal.attempts += 1
        session.add(proposal)
    # 2. Do it, in its own transactions.
    failure = None
    try:
        assert act.after is not None  # noqa: S101 (registration saw to it)
        await act.after(ground, proposal)
    except Exception as error:  # noqa: BLE001 (whatever it was, the proposal says so, and it can be tried again)
        failure = _code(error)
    # 3. Say how it went.
    async with ground.database.operator(about) as session:
        proposal = await _held(session, proposal_id)
        await _conclude(session, ground, proposal, operator, failure)
    return proposal


async def get(ground: Ground, proposal_id: UUID) -> Proposal:
    """One proposal, or `NotFound`."""
    async with ground.database.operator() as session:
        found = await session.get(Proposal, proposal_id)
    if found is None:
        raise NotFound
    return found


async def waiting(session: AsyncSession) -> int:
    """How many wait for a second person. In an operator session."""
    query = select(func.count()).where(Proposal.state == ProposalState.OPEN, col(Proposal.expires_at) > now())
    return (await session.exec(query)).one()


async def page(session: AsyncSession, *, state: str | None, before: UUID | None, limit: int) -> list[Proposal]:
    """Proposals, newest first. state `open` leaves out what has expired."""
    query = select(Proposal).order_by(col(Proposal.id).desc()).limit(limit)
    past = (col(Proposal.state) == "open") & (col(Proposal.expires_at) <= now())
    if state == "expired":
        query = query.where((col(Proposal.state) == "expired") | past)
    elif state is not None:
        query = query.where(Proposal.state == state, ~past)
    if before is not None:
        query = query.where(Proposal.id < before)
    return list((await session.exec(query)).all())


def state_of(proposal: Proposal) -> ProposalState:
    """Its state at this moment."""
    lapsed = proposal.state == "open" and proposal.expires_at <= now()
    return ProposalState.EXPIRED if lapsed else ProposalState(proposal.state)


def require_person(operator: Operator) -> None:
    """Raise `SecondPersonNeeded` for a machine, which is nobody, and therefore not one of two."""
    if operator.id is None:
        raise SecondPersonNeeded("A machine asks for nothing that takes two people: sign in, and ask yourself.")


def may_decide(proposal: Proposal, operator: Operator) -> bool:
    """Whether this operator could be the second person."""
    if operator.id is None or operator.id == proposal.proposed_by or state_of(proposal) != "open":
        return False
    return act_of(proposal.kind).concerns(proposal) != operator.id


async def lapse(session: AsyncSession) -> int:
    """Let what is older than 72 hours expire. For the sweep, in a system session."""
    gone = await session.exec(
        update(Proposal)
        .where(col(Proposal.state) == "open", col(Proposal.expires_at) <= now())
        .values(state="expired")
        .execution_options(synchronize_session=False)
    )
    return int(gone.rowcount)


async def lapse_one(ground: Ground, *, kind: str, target: str) -> None:
    """Let an expired one make room for its successor, where the sweep has not come by."""
    async with ground.database.operator() as session:
        await session.exec(
            update(Proposal)
            .where(
                col(Proposal.kind) == kind,
                col(Proposal.target) == target,
                col(Proposal.state) == "open",
                col(Proposal.expires_at) <= now(),
            )
            .values(state="expired")
        )


async def _execute_within(
    session: AsyncSession, ground: Ground, act: Act, proposal: Proposal, operator: Operator
) -> None:
    assert act.within is not None  # noqa: S101 (the caller has looked)
    proposal.attempts += 1
    proposal.started_at = now()
    session.add(proposal)
    await session.flush()
    failure = None
    try:
        async with session.begin_nested():
            await act.within(session, ground, proposal)
    except Exception as error:  # noqa: BLE001 (the approval stands; the proposal says what failed)
        failure = _code(error)
    await _conclude(session, ground, proposal, operator, failure)


async def _conclude(
    session: AsyncSession, ground: Ground, proposal: Proposal, operator: Operator, failure: str | None
) -> None:
    proposal.state = "executed" if failure is None else "failed"
    proposal.failure = failure
    proposal.executed_at = now() if failure is None else None
    session.add(proposal)
    await session.flush()
    await _note(session, ground, proposal, operator, proposal.state)


def _code(error: Exception) -> str:
    if isinstance(error, LikenessError):
        return error.code
    logger.error("an approved act failed", extra={"error_type": type(error).__name__, "place": place_of(error)})
    return LikenessError.code


def _require_open(proposal: Proposal) -> None:
    if (state := state_of(proposal)) != "open":
        raise StateConflict(f"This proposal is {state.value} already.", state=state.value)


def _require_may_decide(proposal: Proposal, operator: Operator) -> Act:
    """The act, for somebody who may be the second person. Raises `SecondPersonNeeded` or `StateConflict`."""
    if operator.id is None:
        raise SecondPersonNeeded("A machine decides nothing.")
    if operator.id == proposal.proposed_by:
        raise SecondPersonNeeded("Nobody decides what they proposed themselves.")
    act = act_of(proposal.kind)
    if act.concerns(proposal) == operator.id:
        raise SecondPersonNeeded("Nobody decides what is about themselves.")
    _require_open(proposal)
    return act


async def _require_still_approver(session: AsyncSession, operator: Operator) -> None:
    # The guard looked before this row was waited for.
    account = await _account(session, operator.id)
    if account is None or account.removed_at is not None or account.role not in accounts.APPROVERS:
        raise RoleMissing(required_roles=[role.value for role in accounts.APPROVERS])


async def _require_still_proposer(session: AsyncSession, proposal: Proposal) -> None:
    if proposal.proposed_by is None:
        raise StateConflict("A machine asked for it, and a machine proposes nothing. Refuse it, and ask anew.")
    account = await _account(session, proposal.proposed_by)
    # An account changes by another role and by removal alone.
    if account is None or account.removed_at is not None or account.changed_at > proposal.proposed_at:
        raise StateConflict("Whoever asked for it is gone, or has another role since. Refuse it, and ask anew.")


async def _account(session: AsyncSession, operator_id: UUID | None) -> OperatorAccount | None:
    query = select(OperatorAccount).where(OperatorAccount.id == operator_id)
    return (await session.exec(query.execution_options(populate_existing=True))).first()


async def _held(session: AsyncSession, proposal_id: UUID) -> Proposal:
    query = select(Proposal).where(Proposal.id == proposal_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound
    return found


async def _note(session: AsyncSession, ground: Ground, proposal: Proposal, operator: Operator, step: str) -> None:
    facts = {"proposal": proposal.id.hex, "act": proposal.kind}
    if proposal.failure is not None:
        facts["failure"] = proposal.failure
    about = proposal.about_tenant_id
    await record.append(session, kind=f"proposal.{step}", actor=operator.actor, facts=facts, about=about)
    if about is not None:
        await audit.append(
            session, tenant_id=about, kind=f"operator.proposal.{step}", actor=operator.actor, facts=facts
        )
    record.sign_after_commit(session, ground.database, ground.keyring)
