"""The studio's front: from clean photo bytes to finished headshots.

    examine   is there one usable face? (seconds after upload)
    prepare   find face → frame → matte            once per photo
    make      retouch → light → backdrop → composite → face lock → marks → watermark → encode → still-me gate  per style

Every stage is a function in a file of its own; this file only says their order. Pictures live in memory alone.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.headshots.styles import Retouch, Style
from worker.engine.engine import Engine
from worker.engine.request import PaintRequest
from worker.studio import (
    backdrop,
    composite,
    encode,
    face_lock,
    find_face,
    frame,
    light,
    logo,
    mark,
    matte,
    retouch,
    still_me,
    vision,
    watermark,
)
from worker.studio.encode import Output
from worker.studio.findings import FaceReport, Finding, Refused, Severity
from worker.studio.logo import Logo
from worker.studio.vision import Picture
from worker.studio.watermark import Stamp

__all__ = [
    "FaceReport",
    "Finding",
    "Logo",
    "Made",
    "Output",
    "Refused",
    "Severity",
    "Sitting",
    "Stamp",
    "examine",
    "make",
    "prepare",
    "warm",
]

_UNSEEN = 128  # of 255

Check = Callable[[str, float], None]
"""Called between stages with the stage about to start and the share of the work done, 0..1. May raise to stop it."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """The work that all styles of one photo share. Held in memory while a job runs and never stored."""

    report: FaceReport
    framed: frame.Framed
    matte: matte.Matte
    hull: npt.NDArray[np.bool_]
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A finished headshot.

    Attributes:
        outputs: the files, by variant name.
        ledger: what was done, region by region: `region`, `action`, `source` (own, procedural, generated or mark),
            `share` of the master's pixels 0..1, and what else describes the action.
        likeness: the still-me gate's measures.
        timings: seconds per stage, `prepare` stages included.
    """

    outputs: dict[str, Output]
    ledger: list[dict[str, Any]]
    likeness: dict[str, float]
    timings: dict[str, float]


def warm() -> None:
    """Load the models and the compiled matting code. Call it once when a worker starts."""
    vision.models()
    matte.warm()


def examine(photo: bytes) -> FaceReport:
    """Judge whether a headshot can be made from a photo.

    Args:
        photo: a JPEG or PNG of our own encoding: upright, sRGB, no metadata.
    """
    return _look(encode.decode(photo))[0]


def prepare(photo: bytes, *, check: Check) -> Sitting:
    """Do the work that all styles share. Takes one to two seconds of CPU: run it in a thread.

    Args:
        photo: a JPEG or PNG of our own encoding: upright, sRGB, no metadata.
        check: see `Check`.

    Raises:
        Refused: the photo has no usable face; code and sentence are the worst finding's.
    """
    timings: dict[str, float] = {}
    check("find_face", 0.0)
    with _timed(timings, "find_face"):
        report, picture, face, crop = _look(encode.decode(photo))
    if report.refusals or picture is None or face is None or crop is None:
        worst = report.findings[0]
        raise Refused(worst.code, worst.message)
    check("frame", 0.2)
    with _timed(timings, "frame"):
        framed = frame.frame(picture, face, crop)
    check("matte", 0.3)
    with _timed(timings, "matte"):
        cut = matte.matte(framed)
    check("matted", 1.0)
    return Sitting(report, framed, cut, face_lock.hull_of(framed), timings)


async def make(  # noqa: PLR0913 (a headshot is made from that many facts)
    sitting: Sitting,
    style: Style,
    *,
    seed: int,
    engine: Engine,
    sandbox: bool,
    check: Check,
    tenant: str = "",
    stamp: Stamp | None = None,
    laid: Logo | None = None,
) -> Made:
    """Make one style's headshot.

    Args:
        sitting: from `prepare`; not changed, so styles may be made side by side.
        style: the look; `replace` its retouch level to ask for another.
        seed: the same seed gives the same picture.
        engine: repaints the backdrop if it has a model; the style's own backdrop stands otherwise.
        sandbox: write the sandbox mark across the picture.
        stamp: the invisible mark. What has none may be looked at here; `complete` lets nothing leave without.
        laid: the platform's own visible mark.
        check: see `Check`.
        tenant: opaque key; the engine keeps tenants apart by it.

    Raises:
        Refused: the still-me gate found the face or the skin tone altered, or the visible mark finds no room.
        FaceLockBroken: a pixel of the face is not the person's own. A defect of ours, never the photo's.
    """
    timings = dict(sitting.timings)
    check("retouch", 0.0)
    with _timed(timings, "retouch"):
        touched = await asyncio.to_thread(retouch.retouch, sitting.framed, style.retouch)
        retouch.require_natural(touched)
    check("light", 0.05)
    with _timed(timings, "light"):
        recipe = await asyncio.to_thread(light.plan, sitting.framed, style.light)
        foreground = np.clip(sitting.matte.foreground + touched.change, 0, 1)
        lit = await asyncio.to_thread(light.relight, foreground, recipe)
        # What was shot, and the same as far as the declared retouch goes: the gate holds to one, the lock to the other.
        shot = own = await asyncio.to_thread(face_lock.own_pixels, sitting.framed, recipe)
        if touched.share > 0:
            framed = replace(sitting.framed, picture=touched.picture)
            own = await asyncio.to_thread(face_lock.own_pixels, framed, recipe)
    check("backdrop", 0.2)
    with _timed(timings, "backdrop"):
        behind = await _backdrop(style, seed=seed, engine=engine, tenant=tenant, check=check)
    check("composite", 0.6)
    with _timed(timings, "composite"):
        picture = await asyncio.to_thread(
            composite.compose, sitting.matte, lit, behind, wrap=style.light.wrap, hull=sitting.hull
        )
    check("face_lock", 0.7)
    with _timed(timings, "face_lock"):
        face_lock.require_own_face(picture, own, sitting.hull)
        if sandbox:
            picture = await asyncio.to_thread(mark.mark, picture, sitting.hull)
            face_lock.require_own_face(picture, own, sitting.hull)
    check("encode", 0.75)
    with _timed(timings, "encode"):
        outputs = await asyncio.to_thread(_encode, sitting, picture, own, stamp=stamp, laid=laid)
        outputs[encode.CUTOUT] = await asyncio.to_thread(
            _cut_out, sitting, lit, own, sandbox=sandbox, stamp=stamp, laid=laid
        )
    check("still_me", 0.9)
    with _timed(timings, "still_me"):
        likeness = await asyncio.to_thread(
            still_me.measure,
            encode.decode(outputs["square_1024"].data),
            shot,
            sitting.framed.points,
        )
        still_me.require_still_me(likeness)
    check("made", 1.0)
    ledger = _ledger(sitting, style, recipe, generated=engine.model is not None, sandbox=sandbox)
    for line in ledger:
        if line["region"] == "face":
            line.update(likeness.figures())
    if touched.share > 0:
        ledger.insert(1, _retouch_line(touched, style.retouch))
    if laid is not None:
        share = round(float((logo.lay(picture, laid, sitting.hull)[1] > 0).mean()), 4)
        ledger.append({"region": "corner", "action": "marked", "source": "mark", "share": share})
    if stamp is not None:
        share = round(1 - float(sitting.hull.mean()), 4)
        ledger.append({"region": "all_but_face", "action": "watermarked", "source": "mark", "share": share})
    return Made(outputs, ledger, likeness.figures(), {name: round(value, 4) for name, value in timings.items()})


def _look(picture: Picture) -> tuple[FaceReport, Picture | None, find_face.Face | None, frame.Crop | None]:
    """The face check with the crop that it allows. Picture and face come back cut to the face's neighbourhood."""
    report, face = find_face.find_face(picture)
    if face is None or report.refusals:
        return report, None, None, None
    near, face = frame.neighbourhood(picture, face)
    crop = frame.choose_crop(face, vision.person_mask(near))
    if crop.invented > frame.INVENTED_MOST:
        report = FaceReport((find_face.cut_off(), *report.findings), report.measures)
    return report, near, face, crop


async def _backdrop(style: Style, *, seed: int, engine: Engine, tenant: str, check: Check) -> vision.Plane:
    """The style's own backdrop, repainted by the engine when it has a model, under a film grain."""
    drawn = await asyncio.to_thread(backdrop.draw, style, seed=seed)
    if engine.model is not None:
        size = engine.model.size
        sketch = await asyncio.to_thread(backdrop.sketch, drawn, size)
        painted = await engine.paint(
            PaintRequest(
                picture=sketch,
                mask=np.full((size, size), 255, np.uint8),
                prompt=style.prompt,
                negative_prompt=style.negative_prompt,
                steps=engine.model.steps,
                guidance=engine.model.guidance,
                strength=engine.model.strength,
                seed=seed,
                tenant=tenant,
                # From 0.2 to 0.5 of the style's work; the engine asks before each of its steps.
                check=lambda share: check("backdrop", 0.2 + 0.3 * share),
            )
        )
        drawn = await asyncio.to_thread(backdrop.from_painted, painted.picture)
    return await asyncio.to_thread(backdrop.with_grain, drawn, seed=seed)


def _encode(
    sitting: Sitting, picture: Picture, own: Picture, *, stamp: Stamp | None, laid: Logo | None
) -> dict[str, Output]:
    """All variants, each decoded again and held against the face lock, and its watermark read."""
    outputs: dict[str, Output] = {}
    points = sitting.framed.points
    for name, variant in encode.VARIANTS.items():
        # Resizing mixes neighbours: only pixels wholly inside the face are held to it.
        hull = encode.cut(sitting.hull.astype(np.uint8) * 255, variant, points) == 255  # noqa: PLR2004
        piece = encode.cut(picture, variant, points)
        if laid is not None:
            piece, _ = logo.lay(piece, laid, hull)
        output = encode.encode(piece if stamp is None else watermark.lay(piece, stamp, hull))
        decoded = encode.decode(output.data)
        face_lock.require_own_face_encoded(decoded, encode.cut(own, variant, points), hull)
        if stamp is not None:
            watermark.require_readable(decoded, stamp)
        outputs[name] = output
    return outputs


def _cut_out(
    sitting: Sitting, lit: vision.Plane, own: Picture, *, sandbox: bool, stamp: Stamp | None, laid: Logo | None
) -> Output:
    """The person on transparent ground, under the same lock and the same marks."""
    alpha = np.where(sitting.hull, np.float32(1), sitting.matte.alpha)
    # Where nothing shows, nothing is left of the room that was photographed: an even grey, which carries the mark.
    shown = (alpha >= 0.5 / 255)[..., None]
    person = vision.pixels(np.where(shown, np.round(255 * np.clip(lit, 0, 1)), _UNSEEN))
    if sandbox:
        person = mark.mark(person, sitting.hull)
    if laid is not None:
        person, covered = logo.lay(person, laid, sitting.hull)
        alpha = np.maximum(alpha, covered)
    if stamp is not None:
        person = watermark.lay(person, stamp, sitting.hull)
    output = encode.encode_cutout(person, alpha)
    decoded = encode.decode(output.data)
    face_lock.require_own_face(decoded, own, sitting.hull)
    if stamp is not None:
        watermark.require_readable(decoded, stamp)
    return output


def _ledger(
    sitting: Sitting, style: Style, recipe: light.Recipe, *, generated: bool, sandbox: bool
) -> list[dict[str, Any]]:
    """What was done to the picture, region by region, in the order in which it was done."""
    face, person = float(sitting.hull.mean()), float(sitting.matte.alpha.mean())
    scale = sitting.framed.scale
    grading = {
        "gains": [round(gain, 3) for gain in recipe.gains],
        "stops": round(recipe.stops, 3),
        "key_light": round(recipe.strength, 3),
    }
    lines: list[dict[str, Any]] = [
        {
            "region": "whole",
            "action": "enlarged" if scale > 1 else "reduced",
            "method": "lanczos" if scale > 1 else "area",
            "source": "own",
            "share": 1.0,
            "factor": round(scale, 3),
        },
        {"region": "face", "action": "light", "source": "own", "share": face, **grading},
        {"region": "hair_and_body", "action": "light", "source": "own", "share": max(person - face, 0.0), **grading},
        {
            "region": "background",
            "action": "replaced",
            "source": "generated" if generated else "procedural",
            "share": 1 - person,
            "style": style.name,
            "style_version": style.version,
        },
    ]
    if sitting.framed.invented > 0:
        lines.append({"region": "edge", "action": "extended", "source": "procedural", "share": sitting.framed.invented})
    if sandbox:
        lines.append({"region": "all_but_face", "action": "marked", "source": "mark", "share": 1 - face})
    return [{**line, "share": round(line["share"], 4)} for line in lines]


def _retouch_line(touched: retouch.Touched, level: Retouch) -> dict[str, Any]:
    return {
        "region": "face",
        "action": "retouched",
        "source": "own",
        "share": round(touched.share, 4),
        "level": level.value,
        "texture_kept": round(touched.texture, 3),
        "tone_shift": round(touched.tone, 2),
    }


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note the seconds that a stage took."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = time.perf_counter() - start
