"""One invented logo on light and on dark, and in a preview: `python -m infra.docs.visible_mark docs/images`.

Writes `visible-mark.jpg`, four headshots of the sample portrait with the mark, and `preview.jpg`, a style's preview.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.headshots.styles import CATALOGUE
from core.headshots.visible_marks import Place
from infra.docs.portraits import astronaut, sit
from worker.engine.engine import Engine
from worker.studio import encode, pipeline, preview
from worker.studio.logo import Logo

CELL, QUALITY = 640, 88  # px, JPEG
NAVY, WHITE = (18, 32, 70), (255, 255, 255)
SHOWN = (("studio-white", NAVY), ("charcoal", NAVY), ("navy-spotlight", WHITE), ("plain-white", WHITE))


def northwind(colour: tuple[int, int, int]) -> Logo:
    """The logo of a company that does not exist."""
    image = Image.new("RGBA", (760, 150), (*colour, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((4, 14, 124, 134), fill=(*colour, 255))
    pen.polygon([(64, 32), (104, 112), (64, 92), (24, 112)], fill=(*colour, 0))
    pen.text((150, 74), "NORTHWIND", (*colour, 255), ImageFont.load_default(80), anchor="lm", stroke_width=2)
    samples = np.asarray(image.crop(image.getbbox()), np.uint8)
    cover = samples[..., 3].astype(np.float32) / np.float32(255)
    return Logo(colours=samples[..., :3], cover=cover, place=Place.BOTTOM_RIGHT, width=0.26, opacity=0.95)


async def headshots() -> list[Image.Image]:
    """The sample portrait with the mark, in two light styles and two dark ones."""
    sitting, pictures = sit(astronaut()), []
    for name, colour in SHOWN:
        made = await pipeline.make(
            sitting,
            CATALOGUE[name],
            seed=3,
            engine=Engine(),
            sandbox=False,
            check=lambda _stage, _share: None,
            laid=northwind(colour),
        )
        pictures.append(Image.fromarray(encode.decode(made.outputs["square_1024"].data)))
    return pictures


def main(folder: Path) -> None:
    """Write both pictures."""
    sheet = Image.new("RGB", (2 * CELL, 2 * CELL))
    for number, picture in enumerate(asyncio.run(headshots())):
        place = ((number % 2) * CELL, (number // 2) * CELL)
        sheet.paste(picture.resize((CELL, CELL), Image.Resampling.LANCZOS), place)
    sheet.save(folder / "visible-mark.jpg", "JPEG", quality=QUALITY, optimize=True)
    drawn = Image.fromarray(encode.decode(preview.draw(CATALOGUE["blue-gradient"], northwind(WHITE))))
    drawn.resize((CELL, CELL), Image.Resampling.LANCZOS).save(folder / "preview.jpg", "JPEG", quality=QUALITY)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
