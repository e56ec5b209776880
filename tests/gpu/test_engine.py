"""What only a GPU can show: kernels, graphs and precision. Skipped without one; random weights of full size."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0, XFormersAttnProcessor

from infra.bench import graphs
from worker.engine.attention import Attention, Kernel
from worker.engine.capacity import Cap, measure
from worker.engine.encode import Encoder
from worker.engine.forward import Forward
from worker.engine.loop import StepLoop
from worker.engine.model import blank
from worker.engine.modules import Modules
from worker.engine.request import PaintRequest
from worker.engine.slots import Slots

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore"),
]

SIDE = 512


def scheduler() -> Any:
    return graphs.library.DDIMScheduler(
        **graphs.SD_NOISE, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )


def on_gpu(family: Any, dtype: torch.dtype) -> Modules:
    pipeline = graphs.build(family, "full", sample_size=SIDE // 8, scheduler=scheduler())
    pipeline.to("cuda", dtype)
    pipeline.unet.to(memory_format=torch.channels_last)
    return Modules.of(pipeline)


@pytest.fixture(scope="module")
def modules() -> Iterator[Modules]:
    yield on_gpu("sd", torch.bfloat16)
    torch.cuda.empty_cache()


def request(number: int, *, steps: int = 6, guidance: float = 4.0) -> PaintRequest:
    return PaintRequest(
        picture=np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8),
        mask=np.full((SIDE, SIDE), 255, np.uint8),
        prompt="a wall",
        negative_prompt="x",
        steps=steps,
        guidance=guidance,
        strength=1.0,
        seed=number,
    )


def latents(modules: Modules, requests: list[PaintRequest]) -> list[torch.Tensor]:
    slots: Slots[int] = Slots(modules, Forward(modules), Cap(64))
    starts = Encoder(modules).encode(requests)
    slots.admit([(n, start, requests[n].guidance) for n, start in enumerate(starts)])
    found: dict[int, torch.Tensor] = {}
    while slots.rows:
        assert not slots.step()
        done = [row for row in slots.rows if row.done]
        found |= {row.job: slots.latent(row) for row in done}
        if done:
            slots.release(done)
    return [found[n] for n in range(len(requests))]


@pytest.mark.parametrize("kernel", ["sdpa", "flash", "cudnn", "xformers"])
def test_every_kernel_gives_the_same_pass(modules: Modules, kernel: Kernel) -> None:
    if kernel == "xformers" and find_spec("xformers") is None:
        pytest.skip("xformers is not installed")
    inputs = blank(modules, 4)
    with torch.inference_mode():
        expected = Forward(modules, attention="sdpa")(inputs)
        found = Forward(modules, attention=kernel)(inputs)
    assert (expected - found).abs().max() <= 0.05 * expected.abs().max()


def test_xformers_is_really_in_the_u_net(modules: Modules) -> None:
    pytest.importorskip("xformers")
    attention = Attention(modules.unet, modules.device, "xformers")
    attention.prepare((64, 64), lambda: None)
    with attention.using((64, 64)):
        assert {type(each) for each in modules.unet.attn_processors.values()} == {XFormersAttnProcessor}
    Attention(modules.unet, modules.device, "sdpa")._install("sdpa")
    assert {type(each) for each in modules.unet.attn_processors.values()} == {AttnProcessor2_0}


def test_the_trial_chooses_the_fastest_kernel(modules: Modules) -> None:
    forward, inputs = Forward(modules), blank(modules, 8)
    with torch.inference_mode():
        forward(inputs)
    timed = forward.attention.seconds[inputs.shape]
    assert timed
    assert timed[forward.attention.chosen[inputs.shape]] == min(timed.values())


def test_a_captured_graph_gives_what_the_plain_pass_gives(modules: Modules) -> None:
    plain, captured = Forward(modules, attention="sdpa"), Forward(modules, mode="graphs", attention="sdpa")
    with torch.inference_mode():
        for rows in (3, 5, 3):
            inputs = blank(modules, rows)
            expected, found = plain(inputs), captured(inputs)
            assert (expected - found).abs().max() <= 0.05 * expected.abs().max()
    assert captured.mode == "graphs"


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_a_job_in_a_mixed_batch_equals_itself_alone_in_float32(family: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    modules = on_gpu(family, torch.float32)
    requests = [request(0), request(1, guidance=1.0, steps=4)]
    for mixed, asked in zip(latents(modules, requests), requests, strict=True):
        (alone,) = latents(modules, [asked])
        assert (alone - mixed).abs().max() <= 1e-3


def test_the_whole_engine_paints_and_frees_what_it_held(modules: Modules) -> None:
    loop = StepLoop(modules, Forward(modules, mode="graphs"), Cap(16), slots_each=16)
    pictures = [job.future.result(120).picture for job in [loop.submit(request(n)) for n in range(4)]]
    assert all(picture.shape == (SIDE, SIDE, 3) for picture in pictures)
    loop.stop()
    assert loop.join(20)


def test_the_cap_is_fitted_on_this_device(modules: Modules) -> None:
    forward = Forward(modules)
    with torch.inference_mode():
        found = measure(lambda rows: forward(blank(modules, rows)), device=modules.device, most=32)
    assert len(found.points) > 1
    assert 8 <= found.cap(32) <= 32
