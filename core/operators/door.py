"""The door of the operator surface: whose credential is this? Asked at every call, answered from our own table."""

import hashlib
import hmac

from core.db import Database
from core.errors import CredentialInvalid
from core.operators import sessions
from core.operators.service import MACHINE, Operator
from core.settings import ApiSettings, OperatorSettings


class Door:
    """Tells who is asking."""

    def __init__(self, database: Database, api: ApiSettings, settings: OperatorSettings) -> None:
        self._database = database
        self._settings = settings
        self._machine = api.operator_token_sha256

    async def authenticate(self, token: str) -> Operator:
        """Who this credential belongs to. Raises `CredentialInvalid` or `SessionExpired`.

        The token of a machine is compared by its hash; where none is configured, no machine passes.
        """
        given = hashlib.sha256(token.encode()).hexdigest()
        if self._machine is not None and hmac.compare_digest(given, self._machine.lower()):
            return MACHINE
        if token.startswith(sessions.PREFIX):
            found = await sessions.operator_of(self._database, self._settings, token)
            if found is not None:
                return found
        raise CredentialInvalid
