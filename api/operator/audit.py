"""`/operator/v1/audit`: search a tenant's log, and have it prove itself."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.audit import (
    CheckpointView,
    ConsistencyProof,
    EntryView,
    InclusionProof,
    Old,
    Size,
    checkpoint_view,
    entry_view,
)
from api.operator.auth import requires_approver
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.wire import PLAIN_NUMBER, PLAIN_TEXT, AwareTime, Filter
from core.audit import log
from core.bootstrap import Parts
from core.errors import NotFound, RoleMissing, Unauthenticated, ValidationFailed
from core.ids import Prefix, parse
from core.tenants import service as tenants

Kind = Annotated[
    str | None,
    QueryParameter(
        required=False, max_length=64, schema_extra=PLAIN_TEXT, description="Only this kind, `subject.shredded` say."
    ),
]
Actor = Annotated[
    str | None,
    QueryParameter(
        required=False, max_length=100, schema_extra=PLAIN_TEXT, description="Only what this actor did, `erasure` say."
    ),
]
Since = Annotated[AwareTime | None, QueryParameter(required=False, description="Not before this moment.")]
Until = Annotated[AwareTime | None, QueryParameter(required=False, description="Before this moment.")]
Below = Annotated[
    int | None,
    QueryParameter(
        ge=0, le=2**63 - 1, required=False, schema_extra=PLAIN_NUMBER, description="Only checkpoints smaller than this."
    ),
]


class FoundEntries(Struct, frozen=True, kw_only=True):
    """Entries that fit, newest first.

    A page looks at no more than 5,000 entries: it may hold few, or none, and still have a `next_cursor`.
    """

    data: list[EntryView]
    next_cursor: str | None


class CheckpointList(Struct, frozen=True, kw_only=True):
    """Checkpoints, the newest first."""

    data: list[CheckpointView]
    next_below: Annotated[int | None, Meta(description="`below` of the following page; null when there is none.")]


class OperatorAuditController(Controller):
    """`/operator/v1/audit`."""

    path = "/audit/{tenant_id:str}"
    tags = ("Operators",)
    guards = (requires_approver,)

    @get(
        "/entries",
        summary="Search a tenant's audit log",
        responses=documented(Unauthenticated, RoleMissing, NotFound, *PAGED),
    )
    async def search_audit(  # noqa: PLR0913, PLR0917 (what a log is searched by)
        self,
        parts: NamedDependency[Parts],
        tenant_id: FromPath[str],
        kind: Kind = None,
        actor: Actor = None,
        subject_id: Filter = None,
        since: Since = None,
        until: Until = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> FoundEntries:
        """What happened, newest first: of a kind, by an actor, about a person, within a time."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.tenant(found) as session:
            await tenants.get_tenant(session, found)
            rows, following = await log.search(
                session,
                kind=kind,
                actor=actor,
                subject_id=None if subject_id is None else parse(Prefix.SUBJECT, subject_id),
                since=since,
                until=until,
                before=paging.decode(cursor),
                limit=limit,
            )
        return FoundEntries(
            data=[entry_view(row) for row in rows], next_cursor=None if following is None else paging.encode(following)
        )

    @get(
        "/checkpoints",
        summary="List a tenant's checkpoints",
        responses=documented(Unauthenticated, RoleMissing, NotFound, ValidationFailed),
    )
    async def list_checkpoints(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str], below: Below = None, limit: Limit = 20
    ) -> CheckpointList:
        """The signed states of the log, the newest first."""
        found = parse(Prefix.TENANT, tenant_id)
        async with parts.database.tenant(found) as session:
            await tenants.get_tenant(session, found)
            rows = await log.checkpoints(session, before=below, limit=limit + 1)
        shown = [checkpoint_view(row) for row in rows[:limit]]
        return CheckpointList(data=shown, next_below=shown[-1].size if len(rows) > limit else None)

    @get(
        "/entries/{entry_id:str}/proof",
        summary="Prove an entry of a tenant's log",
        responses=documented(Unauthenticated, RoleMissing, NotFound, ValidationFailed),
    )
    async def prove_any_entry(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str], entry_id: FromPath[str], size: Size = None
    ) -> InclusionProof:
        """An entry, and the proof that it is in the log of a checkpoint: enough to check it without asking again."""
        async with parts.database.tenant(parse(Prefix.TENANT, tenant_id)) as session:
            found = await log.inclusion(session, entry_id=parse(Prefix.AUDIT_ENTRY, entry_id), size=size)
        return InclusionProof(
            entry=entry_view(found.entry),
            proof=[step.hex() for step in found.proof],
            checkpoint=checkpoint_view(found.checkpoint),
        )

    @get(
        "/consistency",
        summary="Prove that a tenant's log only grew",
        responses=documented(Unauthenticated, RoleMissing, NotFound, ValidationFailed),
    )
    async def prove_any_consistency(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str], old: Old, size: Size = None
    ) -> ConsistencyProof:
        """The proof that the log of a checkpoint begins with all of an earlier one."""
        async with parts.database.tenant(parse(Prefix.TENANT, tenant_id)) as session:
            found = await log.consistency(session, old=old, size=size)
        return ConsistencyProof(
            earlier=checkpoint_view(found.earlier),
            later=checkpoint_view(found.later),
            proof=[step.hex() for step in found.proof],
        )
