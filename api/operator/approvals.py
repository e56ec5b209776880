"""`/operator/v1/approvals` and `/break-glass`: what waits for a second person, and what two people may look at."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.operator.auth import requires_approver, requires_viewer
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from core.bootstrap import Parts
from core.errors import (
    Conflict,
    MalformedRequest,
    NotFound,
    RoleMissing,
    StateConflict,
    Unauthenticated,
    ValidationFailed,
)
from core.ids import Prefix, parse, public
from core.operators import accounts, proposals
from core.operators.acts import Ground
from core.operators.errors import SecondPersonNeeded
from core.operators.models import Proposal, ProposalState
from core.operators.service import Operator

Reason = Annotated[
    str, Meta(min_length=3, max_length=500, description="Why. It is kept; name no person of a tenant in it.")
]


class ReasonGiven(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class PersonView(Struct, frozen=True, kw_only=True):
    """An operator, or a machine, whose id is null."""

    id: str | None
    name: str


class ApprovalView(Struct, frozen=True, kw_only=True):
    """What somebody asked for, and what came of it."""

    id: str
    kind: Annotated[str, Meta(examples=["tenant.suspend"])]
    summary: str
    effect: Annotated[list[str], Meta(description="What would change, in sentences.")]
    state: ProposalState
    tenant: Annotated[str | None, Meta(description="Id of the tenant that it is about.")]
    email: Annotated[
        str | None,
        Meta(description="Where an invitation goes: to those who may approve, while the link waits. It is in no log."),
    ]
    reason: str
    proposed_by: PersonView
    proposed_at: datetime
    expires_at: datetime
    decided_by: PersonView | None
    decided_at: datetime | None
    decision_reason: str | None
    executed_at: datetime | None
    failure: Annotated[str | None, Meta(description="The code of what went wrong; it may be tried again.")]
    may_decide: Annotated[bool, Meta(description="Whether you could be the second person.")]


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """Approvals, newest first."""

    data: list[ApprovalView]
    next_cursor: str | None


def ground(parts: Parts) -> Ground:
    """What acts stand on."""
    return Ground(database=parts.database, keyring=parts.keyring, settings=parts.settings.operators)


async def proposed(
    parts: Parts,
    operator: Operator,
    *,
    kind: str,
    reason: str,
    about: UUID | None = None,
    wish: Mapping[str, Any] | None = None,
) -> Response[Any]:
    """Ask for the act, and answer 202 with the proposal. Every route of an act that needs a second person ends here."""
    made = await proposals.propose(ground(parts), operator, kind=kind, reason=reason, about=about, wish=wish or {})
    view = (await views(parts, operator, [made]))[0]
    return Response(view, status_code=202, headers={"Location": f"/operator/v1/approvals/{view.id}"})


async def views(parts: Parts, operator: Operator, rows: list[Proposal]) -> list[ApprovalView]:
    """The proposals as this operator sees them."""
    ids = {one for row in rows for one in (row.proposed_by, row.decided_by) if one is not None}
    async with parts.database.operator() as session:
        names = await accounts.names(session, ids)
        may_approve = operator.role in accounts.APPROVERS
        emails = await accounts.invited(session, parts.keyring, rows) if may_approve else {}

    def person(operator_id: UUID | None) -> PersonView:
        if operator_id is None:
            return PersonView(id=None, name="machine")
        return PersonView(id=public(Prefix.OPERATOR, operator_id), name=names.get(operator_id, "unknown"))

    return [
        ApprovalView(
            id=public(Prefix.APPROVAL, row.id),
            kind=row.kind,
            summary=row.summary,
            effect=row.effect,
            state=proposals.state_of(row),
            tenant=None if row.about_tenant_id is None else public(Prefix.TENANT, row.about_tenant_id),
            email=emails.get(row.id),
            reason=row.reason,
            proposed_by=person(row.proposed_by),
            proposed_at=row.proposed_at,
            expires_at=row.expires_at,
            decided_by=None if row.decided_by is None else person(row.decided_by),
            decided_at=row.decided_at,
            decision_reason=row.decision_reason,
            executed_at=row.executed_at,
            failure=row.failure,
            may_decide=may_approve and proposals.may_decide(row, operator),
        )
        for row in rows
    ]


_DECIDING = (Unauthenticated, RoleMissing, SecondPersonNeeded, MalformedRequest, NotFound, StateConflict)


class ApprovalController(Controller):
    """`/operator/v1/approvals`."""

    path = "/approvals"
    tags = ("Operators",)

    @get(
        summary="List approvals",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, *PAGED),
    )
    async def list_approvals(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        limit: Limit = 20,
        cursor: Cursor = None,
        in_state: Annotated[
            ProposalState | None, QueryParameter(name="state", required=False, description="Only those in this state.")
        ] = None,
    ) -> ApprovalPage:
        """What was asked for, newest first; `state=open` is what waits for a second person."""
        async with parts.database.operator() as session:
            rows = await proposals.page(session, state=in_state, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return ApprovalPage(data=await views(parts, operator, list(page)), next_cursor=following)

    @get(
        "/{approval_id:str}",
        summary="Read an approval",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def read_approval(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], approval_id: FromPath[str]
    ) -> ApprovalView:
        """What was asked for, by whom and why, what it would change, and what came of it."""
        found = await proposals.get(ground(parts), parse(Prefix.APPROVAL, approval_id))
        return (await views(parts, operator, [found]))[0]

    @post(
        "/{approval_id:str}/approve",
        summary="Approve",
        status_code=200,
        guards=(requires_approver,),
        responses=documented(*_DECIDING, ValidationFailed),
    )
    async def approve(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        approval_id: FromPath[str],
        data: JSONBody[ReasonGiven],
    ) -> ApprovalView:
        """Agree, as the second person, and have it done now. Nobody approves their own, or what is about themselves."""
        found = parse(Prefix.APPROVAL, approval_id)
        done = await proposals.approve(ground(parts), operator, found, reason=data.reason)
        return (await views(parts, operator, [done]))[0]

    @post(
        "/{approval_id:str}/refuse",
        summary="Refuse",
        status_code=200,
        guards=(requires_approver,),
        responses=documented(*_DECIDING, ValidationFailed),
    )
    async def refuse(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        approval_id: FromPath[str],
        data: JSONBody[ReasonGiven],
    ) -> ApprovalView:
        """Say no, and why. Nothing is done."""
        found = parse(Prefix.APPROVAL, approval_id)
        done = await proposals.refuse(ground(parts), operator, found, reason=data.reason)
        return (await views(parts, operator, [done]))[0]

    @post(
        "/{approval_id:str}/withdraw",
        summary="Withdraw",
        status_code=200,
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, SecondPersonNeeded, NotFound, StateConflict),
    )
    async def withdraw(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], approval_id: FromPath[str]
    ) -> ApprovalView:
        """Take back what you proposed yourself."""
        done = await proposals.withdraw(ground(parts), operator, parse(Prefix.APPROVAL, approval_id))
        return (await views(parts, operator, [done]))[0]

    @post(
        "/{approval_id:str}/retry",
        summary="Try an approved act again",
        status_code=200,
        guards=(requires_approver,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, Conflict, StateConflict),
    )
    async def retry(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], approval_id: FromPath[str]
    ) -> ApprovalView:
        """Execute again what two people agreed to and what failed, or whose process died. The decision stands."""
        done = await proposals.execute(ground(parts), operator, parse(Prefix.APPROVAL, approval_id))
        return (await views(parts, operator, [done]))[0]
