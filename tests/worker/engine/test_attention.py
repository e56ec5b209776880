"""The attention interface on a machine without a GPU. `tests/gpu` has the rest."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from infra.bench import graphs
from worker.engine.attention import Attention, WrongProcessors

CPU = torch.device("cpu")


def test_without_a_gpu_it_is_sdpa_whatever_was_asked_for() -> None:
    attention = Attention(graphs.build().unet, CPU, "xformers")
    attention.prepare((8, 8), lambda: None)
    assert attention.describe() == {"8x8": "sdpa"}


def test_the_processors_are_in_the_u_net_while_it_runs() -> None:
    unet = graphs.build().unet
    unet.set_attn_processor(AttnProcessor())
    attention = Attention(unet, CPU)
    attention.prepare((8, 8), lambda: None)
    with attention.using((8, 8)):
        assert {type(processor) for processor in unet.attn_processors.values()} == {AttnProcessor2_0}


def test_processors_that_did_not_take_are_noticed() -> None:
    """As xformers set by name on these U-Nets would not."""
    unet: Any = graphs.build().unet
    unet.set_attn_processor(AttnProcessor())
    unet.set_attn_processor = lambda _processor: None
    with pytest.raises(WrongProcessors, match="AttnProcessor2_0"), Attention(unet, CPU).using((8, 8)):
        pass


def test_a_kernel_that_does_not_run_is_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = Attention(graphs.build().unet, CPU)
    monkeypatch.setattr(Attention, "candidates", ("sdpa", "flash", "cudnn"))
    seconds = {"sdpa": 0.2, "cudnn": 0.1}

    def timed(_run: object) -> float:
        kernel = attention.chosen[4, 4]
        if kernel not in seconds:
            raise RuntimeError("no kernel image")
        return seconds[kernel]

    monkeypatch.setattr(attention, "_time", timed)
    attention.prepare((4, 4), lambda: None)
    assert attention.describe() == {"4x4": "cudnn"}
    assert attention.seconds[4, 4] == seconds
