"""Legal holds: what of a person must not be deleted, why, and until when."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, PAGED, documented
from api.wire import AwareTime, in_future
from core.bootstrap import Parts
from core.errors import (
    Gone,
    IdempotencyInFlight,
    IdempotencyMismatch,
    MalformedRequest,
    NotFound,
    StateConflict,
    Unacceptable,
    ValidationFailed,
)
from core.ids import Prefix, parse, public
from core.subjects import access
from core.tenants.service import Caller
from core.terms import holds
from core.terms.models import LegalHold
from core.terms.policy import DataClass


class NewHold(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be kept, and for how long."""

    reason: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=5000,
            pattern=r"^[^\x00]*$",
            description="Sealed under the person's key.",
            examples=["Claim 2026-117 before the labour court."],
        ),
    ]
    expires_at: Annotated[AwareTime, Meta(description="The hold ends by itself then. At most ten years ahead.")]
    data_classes: Annotated[
        list[DataClass],
        Meta(max_length=8, description="Left empty: every class that can be held."),
    ] = []


class HoldSummary(Struct, frozen=True, kw_only=True):
    """A hold in a list: its reason is not opened for it."""

    id: Annotated[str, Meta(examples=["hld_0199b3c4d5e67f8090a1b2c3d4e5f612"])]
    subject_id: str
    data_classes: list[str]
    state: Annotated[str, Meta(description="`standing`, `released`, or `expired`.", examples=["standing"])]
    expires_at: datetime
    created_at: datetime
    created_by: str
    released_at: datetime | None
    released_by: str | None


class HoldView(HoldSummary, frozen=True, kw_only=True):
    """A hold with its reason, which is null once the person is erased."""

    reason: str | None


class HoldPage(Struct, frozen=True, kw_only=True):
    """A page of holds, newest first."""

    data: list[HoldSummary]
    next_cursor: str | None


def hold_fields(row: LegalHold) -> dict[str, Any]:
    """What the outside sees of a hold without opening anything."""
    ended = "expired" if row.released_at is None else "released"
    return {
        "id": public(Prefix.LEGAL_HOLD, row.id),
        "subject_id": public(Prefix.SUBJECT, row.subject_id),
        "data_classes": list(row.data_classes),
        "state": "standing" if holds.is_standing(row) else ended,
        "expires_at": row.expires_at,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "released_at": row.released_at,
        "released_by": row.released_by,
    }


async def _view(parts: Parts, row: LegalHold, caller: Caller) -> HoldView:
    reason = None
    if row.sealed_reason is not None:
        async with seen_by(caller, parts) as session:
            await access.note(
                session,
                subject_id=row.subject_id,
                what="legal_hold",
                resource_id=row.id,
                actor=caller.actor,
                why="read",
            )
        reason = await holds.reason_of(parts.keyring, row)
    return HoldView(**hold_fields(row), reason=reason)


class SubjectHoldController(Controller):
    """`/v1/subjects/{subject_id}/holds`. A suspended tenant may hold: a claim does not wait for an invoice."""

    path = "/subjects/{subject_id:str}/holds"
    tags = ("Retention",)

    @post(
        guards=[requires_scope("holds:write")],
        summary="Place a legal hold",
        responses=documented(
            *ALWAYS,
            MalformedRequest,
            NotFound,
            IdempotencyInFlight,
            Gone,
            ValidationFailed,
            IdempotencyMismatch,
            Unacceptable,
        ),
    )
    async def create_legal_hold(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        data: JSONBody[NewHold],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[HoldView]:
        """Keep what there is of a person, and what comes, past its term: neither the sweep nor a deletion touches it.

        While it stands the person cannot be erased either: their erasure answers 409 `legal_hold` with the day.
        """
        until = in_future(data.expires_at, field="expires_at")
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                row = await holds.get(session, ticket.made)
            else:
                row = await holds.place(
                    session,
                    parts.keyring,
                    subject_id=parse(Prefix.SUBJECT, subject_id),
                    reason=data.reason,
                    expires_at=until or data.expires_at,
                    actor=caller.actor,
                    data_classes=data.data_classes,
                )
                await ticket.note(session, row.id)
        view = await _view(parts, row, caller)
        return Response(view, status_code=201, headers={"Location": f"/v1/legal-holds/{view.id}"})

    @get(
        guards=[requires_scope("holds:read")],
        summary="List a person's holds",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_legal_holds_of_subject(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> HoldPage:
        """Holds on a person, newest first, ended ones too."""
        async with seen_by(caller, parts) as session:
            rows = await holds.page(
                session,
                subject_id=parse(Prefix.SUBJECT, subject_id),
                before=paging.decode(cursor),
                limit=limit + 1,
            )
        page, following = paging.cut(rows, limit)
        return HoldPage(data=[HoldSummary(**hold_fields(row)) for row in page], next_cursor=following)


class LegalHoldController(Controller):
    """`/v1/legal-holds`."""

    path = "/legal-holds"
    tags = ("Retention",)

    @get(guards=[requires_scope("holds:read")], summary="List legal holds", responses=documented(*ALWAYS, *PAGED))
    async def list_legal_holds(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        standing: Annotated[bool, QueryParameter(required=False, description="Only those that stand now.")] = False,  # noqa: FBT002 (named by the query)
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> HoldPage:
        """Every hold, newest first."""
        async with seen_by(caller, parts) as session:
            rows = await holds.page(session, standing_only=standing, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return HoldPage(data=[HoldSummary(**hold_fields(row)) for row in page], next_cursor=following)

    @get(
        "/{hold_id:str}",
        guards=[requires_scope("holds:read")],
        summary="Read a legal hold",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_legal_hold(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], hold_id: FromPath[str]
    ) -> HoldView:
        """A hold with its reason."""
        async with seen_by(caller, parts) as session:
            row = await holds.get(session, parse(Prefix.LEGAL_HOLD, hold_id))
        return await _view(parts, row, caller)

    @post(
        "/{hold_id:str}/release",
        status_code=200,
        guards=[requires_scope("holds:write")],
        summary="Release a legal hold",
        responses=documented(*ALWAYS, NotFound, StateConflict),
    )
    async def release_legal_hold(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], hold_id: FromPath[str]
    ) -> HoldSummary:
        """Let go before the day. What is past its term goes with the next sweep. Releasing twice changes nothing."""
        async with seen_by(caller, parts) as session:
            row = await holds.release(session, parse(Prefix.LEGAL_HOLD, hold_id), actor=caller.actor)
        return HoldSummary(**hold_fields(row))
