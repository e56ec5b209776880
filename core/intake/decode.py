"""Pixels out of a photo: upright, in sRGB, on an opaque ground, as a JPEG that carries nothing else.

Runs in the child, behind the walls of `confine.py`. Memory is the budget: a picture larger than needed is shrunk by a
whole factor while it is read, in bands of rows, so that 50-megapixel photos of phones pass under 512 MiB.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

# Everything is imported here and now: behind the walls no module can be opened any more.
import pillow_heif
from PIL import Image, ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from core.intake.detect import Findings
from core.intake.sniff import SourceFormat

__all__ = ["Limits", "TooManyPixels", "render", "to_srgb"]

# JPEG's plug-in reads EXIF through TIFF's, late; naming it keeps the import.
_NEEDED_LATE: Final = (TiffImagePlugin,)

# What a transparent picture is laid on: a light neutral, as of a studio.
_GROUND: Final = 224
_BAND_ROWS: Final = 256
# Near lossless, with colour at full resolution: studio work on the face starts from these pixels.
_QUALITY: Final = 96
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROFILE_SPACES: Final = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}


class Limits(NamedTuple):
    """max_pixels: of the file, above which it is not decoded. max_edge: of the clean picture's longer side."""

    max_pixels: int
    max_edge: int


class TooManyPixels(Exception):
    """The decoder sees more pixels than allowed, whatever the header said."""


class _Source(NamedTuple):
    """A picture opened but not decoded. `band(top, rows)` decodes at its first call and copies rows out."""

    size: tuple[int, int]
    band: Callable[[int, int], Image.Image]
    icc_profile: bytes | None


def render(data: bytes, source_format: SourceFormat, findings: Findings, limits: Limits) -> tuple[bytes, int, int]:
    """Decode the primary picture of `data` and encode it anew: (JPEG bytes, width, height).

    Adds to `findings` what only the HEIC decoder sees. Raises TooManyPixels, MemoryError, and whatever the decoders
    raise on damage: the caller takes every other exception for an unreadable photo.
    """
    source = _open_heic(data, findings, limits) if source_format == "heic" else _open(data, source_format, limits)
    orientation = 1 if source_format == "heic" else findings.orientation  # HEIC's own transforms were applied.
    image = _read(source, limits.max_edge)
    profile = source.icc_profile
    del source
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    image = to_srgb(image, profile)
    if max(image.size) > limits.max_edge:
        image.thumbnail((limits.max_edge, limits.max_edge), Image.Resampling.LANCZOS)
    image.info = {}
    output = io.BytesIO()
    image.save(output, "JPEG", quality=_QUALITY, subsampling="4:4:4")
    return output.getvalue(), image.width, image.height


def _check(size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        raise TooManyPixels


def _factor(size: tuple[int, int], max_edge: int) -> int:
    """The whole factor to shrink by while reading: the smallest that leaves the longer side under 1.5 × max_edge."""
    return -(-2 * max(size) // (3 * max_edge))


def _open(data: bytes, source_format: SourceFormat, limits: Limits) -> _Source:
    # The format's own class rather than Image.open: no other plug-in is ever asked.
    openers: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
        "jpeg": JpegImagePlugin.JpegImageFile,
        "png": PngImagePlugin.PngImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
    }
    image = openers[source_format](io.BytesIO(data))
    _check(image.size, limits)
    if source_format == "jpeg":
        factor = _factor(image.size, limits.max_edge)
        image.draft(None, (image.width // factor, image.height // factor))

    def band(top: int, rows: int) -> Image.Image:
        return image.crop((0, top, image.width, top + rows))

    return _Source(image.size, band, image.info.get("icc_profile"))


def _open_heic(data: bytes, findings: Findings, limits: Limits) -> _Source:
    # One thread decodes while one hands out the work; more would each want their own memory.
    pillow_heif.options.DECODE_THREADS = 1
    container = pillow_heif.HeifFile(data, convert_hdr_to_8bit=True)  # type: ignore[no-untyped-call] # untyped there
    image = container[container.primary_index]
    _check(image.size, limits)
    info: dict[str, Any] = image.info
    _report_heic(info, findings, pictures=len(container))

    def band(top: int, rows: int) -> Image.Image:
        view = memoryview(image.data)[top * image.stride : (top + rows) * image.stride]
        size = (image.size[0], rows)
        return Image.frombytes(image.mode, size, view, "raw", image.mode, image.stride)

    return _Source(image.size, band, info.get("icc_profile"))


def _report_heic(info: Mapping[str, Any], findings: Findings, *, pictures: int) -> None:
    if exif := info.get("exif"):
        findings.add_exif(exif)
    if xmp := info.get("xmp"):
        findings.add_xmp(xmp)
    for category, present in (
        ("icc_profile", info.get("icc_profile")),
        ("thumbnail", info.get("thumbnails")),
        ("depth_map", info.get("depth_images")),
        # Mattes, gain maps, further pictures, and metadata that is neither EXIF nor XMP.
        ("other_metadata", info.get("aux") or pictures > 1 or info.get("metadata")),
    ):
        if present:
            findings.add(category)


def _read(source: _Source, max_edge: int) -> Image.Image:
    """Decode band by band into one opaque picture of mode RGB, L or CMYK, shrunk by the whole factor."""
    factor = _factor(source.size, max_edge)
    width, height = source.size
    rows = _BAND_ROWS * factor
    result: Image.Image | None = None
    for top in range(0, height, rows):
        band = _opaque(source.band(top, min(rows, height - top)))
        if factor > 1:
            band = band.reduce(factor)
        if result is None:
            result = Image.new(band.mode, (-(-width // factor), -(-height // factor)))
        result.paste(band, (0, top // factor))
    if result is None:
        raise ValueError
    return result


def _opaque(band: Image.Image) -> Image.Image:
    if band.mode.startswith("I;16"):
        return band.point(lambda value: value / 256, "L")
    if band.mode in {"LA", "RGBA", "RGBa"} or band.has_transparency_data:
        grey = band.mode in {"1", "L", "LA"}
        layered = band.convert("LA" if grey else "RGBA")
        ground = Image.new("L" if grey else "RGB", band.size, _GROUND if grey else (_GROUND,) * 3)
        ground.paste(layered.convert(ground.mode), mask=layered.getchannel("A"))
        return ground
    if band.mode in _PROFILE_SPACES:
        return band
    return band.convert("L" if band.mode == "1" else "RGB")


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Convert by the embedded profile, relative colorimetric; without one, or with one that does not fit, assume sRGB.

    A damaged profile must not cost the person the photo: the colours are then read as every viewer without colour
    management reads them.
    """
    if icc_profile:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            if profile.profile.xcolor_space == _PROFILE_SPACES[image.mode]:
                converted = ImageCms.profileToProfile(
                    image,
                    profile,
                    ImageCms.createProfile("sRGB"),
                    renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                    outputMode="RGB",
                    flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
                )
                return converted or image
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")
