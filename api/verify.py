"""`POST /v1/verify` and the page `/verify`: is this picture one of ours, and is it as it left? For anyone, no account.

The picture is looked at in sandboxed children and forgotten: nothing of it is stored or logged. Who asks is counted, so
that nobody asks without end, under a digest that another process cannot repeat; no address is kept.
"""

import hashlib
import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import FromPath
from msgspec import Meta, Struct

from api.photos import PICTURE
from api.problems import documented
from api.upload import read_upload
from api.visit import visit_of
from core.bootstrap import Parts
from core.errors import (
    IntakeBusy,
    MalformedRequest,
    PayloadTooLarge,
    PhotoEmpty,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoTooSmall,
    PhotoUnreadable,
    RateLimited,
    UnsupportedPhotoType,
    UploadTooSlow,
)
from core.provenance.card import best_locale
from core.provenance.verify import Checker, Report, verify

_STATIC = Path(__file__).resolve().parent / "static"
_ASSETS = {
    "verify.js": "text/javascript",
    "verify-words.js": "text/javascript",
    "verify.css": "text/css",
    "mark.svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
# Lives as long as the process, so a digest of an address means nothing to anybody else.
_SALT = secrets.token_bytes(16)


class Layer(Struct, frozen=True, kw_only=True):
    """What one of the three layers says."""

    state: Annotated[str, Meta(examples=["valid"])]
    codes: Annotated[list[str], Meta(description="Manifest: C2PA's codes of what does not hold.")] = []
    signed_by: Annotated[
        str | None, Meta(description="Manifest: the organisation in the certificate, where it is ours.")
    ] = None
    certainty: Annotated[
        float | None, Meta(description="Watermark: standard deviations above what chance gives.", examples=[18.2])
    ] = None
    scale: Annotated[float | None, Meta(description="Watermark: below 1 for a crop.", examples=[1.0])] = None
    degrees: Annotated[float | None, Meta(description="Watermark: by which the picture was turned.")] = None


class VerdictView(Struct, frozen=True, kw_only=True):
    """The answer. It names nobody: not who is in the picture, and not which platform ordered it."""

    verdict: Annotated[
        str, Meta(description="`genuine`, `altered`, `marked`, `erased` or `unknown`.", examples=["genuine"])
    ]
    summary: str
    manifest: Annotated[
        Layer | None, Meta(description="The signed record: `valid`, `altered`, `foreign`, `none` or `unreadable`.")
    ]
    watermark: Annotated[Layer | None, Meta(description="The invisible mark: `found`, `none` or `unreadable`.")]
    fingerprint: Annotated[Layer | None, Meta(description="Whether exactly this file left here: `known`, `unknown`.")]
    card: Annotated[
        list[str], Meta(description="What was done to the picture, in the language of `Accept-Language` if we have it.")
    ]
    limits: Annotated[list[str], Meta(description="What this answer cannot tell.")]


async def counts_strangers(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard that lets an address ask so often, and no more. An IPv6 host is its network of 64 bits."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host)
        host = str(ipaddress.ip_network(f"{host}/64", strict=False)) if address.version == 6 else host  # noqa: PLR2004 (IPv6)
    except ValueError:
        pass
    who = hashlib.blake2b(host.encode(), key=_SALT, digest_size=12).hexdigest()
    parts: Parts = connection.app.state.parts
    quota = parts.settings.provenance.checks_per_minute
    await connection.app.state.limiter.count(visit_of(connection.scope), f"check:{who}", quota=quota)


def _layer(found: dict[str, Any]) -> Layer | None:
    if not found:
        return None
    return Layer(
        state=str(found["state"]),
        codes=[str(code) for code in found.get("codes", [])],
        signed_by=found.get("signed_by"),
        certainty=found.get("z"),
        scale=found.get("scale"),
        degrees=found.get("degrees"),
    )


def _view(report: Report) -> VerdictView:
    return VerdictView(
        verdict=report.verdict.value,
        summary=report.summary,
        manifest=_layer(report.manifest),
        watermark=_layer(report.watermark),
        fingerprint=_layer(report.fingerprint),
        card=list(report.card),
        limits=list(report.limits),
    )


@dataclass
class _CheckOperation(Operation):
    """Says in the reference what the route reads by itself, while it streams."""

    def __post_init__(self) -> None:
        types = ("image/jpeg", "image/png", "image/webp", "image/heic")
        form = Schema(
            type="object",  # type: ignore[arg-type]  # the text is what the document holds
            properties={"picture": Schema(description="The picture's bytes.", content_media_type="image/*")},
            required=["picture"],
        )
        self.request_body = RequestBody(
            required=True,
            description="The picture: as the body itself, or as the one file of a form.",
            content={
                **{name: OpenAPIMediaType(schema=PICTURE) for name in types},
                "multipart/form-data": OpenAPIMediaType(schema=form),
            },
        )


class VerifyController(Controller):
    """`/v1/verify`, for anyone."""

    path = "/v1/verify"
    tags = ("Verify",)
    security = ()

    @post(
        guards=[counts_strangers],
        status_code=200,
        summary="Check a picture",
        operation_class=_CheckOperation,
        request_max_body_size=None,  # counted by `read_upload`, against the deployment's own limit
        responses=documented(
            MalformedRequest,
            UploadTooSlow,
            PayloadTooLarge,
            UnsupportedPhotoType,
            PhotoEmpty,
            PhotoUnreadable,
            PhotoTooLarge,
            PhotoTooSmall,
            PhotoTooSlow,
            RateLimited,
            IntakeBusy,
        ),
    )
    async def verify_picture(self, request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> VerdictView:
        """Say whether a picture was made here and is as it left, from its manifest, its watermark and its bytes.

        No account is needed, and nothing is stored. The answer never says who is in the picture or who ordered it.
        """
        checker: Checker = request.app.state.checker
        # A place comes before the body: without one, strangers' pictures would fill the memory while they wait.
        with checker.place():
            upload = await read_upload(request, max_bytes=parts.settings.api.upload_max_bytes)
            report = await verify(
                upload.data,
                declared_type=upload.declared_type,
                checker=checker,
                provenance=parts.provenance,
                locale=best_locale(request.headers.get("accept-language")),
            )
        return _view(report)


class VerifyPageController(Controller):
    """`/verify`: the same for people."""

    path = "/verify"
    include_in_schema = False

    @get(media_type=MediaType.HTML)
    async def page(self) -> Response[bytes]:
        """The page."""
        return Response((_STATIC / "verify.html").read_bytes(), media_type=MediaType.HTML, headers=_HEADERS)

    @get("/static/{name:str}")
    async def asset(self, name: FromPath[str]) -> Response[bytes]:
        """One of the few files that the page needs."""
        if name not in _ASSETS:
            raise NotFoundException
        return Response((_STATIC / name).read_bytes(), media_type=_ASSETS[name], headers=_HEADERS)
