"""A backdrop that a diffusion model painted: the ledger and the file name the model, by name and digest."""

import hashlib
import json
from datetime import timedelta

import pytest

from core.clock import now
from core.headshots.styles import get_style
from core.provenance.certificates import new_root, new_signer
from core.provenance.sign import sign
from core.settings import ModelSettings
from infra.bench import graphs
from tests.core.provenance.test_sign import assertions, read
from worker.engine.engine import Engine
from worker.engine.models import add
from worker.studio import pipeline
from worker.studio.pipeline import Sitting


def never_stop(stage: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSettings, str]:
    """A tiny model of random weights, pinned, and the digest of it that anybody can work out from its files."""
    folder = tmp_path_factory.mktemp("models")
    graphs.build(tiny_vae=True).save_pretrained(folder / "tiny")
    add(folder / "tiny", folder / "registry")
    files = sorted(path for path in (folder / "tiny").rglob("*") if path.is_file())
    digests = {
        path.relative_to(folder / "tiny").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    settings = ModelSettings(path=folder / "tiny", registry=folder / "registry", steps=2)
    return settings, hashlib.sha256(json.dumps(digests, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


async def test_the_model_is_named_in_the_ledger_and_in_the_manifest(
    sitting: Sitting, pinned: tuple[ModelSettings, str]
) -> None:
    settings, digest = pinned
    engine = Engine.load(settings)
    try:
        made = await pipeline.make(sitting, get_style("sage"), seed=3, engine=engine, sandbox=False, check=never_stop)
    finally:
        engine.close()
    (line,) = [line for line in made.ledger if line["region"] == "background"]
    assert (line["source"], line["model"], line["model_sha256"]) == ("generated", "tiny", digest)
    root = new_root(now())
    file = sign(
        made.outputs["linkedin_400"].data,
        "image/jpeg",
        ledger=made.ledger,
        mark=bytes(8),
        training_allowed=False,
        credential=new_signer(root, moment=now(), term=timedelta(days=30)),
        time_stamps=None,
        version="test",
    )
    state, report = read(file, anchors=root.certificate)
    said = assertions(report)
    assert state == "Trusted"
    (told,) = [line for line in said["dev.likeness.edit-ledger"]["lines"] if line["region"] == "background"]
    assert (told["model"], told["model_sha256"]) == ("tiny", digest)
    (edited,) = [action for action in said["c2pa.actions.v2"]["actions"] if "digitalSourceType" in action]
    assert edited["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert edited["softwareAgent"]["name"] == "tiny"
