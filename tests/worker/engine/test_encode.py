"""Words and pictures: cached for their own tenant, in micro-batches that change nothing."""

from typing import Any

import pytest
import torch

from infra.bench import graphs
from tests.worker.engine.orders import request
from worker.engine import encode
from worker.engine.encode import Encoder
from worker.engine.modules import Modules


def count_prompts(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    whole = encoder._encode_texts

    def counted(prompts: list[str]) -> Any:
        seen.extend(prompts)
        return whole(prompts)

    monkeypatch.setattr(encoder, "_encode_texts", counted)
    return seen


def test_words_are_encoded_once_per_tenant_and_never_shared(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(modules)
    seen = count_prompts(encoder, monkeypatch)
    mine, theirs = request(0, tenant="a"), request(0, tenant="b")
    first, again, other = encoder.encode([mine])[0], encoder.encode([mine])[0], encoder.encode([theirs])[0]
    assert seen == 2 * [mine.prompt, mine.negative_prompt]
    assert first.texts[0].embedding.data_ptr() == again.texts[0].embedding.data_ptr()
    assert first.texts[0].embedding.data_ptr() != other.texts[0].embedding.data_ptr()
    assert torch.equal(first.texts[0].embedding, other.texts[0].embedding)


def test_the_cache_is_bounded(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_KEPT_TEXTS", 4)
    encoder = Encoder(modules)
    for number in range(8):
        assert encoder.encode([request(number)])[0].texts
    assert len(encoder._texts) == 4


def test_an_unguided_request_costs_no_negative_prompt(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(modules)
    seen = count_prompts(encoder, monkeypatch)
    (start,) = encoder.encode([request(0, guidance=1.0)])
    assert seen == [request(0).prompt]
    assert len(start.texts) == 1


@pytest.mark.parametrize("tiny_vae", [True, False])
def test_a_micro_batch_gives_each_its_own_start(*, tiny_vae: bool) -> None:
    modules = Modules.of(graphs.build(channels=4, tiny_vae=tiny_vae))
    requests = [request(0), request(1, strength=0.5), request(2, guidance=1.0)]
    together = Encoder(modules).encode(requests)
    for asked, mixed in zip(requests, together, strict=True):
        (alone,) = Encoder(modules).encode([asked])
        assert (alone.latent - mixed.latent).abs().max() <= 1e-5
        assert alone.image is not None
        assert mixed.image is not None
        assert (alone.image - mixed.image).abs().max() <= 1e-5
        assert torch.equal(alone.mask, mixed.mask)


def test_pictures_are_decoded_alike_alone_and_together(modules: Modules) -> None:
    encoder = Encoder(modules)
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    together = encoder.decode(latents)
    for place in range(3):
        (alone,) = encoder.decode(latents[place : place + 1])
        assert alone.shape == (64, 64, 3)
        assert abs(alone.astype(int) - together[place].astype(int)).max() <= 1
