"""Third stage: which part of every pixel is the person, and what the person's own colour is there.

The segmentation only knows the person roughly. Around its edge a band is left open, wide where there is hair and narrow
along clothes, and closed-form matting (Levin, Lischinski and Weiss, 2008) solves it from the picture's own colours.
Colours alone would keep ghosts of a busy room in that band, so the farther a pixel lies from the segmentation's edge,
the more the segmentation has to say, as in robust matting (Wang and Cohen, 2007); and a colour that stands in the
background close by and on no part of the person is `behind` them. Multi-level foreground estimation
(Germer et al., 2020) then takes the old background's colour out of the edge.
"""

from dataclasses import dataclass
from functools import cache, partial
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from worker.studio import vision
from worker.studio.behind import behind
from worker.studio.find_face import CHIN, NOSE, face_hull
from worker.studio.findings import Refused
from worker.studio.frame import MARGIN, MASTER, Framed
from worker.studio.vision import Picture, Plane, plane

CONTEXT = MASTER + 2 * MARGIN
WORK = CONTEXT * 2 // 3
"""Side in px at which the matte is solved; finer costs time and shows nothing more."""

# Half widths of the open band, as shares of the eyes' distance: at the hair, and along clothes.
_HAIR_OUT, _HAIR_IN = 0.24, 0.16
_CLOTH_OUT, _CLOTH_IN = 0.09, 0.06
_HAIR_REACH, _CLOTH_REACH = 0.45, 0.17  # beyond this from the likely person nothing is open, however unsure the mask is
# Beside clothes, alpha fades from the first to the second distance (of the eyes') from where it is solid.
_WISP_NONE, _WISP_GONE, _SOLID = 0.035, 0.085, 0.75
# From the first to the second distance (of the eyes') from the segmentation's edge its word grows to this weight; at
# the edge itself the colours decide. A pixel of the closed-form energy weighs about 1.
_TRUST_NONE, _TRUST_FULL, _TRUST = 0.02, 0.16, 0.3
_NO_WORD = 1e-7  # keeps the system positive definite where nothing is said
_CLOTH_SMOOTH = 0.06  # of the eyes' distance
_AFLOAT = 0.25  # what is not joined to the face by so much alpha floats: it is not the person
# Larger than the paper's epsilon: solid clothes in the old background's colour stay solid, and flat areas solve fast.
_SMOOTH = {"epsilon": 1e-5, "radius": 1}
_PATIENCE = {"rtol": 1e-6, "maxiter": 600}
_SHIFTS = (1e-2, 1e-1, 1.0)
_SURE_FACE = 0.06  # the mesh's oval, drawn in by this much, is person whatever the segmentation says
# Numba's thread pool must not be entered by two threads at once: it aborts the process.
_one_at_a_time = Lock()


@dataclass(frozen=True, slots=True)
class Matte:
    """The person, cut free.

    Attributes:
        alpha: float32 [1024, 1024], 0..1, how much of the pixel is the person.
        foreground: float32 [1024, 1024, 3], 0..1 sRGB, the person's colour with the old background taken out.
    """

    alpha: Plane
    foreground: Plane


def matte(framed: Framed) -> Matte:
    """Cut the person free of the framed picture.

    Args:
        framed: the master square.

    Raises:
        Refused: `cannot_cut_out`, the picture gives the solver nothing to hold on to.
    """
    image = framed.picture.astype(np.float32) / 255
    small = cv2.resize(framed.context, (WORK, WORK), interpolation=cv2.INTER_AREA).astype(np.uint8)
    mask = _mask(framed)
    trimap = draw_trimap(framed, mask)
    with _one_at_a_time:
        rough = _solve(small.astype(np.float64) / 255, trimap, *_word(framed, mask, small, trimap))
    alpha = cv2.resize(rough.astype(np.float32), (CONTEXT, CONTEXT), interpolation=cv2.INTER_CUBIC)
    # Closed form leaves a thin veil over flat colours and never quite closes solid ones: a gentle stretch settles hair,
    # a firmer one clothes, which are never half there.
    hair = _hair_rows(framed, CONTEXT)
    none, all_of_it = 0.16 - 0.07 * hair, 0.86 + 0.10 * hair
    alpha = np.clip((alpha - none) / (all_of_it - none), 0, 1)
    alpha = alpha[MARGIN : MARGIN + MASTER, MARGIN : MARGIN + MASTER]
    # Beyond the photo there is air above the chin; below, a sliver of clothes may go on (`frame` says how much).
    alpha = np.where(framed.inside | (hair[MARGIN : MARGIN + MASTER] == 0), alpha, 0)
    alpha = np.maximum(alpha, face_hull(framed.points, alpha.shape, inset=_SURE_FACE)).astype(np.float32)
    alpha = _without_wisps(plane(alpha), hair[MARGIN : MARGIN + MASTER], framed.eye_distance)
    alpha = plane(alpha * _one_piece(alpha > _AFLOAT, framed, MASTER, reach=_HAIR_IN))
    with _one_at_a_time:
        foreground = _solvers().foreground(image, alpha)
    return Matte(plane(alpha), np.clip(foreground, 0, 1).astype(np.float32))


def draw_trimap(framed: Framed, mask: Plane) -> npt.NDArray[np.float64]:
    """Sure person 1, sure background 0, open 0.5, over the context of the master square.

    Args:
        framed: the master square.
        mask: float32 [810, 810], 0..1, the segmentation.

    Returns:
        float64 [810, 810].
    """
    scale = WORK / CONTEXT
    apart = framed.eye_distance * scale
    # The band narrows from the nose down to the chin, where hair ends and clothes begin.
    hair = _hair_rows(framed, WORK)
    # The mask's own slope lies between 0.15 and 0.85.
    inward, away, outward = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        for side in (mask > 0.85, mask < 0.5, mask < 0.15)  # noqa: PLR2004
    )
    trimap = np.full((WORK, WORK), 0.5)
    trimap[outward > apart * (_CLOTH_OUT + hair * (_HAIR_OUT - _CLOTH_OUT))] = 0.0
    trimap[away > apart * (_CLOTH_REACH + hair * (_HAIR_REACH - _CLOTH_REACH))] = 0.0
    trimap[inward > apart * (_CLOTH_IN + hair * (_HAIR_IN - _CLOTH_IN))] = 1.0
    trimap[face_hull((framed.points + MARGIN) * np.float32(scale), trimap.shape, inset=_SURE_FACE)] = 1.0
    return trimap


def warm() -> None:
    """Load the matting code, compiled at its first use ever (half a minute), and run it once."""
    image = np.random.default_rng(0).random((32, 32, 3))
    trimap = np.full((32, 32), 0.5)
    trimap[:8], trimap[24:] = 0.0, 1.0
    with _one_at_a_time:
        alpha = _solve(image, trimap, trimap, np.full((32, 32), _TRUST))
        _solvers().foreground(image.astype(np.float32), alpha.astype(np.float32))


def _without_wisps(alpha: Plane, hair: Plane, apart: float) -> Plane:
    """Take away what floats beside clothes: cloth ends within a few px of where it is solid, hair may fly.

    Args:
        alpha: float32 [1024, 1024].
        hair: float32 [1024, 1], 1 where edges are hair and 0 where they are clothes.
        apart: the eyes' distance, px.
    """
    open_side = (alpha < _SOLID).astype(np.uint8)
    beside = cv2.distanceTransform(open_side, cv2.DIST_L2, cv2.DIST_MASK_5) / apart
    near = np.clip((_WISP_GONE - beside) / (_WISP_GONE - _WISP_NONE), 0, 1)
    return plane(alpha * (hair + (1 - hair) * near))


def _hair_rows(framed: Framed, size: int) -> Plane:
    """Where an edge of the context is hair, not clothes: 1 above the nose, 0 below the chin: float32 [size, 1]."""
    nose, chin = ((float(framed.points[index, 1]) + MARGIN) * size / CONTEXT for index in (NOSE, CHIN))
    rows = np.arange(size, dtype=np.float32)[:, None]
    return plane(np.clip((chin - rows) / max(chin - nose, 1.0), 0, 1))


def _word(
    framed: Framed, mask: Plane, small: Picture, trimap: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What the segmentation and the colours say of each pixel, 0..1, and how much that weighs: float64 [810, 810] each.

    Args:
        framed: the master square.
        mask: float32 [810, 810], 0..1, the segmentation.
        small: uint8 [810, 810, 3], sRGB.
        trimap: float64 [810, 810].
    """
    apart = framed.eye_distance * WORK / CONTEXT
    inside = (mask > 0.5).astype(np.uint8)  # noqa: PLR2004 - more likely person than not
    far = (
        np.maximum(
            cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5),
            cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5),
        )
        / apart
    )
    trust = np.clip((far - _TRUST_NONE) / (_TRUST_FULL - _TRUST_NONE), 0, 1)
    weight = _TRUST * trust.astype(np.float64) ** 2 + _NO_WORD
    against = _TRUST * behind(small, trimap, apart).astype(np.float64)
    return inside * weight / (weight + against), weight + against


@dataclass(frozen=True, slots=True)
class _Solvers:
    laplacian: Any
    precondition: Any
    solve: Any
    foreground: Any


@cache
def _solvers() -> _Solvers:
    # Importing pymatting compiles it or loads what was compiled: seconds that only a working studio should spend.
    from pymatting import cf_laplacian, cg, estimate_foreground_ml, ichol

    # A coarse factorisation with a small shift: it never fails on flat areas, and is half the work.
    precondition = partial(ichol, discard_threshold=1e-3, shifts=_SHIFTS)
    return _Solvers(partial(cf_laplacian, **_SMOOTH), precondition, partial(cg, **_PATIENCE), estimate_foreground_ml)


def _solve(
    image: npt.NDArray[np.float64],
    trimap: npt.NDArray[np.float64],
    said: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Minimise the closed-form energy over the open pixels alone, plus weight · (alpha − said)² for each of them.

    What is sure stands on the right-hand side, so the system is a tenth of the picture's size.

    Raises:
        Refused: `cannot_cut_out`.
    """
    solvers = _solvers()
    known = (trimap != 0.5).ravel()  # noqa: PLR2004 - the value of what is open
    if known.all():
        return trimap
    open_places, sure_places = np.flatnonzero(~known), np.flatnonzero(known)
    rows = solvers.laplacian(image, is_known=known).tocsr()[open_places]
    pull = weight.ravel()[open_places]
    matrix = rows[:, open_places].tocsc()
    matrix.setdiag(matrix.diagonal() + pull)
    right = pull * said.ravel()[open_places] - rows[:, sure_places] @ trimap.ravel()[sure_places]
    try:
        solved = solvers.solve(matrix, right, M=solvers.precondition(matrix))
    except ValueError:
        raise Refused(
            "cannot_cut_out", "We could not tell you from what is behind you. Use a photo with a calmer background."
        ) from None
    alpha = trimap.ravel().copy()
    alpha[open_places] = np.clip(solved, 0, 1)
    return alpha.reshape(trimap.shape)


def _mask(framed: Framed) -> Plane:
    """The segmentation at the size at which the matte is solved, of this person alone: float32 [810, 810], 0..1."""
    mask = plane(cv2.resize(_person(framed), (WORK, WORK), interpolation=cv2.INTER_LINEAR))
    # Cloth has no fringe: what the segmentation frays there is its own doubt, and is smoothed away.
    smooth = plane(cv2.GaussianBlur(mask, (0, 0), _CLOTH_SMOOTH * framed.eye_distance * WORK / CONTEXT))
    hair = _hair_rows(framed, WORK)
    mask = plane(hair * mask + (1 - hair) * smooth)
    return plane(mask * _one_piece(mask > 0.5, framed, WORK, reach=_HAIR_OUT))  # noqa: PLR2004 - more likely than not


def _one_piece(person: npt.NDArray[np.bool_], framed: Framed, size: int, *, reach: float) -> Plane:
    """Where the piece that holds the face is, and its surroundings: whoever else is in the photo stays out.

    Args:
        person: bool [size, size], where there is a person, over the context or, of 1024, over the square.
        framed: the master square.
        size: px.
        reach: how far about the piece, in eyes' distances.
    """
    over = MASTER if size == MASTER else CONTEXT
    margin, scale = (over - MASTER) / 2, size / over
    _, pieces = cv2.connectedComponents(person.astype(np.uint8))
    across, down = ((framed.points[NOSE] + margin) * scale).round().astype(int).clip(0, size - 1)
    if pieces[down, across] == 0:
        return np.ones((size, size), np.float32)
    apart = framed.eye_distance * scale
    away = cv2.distanceTransform((pieces != pieces[down, across]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return plane(np.clip(2 * (1 - away / (reach * apart)), 0, 1))


def _person(framed: Framed) -> Plane:
    """The mask of the context, with its upper middle seen again from nearby, where the hair is."""
    whole = vision.person_mask(framed.context)
    near = (slice(MARGIN // 2, CONTEXT * 5 // 8), slice(CONTEXT * 3 // 16, CONTEXT * 13 // 16))
    closer = whole.copy()
    closer[near] = vision.person_mask(framed.context[near])
    trust = np.zeros_like(whole)
    trust[MARGIN : CONTEXT * 9 // 16, CONTEXT // 4 : CONTEXT * 3 // 4] = 1
    trust = plane(cv2.GaussianBlur(trust, (0, 0), CONTEXT / 48))
    return (trust * closer + (1 - trust) * whole).astype(np.float32)
