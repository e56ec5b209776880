import itertools
import random

import pytest

from core.headshots.styles import CATALOGUE
from worker.engine.training.grammar import (
    COLOURS,
    Kind,
    Light,
    Mood,
    Scene,
    light_at,
    paraphrase,
    scenes,
    understand,
    vocabulary,
)


def test_every_canonical_caption_is_understood_as_the_scene_that_it_names() -> None:
    for scene in itertools.islice(scenes(3), 200):
        read = understand(scene.caption)
        assert read.scene == scene
        assert read.dropped == ()


def test_a_paraphrase_uses_only_words_of_the_vocabulary() -> None:
    chance = random.Random(0)  # noqa: S311 (data, not secrets)
    known = {word.strip(",") for word in vocabulary()} | {"to"}
    for scene in itertools.islice(scenes(4), 100):
        assert {word.strip(",") for word in paraphrase(scene, chance).split()} <= known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Moody TEAL gradient, key light from top left",
            Scene(kind=Kind.GRADIENT, colour="teal", light=Light.UPPER_LEFT, mood=Mood.DRAMATIC),
        ),
        ("a gray seamles paper", Scene(kind=Kind.STUDIO, colour="grey")),
        ("#1f3b60 wall with a spotlight", Scene(kind=Kind.SPOTLIGHT, colour="navy")),
        ("gradient from navy to teal", Scene(kind=Kind.GRADIENT, colour="navy", accent="teal")),
        ("trees in autumn, amber", Scene(kind=Kind.PARK, colour="amber")),
        ("", Scene(kind=Kind.STUDIO, colour="grey")),
    ],
)
def test_free_text_is_brought_to_the_grammar(text: str, expected: Scene) -> None:
    assert understand(text).scene == expected


def test_what_was_dropped_and_assumed_is_said() -> None:
    read = understand("office in hot pink with a dragon")
    assert read.dropped == ("hot", "dragon", "pink")
    assert read.used == ("office",)
    assert read.assumed == ("colour", "light", "mood")


def test_every_built_in_style_is_understood_as_what_it_says() -> None:
    kinds = {name: understand(style.prompt).scene.kind for name, style in CATALOGUE.items()}
    assert kinds["navy-spotlight"] is Kind.SPOTLIGHT
    assert kinds["warm-canvas"] is Kind.CANVAS
    assert kinds["park-bokeh"] is Kind.PARK
    assert understand(CATALOGUE["navy-spotlight"].prompt).scene.colour == "navy"


def test_an_angle_names_its_light() -> None:
    assert [light_at(angle) for angle in (0, 50, 90, 125, 160, 270)] == [
        Light.RIGHT,
        Light.UPPER_RIGHT,
        Light.ABOVE,
        Light.UPPER_LEFT,
        Light.LEFT,
        Light.EVEN,
    ]


def test_scenes_repeat_from_their_seed_and_name_known_colours() -> None:
    first, second = (list(itertools.islice(scenes(9), 40)) for _ in range(2))
    assert first == second
    assert {scene.colour for scene in first} <= set(COLOURS)
    assert {scene.kind for scene in first} == set(Kind)
