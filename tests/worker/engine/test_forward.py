"""Ways to call the U-Net, and the way back to the plain one."""

import logging
from typing import Any

import pytest
import torch

from worker.engine.forward import Forward
from worker.engine.model import blank
from worker.engine.modules import Modules


def test_graphs_without_a_gpu_fall_back_to_eager(modules: Modules, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        forward = Forward(modules, mode="graphs")
    assert forward.mode == "eager"
    assert "running eagerly" in caplog.text
    assert forward(blank(modules, 2)).shape == (2, 4, 8, 8)


def test_a_compiler_that_fails_costs_no_request(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_names: Any) -> Any:
        raise RuntimeError("no compiler on this machine")

    monkeypatch.setattr(torch, "compile", lambda *_arguments, **_names: broken)
    forward = Forward(modules, mode="compile")
    inputs = blank(modules, 3)
    expected = Forward(modules)(inputs)
    assert torch.equal(forward(inputs), expected)
    assert forward.mode == "eager"


def test_padding_to_a_compiled_size_changes_nothing(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def compiled(unet: Any, **_names: Any) -> Any:
        def call(sample: torch.Tensor, *arguments: Any, **names: Any) -> Any:
            sizes.append(len(sample))
            return unet(sample, *arguments, **names)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    forward = Forward(modules, mode="compile")
    inputs = blank(modules, 3)
    assert (forward(inputs) - Forward(modules)(inputs)).abs().max() <= 1e-5
    assert sizes == [4]
    assert forward.mode == "compile"


def test_memory_that_runs_out_is_no_reason_to_fall_back(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_names: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "compile", lambda *_arguments, **_names: full)
    forward = Forward(modules, mode="compile")
    with pytest.raises(torch.OutOfMemoryError):
        forward(blank(modules, 2))
    assert forward.mode == "compile"
