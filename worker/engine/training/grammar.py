"""The language of backdrops: what the shipped model was taught to understand, and how free text is brought to it.

A caption names a kind of backdrop, one or two colours, where the light comes from, and a mood. The model is trained on
captions built here and on paraphrases of them, so text from outside is first read by `understand`, which says plainly
which words it used, which it dropped, and what it had to assume.
"""

import difflib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What stands behind the person."""

    STUDIO = "studio"
    SPOTLIGHT = "spotlight"
    GRADIENT = "gradient"
    WINDOW = "window"
    OFFICE = "office"
    CITY = "city"
    PARK = "park"
    CANVAS = "canvas"


class Light(StrEnum):
    """Where the key light comes from, as the viewer sees it."""

    LEFT = "left"
    RIGHT = "right"
    ABOVE = "above"
    UPPER_LEFT = "upper left"
    UPPER_RIGHT = "upper right"
    EVEN = "even"


class Mood(StrEnum):
    """How hard the light falls off."""

    SOFT = "soft"
    DRAMATIC = "dramatic"


COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "white": "#f4f4f3",
        "ivory": "#ece4d2",
        "cream": "#e3d3b1",
        "beige": "#cfbb9c",
        "sand": "#b9a07a",
        "taupe": "#9a7f66",
        "brown": "#6b4a33",
        "terracotta": "#b5654a",
        "burgundy": "#6a2436",
        "red": "#a8332f",
        "rose": "#cf9aa0",
        "amber": "#c98a3c",
        "mustard": "#b3923a",
        "olive": "#6f7040",
        "sage": "#9bab8c",
        "green": "#557d46",
        "forest": "#2c4a33",
        "teal": "#2b6b6e",
        "sky": "#8fb7d6",
        "blue": "#3b67a5",
        "navy": "#1f3b60",
        "slate": "#5a6878",
        "lavender": "#a79bc4",
        "plum": "#5b3a5e",
        "silver": "#c3c5c8",
        "grey": "#92959a",
        "graphite": "#5c5f64",
        "charcoal": "#383b40",
        "black": "#1b1c1f",
    }
)
"""Named colours, sRGB. The median of a plate is its named colour."""

_KIND_WORDS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.STUDIO: ("studio paper backdrop", "seamless paper backdrop", "plain studio background", "paper roll"),
        Kind.SPOTLIGHT: ("spotlight on a wall", "single spotlight", "pool of light on a studio wall", "spot glow"),
        Kind.GRADIENT: ("smooth gradient", "gradient background", "colour fade", "ombre gradient"),
        Kind.WINDOW: ("window light on a wall", "window shadow on a wall", "sun through window panes"),
        Kind.OFFICE: ("office bokeh", "modern office out of focus", "blurred workplace interior", "meeting room bokeh"),
        Kind.CITY: ("city bokeh", "city lights out of focus", "blurred skyline at dusk", "street lights bokeh"),
        Kind.PARK: ("park bokeh", "foliage out of focus", "blurred garden leaves", "trees bokeh outdoor"),
        Kind.CANVAS: ("textured canvas", "hand painted canvas", "mottled canvas backdrop", "painted muslin texture"),
    }
)
_LIGHT_WORDS: Mapping[Light, tuple[str, ...]] = MappingProxyType(
    {
        Light.LEFT: ("light from the left", "lit from left", "key light left"),
        Light.RIGHT: ("light from the right", "lit from right", "key light right"),
        Light.ABOVE: ("light from above", "lit from above", "top light"),
        Light.UPPER_LEFT: ("light from the upper left", "lit from upper left", "key light top left"),
        Light.UPPER_RIGHT: ("light from the upper right", "lit from upper right", "key light top right"),
        Light.EVEN: ("even light", "flat even lighting", "centred light"),
    }
)
_MOOD_WORDS: Mapping[Mood, tuple[str, ...]] = MappingProxyType(
    {Mood.SOFT: ("soft", "gentle", "calm"), Mood.DRAMATIC: ("dramatic", "moody", "contrast")}
)
# Single words outside the captions that still say which kind, colour, light or mood is meant.
_KIND_HINTS: Mapping[str, Kind] = MappingProxyType(
    {
        **dict.fromkeys(("canvas", "muslin", "mottled", "textured", "painted", "texture"), Kind.CANVAS),
        **dict.fromkeys(("office", "workplace", "meeting", "lobby", "coworking", "interior"), Kind.OFFICE),
        **dict.fromkeys(("city", "skyline", "street", "urban", "downtown", "dusk"), Kind.CITY),
        **dict.fromkeys(("park", "foliage", "garden", "leaves", "trees", "outdoor", "nature"), Kind.PARK),
        **dict.fromkeys(("spotlight", "spot", "pool"), Kind.SPOTLIGHT),
        **dict.fromkeys(("gradient", "ombre", "fade"), Kind.GRADIENT),
        **dict.fromkeys(("window", "panes", "blinds"), Kind.WINDOW),
        **dict.fromkeys(("paper", "seamless"), Kind.STUDIO),
    }
)
# When several kinds are hinted at, the most particular wins: a studio can hold a canvas, never the reverse.
_KIND_ORDER = (
    Kind.CANVAS,
    Kind.OFFICE,
    Kind.CITY,
    Kind.PARK,
    Kind.SPOTLIGHT,
    Kind.WINDOW,
    Kind.STUDIO,
    Kind.GRADIENT,
)
# These say no more than what is assumed anyway.
_STUDIO_HINTS = frozenset({"studio", "plain", "wall", "glow"})
_COLOUR_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "gray": "grey", "bordeaux": "burgundy", "maroon": "burgundy", "pink": "rose", "gold": "mustard",
        "golden": "mustard", "orange": "terracotta", "rust": "terracotta", "turquoise": "teal", "azure": "sky",
        "purple": "plum", "violet": "lavender", "lilac": "lavender", "anthracite": "charcoal", "tan": "sand",
        "khaki": "olive", "midnight": "navy", "mint": "sage", "emerald": "forest", "yellow": "mustard",
        "offwhite": "ivory", "chocolate": "brown", "copper": "terracotta",
    }
)  # fmt: skip
_LIGHT_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "left": "left", "right": "right", "above": "above", "top": "above", "upper": "above", "overhead": "above",
        "even": "even", "flat": "even", "centred": "even",
    }
)  # fmt: skip
_MOOD_HINTS: Mapping[str, Mood] = MappingProxyType(
    {
        **dict.fromkeys(("soft", "gentle", "calm", "subtle", "bright"), Mood.SOFT),
        **dict.fromkeys(("dramatic", "moody", "contrast", "vignette", "cinematic"), Mood.DRAMATIC),
    }
)
_OWN_COLOUR: Mapping[Kind, str] = MappingProxyType(
    {Kind.PARK: "green", Kind.CITY: "navy", Kind.OFFICE: "beige", Kind.CANVAS: "taupe", Kind.WINDOW: "cream"}
)
# Words that carry no picture; dropping them needs no report.
_SILENT_WORDS = (
    "a an and at by for from in into of on or the to with light lit lighting key backdrop background color colour "
    "bokeh blurred out focus strongly empty round lights through smooth hand single modern roll"
)
_SILENT = frozenset(_SILENT_WORDS.split())
NATURAL: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.OFFICE: (
            "white", "ivory", "cream", "beige", "sand", "taupe", "sage", "sky", "blue", "navy", "slate", "silver",
            "grey", "graphite", "charcoal",
        ),
        Kind.CITY: ("navy", "blue", "slate", "plum", "teal", "charcoal", "graphite", "black", "grey", "brown"),
        Kind.PARK: ("green", "forest", "olive", "sage", "mustard", "amber", "brown", "teal"),
    }
)  # fmt: skip
"""The colours that a place can have; a wall, paper or canvas can have any."""

_SEPARATORS = re.compile(r"#[0-9a-f]{6}|[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One backdrop in words: the conditions under which it is drawn or painted."""

    kind: Kind
    colour: str
    accent: str | None = None
    light: Light = Light.EVEN
    mood: Mood = Mood.SOFT

    @property
    def caption(self) -> str:
        """The canonical caption, the form that the model knows best."""
        return _compose(self, choose=lambda phrases: phrases[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """How free text was read.

    Attributes:
        scene: what will be painted.
        used: words that decided something, as written.
        dropped: words that the model cannot paint, as written.
        assumed: the parts of the scene that the text left open, by name.
    """

    scene: Scene
    used: tuple[str, ...]
    dropped: tuple[str, ...]
    assumed: tuple[str, ...]


def understand(text: str) -> Understood:
    """Bring free text to the grammar, and say what was used, dropped and assumed. Never raises on any text."""
    used: list[str] = []
    dropped: list[str] = []
    written: dict[str, str] = {}
    said: dict[str, list[str]] = {part: [] for part in ("kind", "colour", "light", "mood")}
    for word in _SEPARATORS.findall(text.lower()):
        known = _known(word)
        part = _part(known)
        if part is not None:
            used.append(word)
            if known not in said[part]:
                said[part].append(known)
                written[known] = word
        elif known not in _SILENT:
            dropped.append(word)
    kinds = {_KIND_HINTS[word] for word in said["kind"] if word in _KIND_HINTS}
    kind = next((kind for kind in _KIND_ORDER if kind in kinds), Kind.STUDIO)
    colours = said["colour"]
    natural = [name for name in colours if name in NATURAL.get(kind, COLOURS)]
    colour = natural[0] if natural else _OWN_COLOUR.get(kind, "grey")
    accent = next((name for name in colours if name != colour), None) if kind in TWO_COLOURS and natural else None
    unpainted = [written[name] for name in colours if name not in {colour, accent}]
    return Understood(
        scene=Scene(
            kind=kind,
            colour=colour,
            accent=accent,
            light=_light({_LIGHT_HINTS[word] for word in said["light"]}),
            mood=_MOOD_HINTS[said["mood"][-1]] if said["mood"] else Mood.SOFT,
        ),
        used=tuple(word for word in used if word not in unpainted),
        dropped=(*dropped, *unpainted),
        assumed=tuple(part for part, words in (said | {"colour": natural}).items() if not words),
    )


def _part(known: str) -> str | None:
    """Which part of a scene a word decides, if any. Colours come first: sage is no herb here."""
    tables = {"colour": COLOURS, "kind": {*_KIND_HINTS, *_STUDIO_HINTS}, "light": _LIGHT_HINTS, "mood": _MOOD_HINTS}
    return next((part for part, words in tables.items() if known in words), None)


TWO_COLOURS = frozenset({Kind.GRADIENT, Kind.CITY})
"""Kinds that take a second colour: the far end of a gradient, the lights of a city."""


def nearest_colour(red: float, green: float, blue: float) -> str:
    """The named colour nearest to an sRGB colour in 0..1, by a weighted distance close to perception.

    The weights are the "redmean" approximation of the CIE Lab distance.
    """

    def distance(name: str) -> float:
        r, g, b = srgb(name)
        mean = (r + red) / 2
        return (2 + mean) * (r - red) ** 2 + 4 * (g - green) ** 2 + (3 - mean) * (b - blue) ** 2

    return min(COLOURS, key=distance)


def light_at(azimuth: float) -> Light:
    """The light's name for an angle in degrees: 0 is the viewer's right, 90 above, 180 the viewer's left."""
    turn = azimuth % 360
    names = (Light.RIGHT, Light.UPPER_RIGHT, Light.ABOVE, Light.UPPER_LEFT, Light.LEFT)
    return names[round(turn / 45)] if turn <= _LEFT_TURN else Light.EVEN


_LEFT_TURN = 180


def srgb(name: str) -> tuple[float, float, float]:
    """A named colour as sRGB in 0..1."""
    return _parse_hex(COLOURS[name])


def paraphrase(scene: Scene, chance: random.Random) -> str:
    """The same scene in other words: synonyms, another order, words left out."""
    said = _compose(scene, choose=chance.choice, order=chance)
    words = [word for word in said.split() if word.strip(",") in COLOURS or chance.random() > _WORD_DROPOUT]
    return " ".join(words)


_WORD_DROPOUT = 0.08


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption or paraphrase can hold, sorted."""
    phrases = [*_KIND_WORDS.values(), *_LIGHT_WORDS.values(), *_MOOD_WORDS.values(), tuple(COLOURS), ("and", "to")]
    return tuple(sorted({word for group in phrases for phrase in group for word in phrase.split()}))


def scenes(seed: int) -> Iterator[Scene]:
    """An endless, seeded stream of scenes with every kind, colour and light equally often."""
    chance = random.Random(seed)  # noqa: S311 (data, not secrets)
    while True:
        for kind in chance.sample(list(Kind), len(Kind)):
            colour = chance.choice(NATURAL.get(kind, tuple(COLOURS)))
            accent = chance.choice([name for name in COLOURS if name != colour])
            yield Scene(
                kind=kind,
                colour=colour,
                accent=accent if kind in TWO_COLOURS and chance.random() < _TWO_COLOURED else None,
                light=chance.choice(list(Light)),
                mood=chance.choice(list(Mood)),
            )


_TWO_COLOURED = 0.5


def _compose(scene: Scene, *, choose: Callable[[Sequence[str]], str], order: random.Random | None = None) -> str:
    colour = scene.colour if scene.accent is None else f"{scene.colour} to {scene.accent}"
    parts = [
        choose(_KIND_WORDS[scene.kind]),
        colour,
        choose(_LIGHT_WORDS[scene.light]),
        choose(_MOOD_WORDS[scene.mood]),
    ]
    if order is not None:
        order.shuffle(parts)
    return ", ".join(parts)


def _known(word: str) -> str:
    """The grammar's own form of a word: itself, its synonym, or the one word that it is a slip of."""
    if word.startswith("#"):
        return nearest_colour(*_parse_hex(word))
    if word in _COLOUR_HINTS:
        return _COLOUR_HINTS[word]
    hints = (*COLOURS, *_KIND_HINTS, *_STUDIO_HINTS, *_LIGHT_HINTS, *_MOOD_HINTS)
    if word in hints or word in _SILENT or len(word) < _SHORTEST_SLIP:
        return word
    close = difflib.get_close_matches(word, (*hints, *_COLOUR_HINTS), n=1, cutoff=0.85)
    return _COLOUR_HINTS.get(close[0], close[0]) if close else word


_SHORTEST_SLIP = 5


def _light(sides: set[str]) -> Light:
    across = sides & {"left", "right"}
    if len(across) != 1:
        return Light.ABOVE if "above" in sides else Light.EVEN
    (side,) = across
    return Light(f"upper {side}") if "above" in sides else Light(side)


def _parse_hex(code: str) -> tuple[float, float, float]:
    red, green, blue = (int(code[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
