from pathlib import Path

import pytest
import torch

from worker.engine.training.batches import Batches
from worker.engine.training.grammar import vocabulary
from worker.engine.training.model import build_tokenizer
from worker.engine.training.train import Plan, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(Plan(out=tmp_path_factory.mktemp("run"), seed=11, steps=1000))


def test_every_word_of_the_grammar_is_one_token() -> None:
    tokenizer = build_tokenizer()
    for word in vocabulary():
        assert len(tokenizer(word.strip(","), add_special_tokens=False)["input_ids"]) == 1, word


def test_a_step_lowers_the_loss_on_a_fixed_batch(run: Run) -> None:
    with torch.no_grad():
        before = float(run.loss(0, count=4, size=32))
    for _ in range(3):
        run.progress.step = 0
        for group in run.optimiser.param_groups:
            group["lr"] = 3e-4
        loss = run.loss(0, count=4, size=32)
        run.optimiser.zero_grad()
        torch.autograd.backward(loss)
        run.optimiser.step()
    with torch.no_grad():
        assert float(run.loss(0, count=4, size=32)) < before


def test_a_run_goes_on_from_its_checkpoint(run: Run, tmp_path: Path) -> None:
    plan = Plan(out=tmp_path, seed=11, steps=1000)
    first = Run(plan)
    first.step()
    first.save()
    second = Run(plan)
    second.resume()
    assert second.progress.step == 1
    assert first.step() == pytest.approx(second.step(), rel=1e-5)


def test_a_checkpoint_of_another_seed_is_refused(run: Run) -> None:
    run.save()
    other = Run(Plan(out=run.plan.out, seed=12, steps=1000))
    with pytest.raises(ValueError, match="seed 11"):
        other.resume()


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    first = Batches(seed=5).batch(7, count=3, size=32)
    batches = Batches(seed=5)
    batches.batch(6, count=2, size=64)
    second = batches.batch(7, count=3, size=32)
    assert first.captions == second.captions
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.condition, second.condition)


def test_a_person_in_the_masked_picture_leaves_the_answer_alone() -> None:
    batches = Batches(seed=5)
    several = [batches.batch(step, count=8, size=64) for step in range(8)]
    condition, latents = (torch.cat([getattr(each, name) for each in several]) for name in ("condition", "latents"))
    mask = condition[:, :1]
    assert set(mask.flatten().tolist()) == {0.0, 1.0}
    shown = (mask == 0) & (latents[:, :1] - condition[:, 1:2]).abs().gt(0.5)
    assert shown.any(), "somewhere a person is shown where the answer has backdrop"
