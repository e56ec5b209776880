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
    PLAIN = "plain"  # one colour, edge to edge
    GRADIENT = "gradient"  # coloured light along a wall: by the lamp, middle, away from it
    SUNLIT = "sunlit"  # plaster on which the sun draws a window: sun, wall, shade
    OFFICE = "office"  # an open-plan office out of focus: walls, wood, desks, plants, lamps


COLOURS: Mapping[Backdrop, int] = MappingProxyType(
    {
        Backdrop.PAPER: 3,
        Backdrop.SPOTLIGHT: 3,
        Backdrop.CANVAS: 3,
        Backdrop.WINDOW: 5,
        Backdrop.FOLIAGE: 5,
        Backdrop.CITY: 5,
        Backdrop.PLAIN: 1,
        Backdrop.GRADIENT: 3,
        Backdrop.SUNLIT: 3,
        Backdrop.OFFICE: 5,
    }
)
"""How many colours each backdrop is drawn with."""


class Attire(StrEnum):
    """What happens to clothes. All but `keep` need a full-size inpainting model."""

    KEEP = "keep"
    SMART = "smart"
    FORMAL = "formal"


class Framing(StrEnum):
    """How much of the person the square shows."""

    HEAD_AND_SHOULDERS = "head_and_shoulders"


class Retouch(StrEnum):
    """What is done to skin and hair."""

    NONE = "none"  # every pixel as it was shot
    LIGHT = "light"  # temporary marks are taken away
    STUDIO = "studio"  # and blotches and shine are evened


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
        attire: what happens to clothes; other than `keep` only where a full-size model is mounted.
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
    attire: Attire = Attire.KEEP
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
    Style(
        name="plain-white",
        title="Plain white",
        description="Pure white from edge to edge, for badges, directories and documents that ask for it.",
        version=1,
        backdrop=Backdrop.PLAIN,
        palette=("#ffffff",),
        light=Light(azimuth=90, strength=0.02, wrap=0.26),
        prompt="plain white studio paper backdrop, flat even lighting, empty",
    ),
    Style(
        name="low-key",
        title="Low key",
        description="Almost black, with the faintest lift behind one shoulder: dramatic, for stages and covers.",
        version=1,
        backdrop=Backdrop.PAPER,
        palette=("#2e2f34", "#141518", "#060607"),
        light=Light(azimuth=30, strength=0.08, wrap=0.1),
        prompt="black studio paper backdrop, light from the upper right, dramatic, empty",
    ),
    Style(
        name="sand",
        title="Sand",
        description="A warm sand-coloured paper roll in soft light: calm and friendly.",
        version=1,
        backdrop=Backdrop.PAPER,
        palette=("#ddc9a8", "#c0a57d", "#8b7150"),
        light=Light(azimuth=120, strength=0.05, wrap=0.24),
        prompt="seamless sand paper studio backdrop, light from the upper left, soft, empty",
    ),
    Style(
        name="sage",
        title="Sage",
        description="A muted green paper roll: fresh without being loud.",
        version=1,
        backdrop=Backdrop.PAPER,
        palette=("#b9c4ab", "#8f9f83", "#5a6a52"),
        light=Light(azimuth=60, strength=0.05, wrap=0.22),
        prompt="seamless sage paper studio backdrop, light from the upper right, soft, empty",
    ),
    Style(
        name="blue-gradient",
        title="Blue gradient",
        description="Light blue running into deep blue across a wall, as software companies like it.",
        version=1,
        backdrop=Backdrop.GRADIENT,
        palette=("#a9cdea", "#5585bd", "#1d3f74"),
        light=Light(azimuth=145, strength=0.06, wrap=0.24),
        prompt="smooth gradient background, sky to blue, light from the upper left, soft, empty",
    ),
    Style(
        name="slate-canvas",
        title="Slate canvas",
        description="Hand-painted canvas in blue slate: the boardroom portrait.",
        version=1,
        backdrop=Backdrop.CANVAS,
        palette=("#93a3b4", "#566576", "#262f3a"),
        light=Light(azimuth=45, strength=0.06, wrap=0.18),
        prompt="hand painted slate canvas backdrop, mottled, light from the upper right, soft, empty",
    ),
    Style(
        name="sunlit-wall",
        title="Sunlit wall",
        description="Afternoon sun through a window onto a cream wall, with the shadow of leaves: warm and relaxed.",
        version=1,
        backdrop=Backdrop.SUNLIT,
        palette=("#fbeccf", "#d9c5a6", "#a58f75"),
        light=Light(azimuth=150, strength=0.06, wrap=0.24),
        prompt="window light on a cream wall, light from the upper left, soft, empty",
    ),
    Style(
        name="open-office",
        title="Open office",
        description="An open-plan office down its whole length, far out of focus, in warm light: at work, and at ease.",
        version=1,
        backdrop=Backdrop.OFFICE,
        palette=("#d8cdbd", "#8f6d4d", "#3b4048", "#5d7551", "#ffe2b0"),
        light=Light(azimuth=35, strength=0.06, wrap=0.24),
        prompt="modern office interior strongly out of focus, bokeh, beige, light from the upper right, soft, empty",
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
