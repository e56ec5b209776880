"""Photos: what a person uploads. Consent comes first; then the bytes are cleaned, sealed, and looked at by a worker."""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from api import paging
from api.assets import stream_asset
from api.auth import requires_active, requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.upload import read_upload
from api.wire import PLAIN_NUMBER, Wait
from core.bootstrap import Parts
from core.errors import (
    ConsentRequired,
    Gone,
    IntakeBusy,
    LegalHoldStands,
    NotFound,
    PayloadTooLarge,
    PhotoEmpty,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoTooSmall,
    PhotoUnreadable,
    RetentionOutOfRange,
    UnsupportedPhotoType,
    UploadTooSlow,
)
from core.ids import Prefix, parse, public
from core.intake.clean import Intake
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.subjects import service as subjects
from core.tenants.service import Caller

_LONGEST_WAIT_SECONDS = 20
_LOOK_EVERY_SECONDS = 0.1
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,4})(?:$|[,;\s])")


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that the face check saw."""

    code: Annotated[str, Meta(examples=["face_too_small"])]
    severity: Annotated[str, Meta(description="`refuse` or `warn`.", examples=["warn"])]
    message: Annotated[
        str, Meta(description="A sentence for the person.", examples=["Please come a little closer to the camera."])
    ]


class PhotoView(Struct, frozen=True, kw_only=True):
    """A photo and its verdict."""

    id: Annotated[str, Meta(examples=["pho_0199b3c4d5e67f8090a1b2c3d4e5f608"])]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    asset_id: Annotated[str, Meta(examples=["ast_0199b3c4d5e67f8090a1b2c3d4e5f609"])]
    state: Annotated[str, Meta(description="`checking`, then `ready` or `refused`.", examples=["ready"])]
    source_format: Annotated[
        str, Meta(description="What was uploaded. What is kept is always JPEG.", examples=["heic"])
    ]
    width: Annotated[int, Meta(description="Pixels, upright.", examples=[3024])]
    height: Annotated[int, Meta(examples=[4032])]
    removed_metadata: Annotated[
        list[Annotated[str, Meta(examples=["gps"])]],
        Meta(description="What the file carried and is gone. Never the values.", examples=[["gps", "device"]]),
    ]
    findings: Annotated[list[Finding], Meta(description="What the face check saw; empty until it is done.")]
    created_at: datetime
    checked_at: datetime | None
    expires_at: datetime


class PhotoPage(Struct, frozen=True, kw_only=True):
    """A person's photos, newest first."""

    data: list[PhotoView]
    next_cursor: str | None


def _view(photo: Photo) -> PhotoView:
    found = (photo.report or {}).get("findings", [])
    return PhotoView(
        id=public(Prefix.PHOTO, photo.id),
        subject_id=public(Prefix.SUBJECT, photo.subject_id),
        asset_id=public(Prefix.ASSET, photo.asset_id),
        state=photo.state,
        source_format=photo.source_format,
        width=photo.width,
        height=photo.height,
        removed_metadata=list(photo.removed_metadata or []),
        findings=[
            Finding(code=one["code"], severity=one.get("severity", "refuse"), message=one["message"]) for one in found
        ],
        created_at=photo.created_at,
        checked_at=photo.checked_at,
        expires_at=photo.expires_at,
    )


def wait_seconds(prefer: str | None) -> int:
    """The seconds that `Prefer: wait=…` asks for (RFC 7240), at most 20; 0 when it asks for none."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), _LONGEST_WAIT_SECONDS) if found else 0


PICTURE = Schema(type=None, description="The photo's bytes.")


@dataclass
class _UploadOperation(Operation):
    """Says in the reference what the route reads by itself, while it streams."""

    def __post_init__(self) -> None:
        types = ("image/jpeg", "image/png", "image/webp", "image/heic")
        form = Schema(
            type="object",  # type: ignore[arg-type]  # the text is what the document holds
            properties={"photo": Schema(description="The photo's bytes.", content_media_type="image/*")},
            required=["photo"],
        )
        self.request_body = RequestBody(
            required=True,
            description="The photo: as the body itself, or as the one file of a form.",
            content={
                **{name: OpenAPIMediaType(schema=PICTURE) for name in types},
                "multipart/form-data": OpenAPIMediaType(schema=form),
            },
        )


class SubjectPhotoController(Controller):
    """`/v1/subjects/{subject_id}/photos`."""

    path = "/subjects/{subject_id:str}/photos"
    tags = ("Photos",)

    @get(
        guards=[requires_scope("photos:read")],
        summary="List a subject's photos",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_photos(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> PhotoPage:
        """A person's photos, newest first; erased ones are not among them."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            rows = await photos.page(session, subject.id, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return PhotoPage(data=[_view(row) for row in page], next_cursor=following)

    @post(
        guards=[requires_scope("photos:write"), requires_active],
        summary="Upload a photo",
        operation_class=_UploadOperation,
        request_max_body_size=None,  # counted by `read_upload`, against the deployment's own limit
        responses=documented(
            *ALWAYS,
            *CREATING,
            ConsentRequired,
            NotFound,
            Gone,
            UploadTooSlow,
            PayloadTooLarge,
            UnsupportedPhotoType,
            RetentionOutOfRange,
            PhotoEmpty,
            PhotoUnreadable,
            PhotoTooLarge,
            PhotoTooSmall,
            PhotoTooSlow,
            IntakeBusy,
        ),
    )
    async def upload_photo(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        expires_after: Annotated[
            int | None,
            QueryParameter(
                required=False,
                ge=1,
                schema_extra=PLAIN_NUMBER,
                description="Seconds until it is erased; may only shorten the term.",
            ),
        ] = None,
        prefer: Wait = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[PhotoView]:
        """Upload a photo of a person who has consented to `headshot` and `biometric_processing`.

        It is decoded in a sandbox, turned upright, stripped of all metadata (what was there is named in
        `removed_metadata`), sealed, and looked at for one clear face within seconds.
        """
        # 1. Everything that can refuse it before a byte is read.
        person = parse(Prefix.SUBJECT, subject_id)
        async with seen_by(caller, parts) as session:
            await photos.admit(session, caller=caller, subject_id=person, expires_after=expires_after)
        # 2. The bytes, counted while they stream.
        intake: Intake = request.app.state.intake
        upload = await read_upload(request, max_bytes=intake.limits.max_bytes)
        # 3. Clean, seal, note: once.
        async with once(request, parts, caller, body=upload.data) as ticket:
            photo_id = ticket.made
            if photo_id is None:
                clean = await intake.clean(upload.data, declared_type=upload.declared_type)
                async with seen_by(caller, parts) as session:
                    photo = await photos.accept(
                        session,
                        parts.store,
                        caller=caller,
                        subject_id=person,
                        photo=clean,
                        expires_after=expires_after,
                    )
                    await ticket.note(session, photo.id)
                photo_id = photo.id
        # 4. Wait for the look, if asked to.
        seconds = wait_seconds(prefer)
        view = _view(await _looked_at(parts, caller, photo_id, seconds=seconds))
        headers = {"Location": f"/v1/photos/{view.id}"}
        if seconds:
            headers["Preference-Applied"] = f"wait={seconds}"
        return Response(view, status_code=201, headers=headers)


async def _looked_at(parts: Parts, caller: Caller, photo_id: UUID, *, seconds: float) -> Photo:
    """The photo, once its check is done or the time is up. No transaction stays open while it waits."""
    until = time.monotonic() + seconds
    while True:
        async with seen_by(caller, parts) as session:
            photo = await photos.get(session, photo_id)
        if photo.state != PhotoState.CHECKING or time.monotonic() >= until:
            return photo
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


class PhotoController(Controller):
    """`/v1/photos`."""

    path = "/photos"
    tags = ("Photos",)

    @get(
        "/{photo_id:str}",
        guards=[requires_scope("photos:read")],
        summary="Read a photo",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_photo(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], photo_id: FromPath[str]
    ) -> PhotoView:
        """A photo's state and what the check saw."""
        async with seen_by(caller, parts) as session:
            return _view(await photos.get(session, parse(Prefix.PHOTO, photo_id)))

    @get(
        "/{photo_id:str}/content",
        guards=[requires_scope("photos:read")],
        summary="Download a photo",
        media_type="image/jpeg",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_photo_content(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        photo_id: FromPath[str],
    ) -> Stream:
        """The cleaned photo, decrypted as it streams. Takes `Range` and `If-None-Match`."""
        async with seen_by(caller, parts) as session:
            photo = await photos.get(session, parse(Prefix.PHOTO, photo_id))
            asset = await photos.asset_of(session, photo)
        return await stream_asset(request, parts, asset, actor=caller.actor)

    @delete(
        "/{photo_id:str}",
        guards=[requires_scope("photos:write")],
        summary="Erase a photo",
        responses=documented(*ALWAYS, NotFound, Gone, LegalHoldStands),
    )
    async def delete_photo(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], photo_id: FromPath[str]
    ) -> None:
        """Erase one photo, its key first. From then on it answers 410. Headshots made from it stay."""
        async with seen_by(caller, parts) as session:
            photo = await photos.get(session, parse(Prefix.PHOTO, photo_id))
            await photos.delete(session, parts.store, photo, actor=caller.actor)
