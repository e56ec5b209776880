"""What a photo carries beside its pixels, told in plain categories: names only, never a value.

Runs in the child. It only reports; the removal does not depend on it, for the clean picture is made from the pixels
alone. Where a block is damaged it names what it could read, and `other_metadata`.

Sources: CIPA DC-008 (EXIF 3.0), Adobe XMP part 3, IPTC IIM 4.2, W3C PNG third edition, RFC 9649 (WebP),
ISO/IEC 14496-12 and 23008-12 (HEIF), C2PA 2.2 appendix A.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final

from core.intake.sniff import EOI, SourceFormat, heif_boxes, jpeg_segments

_ORIENTATION: Final = 0x0112
_EXIF_POINTER, _GPS_POINTER, _INTEROP_POINTER = 0x8769, 0x8825, 0xA005
# How the pixels are stored: says nothing about the person, the place or the camera.
_STRUCTURAL_TAGS: Final = frozenset(
    {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011A, 0x011B, 0x011C, 0x0128}
    | {_ORIENTATION, 0x0212, 0x0213, 0x0214, _EXIF_POINTER, _GPS_POINTER, _INTEROP_POINTER}
    | {0x9000, 0x9101, 0xA000, 0xA001, 0xA002, 0xA003}
)
_TAGS: Final = {
    # Make, model, host computer, body and lens with their serial numbers.
    "device": (0x010F, 0x0110, 0x013C, 0xA431, 0xA432, 0xA433, 0xA434, 0xA435),
    "time": (0x0132, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292),
    "software": (0x000B, 0x0131, 0xA43B, 0xA43C, 0xA43D),
    # Artist, copyright, owner, photographer, editor.
    "author": (0x013B, 0x8298, 0x9C9D, 0xA430, 0xA437, 0xA438, 0xA439),
    "description": (0x010D, 0x010E, 0x9C9B, 0x9C9E, 0x9C9F, 0xA420, 0xA436),
    "comment": (0x9286, 0x9C9C),
    "maker_note": (0x927C,),
    "iptc": (0x83BB,),
    "xmp": (0x02BC,),
    "icc_profile": (0x8773,),
}
# Every name that a report may hold.
CATEGORIES: Final = frozenset(
    {"ai_source", "animation", "c2pa", "depth_map", "gps", "other_metadata", "thumbnail", "trailing_bytes", *_TAGS}
)
_CATEGORY_OF_TAG: Final = {tag: category for category, tags in _TAGS.items() for tag in tags}
_MAX_TAGS: Final = 512

# A packet is searched for property names, not parsed: an XML parser would be one more thing to attack.
_XMP_NAMES: Final = {
    # IPTC's digital source types of pictures that a model made, wholly or in part.
    "ai_source": (b"rainedAlgorithmicMedia",),
    "gps": (b":GPS",),
    "device": (b"tiff:Make", b"tiff:Model", b"aux:SerialNumber", b"aux:Lens"),
    "time": (b"CreateDate", b"ModifyDate", b"MetadataDate", b"DateCreated", b"DateTime"),
    "software": (b"CreatorTool", b"softwareAgent"),
    "author": (b"dc:creator", b"dc:rights", b"PersonInImage"),
    "description": (b"dc:description", b"dc:title", b"dc:subject", b"photoshop:Headline"),
    "depth_map": (b"GDepth", b"depthmap", b"DepthMap"),
}
_COMMENT: Final = 0xFE
_APPLICATION_SEGMENTS: Final = range(0xE0, 0xF0)
_PNG_STRUCTURAL: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"cHRM", b"gAMA", b"sBIT", b"sRGB", b"bKGD", b"hIST", b"pHYs", b"cICP"}
)
_PNG_CHUNKS: Final = {
    b"iCCP": "icc_profile",
    b"tIME": "time",
    b"caBX": "c2pa",
    b"acTL": "animation",
    b"fcTL": "animation",
    b"fdAT": "animation",
}
_PNG_KEYWORDS: Final = {
    b"Author": "author",
    b"Copyright": "author",
    b"Title": "description",
    b"Description": "description",
    b"Creation Time": "time",
    b"Software": "software",
    b"Source": "device",
    b"Comment": "comment",
    b"XML:com.adobe.xmp": "xmp",
    b"Raw profile type xmp": "xmp",
    b"Raw profile type iptc": "iptc",
    b"Raw profile type icc": "icc_profile",
}
_WEBP_STRUCTURAL: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH"})
_WEBP_CHUNKS: Final = {b"ICCP": "icc_profile", b"ANIM": "animation", b"ANMF": "animation", b"C2PA": "c2pa"}
_HEIC_BOXES: Final = {b"moov": "animation", b"moof": "animation"}
_HEIC_STRUCTURAL: Final = frozenset({b"ftyp", b"meta", b"mdat", b"idat", b"free", b"skip", b"wide"})
_C2PA_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


class Findings:
    """The categories found so far, and the EXIF orientation: 1 to 8, and 1 where the file names none."""

    def __init__(self) -> None:
        self.categories: set[str] = set()
        self.orientation = 1

    def add(self, category: str) -> None:
        """Note one category."""
        self.categories.add(category)

    def add_exif(self, block: bytes) -> None:
        """Read the tag numbers of a TIFF-structured EXIF block, with or without its `Exif` prefix."""
        tiff = block.removeprefix(b"Exif\0\0")
        try:
            for directory, tag, value in _exif_tags(tiff):
                if directory in {"gps", "thumbnail"}:
                    self.add(directory)
                elif tag not in _STRUCTURAL_TAGS:
                    self.add(_CATEGORY_OF_TAG.get(tag, "other_metadata"))
                if (directory, tag) == ("main", _ORIENTATION) and value in range(1, 9):
                    self.orientation = value
        except (struct.error, ValueError):
            self.add("other_metadata")

    def add_c2pa(self, box: bytes) -> None:
        """Note a C2PA manifest, and whether it says that a model made the picture or a part of it."""
        self.add("c2pa")
        if any(name in box for name in _XMP_NAMES["ai_source"]):
            self.add("ai_source")

    def add_xmp(self, packet: bytes) -> None:
        """Note an XMP packet and the kinds of property in it."""
        self.add("xmp")
        for category, names in _XMP_NAMES.items():
            if any(name in packet for name in names):
                self.add(category)


def detect(data: bytes, source_format: SourceFormat) -> Findings:
    """Walk the container and name what it carries. Never raises on damage: the decoder is the judge of that."""
    walks: dict[SourceFormat, Callable[[bytes, Findings], None]] = {
        "jpeg": _walk_jpeg,
        "png": _walk_png,
        "webp": _walk_webp,
        "heic": _walk_heic,
    }
    findings = Findings()
    walks[source_format](data, findings)
    return findings


def _exif_tags(tiff: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield (directory, tag, value as SHORT) of the main, photo, GPS and thumbnail directories, without following more.

    Raises struct.error or ValueError where the block is damaged or endless.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise ValueError
    waiting = [("main", struct.unpack_from(order + "I", tiff, 4)[0])]
    budget = _MAX_TAGS
    while waiting:
        directory, at = waiting.pop()
        (count,) = struct.unpack_from(order + "H", tiff, at)
        budget -= count
        if budget < 0:
            raise ValueError
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            (long,) = struct.unpack_from(order + "I", tiff, entry + 8)
            (short,) = struct.unpack_from(order + "H", tiff, entry + 8)
            yield directory, tag, short if kind == 3 else 0  # noqa: PLR2004 - TIFF 6.0: type 3 is SHORT
            if directory == "main" and tag == _EXIF_POINTER:
                waiting.append(("photo", long))
            elif directory == "main" and tag == _GPS_POINTER:
                waiting.append(("gps", long))
        if directory == "main":
            (following,) = struct.unpack_from(order + "I", tiff, at + 2 + 12 * count)
            if following:
                waiting.append(("thumbnail", following))


def _walk_jpeg(data: bytes, findings: Findings) -> None:
    for marker, payload in jpeg_segments(data):
        if marker == EOI and payload:
            findings.add("trailing_bytes")
        elif marker == _COMMENT:
            findings.add("comment")
        elif marker in _APPLICATION_SEGMENTS:
            _read_application_segment(payload, findings)


def _read_application_segment(payload: bytes, findings: Findings) -> None:
    if payload.startswith(b"JFIF\0"):
        # Its last two fixed bytes are the size of a preview.
        if payload[12:14] != b"\0\0":
            findings.add("thumbnail")
    elif payload.startswith((b"JFXX\0", b"MPF\0")):
        findings.add("thumbnail")
    elif payload.startswith(b"Exif\0"):
        findings.add_exif(payload)
    elif payload.startswith((b"http://ns.adobe.com/xap/", b"http://ns.adobe.com/xmp/")):
        findings.add_xmp(payload)
    elif payload.startswith(b"ICC_PROFILE\0"):
        findings.add("icc_profile")
    elif payload.startswith(b"Photoshop 3.0\0"):
        # Image resource 0x0404 is the IPTC record; the others are an editor's.
        findings.add("iptc" if b"8BIM\x04\x04" in payload else "other_metadata")
    elif payload.startswith(b"JP") and b"c2pa" in payload:
        findings.add_c2pa(payload)
    elif not payload.startswith(b"Adobe"):
        findings.add("other_metadata")


def _walk_png(data: bytes, findings: Findings) -> None:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length] if kind != b"IDAT" else b""
        at += 12 + length
        if kind == b"IEND":
            if at < len(data):
                findings.add("trailing_bytes")
            return
        if kind == b"eXIf":
            findings.add_exif(body)
        elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
            keyword = body.partition(b"\0")[0]
            findings.add(_PNG_KEYWORDS.get(keyword, "other_metadata"))
            if keyword == b"XML:com.adobe.xmp":
                findings.add_xmp(body)
        elif kind not in _PNG_STRUCTURAL:
            findings.add(_PNG_CHUNKS.get(kind, "other_metadata"))


def _walk_webp(data: bytes, findings: Findings) -> None:
    end = min(8 + int.from_bytes(data[4:8], "little"), len(data))
    at = 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : min(at + 8 + length, end)] if kind in {b"EXIF", b"XMP "} else b""
        at += 8 + length + length % 2
        if kind == b"EXIF":
            findings.add_exif(body)
        elif kind == b"XMP ":
            findings.add_xmp(body)
        elif kind not in _WEBP_STRUCTURAL:
            findings.add(_WEBP_CHUNKS.get(kind, "other_metadata"))
    if end < len(data):
        findings.add("trailing_bytes")


def _walk_heic(data: bytes, findings: Findings) -> None:
    """The boxes around the picture; what its items hold, the decoder's own list of them tells (`decode.py`)."""
    reached = 0
    for kind, body, stop in heif_boxes(data, 0, len(data)):
        reached = stop
        if kind == b"uuid":
            findings.add("c2pa" if data[body : body + 16] == _C2PA_UUID else "other_metadata")
        elif kind not in _HEIC_STRUCTURAL:
            findings.add(_HEIC_BOXES.get(kind, "other_metadata"))
    if reached < len(data):
        findings.add("trailing_bytes")
