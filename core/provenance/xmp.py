"""The same truth for readers that know no C2PA: an XMP packet with IPTC's source type and PLUS's data-mining terms.

Sources: XMP part 3 (where a packet goes in JPEG, PNG and WebP), IPTC Photo Metadata 2023.2, PLUS LDF 2.0, RFC 9649.
"""

import struct
import zlib
from typing import Final

_JPEG_HEADER: Final = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_KEYWORD: Final = b"XML:com.adobe.xmp"
_VP8X_XMP, _VP8X_ALPHA = 0x04, 0x10


def packet(*, source_type: str, training_allowed: bool) -> bytes:
    """The packet. source_type: an IPTC NewsCodes URI."""
    # PLUS has no term for "training only", so that consent lifts the ban as far as PLUS can say it.
    mining = "DMI-ALLOWED" if training_allowed else "DMI-PROHIBITED"
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"'
        f' Iptc4xmpExt:DigitalSourceType="{source_type}"'
        f' plus:DataMining="http://ns.useplus.org/ldf/vocab/{mining}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def with_packet(data: bytes, media_type: str, xmp: bytes) -> bytes:
    """A file of our own making with the packet in it. Raises ValueError for another media type."""
    match media_type:
        case "image/jpeg":
            body = _JPEG_HEADER + xmp
            # After JFIF's segment, where there is one, which must stay the first.
            at = 2 + (2 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 0)
            return data[:at] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[at:]
        case "image/png":
            body = b"iTXt" + _PNG_KEYWORD + b"\0\0\0\0\0" + xmp
            chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
            at = 8 + 12 + int.from_bytes(data[8:12], "big")
            return data[:at] + chunk + data[at:]
        case "image/webp":
            return _webp(data, xmp)
        case _:
            raise ValueError(f"no place for XMP in {media_type}")


def _webp(data: bytes, xmp: bytes) -> bytes:
    chunks = []
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _vp8x(*chunks[0])))
    flags, rest = chunks[0][1][0] | _VP8X_XMP, chunks[0][1][1:]
    chunks[0] = (b"VP8X", bytes([flags]) + rest)
    chunks.append((b"XMP ", xmp))
    body = b"".join(kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for kind, part in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _vp8x(kind: bytes, body: bytes) -> bytes:
    """The extended header for a simple file: its flags, and width and height less one in 24 bits each."""
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height, flags = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, _VP8X_ALPHA * (bits >> 28 & 1)
    else:
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        flags = 0
    return bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
