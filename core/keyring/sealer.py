"""What one subject's key can do, without ever being seen."""

from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Gone
from core.keyring.context import Context
from core.keyring.sealing import new_key, open_value, seal_value


@dataclass(eq=False)
class Lifeline:
    """Shared by all Sealers of one subject in this process; cut when word comes that the subject was shredded."""

    cut: bool = False


class Sealer:
    """Seals and opens for one subject, until that subject is shredded: then every method raises Gone.

    Ask the keyring for one when it is needed and let it go soon. Every method that opens raises
    `core.keyring.sealing.SealBroken` when the seal is another subject's, of another context, or altered.
    """

    def __init__(self, tenant_id: UUID, subject_id: UUID, *, key: bytes, lifeline: Lifeline) -> None:
        self.tenant_id = tenant_id
        self.subject_id = subject_id
        self._key = AESGCM(key)
        self._lifeline = lifeline

    def seal_field(self, name: str, text: str) -> bytes:
        """A personal field, sealed. name: the field's, bound into the seal, so that fields cannot be swapped."""
        return seal_value(self._cipher(), self._field(name), text.encode())

    def open_field(self, name: str, sealed: bytes) -> str:
        """What `seal_field` sealed under the same name."""
        return open_value(self._cipher(), self._field(name), sealed).decode()

    def new_object_key(self, context: Context) -> tuple[bytes, bytes]:
        """A fresh random key for one object, and the same key wrapped and bound to the object's context."""
        key = new_key()
        return key, seal_value(self._cipher(), self._object(context), key)

    def open_object_key(self, wrapped: bytes, context: Context) -> bytes:
        """The key that `new_object_key` wrapped."""
        return open_value(self._cipher(), self._object(context), wrapped)

    def _cipher(self) -> AESGCM:
        if self._lifeline.cut:
            raise Gone
        return self._key

    def _field(self, name: str) -> bytes:
        return Context(self.tenant_id, f"field:{name}", subject=self.subject_id).encode()

    def _object(self, context: Context) -> bytes:
        if (context.tenant, context.subject) != (self.tenant_id, self.subject_id) or context.object_id is None:
            raise ValueError("the context is not of an object of this subject")
        return context.encode()
