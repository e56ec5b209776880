"""One portrait in every built-in style, as one picture: `python -m infra.docs.contact_sheet docs/images/styles.jpg`.

Another folder as second argument gets every picture at full size, to look at closely.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.headshots.styles import CATALOGUE
from infra.docs.portraits import astronaut, shipped_engine, sit
from worker.studio import encode, pipeline
from worker.studio.vision import Picture

ACROSS, CELL, CAPTION, QUALITY = 4, 320, 30, 84  # cells, px, px, JPEG


async def make_all(*, seed: int = 3) -> dict[str, Picture]:
    """The portrait in every style, by the style's name: uint8 [1024, 1024, 3] sRGB."""
    sitting = sit(astronaut())
    engine = shipped_engine()
    pictures = {}
    for name, style in CATALOGUE.items():
        made = await pipeline.make(
            sitting, style, seed=seed, engine=engine, sandbox=False, check=lambda _stage, _share: None
        )
        pictures[name] = encode.decode(made.outputs["square_1024"].data)
    engine.close()
    return pictures


def lay_out(pictures: dict[str, Picture]) -> Image.Image:
    """All pictures in rows, each over its style's name."""
    rows = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * CELL, rows * (CELL + CAPTION)), "#ffffff")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (name, picture) in enumerate(pictures.items()):
        left, top = (number % ACROSS) * CELL, (number // ACROSS) * (CELL + CAPTION)
        sheet.paste(Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.LANCZOS), (left, top))
        pen.text((left + CELL / 2, top + CELL + CAPTION / 2), name, "#333333", font, anchor="mm")
    return sheet


def main(to: Path, each: Path | None) -> None:
    """Write the sheet, and every picture if asked for."""
    pictures = asyncio.run(make_all())
    lay_out(pictures).save(to, "JPEG", quality=QUALITY, optimize=True)
    for name, picture in pictures.items() if each else ():
        assert each is not None  # noqa: S101 - for the type checker
        Image.fromarray(np.asarray(picture)).save(each / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)  # noqa: PLR2004 - the optional folder
