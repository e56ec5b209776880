"""Personal data of operators: sealed under the deployment's own keys, and found by a keyed blind index."""

from uuid import UUID

from core.errors import KeyProviderUnavailable
from core.keyring.deployment_keys import DEPLOYMENT
from core.keyring.service import Keyring


async def index(keyring: Keyring, field: str, value: str) -> bytes:
    """32 bytes by which a value is found that is not stored. The first call of a deployment makes its keys."""
    try:
        return await keyring.blind_index(DEPLOYMENT, f"operator:{field}", value)
    except KeyProviderUnavailable:
        await keyring.create_tenant(DEPLOYMENT)
        return await keyring.blind_index(DEPLOYMENT, f"operator:{field}", value)


async def email_index(keyring: Keyring, email: str) -> bytes:
    """The index of an e-mail address, however it is spelled."""
    return await index(keyring, "email", normal(email))


def normal(email: str) -> str:
    """One spelling for an address. No provider in use tells upper case from lower."""
    return email.strip().casefold()


async def seal(keyring: Keyring, field: str, operator_id: UUID, value: bytes) -> bytes:
    """Seal a value of this operator."""
    return await keyring.seal_secret(DEPLOYMENT, _name(field, operator_id), value)


async def opened(keyring: Keyring, field: str, operator_id: UUID, sealed: bytes) -> bytes:
    """What `seal` sealed."""
    return await keyring.open_secret(DEPLOYMENT, _name(field, operator_id), sealed)


def _name(field: str, operator_id: UUID) -> str:
    return f"operator:{field}:{operator_id.hex}"
