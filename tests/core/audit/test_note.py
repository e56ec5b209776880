"""Signed notes: the example of the reference implementation, golang.org/x/mod/sumdb/note."""

import base64
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.audit import note

NAME = "PeterNeumann"
SIGNING_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VERIFIER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    f"{TEXT}\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


class Peter:
    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(SIGNING_KEY.split("+", 4)[4])[1:])
        self.public_key = self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def test_a_note_is_signed_as_the_reference_implementation_signs_it() -> None:
    assert note.sign(TEXT, name=NAME, signer=Peter()) == SIGNED
    assert note.verifier_key(NAME, Peter().public_key) == VERIFIER_KEY
    assert note.key_id(NAME, Peter().public_key).hex() == "c74f20a3"
    assert note.signature_bytes(SIGNED)[:4].hex() == "c74f20a3"


def test_a_checkpoint_has_three_lines_and_its_tenants_name() -> None:
    name = note.origin(UUID(int=7))
    assert name == f"likeness/ten_{'0' * 31}7"
    text = note.checkpoint_text(name, size=20852163, root_hash=bytes(32))
    assert text == f"{name}\n20852163\n{'A' * 43}=\n"
