"""Previews of styles: what a look and a visible mark come to, before anybody is photographed."""

import asyncio
import time
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.auth import requires_active, requires_scope, seen_by
from api.photos import wait_seconds
from api.problems import ALWAYS, documented
from api.wire import Wait
from core.bootstrap import Parts
from core.errors import MalformedRequest, NotFound, StateConflict, UnknownMark, UnknownStyle, ValidationFailed
from core.headshots import previews
from core.headshots.models import PreviewState, StylePreview
from core.ids import Prefix, parse, public
from core.tenants.service import Caller

_LOOK_EVERY_SECONDS = 0.1


class NewPreview(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to show."""

    style: Annotated[str, Meta(max_length=64, description="Built in or your own.", examples=["studio-grey"])]
    mark: (
        Annotated[str, Meta(max_length=64, description="A visible mark of yours. Left out, the style's own.")] | None
    ) = None


class PreviewView(Struct, frozen=True, kw_only=True):
    """A style as a picture with nobody in it."""

    id: Annotated[str, Meta(examples=["pvw_0199b3c4d5e67f8090a1b2c3d4e5f60c"])]
    style: Annotated[str, Meta(examples=["studio-grey"])]
    style_version: Annotated[int, Meta(examples=[1])]
    state: Annotated[str, Meta(description="`pending`, then `ready`.", examples=["ready"])]
    created_at: datetime


def _view(row: StylePreview) -> PreviewView:
    return PreviewView(
        id=public(Prefix.PREVIEW, row.id),
        style=row.style,
        style_version=row.style_version,
        state=row.state,
        created_at=row.created_at,
    )


class StylePreviewController(Controller):
    """`/v1/style-previews`."""

    path = "/style-previews"
    tags = ("Styles",)

    @post(
        status_code=202,
        guards=[requires_scope("headshots:write"), requires_active],
        summary="Preview a style",
        responses=documented(*ALWAYS, MalformedRequest, ValidationFailed, UnknownStyle, UnknownMark),
    )
    async def preview_style(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewPreview],
        prefer: Wait = None,
    ) -> Response[PreviewView]:
        """Draw a style with a neutral head in it, and PREVIEW across. It costs nothing and needs nobody's consent.

        The same style, version and mark are drawn once: asking again is answered with the picture there is, so no
        `Idempotency-Key` is needed.
        """
        async with seen_by(caller, parts) as session:
            row = await previews.ask(session, tenant_id=caller.tenant_id, style=data.style, mark=data.mark)
        seconds = wait_seconds(prefer)
        view = _view(await _drawn(parts, caller, row.id, seconds=seconds))
        headers = {"Location": f"/v1/style-previews/{view.id}"}
        if seconds:
            headers["Preference-Applied"] = f"wait={seconds}"
        return Response(view, status_code=202, headers=headers)

    @get(
        "/{preview_id:str}",
        guards=[requires_scope("headshots:read")],
        summary="Read a preview",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_preview(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], preview_id: FromPath[str]
    ) -> PreviewView:
        """Whether it is drawn."""
        async with seen_by(caller, parts) as session:
            return _view(await previews.get(session, parse(Prefix.PREVIEW, preview_id)))

    @get(
        "/{preview_id:str}/content",
        guards=[requires_scope("headshots:read")],
        summary="Download a preview",
        media_type="image/jpeg",
        responses=documented(*ALWAYS, NotFound, StateConflict),
    )
    async def get_preview_content(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], preview_id: FromPath[str]
    ) -> Response[bytes]:
        """The picture: JPEG, 1024 px square. 409 while it is not drawn."""
        async with seen_by(caller, parts) as session:
            row = await previews.get(session, parse(Prefix.PREVIEW, preview_id))
        picture = await previews.picture(parts.store, row)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


async def _drawn(parts: Parts, caller: Caller, preview_id: UUID, *, seconds: float) -> StylePreview:
    """The preview, once it is drawn or the time is up. No transaction stays open while it waits."""
    until = time.monotonic() + seconds
    while True:
        async with seen_by(caller, parts) as session:
            row = await previews.get(session, preview_id)
        if row.state != PreviewState.PENDING or time.monotonic() >= until:
            return row
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
