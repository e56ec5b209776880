"""Imports: an export of another platform, or of another deployment, becomes photos of a person here."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_active, requires_scope, seen_by
from api.consents import DECLINED
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.photos import PICTURE
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.upload import read_upload
from core.bootstrap import Parts
from core.errors import (
    ConsentRequired,
    ExportAltered,
    ExportTooLarge,
    ExportUnreadable,
    ExportUntrusted,
    ExportVersionUnknown,
    Gone,
    IntakeBusy,
    NotFound,
    PayloadTooLarge,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoTooSmall,
    PhotoUnreadable,
    StateConflict,
    UnsupportedPhotoType,
    UploadTooSlow,
)
from core.ids import Prefix, parse, public
from core.portability import receive
from core.portability.models import PersonImport
from core.portability.receive import Receiver
from core.subjects import service as subjects
from core.tenants.service import Caller

_PATIENCE_SECONDS = 120.0


class ImportSummary(Struct, frozen=True, kw_only=True):
    """An export that was taken in."""

    id: Annotated[str, Meta(examples=["imp_0199b3c4d5e67f8090a1b2c3d4e5f612"])]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    issuer: Annotated[str, Meta(description="The service that signed it.", examples=["https://other.example"])]
    key_id: Annotated[str, Meta(description="The key that signed it, by its RFC 7638 thumbprint.")]
    photos: Annotated[list[str], Meta(description="What its photos are here.")]
    created_at: datetime


class ImportView(ImportSummary, frozen=True, kw_only=True):
    """An import with the history that came with it, opened for you."""

    source: Annotated[
        dict[str, Any],
        Meta(
            description="Whose export it was, and the person's consents, notices, restrictions and requests as they "
            "stood there. History alone: nothing in it allows anything here."
        ),
    ]


class ImportPage(Struct, frozen=True, kw_only=True):
    """A person's imports, newest first."""

    data: list[ImportSummary]
    next_cursor: str | None


def _fields(row: PersonImport) -> dict[str, Any]:
    return {
        "id": public(Prefix.IMPORT, row.id),
        "subject_id": public(Prefix.SUBJECT, row.subject_id),
        "issuer": row.issuer,
        "key_id": row.key_id,
        "photos": [f"{Prefix.PHOTO.value}_{photo}" for photo in row.photos],
        "created_at": row.created_at,
    }


class _ImportOperation(Operation):
    """Says in the reference what the route reads by itself."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            description="The export, as it was downloaded.",
            content={"application/zip": OpenAPIMediaType(schema=PICTURE)},
        )


class SubjectImportController(Controller):
    """`/v1/subjects/{subject_id}/imports`."""

    path = "/subjects/{subject_id:str}/imports"
    tags = ("Rights requests",)

    @get(
        guards=[requires_scope("subjects:read")],
        summary="List a subject's imports",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_imports(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> ImportPage:
        """What was taken over for a person, newest first."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            rows = await receive.page(session, subject.id, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return ImportPage(data=[ImportSummary(**_fields(row)) for row in page], next_cursor=following)

    @post(
        guards=[requires_scope("photos:write"), requires_scope("subjects:write"), requires_active],
        summary="Take an export in",
        operation_class=_ImportOperation,
        request_max_body_size=None,  # counted by `read_upload`, against the deployment's own limit
        responses=documented(
            *ALWAYS,
            *CREATING,
            ConsentRequired,
            NotFound,
            Gone,
            StateConflict,
            UploadTooSlow,
            PayloadTooLarge,
            UnsupportedPhotoType,
            ExportUnreadable,
            ExportVersionUnknown,
            ExportUntrusted,
            ExportAltered,
            ExportTooLarge,
            PhotoUnreadable,
            PhotoTooLarge,
            PhotoTooSmall,
            PhotoTooSlow,
            IntakeBusy,
        ),
    )
    async def import_export(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[ImportSummary]:
        """Take over what the person had elsewhere: their photos become photos here, all or none of them.

        The person has consented here to `headshot` and `biometric_processing` before: consents never travel as grants.
        The file must be whole, and signed by this deployment or by one that it trusts.
        """
        person = parse(Prefix.SUBJECT, subject_id)
        receiver: Receiver = request.app.state.receiver
        # 1. Everything that can refuse it before a byte is read.
        await receiver.admit(caller=caller, subject_id=person)
        async with receiver.place():
            # 2. The bytes, counted while they stream.
            upload = await read_upload(
                request, max_bytes=parts.settings.api.import_max_bytes, patience_seconds=_PATIENCE_SECONDS
            )
            # 3. Check, clean, keep: once.
            async with once(request, parts, caller, body=upload.data) as ticket:
                if ticket.made is None:
                    package, clean = await receiver.check(upload.data)
                    async with seen_by(caller, parts) as session:
                        row = await receiver.keep(session, package, clean, caller=caller, subject_id=person)
                        await ticket.note(session, row.id)
                else:
                    async with seen_by(caller, parts) as session:
                        row = await receive.get(session, ticket.made)
        view = ImportSummary(**_fields(row))
        return Response(view, status_code=201, headers={"Location": f"/v1/imports/{view.id}"})


class ImportController(Controller):
    """`/v1/imports`."""

    path = "/imports"
    tags = ("Rights requests",)

    @get(
        "/{import_id:str}",
        guards=[requires_scope("subjects:read"), requires_scope("consents:read")],
        summary="Read an import",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_import(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], import_id: FromPath[str]
    ) -> ImportView:
        """An import, with the history that came with the person. The opening is noted for them."""
        async with seen_by(caller, parts) as session:
            row = await receive.get(session, parse(Prefix.IMPORT, import_id))
        source = await receive.read(
            parts.database,
            parts.keyring,
            row,
            actor=caller.actor,
            show_declined=DECLINED in caller.scopes,
        )
        return ImportView(**_fields(row), source=source)
