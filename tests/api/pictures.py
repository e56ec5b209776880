"""Small pictures for uploads, made here."""

import io
import random

from PIL import Image


def a_picture(*, width: int = 400, height: int = 300) -> Image.Image:
    noise = random.Random(7).randbytes(width * height * 3)  # noqa: S311 (a picture, no secret)
    return Image.frombytes("RGB", (width, height), noise)


def as_jpeg(*, width: int = 400, height: int = 300, gps: bool = False) -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    if gps:
        exif[0x010F] = "Phone Company"
        exif.get_ifd(0x8825).update({1: "N", 2: (29.0, 33.0, 28.6), 3: "W", 4: (95.0, 5.0, 20.4)})
    a_picture(width=width, height=height).save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()


def as_png(*, width: int = 400, height: int = 300) -> bytes:
    out = io.BytesIO()
    a_picture(width=width, height=height).save(out, "PNG")
    return out.getvalue()
