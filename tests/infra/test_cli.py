"""`likeness models`: a model is looked at, tried, pinned, and told apart when it changed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from infra.bench import graphs
from infra.cli import app


def likeness(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["models", *arguments])
    return done.exit_code, done.output


def test_a_model_is_pinned_listed_and_told_apart_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_MODEL_REGISTRY", str(tmp_path / "registry"))
    folder = tmp_path / "tiny"
    graphs.build(tiny_vae=True).save_pretrained(folder)
    status, said = likeness("add", str(folder))
    assert status == 0, said
    assert f"LIKENESS_MODEL_PATH={folder}" in said
    assert "as pinned" in likeness("list")[1]
    with (folder / "unet" / "config.json").open("a") as file:
        file.write("\n")
    assert "unet/config.json is not the file that was pinned" in likeness("list")[1]


def test_a_folder_that_may_not_run_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_MODEL_REGISTRY", str(tmp_path / "registry"))
    (tmp_path / "weights.ckpt").write_bytes(b"")
    status, said = likeness("add", str(tmp_path))
    assert status == 1
    assert "safetensors" in said


def test_free_text_is_shown_as_it_was_read_and_painted_if_asked(tmp_path: Path) -> None:
    status, said = likeness("read", "a navy wall with a spotlight and a dragon", "--picture", str(tmp_path / "it.png"))
    assert status == 0, said
    assert "spotlight" in said.splitlines()[0]
    assert "navy" in said.splitlines()[0]
    assert "dropped  dragon" in said
    assert "assumed  light" in said
    with Image.open(tmp_path / "it.png") as picture:
        assert picture.size == (512, 512)
        red, _, blue = np.median(np.asarray(picture).reshape(-1, 3), axis=0)
    assert blue > red + 20
