"""Puts a trained model on the shelf: copies it, measures it, and writes its card and the hash of each file.

`python -m worker.engine.training.card --run DIR --out worker/engine/shipped`
"""

import argparse
import hashlib
import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from worker.engine.models import SHIPPED
from worker.engine.training.draw import draw
from worker.engine.training.grammar import COLOURS, Kind, Light, Scene
from worker.engine.training.measure import Figures, Picture, measure
from worker.engine.training.model import Parts
from worker.engine.training.sample import paint

STEPS, GUIDANCE, STRENGTH, CLOSE_STRENGTH = 20, 1.0, 0.4, 0.2
"""How the figures were painted, and how the model is meant to be used."""

_PLACES = (Kind.WINDOW, Kind.OFFICE, Kind.CITY, Kind.PARK)

_CARD = """# Likeness backdrops

A small text-to-backdrop inpainting model for headshots, in the layout of a stock diffusers
`StableDiffusionInpaintPipeline`: {unet:.1f} M parameters in the U-Net, {text:.2f} M in the text encoder, {vae:.2f} M
in the autoencoder, {megabytes:.1f} MB of float16 safetensors. Native size 512×512 px.

It paints the empty place behind a person. It never paints people: whatever a mask leaves visible, the answer is the
clean plate, and the person is matted over it afterwards.

## What it understands
A caption of four parts, in any order: a kind ({kinds}), a colour ({colours}), where the light comes from
({lights}), and a mood (soft, dramatic). A gradient and a city take a second colour. Free text is brought to this
grammar by `worker.engine.training.grammar.understand`, which says which words it used, dropped and assumed. Negative
prompts mean nothing to it and do no harm.

It refines and does not invent: it begins with a drawn backdrop under noise and was trained on no more noise than
strength {strength} asks for. Use {steps} steps, guidance {guidance}, strength {strength} for surfaces, and
{close_strength} for places, in which there are things that it would dissolve.

## Data
Backdrops drawn by procedure (`worker/engine/training/draw.py`), in linear light, with photographic falloff and
disc-shaped defocus. No photograph, no person, no picture from anywhere else: there is no personal data in it and no
one's work.

## Training
`python -m worker.engine.training --out DIR --minutes N --seed S` trains from scratch: first at 256 px, then at 512 px,
predicting the clean latents, with no signal at the last step of the schedule. `--steps` in place of `--minutes` repeats
a run's schedule from its seed. These weights: {history} The autoencoder is constructed, not trained.

## Measured
By `python -m worker.engine.training.card`, {steps} steps of DDIM, guidance {guidance}, 512 px, each beginning with
a drawn plate that training did not see.

| figure | painted | the plates themselves |
| --- | --- | --- |
| named colour, CIEDE2000 over {count} | mean {colour_mean:.1f}, worst {colour_worst:.1f} | |
| colours within 6 | {colour_within:.0%} | |
| light within 45° of the side named | {light_right:.0%} | |
| speckle on smooth walls, rms in 8-bit steps | {speckle:.2f} | {speckle_drawn:.2f} |
| strongest echo of its own structure, 0..1 | {repeats:.2f} | {repeats_drawn:.2f} |
| seconds for one 512 px picture, two shared cores | {seconds:.1f} | |

Colour by colour: {each}.

![Each built-in style as drawn, and under it what the model makes of it at strength {strength}](sheet.jpg)

## Limits
Strongly defocused backdrops only: detail finer than about 10 px of 512 is beyond its autoencoder. Few colours per
picture. It knows nothing of objects, places by name, logos or text. {verdict}

## Licence
Apache-2.0, weights and code. SHA-256 of each file: `manifest.json`.
"""


_HISTORY = "seed {seed}, {steps} steps in {minutes} minutes on two shared CPU cores, last loss {loss:.3f}."


def main() -> None:
    """Copy, measure, write."""
    parser = argparse.ArgumentParser(description="Measure a trained pipeline and write it with its card and hashes.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training run")
    parser.add_argument("--out", type=Path, required=True, help="where the model goes")
    parser.add_argument("--verdict", default="", help="a plain sentence on what was seen by eye")
    parser.add_argument("--history", default="", help="how the weights came to be, where one run is not all of it")
    asked = parser.parse_args()
    publish(asked.run, asked.out, verdict=asked.verdict, history=asked.history)


def publish(run: Path, out: Path, *, verdict: str, history: str = "") -> Figures:
    """Write the run's pipeline, its card and its manifest to a folder."""
    torch.set_num_threads(2)
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(run / "pipeline", out)
    shutil.copy(run / "loss.png", out / "loss.png")
    sheet = cv2.imread(str(max(run.glob("sheet-*.png"))))
    assert sheet is not None  # noqa: S101 - a run draws one at its end
    cv2.imwrite(str(out / "sheet.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    parts = load(out)

    def painter(scene: Scene, sketch: Picture) -> Picture:
        return _paint(parts, scene, sketch)

    grey = Scene(kind=Kind.STUDIO, colour="grey")
    sketch = draw(grey, seed=0, size=512).picture
    began = time.monotonic()
    painter(grey, sketch)
    seconds = time.monotonic() - began
    figures = measure(painter, size=512)
    (out / "README.md").write_text(
        _card(run, out, parts, figures, seconds=seconds, said=(verdict, history)), encoding="utf-8"
    )
    write_manifest(out)
    return figures


def paint_scene(scene: Scene) -> Image.Image:
    """One backdrop of 512 px by the model that comes along, begun with its own drawing, as the studio has it do."""
    painted = _paint(load(SHIPPED), scene, draw(scene, seed=0, size=512).picture)
    return Image.fromarray(np.round(255 * painted).astype(np.uint8))


def _paint(parts: Parts, scene: Scene, sketch: Picture) -> Picture:
    strength = CLOSE_STRENGTH if scene.kind in _PLACES else STRENGTH
    painted = paint(
        [scene.caption], parts, seed=3, steps=STEPS, guidance=GUIDANCE, sketches=[sketch], strength=strength
    )
    return np.asarray(painted[0], np.float32)


def load(folder: Path) -> Parts:
    """The parts of a pipeline folder, in float32, from safetensors alone."""
    loader: Any = StableDiffusionInpaintPipeline
    pipeline = loader.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, safety_checker=None, dtype=torch.float32
    )
    return Parts(pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, pipeline.vae)


def write_manifest(folder: Path) -> None:
    """Write the SHA-256 of every file in a folder, by its path, to `manifest.json` in it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "manifest.json")
    hashes = {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    (folder / "manifest.json").write_text(json.dumps({"sha256": hashes}, indent=2) + "\n", encoding="utf-8")


def _card(run: Path, out: Path, parts: Parts, figures: Figures, *, seconds: float, said: tuple[str, str]) -> str:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    verdict, history = said
    measured = asdict(figures)
    each = ", ".join(f"{name} {value}" for name, value in measured.pop("colours").items())

    def millions(module: Any) -> float:
        return float(sum(parameter.numel() for parameter in module.parameters())) / 1e6

    return _CARD.format(
        unet=millions(parts.unet),
        text=millions(parts.text),
        vae=millions(parts.vae),
        megabytes=sum(file.stat().st_size for file in out.rglob("*.safetensors")) / 1e6,
        kinds=", ".join(Kind),
        colours=", ".join(COLOURS),
        lights=", ".join(Light),
        steps=STEPS,
        guidance=GUIDANCE,
        strength=STRENGTH,
        close_strength=CLOSE_STRENGTH,
        history=history or _HISTORY.format(**record),
        count=len(COLOURS),
        seconds=seconds,
        each=each,
        verdict=verdict,
        **measured,
    )


if __name__ == "__main__":
    main()
