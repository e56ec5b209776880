"""`/operator/v1/retention`: how long each class is kept, what a change would delete, holds, and what goes soon."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.legal_holds import HoldPage, HoldSummary, NewHold, hold_fields
from api.operator.approvals import ApprovalView, Reason, ReasonGiven, proposed
from api.operator.auth import requires_privacy_officer, requires_viewer
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.retention_policies import (
    PolicyHistory,
    PolicyView,
    Seconds,
    SimulationRequest,
    SimulationView,
    class_named,
    policy_view,
    simulation_view,
    version_view,
)
from api.wire import Filter, in_future
from core.bootstrap import Parts
from core.errors import (
    Gone,
    MalformedRequest,
    NotFound,
    RoleMissing,
    StateConflict,
    TermOutOfRange,
    Unacceptable,
    Unauthenticated,
    ValidationFailed,
    VersionConflict,
)
from core.ids import Prefix, parse
from core.operators import retention_acts
from core.operators.service import Operator
from core.overview import expiries
from core.retention import service as retention
from core.tenants import service as tenants
from core.terms import holds, policy


class TermChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new term."""

    seconds: Seconds
    version: Annotated[int, Meta(ge=0, le=10**9, description="The `version` that you read.", examples=[0])]
    reason: Annotated[Reason, Meta(description="Kept with the proposal, if one is made.")]
    warn_seconds: Annotated[int, Meta(ge=0, le=10**9)] | None = None


class ExpiryView(Struct, frozen=True, kw_only=True):
    """How many of a class go on a day, UTC."""

    data_class: Annotated[str, Meta(examples=["photo"])]
    day: date
    count: int


class RetentionView(Struct, frozen=True, kw_only=True):
    """A tenant's terms, and what goes within thirty days."""

    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    terms: list[PolicyView]
    upcoming: Annotated[list[ExpiryView], Meta(description="What is overdue counts for today. Holds are left out.")]


_READING = (Unauthenticated, RoleMissing, NotFound)


async def _known(parts: Parts, tenant_id: str) -> UUID:
    found = parse(Prefix.TENANT, tenant_id)
    async with parts.database.system() as session:
        await tenants.get_tenant(session, found)
    return found


class OperatorRetentionController(Controller):
    """`/operator/v1/retention`."""

    path = "/retention/{tenant_id:str}"
    tags = ("Operators",)

    @get(summary="Read a tenant's terms", guards=(requires_viewer,), responses=documented(*_READING))
    async def read_retention(self, parts: NamedDependency[Parts], tenant_id: FromPath[str]) -> RetentionView:
        """How long each class is kept and why, and how many go on each of the next thirty days."""
        found = await _known(parts, tenant_id)
        async with parts.database.tenant(found) as session:
            terms = await policy.policies(session, found)
            soon = await expiries.upcoming(session, found)
        return RetentionView(
            tenant=tenant_id,
            terms=[policy_view(term) for term in terms],
            upcoming=[ExpiryView(data_class=one.data_class, day=one.day, count=one.count) for one in soon],
        )

    @post(
        "/simulate",
        status_code=200,
        summary="See what a term of a tenant would delete",
        guards=(requires_viewer,),
        responses=documented(*_READING, MalformedRequest, TermOutOfRange, ValidationFailed),
    )
    async def simulate_retention(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data: JSONBody[SimulationRequest],
    ) -> SimulationView:
        """Exactly what a term would delete of what there is, at once and by each of the next 90 days."""
        found = await _known(parts, tenant_id)
        async with parts.database.tenant(found) as session:
            told = await retention.simulate(
                session, tenant_id=found, data_class=data.data_class, seconds=data.seconds, actor=operator.actor
            )
        return simulation_view(told)

    @put(
        "/terms/{data_class:str}",
        summary="Change a term of a tenant",
        guards=(requires_privacy_officer,),
        responses=documented(
            *_READING, MalformedRequest, VersionConflict, StateConflict, TermOutOfRange, Unacceptable, ValidationFailed
        ),
    )
    async def change_retention(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        data_class: FromPath[str],
        data: JSONBody[TermChange],
    ) -> Response[PolicyView] | Response[ApprovalView]:
        """Set how long a class is kept.

        A term that deletes more than the one in force is not set: the answer is 202 with a proposal, and the numbers
        of its simulation in words, for a second person.
        """
        found, named = await _known(parts, tenant_id), class_named(data_class)
        async with parts.database.tenant(found) as session:
            known = await policy.policy(session, found, named)
            if known.version != data.version:
                raise VersionConflict(version=known.version)
            shorter = data.seconds < known.seconds
            told = None
            if shorter:
                told = await retention.simulate(
                    session, tenant_id=found, data_class=named, seconds=data.seconds, actor=operator.actor
                )
        if told is not None and any(day.changed > day.as_is for day in told.curve):
            wish: dict[str, Any] = {
                "data_class": named.value,
                "seconds": data.seconds,
                "version": data.version,
                "warn_seconds": data.warn_seconds,
            }
            kind = retention_acts.SHORTEN.kind
            return await proposed(parts, operator, kind=kind, reason=data.reason, about=found, wish=wish)
        async with parts.database.tenant(found) as session:
            row = await retention.change_policy(
                session,
                tenant_id=found,
                data_class=named,
                seconds=data.seconds,
                version=data.version,
                actor=operator.actor,
                warn_seconds=data.warn_seconds,
                simulation_id=None if told is None else told.id,
            )
        return Response(policy_view(policy.read(row)))

    @get(
        "/terms/{data_class:str}/history",
        summary="Read how a term of a tenant was changed",
        guards=(requires_viewer,),
        responses=documented(*_READING),
    )
    async def read_retention_history(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str], data_class: FromPath[str]
    ) -> PolicyHistory:
        """Every change of a class's term, newest first."""
        found, named = await _known(parts, tenant_id), class_named(data_class)
        async with parts.database.tenant(found) as session:
            rows = await retention.history(session, found, named)
        return PolicyHistory(data_class=named.value, data=[version_view(row) for row in rows])

    @get(
        "/holds",
        summary="List a tenant's legal holds",
        guards=(requires_viewer,),
        responses=documented(*_READING, *PAGED, Gone),
    )
    async def list_tenant_holds(
        self,
        parts: NamedDependency[Parts],
        tenant_id: FromPath[str],
        standing: Annotated[  # noqa: FBT002 (a query parameter)
            bool, QueryParameter(required=False, description="Only those that stand at this moment.")
        ] = False,
        subject_id: Filter = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> HoldPage:
        """What must not be deleted, and until when. The reasons stay sealed."""
        found = await _known(parts, tenant_id)
        async with parts.database.tenant(found) as session:
            rows = await holds.page(
                session,
                subject_id=None if subject_id is None else parse(Prefix.SUBJECT, subject_id),
                standing_only=standing,
                before=paging.decode(cursor),
                limit=limit + 1,
            )
        page, following = paging.cut(rows, limit)
        return HoldPage(data=[HoldSummary(**hold_fields(row)) for row in page], next_cursor=following)

    @post(
        "/subjects/{subject_id:str}/holds",
        summary="Place a legal hold for a tenant",
        guards=(requires_privacy_officer,),
        responses=documented(*_READING, MalformedRequest, Gone, Unacceptable, ValidationFailed),
    )
    async def place_tenant_hold(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        subject_id: FromPath[str],
        data: JSONBody[NewHold],
    ) -> HoldSummary:
        """Keep what there is of a person, and what comes, until a day. The reason is sealed under their key."""
        found = await _known(parts, tenant_id)
        in_future(data.expires_at, field="expires_at")
        async with parts.database.tenant(found) as session:
            row = await holds.place(
                session,
                parts.keyring,
                subject_id=parse(Prefix.SUBJECT, subject_id),
                reason=data.reason,
                expires_at=data.expires_at,
                actor=operator.actor,
                data_classes=data.data_classes,
            )
        return HoldSummary(**hold_fields(row))

    @post(
        "/holds/{hold_id:str}/release",
        status_code=202,
        summary="Propose to release a tenant's legal hold",
        guards=(requires_privacy_officer,),
        responses=documented(*_READING, MalformedRequest, StateConflict, ValidationFailed),
    )
    async def release_tenant_hold(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        tenant_id: FromPath[str],
        hold_id: FromPath[str],
        data: JSONBody[ReasonGiven],
    ) -> Response[ApprovalView]:
        """Ask for it: what is held may be deleted once a second person agrees."""
        found = await _known(parts, tenant_id)
        wish = {"hold": parse(Prefix.LEGAL_HOLD, hold_id).hex}
        kind = retention_acts.RELEASE.kind
        return await proposed(parts, operator, kind=kind, reason=data.reason, about=found, wish=wish)
