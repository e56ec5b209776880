"""`/operator/v1/operators` and `/acts`: who runs the service, and what they did."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.operator.approvals import ApprovalView, Reason, proposed
from api.operator.auth import RoleGuard, requires_admin, requires_approver
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from core.bootstrap import Parts
from core.errors import (
    MalformedRequest,
    NotFound,
    RoleMissing,
    StateConflict,
    Unauthenticated,
    ValidationFailed,
    VersionConflict,
)
from core.ids import Prefix, parse, public
from core.operators import accounts, record
from core.operators.accounts import Known
from core.operators.models import OperatorAct
from core.operators.service import Operator, Role

Version = Annotated[int, Meta(ge=1, le=2**31 - 1, description="The one that you saw; 409 if it has changed.")] | None
requires_reader = RoleGuard(Role.SUPPORT, Role.PRIVACY_OFFICER, Role.ADMIN)


class RoleWanted(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which role, and why."""

    role: Role
    reason: Reason
    version: Version = None


class ColleagueView(Struct, frozen=True, kw_only=True):
    """An operator. email: null for one who was removed."""

    id: str
    name: str
    email: str | None
    role: Role
    signs_in_with: Annotated[list[str], Meta(description="`password`, `oidc`, or nothing for a removed one.")]
    sessions: int
    version: int
    changed_by: str
    changed_at: datetime
    created_at: datetime
    removed_at: datetime | None


class ColleaguePage(Struct, frozen=True, kw_only=True):
    """Operators, newest first."""

    data: list[ColleagueView]
    next_cursor: str | None


class ActView(Struct, frozen=True, kw_only=True):
    """One entry of the log of acts. digest: SHA-256 over the entry and the digest before it."""

    number: int
    kind: str
    actor: str
    tenant: str | None
    facts: dict[str, Any]
    recorded_at: datetime
    digest: str


class ActPage(Struct, frozen=True, kw_only=True):
    """Entries, newest first. head: the signed note of how far the log reaches; keep one to notice a rewriting."""

    data: list[ActView]
    next_before: Annotated[int | None, Meta(description="Give it as `before` for the next page.")]
    head: str | None


class OperatorController(Controller):
    """`/operator/v1/operators`."""

    path = "/operators"
    tags = ("Operators",)

    @get(
        summary="List operators",
        guards=(requires_approver,),
        responses=documented(Unauthenticated, RoleMissing, *PAGED),
    )
    async def list_operators(
        self, parts: NamedDependency[Parts], limit: Limit = 20, cursor: Cursor = None
    ) -> ColleaguePage:
        """Everybody who runs the service, and who did, newest first."""
        async with parts.database.operator() as session:
            rows = await accounts.page(session, before=paging.decode(cursor), limit=limit + 1)
            page, following = paging.cut(rows, limit)
            found = await accounts.known(session, parts.keyring, page)
        return ColleaguePage(data=[_view(one) for one in found], next_cursor=following)

    @get(
        "/{operator_id:str}",
        summary="Read an operator",
        guards=(requires_approver,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def read_operator(self, parts: NamedDependency[Parts], operator_id: FromPath[str]) -> ColleagueView:
        """One operator who is there."""
        async with parts.database.operator() as session:
            account = await accounts.get(session, parse(Prefix.OPERATOR, operator_id))
            return _view((await accounts.known(session, parts.keyring, [account]))[0])

    @post(
        "/{operator_id:str}/role",
        summary="Change a role",
        status_code=202,
        guards=(requires_admin,),
        responses=documented(
            Unauthenticated, RoleMissing, MalformedRequest, NotFound, StateConflict, VersionConflict, ValidationFailed
        ),
    )
    async def change_operator_role(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        operator_id: FromPath[str],
        data: JSONBody[RoleWanted],
    ) -> Response[ApprovalView]:
        """Ask for another role for an operator. A second person decides, who is not that operator."""
        found = parse(Prefix.OPERATOR, operator_id)
        wish = {"operator": found.hex, "role": data.role, "version": data.version}
        return await proposed(parts, operator, kind="operator.role", reason=data.reason, wish=wish)

    @delete(
        "/{operator_id:str}",
        summary="Remove an operator",
        guards=(requires_admin,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict, VersionConflict, ValidationFailed),
    )
    async def remove_operator(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        operator_id: FromPath[str],
        version: Annotated[
            int | None, QueryParameter(required=False, ge=1, le=2**31 - 1, description="409 if it has changed since.")
        ] = None,
    ) -> None:
        """Let an operator in no longer, from now on. The address and all that they signed in with are deleted."""
        found = parse(Prefix.OPERATOR, operator_id)
        async with parts.database.operator() as session:
            await accounts.remove(session, operator_id=found, actor=operator.actor, version=version)
            record.sign_after_commit(session, parts.database, parts.keyring)


class ActController(Controller):
    """`/operator/v1/acts`."""

    path = "/acts"
    tags = ("Operators",)

    @get(
        summary="Read what operators did",
        guards=(requires_reader,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, ValidationFailed),
    )
    async def list_acts(
        self,
        parts: NamedDependency[Parts],
        limit: Limit = 20,
        before: Annotated[
            int | None, QueryParameter(required=False, ge=0, le=2**53, description="Entries before this number.")
        ] = None,
        tenant: Annotated[
            str | None, QueryParameter(required=False, max_length=40, description="Only what concerns this tenant.")
        ] = None,
    ) -> ActPage:
        """The log of acts, newest first, with its signed head."""
        about = None if tenant is None else parse(Prefix.TENANT, tenant)
        async with parts.database.operator() as session:
            rows = await record.page(session, before=before, about=about, limit=limit + 1)
            head = await record.head(session)
        shown = rows[:limit]
        return ActPage(
            data=[_act(row) for row in shown],
            next_before=shown[-1].number if len(rows) > limit else None,
            head=None if head is None else head.note,
        )


def _view(known: Known) -> ColleagueView:
    account = known.account
    ways = [("password", account.password_hash is not None), ("oidc", account.oidc_subject is not None)]
    return ColleagueView(
        id=public(Prefix.OPERATOR, account.id),
        name=account.name,
        email=known.email,
        role=Role(account.role),
        signs_in_with=[way for way, there in ways if there],
        sessions=known.sessions,
        version=account.version,
        changed_by=account.changed_by,
        changed_at=account.changed_at.astimezone(UTC),
        created_at=account.created_at.astimezone(UTC),
        removed_at=account.removed_at,
    )


def _act(row: OperatorAct) -> ActView:
    return ActView(
        number=row.number,
        kind=row.kind,
        actor=row.actor,
        tenant=None if row.about_tenant_id is None else public(Prefix.TENANT, row.about_tenant_id),
        facts=row.facts,
        recorded_at=row.recorded_at.astimezone(UTC),
        digest=row.hash.hex(),
    )
