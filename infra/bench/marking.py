"""What marking costs and survives: `python -m infra.bench.marking`. Two minutes of CPU.

It prints Markdown and keeps it in `results`. A folder as argument gets the unmarked headshots, for
`infra.bench.other_watermarks`.

Pictures: the sample portrait (NASA, public domain) through the studio in three styles, and for false finds the
pictures that come with scikit-image. Nothing here is a test: `tests/core/provenance` holds what must not break.
"""

import asyncio
import io
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from skimage import data

from core.clock import now
from core.headshots.styles import get_style
from core.provenance.certificates import new_root, new_signer
from core.provenance.sign import sign
from core.provenance.watermark import BEACON, Picture, beacon_strength, find, places
from infra.bench.changes import BICUBIC, CHANGES, changed, cropped
from worker.engine.engine import Engine
from worker.studio import encode, pipeline
from worker.studio.pipeline import Made, Sitting
from worker.studio.watermark import Stamp

STYLES: Final = ("studio-grey", "studio-white", "office-window")
STAMP: Final = Stamp(mark=bytes.fromhex("0123456789abcdef"), key=b"k" * 32)
FALSE_TRIES: Final = 240
SIZES: Final = ("square_1024", "linkedin_400")


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


def _survival(pictures: dict[str, list[Image.Image]]) -> Iterator[str]:
    yield "| change | " + " | ".join(f"{name}: read, least z" for name in pictures) + " |"
    yield "| --- |" + " --- |" * len(pictures)
    for name, how in CHANGES.items():
        cells = []
        for images in pictures.values():
            found = [find(changed(image, how), STAMP.key) for image in images]
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
        yield np.asarray(cropped(float(left), float(top), float(share))(image).resize((512, 512), BICUBIC))


def _strengths(marked: Image.Image) -> dict[str, list[float]]:
    """The largest z over all places, picture by picture, for keys that none of them was marked under."""
    rng = np.random.default_rng(1)
    return {
        "unmarked pictures": [beacon_strength(picture, rng.bytes(32)) for picture in _unmarked(FALSE_TRIES, rng)],
        "marked under another key": [
            beacon_strength(np.asarray(marked), rng.bytes(32)) for _ in range(FALSE_TRIES // 4)
        ],
    }


def _false_finds(strengths: dict[str, list[float]]) -> Iterator[str]:
    yield f"| largest z of {places():,} places | pictures | median | 99 % | most | threshold |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, found in strengths.items():
        figures = f"{np.median(found):.2f} | {np.percentile(found, 99):.2f} | {max(found):.2f} | {BEACON}"
        yield f"| {name} | {len(found)} | {figures} |"
    bound = np.exp(-(BEACON**2) / 2) * places()
    yield f"\nBound for any picture, exp(−z²/2) × places: {bound:.1e}."


def _weights(signed: bytes) -> Iterator[str]:
    """What the bytes of a signed JPEG's manifest are for: every box of it, by its label."""
    start = signed.index(b"\xff\xeb")
    box = signed[start + 12 : start + 2 + int.from_bytes(signed[start + 2 : start + 4], "big")]
    said = dict(_labels(box))
    room = len(box) - len(box.rstrip(b"\0"))
    padded = max((len(run) for run in re.findall(rb"\0{64,}", box)), default=room)
    yield "| part of the manifest | bytes |\n| --- | --- |"
    for label, size in sorted(said.items(), key=lambda pair: -pair[1]):
        yield f"| `{label}` | {size:,} |"
    yield f"| of the signature, room that the library reserves and nothing fills | {padded:,} |"


def _labels(box: bytes) -> Iterator[tuple[str, int]]:
    """The boxes that say something, in a tree of JUMBF (ISO/IEC 19566-5): label and size."""
    at, label = 8, ""
    while at + 8 <= len(box):
        size, kind = int.from_bytes(box[at : at + 4], "big"), box[at + 4 : at + 8]
        if size < 8:  # noqa: PLR2004 (a box's own header)
            return
        if kind == b"jumd":
            label = box[at + 25 : at + size].partition(b"\0")[0].decode(errors="replace")
        elif kind == b"jumb":
            yield from _labels(box[at : at + size])
        else:
            yield label, len(box)
        at += size


async def main(out: Path, keep: Path | None) -> None:
    """Print every table; the tables and the figures of false finds go to `out`, unmarked pictures to `keep`."""
    lines: list[str] = []

    def say(*said: str) -> None:
        lines.extend(said)
        print(*said, sep="\n", flush=True)  # noqa: T201 (a report)

    sitting = pipeline.prepare(_photo(), check=_go_on)
    pairs = {}
    for style in STYLES:
        pairs[style] = (await _made(sitting, style, None), await _made(sitting, style, STAMP))
        if keep is not None:
            for size in SIZES:
                plain = encode.decode(pairs[style][0][0].outputs[size].data)
                Image.fromarray(plain).save(keep / f"{style}.{size}.png")
    credential = new_signer(new_root(now()), moment=now(), term=timedelta(days=3650))
    say("| style, size | PSNR dB | bytes | + watermark | + manifest and XMP |", "| --- | --- | --- | --- | --- |")
    signing, signed = 0.0, b""
    for style, (without, with_mark) in pairs.items():
        plain_made, marked = without[0], with_mark[0]
        for variant in SIZES:
            before, after = plain_made.outputs[variant].data, marked.outputs[variant].data
            began = time.process_time()
            signed = sign(
                after, "image/jpeg", ledger=marked.ledger, mark=STAMP.mark, training_allowed=False,
                credential=credential, time_stamps=None, version="bench",
            )  # fmt: skip
            signing += (time.process_time() - began) / (2 * len(pairs))
            psnr = _psnr(encode.decode(before), encode.decode(after))
            more, manifest = len(after) / len(before) - 1, (len(signed) - len(after)) / len(before)
            say(f"| {style}, {variant} | {psnr:.1f} | {len(before):,} | {more:+.1%} | {manifest:+.1%} |")
    say("", *_weights(signed))
    shared = sum(sitting.timings.values())
    seconds = [(with_mark[1] - without[1], without[1] + shared) for without, with_mark in pairs.values()]
    added, whole = (float(np.median([pair[i] for pair in seconds])) for i in range(2))
    cost = (added + len(encode.VARIANTS) * signing) / whole
    say(f"\nCPU of one style, five sizes: marking {added:.2f} s, signing {len(encode.VARIANTS) * signing:.3f} s,")
    say(f"the path without them {whole:.2f} s: {cost:+.0%}.\n")
    pictures = {
        size: [Image.fromarray(encode.decode(with_mark[0].outputs[size].data)) for _, with_mark in pairs.values()]
        for size in SIZES
    }
    say(*_survival(pictures), "")
    strengths = _strengths(pictures["square_1024"][0])
    say(*_false_finds(strengths))
    (out / "marking.md").write_text("\n".join(lines) + "\n")
    rounded = {name: [round(value, 3) for value in found] for name, found in strengths.items()}
    (out / "false_finds.json").write_text(json.dumps(rounded) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(__file__).parent / "results", Path(sys.argv[1]) if len(sys.argv) > 1 else None))
