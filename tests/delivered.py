"""A headshot as it is delivered: marked under the deployment's key, signed, sealed. Real services only."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from core.bootstrap import Parts
from core.headshots import queries
from core.headshots.complete import Picture
from core.provenance.watermark import texture
from tests.queueing import Studio, made

LEDGER = [
    {"region": "face", "action": "light", "source": "own", "share": 0.1},
    {"region": "background", "action": "replaced", "source": "generated", "share": 0.6},
    {"region": "all_but_face", "action": "watermarked", "source": "mark", "share": 0.9},
]


def a_marked_picture(mark: bytes, key: bytes, *, side: int = 640) -> Image.Image:
    portrait = Image.fromarray(data.astronaut()).resize((side, side))  # type: ignore[no-untyped-call]  # ships no types
    added = 1.5 * texture(mark, key, width=side, height=side)[..., None]
    return Image.fromarray(np.clip(np.rint(np.asarray(portrait, np.float32) + added), 0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image, quality: int = 93) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def resaved(file: bytes, quality: int = 60) -> bytes:
    """What an ordinary program makes of a file that is opened and saved: the pixels, and none of the rest."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    return as_jpeg(Image.fromarray(np.asarray(image)), quality)


def tampered(file: bytes) -> bytes:
    """One byte of the picture's own data changed."""
    changed = bytearray(file)
    changed[-2000] ^= 0x04
    return bytes(changed)


def screenshot(file: bytes) -> bytes:
    """The picture on a screen of another density, and around it the edge of a window."""
    shown = Image.open(io.BytesIO(file)).convert("RGB")
    shown = shown.resize((round(shown.width * 0.83), round(shown.height * 0.83)), Image.Resampling.BILINEAR)
    return as_jpeg(shown.crop((6, 4, shown.width - 3, shown.height - 8)), 82)


async def a_delivered_file(parts: Parts, studio: Studio) -> bytes:
    job = await studio.submit()
    mark = await parts.provenance.mark_for(job.id, "studio-grey")
    image = a_marked_picture(mark, await parts.provenance.watermark_key())
    picture = Picture("square_1024", as_jpeg(image), "image/jpeg", image.width, image.height)
    await studio.complete(await studio.claim(), replace(made(), mark=mark, pictures=(picture,), ledger=LEDGER))
    headshot = next(row for row in await studio.headshots() if row.job_id == job.id)
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        (asset,) = await queries.assets(session, headshot)
    return await parts.store.read(asset)


def a_bomb(folder: Path) -> bytes:
    """A PNG that announces more pixels than anybody would decode."""
    file = folder / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(file)
    return file.read_bytes()
