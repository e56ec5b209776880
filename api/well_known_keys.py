"""`/.well-known/likeness/keys`: what checks our signatures, for anyone, without a credential."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from api.problems import documented
from core.bootstrap import Parts
from core.errors import KeyProviderUnavailable


class PublishedKey(Struct, frozen=True, kw_only=True):
    """An Ed25519 key as a JSON Web Key (RFC 8037). Retired keys stay, so that what they signed stays checkable."""

    kty: str
    crv: str
    use: str
    alg: str
    kid: Annotated[str, Meta(description="JWK thumbprint, RFC 7638.")]
    x: str


class KeySet(Struct, frozen=True, kw_only=True):
    """A JSON Web Key Set, newest key first."""

    keys: list[PublishedKey]


class WellKnownKeysController(Controller):
    """For whoever checks a certificate or a checkpoint."""

    path = "/.well-known/likeness"
    tags = ("Erasures",)
    security = ()

    @get("/keys", summary="Read the signing keys", responses=documented(KeyProviderUnavailable))
    async def list_signing_keys(self, parts: NamedDependency[Parts]) -> Response[KeySet]:
        """Every key that ever signed a certificate or a checkpoint here. Keep a copy beside your certificates."""
        keys = [PublishedKey(**members) for members in await parts.keyring.signing.key_set()]
        return Response(KeySet(keys=keys), headers={"Cache-Control": "public, max-age=300"})
