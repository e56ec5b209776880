import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import worker.engine
from worker.engine.training.autoencoder import build_autoencoder
from worker.engine.training.card import GUIDANCE, load, write_manifest
from worker.engine.training.grammar import srgb, understand
from worker.engine.training.measure import colour_difference, speckle
from worker.engine.training.model import Parts
from worker.engine.training.sample import paint

SHIPPED = Path(worker.engine.__file__).parent / "shipped"


@pytest.fixture(scope="module")
def parts() -> Parts:
    return load(SHIPPED)


def test_every_shipped_file_is_the_one_that_was_hashed() -> None:
    hashes = json.loads((SHIPPED / "manifest.json").read_text())["sha256"]
    files = {
        file.relative_to(SHIPPED).as_posix(): file
        for file in SHIPPED.rglob("*")
        if file.is_file() and file.name != "manifest.json"
    }
    assert set(hashes) == set(files)
    for name, file in files.items():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == hashes[name], name


def test_the_shipped_model_is_small_and_holds_no_pickle() -> None:
    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 20_000_000
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".txt", ".md", ".png"}


def test_the_shipped_autoencoder_is_the_constructed_one(parts: Parts) -> None:
    built = build_autoencoder().half().float().state_dict()
    for name, weight in parts.vae.state_dict().items():
        assert torch.equal(weight, built[name]), name


def test_a_named_colour_is_the_nearest_of_far_ones_and_has_no_speckle(parts: Parts) -> None:
    scene = understand("navy paper").scene
    (picture,) = paint([scene.caption], parts, seed=1, size=256, steps=4, guidance=GUIDANCE)
    middle = np.median(picture.reshape(-1, 3), axis=0)
    others = ("grey", "cream", "forest", "burgundy", "sky")
    assert colour_difference(middle, srgb("navy")) < min(colour_difference(middle, srgb(name)) for name in others)
    assert speckle(picture) < 3


def test_the_manifest_names_each_file_but_itself(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights.safetensors").write_bytes(b"weights")
    write_manifest(tmp_path)
    write_manifest(tmp_path)
    hashes = json.loads((tmp_path / "manifest.json").read_text())["sha256"]
    assert hashes == {"unet/weights.safetensors": hashlib.sha256(b"weights").hexdigest()}
