"""Backdrops that lie far behind the person, out of focus: rooms, parks, cities. Each returns linear light."""

import cv2
import numpy as np
import numpy.typing as npt

from core.headshots.styles import Style
from worker.studio.optics import (
    DRAWN,
    Colours,
    Rng,
    box,
    cloud,
    discs,
    grid,
    lamp_side,
    leaves,
    out_of_focus,
    ramp,
    sheet,
)
from worker.studio.vision import Plane, plane


def window(colours: Colours, style: Style, rng: Rng) -> Plane:
    """An office far out of focus: a tall window on the key light's side, a wall, shelves, a plant, lamps."""
    daylight, wall, furniture, plant, lamp = colours
    across, down = grid(DRAWN)
    room = sheet(wall * 0.75)
    room *= (1 - 0.16 * down - 0.12 * across)[..., None]
    # The window: bright panes over a hazy view, framed by thin mullions.
    right = 0.46 + rng.uniform(-0.03, 0.03)
    box(room, -0.2, -0.1, right, 0.86, daylight * 1.1)
    box(room, -0.2, 0.60, right, 0.86, 0.55 * daylight + 0.25 * plant)
    for x in rng.uniform(0, right - 0.06, 5):
        box(room, x, rng.uniform(0.44, 0.62), x + rng.uniform(0.04, 0.10), 0.86, daylight * rng.uniform(0.5, 0.8))
    for mullion in (0.10, 0.28, right):
        box(room, mullion - 0.010, -0.1, mullion + 0.010, 0.86, wall * 0.40)
    box(room, -0.2, 0.27, right, 0.285, wall * 0.40)
    box(room, -0.2, 0.84, right + 0.015, 0.88, wall * 0.9)
    # Shelves and what stands on them, on the far side.
    box(room, 0.68, 0.28, 1.1, 1.1, furniture * 0.8)
    for shelf in (0.32, 0.48, 0.64, 0.80):
        box(room, 0.70, shelf, 1.1, shelf + 0.13, furniture * 0.42)
        x = 0.71
        while x < 1.0:
            wide = float(rng.uniform(0.012, 0.05))
            tint = wall if rng.random() < 0.6 else (furniture, plant, lamp)[rng.integers(3)]  # noqa: PLR2004 - mostly pale
            box(room, x, shelf + rng.uniform(0.01, 0.06), x + wide, shelf + 0.13, tint * rng.uniform(0.4, 0.9))
            x += wide + float(rng.uniform(0.003, 0.03))
    box(room, -0.1, 0.92, 1.1, 1.1, furniture * 0.55)
    # A plant by the sill, nearer than the wall.
    sprigs = rng.normal((0.60, 0.66), (0.045, 0.10), (70, 2))
    room = leaves(room, sprigs, rng.uniform(6, 15, 70), plant * rng.uniform(0.3, 1.0, (70, 1)).astype(np.float32))
    room = cv2.GaussianBlur(out_of_focus(room, 19), (0, 0), 3.5).astype(np.float32)
    lamps = np.column_stack([rng.uniform(0.58, 0.96, 5), rng.uniform(0.05, 0.19, 5)])
    room = discs(
        room, rng, lamps, rng.uniform(19, 27, 5), 0.32 * lamp * rng.uniform(0.5, 1.0, (5, 1)).astype(np.float32)
    )
    # Veiling glare: the window's light spills over everything.
    room += 0.10 * cv2.GaussianBlur(room, (0, 0), 60)
    picture = cv2.GaussianBlur(room, (0, 0), 2.0).astype(np.float32)
    mirrored = picture[:, ::-1] if lamp_side(style)[0] > 0 else picture
    return np.ascontiguousarray(mirrored / max(float(np.percentile(mirrored, 99.5)), 1.0))


def foliage(colours: Colours, style: Style, rng: Rng) -> Plane:
    """A park far out of focus: masses of leaves, brighter above, a clearing on the key light's side, glints of sun."""
    glint, lit, leaf, shade, trunk = colours
    across, down = grid(DRAWN)
    lamp_x, _ = lamp_side(style)
    depth = 0.5 + 0.40 * cloud(rng, 3, DRAWN) + 0.22 * cloud(rng, 7, DRAWN) + 0.30 * down - 0.15 * lamp_x * across
    park = ramp(np.stack([lit, leaf, shade]), depth)
    for _ in range(3):
        x, wide = rng.uniform(0, 1), rng.uniform(0.02, 0.05)
        box(park, x, -0.1, x + wide, rng.uniform(0.7, 1.1), trunk * 1.3)
    count = 200
    places = np.column_stack([rng.uniform(-0.05, 1.05, count), rng.beta(1.2, 1.0, count) * 1.05])
    tones = np.stack([lit, leaf, leaf, shade])[rng.integers(0, 4, count)] * rng.uniform(0.7, 1.1, (count, 1))
    park = leaves(park, places, rng.uniform(8, 26, count), tones.astype(np.float32))
    park = cv2.GaussianBlur(out_of_focus(park, 26), (0, 0), 6).astype(np.float32)
    clearing = np.exp(-(((across - 0.55 * lamp_x) / 0.55) ** 2) - ((down + 0.45) / 0.65) ** 2)
    park += 0.30 * clearing[..., None] * (0.6 * glint + 0.4 * lit)
    # Far glints are many and faint, near ones few and large.
    for count, low, high, most in ((70, 12, 20, 0.30), (26, 22, 36, 0.34)):
        near_light = rng.normal((0.5 + 0.25 * lamp_x, 0.26), (0.30, 0.20), (count, 2))
        strength = most * rng.beta(1.2, 3.0, (count, 1)).astype(np.float32)
        tint = np.where(rng.random((count, 1)) < 0.5, glint, lit).astype(np.float32)  # noqa: PLR2004 - sun and leaf alike
        park = discs(park, rng, near_light, rng.uniform(low, high, count), strength * tint)
    park = cv2.GaussianBlur(park, (0, 0), 2.0).astype(np.float32)
    return np.asarray(park * (1 - 0.28 * np.clip(down, 0, 1))[..., None], np.float32)


def city(colours: Colours, style: Style, rng: Rng) -> Plane:
    """A city at dusk far out of focus: sky, a warm horizon, dark blocks, and lights as round discs."""
    sky, haze, block, warm, cool = colours
    _, down = grid(DRAWN)
    lamp_x, _ = lamp_side(style)
    city = ramp(np.stack([sky * 0.5, sky * 0.8, haze, 0.5 * (haze + block), block]), plane((down + 1.05) / 2))
    for _ in range(12):
        x, wide, top = rng.uniform(-0.1, 1.0), rng.uniform(0.08, 0.2), rng.uniform(0.26, 0.60)
        box(city, x, top, x + wide, 1.1, block * rng.uniform(0.8, 1.9))
    # Windows that no longer show one by one.
    count = 260
    places = np.column_stack([rng.uniform(0, 1, count), rng.uniform(0.36, 1.0, count)])
    for x, y in places:
        box(city, x, y, x + 0.012, y + 0.012, (warm if rng.random() < 0.7 else cool) * rng.uniform(0.4, 1.6))  # noqa: PLR2004 - most lamps are warm
    city = cv2.GaussianBlur(out_of_focus(city, 26), (0, 0), 6).astype(np.float32)
    for count, low, high, most in ((46, 11, 19, 0.55), (22, 22, 36, 0.45)):
        places = np.column_stack([rng.uniform(-0.03, 1.03, count), 0.34 + 0.60 * rng.beta(1.5, 1.5, count)])
        tint = np.where(rng.random((count, 1)) < 0.75, warm, cool).astype(np.float32)  # noqa: PLR2004 - most lamps are warm
        strength = 0.04 + most * rng.beta(1.1, 3.2, (count, 1)).astype(np.float32)
        strength *= 1 + 0.35 * lamp_x * (2 * places[:, :1].astype(np.float32) - 1)
        city = discs(city, rng, places, rng.uniform(low, high, count), strength * tint)
    city += 0.12 * cv2.GaussianBlur(city, (0, 0), 40)
    return cv2.GaussianBlur(city, (0, 0), 2.0).astype(np.float32)


def office(colours: Colours, style: Style, rng: Rng) -> Plane:
    """An open-plan office seen down its length, far out of focus: strips of light overhead, glass, desks, plants."""
    wall, wood, desk, plant, lamp = colours
    across, down = grid(DRAWN)
    far_x, far_y = 0.46 + rng.uniform(-0.04, 0.04), 0.44 + rng.uniform(-0.02, 0.02)
    room = ramp(np.stack([0.42 * wall, 0.70 * wall, 0.85 * wall, 0.55 * wood, 0.40 * wood]), plane((down + 1) / 2))
    # Lines run to one point: the ceiling's lights, the glass on one side, the cupboards on the other.
    _strip(room, (far_x, far_y), ((-0.30, 0.06), (-0.30, 1.02)), (0.0, 0.78), 0.52 * wall + 0.10 * lamp)
    _strip(room, (far_x, far_y), ((1.30, -0.02), (1.30, 1.05)), (0.0, 0.72), 0.80 * wood)
    for near in np.arange(0.10, 0.80, 0.16):
        tint = wall * rng.uniform(0.75, 1.25)
        _strip(room, (far_x, far_y), ((-0.30, 0.16), (-0.30, 0.86)), (near, near + 0.115), tint)
    for near in np.arange(0.08, 0.72, 0.17):
        for low, high in ((0.02, 0.30), (0.34, 0.62), (0.66, 0.98)):
            tint = (wall, wood, plant, desk)[rng.choice(4, p=(0.4, 0.25, 0.2, 0.15))] * rng.uniform(0.35, 0.9)
            _strip(room, (far_x, far_y), ((1.30, low), (1.30, high)), (near + 0.015, near + 0.14), tint)
    box(room, far_x - 0.115, far_y - 0.11, far_x + 0.15, far_y + 0.13, 1.05 * wall)
    box(room, far_x - 0.085, far_y - 0.08, far_x + 0.02, far_y + 0.09, 0.9 * wall + 0.5 * lamp)
    for left, right in ((-0.62, -0.40), (0.05, 0.27), (0.72, 0.94), (1.30, 1.52)):
        for near, until in ((0.06, 0.22), (0.30, 0.62), (0.70, 0.92)):
            _strip(room, (far_x, far_y), ((left, -0.42), (right, -0.42)), (near, until), 1.15 * lamp + 0.35 * wall)
    # Desks with screens, then plants between them.
    for x, y, wide in ((0.02, 0.70, 0.27), (0.64, 0.68, 0.30), (0.30, 0.61, 0.14), (0.84, 0.83, 0.30)):
        top = y + float(rng.uniform(-0.02, 0.02))
        box(room, x, top, x + wide, top + 0.035, 0.95 * wall)
        box(room, x, top + 0.035, x + wide, top + 0.16, 0.55 * desk)
        for screen in (0.10, 0.55):
            box(
                room,
                x + screen * wide,
                top - 0.085,
                x + (screen + 0.34) * wide,
                top - 0.005,
                desk * rng.uniform(0.4, 1.0),
            )
    for x, y in ((0.19, 0.58), (0.60, 0.56), (0.93, 0.60)):
        sprigs = rng.normal((x, y), (0.035, 0.07), (45, 2))
        room = leaves(room, sprigs, rng.uniform(5, 13, 45), plant * rng.uniform(0.35, 1.1, (45, 1)).astype(np.float32))
    room = cv2.GaussianBlur(out_of_focus(room, 17), (0, 0), 3.5).astype(np.float32)
    lamps = np.column_stack([rng.uniform(0.05, 0.95, 7), rng.uniform(0.14, 0.34, 7)])
    room = discs(
        room, rng, lamps, rng.uniform(17, 26, 7), 0.42 * lamp * rng.uniform(0.6, 1.0, (7, 1)).astype(np.float32)
    )
    # Light falls in from the key light's side.
    room *= (1 - 0.16 * (-lamp_side(style)[0]) * across)[..., None]
    room += 0.12 * cv2.GaussianBlur(room, (0, 0), 60)
    picture = cv2.GaussianBlur(room, (0, 0), 2.0).astype(np.float32)
    return plane(picture / max(float(np.percentile(picture, 99.8)), 1.0))


def _strip(
    picture: Plane,
    far: tuple[float, float],
    near: tuple[tuple[float, float], tuple[float, float]],
    depth: tuple[float, float],
    colour: npt.NDArray[np.float32],
) -> None:
    """Fill a piece of a band that runs from two near points to one far point; `depth` 0 is near, 1 at the far point."""
    corners = []
    for x, y in near:
        corners.append([(x + (far[0] - x) * part, y + (far[1] - y) * part) for part in depth])
    outline = np.array([*corners[0], *reversed(corners[1])]) * picture.shape[0]
    cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], colour.tolist())
