"""`likeness models`: a model is looked at, tried, pinned, and told apart when it changed."""

from pathlib import Path

import pytest
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
