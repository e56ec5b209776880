"""The two threads: joining, leaving, stopping, and that encoding stalls no step."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from time import monotonic, sleep
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.worker.engine.orders import SIDE, oracle, request
from worker.engine.encode import Encoder, Start
from worker.engine.loop import StepLoop
from worker.engine.modules import Modules
from worker.engine.request import EngineClosed, PaintRequest

Serve = Callable[..., StepLoop]


class ConsentWithdrawn(Exception):
    pass


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end
        sleep(0.002)


def test_a_request_joins_a_running_batch_and_leaves_before_it(serve: Serve, modules: Modules) -> None:
    loop = serve(modules)
    long = loop.submit(request(0, steps=400))
    until(lambda: loop.active == 1)
    short = loop.submit(request(1, steps=3))
    assert short.future.result(20).picture.shape == (SIDE, SIDE, 3)
    assert not long.future.done()
    loop.cancel(long)


def test_the_picture_is_the_stock_pipelines(serve: Serve, modules: Modules, pipeline: Any) -> None:
    asked = request(3)
    painted = serve(modules).submit(asked).future.result(20).picture
    with torch.inference_mode():
        decoded = pipeline.vae.decode(oracle(pipeline, asked)[None] / pipeline.vae.config.scaling_factor).sample
    expected = (255 * (decoded[0] / 2 + 0.5).clamp(0, 1)).round().permute(1, 2, 0).numpy()
    assert np.abs(expected - painted.astype(float)).max() <= 1


def test_a_check_that_raises_frees_the_slot_within_one_step(serve: Serve, modules: Modules) -> None:
    loop = serve(modules)
    withdrawn = threading.Event()
    asked_at: list[float] = []

    def check(share: float) -> None:
        asked_at.append(share)
        if withdrawn.is_set():
            raise ConsentWithdrawn

    stopped = loop.submit(request(0, steps=500, check=check))
    other = loop.submit(request(1, steps=500))
    until(lambda: len(asked_at) > 3)
    withdrawn.set()
    calls = len(asked_at)
    with pytest.raises(ConsentWithdrawn):
        stopped.future.result(20)
    # At most the step under way, then the one check that raised.
    assert len(asked_at) <= calls + 2
    assert asked_at == sorted(asked_at)
    until(lambda: loop.active == 1)
    assert not other.future.done()
    loop.cancel(other)


def test_one_cancelled_in_line_never_takes_a_slot(serve: Serve, modules: Modules) -> None:
    loop = serve(modules, rows=2)
    running = loop.submit(request(0, steps=400))
    until(lambda: loop.active == 1)
    waiting = loop.submit(request(1))
    assert waiting.future.cancel()
    loop.cancel(waiting)
    until(lambda: loop.waiting == 0)
    with pytest.raises(CancelledError):
        waiting.future.result(1)
    loop.cancel(running)


def test_other_shapes_are_painted_side_by_side(serve: Serve, modules: Modules) -> None:
    loop = serve(modules)
    shapes = [(64, 64), (96, 64), (64, 96)]
    jobs = [
        loop.submit(
            request(number, picture=np.full((*shape, 3), 90, np.uint8), mask=np.full(shape, 255, np.uint8), steps=20)
        )
        for number, shape in enumerate(shapes)
    ]
    until(lambda: loop.active == len(shapes) or all(job.future.done() for job in jobs))
    assert [job.future.result(20).picture.shape[:2] for job in jobs] == shapes


def test_a_light_tenant_is_painted_before_a_heavy_ones_backlog(serve: Serve, modules: Modules) -> None:
    loop = serve(modules, rows=4, slots_each=2)
    heavy = [loop.submit(request(number, tenant="heavy", steps=12)) for number in range(12)]
    light = loop.submit(request(50, tenant="light", steps=12))
    light.future.result(30)
    assert sum(job.future.done() for job in heavy) <= 4
    for job in heavy:
        loop.cancel(job)


def test_slow_encoding_stalls_no_step(serve: Serve, modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Encoder.encode
    inside, leave = threading.Event(), threading.Event()

    def slow(self: Encoder, requests: list[PaintRequest]) -> list[Start]:
        if requests[0].seed == 1:
            inside.set()
            assert leave.wait(20)
        return encode(self, requests)

    monkeypatch.setattr(Encoder, "encode", slow)
    loop = serve(modules)
    running = loop.submit(request(0, steps=900))
    until(lambda: loop.active == 1)
    late = loop.submit(request(1))
    assert inside.wait(20)
    before = loop.steps
    until(lambda: loop.steps > before + 20)
    leave.set()
    late.future.result(20)
    loop.cancel(running)


def test_a_picture_that_cannot_be_decoded_fails_alone(
    serve: Serve, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Encoder.decode
    calls: list[int] = []

    def fragile(self: Encoder, latents: torch.Tensor) -> list[npt.NDArray[np.uint8]]:
        calls.append(len(latents))
        if bool((latents.mean() == 0).any()) or len(latents) > 1:
            raise RuntimeError("no decoder for this")
        return decode(self, latents)

    monkeypatch.setattr(Encoder, "decode", fragile)
    jobs = [serve(modules).submit(request(number)) for number in range(3)]
    assert [job.future.result(20).picture.shape for job in jobs] == [(SIDE, SIDE, 3)] * 3


def test_finishing_answers_everyone_and_takes_no_more(serve: Serve, modules: Modules) -> None:
    loop = serve(modules)
    jobs = [loop.submit(request(number)) for number in range(5)]
    loop.finish()
    with pytest.raises(EngineClosed):
        loop.submit(request(9))
    assert loop.join(30)
    assert all(job.future.done() and job.future.exception() is None for job in jobs)


def test_finishing_loses_nobody_wherever_they_are(serve: Serve, modules: Modules) -> None:
    for number in range(12):
        loop = serve(modules)
        jobs = [loop.submit(request(each, steps=1, guidance=1.0)) for each in range(3)]
        sleep(0.004 * number)
        loop.finish()
        assert loop.join(20)
        assert [job.future.exception(0) for job in jobs] == [None] * 3


def test_stopping_answers_whoever_still_waits(serve: Serve, modules: Modules) -> None:
    loop = serve(modules, rows=2)
    jobs = [loop.submit(request(number, steps=900)) for number in range(4)]
    until(lambda: loop.active == 1)
    loop.stop()
    assert loop.join(20)
    assert [type(job.future.exception(1)) for job in jobs] == [EngineClosed] * 4


@pytest.mark.parametrize(
    "asked",
    [
        request(picture=np.zeros((60, 64, 3), np.uint8), mask=np.zeros((60, 64), np.uint8)),
        request(mask=np.zeros((32, 64), np.uint8)),
        request(steps=0),
        request(steps=3, strength=0.1),
    ],
    ids=["odd-size", "other-mask", "no-steps", "no-strength"],
)
def test_what_no_pass_could_take_is_refused_at_the_door(serve: Serve, modules: Modules, asked: PaintRequest) -> None:
    with pytest.raises(ValueError, match=r"multiples of 8|no step"):
        serve(modules).submit(asked)
