"""The checker's places: one is free only once what was done in it is over."""

import os
from pathlib import Path

import pytest
from PIL import Image

from core.errors import Unavailable
from core.intake.clean import Intake, IntakeLimits
from core.provenance.verify import Checker
from tests.delivered import as_jpeg

PICTURE = as_jpeg(Image.new("RGB", (300, 300), "grey"))


def _children() -> set[int]:
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for path in listed for child in path.read_text().split()}


async def test_when_one_question_fails_the_child_of_the_other_is_dead_before_the_error_is_told() -> None:
    # This intake's child ends at once, long before the manifest's has read anything.
    checker = Checker(Intake(IntakeLimits(), program=("/bin/false",)))
    before = _children()
    with pytest.raises(Unavailable):
        await checker.examine(PICTURE, declared_type="image/jpeg", anchors=[], key=None)
    assert _children() <= before
