"""`/operator/v1/rights-requests`: what people asked for, by due date, and the answers. What they wrote stays sealed."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.operator.auth import requires_privacy_officer, requires_viewer
from api.operator.jobs import OfTenant
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from api.rights_requests import Denial, Extension
from api.wire import AwareTime
from core.bootstrap import Parts
from core.clock import now
from core.errors import (
    Gone,
    IdentityUnverified,
    MalformedRequest,
    NotFound,
    RoleMissing,
    StateConflict,
    Unacceptable,
    Unauthenticated,
    ValidationFailed,
)
from core.ids import Prefix, parse, public
from core.operators.service import Operator
from core.rights import clocks, requests, seen
from core.rights.models import RequestState, RightsRequest
from core.rights.seen import SeenRequest

URGENT = timedelta(days=3)
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class OperatorRequestView(Struct, frozen=True, kw_only=True):
    """A request and its clock. Neither the person's reference nor anything that was written is here."""

    id: Annotated[str, Meta(examples=["rr_0199b3c4d5e67f8090a1b2c3d4e5f610"])]
    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    subject: Annotated[str, Meta(description="Random id of the person.")]
    erasure: Annotated[str | None, Meta(description="Of a request to be erased: the id that its erasure has.")]
    kind: Annotated[str, Meta(examples=["access"])]
    state: Annotated[str, Meta(description="`received`, `completed`, `denied` or `superseded` (by an erasure).")]
    source: str
    identity: Annotated[str, Meta(description="`unverified`, `verified` or `failed`.")]
    joined: int
    law: str
    law_source: str
    received_at: datetime
    acknowledge_by: datetime | None
    acknowledged_at: datetime | None
    due_at: Annotated[datetime, Meta(description="The first moment that is too late.")]
    extendable_to: datetime | None
    extended_at: datetime | None
    extension_code: str | None
    exception: str | None
    closed_at: datetime | None
    seconds_left: Annotated[float | None, Meta(description="Until `due_at`; below zero: overdue. Null once closed.")]
    elapsed: Annotated[float | None, Meta(description="The share of the term that is over, 0 to 1 and beyond.")]
    urgency: Annotated[str, Meta(description="`overdue`, `urgent` (three days), `soon` (a week), `calm` or `closed`.")]
    clock: Annotated[str, Meta(description="The same in words.", examples=["4 days left"])]


class OperatorRequestPage(Struct, frozen=True, kw_only=True):
    """Requests by due date: of open ones the most urgent first."""

    data: list[OperatorRequestView]
    next_cursor: str | None


def _view(row: SeenRequest | RightsRequest) -> OperatorRequestView:
    return OperatorRequestView(
        id=public(Prefix.RIGHTS_REQUEST, row.id),
        tenant=public(Prefix.TENANT, row.tenant_id),
        subject=public(Prefix.SUBJECT, row.subject_id),
        erasure=public(Prefix.ERASURE, row.subject_id) if row.kind == "erasure" else None,
        kind=row.kind,
        state=row.state,
        source=row.source,
        identity=row.identity,
        joined=row.joined,
        law=row.law,
        law_source=row.law_source,
        received_at=row.received_at,
        acknowledge_by=row.acknowledge_by,
        acknowledged_at=row.acknowledged_at,
        due_at=row.due_at,
        extendable_to=row.extended_due_at if row.extended_at is None and row.closed_at is None else None,
        extended_at=row.extended_at,
        extension_code=row.extension_code,
        exception=row.exception,
        closed_at=row.closed_at,
        **_clock(row),
    )


def _clock(row: SeenRequest | RightsRequest) -> dict[str, Any]:
    if row.closed_at is not None:
        late = row.closed_at > row.due_at
        said = "answered too late" if late else "answered in time"
        return {"seconds_left": None, "elapsed": None, "urgency": "closed", "clock": said}
    left = row.due_at - now()
    term = max((row.due_at - row.received_at).total_seconds(), 1.0)
    steps = (("overdue", timedelta(0)), ("urgent", URGENT), ("soon", clocks.SOON))
    urgency = next((name for name, within in steps if left <= within), "calm")
    return {
        "seconds_left": round(left.total_seconds(), 1),
        "elapsed": round(1 - left.total_seconds() / term, 4),
        "urgency": urgency,
        "clock": f"overdue by {_words(-left)}" if left <= timedelta(0) else f"{_words(left)} left",
    }


def _words(span: timedelta) -> str:
    seconds = span.total_seconds()
    for name, size in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}" + ("s" if count > 1 else "")
    return "less than a minute"


async def _of(parts: Parts, request_id: str) -> tuple[UUID, UUID]:
    found = parse(Prefix.RIGHTS_REQUEST, request_id)
    async with parts.database.system() as session:
        return await seen.tenant_of_request(session, found), found


_READING = (Unauthenticated, RoleMissing, NotFound)
_ACTING = (*_READING, MalformedRequest, StateConflict, Gone, ValidationFailed, Unacceptable)


class OperatorRequestController(Controller):
    """`/operator/v1/rights-requests`."""

    path = "/rights-requests"
    tags = ("Operators",)

    @get(
        summary="List rights requests of all tenants",
        guards=(requires_viewer,),
        responses=documented(*_READING, *PAGED),
    )
    async def list_all_requests(
        self,
        parts: NamedDependency[Parts],
        in_state: Annotated[
            RequestState, QueryParameter(name="state", required=False, description="Those in this state.")
        ] = RequestState.RECEIVED,
        tenant_id: OfTenant = None,
        due_before: Annotated[
            AwareTime | None, QueryParameter(required=False, description="Only those that are due before.")
        ] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> OperatorRequestPage:
        """Open requests by due date, the most urgent first; or those that are closed, the latest first."""
        async with parts.database.system() as session:
            rows = await seen.requests(
                session,
                state=in_state,
                tenant_id=None if tenant_id is None else parse(Prefix.TENANT, tenant_id),
                due_before=due_before,
                after=paging.decode_place(cursor),
                limit=limit + 1,
            )
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else paging.encode_place(last.due_at, last.id)
        return OperatorRequestPage(data=[_view(row) for row in rows[:limit]], next_cursor=following)

    @get(
        "/{request_id:str}",
        summary="Read a rights request of any tenant",
        guards=(requires_viewer,),
        responses=documented(*_READING),
    )
    async def read_any_request(self, parts: NamedDependency[Parts], request_id: FromPath[str]) -> OperatorRequestView:
        """A request, its clock and its answer, without what was written in either."""
        tenant_id, found = await _of(parts, request_id)
        async with parts.database.tenant(tenant_id) as session:
            return _view(await requests.get(session, found))

    @post(
        "/{request_id:str}/acknowledge",
        status_code=200,
        summary="Record that receipt was confirmed",
        guards=(requires_privacy_officer,),
        responses=documented(*_ACTING),
    )
    async def acknowledge_any_request(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], request_id: FromPath[str]
    ) -> OperatorRequestView:
        """Record, for the tenant, that the person was told that their request arrived."""
        tenant_id, found = await _of(parts, request_id)
        async with parts.database.tenant(tenant_id) as session:
            return _view(await requests.acknowledge(session, request_id=found, actor=operator.actor))

    @post(
        "/{request_id:str}/extend",
        status_code=200,
        summary="Extend a rights request of any tenant",
        guards=(requires_privacy_officer,),
        responses=documented(*_ACTING),
    )
    async def extend_any_request(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        request_id: FromPath[str],
        data: JSONBody[Extension],
    ) -> OperatorRequestView:
        """Take the extension that the law allows, once, before the first term ends. The reason is sealed."""
        tenant_id, found = await _of(parts, request_id)
        async with parts.database.tenant(tenant_id) as session:
            row = await requests.extend(
                session, parts.keyring, request_id=found, code=data.code, reason=data.reason, actor=operator.actor
            )
            return _view(row)

    @post(
        "/{request_id:str}/deny",
        status_code=200,
        summary="Deny a rights request of any tenant",
        guards=(requires_privacy_officer,),
        responses=documented(*_ACTING),
    )
    async def deny_any_request(
        self,
        parts: NamedDependency[Parts],
        operator: NamedDependency[Operator],
        request_id: FromPath[str],
        data: JSONBody[Denial],
    ) -> OperatorRequestView:
        """Close it with a no, under an exception that the law names. The reason is sealed."""
        tenant_id, found = await _of(parts, request_id)
        async with parts.database.tenant(tenant_id) as session:
            row = await requests.deny(
                session,
                parts.keyring,
                request_id=found,
                exception=data.exception,
                reason=data.reason,
                actor=operator.actor,
            )
            return _view(row)

    @post(
        "/{request_id:str}/complete",
        status_code=200,
        summary="Complete a rights request of any tenant",
        guards=(requires_privacy_officer,),
        responses=documented(*_ACTING, IdentityUnverified),
    )
    async def complete_any_request(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], request_id: FromPath[str]
    ) -> OperatorRequestView:
        """Close it as answered. An erasure completes by itself, when everything is gone."""
        tenant_id, found = await _of(parts, request_id)
        async with parts.database.tenant(tenant_id) as session:
            return _view(await requests.complete(session, request_id=found, actor=operator.actor))
