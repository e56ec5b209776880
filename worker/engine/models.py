"""The registry of models: which weights may run, each file pinned by SHA-256.

A model is a folder in the diffusers layout. `add` looks at it, tries it and writes a manifest into the registry; from
then on a worker starts with that folder only while every file in it is the one that was pinned. Weights are
safetensors: a pickle runs code when it is opened, so a folder that holds one is refused whatever else it holds.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUILT_IN = Path(__file__).parent / "pins"
"""Registry of the models that come with Likeness."""

SHIPPED = Path(__file__).parent / "shipped"
"""The small backdrop model that comes with Likeness (infra/decisions/0060)."""

PIPELINES = (
    "StableDiffusionInpaintPipeline",
    "StableDiffusionPipeline",
    "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLPipeline",
)
"""What `model_index.json` may name."""

_LOADED = {".safetensors", ".json", ".txt", ".model"}
_REFUSED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".py", ".so", ".h5", ".msgpack", ".onnx"}
_BLOCK = 1 << 20
_SMOKE_SIZE, _SMOKE_STEPS = 256, 4


class ModelRefused(Exception):
    """These weights may not run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was pinned.

    Attributes:
        name: of the model.
        path: its folder, absolute, or relative to the registry.
        pipeline: class in `model_index.json`.
        added: when, UTC, ISO 8601.
        files: path inside the folder to SHA-256 in hex.
        size: bytes in all.
    """

    name: str
    path: str
    pipeline: str
    added: str
    files: Mapping[str, str]
    size: int

    def folder(self, registry: Path) -> Path:
        """Where the model is."""
        return (registry / self.path).resolve()

    @property
    def digest(self) -> str:
        """SHA-256 over all pinned files, in hex: one name for exactly these weights."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def add(path: Path, registry: Path, *, name: str | None = None) -> Manifest:
    """Pin a model after looking at its files and painting one small picture with it.

    The picture stays beside the manifest as `<name>.png`, to be looked at.

    Args:
        path: a folder in the diffusers layout.
        registry: folder of manifests; made if it is not there.
        name: the folder's own name by default.

    Raises:
        ModelRefused: pickles, links out of the folder, an unknown pipeline, weights that give no picture.
    """
    folder = path.resolve()
    manifest = Manifest(
        name=name or folder.name,
        path=_shortest(folder, registry.resolve()),
        pipeline=_pipeline_of(folder),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
        files={relative: _digest(folder / relative) for relative in _files(folder)},
        size=sum((folder / relative).stat().st_size for relative in _files(folder)),
    )
    picture = _smoke(folder)
    registry.mkdir(parents=True, exist_ok=True)
    picture.save(registry / f"{manifest.name}.png")
    # Renamed into place, so that no worker reads half a manifest.
    draft = registry / f".{manifest.name}.json"
    draft.write_text(json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(registry / f"{manifest.name}.json")
    return manifest


def catalogue(registry: Path) -> list[Manifest]:
    """All models pinned in a registry, by name.

    Raises:
        ModelRefused: a manifest that cannot be read.
    """
    return [_read(file) for file in sorted(registry.glob("*.json")) if not file.name.startswith(".")]


def require_pinned(path: Path, registry: Path) -> Manifest:
    """Let a model run only as it was pinned, in this registry or in the built-in one.

    Raises:
        ModelRefused: no manifest names the folder, or a file is missing, added or different.
    """
    found = find_pinned(path, registry)
    if found is None:
        folder = path.resolve()
        raise ModelRefused(
            f"{folder} is not pinned. Look at where it comes from, then run: likeness models add {folder}"
        )
    require_unchanged(*found)
    return found[0]


def find_pinned(path: Path, registry: Path) -> tuple[Manifest, Path] | None:
    """The manifest that names a folder and the registry that it lies in, without looking at the folder's files.

    Raises:
        ModelRefused: a manifest that cannot be read.
    """
    folder = path.resolve()
    for shelf in (registry, BUILT_IN):
        for manifest in catalogue(shelf):
            if manifest.folder(shelf) == folder:
                return manifest, shelf
    return None


def require_unchanged(manifest: Manifest, registry: Path) -> None:
    """Compare a folder with its manifest.

    Raises:
        ModelRefused: a file is missing, added or different.
    """
    folder = manifest.folder(registry)
    found = set(_files(folder))
    if missing := sorted(set(manifest.files) - found):
        raise ModelRefused(f"{manifest.name}: {missing[0]} was pinned and is missing")
    if added := sorted(found - set(manifest.files)):
        raise ModelRefused(f"{manifest.name}: {added[0]} was not there when the model was pinned")
    for relative, digest in manifest.files.items():
        if _digest(folder / relative) != digest:
            raise ModelRefused(
                f"{manifest.name}: {relative} is not the file that was pinned. Restore it, or, if the change is meant, "
                "add the model again"
            )


def _read(file: Path) -> Manifest:
    try:
        return Manifest(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelRefused(f"the manifest {file.name} cannot be read") from error


def _shortest(folder: Path, registry: Path) -> str:
    """Relative when the model lives near the registry, so that both may be moved together."""
    return os.path.relpath(folder, registry) if folder.is_relative_to(registry.parent) else str(folder)


def _files(folder: Path) -> list[str]:
    """Every file that is loaded, by its path inside the folder.

    Raises:
        ModelRefused: there is something that may run code, or a link that leaves the folder.
    """
    if not folder.is_dir():
        raise ModelRefused(f"{folder} is not a folder")
    found = []
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder).as_posix()
        if not file.resolve().is_relative_to(folder):
            raise ModelRefused(f"{relative} leads out of the folder")
        if file.is_dir():
            continue
        if file.suffix.lower() in _REFUSED:
            raise ModelRefused(f"{relative}: weights must be safetensors, and nothing that can run code may lie beside")
        if file.suffix.lower() in _LOADED:
            found.append(relative)
    return found


def _pipeline_of(folder: Path) -> str:
    _files(folder)
    try:
        index: Any = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        pipeline = str(index["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRefused(f"{folder} holds no model_index.json of a diffusers pipeline") from error
    if pipeline not in PIPELINES:
        raise ModelRefused(f"{pipeline} is not supported; one of {', '.join(PIPELINES)} is")
    return pipeline


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _smoke(folder: Path) -> Any:
    """Paint one small picture.

    Returns:
        a `PIL.Image.Image`.

    Raises:
        ModelRefused: the weights give no picture.
    """
    import numpy as np
    from PIL import Image

    from worker.engine.capacity import Cap
    from worker.engine.forward import Forward
    from worker.engine.loop import StepLoop
    from worker.engine.modules import load
    from worker.engine.request import PaintRequest

    try:
        modules = load(folder)
        side = min(_SMOKE_SIZE, modules.size)
        loop = StepLoop(modules, Forward(modules), Cap(2), slots_each=2)
        try:
            request = PaintRequest(
                picture=np.full((side, side, 3), 128, np.uint8),
                mask=np.full((side, side), 255, np.uint8),
                prompt="studio backdrop, soft light",
                negative_prompt="",
                steps=_SMOKE_STEPS,
                guidance=2.0,
                strength=1.0,
                seed=1,
            )
            picture = loop.submit(request).future.result()
        finally:
            loop.stop()
            loop.join(10)
    except Exception as error:
        raise ModelRefused(f"the model gives no picture: {type(error).__name__}: {error}") from error
    return Image.fromarray(picture.picture)
