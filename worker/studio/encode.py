"""Last stage: the files. JPEG, and PNG for the cut-out, with the sRGB profile and nothing else: no EXIF, no comment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image, ImageCms

from worker.studio.find_face import LEFT_IRIS, RIGHT_IRIS
from worker.studio.frame import MASTER
from worker.studio.vision import Picture, Plane, Points

QUALITY = 93
"""JPEG quality, without chroma subsampling: hair edges and lips keep their colour."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One size that is delivered.

    Attributes:
        width: px.
        height: px.
        share: height of the cut as a share of the master's.
    """

    width: int
    height: int
    share: float


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "square_1024": Variant(1024, 1024, 1.0),
        "linkedin_800": Variant(800, 800, 1.0),
        "linkedin_400": Variant(400, 400, 0.88),  # shown as a small circle: the face comes closer
        "hris_600": Variant(600, 600, 0.82),  # badges and directories
        "portrait_4x5": Variant(816, 1020, 1.0),
    }
)


CUTOUT = "cutout_1024"
"""The variant without a backdrop: the person alone, in the master's size, on transparent ground."""


@dataclass(frozen=True, slots=True)
class Output:
    """One file: `data` as delivered, its size in px and its media type."""

    data: bytes
    width: int
    height: int
    media_type: str


def cut(picture: Picture, variant: Variant, points: Points) -> Picture:
    """Cut a variant out of the master and bring it to its size.

    Args:
        picture: uint8 [1024, 1024] or [1024, 1024, 3].
        variant: which one.
        points: float32 [478, 2], the face mesh in px of the master: the cut is centred on the eyes.

    Returns:
        uint8 [height, width] or [height, width, 3].
    """
    high = round(variant.share * MASTER)
    wide = round(high * variant.width / variant.height)
    middle = float(points[[LEFT_IRIS, RIGHT_IRIS], 0].mean())
    left = int(np.clip(round(middle - wide / 2), 0, MASTER - wide))
    # Little comes off above, where the crown is near; the rest comes off the chest.
    top = round(min(0.3 * (1 - variant.share), 0.05) * MASTER)
    piece = picture[top : top + high, left : left + wide]
    if (wide, high) == (variant.width, variant.height):
        return piece.copy()
    return cv2.resize(piece, (variant.width, variant.height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def encode(picture: Picture) -> Output:
    """Write a picture as JPEG.

    Args:
        picture: uint8 [H, W, 3] sRGB.
    """
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True, icc_profile=_srgb())
    return Output(file.getvalue(), picture.shape[1], picture.shape[0], "image/jpeg")


def encode_cutout(picture: Picture, alpha: Plane) -> Output:
    """Write a person on transparent ground as PNG.

    Args:
        picture: uint8 [H, W, 3] sRGB, not multiplied with alpha.
        alpha: float32 [H, W], 0..1.
    """
    cover = np.round(255 * alpha).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(np.dstack([picture, cover])).save(file, "PNG", compress_level=6, icc_profile=_srgb())
    return Output(file.getvalue(), picture.shape[1], picture.shape[0], "image/png")


def decode(photo: bytes) -> Picture:
    """Read a JPEG or PNG of our own making: uint8 [H, W, 3] sRGB."""
    return np.asarray(Image.open(BytesIO(photo)).convert("RGB"), np.uint8)


@cache
def _srgb() -> bytes:
    """The sRGB profile, with its date of creation taken out so that the same picture gives the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = (2000).to_bytes(2, "big") + b"\x00\x01\x00\x01" + bytes(6)
    # The profile's id is a digest that would include the date; zero means "not computed" (ICC.1:2022, 7.2.18).
    profile[84:100] = bytes(16)
    return bytes(profile)
