import re

import pytest

from core.errors import UnknownStyle
from core.headshots.styles import CATALOGUE, COLOURS, get_style


def test_every_style_is_found_by_its_own_name() -> None:
    assert len(CATALOGUE) >= 12
    for name, style in CATALOGUE.items():
        assert get_style(name) is style
        assert style.name == name
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)


def test_an_unknown_style_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(UnknownStyle) as refused:
        get_style("neon-jungle")
    assert refused.value.extra["styles"] == sorted(CATALOGUE)
    assert "neon" not in refused.value.detail


def test_every_style_has_the_colours_that_its_backdrop_draws_with() -> None:
    for style in CATALOGUE.values():
        assert len(style.palette) == COLOURS[style.backdrop]
        assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in style.palette)


def test_no_prompt_asks_for_a_person() -> None:
    for style in CATALOGUE.values():
        assert not re.search(r"\b(person|people|face|man|woman|portrait)\b", style.prompt)
        assert "person" in style.negative_prompt


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        CATALOGUE["mine"] = get_style("charcoal")  # type: ignore[index]
    with pytest.raises(AttributeError):
        get_style("charcoal").version = 2  # type: ignore[misc]
