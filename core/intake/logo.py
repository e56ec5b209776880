"""A platform's logo out of a file: its colours and how far each pixel covers, as raw samples that nobody has to decode.

Runs in the child, behind the walls of `confine.py`. What leaves it are four bytes a pixel and no container at all, so
whoever lays the logo over a picture reads no format.
"""

import io
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from core.intake.decode import Limits, TooManyPixels, to_srgb
from core.intake.sniff import SourceFormat

_OPENERS: Final[dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
_FAINTEST: Final = 8  # of 255: what covers less is no part of the logo


def render_logo(data: bytes, source_format: SourceFormat, limits: Limits) -> tuple[bytes, int, int]:
    """Decode a logo, cut off its transparent margin, and shrink it: (RGBA samples, width, height).

    Raises TooManyPixels, ValueError for one of which nothing shows, and whatever the decoders raise on damage.
    """
    image = _OPENERS[source_format](io.BytesIO(data))
    if image.width * image.height > limits.max_pixels:
        raise TooManyPixels
    profile = image.info.get("icc_profile")
    transparent = image.mode in {"LA", "PA", "RGBA", "RGBa"} or image.has_transparency_data
    cover = image.convert("RGBA").getchannel("A") if transparent else Image.new("L", image.size, 255)
    opaque = image.convert("RGB") if transparent or image.mode not in {"L", "CMYK", "RGB"} else image
    colours = to_srgb(opaque, profile)
    logo = Image.merge("RGBA", (*colours.split(), cover))
    box = cover.point(lambda value: 255 if value >= _FAINTEST else 0).getbbox()
    if box is None:
        raise ValueError
    logo = logo.crop(box)
    if max(logo.size) > limits.max_edge:
        logo.thumbnail((limits.max_edge, limits.max_edge), Image.Resampling.LANCZOS)
    return logo.tobytes(), logo.width, logo.height
