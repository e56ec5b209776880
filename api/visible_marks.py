"""Visible marks: a platform's own logo, laid over a corner of its headshots when a style or a request says so."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import QueryParameter
from msgspec import Meta, Struct

from api.auth import requires_active, requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.photos import PICTURE
from api.problems import ALWAYS, CREATING, documented
from api.upload import read_upload
from core.bootstrap import Parts
from core.errors import (
    IntakeBusy,
    PayloadTooLarge,
    PhotoEmpty,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoTooSmall,
    PhotoUnreadable,
    UnsupportedPhotoType,
    UploadTooSlow,
)
from core.headshots import visible_marks
from core.headshots.models import VisibleMark
from core.headshots.visible_marks import FAINTEST, NAME, NARROWEST, WIDEST, Draft, Place
from core.intake.clean import LARGEST_LOGO_BYTES, Intake
from core.tenants.service import Caller


class VisibleMarkView(Struct, frozen=True, kw_only=True):
    """One version of a visible mark. The logo itself is not given back; a preview of a style shows it."""

    name: Annotated[str, Meta(description="What a style or a request for headshots names.", examples=["acme"])]
    version: Annotated[int, Meta(examples=[1])]
    place: Annotated[Place, Meta(examples=["bottom_right"])]
    width: Annotated[float, Meta(description="The logo's longer side, as a share of the picture's.", examples=[0.16])]
    opacity: Annotated[float, Meta(examples=[0.9])]
    logo_width: Annotated[int, Meta(description="Pixels, without the transparent margin.", examples=[512])]
    logo_height: Annotated[int, Meta(examples=[128])]
    created_at: datetime


class VisibleMarkList(Struct, frozen=True, kw_only=True):
    """Your marks by name, each in its newest version."""

    data: list[VisibleMarkView]


def _view(row: VisibleMark) -> VisibleMarkView:
    return VisibleMarkView(
        name=row.name,
        version=row.version,
        place=Place(row.place),
        width=row.width,
        opacity=row.opacity,
        logo_width=row.logo_width,
        logo_height=row.logo_height,
        created_at=row.created_at,
    )


@dataclass
class _LogoOperation(Operation):
    """Says in the reference what the route reads by itself, while it streams."""

    def __post_init__(self) -> None:
        types = ("image/png", "image/webp", "image/jpeg")
        self.request_body = RequestBody(
            required=True,
            description="The logo. PNG and WebP may be transparent, and should be.",
            content={name: OpenAPIMediaType(schema=PICTURE) for name in types},
        )


class VisibleMarkController(Controller):
    """`/v1/visible-marks`."""

    path = "/visible-marks"
    tags = ("Styles",)

    @get(guards=[requires_scope("headshots:read")], summary="List visible marks", responses=documented(*ALWAYS))
    async def list_visible_marks(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]
    ) -> VisibleMarkList:
        """Your own marks, each in its newest version."""
        async with seen_by(caller, parts) as session:
            rows = await visible_marks.newest(session)
        return VisibleMarkList(data=[_view(row) for row in rows])

    @post(
        guards=[requires_scope("headshots:write"), requires_active],
        summary="Publish a visible mark",
        operation_class=_LogoOperation,
        request_max_body_size=None,  # counted by `read_upload`
        responses=documented(
            *ALWAYS,
            *CREATING,
            UploadTooSlow,
            PayloadTooLarge,
            UnsupportedPhotoType,
            PhotoEmpty,
            PhotoUnreadable,
            PhotoTooLarge,
            PhotoTooSmall,
            PhotoTooSlow,
            IntakeBusy,
        ),
    )
    async def publish_visible_mark(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        name: Annotated[
            str, QueryParameter(pattern=NAME, max_length=64, description="The same name again: a new version.")
        ],
        place: Annotated[Place, QueryParameter(description="The corner in which it stands.")] = Place.BOTTOM_RIGHT,
        width: Annotated[
            float,
            QueryParameter(ge=NARROWEST, le=WIDEST, description="Its longer side, as a share of the picture's."),
        ] = 0.16,
        opacity: Annotated[float, QueryParameter(ge=FAINTEST, le=1, description="How much it covers.")] = 0.9,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[VisibleMarkView]:
        """Publish the next version of a mark: your logo, its corner, its width and its opacity.

        The logo is read in a sandbox, its transparent margin cut off, and sealed under your keys. Where it would not
        stand out from what is behind it, it gets a soft rim, light or dark. It never touches the face. Styles keep the
        version that was the newest when they were published.
        """
        draft = Draft(name=name, place=place, width=width, opacity=opacity)
        visible_marks.require_valid(draft)
        intake: Intake = request.app.state.intake
        upload = await read_upload(request, max_bytes=LARGEST_LOGO_BYTES)
        async with once(request, parts, caller, body=upload.data) as ticket:
            if ticket.made is not None:
                async with seen_by(caller, parts) as session:
                    row = await visible_marks.get(session, ticket.made)
            else:
                logo = await intake.clean_logo(upload.data, declared_type=upload.declared_type)
                async with seen_by(caller, parts) as session:
                    row = await visible_marks.publish(
                        session, parts.store, tenant_id=caller.tenant_id, actor=caller.actor, draft=draft, logo=logo
                    )
                    await ticket.note(session, row.id)
        return Response(_view(row), status_code=201)
