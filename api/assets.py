"""Assets: the sealed pictures. They are decrypted as they stream, kept by nobody on the way, and linked for minutes."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from msgspec import Meta, Struct
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth import requires_active, requires_scope, seen_by
from api.problems import ALWAYS, documented
from api.ranges import RangeNotSatisfiable, cut, read_range
from core.bootstrap import Parts
from core.clock import now
from core.errors import Gone, MalformedRequest, NotFound, TenantSuspended, ValidationFailed
from core.ids import Prefix, parse, public
from core.storage import links
from core.storage.links import LinkExpired
from core.storage.models import Asset, AssetKind, AssetState
from core.subjects import access
from core.subjects import service as subjects
from core.tenants import service as tenants
from core.tenants.service import Caller


class NewLink(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the link shall work."""

    expires_in: Annotated[int, Meta(ge=1, le=900, description="Seconds, at most 15 minutes.", examples=[300])] = 300


class LinkView(Struct, frozen=True, kw_only=True):
    """A link that opens one asset for whoever has it, until it ends. Treat it as the picture itself."""

    url: Annotated[str, Meta(examples=["https://api.example.com/s/assets/AQGZs8TV5n-AkKGyw9Tl9g…"])]
    expires_at: datetime


class AssetView(Struct, frozen=True, kw_only=True):
    """A sealed picture."""

    id: Annotated[str, Meta(examples=["ast_0199b3c4d5e67f8090a1b2c3d4e5f609"])]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    kind: Annotated[str, Meta(description="`photo` or `headshot`.", examples=["headshot"])]
    variant: Annotated[str | None, Meta(examples=["square_1024"])]
    media_type: Annotated[str, Meta(examples=["image/jpeg"])]
    width: Annotated[int, Meta(description="Pixels.", examples=[1024])]
    height: Annotated[int, Meta(examples=[1024])]
    bytes: Annotated[int, Meta(description="Length of the content.")]
    created_at: datetime
    expires_at: datetime | None


def asset_view(asset: Asset) -> AssetView:
    """What the outside sees of an asset."""
    return AssetView(
        id=public(Prefix.ASSET, asset.id),
        subject_id=public(Prefix.SUBJECT, asset.subject_id),
        kind=asset.kind,
        variant=asset.variant,
        media_type=asset.media_type,
        width=asset.width,
        height=asset.height,
        bytes=asset.plain_bytes,
        created_at=asset.created_at,
        expires_at=asset.expires_at,
    )


async def _get(session: AsyncSession, asset_id: UUID) -> Asset:
    """A picture. Raises `NotFound`, or `Gone` once it, or its person, is erased, or its term is over.

    An export is no picture: it has a door of its own, which asks for more scopes.
    """
    asset = await session.get(Asset, asset_id)
    if asset is None or asset.kind == AssetKind.EXPORT:
        raise NotFound
    await subjects.get(session, asset.subject_id)
    if asset.state == AssetState.ERASED or (asset.expires_at is not None and asset.expires_at <= now()):
        raise Gone
    return asset


async def stream_asset(
    request: Request[Any, Any, Any],
    parts: Parts,
    asset: Asset,
    *,
    actor: str,
    why: str = "download",
    filename: str | None = None,
) -> Stream:
    """The asset's bytes as an answer: all of them, one range, or 304 when the caller has them.

    actor, why: for the person's access log. filename: under which a browser keeps it.
    """
    if asset.expires_at is not None and asset.expires_at <= now():
        raise Gone
    etag = f'"{asset.id.hex}-{asset.version}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    if filename is not None:
        headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {etag, "*"}:
        return Stream(iter(()), status_code=304, headers=headers, media_type=asset.media_type)
    fresh = request.headers.get("if-range", etag) == etag
    part = read_range(request.headers.get("range") if fresh else None, asset.plain_bytes)
    async with parts.database.tenant(asset.tenant_id) as session:
        await access.note(
            session, subject_id=asset.subject_id, what=asset.kind, resource_id=asset.id, actor=actor, why=why
        )
    # Opened before the answer begins, so that a shredded key is a 410 and not a broken stream.
    chunks = await parts.store.open(asset)
    if part is None:
        headers["Content-Length"] = str(asset.plain_bytes)
        return Stream(_closing(chunks), status_code=200, headers=headers, media_type=asset.media_type)
    headers |= {"Content-Length": str(part.size), "Content-Range": part.content_range}
    return Stream(_closing(cut(chunks, part)), status_code=206, headers=headers, media_type=asset.media_type)


async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, with the source closed however the answer ends."""
    async with aclosing(chunks) as source:  # type: ignore[type-var]  # every source here is an async generator
        async for chunk in source:
            yield chunk


class AssetController(Controller):
    """`/v1/assets`."""

    path = "/assets"
    tags = ("Assets",)
    guards = (requires_scope("assets:read"),)

    @get("/{asset_id:str}", summary="Read an asset", responses=documented(*ALWAYS, NotFound, Gone))
    async def get_asset(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], asset_id: FromPath[str]
    ) -> AssetView:
        """What an asset is, and when it will be erased."""
        async with seen_by(caller, parts) as session:
            return asset_view(await _get(session, parse(Prefix.ASSET, asset_id)))

    @get(
        "/{asset_id:str}/content",
        summary="Download an asset",
        media_type="image/jpeg",
        responses=documented(*ALWAYS, NotFound, Gone, RangeNotSatisfiable),
    )
    async def get_asset_content(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        asset_id: FromPath[str],
    ) -> Stream:
        """The picture, decrypted as it streams. Takes `Range` and `If-None-Match`; must not be stored on the way."""
        async with seen_by(caller, parts) as session:
            asset = await _get(session, parse(Prefix.ASSET, asset_id))
        return await stream_asset(request, parts, asset, actor=caller.actor)

    @post(
        "/{asset_id:str}/link",
        guards=[requires_active],
        summary="Make a link to an asset",
        responses=documented(*ALWAYS, MalformedRequest, TenantSuspended, NotFound, Gone, ValidationFailed),
    )
    async def create_asset_link(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        asset_id: FromPath[str],
        data: JSONBody[NewLink | None] = None,
    ) -> LinkView:
        """A link that opens this one asset without a credential, for at most fifteen minutes."""
        async with seen_by(caller, parts) as session:
            asset = await _get(session, parse(Prefix.ASSET, asset_id))
        lifetime = timedelta(seconds=(data or NewLink()).expires_in)
        token, expires_at = await links.sign(
            parts.keyring, tenant_id=caller.tenant_id, asset_id=asset.id, lifetime=lifetime
        )
        root = parts.settings.api.public_url.rstrip("/")
        return LinkView(url=f"{root}/s/assets/{token}", expires_at=expires_at)


class LinkController(Controller):
    """`/s/assets`: for whoever was given a link."""

    path = "/s/assets"
    tags = ("Assets",)

    @get(
        "/{token:str}",
        summary="Open a link",
        media_type="image/jpeg",
        responses=documented(LinkExpired, NotFound, Gone, RangeNotSatisfiable),
    )
    async def open_link(
        self, request: Request[Any, Any, Any], parts: NamedDependency[Parts], token: FromPath[str]
    ) -> Stream:
        """The picture that the link was made for."""
        link = links.read(token)
        async with parts.database.tenant(link.tenant_id) as session:
            await tenants.get_tenant(session, link.tenant_id)
            await links.verify(parts.keyring, link)
            asset = await _get(session, link.asset_id)
        return await stream_asset(request, parts, asset, actor="link", why="link")
