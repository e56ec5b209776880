"""Logos that nobody owns: a disc with a bar through it, in any colour, on transparent ground."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from core.headshots.visible_marks import Place
from worker.studio.logo import Logo


def a_logo_file(colour: tuple[int, int, int] = (16, 28, 60), *, margin: int = 40, form: str = "PNG") -> bytes:
    image = Image.new("RGBA", (400 + 2 * margin, 160 + 2 * margin), (255, 0, 255, 0))
    drawn = ImageDraw.Draw(image)
    drawn.ellipse((margin, margin, margin + 159, margin + 159), fill=(*colour, 255))
    drawn.rectangle((margin + 180, margin + 50, margin + 399, margin + 110), fill=(*colour, 255))
    file = BytesIO()
    (image.convert("RGB") if form == "JPEG" else image).save(file, form)
    return file.getvalue()


def a_logo(
    colour: tuple[int, int, int] = (16, 28, 60),
    *,
    place: Place = Place.BOTTOM_RIGHT,
    width: float = 0.2,
    opacity: float = 0.9,
) -> Logo:
    image = Image.open(BytesIO(a_logo_file(colour, margin=0)))
    samples = np.asarray(image, np.uint8)
    return Logo(
        colours=samples[..., :3],
        cover=samples[..., 3].astype(np.float32) / np.float32(255),
        place=place,
        width=width,
        opacity=opacity,
    )
