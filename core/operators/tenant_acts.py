"""Acts on a tenant that need a second person: suspend, delete, destroy keys, go beyond the plan, break glass."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.errors import NotFound, StateConflict, Unacceptable
from core.ids import Prefix, public
from core.jobs import limits as line
from core.operators.acts import Act, Ground, Plan, register
from core.operators.models import Proposal
from core.rights import leave
from core.rights.models import Departure
from core.subjects.models import Subject
from core.tenants import limits, plans
from core.tenants.models import Tenant, TenantState
from core.tenants.plans import PLANS, Limits
from core.webhooks import service as webhooks

OPEN_FOR: Final = timedelta(minutes=30)


async def _tenant(ground: Ground, about: UUID | None) -> Tenant:
    if about is None:
        raise NotFound
    async with ground.database.operator(about) as session:
        found = await session.get(Tenant, about)
    if found is None:
        raise NotFound
    return found


def _about(proposal: Proposal) -> UUID:
    if proposal.about_tenant_id is None:
        raise NotFound
    return proposal.about_tenant_id


async def change_state(session: AsyncSession, tenant_id: UUID, state: TenantState, *, actor: str) -> None:
    """Suspend or resume, in an operator session of that tenant. The tenant hears of it.

    A tenant that goes on is not leaving any more; raises `StateConflict` when its keys are destroyed.
    """
    tenant = await session.get(Tenant, tenant_id, with_for_update=True)
    if tenant is None:
        raise NotFound
    if tenant.state == state.value:
        return
    if state is TenantState.ACTIVE:
        await leave.call_off(session, tenant_id)
    tenant.state = state.value
    session.add(tenant)
    await session.flush()
    await audit.append(session, tenant_id=tenant_id, kind=f"tenant.{state.value}", actor=actor, facts={})
    kind = "tenant.suspended" if state is TenantState.SUSPENDED else "tenant.resumed"
    await webhooks.emit(
        session,
        tenant_id=tenant_id,
        type=kind,
        resource_id=tenant_id,
        data={"tenant_id": public(Prefix.TENANT, tenant_id), "state": state.value},
    )


async def _plan_suspension(ground: Ground, about: UUID | None, _: Mapping[str, Any]) -> Plan:
    tenant = await _tenant(ground, about)
    if tenant.state == TenantState.SUSPENDED:
        raise StateConflict("The tenant is suspended already.")
    return Plan(
        target=tenant.id.hex,
        summary=f"Suspend {tenant.name}",
        body={},
        effect=[
            "Its keys to the API go on reading and erasing, and start nothing new.",
            "Jobs that are in line are not lost; they wait for nobody, and go on.",
            "It gets the event tenant.suspended.",
        ],
    )


async def _suspend(session: AsyncSession, _: Ground, proposal: Proposal) -> None:
    await change_state(session, _about(proposal), TenantState.SUSPENDED, actor=_actor(proposal))


async def _plan_departure(ground: Ground, about: UUID | None, wish: Mapping[str, Any]) -> Plan:
    tenant = await _tenant(ground, about)
    without_archive = bool(wish.get("without_archive"))
    async with ground.database.operator(tenant.id) as session:
        departure = await session.get(Departure, tenant.id)
        people = (
            await session.exec(select(func.count()).select_from(Subject).where(col(Subject.erased_at).is_(None)))
        ).one()
    if departure is not None and departure.shredded_at is not None:
        raise StateConflict("The tenant's keys are destroyed already.")
    archived = departure is not None and departure.archive_sha256 is not None
    if not archived and not without_archive:
        raise StateConflict("Nothing was archived yet. Take the archive first, or say that none is wanted.")
    return Plan(
        target=tenant.id.hex,
        summary=f"Delete {tenant.name} and everything that is held for it",
        body={"without_archive": without_archive},
        effect=[
            f"The photos and headshots of {people} people become unreadable at once, for good, in backups too.",
            "An archive was taken."
            if archived
            else "No archive is taken: the platform's own records go with the rest.",
            "Its API keys and webhooks end. A signed certificate says what was deleted.",
        ],
    )


async def _depart(ground: Ground, proposal: Proposal) -> None:
    tenant_id, actor = _about(proposal), _actor(proposal)
    await leave.suspend(ground.database, tenant_id=tenant_id, actor=actor)
    without = bool(proposal.body.get("without_archive"))
    await leave.shred(ground.database, ground.keyring, tenant_id=tenant_id, actor=actor, without_archive=without)


async def _plan_destruction(ground: Ground, about: UUID | None, _: Mapping[str, Any]) -> Plan:
    plan = await _plan_departure(ground, about, {"without_archive": True})
    tenant = await _tenant(ground, about)
    return Plan(plan.target, f"Destroy every key of {tenant.name} now", plan.body, plan.effect)


async def _plan_limits(ground: Ground, about: UUID | None, wish: Mapping[str, Any]) -> Plan:
    tenant = await _tenant(ground, about)
    async with ground.database.operator(tenant.id) as session:
        _, quota = await limits.read(session, tenant.id)
    before = limits.of(tenant, quota)
    after = Limits(credits=int(wish["credits"]), concurrency=wish["concurrency"], weight=float(wish["weight"]))
    above = plans.above(tenant.plan, before=before, after=after)
    if not above:
        raise Unacceptable("This is within the plan, and needs nobody else.")
    ceiling = PLANS.get(tenant.plan, PLANS[plans.STANDARD]).facts()
    was, becomes = before.facts(), after.facts()
    return Plan(
        target=tenant.id.hex,
        summary=f"Lift limits of {tenant.name} beyond the plan {tenant.plan}",
        body={**becomes, "version": wish.get("version", quota.version)},
        effect=[
            f"{name}: {_said(was[name])} becomes {_said(becomes[name])}; the plan goes to {_said(ceiling[name])}."
            for name in becomes
            if becomes[name] != was[name]
        ],
    )


async def _lift(ground: Ground, proposal: Proposal) -> None:
    body = proposal.body
    after = Limits(credits=body["credits"], concurrency=body["concurrency"], weight=body["weight"])
    tenant_id = _about(proposal)
    async with ground.database.operator(tenant_id) as session:
        if limits.of(*await limits.read(session, tenant_id)) == after:
            return  # done before, by a process that died before it could say so
    await line.change(ground.database, tenant_id, after, actor=_actor(proposal), version=body["version"])


async def _plan_plan(ground: Ground, about: UUID | None, wish: Mapping[str, Any]) -> Plan:
    tenant = await _tenant(ground, about)
    wanted = str(wish["plan"])
    if wanted not in PLANS:
        raise Unacceptable("There is no such plan. See `allowed`.", allowed=list(PLANS))
    return Plan(
        target=tenant.id.hex,
        summary=f"Move {tenant.name} from the plan {tenant.plan} to {wanted}",
        body={"plan": wanted},
        effect=[
            f"One person alone may then lift its {name} to {_said(most)}."
            for name, most in PLANS[wanted].facts().items()
        ],
    )


async def change_plan(session: AsyncSession, tenant_id: UUID, plan: str, *, actor: str) -> None:
    """Set the plan, in an operator session of that tenant. Its limits stay as they are."""
    tenant = await session.get(Tenant, tenant_id, with_for_update=True)
    if tenant is None:
        raise NotFound
    tenant.plan = plan
    session.add(tenant)
    await session.flush()
    await audit.append(session, tenant_id=tenant_id, kind="tenant.plan", actor=actor, facts={"plan": plan})


async def _move(session: AsyncSession, _: Ground, proposal: Proposal) -> None:
    await change_plan(session, _about(proposal), str(proposal.body["plan"]), actor=_actor(proposal))


async def _plan_break_glass(ground: Ground, about: UUID | None, _: Mapping[str, Any]) -> Plan:
    tenant = await _tenant(ground, about)
    return Plan(
        target=tenant.id.hex,
        summary=f"Look at the records of single people of {tenant.name}",
        body={},
        effect=[
            "Both of you see, for 30 minutes, ids, states and times of its people, photos, headshots and jobs.",
            "No picture, no key, no reference, no name and no address is shown, not even so.",
            "The tenant is told at once by the event operator.break_glass.",
        ],
    )


async def _break_glass(session: AsyncSession, _: Ground, proposal: Proposal) -> None:
    tenant_id, until = _about(proposal), open_until(proposal)
    facts = {"proposal": proposal.id.hex, "until": until.isoformat()}
    await audit.append(session, tenant_id=tenant_id, kind="operator.break_glass", actor=_actor(proposal), facts=facts)
    await webhooks.emit(
        session,
        tenant_id=tenant_id,
        type="operator.break_glass",
        resource_id=proposal.id,
        data={
            "approval_id": public(Prefix.APPROVAL, proposal.id),
            "proposed_by": _named(proposal.proposed_by),
            "approved_by": _named(proposal.decided_by),
            "until": until.isoformat(),
        },
    )


def open_until(proposal: Proposal) -> datetime:
    """Until when an approved break-glass shows anything."""
    if proposal.decided_at is None:
        raise StateConflict("Nobody has agreed to this yet.")
    return proposal.decided_at + OPEN_FOR


def _named(operator_id: UUID | None) -> str | None:
    return None if operator_id is None else public(Prefix.OPERATOR, operator_id)


def _actor(proposal: Proposal) -> str:
    """The second person, who made it happen."""
    return f"operator:{proposal.decided_by.hex}" if proposal.decided_by is not None else "operator:unknown"


def _said(value: float | None) -> str:
    return "no cap" if value is None else f"{value:g}" if isinstance(value, float) else f"{value:,}"


SUSPEND = register(Act("tenant.suspend", _plan_suspension, within=_suspend))
DELETE = register(Act("tenant.delete", _plan_departure, after=_depart))
DESTROY_KEYS = register(Act("keys.destroy", _plan_destruction, after=_depart))
ABOVE_PLAN = register(Act("quota.above_plan", _plan_limits, after=_lift))
PLAN = register(Act("tenant.plan", _plan_plan, within=_move))
BREAK_GLASS = register(Act("break_glass", _plan_break_glass, within=_break_glass))
