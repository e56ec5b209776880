"""Exports: everything that is held of a person, in one file, as the answer to a request for access or portability."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Meta, Struct

from api import paging
from api.assets import stream_asset
from api.auth import requires_scope, seen_by
from api.paging import Cursor, Limit
from api.problems import ALWAYS, PAGED, documented
from api.ranges import RangeNotSatisfiable
from core.bootstrap import Parts
from core.errors import Gone, IdentityUnverified, NotFound, StateConflict
from core.ids import Prefix, parse, public
from core.rights import exports, requests
from core.rights.models import PersonExport
from core.subjects import service as subjects
from core.tenants.service import Caller

FILENAME = "everything.zip"


class ExportView(Struct, frozen=True, kw_only=True):
    """One export, and how far it has come."""

    id: Annotated[str, Meta(examples=["exp_0199b3c4d5e67f8090a1b2c3d4e5f611"])]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    rights_request_id: Annotated[str, Meta(examples=["rr_0199b3c4d5e67f8090a1b2c3d4e5f610"])]
    state: Annotated[
        str, Meta(description="`preparing`; then `ready` or `failed`; `expired` in the end.", examples=["ready"])
    ]
    progress: Annotated[float, Meta(description="From 0 to 1.", examples=[0.4])]
    files: Annotated[int, Meta(description="How many files it has, or will have.", examples=[31])]
    reason_code: Annotated[
        str | None,
        Meta(description="Why there is no file: `internal_error`, `request_denied`, `identity_not_established`."),
    ]
    created_at: datetime
    ready_at: datetime | None
    expires_at: Annotated[datetime | None, Meta(description="Until when the file can be fetched.")]


class ExportPage(Struct, frozen=True, kw_only=True):
    """A person's exports, newest first."""

    data: list[ExportView]
    next_cursor: str | None


def export_view(row: PersonExport) -> ExportView:
    """What the outside sees of an export."""
    return ExportView(
        id=public(Prefix.EXPORT, row.id),
        subject_id=public(Prefix.SUBJECT, row.subject_id),
        rights_request_id=public(Prefix.RIGHTS_REQUEST, row.request_id),
        state=exports.state_of(row),
        progress=round(row.written / row.entries, 3) if row.entries else 0.0,
        files=row.entries,
        reason_code=row.reason_code,
        created_at=row.created_at,
        ready_at=row.ready_at,
        expires_at=row.expires_at,
    )


class ExportController(Controller):
    """`/v1/exports`, and where they begin. A suspended tenant may do all of this."""

    path = ""
    tags = ("Rights requests",)

    @get(
        "/subjects/{subject_id:str}/exports",
        guards=[requires_scope("rights:read")],
        summary="List a subject's exports",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_exports(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> ExportPage:
        """A person's exports, newest first."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            rows = await exports.page(session, subject.id, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return ExportPage(data=[export_view(row) for row in page], next_cursor=following)

    @post(
        "/rights-requests/{request_id:str}/export",
        status_code=202,
        guards=[requires_scope("rights:write")],
        summary="Make an export again",
        responses=documented(*ALWAYS, NotFound, Gone, StateConflict, IdentityUnverified),
    )
    async def create_export(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], request_id: FromPath[str]
    ) -> Response[ExportView]:
        """Begin an export for an open request, if the one that began with the identity failed or its term is over.

        Otherwise nothing is begun, and the answer is the export that there is.
        """
        async with seen_by(caller, parts) as session:
            row = await requests.export(
                session, request_id=parse(Prefix.RIGHTS_REQUEST, request_id), actor=caller.actor
            )
        view = export_view(row)
        return Response(view, status_code=202, headers={"Location": f"/v1/exports/{view.id}"})

    @get(
        "/exports/{export_id:str}",
        guards=[requires_scope("rights:read")],
        summary="Read an export",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_export(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], export_id: FromPath[str]
    ) -> ExportView:
        """How far an export is. `export.ready` tells you when there is a file."""
        async with seen_by(caller, parts) as session:
            return export_view(await exports.get(session, parse(Prefix.EXPORT, export_id)))

    @get(
        "/exports/{export_id:str}/content",
        guards=[requires_scope("rights:read"), requires_scope("consents:read_declined")],
        summary="Download an export",
        media_type="application/zip",
        responses=documented(*ALWAYS, NotFound, StateConflict, Gone, RangeNotSatisfiable),
    )
    async def get_export_content(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        export_id: FromPath[str],
    ) -> Stream:
        """The ZIP, decrypted as it streams. It holds every no of the person too, hence the second scope.

        Takes `Range` and `If-None-Match`; must not be stored on the way. Hand it to the person, or let them fetch it
        from their own page.
        """
        async with seen_by(caller, parts) as session:
            file = await exports.file_of(session, await exports.get(session, parse(Prefix.EXPORT, export_id)))
        return await stream_asset(request, parts, file, actor=caller.actor, filename=FILENAME)
