"""Erasure certificates: the signed file, byte for byte, and the sheet for the person."""

from typing import Annotated

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from msgspec import Meta, Struct

from api.auth import requires_scope, seen_by
from api.problems import ALWAYS, documented
from core.bootstrap import Parts
from core.errors import NotFound
from core.ids import Prefix, parse
from core.rights import certify, horizon
from core.rights.models import ErasureCertificate
from core.tenants.service import Caller


class SignedCertificate(Struct, frozen=True, kw_only=True):
    """The file. Store it as it is: any other spelling of the same JSON does not verify."""

    certificate: Annotated[dict[str, object], Meta(description="What is certified: ids, counts and times.")]
    log: Annotated[dict[str, object], Meta(description="The leaf of the audit log, its proof and its checkpoint.")]
    signature: Annotated[dict[str, str], Meta(description="Ed25519, by a key of `/.well-known/likeness/keys`.")]


async def _issued(parts: Parts, caller: Caller, certificate_id: str) -> ErasureCertificate:
    async with seen_by(caller, parts) as session:
        return await certify.get(session, parse(Prefix.CERTIFICATE, certificate_id))


def download(content: bytes | None, media_type: str, name: str) -> Response[bytes]:
    """A file to keep, byte for byte."""
    if content is None:
        raise NotFound
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


class CertificateController(Controller):
    """`/v1/erasure-certificates`."""

    path = "/erasure-certificates"
    tags = ("Erasures",)
    guards = (requires_scope("audit:read"),)

    @get(
        "/{certificate_id:str}",
        summary="Read an erasure certificate",
        responses={
            **documented(*ALWAYS, NotFound),
            200: ResponseSpec(
                data_container=SignedCertificate, generate_examples=False, description="The signed file, byte for byte."
            ),
        },
    )
    async def get_certificate(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], certificate_id: FromPath[str]
    ) -> Response[bytes]:
        """The signed file. Check it offline with `likeness verify-certificate`, and the published keys."""
        found = await _issued(parts, caller, certificate_id)
        return download(found.document, MediaType.JSON, "erasure-certificate.json")

    @get(
        "/{certificate_id:str}/pdf",
        summary="Read an erasure certificate on paper",
        responses={
            **documented(*ALWAYS, NotFound),
            200: ResponseSpec(
                data_container=bytes, generate_examples=False, media_type="application/pdf", description="A PDF."
            ),
        },
    )
    async def get_certificate_pdf(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], certificate_id: FromPath[str]
    ) -> Response[bytes]:
        """The same data as a sheet that a person can keep."""
        found = await _issued(parts, caller, certificate_id)
        return download(found.rendering, "application/pdf", "erasure-certificate.pdf")

    @get(
        "/{certificate_id:str}/backup-horizon",
        summary="Read the second part of an erasure certificate",
        responses={
            **documented(*ALWAYS, NotFound),
            200: ResponseSpec(
                data_container=SignedCertificate, generate_examples=False, description="The signed file, byte for byte."
            ),
        },
    )
    async def get_backup_horizon(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], certificate_id: FromPath[str]
    ) -> Response[bytes]:
        """That no backup holds the key any more. 404 until it is so; `asset.erased` then says `backup_horizon_passed`.

        Check it with `likeness verify-certificate FILE --second THIS`.
        """
        found = await _issued(parts, caller, certificate_id)
        async with seen_by(caller, parts) as session:
            document = await horizon.get(session, found.id)
        return download(document, MediaType.JSON, "backup-horizon.json")
