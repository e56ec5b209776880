"""The studio's front: from clean photo bytes to finished headshots.

    examine   is there one usable face? (seconds after upload)
    prepare   find face → frame → matte            once per photo
    make      retouch → attire → light → backdrop → composite → face lock → marks → watermark → encode → still-me gate
              per style; attire only where it is asked for and a full-size model is mounted

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

from core.headshots.styles import Attire, Style
from worker.engine.engine import Engine
from worker.studio import (
    attire,
    backdrop,
    composite,
    edits,
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
from worker.studio.brush import NOBODY, Asker, Brush
from worker.studio.encode import Output
from worker.studio.findings import FaceReport, Finding, Refused, Severity
from worker.studio.logo import Logo
from worker.studio.vision import Picture
from worker.studio.watermark import Stamp

__all__ = [
    "Asker",
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
    asker: Asker = NOBODY,
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
        asker: whose job it is, and its place in the fair order.

    Raises:
        Refused: the still-me gate found the face or the skin tone altered, the visible mark finds no room, or clothes
            cannot be changed here.
        AttireLeaked: something beside the clothes changed with them. A defect of ours.
        FaceLockBroken: a pixel of the face is not the person's own. A defect of ours, never the photo's.
    """
    timings = dict(sitting.timings)
    check("retouch", 0.0)
    with _timed(timings, "retouch"):
        touched = await asyncio.to_thread(retouch.retouch, sitting.framed, style.retouch)
        retouch.require_natural(touched)
    brush = Brush(engine, seed=seed, asker=asker)
    with _timed(timings, "attire"):
        worn = await _worn(sitting, style, brush, check=check)
    check("light", 0.05)
    with _timed(timings, "light"):
        recipe = await asyncio.to_thread(light.plan, sitting.framed, style.light)
        foreground = np.clip(sitting.matte.foreground + touched.change, 0, 1)
        lit = in_own = await asyncio.to_thread(light.relight, foreground, recipe)
        if worn is not None:
            lit = await asyncio.to_thread(light.relight, attire.dress(foreground, *worn), recipe)
        # What was shot, and the same as far as the declared retouch goes: the gate holds to one, the lock to the other.
        shot = own = await asyncio.to_thread(face_lock.own_pixels, sitting.framed, recipe)
        if touched.share > 0:
            framed = replace(sitting.framed, picture=touched.picture)
            own = await asyncio.to_thread(face_lock.own_pixels, framed, recipe)
    check("backdrop", 0.2)
    painter = engine.model
    with _timed(timings, "backdrop"):
        behind = await _backdrop(style, brush, check=check)
    check("composite", 0.6)
    with _timed(timings, "composite"):
        picture = await _composed(sitting, style, lit, behind)
        if worn is not None:
            attire.require_own_elsewhere(picture, await _composed(sitting, style, in_own, behind), worn[1])
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
    corner = None
    if laid is not None:
        corner = float((logo.lay(picture, laid, sitting.hull)[1] > 0).mean())
    ledger = edits.list_edits(
        sitting,
        style,
        recipe,
        edits.Done(
            likeness=likeness.figures(),
            touched=touched,
            clothes=None if worn is None else float((worn[1] > 0).mean()),
            painter=painter,
            sandbox=sandbox,
            corner=corner,
            stamped=stamp is not None,
        ),
    )
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


async def _composed(sitting: Sitting, style: Style, lit: vision.Plane, behind: vision.Plane) -> Picture:
    return await asyncio.to_thread(
        composite.compose, sitting.matte, lit, behind, wrap=style.light.wrap, hull=sitting.hull
    )


async def _backdrop(style: Style, brush: Brush, *, check: Check) -> vision.Plane:
    """The style's own backdrop, repainted by the engine when it has a model, under a film grain."""
    drawn = await asyncio.to_thread(backdrop.draw, style, seed=brush.seed)
    model = brush.engine.model
    if model is not None and backdrop.repainted(style):
        sketch = await asyncio.to_thread(backdrop.sketch, drawn, model.size)
        painted = await brush.paint(
            sketch,
            np.full((model.size, model.size), 255, np.uint8),
            words=(style.prompt, style.negative_prompt),
            strength=model.close_strength if backdrop.stays_close(style) else model.strength,
            # From 0.2 to 0.5 of the style's work; the engine asks before each of its steps.
            check=lambda share: check("backdrop", 0.2 + 0.3 * share),
        )
        drawn = await asyncio.to_thread(backdrop.from_painted, painted)
    return await asyncio.to_thread(backdrop.with_grain, drawn, seed=brush.seed)


async def _worn(
    sitting: Sitting, style: Style, brush: Brush, *, check: Check
) -> tuple[Picture, npt.NDArray[np.float32]] | None:
    """The clothes that the model painted and where they may show; None where the person's own are kept."""
    if style.attire is Attire.KEEP:
        return None
    model = brush.engine.model
    if model is None:
        raise Refused("attire_needs_full_model", "Clothes cannot be changed here. Ask with your own clothes.")
    weight = await asyncio.to_thread(attire.cloth, sitting.framed, sitting.matte)
    picture, mask = await asyncio.to_thread(attire.sketch, sitting.framed, weight, model.size)
    painted = await brush.paint(
        picture,
        mask,
        words=(attire.prompt(style), attire.NEGATIVE),
        strength=1.0,
        check=lambda _share: check("attire", 0.02),
    )
    return painted, weight


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


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note the seconds that a stage took."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = time.perf_counter() - start
