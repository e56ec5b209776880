"""The door of the operator surface: whose credential is this?"""

import hashlib
import hmac

from core.errors import CredentialInvalid
from core.operators.service import MACHINE, Operator
from core.settings import ApiSettings


class Door:
    """Tells who is asking, at every call anew."""

    def __init__(self, settings: ApiSettings) -> None:
        self._machine = settings.operator_token_sha256

    async def authenticate(self, token: str) -> Operator:
        """Who this credential belongs to. Raises `CredentialInvalid`. Without a configured token no machine passes."""
        given = hashlib.sha256(token.encode()).hexdigest()
        if self._machine is not None and hmac.compare_digest(given, self._machine.lower()):
            return MACHINE
        raise CredentialInvalid
