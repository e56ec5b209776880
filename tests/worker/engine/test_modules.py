"""Which models the step loop takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from infra.bench import graphs
from worker.engine.modules import Modules, UnsupportedModel, load


def test_a_folder_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    graphs.build("sdxl", channels=4).save_pretrained(tmp_path)
    modules = load(tmp_path, choice="euler")
    assert modules.pooled
    assert not modules.inpaint
    assert len(modules.texts) == 2
    assert modules.scheduler.name == "euler"
    assert modules.size == 64
    assert modules.dtype == torch.float32


def test_weights_that_could_run_code_are_not_opened(tmp_path: Path) -> None:
    graphs.build(tiny_vae=True).save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(OSError, match="safetensors"):
        load(tmp_path)


def test_a_folder_that_is_no_model_is_refused_without_asking_the_network(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the message is the library's
        load(tmp_path / "stable-diffusion")


@pytest.mark.parametrize("change", [{"in_channels": 8}, {"time_cond_proj_dim": 256}])
def test_a_u_net_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    pipeline = graphs.build()
    config = SimpleNamespace(**{**pipeline.unet.config, **change})
    other = SimpleNamespace(unet=SimpleNamespace(config=config), vae=pipeline.vae)
    with pytest.raises(UnsupportedModel):
        Modules.of(other)
