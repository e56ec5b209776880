"""ID tokens of an outside identity provider (OpenID Connect Core 1.0, section 3.1.3.7), checked at every call.

Signature by a key of the provider's published set, algorithm among those allowed (none with a shared secret), issuer
exactly the configured one, audience one of ours and, where there are several, authorised party ours too, not expired,
not issued in the future, and a nonce. Nothing in the token says what somebody may do: that is in our own table.

The provider's keys are kept for an hour; a key id that we do not know makes us look again, at most once a minute. When
the provider does not answer, the keys that we have serve for a day.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from core.clock import now
from core.errors import CredentialExpired, CredentialInvalid, Unavailable
from core.settings import OperatorSettings

_FRESH_SECONDS = 3600.0
_STALE_SECONDS = 86_400.0
_AGAIN_SECONDS = 60.0
_LONGEST_TOKEN = 16 * 1024
_LONGEST_DOCUMENT = 512 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Identity:
    """What a genuine token says. subject: SHA-256 over issuer and subject, by which we know somebody again."""

    subject: bytes
    nonce: bytes
    token: bytes
    issued_at: datetime
    expires_at: datetime


class Verifier:
    """Checks ID tokens of the configured issuer."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._issuer = settings.oidc_issuer or ""
        self._audiences = settings.oidc_audiences
        self._algorithms = list(settings.oidc_algorithms)
        self._leeway = settings.oidc_leeway_seconds
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._turn = asyncio.Lock()

    async def identity(self, token: str) -> Identity:
        """Who this token speaks of. Raises `CredentialInvalid`, `CredentialExpired`, `Unavailable`."""
        if len(token) > _LONGEST_TOKEN:
            raise CredentialInvalid
        claims = await self._verified(token)
        moment = now().timestamp()
        subject, nonce = claims.get("sub"), claims.get("nonce")
        issued, expires = claims.get("iat"), claims.get("exp")
        audience = claims.get("aud")
        meant_for = {audience} if isinstance(audience, str) else set(audience) if isinstance(audience, list) else set()
        if claims.get("iss") != self._issuer or not meant_for & self._audiences:
            raise CredentialInvalid("This ID token is from another issuer, or for another client.")
        party = claims.get("azp")
        if (len(meant_for) > 1 or party is not None) and party not in self._audiences:
            raise CredentialInvalid("This ID token was issued to another client.")
        if not isinstance(subject, str) or not subject or not isinstance(nonce, str) or not nonce:
            raise CredentialInvalid("This ID token has no subject or no nonce.")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise CredentialInvalid("This ID token does not say when it was issued or when it ends.")
        if issued > moment + self._leeway:
            raise CredentialInvalid("This ID token comes from the future; compare the clocks.")
        if expires + self._leeway <= moment:
            raise CredentialExpired("This ID token has expired. Sign in again.")
        return Identity(
            subject=_digest(self._issuer, subject),
            nonce=_digest(self._issuer, nonce),
            token=hashlib.sha256(token.encode()).digest(),
            issued_at=datetime.fromtimestamp(issued, UTC),
            expires_at=datetime.fromtimestamp(expires, UTC),
        )

    async def _verified(self, token: str) -> dict[str, Any]:
        keys = await self._key_set()
        try:
            return dict(jwt.decode(token, keys, algorithms=self._algorithms).claims)
        except (JoseError, ValueError):
            renewed = await self._key_set(renew=True)
        if renewed is keys:
            raise CredentialInvalid
        try:
            return dict(jwt.decode(token, renewed, algorithms=self._algorithms).claims)
        except (JoseError, ValueError):
            raise CredentialInvalid from None

    async def _key_set(self, *, renew: bool = False) -> KeySet:
        async with self._turn:
            age = time.monotonic() - self._read_at
            lately = time.monotonic() - self._tried_at < _AGAIN_SECONDS
            if self._keys is not None and ((age < _FRESH_SECONDS and not renew) or lately):
                return self._keys
            self._tried_at = time.monotonic()
            try:
                self._keys = await self._fetch()
            except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError):
                if self._keys is None or age > _STALE_SECONDS:
                    self._tried_at = float("-inf") if self._keys is None else self._tried_at
                    raise Unavailable("The identity provider does not answer.") from None
            else:
                self._read_at = time.monotonic()
            return self._keys

    async def _fetch(self) -> KeySet:
        async with httpx.AsyncClient(timeout=5, follow_redirects=False) as client:
            document = await _json(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if document["issuer"] != self._issuer:
                raise ValueError("the provider calls itself by another name")
            found = await _json(client, document["jwks_uri"])
        # Only public halves of key pairs: a shared secret in the set would let anybody who knows it sign.
        usable = [key for key in found["keys"] if key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use") != "enc"]
        return KeySet.import_key_set({"keys": usable})


def allowed_url(url: str) -> bool:
    """Whether a provider may be asked there: https, or this very machine for development."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    if not allowed_url(url):
        raise ValueError("a provider is asked by https alone")
    answer = await client.get(url)
    answer.raise_for_status()
    if len(answer.content) > _LONGEST_DOCUMENT:
        raise ValueError("the provider's answer is too long")
    found: dict[str, Any] = answer.json()
    return found


def _digest(issuer: str, value: str) -> bytes:
    return hashlib.sha256(len(issuer).to_bytes(4, "big") + issuer.encode() + value.encode()).digest()
