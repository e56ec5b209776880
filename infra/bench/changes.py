"""What happens to pictures on their way, for measuring which marks survive it. Needs Pillow and numpy alone."""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

Picture = npt.NDArray[np.uint8]
BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR

Change = Callable[[Image.Image], Image.Image]


def resized(share: float) -> Change:
    """Shrink or enlarge to a share of the size."""
    return lambda image: image.resize((round(image.width * share), round(image.height * share)), BICUBIC)


def cropped(left: float, top: float, share: float) -> Change:
    """Cut out a part whose sides are that share of the whole's."""

    def crop(image: Image.Image) -> Image.Image:
        at = (left * image.width, top * image.height)
        return image.crop((at[0], at[1], at[0] + share * image.width, at[1] + share * image.height))

    return crop


def _same(image: Image.Image) -> Image.Image:
    return image


CHANGES: Final[dict[str, tuple[Change, str, int]]] = {
    "as delivered": (_same, "JPEG", 95),
    "JPEG 50": (_same, "JPEG", 50),
    "JPEG 30": (_same, "JPEG", 30),
    "WebP 60": (_same, "WEBP", 60),
    "half size": (resized(0.5), "JPEG", 85),
    "half size, JPEG 50": (resized(0.5), "JPEG", 50),
    "brightness +10 %": (lambda image: ImageEnhance.Brightness(image).enhance(1.1), "JPEG", 85),
    "brightness −10 %": (lambda image: ImageEnhance.Brightness(image).enhance(0.9), "JPEG", 85),
    "contrast +10 %": (lambda image: ImageEnhance.Contrast(image).enhance(1.1), "JPEG", 85),
    "sharpened": (lambda image: image.filter(ImageFilter.UnsharpMask(2, 100)), "JPEG", 85),
    "screenshot-like": (lambda image: resized(1.2)(resized(0.71)(image)), "JPEG", 80),
    "crop to 85 %": (cropped(0.1, 0.05, 0.85), "JPEG", 85),
    "crop to 70 %": (cropped(0.2, 0.1, 0.7), "JPEG", 85),
    "crop to 70 %, half size": (lambda image: resized(0.5)(cropped(0.1, 0.3, 0.7)(image)), "JPEG", 75),
    "turned by 2°": (lambda image: image.rotate(2, BILINEAR), "JPEG", 85),
    "turned by −5°": (lambda image: image.rotate(-5, BILINEAR), "JPEG", 85),
}


def changed(image: Image.Image, how: tuple[Change, str, int]) -> Picture:
    """A picture after a change and a save: uint8 [H, W, 3] sRGB."""
    change, form, quality = how
    file = io.BytesIO()
    change(image).save(file, form, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))
