"""How long each class of data is kept: read it, see what a change would delete, change it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.auth import requires_scope
from api.problems import ALWAYS, documented
from core.bootstrap import Parts
from core.errors import (
    MalformedRequest,
    NotFound,
    SimulationRequired,
    TermOutOfRange,
    Unacceptable,
    ValidationFailed,
    VersionConflict,
)
from core.ids import Prefix, parse, public
from core.retention import service as retention
from core.tenants.service import Caller
from core.terms import policy
from core.terms.models import RetentionPolicy
from core.terms.policy import RULES, DataClass, Term

Seconds = Annotated[
    int,
    Meta(ge=1, le=10**9, description="From `minimum_seconds` to `maximum_seconds`.", examples=[259_200]),
]
_CLASS_NAMES = ", ".join(f"`{name.value}`" for name in DataClass)


class PolicyView(Struct, frozen=True, kw_only=True):
    """The term of one class, with what it means."""

    data_class: Annotated[str, Meta(description=f"One of {_CLASS_NAMES}.", examples=["photo"])]
    seconds: Annotated[int, Meta(examples=[604_800])]
    warn_seconds: Annotated[
        int | None, Meta(description="How long before its day `asset.expiring` is sent; null: there is no such event.")
    ]
    version: Annotated[int, Meta(description="Send it back with a change. 0: the default, which nobody has changed.")]
    minimum_seconds: int
    maximum_seconds: int
    default_seconds: int
    default_reason: str
    starts: Annotated[str, Meta(description="From when the term counts.")]
    goes: str
    stays: str


class PolicyList(Struct, frozen=True, kw_only=True):
    """Every class."""

    data: list[PolicyView]


class PolicyVersion(Struct, frozen=True, kw_only=True):
    """One change of a term: who made it, when, and what it was simulated to delete."""

    version: int
    seconds: int
    warn_seconds: int | None
    changed_by: str
    changed_at: datetime
    simulation_id: str | None
    deletes_now: Annotated[int | None, Meta(description="What its simulation said that it would delete at once.")]


class PolicyHistory(Struct, frozen=True, kw_only=True):
    """The changes of one class, newest first. Before the first, the default counted."""

    data_class: str
    data: list[PolicyVersion]


class PolicyChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new term. A shorter one names its simulation, so that nobody deletes by mistake."""

    seconds: Seconds
    version: Annotated[int, Meta(ge=0, le=10**9, description="The `version` that you read.", examples=[0])]
    warn_seconds: (
        Annotated[int, Meta(ge=0, le=10**9, description="Left out, it stays as it is.", examples=[86_400])] | None
    ) = None
    simulation_id: (
        Annotated[str, Meta(max_length=64, description="Of the last hour, for this class, term and version.")] | None
    ) = None


class SimulationRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What if?"""

    data_class: DataClass
    seconds: Seconds


class CurveDay(Struct, frozen=True, kw_only=True):
    """How much of what there is now is gone by then."""

    day: Annotated[int, Meta(description="0 is now.")]
    at: datetime
    as_is: Annotated[int, Meta(description="With the term in force.")]
    changed: Annotated[int, Meta(description="With the term that was asked about.")]


class SimulationView(Struct, frozen=True, kw_only=True):
    """What a term would delete of what there is now. What comes later is not in it. Nothing was deleted."""

    id: Annotated[str, Meta(examples=["sim_0199b3c4d5e67f8090a1b2c3d4e5f611"])]
    data_class: str
    seconds: int
    policy_seconds: Annotated[int, Meta(description="The term in force.")]
    policy_version: int
    simulated_at: datetime
    kept: Annotated[int, Meta(description="How many of the class there are.")]
    held: Annotated[int, Meta(description="On how many of them a legal hold stands: none of them goes before it ends.")]
    deletes_now: int
    deletes_in_90_days: int
    curve: Annotated[list[CurveDay], Meta(description="Now and each of the next 90 days, counted from now.")]


def policy_view(term: Term) -> PolicyView:
    """What the outside sees of a term."""
    rule = RULES[term.data_class]
    return PolicyView(
        data_class=term.data_class.value,
        seconds=term.seconds,
        warn_seconds=term.warn_seconds,
        version=term.version,
        minimum_seconds=int(rule.shortest.total_seconds()),
        maximum_seconds=int(rule.longest.total_seconds()),
        default_seconds=int(rule.default.total_seconds()),
        default_reason=rule.why,
        starts=rule.starts,
        goes=rule.goes,
        stays=rule.stays,
    )


def version_view(row: RetentionPolicy) -> PolicyVersion:
    """What the outside sees of a change."""
    return PolicyVersion(
        version=row.version,
        seconds=row.seconds,
        warn_seconds=row.warn_seconds,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        simulation_id=None if row.simulation_id is None else public(Prefix.SIMULATION, row.simulation_id),
        deletes_now=row.deletes_now,
    )


def simulation_view(found: retention.Simulation) -> SimulationView:
    """What the outside sees of a simulation."""
    return SimulationView(
        id=public(Prefix.SIMULATION, found.id),
        data_class=found.data_class.value,
        seconds=found.seconds,
        policy_seconds=found.policy.seconds,
        policy_version=found.policy.version,
        simulated_at=found.at,
        kept=found.kept,
        held=found.held,
        deletes_now=found.deletes_now,
        deletes_in_90_days=found.deletes_in_90_days,
        curve=[CurveDay(day=day.day, at=day.at, as_is=day.as_is, changed=day.changed) for day in found.curve],
    )


def class_named(text: str) -> DataClass:
    """The class of this name, or `NotFound`."""
    try:
        return DataClass(text)
    except ValueError:
        raise NotFound from None


class RetentionPolicyController(Controller):
    """`/v1/retention-policies`."""

    path = "/retention-policies"
    tags = ("Retention",)

    @get(guards=[requires_scope("retention:read")], summary="Read your terms", responses=documented(*ALWAYS))
    async def list_retention_policies(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]
    ) -> PolicyList:
        """How long each class is kept, why that is the default, what goes when its time is over, and what stays."""
        async with parts.database.tenant(caller.tenant_id) as session:
            terms = await policy.policies(session, caller.tenant_id)
        return PolicyList(data=[policy_view(term) for term in terms])

    @get(
        "/{data_class:str}",
        guards=[requires_scope("retention:read")],
        summary="Read the history of a term",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_retention_policy(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], data_class: FromPath[str]
    ) -> PolicyHistory:
        """Every change of a class's term, newest first."""
        named = class_named(data_class)
        async with parts.database.tenant(caller.tenant_id) as session:
            rows = await retention.history(session, caller.tenant_id, named)
        return PolicyHistory(data_class=named.value, data=[version_view(row) for row in rows])

    @put(
        "/{data_class:str}",
        guards=[requires_scope("retention:write")],
        summary="Change a term",
        responses=documented(
            *ALWAYS,
            MalformedRequest,
            NotFound,
            VersionConflict,
            SimulationRequired,
            TermOutOfRange,
            Unacceptable,
            ValidationFailed,
        ),
    )
    async def change_retention_policy(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data_class: FromPath[str],
        data: JSONBody[PolicyChange],
    ) -> PolicyView:
        """Set how long a class is kept. A shorter term applies to what is there, within minutes, as it was simulated.

        A longer one applies to what comes: no picture's day is ever moved back.
        """
        async with parts.database.tenant(caller.tenant_id) as session:
            row = await retention.change_policy(
                session,
                tenant_id=caller.tenant_id,
                data_class=class_named(data_class),
                seconds=data.seconds,
                version=data.version,
                actor=caller.actor,
                warn_seconds=data.warn_seconds,
                simulation_id=None if data.simulation_id is None else _simulation_id(data.simulation_id),
            )
        return policy_view(policy.read(row))


class RetentionSimulationController(Controller):
    """`/v1/retention-policies:simulate`."""

    path = "/retention-policies:simulate"
    tags = ("Retention",)

    @post(
        status_code=200,
        guards=[requires_scope("retention:read")],
        summary="See what a term would delete",
        responses=documented(*ALWAYS, MalformedRequest, TermOutOfRange, ValidationFailed),
    )
    async def simulate_retention_policy(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], data: JSONBody[SimulationRequest]
    ) -> SimulationView:
        """Exactly what a term would delete of what there is, at once and over the next 90 days. Nothing is deleted."""
        async with parts.database.tenant(caller.tenant_id) as session:
            found = await retention.simulate(
                session,
                tenant_id=caller.tenant_id,
                data_class=data.data_class,
                seconds=data.seconds,
                actor=caller.actor,
            )
        return simulation_view(found)


def _simulation_id(text: str) -> UUID:
    try:
        return parse(Prefix.SIMULATION, text)
    except NotFound:
        raise SimulationRequired from None
