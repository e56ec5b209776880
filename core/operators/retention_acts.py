"""Acts on what is kept that need a second person: a shorter term that deletes, and the release of a legal hold."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from core.errors import NotFound, StateConflict
from core.ids import Prefix, public
from core.operators.acts import Act, Ground, Plan, register
from core.operators.models import Proposal
from core.retention import service as retention
from core.tenants import service as tenants
from core.terms import holds
from core.terms.policy import DataClass, policy

_DAY_SECONDS = 86_400


def _about(about: UUID | None) -> UUID:
    if about is None:
        raise NotFound
    return about


def _actor(proposal: Proposal) -> str:
    """The second person, who made it happen."""
    return "operator:unknown" if proposal.decided_by is None else f"operator:{proposal.decided_by.hex}"


def _days(seconds: int) -> str:
    return f"{seconds / _DAY_SECONDS:g} days"


async def _plan_shortening(ground: Ground, about: UUID | None, wish: Mapping[str, Any]) -> Plan:
    tenant_id, data_class, seconds = _about(about), DataClass(wish["data_class"]), int(wish["seconds"])
    async with ground.database.tenant(tenant_id) as session:
        tenant = await tenants.get_tenant(session, tenant_id)
        found = await retention.simulate(
            session, tenant_id=tenant_id, data_class=data_class, seconds=seconds, actor="operator"
        )
    if seconds >= found.policy.seconds:
        raise StateConflict("This term is no shorter than the one in force, and needs nobody else.")
    more = found.deletes_in_90_days - found.curve[-1].as_is
    return Plan(
        target=f"{tenant_id.hex}:{data_class.value}",
        summary=f"Keep {data_class.value} of {tenant.name} for {_days(seconds)}, not {_days(found.policy.seconds)}",
        body={
            "data_class": data_class.value,
            "seconds": seconds,
            "warn_seconds": wish.get("warn_seconds"),
            "version": int(wish["version"]),
        },
        effect=[
            f"{found.deletes_now} of {found.kept} are deleted at once, and nothing brings them back.",
            f"{found.deletes_in_90_days} are gone in 90 days: {more} more than without the change.",
            f"A legal hold stands on {found.held} of them: none of those goes before it ends.",
        ],
    )


async def _shorten(ground: Ground, proposal: Proposal) -> None:
    tenant_id, body = _about(proposal.about_tenant_id), proposal.body
    data_class = DataClass(body["data_class"])
    async with ground.database.tenant(tenant_id) as session:
        known = await policy(session, tenant_id, data_class)
        if (known.version, known.seconds) == (body["version"] + 1, body["seconds"]):
            return  # done before, by a process that died before it could say so
        await retention.change_policy(
            session,
            tenant_id=tenant_id,
            data_class=data_class,
            seconds=body["seconds"],
            version=body["version"],
            warn_seconds=body["warn_seconds"],
            actor=_actor(proposal),
            approval=public(Prefix.APPROVAL, proposal.id),
        )


async def _plan_release(ground: Ground, about: UUID | None, wish: Mapping[str, Any]) -> Plan:
    tenant_id = _about(about)
    async with ground.database.tenant(tenant_id) as session:
        tenant = await tenants.get_tenant(session, tenant_id)
        hold = await holds.get(session, UUID(hex=wish["hold"]))
    if not holds.is_standing(hold):
        raise StateConflict("This hold does not stand any more.")
    return Plan(
        target=hold.id.hex,
        summary=f"Release a legal hold of {tenant.name} before its day",
        body={"hold": hold.id.hex},
        effect=[
            f"It would stand until {hold.expires_at.date().isoformat()}, on: {', '.join(hold.data_classes)}.",
            "What has reached its day meanwhile is deleted by the next sweep.",
            "The person can be erased again, unless another hold stands.",
        ],
    )


async def _release(ground: Ground, proposal: Proposal) -> None:
    async with ground.database.tenant(_about(proposal.about_tenant_id)) as session:
        await holds.release(session, UUID(hex=proposal.body["hold"]), actor=_actor(proposal))


SHORTEN = register(Act("retention.shorten", _plan_shortening, after=_shorten))
RELEASE = register(Act("hold.release", _plan_release, after=_release))
