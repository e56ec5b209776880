"""What a sealed thing is, said in bytes that nothing else can be said in.

Every seal is bound to its context: to open it, one must say whose it is, what it is and which version, and be right
in all of it. So the encoding is canonical (one context, one encoding) and injective (one encoding, one context).

Byte layout, all integers big-endian:

    "likeness.context.v1"                   19 bytes
    then five parts, each as  length (4 bytes) || content:
      tenant     16 bytes, the UUID
      subject    16 bytes, or 0 bytes for what belongs to the tenant as a whole
      object     16 bytes, or 0 bytes for what is no stored object
      kind       UTF-8, at most 255 bytes: "photo", "headshot", "field:email", "key:subject", …
      version    8 bytes
"""

import struct
from dataclasses import dataclass
from uuid import UUID

_PREFIX = b"likeness.context.v1"
_KIND_BYTES = 255


@dataclass(frozen=True)
class Context:
    """Whose and what a sealed thing is.

    kind: which use of a key this is. Uses of one key never share a kind.
    version: of an object, its own; of a wrapped key, the version of the key that it is wrapped under.
    Raises ValueError for a kind that is empty or too long, and for a version that 64 unsigned bits cannot hold.
    """

    tenant: UUID
    kind: str
    subject: UUID | None = None
    object_id: UUID | None = None
    version: int = 1

    def __post_init__(self) -> None:
        if not 0 < len(self.kind.encode()) <= _KIND_BYTES:
            raise ValueError("the kind of a context has 1 to 255 bytes")
        if not 0 <= self.version < 1 << 64:
            raise ValueError("the version of a context is an unsigned 64-bit number")

    def encode(self) -> bytes:
        """The canonical bytes, laid out as above."""
        return _PREFIX + length_prefixed(
            self.tenant.bytes,
            self.subject.bytes if self.subject else b"",
            self.object_id.bytes if self.object_id else b"",
            self.kind.encode(),
            struct.pack(">Q", self.version),
        )


def length_prefixed(*parts: bytes) -> bytes:
    """Each part after its length in 4 bytes, so that no two lists of parts give the same bytes."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
