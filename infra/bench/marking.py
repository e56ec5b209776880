"""What marking costs and survives: `python -m infra.bench.marking`. Prints Markdown; takes some two minutes of CPU.

Pictures: the sample portrait (NASA, public domain) through the studio in three styles, and for false finds the
pictures that come with scikit-image. Nothing here is a test: `tests/core/provenance` holds what must not break.
"""

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from skimage import data

from core.clock import now
from core.headshots.styles import get_style
from core.provenance.certificates import new_root, new_signer
from core.provenance.sign import sign
from core.provenance.watermark import BEACON, Picture, beacon_strength, find, places
from worker.engine.engine import Engine
from worker.studio import encode, pipeline
from worker.studio.pipeline import Made, Sitting
from worker.studio.watermark import Stamp

STYLES: Final = ("studio-grey", "studio-white", "office-window")
STAMP: Final = Stamp(mark=bytes.fromhex("0123456789abcdef"), key=b"k" * 32)
FALSE_TRIES: Final = 240
BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR

Change = Callable[[Image.Image], Image.Image]


def _resized(share: float) -> Change:
    return lambda image: image.resize((round(image.width * share), round(image.height * share)), BICUBIC)


def _cropped(left: float, top: float, share: float) -> Change:
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
    "half size": (_resized(0.5), "JPEG", 85),
    "half size, JPEG 50": (_resized(0.5), "JPEG", 50),
    "brightness +10 %": (lambda image: ImageEnhance.Brightness(image).enhance(1.1), "JPEG", 85),
    "brightness −10 %": (lambda image: ImageEnhance.Brightness(image).enhance(0.9), "JPEG", 85),
    "contrast ±10 %": (lambda image: ImageEnhance.Contrast(image).enhance(1.1), "JPEG", 85),
    "sharpened": (lambda image: image.filter(ImageFilter.UnsharpMask(2, 100)), "JPEG", 85),
    "screenshot-like": (lambda image: _resized(1.2)(_resized(0.71)(image)), "JPEG", 80),
    "crop to 85 %": (_cropped(0.1, 0.05, 0.85), "JPEG", 85),
    "crop to 70 %": (_cropped(0.2, 0.1, 0.7), "JPEG", 85),
    "crop to 70 %, half size": (lambda image: _resized(0.5)(_cropped(0.1, 0.3, 0.7)(image)), "JPEG", 75),
    "turned by 2°": (lambda image: image.rotate(2, BILINEAR), "JPEG", 85),
    "turned by −5°": (lambda image: image.rotate(-5, BILINEAR), "JPEG", 85),
}


def _go_on(stage: str, fraction: float) -> None:
    pass


def _photo() -> bytes:
    file = io.BytesIO()
    Image.fromarray(data.astronaut()).save(file, "JPEG", quality=96)  # type: ignore[no-untyped-call]  # ships no types
    return file.getvalue()


async def _made(sitting: Sitting, style: str, stamp: Stamp | None) -> tuple[Made, float]:
    began = time.process_time()
    made = await pipeline.make(
        sitting, get_style(style), seed=3, engine=Engine(), sandbox=False, check=_go_on, stamp=stamp
    )
    return made, time.process_time() - began


def _changed(image: Image.Image, how: tuple[Change, str, int]) -> Picture:
    change, form, quality = how
    file = io.BytesIO()
    change(image).save(file, form, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _survival(pictures: dict[str, list[Image.Image]]) -> Iterator[str]:
    yield "| change | " + " | ".join(f"{name}: read, least z" for name in pictures) + " |"
    yield "| --- |" + " --- |" * len(pictures)
    for name, how in CHANGES.items():
        cells = []
        for images in pictures.values():
            found = [find(_changed(image, how), STAMP.key) for image in images]
            right = [one.z for one in found if one is not None and one.mark == STAMP.mark]
            cells.append(f"{len(right)} of {len(images)}" + (f", {min(right):.1f}" if right else ""))
        yield f"| {name} | " + " | ".join(cells) + " |"


def _psnr(one: Picture, other: Picture) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def _unmarked(count: int, rng: np.random.Generator) -> Iterator[Picture]:
    names = ("astronaut", "cat", "rocket", "coffee", "brick", "grass", "gravel", "camera", "moon", "page", "coins")
    pool = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in names]
    for number in range(count):
        image = pool[number % len(pool)]
        share = rng.uniform(0.6, 1)
        left, top = rng.uniform(0, 1 - share, 2)
        yield np.asarray(_cropped(float(left), float(top), float(share))(image).resize((512, 512), BICUBIC))


def _false_finds(marked: Image.Image) -> Iterator[str]:
    rng = np.random.default_rng(1)
    strengths = {
        "unmarked pictures": [beacon_strength(picture, rng.bytes(32)) for picture in _unmarked(FALSE_TRIES, rng)],
        "marked under another key": [
            beacon_strength(np.asarray(marked), rng.bytes(32)) for _ in range(FALSE_TRIES // 4)
        ],
    }
    yield f"| largest z of {places():,} places | pictures | median | 99 % | most | threshold |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, found in strengths.items():
        figures = f"{np.median(found):.2f} | {np.percentile(found, 99):.2f} | {max(found):.2f} | {BEACON}"
        yield f"| {name} | {len(found)} | {figures} |"
    bound = np.exp(-(BEACON**2) / 2) * places()
    yield f"\nBound for any picture, exp(−z²/2) × places: {bound:.1e}."


async def main() -> None:
    """Print every table."""
    sitting = pipeline.prepare(_photo(), check=_go_on)
    pairs = {}
    for style in STYLES:
        pairs[style] = (await _made(sitting, style, None), await _made(sitting, style, STAMP))
    credential = new_signer(new_root(now()), moment=now(), term=timedelta(days=3650))
    print("| style, size | PSNR dB | bytes | + watermark | + manifest and XMP |\n| --- | --- | --- | --- | --- |")  # noqa: T201 (a report)
    signing = 0.0
    for style, (without, with_mark) in pairs.items():
        plain, marked = without[0], with_mark[0]
        for variant in ("square_1024", "linkedin_400"):
            before, after = plain.outputs[variant].data, marked.outputs[variant].data
            began = time.process_time()
            signed = sign(
                after, "image/jpeg", ledger=marked.ledger, mark=STAMP.mark, training_allowed=False,
                credential=credential, time_stamps=None, version="bench",
            )  # fmt: skip
            signing += (time.process_time() - began) / (2 * len(pairs))
            psnr = _psnr(encode.decode(before), encode.decode(after))
            more, manifest = len(after) / len(before) - 1, (len(signed) - len(after)) / len(before)
            print(f"| {style}, {variant} | {psnr:.1f} | {len(before):,} | {more:+.1%} | {manifest:+.1%} |")  # noqa: T201
    shared = sum(sitting.timings.values())
    seconds = [(with_mark[1] - without[1], without[1] + shared) for without, with_mark in pairs.values()]
    added, whole = (float(np.median([pair[i] for pair in seconds])) for i in range(2))
    cost = (added + len(encode.VARIANTS) * signing) / whole
    print(f"\nCPU of one style, five sizes: marking {added:.2f} s, signing {len(encode.VARIANTS) * signing:.3f} s,")  # noqa: T201
    print(f"the path without them {whole:.2f} s: {cost:+.0%}.\n")  # noqa: T201
    sizes = ("square_1024", "linkedin_400")
    pictures = {
        size: [Image.fromarray(encode.decode(with_mark[0].outputs[size].data)) for _, with_mark in pairs.values()]
        for size in sizes
    }
    for line in (*_survival(pictures), "", *_false_finds(pictures["square_1024"][0])):
        print(line)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
