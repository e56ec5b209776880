"""The styles that come with Likeness: named looks, as data alone.

A style says what stands behind the person and how the light falls. It never says anything about the face: the face is
the person's own. The worker's studio draws the backdrop from these values; a configured diffusion model repaints it
from the prompt. `version` goes up whenever a style's look changes, so that a team's pictures can be made to match.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from core.errors import UnknownStyle


class Backdrop(StrEnum):
    """What the studio draws behind the person. The palette of each is listed with its meaning, in order."""

    PAPER = "paper"  # a seamless paper roll: lit centre, middle, corner
    SPOTLIGHT = "spotlight"  # a dark wall with one pool of light: pool, wall, corner
    CANVAS = "canvas"  # hand-painted canvas: highlight, middle, shade
    WINDOW = "window"  # an office out of focus: daylight, wall, furniture, plant, lamp
    FOLIAGE = "foliage"  # a park out of focus: sky glints, lit leaves, leaves, shade, trunk
    CITY = "city"  # a city at dusk out of focus: sky, haze, buildings, warm lights, cool lights


class Framing(StrEnum):
    """How much of the person the square shows."""

    HEAD_AND_SHOULDERS = "head_and_shoulders"


class Retouch(StrEnum):
    """What is done to skin and hair."""

    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Where the key light stands and how much it may shape the picture.

    Attributes:
        azimuth: degrees, where the light comes from: 0 is the viewer's right, 90 above, 180 the viewer's left.
        strength: 0..0.1, the largest relative change of linear light at the picture's edge; its centre keeps its own.
        wrap: 0..0.5, how much of the backdrop's light bends around the person's outline.
    """

    azimuth: float
    strength: float
    wrap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One named look.

    Attributes:
        name: stable identifier, lower case with hyphens.
        title: what a person reads in a menu.
        description: one sentence on the look and what it suits.
        version: goes up with every visible change.
        backdrop: which of the studio's backdrops is drawn.
        palette: sRGB hex colours (`#rrggbb`), their meaning given by the backdrop.
        light: the key light.
        framing: how much of the person is shown.
        retouch: what is done to skin and hair.
        prompt: what a diffusion model is asked for: the place alone, never the person.
        negative_prompt: what it is asked to leave out.
    """

    name: str
    title: str
    description: str
    version: int
    backdrop: Backdrop
    palette: tuple[str, ...]
    light: Light
    framing: Framing = Framing.HEAD_AND_SHOULDERS
    retouch: Retouch = Retouch.NONE
    prompt: str
    negative_prompt: str = "person, people, face, text, watermark, logo, noise, pattern"


_BUILT_IN = (
    Style(
        name="studio-grey",
        title="Studio grey",
        description="Neutral grey paper with a soft pool of light: the classic headshot, at home everywhere.",
        version=1,
        backdrop=Backdrop.PAPER,
        palette=("#c3c5c8", "#92959a", "#595c61"),
        light=Light(azimuth=125, strength=0.05, wrap=0.22),
        prompt="seamless grey paper studio backdrop, soft gradient light, empty",
    ),
    Style(
        name="studio-white",
        title="Studio white",
        description="Bright high-key white with a breath of shade at the edges, for directories and light pages.",
        version=1,
        backdrop=Backdrop.PAPER,
        palette=("#fafafa", "#f0f1f2", "#d3d6da"),
        light=Light(azimuth=90, strength=0.03, wrap=0.30),
        prompt="seamless white paper studio backdrop, high key, soft even light, empty",
    ),
    Style(
        name="charcoal",
        title="Charcoal",
        description="Deep charcoal with a low glow behind the shoulders: quiet, senior, strong in print.",
        version=1,
        backdrop=Backdrop.PAPER,
        palette=("#565a60", "#33363b", "#17191c"),
        light=Light(azimuth=150, strength=0.07, wrap=0.14),
        prompt="dark charcoal studio backdrop, low key, soft glow, empty",
    ),
    Style(
        name="navy-spotlight",
        title="Navy spotlight",
        description="A navy wall with one round pool of light beside the head: confident and corporate.",
        version=1,
        backdrop=Backdrop.SPOTLIGHT,
        palette=("#5d84ae", "#1f3b60", "#0b1729"),
        light=Light(azimuth=35, strength=0.06, wrap=0.18),
        prompt="dark navy blue studio wall, single soft spotlight, vignette, empty",
    ),
    Style(
        name="warm-canvas",
        title="Warm canvas",
        description="Hand-painted canvas in warm taupe, as in an editorial portrait.",
        version=1,
        backdrop=Backdrop.CANVAS,
        palette=("#c9b095", "#9a7f66", "#56432f"),
        light=Light(azimuth=140, strength=0.06, wrap=0.20),
        prompt="hand painted warm taupe canvas studio backdrop, mottled, soft light, empty",
    ),
    Style(
        name="office-window",
        title="Office window",
        description="A bright office by a tall window, far out of focus: friendly, modern, daylight.",
        version=1,
        backdrop=Backdrop.WINDOW,
        palette=("#f4f8fb", "#c9ccca", "#776a5f", "#6c8163", "#ffd9a0"),
        light=Light(azimuth=160, strength=0.06, wrap=0.28),
        prompt="modern bright office with large window, strongly out of focus, bokeh, daylight, empty",
    ),
    Style(
        name="park-bokeh",
        title="Park",
        description="Green leaves and round glints of sun, far out of focus: open and approachable.",
        version=1,
        backdrop=Backdrop.FOLIAGE,
        palette=("#f6f3cf", "#a3b96b", "#5f7f45", "#27401f", "#3b3426"),
        light=Light(azimuth=60, strength=0.06, wrap=0.26),
        prompt="green park foliage strongly out of focus, round bokeh, soft sun, empty",
    ),
    Style(
        name="city-dusk",
        title="City at dusk",
        description="City lights at blue hour as soft round discs: lively, for founders and speakers.",
        version=1,
        backdrop=Backdrop.CITY,
        palette=("#5f7396", "#8a7f8f", "#1c2637", "#ffbf6e", "#a9cdf5"),
        light=Light(azimuth=40, strength=0.05, wrap=0.20),
        prompt="city at dusk strongly out of focus, round warm bokeh lights, blue hour, empty",
    ),
)

CATALOGUE: Mapping[str, Style] = MappingProxyType({style.name: style for style in _BUILT_IN})


def get_style(name: str) -> Style:
    """The built-in style of that name.

    Raises:
        UnknownStyle: there is none; the names that exist are in `extra["styles"]`.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        raise UnknownStyle(styles=sorted(CATALOGUE)) from None
