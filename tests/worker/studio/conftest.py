"""One real portrait (NASA, public domain), prepared once for all tests of the studio."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage import data

from core.headshots.styles import get_style
from worker.engine.engine import Engine
from worker.studio import pipeline
from worker.studio.pipeline import Made, Sitting
from worker.studio.vision import Picture

Encode = Callable[[Picture], bytes]


def never_stop(stage: str, fraction: float) -> None:
    """A check that lets everything pass."""


@pytest.fixture(scope="session")
def portrait() -> Picture:
    return np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]  # skimage ships no types


@pytest.fixture(scope="session")
def as_photo() -> Encode:
    """How clean photos reach the studio: JPEG bytes without metadata."""

    def encode(picture: Picture) -> bytes:
        file = BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=95)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def sitting(portrait: Picture, as_photo: Encode) -> Sitting:
    return pipeline.prepare(as_photo(portrait), check=never_stop)


@pytest.fixture(scope="session")
async def made(sitting: Sitting) -> Made:
    return await pipeline.make(
        sitting, get_style("studio-grey"), seed=7, engine=Engine(), sandbox=False, check=never_stop
    )
