"""`/operator/v1/break-glass`: two people look at the records of single people, for half an hour, and the tenant knows.

Even so there is no picture here, no key, no reference, no name: ids, states and times alone.
"""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.operator.approvals import ApprovalView, Reason, ground, proposed
from api.operator.auth import RoleGuard
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from core.bootstrap import Parts
from core.errors import MalformedRequest, NotFound, RoleMissing, StateConflict, Unauthenticated, ValidationFailed
from core.ids import Prefix, parse, public
from core.operators import glass
from core.operators.errors import SecondPersonNeeded
from core.operators.service import Operator, Role

requires_glass = RoleGuard(Role.SUPPORT, Role.PRIVACY_OFFICER, Role.ADMIN)


class GlassWanted(Struct, kw_only=True, forbid_unknown_fields=True):
    """Of which tenant, and why."""

    tenant_id: Annotated[str, Meta(max_length=40, examples=["ten_0199b3c4d5e67f8091a2b3c4d5e6f708"])]
    reason: Reason


class ThingView(Struct, frozen=True, kw_only=True):
    """A photo, headshot or job: its id, state and times."""

    id: str
    state: str
    created_at: datetime
    expires_at: datetime | None


class SubjectRecord(Struct, frozen=True, kw_only=True):
    """What there is of one person."""

    id: str
    created_at: datetime
    erased_at: datetime | None
    photos: list[ThingView]
    headshots: list[ThingView]
    jobs: list[ThingView]


class SubjectRecordPage(Struct, frozen=True, kw_only=True):
    """People of the tenant, newest first. until: when this closes."""

    data: list[SubjectRecord]
    next_cursor: str | None
    until: datetime


class BreakGlassController(Controller):
    """`/operator/v1/break-glass`."""

    path = "/break-glass"
    tags = ("Operators",)

    @post(
        summary="Ask to look at single people's records",
        status_code=202,
        guards=(requires_glass,),
        responses=documented(
            *(
                Unauthenticated,
                RoleMissing,
                SecondPersonNeeded,
                MalformedRequest,
                NotFound,
                StateConflict,
                ValidationFailed,
            )
        ),
    )
    async def break_glass(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], data: JSONBody[GlassWanted]
    ) -> Response[ApprovalView]:
        """Ask a second person to look with you. Once they agree, both see ids, states and times for 30 minutes.

        The tenant is told at once by the event `operator.break_glass`.
        """
        about = parse(Prefix.TENANT, data.tenant_id)
        return await proposed(parts, operator, kind="break_glass", reason=data.reason, about=about)

    @get(
        "/{approval_id:str}/subjects",
        summary="Look at single people's records",
        guards=(requires_glass,),
        responses=documented(Unauthenticated, RoleMissing, SecondPersonNeeded, NotFound, StateConflict, *PAGED),
    )
    async def list_glass_subjects(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        approval_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
        subject_id: Annotated[
            str | None, QueryParameter(required=False, max_length=40, description="Only this person.")
        ] = None,
    ) -> SubjectRecordPage:
        """Ids, states and times, to the two people who agreed on it, until it closes. Every page is in the log."""
        only = None if subject_id is None else parse(Prefix.SUBJECT, subject_id)
        found, until = await glass.look(
            ground(parts),
            operator,
            parse(Prefix.APPROVAL, approval_id),
            before=paging.decode(cursor),
            only=only,
            limit=limit + 1,
        )
        page, following = paging.cut(found, limit)
        return SubjectRecordPage(data=[_record(one) for one in page], next_cursor=following, until=until)


def _record(found: glass.Record) -> SubjectRecord:
    return SubjectRecord(
        id=public(Prefix.SUBJECT, found.id),
        created_at=found.created_at.astimezone(UTC),
        erased_at=found.erased_at,
        photos=[_thing(Prefix.PHOTO, one) for one in found.photos],
        headshots=[_thing(Prefix.HEADSHOT, one) for one in found.headshots],
        jobs=[_thing(Prefix.JOB, one) for one in found.jobs],
    )


def _thing(prefix: Prefix, found: tuple[UUID, str, datetime, datetime | None]) -> ThingView:
    thing_id, state, created_at, expires_at = found
    return ThingView(
        id=public(prefix, thing_id), state=state, created_at=created_at.astimezone(UTC), expires_at=expires_at
    )
