"""How the still-me gate answers to alterations of growing strength.

    python -m infra.docs.still_me docs/images/still-me.png

The altered pictures are made here, from two portraits and variations of them, by warping, blending, smoothing and
recolouring the face. Prints a table for the documentation and draws the curves.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np

from core.headshots.styles import Retouch
from infra.docs.portraits import as_photo, astronaut, framed, hopper
from worker.studio import encode, retouch, still_me
from worker.studio.find_face import face_hull
from worker.studio.findings import Refused
from worker.studio.frame import Framed
from worker.studio.still_me import FLOW_LIMIT, MESH_LIMIT, SKIN_LIMIT, SSIM_LIMIT, Likeness
from worker.studio.vision import Picture, pixels, plane

mpl.use("Agg")
from matplotlib import pyplot as plt

LEFT_EYE, RIGHT_EYE, JAW, MOUTH, NOSE = 468, 473, 172, 61, 1


@dataclass(frozen=True, slots=True)
class Sitter:
    """A framed portrait, and another person's to blend with."""

    framed: Framed
    stranger: Framed


Alter = Callable[[Sitter, float], Picture]


@dataclass(frozen=True, slots=True)
class Bend:
    """Move or enlarge what lies about a point of the mesh; `radius` and `shift` in eyes' distances, `zoom` relative."""

    at: int
    radius: float
    shift: float = 0.0
    zoom: float = 0.0


def bent(one: Framed, *bends: Bend) -> Picture:
    """The framed photo with the face bent so: uint8 [1024, 1024, 3]."""
    apart = one.eye_distance
    down, across = (plane(axis) for axis in np.mgrid[0:1024, 0:1024])
    from_x, from_y = across.copy(), down.copy()
    for bend in bends:
        dx, dy = across - one.points[bend.at, 0], down - one.points[bend.at, 1]
        weight = np.clip(1 - (dx**2 + dy**2) / (bend.radius * apart) ** 2, 0, 1) ** 2
        from_x -= weight * (bend.shift * apart + bend.zoom * dx)
        from_y -= weight * bend.zoom * dy
    return pixels(cv2.remap(one.picture, plane(from_x), plane(from_y), cv2.INTER_CUBIC))


def _eyes(sitter: Sitter, share: float) -> Picture:
    return bent(sitter.framed, Bend(LEFT_EYE, 0.45, zoom=share), Bend(RIGHT_EYE, 0.45, zoom=share))


def _smoothed(sitter: Sitter, share: float) -> Picture:
    one = sitter.framed
    hull = face_hull(one.points, one.picture.shape, inset=0.06)[..., None]
    smooth = cv2.bilateralFilter(one.picture, 0, 60, 6)
    return pixels(np.where(hull, np.round((1 - share) * one.picture + share * smooth), one.picture))


def _lighter(sitter: Sitter, steps: float) -> Picture:
    one = sitter.framed
    lab = plane(cv2.cvtColor(plane(one.picture / np.float32(255)), cv2.COLOR_RGB2LAB))
    lab[..., 0] += np.float32(steps) * face_hull(one.points, one.picture.shape, inset=0.06)
    return pixels(np.round(255 * np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)))


def _blended(sitter: Sitter, share: float) -> Picture:
    """Another person's face, laid over this one at eyes, nose and chin."""
    one, other = sitter.framed, sitter.stranger
    landmarks = [RIGHT_EYE, LEFT_EYE, 152, NOSE]
    matrix, _ = cv2.estimateAffinePartial2D(other.points[landmarks], one.points[landmarks])
    laid = cv2.warpAffine(other.picture, matrix, (1024, 1024))
    weight = share * face_hull(one.points, one.picture.shape, inset=0.06)[..., None]
    return pixels(np.round((1 - weight) * one.picture + weight * laid))


ALTERATIONS: Mapping[str, tuple[Alter, tuple[float, ...]]] = {
    "eyes larger by (share)": (_eyes, (0.02, 0.04, 0.06, 0.08, 0.12)),
    "jaw moved by (eyes' distances)": (
        lambda p, s: bent(p.framed, Bend(JAW, 0.8, shift=s)),
        (0.005, 0.01, 0.02, 0.03, 0.05),
    ),
    "nose narrower by (share)": (lambda p, s: bent(p.framed, Bend(NOSE, 0.5, zoom=-s)), (0.02, 0.04, 0.06, 0.1, 0.15)),
    "smile wider by (eyes' distances)": (
        lambda p, s: bent(p.framed, Bend(MOUTH, 0.5, shift=-s)),
        (0.005, 0.01, 0.02, 0.04, 0.06),
    ),
    "another face blended in (share)": (_blended, (0.05, 0.1, 0.2, 0.33, 0.5, 1.0)),
    "skin smoothed (share)": (_smoothed, (0.1, 0.25, 0.5, 0.75, 1.0)),
    "skin lighter by (CIELAB L*)": (_lighter, (1.0, 2.0, 3.0, 4.0, 6.0)),
}


def _compressed(one: Framed, quality: int) -> Picture:
    _, data = cv2.imencode(".jpg", one.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encode.decode(data.tobytes())


FAITHFUL: Mapping[str, Callable[[Framed], Picture]] = {
    "JPEG 93": lambda p: _compressed(p, 93),
    "JPEG 70": lambda p: _compressed(p, 70),
    "retouch: light": lambda p: retouch.retouch(p, Retouch.LIGHT).picture,
    "retouch: studio, JPEG 95": lambda p: encode.decode(as_photo(retouch.retouch(p, Retouch.STUDIO).picture)),
}


def portraits() -> dict[str, Sitter]:
    """Both women and five variations of each, framed as the studio would."""
    rng = np.random.default_rng(0)
    women = {"Collins": (astronaut(), (224, 110)), "Hopper": (hopper(), (258, 215))}
    shot = {name: framed(picture) for name, (picture, _) in women.items()}
    sitters = {}
    for (name, (picture, middle)), stranger in zip(women.items(), reversed(shot.values()), strict=True):
        high, wide = picture.shape[:2]
        rotate = cv2.getRotationMatrix2D(middle, 8, 1.0)
        varied = {
            "as shot": picture,
            "mirrored": picture[:, ::-1],
            "darker": 255 * (picture / 255.0) ** 1.9 * np.array([1.0, 0.93, 0.86]),
            "tilted": cv2.warpAffine(picture, rotate, (wide, high), borderMode=cv2.BORDER_REPLICATE),
            "noisy": picture + rng.normal(0, 7, picture.shape),
            "small": cv2.resize(picture, None, fx=0.74, fy=0.74, interpolation=cv2.INTER_AREA),
        }
        for how, one in varied.items():
            clean = np.asarray(np.clip(one, 0, 255), np.uint8)
            sitters[f"{name}, {how}"] = Sitter(framed(clean), stranger)
    return sitters


def is_refused(likeness: Likeness) -> bool:
    """Whether the gate would refuse it."""
    try:
        still_me.require_still_me(likeness)
    except Refused:
        return True
    return False


def draw(curves: dict[str, list[list[Likeness]]], faithful: list[Likeness], to: Path) -> None:
    """One panel per alteration: the measure that decides, for every portrait, and its limit."""
    deciding = {"skin smoothed (share)": "ssim", "skin lighter by (CIELAB L*)": "skin"}
    limits = {"flow": FLOW_LIMIT, "ssim": SSIM_LIMIT, "skin": SKIN_LIMIT, "mesh": MESH_LIMIT}
    figure, panels = plt.subplots(2, 4, figsize=(12, 5.4), layout="constrained")
    for panel, (name, rows) in zip(panels.flat, curves.items(), strict=False):
        measure = deciding.get(name, "flow")
        for row in rows:
            panel.plot(ALTERATIONS[name][1], [getattr(one, measure) for one in row], "o-", ms=3, lw=1, alpha=0.7)
        panel.axhline(limits[measure], color="crimson", ls="--", lw=1)
        panel.set_title(name, fontsize=9)
        panel.set_ylabel(measure, fontsize=8)
        panel.tick_params(labelsize=7)
    last = panels.flat[-1]
    last.hist([one.flow for one in faithful], bins=12, color="seagreen")
    last.axvline(FLOW_LIMIT, color="crimson", ls="--", lw=1)
    last.set_title("faithful pictures: flow", fontsize=9)
    last.tick_params(labelsize=7)
    figure.savefig(to, dpi=75)


def main(to: Path) -> None:
    """Measure, draw, and print the table."""
    people = portraits()
    curves: dict[str, list[list[Likeness]]] = {}
    for name, (alter, strengths) in ALTERATIONS.items():
        curves[name] = [
            [still_me.measure(alter(one, strength), one.framed.picture, one.framed.points) for strength in strengths]
            for one in people.values()
        ]
        cells = [
            f"{strength:g}: {sum(is_refused(row[place]) for row in curves[name])}/{len(people)}"
            for place, strength in enumerate(strengths)
        ]
        mesh = f"{min(row[-1].mesh for row in curves[name]):.2f} to {max(row[-1].mesh for row in curves[name]):.2f}"
        print(f"| {name} | {' · '.join(cells)} | {mesh} |")  # noqa: T201 - the table of the documentation
    faithful = []
    for name, make in FAITHFUL.items():
        found = [still_me.measure(make(one), one.picture, one.points) for one in (p.framed for p in people.values())]
        faithful += found
        worst = f"flow {max(x.flow for x in found):.3f}, SSIM {min(x.ssim for x in found):.3f}"
        tone = f"skin {max(x.skin for x in found):.2f}, mesh {max(x.mesh for x in found):.2f}"
        print(f"| {name} | {worst}, {tone}; refused {sum(map(is_refused, found))}/{len(found)} |")  # noqa: T201 - likewise
    draw(curves, faithful, to)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
