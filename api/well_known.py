"""`/.well-known/likeness/`: what anyone needs to check a picture of ours without asking us."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from api.problems import documented
from core.bootstrap import Parts
from core.errors import KeyProviderUnavailable
from core.provenance.manifest import LEDGER_LABEL, SOFT_BINDING_ALGORITHM

_KEPT = {"Cache-Control": "public, max-age=3600"}


class Directory(Struct, frozen=True, kw_only=True):
    """Where everything is."""

    trust_anchors: Annotated[str, Meta(description="Certificates of the roots, in PEM, old ones included.")]
    time_stamp_anchors: Annotated[
        str, Meta(description="Certificates of the authorities whose time stamps count, in PEM. Empty without any.")
    ]
    keys: Annotated[str, Meta(description="Keys of erasure certificates and of the audit log's checkpoints.")]
    verify: Annotated[str, Meta(description="Check a picture here.")]
    page: Annotated[str, Meta(description="The same for people.")]
    ledger_assertion: Annotated[str, Meta(description="Label of the edit ledger in a manifest.")]
    soft_binding_algorithm: Annotated[str, Meta(description="Name of the invisible mark in a manifest.")]


class WellKnownController(Controller):
    """For readers of C2PA, and for `likeness verify`."""

    path = "/.well-known/likeness"
    tags = ("Verify",)
    security = ()

    @get(summary="Read where to check pictures and proofs", responses=documented())
    async def read_directory(self, parts: NamedDependency[Parts]) -> Response[Directory]:
        """The addresses of what is published."""
        root = parts.settings.api.public_url.rstrip("/")
        return Response(
            Directory(
                trust_anchors=f"{root}/.well-known/likeness/trust-anchors.pem",
                time_stamp_anchors=f"{root}/.well-known/likeness/time-stamp-anchors.pem",
                keys=f"{root}/.well-known/likeness/keys",
                verify=f"{root}/v1/verify",
                page=f"{root}/verify",
                ledger_assertion=LEDGER_LABEL,
                soft_binding_algorithm=SOFT_BINDING_ALGORITHM,
            ),
            headers=_KEPT,
        )

    @get(
        "/trust-anchors.pem",
        summary="Read the trust anchors",
        media_type="application/x-pem-file",
        responses=documented(KeyProviderUnavailable),
    )
    async def read_trust_anchors(self, parts: NamedDependency[Parts]) -> Response[str]:
        """The certificate of every root that ever signed here, oldest first. Give them to your C2PA reader."""
        pem = "".join(await parts.provenance.anchors())
        return Response(pem, media_type="application/x-pem-file", headers=_KEPT)

    @get(
        "/time-stamp-anchors.pem",
        summary="Read the time-stamp anchors",
        media_type="application/x-pem-file",
        responses=documented(),
        sync_to_thread=True,
    )
    def read_time_stamp_anchors(self, parts: NamedDependency[Parts]) -> Response[str]:
        """The roots of the time-stamping authorities that are trusted here, apart from those that sign pictures."""
        pem = parts.provenance.time_stamp_anchors()
        return Response(pem, media_type="application/x-pem-file", headers=_KEPT)
