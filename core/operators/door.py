"""The door of the operator surface: whose credential is this? Asked at every call, answered from our own table."""

import hashlib
import hmac

from core.db import Database
from core.errors import CredentialInvalid, Forbidden
from core.operators import oidc, sessions, single_sign_on
from core.operators.service import MACHINE, Operator
from core.settings import ApiSettings, OperatorSettings

_DOTS = 2  # header.claims.signature


class Door:
    """Tells who is asking."""

    def __init__(self, database: Database, api: ApiSettings, settings: OperatorSettings) -> None:
        self._database = database
        self._settings = settings
        self._machine = api.operator_token_sha256
        self.verifier = oidc.Verifier(settings) if settings.oidc_issuer is not None else None

    async def authenticate(self, token: str) -> Operator:
        """Who this credential belongs to. Raises `CredentialInvalid`, `SessionExpired` or `OperatorUnknown`.

        The token of a machine is compared by its hash; where none is configured, no machine passes.
        """
        given = hashlib.sha256(token.encode()).hexdigest()
        if self._machine is not None and hmac.compare_digest(given, self._machine.lower()):
            return MACHINE
        if token.startswith(sessions.PREFIX):
            found = await sessions.operator_of(self._database, self._settings, token)
            if found is not None:
                return found
        if token.count(".") == _DOTS and self.verifier is not None:
            identity = await self.verifier.identity(token)
            return await single_sign_on.operator_of(self._database, self._settings, identity)
        raise CredentialInvalid

    async def identity(self, token: str) -> oidc.Identity:
        """What an ID token says, before anybody is known by it. Raises as `authenticate`."""
        if self.verifier is None:
            raise Forbidden("No identity provider is configured here: accept the invitation with a password.")
        return await self.verifier.identity(token)
