"""Photos made for the tests: valid ones, and ones that carry a canary in every place where metadata can hide."""

import io
import struct
import zlib
from typing import Any

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

CANARY = b"CANARY-7f3a-Ada-Lovelace"
FORMATS = ("jpeg", "png", "webp", "heic")
_PILLOW_NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "heic": "HEIF"}
_LOSSLESS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 97, "subsampling": 0},
    "png": {},
    "webp": {"lossless": True},
    "heic": {"quality": 97, "chroma": 444},
}


def quarters(width: int = 320, height: int = 240) -> Image.Image:
    """Red, green / blue, white: which way is up, and which colour is which, can be read off the corners."""
    image = Image.new("RGB", (width, height), (250, 250, 250))
    image.paste((200, 40, 40), (0, 0, width // 2, height // 2))
    image.paste((40, 180, 60), (width // 2, 0, width, height // 2))
    image.paste((40, 60, 200), (0, height // 2, width // 2, height))
    return image


def encoded(image: Image.Image, source_format: str, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, _PILLOW_NAMES[source_format], **_LOSSLESS[source_format] | options)
    return output.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def exif_block(*, orientation: int = 1, text: bytes = CANARY) -> bytes:
    """A TIFF block (big-endian) with every kind of private tag, a GPS directory and a thumbnail directory."""
    main = [
        (0x010E, 2, text),  # ImageDescription
        (0x010F, 2, text),  # Make
        (0x0112, 3, orientation),
        (0x0131, 2, text),  # Software
        (0x0132, 2, text),  # DateTime
        (0x013B, 2, text),  # Artist
    ]
    photo = [(0x9003, 2, text), (0x927C, 7, text), (0x9286, 7, text), (0xA431, 2, text)]
    gps = [(0x0001, 2, b"N\0"), (0x001D, 2, text)]
    thumbnail = [(0x0103, 3, 6), (0x010E, 2, text)]
    blob = b""

    def directory(entries: list[tuple[int, int, Any]], start: int, following: int = 0) -> bytes:
        body, extra = struct.pack(">H", len(entries)), b""
        after = start + 2 + 12 * len(entries) + 4
        for tag, kind, value in sorted(entries):
            if isinstance(value, bytes):
                field = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(">I", after + len(extra))
                extra += value if len(value) > 4 else b""
                body += struct.pack(">HHI", tag, kind, len(value)) + field
            else:
                body += struct.pack(">HHI", tag, kind, 1)
                body += struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        return body + struct.pack(">I", following) + extra

    # Sizes do not depend on the pointers' values, so lay out once to learn them, then for good.
    pointers = {0x8769: 0, 0x8825: 0, "thumbnail": 0}
    for _ in range(2):
        entries = [*main, (0x8769, 4, pointers[0x8769]), (0x8825, 4, pointers[0x8825])]
        blob = b"MM\0*" + struct.pack(">I", 8)
        blob += directory(entries, 8, pointers["thumbnail"])
        for name, content in ((0x8769, photo), (0x8825, gps), ("thumbnail", thumbnail)):
            pointers[name] = len(blob)
            blob += directory(content, len(blob))
    return b"Exif\0\0" + blob


def xmp_packet() -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="1" xmp:CreatorTool="'
        + CANARY
        + b'"><dc:creator>'
        + CANARY
        + b"</dc:creator></rdf:Description></x:xmpmeta>"
    )


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(payload) + 2) + payload


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def laden(source_format: str, *, image: Image.Image | None = None) -> bytes:
    """A valid photo with the canary in every place that its format offers."""
    image = image or quarters()
    if source_format == "jpeg":
        return _laden_jpeg(image)
    if source_format == "png":
        return _laden_png(image)
    data = encoded(
        image,
        source_format,
        exif=exif_block()[6 if source_format == "webp" else 0 :],
        xmp=xmp_packet(),
        icc_profile=p3(),
    )
    if source_format == "webp":
        body = data[12:] + riff_chunk(b"NOTE", CANARY) + riff_chunk(b"C2PA", CANARY)
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + CANARY
    uuid = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + CANARY
    return data + struct.pack(">I4s", 8 + len(uuid), b"uuid") + uuid + b"\0\0\0\3" + CANARY


def _laden_jpeg(image: Image.Image) -> bytes:
    iptc = b"\x1c\x02\x50" + struct.pack(">H", len(CANARY)) + CANARY
    segments = (
        jpeg_segment(0xE1, exif_block())
        + jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet())
        + jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc)
        + jpeg_segment(0xEB, b"JP\0\1\0\0\0\1jumb c2pa" + CANARY)
        + jpeg_segment(0xE7, b"Maker" + CANARY)
        + jpeg_segment(0xFE, CANARY)
    )
    data = encoded(image, "jpeg", icc_profile=p3())
    return data[:2] + segments + data[2:] + CANARY


def _laden_png(image: Image.Image) -> bytes:
    chunks = (
        png_chunk(b"eXIf", exif_block()[6:])
        + png_chunk(b"tEXt", b"Author\0" + CANARY)
        + png_chunk(b"tEXt", b"Comment\0" + CANARY)
        + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_packet())
        + png_chunk(b"tIME", bytes(7))
        + png_chunk(b"caBX", CANARY)
        + png_chunk(b"prVt", CANARY)
    )
    data = encoded(image, "png", icc_profile=p3())
    after_header = 8 + 25
    return data[:after_header] + chunks + data[after_header:] + CANARY


# CIE 1931 of the primaries, adapted to D50 as ICC profiles hold them (columns X, Y, Z).
P3_PRIMARIES = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB_PRIMARIES = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def p3() -> bytes:
    """A Display P3 profile (ICC v4, matrix and the sRGB curve), as phones embed it."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def text(value: str) -> bytes:
        raw = value.encode("utf-16-be")
        return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(raw), 28) + raw

    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = [
        (b"desc", text("Display P3")),
        (b"cprt", text("none")),
        (b"wtpt", b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249)),
        *(
            (name, b"XYZ " + bytes(4) + fixed(*xyz))
            for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3_PRIMARIES, strict=True)
        ),
        *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), bytes(4), 0x04000000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp"
    )
    header += bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def bomb_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))


def bomb_jpeg(width: int, height: int) -> bytes:
    data = encoded(quarters(), "jpeg")
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def bomb_heic(width: int, height: int) -> bytes:
    data = encoded(quarters(), "heic")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def bomb_webp(width: int, height: int) -> bytes:
    canvas = riff_chunk(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))
    body = canvas + encoded(quarters(), "webp")[12:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


BOMBS = {"jpeg": bomb_jpeg, "png": bomb_png, "webp": bomb_webp, "heic": bomb_heic}
