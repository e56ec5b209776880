"""Rights requests: what a person asked for under their law, by when it must be answered, and the answer."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_scope, seen_by
from api.exports import ExportView, export_view
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, PAGED, documented
from api.wire import AwareTime, Filter
from core.bootstrap import Parts
from core.errors import (
    Gone,
    IdempotencyInFlight,
    IdempotencyMismatch,
    IdentityUnverified,
    MalformedRequest,
    NotFound,
    StateConflict,
    Unacceptable,
    ValidationFailed,
)
from core.ids import Prefix, parse, public
from core.rights import exports, requests
from core.rights.models import Identity, RequestState, RightsRequest
from core.rights.rules import Kind
from core.subjects import access
from core.tenants.service import Caller

Note = Annotated[
    str,
    Meta(min_length=1, max_length=5000, pattern=r"^[^\x00]*$", description="Sealed under the person's key."),
]


class NewRightsRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the person asks for."""

    subject_id: Annotated[str, Meta(max_length=64, examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    kind: Kind
    details: Note | None = None
    identity_verified: Annotated[
        bool, Meta(description="Whether you have established that it was the person. An erasure begins at once then.")
    ] = False
    received_at: Annotated[
        AwareTime | None, Meta(description="When it reached you: the clock runs from then. Left out: now.")
    ] = None


class IdentityCheck(Struct, kw_only=True, forbid_unknown_fields=True):
    """What came of checking who asked."""

    outcome: Literal["verified", "failed"]


class Extension(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it takes longer. Tell the person before the first term ends (GDPR Art. 12(3))."""

    code: Annotated[str, Meta(max_length=64, description="`complexity` or `number_of_requests`.")]
    reason: Note


class Denial(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why not."""

    exception: Annotated[
        str,
        Meta(
            max_length=64,
            description="The law's exception: " + ", ".join(f"`{code}`" for code in sorted(requests.EXCEPTIONS)) + ".",
            examples=["rights_of_others"],
        ),
    ]
    reason: Note


class Lifting(Struct, kw_only=True, forbid_unknown_fields=True):
    """That the person knows."""

    person_informed: Annotated[
        bool, Meta(description="Whether the person was told before the restriction is lifted (GDPR Art. 18(3)).")
    ]


class RightsRequestSummary(Struct, frozen=True, kw_only=True):
    """A request in a list: nothing sealed is opened for it."""

    id: Annotated[str, Meta(examples=["rr_0199b3c4d5e67f8090a1b2c3d4e5f610"])]
    subject_id: str
    kind: str
    state: Annotated[str, Meta(description="`received`, `completed`, `denied` or `superseded` (by an erasure).")]
    source: Annotated[str, Meta(description="`tenant` or `person`.")]
    identity: Annotated[str, Meta(description="`unverified`, `verified` or `failed`.")]
    joined: Annotated[int, Meta(description="How often it was asked again while it was open.")]
    law: Annotated[str, Meta(examples=["GDPR"])]
    law_source: Annotated[str, Meta(description="The provision by which the time is counted. No legal advice.")]
    received_at: datetime
    acknowledge_by: Annotated[datetime | None, Meta(description="The first moment that is too late.")]
    acknowledged_at: datetime | None
    due_at: Annotated[datetime, Meta(description="The first moment that is too late.")]
    extendable_to: Annotated[datetime | None, Meta(description="What `due_at` becomes if it is extended.")]
    extended_at: datetime | None
    extension_code: str | None
    exception: str | None
    exception_source: str | None
    closed_at: datetime | None


class RightsRequestView(RightsRequestSummary, frozen=True, kw_only=True):
    """A request, with what was written in it, opened for you. Null once the person is erased."""

    details: str | None
    reason: str | None
    export: Annotated[
        ExportView | None,
        Meta(description="The file that answers it, for access and portability, once the identity is verified."),
    ]


class RightsRequestPage(Struct, frozen=True, kw_only=True):
    """Requests, newest first."""

    data: list[RightsRequestSummary]
    next_cursor: str | None


def _fields(row: RightsRequest) -> dict[str, Any]:
    return {
        "id": public(Prefix.RIGHTS_REQUEST, row.id),
        "subject_id": public(Prefix.SUBJECT, row.subject_id),
        "kind": row.kind,
        "state": row.state,
        "source": row.source,
        "identity": row.identity,
        "joined": row.joined,
        "law": row.law,
        "law_source": row.law_source,
        "received_at": row.received_at,
        "acknowledge_by": row.acknowledge_by,
        "acknowledged_at": row.acknowledged_at,
        "due_at": row.due_at,
        "extendable_to": row.extended_due_at if row.extended_at is None and row.closed_at is None else None,
        "extended_at": row.extended_at,
        "extension_code": row.extension_code,
        "exception": row.exception,
        "exception_source": None if row.exception is None else requests.EXCEPTIONS[row.exception],
        "closed_at": row.closed_at,
    }


async def _view(parts: Parts, row: RightsRequest, caller: Caller) -> RightsRequestView:
    words = requests.NO_WORDS
    if row.sealed_details is not None or row.sealed_reason is not None:
        with suppress(Gone):  # a request outlives its person, without its words
            async with seen_by(caller, parts) as session:
                await access.note(
                    session,
                    subject_id=row.subject_id,
                    what="rights_request",
                    resource_id=row.id,
                    actor=caller.actor,
                    why="read",
                )
            words = await requests.read(parts.keyring, row)
    async with seen_by(caller, parts) as session:
        export = await exports.of_request(session, row.id)
    return RightsRequestView(
        **_fields(row),
        details=words.details,
        reason=words.reason,
        export=None if export is None else export_view(export),
    )


async def _created(parts: Parts, row: RightsRequest, caller: Caller, *, status: int) -> Response[RightsRequestView]:
    view = await _view(parts, row, caller)
    return Response(view, status_code=status, headers={"Location": f"/v1/rights-requests/{view.id}"})


_ACTING = (*ALWAYS, NotFound, StateConflict, Gone, ValidationFailed, Unacceptable, MalformedRequest)


class RightsRequestController(Controller):
    """`/v1/rights-requests`. A suspended tenant may do all of this: a person's rights never wait for an invoice."""

    path = "/rights-requests"
    tags = ("Rights requests",)

    @get(
        guards=[requires_scope("rights:read")],
        summary="List rights requests",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_rights_requests(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: Filter = None,
        in_state: Annotated[
            RequestState | None, QueryParameter(name="state", required=False, description="Only those in this state.")
        ] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> RightsRequestPage:
        """Requests, newest first; of one subject, or in one state, if you say so."""
        async with seen_by(caller, parts) as session:
            rows = await requests.page(
                session,
                subject_id=None if subject_id is None else parse(Prefix.SUBJECT, subject_id),
                state=in_state,
                before=paging.decode(cursor),
                limit=limit + 1,
            )
        page, following = paging.cut(rows, limit)
        return RightsRequestPage(data=[RightsRequestSummary(**_fields(row)) for row in page], next_cursor=following)

    @post(
        guards=[requires_scope("rights:write")],
        summary="Enter a rights request",
        responses=documented(
            *ALWAYS, MalformedRequest, NotFound, IdempotencyInFlight, Gone, ValidationFailed, IdempotencyMismatch
        ),
    )
    async def create_rights_request(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewRightsRequest],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[RightsRequestView]:
        """Start the clock of the person's law. While one of its kind is open, a repeat joins it, and answers 200.

        An opt-out of sale takes effect at once; a restriction or an objection stops processing at once, running jobs
        included; an erasure begins when the identity is verified.
        """
        identity = Identity.VERIFIED if data.identity_verified else Identity.UNVERIFIED
        if data.kind is Kind.ERASURE and data.identity_verified:
            caller.require_scope("erasure:write")
        async with once(request, parts, caller) as ticket:
            async with seen_by(caller, parts) as session:
                if ticket.made is not None:
                    row, status = await requests.get(session, ticket.made), 201
                else:
                    row, new = await requests.receive(
                        session,
                        parts.keyring,
                        subject_id=parse(Prefix.SUBJECT, data.subject_id),
                        kind=data.kind,
                        actor=caller.actor,
                        identity=identity,
                        details=data.details,
                        received_at=data.received_at,
                    )
                    status = 201 if new else 200
                    await ticket.note(session, row.id, status=status)
            return await _created(parts, row, caller, status=status)

    @get(
        "/{request_id:str}",
        guards=[requires_scope("rights:read")],
        summary="Read a rights request",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_rights_request(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], request_id: FromPath[str]
    ) -> RightsRequestView:
        """A request, its deadlines and its answer. It stays after an erasure, without what was written."""
        async with seen_by(caller, parts) as session:
            row = await requests.get(session, parse(Prefix.RIGHTS_REQUEST, request_id))
        return await _view(parts, row, caller)

    @post(
        "/{request_id:str}/verify-identity",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Record who asked",
        responses=documented(*_ACTING),
    )
    async def verify_identity(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        request_id: FromPath[str],
        data: JSONBody[IdentityCheck],
    ) -> RightsRequestView:
        """Record whether it was the person. A verified erasure begins at once, and cannot be taken back."""
        async with seen_by(caller, parts) as session:
            found = await requests.get(session, parse(Prefix.RIGHTS_REQUEST, request_id))
            if found.kind == Kind.ERASURE:
                caller.require_scope("erasure:write")
            row = await requests.verify(
                session, parts.keyring, request_id=found.id, outcome=Identity(data.outcome), actor=caller.actor
            )
        return await _view(parts, row, caller)

    @post(
        "/{request_id:str}/acknowledge",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Record that you confirmed receipt",
        responses=documented(*_ACTING),
    )
    async def acknowledge_rights_request(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], request_id: FromPath[str]
    ) -> RightsRequestView:
        """Record that the person was told that their request arrived."""
        async with seen_by(caller, parts) as session:
            row = await requests.acknowledge(
                session, request_id=parse(Prefix.RIGHTS_REQUEST, request_id), actor=caller.actor
            )
        return await _view(parts, row, caller)

    @post(
        "/{request_id:str}/extend",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Extend a rights request",
        responses=documented(*_ACTING),
    )
    async def extend_rights_request(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        request_id: FromPath[str],
        data: JSONBody[Extension],
    ) -> RightsRequestView:
        """Take the extension that the law allows, once, before the first term ends."""
        async with seen_by(caller, parts) as session:
            row = await requests.extend(
                session,
                parts.keyring,
                request_id=parse(Prefix.RIGHTS_REQUEST, request_id),
                code=data.code,
                reason=data.reason,
                actor=caller.actor,
            )
        return await _view(parts, row, caller)

    @post(
        "/{request_id:str}/deny",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Deny a rights request",
        responses=documented(*_ACTING),
    )
    async def deny_rights_request(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        request_id: FromPath[str],
        data: JSONBody[Denial],
    ) -> RightsRequestView:
        """Close it with a no, under a named exception. Tell the person why, and where to complain (GDPR Art. 12(4))."""
        async with seen_by(caller, parts) as session:
            row = await requests.deny(
                session,
                parts.keyring,
                request_id=parse(Prefix.RIGHTS_REQUEST, request_id),
                exception=data.exception,
                reason=data.reason,
                actor=caller.actor,
            )
        return await _view(parts, row, caller)

    @post(
        "/{request_id:str}/complete",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Complete a rights request",
        responses=documented(*_ACTING, IdentityUnverified),
    )
    async def complete_rights_request(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], request_id: FromPath[str]
    ) -> RightsRequestView:
        """Close it as answered. An erasure completes by itself; a restriction stays in force until it is lifted."""
        async with seen_by(caller, parts) as session:
            row = await requests.complete(
                session, request_id=parse(Prefix.RIGHTS_REQUEST, request_id), actor=caller.actor
            )
        return await _view(parts, row, caller)

    @post(
        "/{request_id:str}/lift",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Lift a restriction",
        responses=documented(*_ACTING),
    )
    async def lift_restriction(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        request_id: FromPath[str],
        data: JSONBody[Lifting],
    ) -> RightsRequestView:
        """Let processing go on after a restriction or an objection, once the person was told."""
        if not data.person_informed:
            raise Unacceptable("The person must be told before a restriction is lifted (GDPR Art. 18(3)).")
        async with seen_by(caller, parts) as session:
            row = await requests.lift(session, request_id=parse(Prefix.RIGHTS_REQUEST, request_id), actor=caller.actor)
        return await _view(parts, row, caller)
