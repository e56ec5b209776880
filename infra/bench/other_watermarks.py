"""Public watermarking libraries under the same changes as ours, for the table in docs/authenticity.md.

They are no dependencies of this project. In an environment of their own, which needs no part of ours:

    python -m venv elsewhere && elsewhere/bin/pip install blind-watermark invisible-watermark scikit-image
    mkdir unmarked && python -m infra.bench.marking unmarked
    PYTHONPATH=. elsewhere/bin/python -m infra.bench.other_watermarks unmarked

Each carries the same 64 bits, without error correction of its own; "read" is all of them right, and the least share of
right bits is given beside it (half is chance). trustmark is not among them: it downloads its weights when first used.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from infra.bench.changes import CHANGES, Picture, changed

MARK: Final = bytes.fromhex("0123456789abcdef")
BITS: Final = np.unpackbits(np.frombuffer(MARK, np.uint8))

Embed = Callable[[Picture], Picture]
Extract = Callable[[Picture], Any]


def _invisible(method: str) -> tuple[Embed, Extract]:
    from imwatermark import (  # type: ignore[import-not-found]  # not of this environment
        WatermarkDecoder,
        WatermarkEncoder,
    )

    def embed(picture: Picture) -> Picture:
        encoder = WatermarkEncoder()
        encoder.set_watermark("bytes", MARK)
        return np.asarray(encoder.encode(picture[..., ::-1].copy(), method)[..., ::-1], np.uint8)

    def extract(picture: Picture) -> Any:
        read = WatermarkDecoder("bytes", 64).decode(picture[..., ::-1].copy(), method)
        return np.unpackbits(np.frombuffer(read, np.uint8))

    return embed, extract


def _blind() -> tuple[Embed, Extract]:
    from blind_watermark import WaterMark, bw_notes  # type: ignore[import-not-found]  # not of this environment

    bw_notes.close()

    def embed(picture: Picture) -> Picture:
        marker = WaterMark(password_img=1, password_wm=1)
        marker.read_img(img=picture[..., ::-1].astype(np.float64))
        marker.read_wm([bool(bit) for bit in BITS], mode="bit")
        return np.asarray(np.clip(np.rint(marker.embed()[..., ::-1]), 0, 255), np.uint8)

    def extract(picture: Picture) -> Any:
        marker = WaterMark(password_img=1, password_wm=1)
        read = marker.extract(embed_img=picture[..., ::-1].astype(np.float64), wm_shape=64, mode="bit")
        return np.asarray(np.rint(np.clip(read, 0, 1)), np.uint8)

    return embed, extract


def _row(extract: Extract, images: list[Image.Image], change: str) -> str:
    shares = []
    for image in images:
        try:
            shares.append(float((np.asarray(extract(changed(image, CHANGES[change])), bool) == BITS).mean()))
        except Exception:  # noqa: BLE001 (a library that fails on a picture has not read it)
            shares.append(0.5)
    return f"{sum(share == 1 for share in shares)} of {len(shares)}, {min(shares):.0%}"


def main(folder: Path) -> None:
    """Print the table."""
    methods: dict[str, tuple[Embed, Extract]] = {
        "invisible-watermark dwtDct": _invisible("dwtDct"),
        "invisible-watermark dwtDctSvd": _invisible("dwtDctSvd"),
        "blind-watermark": _blind(),
    }
    for size in ("square_1024", "linkedin_400"):
        plain = [np.asarray(Image.open(file)) for file in sorted(folder.glob(f"*.{size}.png"))]
        marked, notes = {}, []
        for name, (embed, _) in methods.items():
            began = time.process_time()
            pictures = [embed(picture) for picture in plain]
            seconds = (time.process_time() - began) / len(plain)
            errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(plain, pictures, strict=True)]
            notes.append(
                f"{name}: PSNR {min(10 * np.log10(255**2 / error) for error in errors):.1f} dB, {seconds:.2f} s"
            )
            marked[name] = [Image.fromarray(picture) for picture in pictures]
        print(f"\n{size}: " + "; ".join(notes) + "\n")  # noqa: T201 (a report)
        print("| change | " + " | ".join(methods) + " |\n| --- |" + " --- |" * len(methods))  # noqa: T201
        for change in CHANGES:
            cells = [_row(extract, marked[name], change) for name, (_, extract) in methods.items()]
            print(f"| {change} | " + " | ".join(cells) + " |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
