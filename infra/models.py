"""`likeness models`: what may run is pinned, listed, and shown how it reads."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

models_app = typer.Typer(no_args_is_help=True, help="The diffusion models that may run.")


@models_app.command("add")
def models_add(
    path: Path,
    *,
    name: Annotated[str | None, typer.Option(help="The folder's own name by default.")] = None,
) -> None:
    """Pin every file of a model's folder by SHA-256 after painting a small picture with it."""
    from core.settings import ModelSettings
    from worker.engine.models import ModelRefused, add

    registry = ModelSettings().registry
    try:
        manifest = add(path, registry, name=name)
    except ModelRefused as refused:
        _refuse(str(refused))
    picture = registry / f"{manifest.name}.png"
    typer.echo(f"{manifest.name}: {len(manifest.files)} files pinned. Look at {picture}, then start workers with")
    typer.echo(f"LIKENESS_MODEL_PATH={path.resolve()}")


@models_app.command("list")
def models_list() -> None:
    """List the pinned models, and say of each whether it is still what was pinned."""
    from core.settings import ModelSettings
    from worker.engine.models import BUILT_IN, ModelRefused, catalogue, require_unchanged

    for registry in (ModelSettings().registry, BUILT_IN):
        for manifest in catalogue(registry):
            try:
                require_unchanged(manifest, registry)
                state = "as pinned"
            except ModelRefused as refused:
                state = str(refused)
            megabytes = manifest.size / 1e6
            typer.echo(f"{manifest.name}  {manifest.pipeline}  {megabytes:.0f} MB  {manifest.added}  {state}")


@models_app.command("read")
def models_read(
    text: str,
    *,
    picture: Annotated[Path | None, typer.Option(help="Paint it too, into this PNG.")] = None,
) -> None:
    """Show how the model that comes along reads free text: what it used, dropped and assumed."""
    from worker.engine.training.grammar import understand

    read = understand(text)
    typer.echo(f"read as  {read.scene.caption}")
    for name, words in (("used", read.used), ("dropped", read.dropped), ("assumed", read.assumed)):
        typer.echo(f"{name:8} {', '.join(words) or '-'}")
    if picture is not None:
        from worker.engine.training.card import paint_scene

        paint_scene(read.scene).save(picture)
        typer.echo(f"painted  {picture}")


def _refuse(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(code=1)
