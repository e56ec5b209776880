"""Put the manifest into a file and sign it. Loads c2pa, so it is imported by the worker and by tests alone."""

import io
from functools import cache

import c2pa

from core.errors import Unavailable
from core.provenance.certificates import Credential
from core.provenance.manifest import Ledger, definition, digital_source_type
from core.provenance.xmp import packet, with_packet

# What the library adds unasked, it must not: pictures of the picture. And it fetches nothing.
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False},
}


def sign(
    data: bytes,
    media_type: str,
    *,
    ledger: Ledger,
    mark: bytes,
    training_allowed: bool,
    credential: Credential,
    time_stamps: str | None,
    version: str,
) -> bytes:
    """A file of our own making, with XMP and a signed C2PA manifest in it.

    Args:
        data: JPEG, PNG or WebP.
        media_type: of the file.
        ledger: what was done to the picture.
        mark: the 8 bytes of its watermark.
        training_allowed: the person opted in to `model_training`.
        credential: of the tenant's signer.
        time_stamps: URL of an RFC 3161 authority, or None.
        version: of this software.

    Raises:
        c2pa.C2paError: the file is no picture, or the credential does not fit.
        Unavailable: no time stamp is to be had from the authority; nothing leaves without one that should have it.
    """
    said = packet(source_type=digital_source_type(ledger), training_allowed=training_allowed)
    manifest = definition(ledger, mark=mark, media_type=media_type, training_allowed=training_allowed, version=version)
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            alg=c2pa.C2paSigningAlg.ES256,
            sign_cert=credential.certificate.encode(),
            private_key=credential.key,
            ta_url=time_stamps.encode() if time_stamps else None,
        )
    )
    signed = io.BytesIO()
    with signer, c2pa.Builder(manifest, _context()) as builder:
        try:
            builder.sign(signer, media_type, io.BytesIO(with_packet(data, media_type, said)), signed)
        except c2pa.C2paError.Signature:
            if time_stamps is None:
                raise
            raise Unavailable("The time-stamping authority gave no time stamp.") from None
    return signed.getvalue()


@cache
def _context() -> c2pa.Context:
    return c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
