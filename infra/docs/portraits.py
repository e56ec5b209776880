"""The portraits that the documentation measures with, and how they reach the studio."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image
from skimage import data

from core.settings import ModelSettings
from infra.local.supervisor import SHIPPED_SETTINGS
from worker.engine.engine import Engine
from worker.engine.models import SHIPPED
from worker.studio import find_face, frame, pipeline, vision
from worker.studio.frame import Framed
from worker.studio.pipeline import Sitting
from worker.studio.vision import Picture


def astronaut() -> Picture:
    """Eileen Collins, NASA, public domain: uint8 [512, 512, 3] sRGB."""
    return np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]  # skimage ships no types


def hopper() -> Picture:
    """Grace Hopper in cap and glasses, US Navy, public domain: uint8 [600, 512, 3] sRGB."""
    with Image.open(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg") as file:
        return np.asarray(file.convert("RGB"), np.uint8)


def as_photo(picture: Picture) -> bytes:
    """A picture as clean photos reach the studio: JPEG bytes without metadata."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=95)
    return file.getvalue()


def sit(picture: Picture) -> Sitting:
    """Prepare a portrait. Raises `Refused` when the studio would not take it."""
    return pipeline.prepare(as_photo(picture), check=lambda _stage, _share: None)


def framed(picture: Picture) -> Framed:
    """The master square of a portrait that has a face."""
    _, face = find_face.find_face(picture)
    if face is None:
        raise ValueError("no face in this portrait")
    near, face = frame.neighbourhood(picture, face)
    return frame.frame(near, face, frame.choose_crop(face, vision.person_mask(near)))


def shipped_engine() -> Engine:
    """The engine as `likeness up` runs it where nothing is set."""
    fields: dict[str, Any] = {
        name.removeprefix("LIKENESS_MODEL_").lower(): value for name, value in SHIPPED_SETTINGS.items()
    }
    return Engine.load(ModelSettings(path=SHIPPED, **fields))
