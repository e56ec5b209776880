"""A real worker says what it is, and leaves when an operator asks."""

from pathlib import Path

from sqlmodel import select

from core.bootstrap import Parts
from core.settings import ModelSettings
from core.workers import service as workers
from core.workers.models import Worker
from tests.scenes import eventually
from tests.worker.conftest import Start
from worker.engine import models as registry
from worker.presence import pinned


async def _reported(parts: Parts) -> Worker | None:
    async with parts.database.system() as session:
        return (await session.exec(select(Worker))).first()


async def test_a_worker_reports_itself_and_leaves_when_it_is_asked_to(parts: Parts, start: Start) -> None:
    process = start("light")
    await eventually(lambda: _reported(parts), seconds=60)
    worker = await _reported(parts)
    assert worker is not None
    assert (worker.kind, worker.region, worker.concurrency) == ("light", "local", 0)
    assert worker.memory["resident"] > 10_000_000
    async with parts.database.system() as session:
        await workers.ask_to_drain(session, worker.id, actor="operator:test")

    async def left() -> bool:
        found = await _reported(parts)
        return found is not None and workers.state_of(found) == "left"

    await eventually(left, seconds=60)
    assert process.leave() == 0
    assert "asked to leave by an operator" in process.said()


def test_the_models_of_a_registry_are_told_by_a_digest_of_their_files(tmp_path: Path) -> None:
    found = pinned(ModelSettings(registry=tmp_path))
    assert found == pinned(ModelSettings(registry=tmp_path))
    for model in found:
        assert len(model["digest"]) == 64
        assert model["loaded"] is False

    def manifest(path: str, files: dict[str, str]) -> registry.Manifest:
        return registry.Manifest(name="m", path=path, pipeline="P", added="", files=files, size=1)

    one, turned = manifest("m", {"a": "1", "b": "2"}), manifest("elsewhere", {"b": "2", "a": "1"})
    assert one.digest == turned.digest != manifest("m", {"a": "1", "b": "3"}).digest
