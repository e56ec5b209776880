"""The registry: what is pinned runs, and nothing else."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from infra.bench import graphs
from worker.engine.models import ModelRefused, add, catalogue, require_pinned, require_unchanged

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "tiny"
    graphs.build(tiny_vae=True).save_pretrained(path)
    return path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return copytree(original, tmp_path / "models" / "tiny")


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "registry"


def test_adding_pins_every_file_and_paints_a_smoke_picture(folder: Path, registry: Path) -> None:
    manifest = add(folder, registry)
    assert WEIGHTS in manifest.files
    assert "model_index.json" in manifest.files
    assert all(len(digest) == 64 for digest in manifest.files.values())
    assert manifest.pipeline == "StableDiffusionInpaintPipeline"
    assert [each.name for each in catalogue(registry)] == ["tiny"]
    with Image.open(registry / "tiny.png") as smoke:
        assert smoke.size == (64, 64)
        assert smoke.getextrema() != ((0, 0),) * 3
    assert require_pinned(folder, registry) == manifest


def flip_a_bit(folder: Path) -> None:
    file = folder / WEIGHTS
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def drop_a_file(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").unlink()


def add_a_file(folder: Path) -> None:
    (folder / "unet" / "extra.safetensors").write_bytes(b"x")


def edit_the_configuration(folder: Path) -> None:
    file = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "steps_offset": 2}))


@pytest.mark.parametrize("change", [flip_a_bit, drop_a_file, add_a_file, edit_the_configuration])
def test_a_folder_that_changed_since_does_not_start(
    folder: Path, registry: Path, change: Callable[[Path], None]
) -> None:
    manifest = add(folder, registry)
    change(folder)
    with pytest.raises(ModelRefused):
        require_pinned(folder, registry)
    with pytest.raises(ModelRefused):
        require_unchanged(manifest, registry)


def test_a_folder_nobody_pinned_does_not_start(folder: Path, registry: Path) -> None:
    with pytest.raises(ModelRefused, match="likeness models add"):
        require_pinned(folder, registry)


def test_the_same_files_elsewhere_are_another_model(folder: Path, registry: Path, tmp_path: Path) -> None:
    add(folder, registry)
    with pytest.raises(ModelRefused):
        require_pinned(copytree(folder, tmp_path / "copy"), registry)


@pytest.mark.parametrize("name", ["unet/weights.bin", "vae/model.ckpt", "weights.PT", "unet/pipeline.py", "lib.so"])
def test_what_may_run_code_is_refused_whatever_lies_beside_it(folder: Path, registry: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(ModelRefused, match="safetensors"):
        add(folder, registry)
    assert not registry.exists()


def test_a_link_out_of_the_folder_is_refused(folder: Path, registry: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (folder / "unet" / "linked.json").symlink_to(outside)
    with pytest.raises(ModelRefused, match="leads out"):
        add(folder, registry)


def test_a_folder_of_something_else_is_refused(folder: Path, registry: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="not a folder"):
        add(tmp_path / "nowhere", registry)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelRefused, match=r"model_index\.json"):
        add(tmp_path / "empty", registry)
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "FluxPipeline"}))
    with pytest.raises(ModelRefused, match="FluxPipeline"):
        add(folder, registry)


def test_weights_that_give_no_picture_are_not_pinned(folder: Path, registry: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["conv_out.bias"] = weights["conv_out.bias"] * float("nan")
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(ModelRefused, match="NotANumber"):
        add(folder, registry)
    assert not registry.exists()


def test_a_broken_manifest_is_no_permission(folder: Path, registry: Path) -> None:
    registry.mkdir()
    (registry / "tiny.json").write_text('{"name": "tiny"}')
    with pytest.raises(ModelRefused, match="cannot be read"):
        require_pinned(folder, registry)
